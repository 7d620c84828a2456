"""Picture -> embedding: the seam that every image encoder fills, and the encoders that Shopcue brings.

An encoder knows nothing about products, galleries or time. Pictures are shrunk here and everything else (scaling of the
values, the net, the unit length) is inside the ONNX graph, so training and inference cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol

import cv2
import numpy as np
import onnxruntime

from shopcue.errors import MediaError, WeightsError
from shopcue.models.hub import Weights, find_weights
from shopcue.records import Floats, Image

Fit = Literal["squash", "letterbox"]

IMAGENET_MEAN = (123.675, 116.28, 103.53)  # RGB, of values in 0..255
IMAGENET_STD = (58.395, 57.12, 57.375)

_BATCH = 16  # pictures in one run of the net: enough to fill it, few enough to bound the memory
_PAD_GREY = 127  # what the net's preprocessing turns into 0


class ImageEncoder(Protocol):
    """Turns pictures into unit vectors; the same pictures give the same vectors however they are batched."""

    @property
    def dim(self) -> int:
        """D, the length of an embedding."""

    @property
    def fingerprint(self) -> str:
        """What names these exact weights and this preprocessing; vectors of two fingerprints do not compare."""

    def encode(self, images: Sequence[Image]) -> Floats:
        """Return unit embeddings. images: N RGB uint8 pictures of any size -> float32 (N, D)."""


class OnnxEncoder:
    """Any ONNX image model with one picture input and one vector output.

    weights: a .onnx file. Its input is either uint8 (N, S, S, 3), preprocessing inside, or float32 (N, 3, S, S), to
    which `mean` and `std` (RGB, of values in 0..255) are applied here. side_px: S, where the file leaves it open.
    threads: of one run, the machine's cores where None. fit: how a picture becomes a square. Raises WeightsError where
    the file cannot be loaded or is not such a model.
    """

    def __init__(
        self,
        weights: Path | Weights,
        threads: int | None = None,
        *,
        side_px: int | None = None,
        fit: Fit = "squash",
        mean: tuple[float, float, float] = IMAGENET_MEAN,
        std: tuple[float, float, float] = IMAGENET_STD,
    ) -> None:
        found = weights if isinstance(weights, Weights) else find_weights(weights.stem, weights)
        self._session = open_session(found.path, threads)
        picture = self._session.get_inputs()[0]
        self._input: str = picture.name
        self._raw: bool = picture.type == "tensor(uint8)"
        self._batch: int = picture.shape[0] if isinstance(picture.shape[0], int) else _BATCH
        self._side_px = _side(found.path, picture, side_px)
        self._fit: Fit = fit
        self._mean, self._std = np.array(mean, np.float32), np.array(std, np.float32)
        recipe = f"{fit}{self._side_px}" + ("" if self._raw else f"-{mean}-{std}".replace(" ", ""))
        self._fingerprint = f"{found.fingerprint}-{recipe}"
        self._dim = self._measure_dim(found.path)

    @property
    def dim(self) -> int:
        """D, the length of an embedding."""
        return self._dim

    @property
    def fingerprint(self) -> str:
        """The hash of the file and how pictures are fitted into its input."""
        return self._fingerprint

    @property
    def side_px(self) -> int:
        """S, the side of the square that the net sees."""
        return self._side_px

    def encode(self, images: Sequence[Image]) -> Floats:
        """Return unit embeddings. images: N RGB uint8 pictures of any size -> float32 (N, D)."""
        vectors = np.empty((len(images), self._dim), np.float32)
        for start in range(0, len(images), self._batch):
            part = images[start : start + self._batch]
            pixels = np.stack([fit_square(image, self._side_px, self._fit) for image in part])
            vectors[start : start + len(part)] = self._run(pixels)[: len(part)]
        return vectors

    def _run(self, pixels: Image) -> Floats:
        """Return unit rows for the squares `pixels`, uint8 (N, S, S, 3)."""
        batch = pixels
        if not self._raw:
            batch = np.ascontiguousarray(((pixels - self._mean) / self._std).transpose(0, 3, 1, 2))
        if self._batch != _BATCH and len(batch) < self._batch:  # the file fixes the batch: fill it up
            batch = np.concatenate([batch, np.repeat(batch[-1:], self._batch - len(batch), axis=0)])
        vectors = np.asarray(self._session.run(None, {self._input: batch})[0], np.float32)
        length = np.linalg.norm(vectors, axis=-1, keepdims=True)
        # A net may say nothing at all, about a black picture say; the promise of unit length holds even then.
        silent = np.float32(vectors.shape[-1] ** -0.5)
        return np.asarray(np.where(length > 1e-12, vectors / np.maximum(length, 1e-12), silent), np.float32)

    def _measure_dim(self, path: Path) -> int:
        try:
            answer = self._run(np.full((1, self._side_px, self._side_px, 3), _PAD_GREY, np.uint8))
        except Exception as error:  # ONNX Runtime raises classes of its own, one a cause
            raise WeightsError(f"{path} does not run on one picture ({error}); expected an image encoder") from error
        if answer.ndim != 2:
            raise WeightsError(f"{path} answers with shape {answer.shape}, expected (N, D): export the pooled output")
        return int(answer.shape[1])


class HouseEncoder(OnnxEncoder):
    """Shopcue's own encoder: two EfficientNet-Lite0 trained to find shop pictures by photos, int8, 512-d.

    weights: another file of the same kind, the package's own where None. threads: as in `OnnxEncoder`. Data, recipe and
    figures are in weights/house-encoder.md.
    """

    def __init__(self, weights: Path | None = None, threads: int | None = None) -> None:
        super().__init__(find_weights("house-encoder", weights), threads, fit="letterbox")


ENCODERS: dict[str, Callable[..., ImageEncoder]] = {"house": HouseEncoder, "onnx": OnnxEncoder}


def fit_square(image: Image, side_px: int, fit: Fit = "squash") -> Image:
    """Return `image` as a square. RGB uint8 (H, W, 3), any size -> (S, S, 3).

    squash: both sides are scaled to S. letterbox: the longer side is scaled to S and grey bars fill the rest.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise MediaError(
            f"a picture has shape {image.shape} and type {image.dtype}, expected (H, W, 3) uint8, not empty"
        )
    if fit == "squash":
        return _resize(image, side_px, side_px)
    height, width = image.shape[:2]
    scale, x, y = letterbox_placing(width, height, side_px)
    inner = _resize(image, max(1, round(width * scale)), max(1, round(height * scale)))
    square = np.full((side_px, side_px, 3), _PAD_GREY, np.uint8)
    square[y : y + inner.shape[0], x : x + inner.shape[1]] = inner
    return square


