"""The small pictures that a store keeps of each product, as JPEG files."""

from __future__ import annotations

import cv2
import numpy as np

from shopcue.catalog.exact import THUMBNAIL_PX
from shopcue.catalog.pictures import shrink
from shopcue.errors import MediaError
from shopcue.records import Image

# At full resolution of the colours: small prints are told apart by them.
_JPEG = (
    cv2.IMWRITE_JPEG_QUALITY, 92, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
)  # fmt: skip


def encode_thumbnail(image: Image) -> bytes:
    """Return a picture as the JPEG file that a store keeps. RGB uint8 (H, W, 3)."""
    small = cv2.cvtColor(shrink(image, THUMBNAIL_PX), cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", small, _JPEG)[1])


def decode_thumbnail(data: bytes, side_px: int) -> Image:
    """Return the picture in a file that `encode_thumbnail` made, with sides up to side_px; raises MediaError."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise MediaError("a picture of the store is damaged; import the feed again")
    return shrink(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8), side_px)
