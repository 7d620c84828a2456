"""MovingFashion (Godi, Joppi, Skenderi, Cristani, WACV 2022; CC BY-NC-SA 4.0).

    <root>/
      train.json, test.json    {product: {"video_paths": [...], "img_path": ..., "source": 0 | 1, "tracklets": [...]}}
      videos/*.mp4             of social media and of shops
      imgs/*.png, *.jpg        a shop picture of each product
      frames/<video>/*.png     if somebody has taken a frame a second out of the videos, as RICE's authors do
      qrels/test.tsv           the frozen judgements of MTEB, if they are there: also test.jsonl, test*.parquet

Source 0 is hard, of social media, 1 is regular. `tracklets` may be missing; it goes along with `video_paths`, boxes by
the number of a frame. Training: 12,648 products, 13,703 pairs, 13,526 videos; test: 1,342 products, 1,329 videos, 1,341
pictures. The archive lacks 22 videos of training and one of test. Some videos are of two products and one picture is: a
clip has every picture of its products as its truth, and in training products that share a video or a picture are one,
so that they are no negatives of each other.

Ids are the paths of the annotations, as in MTEB. Three protocols are in use; their figures cannot be compared.
 mteb  the videos and pictures that are there ask and answer; frozen judgements say who does and what is true
 rice  every video asks, be it there or not, and every picture answers. The published code has the shared picture in its
       gallery twice and one truth for a shared video; here a picture is there once, and all of a video's are true
 seam  the videos of some products, drawn at random, ask; the pictures in which the model has found a garment answer.
       A product whose picture is not among them does not ask

Frames are taken at even steps, from the first on, out of one a second.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from math import floor
from pathlib import Path
from typing import overload

import numpy as np

from shopcue.data.annotations import one_line, pictures_in
from shopcue.data.clip_pairs import Box, Clip, ClipBench, ClipPair, FrameRef, ShopImage, even_frames
from shopcue.data.judgements import read_judgements
from shopcue.data.movingfashion_products import (
    SOURCES,
    FashionProduct,
    FashionVideo,
    Skipped,
    joined_products,
    read_movingfashion,
)
from shopcue.errors import MediaError
from shopcue.records import Indices

PROTOCOLS = ("mteb", "rice", "seam")

_NOT_IN_ARCHIVE = frozenset({"videos/bd6186ecf66d1a5c2d65ff3c891c7e44.mp4"})  # of test
_NEAR_FRAMES = 12  # a box holds for about half a second

TimesOf = Callable[[Path], Sequence[float]]
"""When each frame of a video file is shown, in seconds, ascending."""


# ---- frames --------------------------------------------------------------------------------------------------------


def shown_at(video: Path) -> list[float]:
    """Return when each frame of a video file is shown, in seconds from its zero, ascending; decodes nothing.

    Raises MediaError for what is no video.
    """
    from shopcue.sources.containers import clock, open_media, packets, video_stream  # heavy, and not needed to read

    with open_media(video) as container:
        stream = video_stream(container, video)
        times = clock(container, stream)
        return sorted(times.time_s(packet.pts) for packet in packets(container, stream) if packet.pts is not None)


def clip_frames(root: Path, video: FashionVideo, count: int, times_of: TimesOf = shown_at) -> tuple[FrameRef, ...]:
    """Return `count` even frames of a video, out of one a second: those on disk, or else frames of the video file.

    A frame of the file has the box nearest to it, if one is annotated within half a second or so. Raises MediaError
    where the file cannot be read.
    """
    if not count:
        return ()
    taken = next((found for folder in _frame_folders(root, video.video) if (found := pictures_in(folder))), None)
    if taken is not None:
        return tuple(FrameRef(path) for path in even_frames(taken, count))
    path = root / video.video
    chosen = even_frames(_each_second(times_of(path)), count)
    return tuple(FrameRef(path, index, _near(video.boxes, index)) for index in chosen)


def _each_second(times_s: Sequence[float]) -> list[int]:
    """Return the first frame at or after each full second, by its number, each frame once."""
    seconds = [floor(time_s + 1e-6) for time_s in times_s]
    return [number for number, second in enumerate(seconds) if number == 0 or second > seconds[number - 1]]


def _near(boxes: dict[int, Box], index: int) -> Box | None:
    nearest = min(boxes, key=lambda number: abs(number - index), default=None)
    return None if nearest is None or abs(nearest - index) > _NEAR_FRAMES else boxes[nearest]


def _frame_folders(root: Path, name: str) -> tuple[Path, Path]:
    return root / "frames" / Path(name).stem, root / "frames" / Path(name).name


def _is_there(root: Path, name: str) -> bool:
    """Whether a video or a picture is on disk, or frames that somebody has taken of the video."""
    return (root / name).is_file() or any(folder.is_dir() for folder in _frame_folders(root, name))


def _report_missing(root: Path, products: Sequence[FashionProduct], skipped: Skipped) -> None:
    videos = dict.fromkeys(video.video for product in products for video in product.videos)
    images = dict.fromkeys(product.image for product in products)
    for names, what in ((videos, "videos"), (images, "pictures")):
        missing = [name for name in names if not _is_there(root, name)]
        if missing:
            skipped(one_line(f"{len(missing)} of {len(names)} {what} are missing, such as {', '.join(missing[:3])}"))


# ---- training ------------------------------------------------------------------------------------------------------


class FashionPairs(Sequence[ClipPair]):
    """The training pairs: a product's picture with each of its videos; frames are looked up when a pair is asked for.

    pairs: product, video, and the product as which it is trained. fingerprint: says which pairs these are.
    """

    def __init__(
        self, root: Path, pairs: Sequence[tuple[FashionProduct, FashionVideo, str]], count: int, times_of: TimesOf
    ) -> None:
        self._root, self._pairs, self._count, self._times_of = root, pairs, count, times_of
        digest = sha256()
        for pair in pairs:
            digest.update(repr(pair).encode())
        self.fingerprint = digest.hexdigest()

    def __len__(self) -> int:
        return len(self._pairs)

    @overload
    def __getitem__(self, index: int) -> ClipPair: ...
    @overload
    def __getitem__(self, index: slice) -> FashionPairs: ...
    def __getitem__(self, index: int | slice) -> ClipPair | FashionPairs:
        """Return a pair, or some; raises MediaError for a video that cannot be read."""
        if isinstance(index, slice):
            return FashionPairs(self._root, self._pairs[index], self._count, self._times_of)
        product, video, group = self._pairs[index]
        frames = clip_frames(self._root, video, self._count, self._times_of)
        clip = Clip(video.video, frames, image_ids=(product.image,), subsets=(("source", product.source),))
        return ClipPair(clip, ShopImage(product.image, self._root / product.image, product_id=group))

    def groups(self) -> tuple[Indices, Indices]:
        """Return the number of each pair's product and of its live, of which there is one, int64 (N,) each.

        No video is opened.
        """
        numbers: dict[str, int] = {}
        products = [numbers.setdefault(group, len(numbers)) for _, _, group in self._pairs]
        return np.array(products, np.int64), np.zeros(len(products), np.int64)


def read_movingfashion_pairs(
    root: Path, skipped: Skipped, frames: int = 10, times_of: TimesOf = shown_at
) -> FashionPairs:
    """Return the training pairs, with `frames` even frames of each video; products that share media are one product.

    skipped: told of what cannot be read, and of how many videos and pictures are missing; their pairs are left out.
    Raises MediaError where nothing is left.
    """
    products = read_movingfashion(root, "train", skipped)
    groups = joined_products(products)
    _report_missing(root, products, skipped)
    pairs = [
        (product, video, groups[product.product_id])
        for product in products
        if (root / product.image).is_file()
        for video in product.videos
        if _is_there(root, video.video)
    ]
    if not pairs:
        raise MediaError(f"{root} holds no video together with its picture; unpack videos and imgs there")
    return FashionPairs(root, pairs, frames, times_of)


# ---- protocols -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Query:
    """What is known of a video that asks: the true pictures, of which sources it is, its boxes."""

    images: dict[str, None] = field(default_factory=dict)
    sources: set[str] = field(default_factory=set)
    boxes: dict[int, Box] = field(default_factory=dict)


def read_movingfashion_bench(
    root: Path,
    protocol: str,
    skipped: Skipped,
    *,
    frames: int = 10,
    detected: Collection[str] | None = None,
    products: int = 100,
    seed: int = 0,
    times_of: TimesOf = shown_at,
) -> ClipBench:
    """Return who asks and who answers among the products of test, by one of `PROTOCOLS`: see the head of the module.

    frames: of each video, 0 where no pixels are to be read. detected, products, seed: of seam alone: the ids of the
    pictures in which a garment was found, None: all that are there; how many products ask, 0: all; what they are drawn
    by. skipped: told of what cannot be read or is missing. Raises MediaError for a test.json that is none.
    """
    if protocol not in PROTOCOLS:
        raise MediaError(f"MovingFashion has no protocol {protocol!r}; expected {', '.join(PROTOCOLS)}")
    every = read_movingfashion(root, "test", skipped)
    _report_missing(root, every, skipped)
    queries = _queries(every)
    images: dict[str, ShopImage] = {}
    for each in every:
        images.setdefault(each.image, ShopImage(each.image, root / each.image, product_id=each.product_id))
    answering = tuple(images)
    if protocol == "mteb":
        queries, answering = _judged(root, queries, answering)
    elif protocol == "seam":
        found = set(_those_there(root, images) if detected is None else detected)
        answering = tuple(name for name in images if name in found)
        asking = [each for each in every if each.image in found]
        drawn = np.random.default_rng(seed).permutation(len(asking))[: products or None]
        queries = {video.video: queries[video.video] for number in drawn for video in asking[number].videos}
    clips = tuple(_clip(root, name, query, frames, times_of, skipped) for name, query in queries.items())
    return ClipBench(f"movingfashion, {protocol}", clips, {name: images[name] for name in answering}, {"": answering})


def _queries(products: Iterable[FashionProduct]) -> dict[str, _Query]:
    """Return each video once, with the pictures of all its products."""
    queries: dict[str, _Query] = {}
    for product in products:
        for video in product.videos:
            query = queries.setdefault(video.video, _Query())
            query.images[product.image] = None
            query.sources.add(product.source)
            query.boxes.update(video.boxes)
    return queries


def _clip(root: Path, name: str, query: _Query, count: int, times_of: TimesOf, skipped: Skipped) -> Clip:
    frames: tuple[FrameRef, ...] = ()
    if _is_there(root, name):
        try:
            frames = clip_frames(root, FashionVideo(name, query.boxes), count, times_of)
        except MediaError as error:
            skipped(one_line(f"{name} has no frames: {error}"))
    subsets = tuple(("source", source) for source in SOURCES if source in query.sources)
    return Clip(name, frames, image_ids=tuple(query.images), subsets=subsets)


def _judged(
    root: Path, queries: dict[str, _Query], images: tuple[str, ...]
) -> tuple[dict[str, _Query], tuple[str, ...]]:
    """Return who asks and who answers in MTEB: as frozen, or else as MTEB builds its judgements, of what is there."""
    judged = read_judgements(root)
    if judged is None:
        there = (name for name in _those_there(root, queries) if name not in _NOT_IN_ARCHIVE)
        return {name: queries[name] for name in there}, _those_there(root, images)
    asking = {}
    for name, true in judged.items():
        known = queries.get(name, _Query())
        asking[name] = _Query(dict.fromkeys(true), known.sources, known.boxes)
    return asking, images


def _those_there(root: Path, names: Iterable[str]) -> tuple[str, ...]:
    """Return the media that are on disk, or all where none is: nobody has unpacked them, or needs to."""
    every = tuple(names)
    return tuple(name for name in every if _is_there(root, name)) or every
