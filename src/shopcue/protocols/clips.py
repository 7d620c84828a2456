"""The protocols of clips against shop images: LPR4M, MovingFashion, and clips that were composed.

A clip searches the gallery of its own live, or the one gallery there is. It is compared by
`visual · visual + λ · text · text` (SGMN, eq. 23), where what is said is held against the title; a model without text
adds nothing there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence, Sized
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from shopcue.catalog.exact import in_batches, load_ahead
from shopcue.catalog.pictures import read_picture
from shopcue.data.clip_pairs import ClipBench, ShopImage
from shopcue.data.composed_clips import read_composed_bench
from shopcue.data.lpr4m import read_lpr4m_bench
from shopcue.data.lpr4m_rows import read_image_id
from shopcue.data.movingfashion import read_movingfashion_bench
from shopcue.errors import MediaError
from shopcue.metrics.retrieval import Answers
from shopcue.models.clip import ClipEncoder
from shopcue.models.detector import Detector
from shopcue.models.image import ImageEncoder
from shopcue.protocols.reports import RetrievalReport
from shopcue.protocols.tasks import Pool, Task, judge
from shopcue.protocols.vectors import Side
from shopcue.records import Floats, Frame, Image, Indices
from shopcue.sources.clip_frames import read_clip_frames

Update = Callable[[str, float, float], None]
Note = Callable[[str], None]
T = TypeVar("T")
P = TypeVar("P", bound=Sized)

_BATCH = 8  # clips or shop images that are in memory at a time, and as many again that are read ahead
_TEXTS = 256  # texts that are read at a time
_THREADS = 2
_GRADES = {"small": 1, "short": 1, "few": 1, "medium": 2, "large": 3, "long": 3, "abundant": 3}


class MeanPooledFrames:
    """An image encoder as one of clips: the mean of the frames' unit vectors, made a unit vector again. No text."""

    text_weight = 0.0

    def __init__(self, encoder: ImageEncoder) -> None:
        self._encoder = encoder

    @property
    def dim(self) -> int:
        """D, the length of a vector."""
        return self._encoder.dim

    @property
    def fingerprint(self) -> str:
        """That of the image encoder, and how frames are joined."""
        return f"{self._encoder.fingerprint}-mean"

    def encode_clips(self, clips: Sequence[Sequence[Image]]) -> Floats:
        """Return unit vectors of clips, float32 (N, D)."""
        vectors = self._encoder.encode([frame for clip in clips for frame in clip])
        starts = np.cumsum([0, *(len(clip) for clip in clips[:-1])])
        sums = np.add.reduceat(vectors, starts, axis=0) if len(clips) else vectors
        length = np.linalg.norm(sums, axis=1, keepdims=True)
        # Frames that cancel each other out say nothing; the first one still does.
        return np.asarray(np.where(length > 1e-6, sums / np.maximum(length, 1e-6), vectors[starts[: len(clips)]]))

    def encode(self, images: Sequence[Image]) -> Floats:
        """Return unit vectors of shop images, float32 (N, D)."""
        return self._encoder.encode(images)

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        """Return nothing for each text, float32 (N, 0)."""
        return np.zeros((len(texts), 0), np.float32)


class ReadBench(Protocol):
    """Reads who asks and who answers out of the folder of a data set."""

    def __call__(self, data: Path, note: Note, *, frames: int, detected: Collection[str] | None) -> ClipBench:
        """Return the clips and their galleries.

        note: told what is left out. frames: of each clip, 0 where no pixels are to be read. detected: the shop images
        that are searched, by a protocol that searches those alone in which a detector finds something.
        """


@dataclass(frozen=True, slots=True)
class ClipProtocol:
    """A set of clips, and what is measured on it: see `Task`.

    detected: whether a detector chooses who answers. image_id: a shop image's id as people write it -> as `read` does.
    """

    read: ReadBench
    recall_at: tuple[int, ...]
    ndcg_at: tuple[int, ...] = ()
    share: bool = False
    detected: bool = False
    image_id: Callable[[str], str] = str


