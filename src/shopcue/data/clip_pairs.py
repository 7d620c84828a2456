"""Clips and the shop pictures that they show: what every set of clip-to-image retrieval is read as.

A reader names pictures, videos, boxes and texts; it opens no media. A file that is named may be missing: whoever reads
the pixels says so, and a clip of which nothing is left is still a query, answered by nobody.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np

from shopcue.errors import MediaError, RecordError
from shopcue.records import Indices

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class FrameRef:
    """A picture file, or frame `index` of a video file, counted from 0; box: of the product, xyxy pixels of the frame."""

    path: Path
    index: int | None = None
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class Clip:
    """A query: some frames in which a product is shown, and what is said meanwhile.

    image_ids: every shop image of the product. live_id: whose gallery the clip searches, '' for the one gallery there
    is. subsets: (name, value), such as ('scale', 'small'), for figures of their own.
    """

    clip_id: str
    frames: tuple[FrameRef, ...]
    speech: str = ""
    image_ids: tuple[str, ...] = ()
    live_id: str = ""
    subsets: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ShopImage:
    """A picture of a product in a shop; path None: the set names none, or none that may be opened."""

    image_id: str
    path: Path | None
    title: str = ""
    product_id: str = ""


@dataclass(frozen=True, slots=True)
class ClipPair:
    """A pair to train with: a clip and one shop image of its product."""

    clip: Clip
    image: ShopImage

    def __post_init__(self) -> None:
        if self.clip.image_ids != (self.image.image_id,):
            raise RecordError(
                f"clip {self.clip.clip_id!r} shows {self.clip.image_ids}, paired with {self.image.image_id!r}; "
                "expected a pair to hold the clip's one image"
            )


@dataclass(frozen=True, slots=True)
class ClipBench:
    """What a model is judged on: clips, shop images by id, and galleries by live id ('' where there is only one)."""

    name: str
    clips: tuple[Clip, ...]
    images: dict[str, ShopImage]
    galleries: dict[str, tuple[str, ...]]


class PairIndex(Sequence[ClipPair]):
    """The pairs of text files with a row a line, each read when it is asked for: 8 bytes of memory a row.

    offsets: int64 (N,), where each row starts in the files as if they were one, ascending. read: makes a pair of a
    line. It pickles where `read` does, for the worker processes of a loader; it holds no file open.
    """

    def __init__(self, files: Sequence[Path], offsets: Indices, read: Callable[[bytes], ClipPair]) -> None:
        self._files = tuple(files)
        sizes = [path.stat().st_size for path in self._files]
        self._starts = [sum(sizes[:number]) for number in range(len(sizes))]
        self._offsets = offsets
        self._read = read

    def __len__(self) -> int:
        return len(self._offsets)

    @overload
    def __getitem__(self, index: int) -> ClipPair: ...
    @overload
    def __getitem__(self, index: slice) -> PairIndex: ...
    def __getitem__(self, index: int | slice) -> ClipPair | PairIndex:
        """Return a pair, or the index of some; raises MediaError where the file is not what it was."""
        if isinstance(index, slice):
            return PairIndex(self._files, self._offsets[index], self._read)
        offset = int(self._offsets[index])
        number = bisect_right(self._starts, offset) - 1
        path, start = self._files[number], offset - self._starts[number]
        try:
            with path.open("rb") as file:
                file.seek(start)
                return self._read(file.readline())
        except (OSError, ValueError) as error:
            raise MediaError(
                f"{path}, byte {start}: {error}; expected the row that was there when the file was indexed: index it again"
            ) from error

    def chosen(self, rows: Indices) -> PairIndex:
        """Return the index of some rows, in their order; rows: int64 (M,)."""
        return PairIndex(self._files, self._offsets[np.asarray(rows, np.int64)], self._read)
