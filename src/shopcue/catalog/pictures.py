"""A product's picture -> RGB pixels, whoever sent it: bounded before decoding, upright, opaque, not too large.

A reference is a path relative to the feed, and may not leave its folder, or an http(s) address. At most 20 MB and
40 megapixels are accepted; both are known before a pixel is decoded. JPEG, PNG, WebP, GIF, BMP, TIFF and AVIF are
read, told by their first bytes.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
from PIL import ExifTags
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.Image import Image as Pixels
from PIL.Image import Resampling, Transpose, alpha_composite, fromarray
from PIL.Image import new as new_pixels
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from shopcue.catalog.feeds import shown
from shopcue.catalog.fetch import Fetcher
from shopcue.errors import MediaError, UnsafeAddress
from shopcue.records import Image

MAX_BYTES = 20 << 20
MAX_PIXELS = 40_000_000
MAX_SIDE_PX = 1024

# Made directly, not by PIL.Image.open: that warns about large pictures, and for us they are one line of a report.
_READERS: tuple[tuple[re.Pattern[bytes], Callable[[IO[bytes]], ImageFile]], ...] = (
    (re.compile(rb"\xff\xd8\xff"), JpegImageFile),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), PngImageFile),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), WebPImageFile),
    (re.compile(rb"GIF8[79]a"), GifImageFile),
    (re.compile(rb"BM"), BmpImageFile),
    (re.compile(rb"II\*\x00|MM\x00\*|II\x2b\x00|MM\x00\x2b"), TiffImageFile),
    (re.compile(rb"....ftypavi[fs]", re.DOTALL), AvifImageFile),
)
_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
_WEB = re.compile(r"https?://", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://|(?:file|data|blob|javascript):|[a-z]:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that was read: RGB uint8 (H, W, 3), sides up to 1024 pixels, and the sha256 of the bytes it came as.

    scale: how long a side is, as a share of what it was in the file; what is annotated there is so much smaller here.
    """

    image: Image
    sha256: str
    scale: float = 1.0


def load_picture(reference: str, folder: Path, fetch: Fetcher | None = None) -> Picture:
    """Return the picture that a feed in `folder` refers to: a relative path, or an http(s) address for `fetch`.

    Raises UnsafeAddress for a reference that leaves the folder or the public web, MediaError for a picture that is
    missing, too large, damaged or of another format.
    """
    return decode_picture(load_bytes(reference, folder, fetch), picture_name(reference))


def picture_name(reference: str) -> str:
    """Return what messages call the picture behind a feed's reference."""
    return shown(reference if _WEB.match(reference) else PurePosixPath(reference.replace("\\", "/")).name)


def load_bytes(reference: str, folder: Path, fetch: Fetcher | None = None) -> bytes:
    """Return the file that a feed in `folder` refers to, at most 20 MB; raises as `load_picture` does."""
    if not _WEB.match(reference):
        return _read_bytes(resolve_inside(reference, folder))
    if fetch is None:
        raise MediaError(f"{shown(reference)} is a remote picture, and remote pictures are switched off here")
    return fetch.fetch(reference)


def read_picture(path: Path) -> Picture:
    """Return the picture in a file that the user named; raises MediaError as `load_picture` does."""
    return decode_picture(_read_bytes(path), shown(path.name))


def _read_bytes(path: Path) -> bytes:
    name = shown(path.name)
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            return _bounded_bytes(file, name)
    except OSError as error:
        raise MediaError(f"{name} cannot be read: {error.strerror or error}; expected a picture") from None


def _bounded_bytes(file: IO[bytes], name: str) -> bytes:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise MediaError(f"{name} is not a regular file, expected a picture")
    if status.st_size > MAX_BYTES:
        raise MediaError(f"{name} has {status.st_size:,} bytes, at most {MAX_BYTES:,} are read; make it smaller")
    return file.read(MAX_BYTES + 1)