def letterbox_placing(width: int, height: int, side_px: int) -> tuple[float, int, int]:
    """Return where a letterboxed picture lies in its square: its scale, and the pixels left of it and above it."""
    scale = side_px / max(height, width)
    inner_width, inner_height = max(1, round(width * scale)), max(1, round(height * scale))
    return scale, (side_px - inner_width) // 2, (side_px - inner_height) // 2


def trim_margins(image: Image, tolerance: int = 12, keep: float = 0.1) -> Image:
    """Return a shop picture without its plain margins: a tight box decides what an encoder sees.

    tolerance: how far a value may lie from the colour of the corners and still be margin. keep: the share of the
    product's longer side that stays as a border. A picture without plain margins comes back as it is. RGB uint8
    (H, W, 3) -> a view of it, (H', W', 3).
    """
    height, width = image.shape[:2]
    corners = np.stack([image[0, 0], image[0, -1], image[-1, 0], image[-1, -1]]).astype(np.int16)
    if int(np.ptp(corners, axis=0).max()) > 2 * tolerance:
        return image
    ground = np.median(corners, axis=0)
    low, high = np.ceil(ground - tolerance).clip(0, 255), np.floor(ground + tolerance).clip(0, 255)
    plain = cv2.inRange(image, (*low, 0), (*high, 255))
    rows, columns = np.flatnonzero(plain.min(axis=1) == 0), np.flatnonzero(plain.min(axis=0) == 0)
    if not len(rows):
        return image
    border = round(keep * max(rows[-1] - rows[0], columns[-1] - columns[0]))
    y0, y1 = max(0, rows[0] - border), min(height, rows[-1] + 1 + border)
    x0, x1 = max(0, columns[0] - border), min(width, columns[-1] + 1 + border)
    return image[y0:y1, x0:x1]


def _resize(image: Image, width: int, height: int) -> Image:
    shrinks = image.shape[0] * image.shape[1] > width * height
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)


def open_session(path: Path, threads: int | None) -> onnxruntime.InferenceSession:
    """Return the model at `path`, loaded; raises WeightsError where ONNX Runtime cannot load it."""
    options = onnxruntime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    # Threads that spin while they wait take the cores from decoding and from other streams.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises classes of its own, one a cause
        raise WeightsError(f"{path} cannot be loaded by ONNX Runtime ({error}); expected an ONNX model") from error


def _side(path: Path, picture: onnxruntime.NodeArg, side_px: int | None) -> int:
    """Return S, as the file fixes it or as the caller says; raises WeightsError where the input is no picture."""
    axes = {"tensor(uint8)": (1, 3), "tensor(float)": (2, 1)}.get(picture.type)  # of a side and of the channels
    if axes is None or len(picture.shape) != 4 or picture.shape[axes[1]] != 3:
        raise WeightsError(
            f"{path} takes {picture.type} {picture.shape}, expected uint8 (N, S, S, 3) or float (N, 3, S, S) pictures"
        )
    side = picture.shape[axes[0]]
    if isinstance(side, int):
        return side
    if side_px is None:
        raise WeightsError(f"{path} leaves the side of its pictures open; give side_px")
    return side_px
