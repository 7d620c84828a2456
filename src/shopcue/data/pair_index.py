"""Training pairs out of text files of millions of rows: 16 bytes of memory a row, and each read when it is asked for.

To find the rows of LPR4M, every one of them is read once, which takes a quarter of an hour. What was found is kept in
the user's cache folder, so that a training that is started again, or on several GPUs, need not look for it again.
"""

from __future__ import annotations

import os
import zipfile
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, overload

import numpy as np
from numpy.typing import NDArray

from shopcue.data.annotations import one_line
from shopcue.data.clip_pairs import ClipPair, labels_of
from shopcue.errors import MediaError
from shopcue.records import Indices

Read = Callable[[bytes], ClipPair]
"""Makes a pair of a row, or raises ValueError."""
Skipped = Callable[[str], None]
Numbers = NDArray[np.int32]

KEPT_FROM = 256 << 20
"""Bytes of files from which on it is worth while to keep what was found in them."""

_FORMAT = "1"
_LONGEST_ROW = 4 << 20  # bytes; the longest real rows, of clips of an hour, have a tenth of it
_MOST_NOTES = 1000


@dataclass(frozen=True, slots=True)
class Rows:
    """Where rows are, and what they are of.

    offsets: int64 (N,), where each row starts in the files as if they were one. products, lives: int32 (N,), equal
    where pairs show one product, or are of one live. fingerprint: says which rows of which contents these are.
    """

    offsets: Indices
    products: Numbers
    lives: Numbers
    fingerprint: str


class PairIndex(Sequence[ClipPair]):
    """The pairs of text files with a row a line.

    It holds no file open, and it pickles where `read` does, for the worker processes of a loader.
    """

    def __init__(self, files: Sequence[Path], rows: Rows, read: Read) -> None:
        self._files = tuple(files)
        sizes = [path.stat().st_size for path in self._files]
        self._starts = [sum(sizes[:number]) for number in range(len(sizes))]
        self._rows = rows
        self._read = read

    @classmethod
    def of(cls, files: Sequence[Path], read: Read, skipped: Skipped, kept: Path | None = None) -> PairIndex:
        """Return the index of all rows of text files that can be read, after reading each once.

        skipped: told in one line, with file and line number, of every other row. kept: where to keep what was found,
        and to look for it first; it counts as long as the files have the sizes and times that they had. Raises
        MediaError for a file that cannot be read.
        """
        stamp = "" if kept is None else _stamp(files)
        known = None if kept is None else _load(kept, stamp)
        if known is not None:
            rows, notes = known
            for note in notes:
                skipped(note)
            return cls(files, rows, read)
        told: list[str] = []

        def tell(note: str) -> None:
            skipped(note)
            if len(told) <= _MOST_NOTES:
                told.append(note)

        rows = _find(files, read, tell)
        if kept is not None and len(told) <= _MOST_NOTES:
            _save(kept, stamp, rows, told)
        return cls(files, rows, read)

    @property
    def fingerprint(self) -> str:
        """What says which rows of which contents these are."""
        return self._rows.fingerprint

    def groups(self) -> tuple[Indices, Indices]:
        """Return the number of each pair's product and of its live, in the order of their first pairs, int64 (N,)."""
        return _numbered(self._rows.products), _numbered(self._rows.lives)

    def __len__(self) -> int:
        return len(self._rows.offsets)

    @overload
    def __getitem__(self, index: int) -> ClipPair: ...
    @overload
    def __getitem__(self, index: slice) -> PairIndex: ...
    def __getitem__(self, index: int | slice) -> ClipPair | PairIndex:
        """Return a pair, or the index of some; raises MediaError where the file is not what it was."""
        if isinstance(index, slice):
            return self.chosen(np.arange(len(self))[index])
        offset = int(self._rows.offsets[index])
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
        own = self._rows
        fingerprint = sha256(own.fingerprint.encode() + rows.tobytes()).hexdigest()
        some = Rows(own.offsets[rows], own.products[rows], own.lives[rows], fingerprint)
        return PairIndex(self._files, some, self._read)


