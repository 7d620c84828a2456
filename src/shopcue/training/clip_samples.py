"""Pairs of clips and shop pictures -> batches: what SGMN is trained on.

A batch follows from its number and the seed alone, pixels included, whatever the number of processes and workers: so a
run can go on after a kill, and several processes share one batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from shopcue.catalog.pictures import read_picture
from shopcue.data.clip_pairs import Clip, ClipPair, ShopImage, even_frames, labels_of
from shopcue.errors import MediaError, SettingsError
from shopcue.models.image import Fit, fit_square
from shopcue.records import Image, Indices
from shopcue.sources.clip_frames import read_clip_frames
from shopcue.training.processes import Process

Maps = NDArray[Any]
Rng = np.random.Generator
Box = tuple[float, float, float, float]

GREY = 127
"""What is under a mask, and what stands for a frame that is not there: nothing, to a net that centres its pixels."""

_READ_SIDE_PX = 512  # larger than any net sees


@dataclass(frozen=True, slots=True)
class ClipBatch:
    """The share of one process in a batch of pairs.

    frames: uint8 (n, L, S, S, 3), or a trunk's maps of them, (n, L, ...). there: bool (n, L), which frames are. A clip
    of which nothing could be read, or whose picture could not, has none. pictures: uint8 (n, S, S, 3), or maps. speech,
    titles: n texts. products: int64 (n,), equal where pairs show one product. unseen: how many pairs have no frame.
    """

    frames: Maps
    there: NDArray[np.bool_]
    pictures: Maps
    speech: tuple[str, ...]
    titles: tuple[str, ...]
    products: Indices
    unseen: int


@dataclass(frozen=True, slots=True)
class Masking:
    """How frames are hidden (SGMN 4.1): each with a chance `share`, on 0 to `most` of its area."""

    share: float = 0.5
    most: float = 0.9

    def __post_init__(self) -> None:
        if not (0 <= self.share <= 1 and 0 <= self.most <= 1):
            raise SettingsError(f"masking is {self.share} by up to {self.most}, expected both in [0, 1]")

    def draw(self, frames: int, rng: Rng) -> list[Box | None]:
        """Return for each frame what is hidden: a rectangle, xyxy in shares of the sides, or None.

        Decided, where the paper names an area alone: one rectangle, of any place, up to twice as long as wide before it
        meets the border.
        """
        return [self._box(rng) if rng.random() < self.share else None for _ in range(frames)]

    def _box(self, rng: Rng) -> Box:
        area = rng.uniform(0, self.most)
        width = min(1.0, max(area, np.sqrt(area * 2 ** rng.uniform(-1, 1))))
        height = area / width if width > 0 else 0.0
        x, y = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
        return float(x), float(y), float(x + width), float(y + height)


class Sights(Protocol):
    """What the net is shown of clips and of shop pictures."""

    def clip(self, clip: Clip, hidden: Sequence[Box | None]) -> tuple[Maps, NDArray[np.bool_]]:
        """Return the L frames of a clip, with parts hidden, and which are there. (L, ...), bool (L,)."""

    def picture(self, image: ShopImage) -> Maps | None:
        """Return a shop picture, None where it cannot be read."""

    @property
    def nothing(self) -> Maps:
        """What stands for a picture that cannot be read."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """Sights as squares of pixels, read from files: uint8 (L, S, S, 3) and (S, S, 3).

    side_px: S. frames: L. A clip of more frames shows L even ones, one of fewer leaves the last places empty.
    """

    side_px: int
    frames: int
    fit: Fit = "letterbox"

    def clip(self, clip: Clip, hidden: Sequence[Box | None] = ()) -> tuple[Image, NDArray[np.bool_]]:
        """Return the frames of a clip and which are there; one that cannot be read is replaced by its neighbour."""
        pictures = read_frames(clip, self.frames)
        squares = np.full((self.frames, self.side_px, self.side_px, 3), GREY, np.uint8)
        there = np.arange(self.frames) < len(pictures)
        for square, picture in zip(squares, pictures, strict=False):
            square[:] = fit_square(picture, self.side_px, self.fit)
        for square, box in zip(squares, hidden, strict=False):
            if box is not None:
                hide(square, box, GREY)
        return squares, there

    def picture(self, image: ShopImage) -> Image | None:
        """Return a shop picture as a square."""
        try:
            pixels = None if image.path is None else read_picture(image.path).image
        except MediaError:
            return None
        return None if pixels is None else fit_square(pixels, self.side_px, self.fit)

    @property
    def nothing(self) -> Image:
        """A grey square."""
        return np.full((self.side_px, self.side_px, 3), GREY, np.uint8)


def read_frames(clip: Clip, count: int) -> list[Image]:
    """Return up to `count` even frames of a clip, RGB uint8, in order.

    A frame that cannot be read is replaced by the nearest one that can; none is returned where none can be read.
    """
    slots: list[Image | None] = []
    for _, refs in groupby(clip.frames, lambda ref: ref.path):
        group = tuple(refs)
        found = read_clip_frames(replace(clip, frames=group), _READ_SIDE_PX)
        slots += [*found, *[None] * (len(group) - len(found))]
    readable = [number for number, picture in enumerate(slots) if picture is not None]
    if not readable:
        return []
    nearest = [_nearest(readable, number) for number in range(len(slots))]
    return [picture for number in even_frames(nearest, count) if (picture := slots[number]) is not None]


def _nearest(numbers: Sequence[int], number: int) -> int:
    return min(numbers, key=lambda other: abs(other - number))


def hide(sight: Maps, box: Box, blank: Maps | int) -> None:
    """Put `blank` into a box of a sight, in place. sight: (h, w, ...); box: xyxy in shares of the sides."""
    height, width = sight.shape[:2]
    x1, x2 = (round(side * width) for side in (box[0], box[2]))
    y1, y2 = (round(side * height) for side in (box[1], box[3]))
    sight[y1:y2, x1:x2] = blank if isinstance(blank, int) else blank[y1:y2, x1:x2]


class LiveSampler:
    """Draws the rows of a batch: distinct products, many of them of one live, where products look alike.

    products, lives: int64 (M,). size: N, the rows of a batch. together: which share of them is of one live at the most;
    a live is drawn as often as it has rows. Raises SettingsError where there are not N products.
    """

    def __init__(self, products: Indices, lives: Indices, size: int, together: float, seed: int) -> None:
        count = len(np.unique(products))
        if count < size:
            raise SettingsError(f"batches of {size} pairs need as many products, the data have {count}; make them less")
        self._products, self._lives, self._size, self._seed = products, lives, size, seed
        self._by_live = np.argsort(lives, kind="stable")
        self._sorted = lives[self._by_live]
        self._together = round(together * size)

    def __call__(self, step: int) -> Indices:
        """Return the rows of batch `step`, int64 (N,)."""
        rng = np.random.default_rng([self._seed, step])
        chosen: dict[int, int] = {}
        self._add(chosen, rng.permutation(self._live_of(int(rng.integers(len(self._lives))))), self._together)
        while len(chosen) < self._size:
            # One product may have nearly all rows: so many draws that fail are few, unless they all would.
            drawn = rng.integers(len(self._products), size=4 * self._size)
            before = len(chosen)
            self._add(chosen, drawn, self._size)
            if len(chosen) == before:
                self._add(chosen, rng.permutation(len(self._products)), self._size)
        return np.fromiter(chosen.values(), np.int64, self._size)

    def _live_of(self, row: int) -> Indices:
        first, last = (
            np.searchsorted(self._sorted, self._lives[row], "left"),
            np.searchsorted(self._sorted, self._lives[row], "right"),
        )
        return self._by_live[first:last]

    def _add(self, chosen: dict[int, int], rows: Iterable[int], until: int) -> None:
        for row in rows:
            if len(chosen) >= until:
                return
            chosen.setdefault(int(self._products[row]), int(row))


@runtime_checkable
class Grouped(Protocol):
    """Pairs that tell what a sampler asks more cheaply than by being read one by one."""

    def groups(self) -> tuple[Indices, Indices]:
        """Return the number of each pair's product and of its live, in the order of their first pairs, int64 (M,)."""


