"""The words of Shopcue as data: frozen records, checked when they are made.

Records carry data and no rules. Time is float seconds of presentation time from the start of the stream, spans are
half-open `[start_s, end_s)`, boxes are `xyxy` float32 pixels, images are RGB uint8 `(H, W, 3)`, embeddings are float32
of unit length, and a higher score is better. Foreign formats are turned into records at the edge (`sources`,
`catalog`, `exports`), never here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shopcue.errors import RecordError

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


def _finite(name: str, value: float) -> None:
    if not math.isfinite(value):
        raise RecordError(f"{name} is {value}, expected a finite number of seconds")


def _span(start_s: float, end_s: float) -> None:
    _finite("start_s", start_s)
    _finite("end_s", end_s)
    if end_s < start_s:
        raise RecordError(f"the span [{start_s}, {end_s}) ends before it starts; expected start_s <= end_s")


def _shape(name: str, array: NDArray[np.generic], shape: tuple[int | None, ...], dtype: type) -> None:
    """Raise unless `array` has `dtype` and `shape`, where None stands for any length."""
    fits = array.ndim == len(shape) and all(want in (None, have) for want, have in zip(shape, array.shape, strict=True))
    if not fits or array.dtype != dtype:
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise RecordError(
            f"{name} has shape {array.shape} and type {array.dtype}, expected ({wanted}) {np.dtype(dtype).name}"
        )


# ---- what comes in ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a video with its time.

    time_s: seconds. image: RGB uint8 (H, W, 3), which a source may have made smaller than the video; scale: how many
    pixels of the video one pixel of `image` stands for, the same in both directions. Boxes leave Shopcue in the
    video's pixels.
    """

    time_s: float
    image: Image
    scale: float = 1.0

    def __post_init__(self) -> None:
        _finite("time_s", self.time_s)
        _shape("image", self.image, (None, None, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """A stretch of mono sound.

    start_s: seconds. samples: float32 (n,) in [-1, 1]. rate_hz: samples a second.
    """

    start_s: float
    samples: Floats
    rate_hz: int

    def __post_init__(self) -> None:
        _finite("start_s", self.start_s)
        _shape("samples", self.samples, (None,), np.float32)
        if self.rate_hz <= 0:
            raise RecordError(f"rate_hz is {self.rate_hz}, expected samples a second above 0")

    @property
    def end_s(self) -> float:
        """When the sound ends, in seconds."""
        return self.start_s + len(self.samples) / self.rate_hz


@dataclass(frozen=True, slots=True)
class Utterance:
    """Something that was said: a span in seconds and its text."""

    start_s: float
    end_s: float
    text: str

    def __post_init__(self) -> None:
        _span(self.start_s, self.end_s)


@dataclass(frozen=True, slots=True)
class Comment:
    """Something that a viewer wrote: a time in seconds, who and what. All three come from strangers."""

    time_s: float
    user: str
    text: str

    def __post_init__(self) -> None:
        _finite("time_s", self.time_s)


COARSE_CLASSES = ("upper", "lower", "full", "footwear", "headwear", "goods")
"""What a detector tells apart; the index into it is a coarse class."""

QUALITIES = ("viewpoint", "occlusion", "crop")
"""How well a box shows what is in it: from the front, with nothing before it, and whole (DPRNet 3.1)."""


@dataclass(frozen=True, slots=True)
class Detections:
    """Places of one frame where a product may be.

    boxes: float32 (N, 4), xyxy pixels of the video. scores: float32 (N,), how sure the detector is, in [0, 1].
    classes: int64 (N,), into `COARSE_CLASSES`. quality: float32 (N, 3), each of `QUALITIES` in [0, 1], 1 the best.
    vectors: float32 (N, D), unit embeddings by which the detector tells one thing from another.
    """

    time_s: float
    boxes: Floats
    scores: Floats
    classes: Indices
    quality: Floats
    vectors: Floats

    def __post_init__(self) -> None:
        _finite("time_s", self.time_s)
        count = len(self.boxes)
        _shape("boxes", self.boxes, (None, 4), np.float32)
        _shape("scores", self.scores, (count,), np.float32)
        _shape("classes", self.classes, (count,), np.int64)
        _shape("quality", self.quality, (count, len(QUALITIES)), np.float32)
        _shape("vectors", self.vectors, (count, None), np.float32)

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True, slots=True)
class Tracklet:
    """One thing followed through a stretch of the video: T detections of it, in order of time.

    coarse_class: into `COARSE_CLASSES`. times_s: float64 (T,), seconds, increasing. boxes: float32 (T, 4), scores:
    float32 (T,), quality: float32 (T, 3), vectors: float32 (T, D), each as in `Detections`.
    """

    tracklet_id: int
    coarse_class: int
    times_s: NDArray[np.float64]
    boxes: Floats
    scores: Floats
    quality: Floats
    vectors: Floats

    def __post_init__(self) -> None:
        count = len(self.times_s)
        _shape("times_s", self.times_s, (count,), np.float64)
        _shape("boxes", self.boxes, (count, 4), np.float32)
        _shape("scores", self.scores, (count,), np.float32)
        _shape("quality", self.quality, (count, len(QUALITIES)), np.float32)
        _shape("vectors", self.vectors, (count, None), np.float32)
        if not count or np.any(np.diff(self.times_s) <= 0):
            raise RecordError("a tracklet needs one detection or more, in order of time")


@dataclass(frozen=True, slots=True)
class Pick:
    """The view of a thing that is worth a search: the best of all that were seen of it.

    box: float32 (4,), xyxy pixels of the video. coarse_class: into `COARSE_CLASSES`. quality: float32 (3,).
    vector: float32 (D,), unit. seen: how many views it was chosen from.
    """

    time_s: float
    box: Floats
    coarse_class: int
    score: float
    quality: Floats
    vector: Floats
    seen: int = 1

    def __post_init__(self) -> None:
        _finite("time_s", self.time_s)
        _shape("box", self.box, (4,), np.float32)
        _shape("quality", self.quality, (len(QUALITIES),), np.float32)
        _shape("vector", self.vector, (None,), np.float32)


# ---- the shop --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Product:
    """One thing that the shop sells, as its feed describes it.

    images: where its pictures are, the main one first: paths on disk or http(s) addresses.
    """

    product_id: str
    title: str
    images: tuple[str, ...]
    description: str = ""
    category: str = ""
    price: str = ""
    link: str = ""
    brand: str = ""
    availability: str = ""

    def __post_init__(self) -> None:
        if not self.product_id:
            raise RecordError("a product has an empty id, expected a text that names it in the shop")


@dataclass(frozen=True)
class Catalog:
    """The products of a shop, in the order of its feed; their ids are unique."""

    products: tuple[Product, ...]

    def __post_init__(self) -> None:
        if len(self.position) != len(self.products):
            raise RecordError("two products share an id, expected every product_id once")

    @cached_property
    def position(self) -> dict[str, int]:
        """Where each product stands: product_id -> index into `products`."""
        return {product.product_id: i for i, product in enumerate(self.products)}

    def __len__(self) -> int:
        return len(self.products)

    def __iter__(self) -> Iterator[Product]:
        return iter(self.products)


@dataclass(frozen=True)
class Gallery:
    """A catalogue's pictures as embeddings: what a query is compared with.

    vectors: float32 (M, D), unit rows, one for each picture. owner: int64 (M,), the index into `catalog.products` of
    the product that a picture shows; every product has at least one. fingerprint: of the encoder that made `vectors`.
    pictures: M RGB pictures (uint8), small, for those who look at more than the vectors; may be empty.
    """

    catalog: Catalog
    vectors: Floats
    owner: Indices
    fingerprint: str
    pictures: tuple[Image, ...] = ()

    def __post_init__(self) -> None:
        _shape("vectors", self.vectors, (None, None), np.float32)
        _shape("owner", self.owner, (len(self.vectors),), np.int64)
        if set(self.owner.tolist()) != set(range(len(self.catalog))):
            raise RecordError("the gallery's owners do not cover the catalogue, expected a picture for each product")
        if self.pictures and len(self.pictures) != len(self.vectors):
            raise RecordError(f"the gallery has {len(self.pictures)} pictures and {len(self.vectors)} vectors")


# ---- what goes out ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Match:
    """One moment of a video against all P products of a catalogue.

    visual, text, comments: float32 (P,), the parts of the evidence, each 0 where it says nothing. score: float32 (P,),
    the log odds of each product against 'none of them is shown', calibrated over `visual + λ·text`. box: float32
    (P, 4), where in the frame each product looks most like itself.
    """

    time_s: float
    visual: Floats
    text: Floats
    comments: Floats
    score: Floats
    box: Floats

    def __post_init__(self) -> None:
        _finite("time_s", self.time_s)
        count = len(self.score)
        for name in ("visual", "text", "comments", "score"):
            _shape(name, getattr(self, name), (count,), np.float32)
        _shape("box", self.box, (count, 4), np.float32)


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another product that a focus may show, with its score in [0, 1]."""

    product_id: str
    score: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a focus was found.

    visual, text, comments: what each part adds to the log odds, as a mean over the focus. frame_s: the time of the
    frame that shows the product best; box: where in it, xyxy pixels. utterances: what was said that names the product.
    """

    visual: float
    text: float
    comments: float
    frame_s: float
    box: tuple[float, float, float, float]
    utterances: tuple[Utterance, ...] = ()


@dataclass(frozen=True, slots=True)
class Focus:
    """A product is on screen from start_s to end_s: the answer that Shopcue gives.

    score: probability in [0, 1] that this product, and neither another nor none, is shown.
    """

    product_id: str
    title: str
    start_s: float
    end_s: float
    score: float
    evidence: Evidence
    alternatives: tuple[Alternative, ...] = field(default=())

    def __post_init__(self) -> None:
        _span(self.start_s, self.end_s)
        if not 0 <= self.score <= 1:
            raise RecordError(f"a focus has the score {self.score}, expected a probability in [0, 1]")