# ---- finding ---------------------------------------------------------------------------------------------------------


def _find(files: Sequence[Path], read: Read, skipped: Skipped) -> Rows:
    """Return the rows of all files that can be read."""
    offsets, products, lives = array("q"), array("i"), array("i")
    known: tuple[dict[str, int], dict[str, int]] = {}, {}
    digest = sha256()
    start = 0
    for path in files:
        try:
            with path.open("rb") as file:
                for number, offset, row in _lines(file):
                    try:
                        if len(row) >= _LONGEST_ROW:
                            raise ValueError(f"longer than {_LONGEST_ROW} bytes")
                        labels = labels_of(read(row))
                    except ValueError as error:
                        skipped(one_line(f"{path}, line {number}: {error}"))
                        continue
                    offsets.append(start + offset)
                    for column, numbers, label in zip((products, lives), known, labels, strict=True):
                        column.append(numbers.setdefault(label, len(numbers)))
                    digest.update(row)
                start += file.tell()
        except OSError as error:
            raise MediaError(f"cannot read {path}: {error.strerror}; give a folder whose files can be read") from error
    return Rows(
        np.frombuffer(offsets, np.int64),
        np.frombuffer(products, np.int32),
        np.frombuffer(lives, np.int32),
        digest.hexdigest(),
    )


def _lines(file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """Yield (line number, offset, line) of each line that is not empty; of one that is too long its beginning."""
    offset = number = 0
    while line := file.readline(_LONGEST_ROW):
        length, number, row = len(line), number + 1, line
        while line[-1:] != b"\n" and (line := file.readline(_LONGEST_ROW)):
            length += len(line)
        if row.strip():
            yield number, offset, row
        offset += length


def _numbered(labels: Numbers) -> Indices:
    """Return labels as numbers from 0, in the order in which they appear first. int32 (N,) -> int64 (N,)."""
    _, first, places = np.unique(labels, return_index=True, return_inverse=True)
    order = np.empty(len(first), np.int64)
    order[np.argsort(first)] = np.arange(len(first))
    return order[places]


# ---- keeping ---------------------------------------------------------------------------------------------------------


def _stamp(files: Sequence[Path]) -> str:
    """Return what changes when one of the files does; raises MediaError for one that is not there."""
    try:
        found = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    except OSError as error:
        raise MediaError(f"cannot read {error.filename}: {error.strerror}; give a folder that can be read") from error
    return f"{_FORMAT} {found}"


def _save(path: Path, stamp: str, rows: Rows, notes: Sequence[str]) -> None:
    """Keep what was found, under another name first; where that cannot be, it is found again the next time."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with draft.open("wb") as file:
            np.savez(
                file,
                offsets=rows.offsets,
                products=rows.products,
                lives=rows.lives,
                stamp=_as_bytes(stamp),
                fingerprint=_as_bytes(rows.fingerprint),
                notes=_as_bytes("\n".join(notes)),
            )
        draft.replace(path)
    except OSError:
        with suppress(OSError):
            draft.unlink()


def _as_bytes(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode("utf-8", "replace"), np.uint8)


def _load(path: Path, stamp: str) -> tuple[Rows, list[str]] | None:
    """Return what was kept of files that have not changed since, None where nothing was, or what is damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            if kept["stamp"].tobytes().decode() != stamp:
                return None
            rows = Rows(kept["offsets"], kept["products"], kept["lives"], kept["fingerprint"].tobytes().decode())
            notes = kept["notes"].tobytes().decode().splitlines()
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    columns = (rows.offsets, rows.products, rows.lives)
    whole = [str(each.dtype) for each in columns] == ["int64", "int32", "int32"]
    return (rows, notes) if whole and len({each.shape for each in columns}) == 1 else None