def _read_lpr4m(gallery: str) -> ReadBench:
    def read(data: Path, note: Note, *, frames: int, detected: Collection[str] | None) -> ClipBench:
        return read_lpr4m_bench(data, note, gallery, frames)

    return read


def _lpr4m_image_id(text: str) -> str:
    try:
        return read_image_id(text)
    except ValueError:  # no id of the set: it will not be known
        return text


def _read_movingfashion(name: str) -> ReadBench:
    def read(data: Path, note: Note, *, frames: int, detected: Collection[str] | None) -> ClipBench:
        return read_movingfashion_bench(data, name, note, frames=frames, detected=detected)

    return read


def _read_composed(data: Path, note: Note, *, frames: int, detected: Collection[str] | None) -> ClipBench:
    return read_composed_bench(data, note, frames)


CLIP_PROTOCOLS: dict[str, dict[str, ClipProtocol]] = {
    "lpr4m": {
        "main": ClipProtocol(_read_lpr4m("main"), (1, 3, 5, 10), image_id=_lpr4m_image_id),
        "all": ClipProtocol(_read_lpr4m("all"), (1, 3, 5, 10), image_id=_lpr4m_image_id),
    },
    "movingfashion": {
        "mteb": ClipProtocol(_read_movingfashion("mteb"), (1, 5, 10, 20), ndcg_at=(10,), share=True),
        "rice": ClipProtocol(_read_movingfashion("rice"), (1, 5, 10)),
        "seam": ClipProtocol(_read_movingfashion("seam"), (1, 5, 10, 20), detected=True),
    },
    "composed-clips": {"test": ClipProtocol(_read_composed, (1, 3, 5, 10))},
}
"""Data set -> its protocols, the usual one first."""


# ---- judging -------------------------------------------------------------------------------------------------------


def judge_clips(protocol: ClipProtocol, bench: ClipBench, vectors: tuple[Floats, Floats], way: str) -> RetrievalReport:
    """Return how vectors do. vectors: float32 (Q, D) and (G, D), as `clip_ids` and `image_ids` order them.

    way: what the report calls the way in which they were made.
    """
    rows = {image_id: row for row, image_id in enumerate(image_ids(bench))}
    by_live: dict[str, list[int]] = {}
    by_subset: dict[tuple[str, str], list[int]] = {}
    for number, clip in enumerate(bench.clips):
        by_live.setdefault(clip.live_id, []).append(number)
        for subset in clip.subsets:
            by_subset.setdefault(subset, []).append(number)
    pools = tuple(
        Pool(_indices(clips), _indices(rows[image_id] for image_id in dict.fromkeys(bench.galleries.get(live_id, ()))))
        for live_id, clips in by_live.items()
    )
    subsets = tuple((*subset, _indices(by_subset[subset])) for subset in sorted(by_subset, key=_subset_order))
    answers = Answers.of([rows[image_id] for image_id in clip.image_ids] for clip in bench.clips)
    task = Task(f"{bench.name}/{way}", answers, pools, protocol.recall_at, protocol.ndcg_at, protocol.share, subsets)
    return judge(task, *vectors)


def clip_ids(bench: ClipBench) -> list[str]:
    """Return the ids of all queries, in order."""
    return [clip.clip_id for clip in bench.clips]


def image_ids(bench: ClipBench) -> list[str]:
    """Return the ids of all shop images that are searched or right, in order; those that are searched come first."""
    searched = (image_id for gallery in bench.galleries.values() for image_id in gallery)
    right = (image_id for clip in bench.clips for image_id in clip.image_ids)
    return list(dict.fromkeys(chain(searched, right)))


def _indices(numbers: Iterable[int]) -> Indices:
    return np.fromiter(numbers, np.int64)


def _subset_order(subset: tuple[str, str]) -> tuple[str, int, str]:
    """Order subsets by name, and small before medium before large."""
    name, value = subset
    return name, _GRADES.get(value, 0), value


