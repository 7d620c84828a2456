"""Clips and the shop pictures that they show: what every set of clip-to-image retrieval is read as.

A reader names pictures, videos, boxes and texts; it opens no media. A file that is named may be missing: whoever reads
the pixels says so, and a clip of which nothing is left is still a query, answered by nobody.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, TypeVar, overload

import numpy as np

from shopcue.data.annotations import one_line
from shopcue.errors import MediaError, RecordError
from shopcue.records import Indices

Box = tuple[float, float, float, float]

_Item = TypeVar("_Item")

_LONGEST_ROW = 4 << 20  # bytes; the longest real rows, of clips of an hour, have a tenth of it


@dataclass(frozen=True, slots=True)
class FrameRef:
    """A picture file, or the frame of a video file that is shown as number `index`, counted from 0.

    box: of the product, xyxy, in pixels of the frame, or in shares of its sides where no corner is above 1: `box_px`.
    """

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

    offsets: int64 (N,), where each row starts in the files as if they were one. read: makes a pair of a row, or raises
    ValueError. fingerprint: says which rows of which contents these are. It holds no file open, and it pickles where
    `read` does, for the worker processes of a loader.
    """

    def __init__(
        self, files: Sequence[Path], offsets: Indices, read: Callable[[bytes], ClipPair], fingerprint: str
    ) -> None:
        self._files = tuple(files)
        sizes = [path.stat().st_size for path in self._files]
        self._starts = [sum(sizes[:number]) for number in range(len(sizes))]
        self._offsets = offsets
        self._read = read
        self.fingerprint = fingerprint

    @classmethod
    def of(cls, files: Sequence[Path], read: Callable[[bytes], ClipPair], skipped: Callable[[str], None]) -> PairIndex:
        """Return the index of all rows of text files that can be read, after reading each once.

        skipped: told in one line, with file and line number, of every other row. Raises MediaError for a file that
        cannot be read.
        """
        offsets = array("q")
        digest = sha256()
        start = 0
        for path in files:
            try:
                with path.open("rb") as file:
                    for number, offset, row in _rows(file):
                        try:
                            if len(row) >= _LONGEST_ROW:
                                raise ValueError(f"longer than {_LONGEST_ROW} bytes")
                            read(row)
                        except ValueError as error:
                            skipped(one_line(f"{path}, line {number}: {error}"))
                            continue
                        offsets.append(start + offset)
                        digest.update(row)
                    start += file.tell()
            except OSError as error:
                raise MediaError(
                    f"cannot read {path}: {error.strerror}; give a folder whose files can be read"
                ) from error
        return cls(files, np.frombuffer(offsets, np.int64), read, digest.hexdigest())

    def __len__(self) -> int:
        return len(self._offsets)

    @overload
    def __getitem__(self, index: int) -> ClipPair: ...
    @overload
    def __getitem__(self, index: slice) -> PairIndex: ...
    def __getitem__(self, index: int | slice) -> ClipPair | PairIndex:
        """Return a pair, or the index of some; raises MediaError where the file is not what it was."""
        if isinstance(index, slice):
            return self.chosen(np.arange(len(self))[index])
        offset = int(self._offsets[index])
        number = bisect_right(self._starts, offset) - 1
        path, start = self._files[number], offset - self._starts[number]
        try:
            with path.open("rb") as file:
                file.seek(start)
                return self._read(file.readline(_LONGEST_ROW))
        except (OSError, ValueError) as error:
            raise MediaError(
                f"{path}, byte {start}: {error}; expected the row that was there when the file was indexed: "
                "index it again"
            ) from error

    def chosen(self, rows: Indices) -> PairIndex:
        """Return the index of some rows, in their order; rows: int64 (M,)."""
        rows = np.asarray(rows, np.int64)
        fingerprint = sha256(self.fingerprint.encode() + rows.tobytes()).hexdigest()
        return PairIndex(self._files, self._offsets[rows], self._read, fingerprint)


def even_frames(frames: Sequence[_Item], count: int) -> tuple[_Item, ...]:
    """Return `count` frames at even steps from the first on, or all where there are no more.

    As RICE samples its queries: numpy.linspace(0, len(frames), count, endpoint=False), rounded down.
    """
    if len(frames) <= count:
        return tuple(frames)
    return tuple(frames[int(step)] for step in np.linspace(0, len(frames), count, endpoint=False))


def box_px(box: Box, width_px: int, height_px: int) -> Box:
    """Return the box of a `FrameRef` in pixels of a frame of that size."""
    if max(box) > 1:
        return box
    x1, y1, x2, y2 = box
    return x1 * width_px, y1 * height_px, x2 * width_px, y2 * height_px


def _rows(file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """Yield (line number, offset, line) of each line that is not empty; of one that is too long its beginning."""
    offset = number = 0
    while line := file.readline(_LONGEST_ROW):
        length, number, row = len(line), number + 1, line
        while line[-1:] != b"\n" and (line := file.readline(_LONGEST_ROW)):
            length += len(line)
        if row.strip():
            yield number, offset, row
        offset += length