def resolve_inside(reference: str, folder: Path) -> Path:
    """Return the file that a feed's relative path means, all links followed; raises UnsafeAddress if it is outside."""
    name = shown(reference)
    if "\x00" in reference:
        raise UnsafeAddress(f"the path {name!r} holds a NUL, expected a path relative to the feed")
    if _SCHEME.match(reference):
        raise UnsafeAddress(f"{name!r} is neither http(s) nor a path relative to the feed; give one of them")
    relative = PurePosixPath(reference.replace("\\", "/"))  # feeds are written on Windows too
    if relative.is_absolute():
        raise UnsafeAddress(f"the path {name!r} is absolute, expected one relative to the feed")
    try:
        home = folder.resolve()
        path = (home / relative).resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links; a name that the system cannot have
        raise UnsafeAddress(
            f"the path {name!r} cannot be followed, expected a picture inside the feed's folder"
        ) from None
    if not path.is_relative_to(home) or path == home:
        raise UnsafeAddress(f"the path {name!r} leaves the folder of the feed; move the picture into it")
    return path


def decode_picture(data: bytes, name: str) -> Picture:
    """Return the picture that `data` encodes; `name` is for the messages. Raises MediaError."""
    if len(data) > MAX_BYTES:
        raise MediaError(f"{name} has more than {MAX_BYTES:,} bytes; make the picture smaller")
    reader = next((reader for signature, reader in _READERS if signature.match(data)), None)
    if reader is None:
        what = "is empty" if not data else "is no JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF picture"
        raise MediaError(f"{name} {what}; expected a picture")
    try:
        with reader(BytesIO(data)) as pixels:
            width, height = pixels.size
            if width * height <= MAX_PIXELS:
                image = _prepare(pixels)
                return Picture(image, sha256(data).hexdigest(), max(image.shape[:2]) / max(width, height))
    except Exception as error:  # decoders fed with strangers' bytes raise nearly anything
        raise MediaError(
            f"{name} is damaged: {shown(str(error)) or type(error).__name__}; expected a picture"
        ) from None
    raise MediaError(f"{name} has {width} x {height} pixels, at most {MAX_PIXELS:,} are read; make it smaller")


def shrink(image: Image, side_px: int) -> Image:
    """Return `image` with its longer side at most `side_px` long, as it is if it already is. RGB uint8 (H, W, 3)."""
    if max(image.shape[:2]) <= side_px:
        return image
    pixels = fromarray(image)
    pixels.thumbnail((side_px, side_px), Resampling.BOX)
    return np.asarray(pixels, np.uint8)


def _prepare(pixels: ImageFile) -> Image:
    """Return the first frame upright, opaque, as RGB and shrunk."""
    pixels.draft("RGB", (MAX_SIDE_PX, MAX_SIDE_PX))  # a JPEG decodes at once to a half, a quarter or an eighth
    pixels.load()
    orientation = pixels.getexif().get(ExifTags.Base.Orientation)
    opaque = _opaque(pixels)
    opaque.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX), Resampling.LANCZOS)
    if orientation in _UPRIGHT:
        opaque = opaque.transpose(_UPRIGHT[orientation])
    return np.array(opaque, np.uint8)


def _opaque(pixels: Pixels) -> Pixels:
    """Return pixels of any mode as RGB, the transparent ones over white."""
    if pixels.mode.startswith(("I", "F")):
        return _eight_bits(pixels).convert("RGB")
    if pixels.has_transparency_data:
        layer = pixels.convert("RGBA")
        layer.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX), Resampling.LANCZOS)
        return alpha_composite(new_pixels("RGBA", layer.size, "white"), layer).convert("RGB")
    return pixels.convert("RGB")


def _eight_bits(pixels: Pixels) -> Pixels:
    """Return deep grey values as 0..255. Their range is 1 (float), 255 or 65535: the least that holds the brightest."""
    known = pixels if pixels.mode == "F" else pixels.convert("I")  # I;16B and its like can do little
    brightest = _brightest(known)
    full = 255.0 if brightest <= 255 else 65535.0
    full = 1.0 if brightest <= 1 and known.mode == "F" else full
    small = known.convert("F")
    small.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX), Resampling.BOX)  # first: each copy of 40 megapixels takes 160 MB
    values = np.nan_to_num(np.asarray(small, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    return fromarray(np.asarray(np.clip(values * (255.0 / full) + 0.5, 0, 255), np.uint8))


def _brightest(pixels: Pixels) -> float:
    values = np.asarray(pixels)
    return float(values.max(where=np.isfinite(values), initial=0))
