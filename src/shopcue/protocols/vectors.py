"""Vectors that somebody else has made, so that any model can be judged: .npz files of `ids` and `vectors`.

    numpy.savez("q.npz", ids=numpy.array(["...", ...]), vectors=numpy.array([[...], ...], numpy.float32))

The files come from strangers. What their headers promise is held against what the data set can use before anything is
unpacked, so that a small file does not become a large one, and nothing in them is ever run. An .npz is a zip file,
which cannot be mapped into memory: a file is read whole, once.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Literal

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from shopcue.errors import ScoreError
from shopcue.records import Floats

Side = Literal["queries", "gallery"]

_MOST_BYTES = 2 << 30  # of all vectors of a file
_LONGEST_ID = 512  # characters
_SHOWN = 60  # characters of an id in a message


@dataclass(frozen=True, slots=True)
class VectorFiles:
    """The vectors to be judged: a file of the queries' and one of the gallery's."""

    queries: Path
    gallery: Path

    def read(
        self, side: Side, ids: Sequence[str], others: Collection[str] = (), canonical: Callable[[str], str] = str
    ) -> Floats:
        """Return the vectors of one side, as `read_vectors` does."""
        return read_vectors(self.queries if side == "queries" else self.gallery, ids, others, canonical)


def read_vectors(
    path: Path, ids: Sequence[str], others: Collection[str] = (), canonical: Callable[[str], str] = str
) -> Floats:
    """Return the vectors of `ids` in their order, not a number for an id that the file does not hold. -> (N, D).

    others: ids that the data set has as well, and that are not asked for. canonical: an id as somebody may write it ->
    as it is in `ids`. Raises ScoreError for a file that cannot be read, is not of this kind, repeats an id, or holds
    one that the data set does not have.
    """
    written, vectors = _load(path, len(ids) + len(others))
    found = [canonical(each) for each in written]
    _check(path, found, vectors)
    if found == list(ids):
        return vectors
    place = {**dict.fromkeys(others, -1), **{each: number for number, each in enumerate(ids)}}
    unknown = [each for each in found if each not in place]
    if unknown:
        raise ScoreError(
            f"{path} holds {len(unknown)} ids that the data set does not have, the first {_shown(unknown[0])}; "
            f"expected ids such as {_shown(next(iter(place)))}"
        )
    places = np.array([place[each] for each in found], np.int64)
    arranged = np.full((len(ids), vectors.shape[1]), np.nan, np.float32)
    arranged[places[places >= 0]] = vectors[places >= 0]
    return arranged


def _load(path: Path, most: int) -> tuple[list[str], Floats]:
    """Return the ids and the vectors of a file, as they stand in it, `most` at the most."""
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ScoreError(f"cannot read {path}: it is no regular file; give a file that numpy.savez wrote")
    try:
        with zipfile.ZipFile(path) as archive:
            ids = [str(each) for each in _array(archive, "ids", path, most).tolist()]
            return ids, np.ascontiguousarray(_array(archive, "vectors", path, most), np.float32)
    except ScoreError:
        raise
    except OSError as error:
        raise ScoreError(f"cannot read {path}: {error.strerror or error}; give a file that numpy.savez wrote") from None
    except Exception as error:  # zip and npy readers fed with strangers' bytes raise nearly anything
        reason = str(error) or type(error).__name__
        raise ScoreError(f"{path} is damaged: {reason}; give a file that numpy.savez wrote") from None


def _array(archive: zipfile.ZipFile, name: str, path: Path, most: int) -> NDArray[np.generic]:
    """Return an array of the archive; raises ScoreError by its header alone where it is not what is expected."""
    try:
        member = archive.getinfo(f"{name}.npy")
    except KeyError:
        raise ScoreError(f"{path} holds no array {name!r}; expected ids (str) and vectors (float32)") from None
    with archive.open(member) as file:
        shape, dtype = _header(file)
        _check_header(path, name, shape, dtype, most)
        if member.file_size != file.tell() + prod(shape) * dtype.itemsize:
            raise ScoreError(f"{path} is damaged: {name} is not as long as it says; write the file again")
    with archive.open(member) as file:
        return np.asarray(npy.read_array(file, allow_pickle=False))


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    version = npy.read_magic(file)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"an array of the unknown version {version}")
    shape, _, dtype = read(file)
    return shape, dtype


def _check_header(path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype[np.generic], most: int) -> None:
    """Raise unless an array has the type and the shape of `ids` or `vectors`, and no more rows than can be used."""
    if name == "ids":
        fits = dtype.kind == "U" and len(shape) == 1 and dtype.itemsize <= 4 * _LONGEST_ID
        wanted = f"(N,) str of {_LONGEST_ID} characters at the most"
    else:
        fits = dtype == np.float32 and len(shape) == 2 and shape[1] > 0
        wanted = "(N, D) float32"
    if not fits or any(side < 0 for side in shape):
        raise ScoreError(f"{path}: {name} is {shape} {str(dtype)[:_SHOWN]}, expected {wanted}")
    if shape[0] > most:
        raise ScoreError(f"{path}: {name} has {shape[0]} rows, and the data set asks for {most}; leave out the others")
    if prod(shape) * dtype.itemsize > _MOST_BYTES:
        raise ScoreError(
            f"{path}: {name} takes {prod(shape) * dtype.itemsize:,} bytes, at most {_MOST_BYTES:,} are read"
        )


def _check(path: Path, ids: list[str], vectors: NDArray[np.generic]) -> None:
    if len(ids) != len(vectors):
        raise ScoreError(f"{path} holds {len(ids)} ids and {len(vectors)} vectors, expected one vector for each id")
    if not ids:
        raise ScoreError(f"{path} holds no vector, expected some")
    repeated = next((each for each, count in Counter(ids).items() if count > 1), None)
    if repeated is not None:
        raise ScoreError(f"{path} holds the id {_shown(repeated)} more than once, expected each once")
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        worst = ids[int(np.argmin(finite))]
        raise ScoreError(
            f"{path}: the vector of {_shown(worst)} holds a value that is no finite number; leave it out, as a miss"
        )


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