# ---- encoding ------------------------------------------------------------------------------------------------------


def encode_bench(
    bench: ClipBench,
    encoder: ClipEncoder,
    *,
    text_weight: float | None = None,
    update: Update | None = None,
) -> tuple[Floats, Floats]:
    """Return the vectors of the clips and of the shop images, not a number where nothing can be read.

    text_weight: λ, the encoder's own where None; where it is 0, no text is read. Raises MediaError where no clip or no
    shop image can be read at all. -> float32 (Q, D) and (G, D).
    """
    searched = {image_id for gallery in bench.galleries.values() for image_id in gallery}
    images = [bench.images.get(each) if each in searched else None for each in image_ids(bench)]
    gallery = _encode(images, _load_image, encoder.encode, "gallery", update)
    queries = _encode(bench.clips, read_clip_frames, encoder.encode_clips, "queries", update)
    weight = encoder.text_weight if text_weight is None else text_weight
    if not weight:
        return queries, gallery
    texts = [clip.speech for clip in bench.clips], ["" if image is None else image.title for image in images]
    spoken, titled = _encode_texts(*texts, encoder)
    return _side_by_side(queries, weight * spoken), _side_by_side(gallery, titled)


def detect_images(images: Sequence[ShopImage], detector: Detector, update: Update | None = None) -> set[str]:
    """Return the ids of the shop images in which a detector finds something."""
    found: set[str] = set()
    for done, (image, picture) in enumerate(zip(images, load_ahead(_load_image, images, _THREADS), strict=True), 1):
        if picture is not None and len(detector.detect([Frame(0.0, picture)])[0]):
            found.add(image.image_id)
        if update is not None:
            update("detecting", done, len(images))
    return found


def _load_image(image: ShopImage | None) -> Image | None:
    try:
        return None if image is None or image.path is None else read_picture(image.path).image
    except MediaError:
        return None


def _side_by_side(visual: Floats, text: Floats) -> Floats:
    """Return (N, D) and (N, T) as (N, D + T), so that a product adds up both; a row without pixels is no number."""
    joined = np.concatenate([visual, text], axis=1, dtype=np.float32)
    joined[np.isnan(visual[:, 0])] = np.nan
    return joined


def _encode(
    things: Sequence[T],
    load: Callable[[T], P | None],
    encode: Callable[[Sequence[P]], Floats],
    what: Side,
    update: Update | None,
) -> Floats:
    """Return the vectors of what can be loaded, a few at a time, not a number for the others. -> float32 (N, D)."""
    vectors: Floats | None = None
    done = 0
    for batch in in_batches(load_ahead(load, things, _THREADS), _BATCH):
        kept = [(done + place, pixels) for place, pixels in enumerate(batch) if pixels is not None and len(pixels)]
        if kept:
            made = encode([pixels for _, pixels in kept])
            if vectors is None:
                vectors = np.full((len(things), made.shape[1]), np.nan, np.float32)
            vectors[[row for row, _ in kept]] = made
        done += len(batch)
        if update is not None:
            update(what, done, len(things))
    if vectors is None:
        raise MediaError(
            f"none of the pictures of the {what} can be read ({len(things)} asked for); unpack the data set"
        )
    return vectors


def _encode_texts(spoken: Sequence[str], titles: Sequence[str], encoder: ClipEncoder) -> tuple[Floats, Floats]:
    """Return the vectors of what is said and of titles, zeros where there is none. -> float32 (Q, T), (G, T)."""
    texts = [*spoken, *titles]
    said = [row for row, text in enumerate(texts) if text.strip()]
    vectors = np.zeros((len(texts), 0), np.float32)
    for start in range(0, len(said), _TEXTS):
        rows = said[start : start + _TEXTS]
        made = encoder.encode_texts([texts[row] for row in rows])
        if not start:
            vectors = np.zeros((len(texts), made.shape[1]), np.float32)
        vectors[rows] = made
    return vectors[: len(spoken)], vectors[len(spoken) :]