def groups_of(pairs: Sequence[ClipPair]) -> tuple[Indices, Indices]:
    """Return the number of each pair's product and of its live, int64 (M,) each.

    Pairs that do not tell are read, each once; one that cannot be read is a product of its own.
    """
    if isinstance(pairs, Grouped):
        return pairs.groups()
    products, lives = np.empty(len(pairs), np.int64), np.empty(len(pairs), np.int64)
    numbers: dict[str | int, int] = {}
    names: dict[str, int] = {}
    for row in range(len(pairs)):
        product: str | int = row
        live = ""
        with suppress(MediaError):
            product, live = labels_of(pairs[row])
        products[row] = numbers.setdefault(product, len(numbers))
        lives[row] = names.setdefault(live, len(names))
    return products, lives


class ClipBatches:
    """Batches of `size` pairs, of which each process makes its share.

    pairs: read a row at a time, so that there may be millions. sights: what is seen of them. masking: of the frames.
    together: as in `LiveSampler`. Raises SettingsError where the processes cannot share a batch.
    """

    def __init__(
        self,
        pairs: Sequence[ClipPair],
        sights: Sights,
        size: int,
        *,
        masking: Masking,
        together: float,
        seed: int,
        process: Process,
        frames: int = 10,
    ) -> None:
        if size % process.count:
            raise SettingsError(f"{size} pairs a batch are no multiple of {process.count} processes")
        self._products, lives = groups_of(pairs)
        self._sampler = LiveSampler(self._products, lives, size, together, seed)
        self._pairs, self._sights, self._masking, self._seed, self._frames = pairs, sights, masking, seed, frames
        self._rank, self._share = process.rank, size // process.count

    def __call__(self, step: int) -> ClipBatch:
        """Return this process's share of batch `step`."""
        first = self._rank * self._share
        rows = self._sampler(step)[first : first + self._share]
        pairs = [self._pair(row) for row in rows.tolist()]
        frames, there, pictures = [], [], []
        for place, pair in enumerate(pairs, first):
            rng = np.random.default_rng([self._seed, step, place])
            seen, here = self._sights.clip(pair.clip, self._masking.draw(self._frames, rng))
            picture = self._sights.picture(pair.image)
            frames.append(seen)
            there.append(here & (picture is not None))
            pictures.append(self._sights.nothing if picture is None else picture)
        known = np.stack(there)
        return ClipBatch(
            np.stack(frames),
            known,
            np.stack(pictures),
            tuple(pair.clip.speech for pair in pairs),
            tuple(pair.image.title for pair in pairs),
            self._products[rows],
            int((~known.any(axis=1)).sum()),
        )

    def _pair(self, row: int) -> ClipPair:
        """Return a pair; one whose video cannot be opened is a pair of nothing: it ends no training."""
        try:
            return self._pairs[row]
        except MediaError:
            return ClipPair(Clip("", (), image_ids=("",)), ShopImage("", None))
