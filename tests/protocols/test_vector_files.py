"""Files of vectors as they should be, and as somebody would write them who means harm."""

from __future__ import annotations

import io
import os
import pickle
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shopcue.errors import ScoreError
from shopcue.protocols.vectors import VectorFiles, read_vectors
from shopcue.records import Floats

IDS = ["clip-a", "衣服-b", "c"]


def vectors(rows: int = 3) -> Floats:
    return np.arange(1, rows * 2 + 1, dtype=np.float32).reshape(rows, 2)


def write(path: Path, ids: Any = None, rows: Any = None, **others: Any) -> Path:
    np.savez(path, ids=np.array(IDS) if ids is None else ids, vectors=vectors() if rows is None else rows, **others)
    return path


def npy(shape: str, descr: str, data: bytes = b"") -> bytes:
    """An .npy file whose header says what we like."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def zipped(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return path


def saved(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


# ---- as they should be ----------------------------------------------------------------------------------------------


def test_vectors_come_in_the_order_of_the_ids(tmp_path: Path) -> None:
    path = write(tmp_path / "v.npz", note=np.array("whatever else is in it"))
    np.testing.assert_array_equal(read_vectors(path, IDS), vectors())
    np.testing.assert_array_equal(read_vectors(path, [IDS[2], IDS[0], IDS[1]]), vectors()[[2, 0, 1]])


def test_what_a_file_does_not_hold_is_not_a_number(tmp_path: Path) -> None:
    found = read_vectors(write(tmp_path / "v.npz"), ["more", *reversed(IDS)])
    assert np.isnan(found[0]).all()
    np.testing.assert_array_equal(found[1:], vectors()[::-1])


def test_what_is_known_and_not_asked_for_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "v.npz")
    np.testing.assert_array_equal(read_vectors(path, IDS[1:2], others={IDS[0], IDS[2]}), vectors()[1:2])


def test_compressed_files_and_other_layouts_are_read(tmp_path: Path) -> None:
    path = tmp_path / "v.npz"
    np.savez_compressed(path, ids=np.array(IDS), vectors=np.asfortranarray(vectors()))
    np.testing.assert_array_equal(read_vectors(path, IDS), vectors())


def test_each_side_has_its_file(tmp_path: Path) -> None:
    files = VectorFiles(write(tmp_path / "q.npz"), write(tmp_path / "g.npz", rows=-vectors()))
    np.testing.assert_array_equal(files.read("queries", IDS), vectors())
    np.testing.assert_array_equal(files.read("gallery", IDS), -vectors())


# ---- as they should not ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ids", "rows", "expected"),
    [
        (np.array(["clip-a", "c", "c"]), None, "holds the id 'c' more than once"),
        (np.array(["clip-a", "c", "who"]), None, "1 ids that the data set does not have, the first 'who'"),
        (np.array([1, 2, 3]), None, r"ids is \(3,\) int64, expected \(N,\) str"),
        (np.array([b"clip-a", b"c", b"d"]), None, "expected .* str"),
        (np.array([["clip-a"], ["c"], ["d"]]), None, "expected .* str"),
        (np.array(["x" * 600, "c", "d"]), None, "512 characters"),
        (np.array(["clip-a", "c"]), None, "2 ids and 3 vectors"),
        (None, vectors().astype(np.float64), r"vectors is \(3, 2\) float64, expected \(N, D\) float32"),
        (None, vectors().astype(">f4"), "expected .* float32"),
        (None, vectors()[:, 0], "expected .* float32"),
        (None, vectors()[:, :0], "expected .* float32"),
        (None, vectors(4), "vectors has 4 rows, and the data set asks for 3"),
        (None, np.array([[1, 2], [np.nan, 2], [1, 2]], np.float32), "the vector of '衣服-b' holds a value"),
        (None, np.array([[1, 2], [1, 2], [1, np.inf]], np.float32), "the vector of 'c' holds a value"),
        (np.array([], str), vectors(0), "holds no vector"),
        (np.zeros(3, [("a", "U3"), ("b" * 200, "f4")]), None, "expected .* str"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path: Path, ids: Any, rows: Any, expected: str) -> None:
    path = write(tmp_path / "v.npz", ids, rows)
    with pytest.raises(ScoreError, match=expected) as caught:
        read_vectors(path, IDS)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 300


def test_arrays_that_are_missing_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", ids=np.array(IDS))
    with pytest.raises(ScoreError, match="no array 'vectors'"):
        read_vectors(tmp_path / "v.npz", IDS)


class Bomb:
    """What a pickle runs when it is loaded."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("echo harm",)


def test_nothing_in_a_file_is_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    objects = np.empty(3, object)
    objects[:] = [Bomb()] * 3
    np.savez(tmp_path / "v.npz", ids=objects, vectors=vectors())
    with pytest.raises(ScoreError, match=r"ids is .* object, expected"):
        read_vectors(tmp_path / "v.npz", IDS)
    # A pickle under a header that promises floats is as many bytes as floats are, or not as long as it says.
    zipped(tmp_path / "w.npz", ids=saved(np.array(IDS)), vectors=npy("(3, 2)", "'<f4'", pickle.dumps(Bomb())))
    with pytest.raises(ScoreError, match="damaged"):
        read_vectors(tmp_path / "w.npz", IDS)
    assert "harm" not in capfd.readouterr().out


@pytest.mark.parametrize(
    ("shape", "descr", "data"),
    [
        ("(3, 100000000000)", "'<f4'", b"\0" * 64),  # more than may be read
        ("(1000000000, 2)", "'<f4'", b"\0" * 64),  # more rows than the data set has
        ("(3, 9000000)", "'<f4'", b"\0" * (64 << 10)),  # within bounds, and not as long as it says
        ("(3, 2)", "'<f4'", b"\0" * (200 << 20)),  # longer than it says: 200 MB out of 200 kB
        ("(-3, -2)", "'<f4'", b"\0" * 24),
        ("(3, 2)", "'|O'", b"\0" * 48),
        ("(3, 2)", "'<f4', 'x': __import__('os')", b"\0" * 24),
        ("(3, 2", "'<f4'", b"\0" * 24),
        (f"(3, {'1' * 5000})", "'<f4'", b"\0" * 24),
    ],
)
def test_headers_that_lie_cost_no_memory(tmp_path: Path, shape: str, descr: str, data: bytes) -> None:
    path = zipped(tmp_path / "v.npz", ids=saved(np.array(IDS)), vectors=npy(shape, descr, data))
    del data
    tracemalloc.start()
    try:
        with pytest.raises(ScoreError) as caught:
            read_vectors(path, IDS)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04 and then nothing", b"\x93NUMPY", saved(vectors()), b"\0" * 100_000], ids=len
)
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "v.npz"
    path.write_bytes(data)
    with pytest.raises(ScoreError, match=r"damaged: .*; give a file that numpy.savez wrote"):
        read_vectors(path, IDS)


def test_texts_that_are_no_texts_are_refused(tmp_path: Path) -> None:
    beyond = npy("(3,)", "'<U1'", (0x7FFFFFFF).to_bytes(4, "little") * 3)  # no character has that number
    with pytest.raises(ScoreError, match="damaged"):
        read_vectors(zipped(tmp_path / "v.npz", ids=beyond, vectors=saved(vectors())), IDS)
    lone = npy("(3,)", "'<U1'", (0xD800).to_bytes(4, "little") * 3)
    with pytest.raises(ScoreError) as caught:
        read_vectors(zipped(tmp_path / "w.npz", ids=lone, vectors=saved(vectors())), IDS)
    str(caught.value).encode()  # it can be printed


def test_files_that_are_cut_short_or_changed_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "v.npz", rows=np.random.default_rng(0).normal(size=(3, 500)).astype(np.float32))
    whole = path.read_bytes()
    for keep in range(0, len(whole), 97):
        path.write_bytes(whole[:keep])
        with pytest.raises(ScoreError):
            read_vectors(path, IDS)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1  # among the values: the checksum of the archive tells
    path.write_bytes(bytes(flipped))
    with pytest.raises(ScoreError, match="damaged"):
        read_vectors(path, IDS)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(ScoreError, match=r"cannot read .*none\.npz: No such file"):
        read_vectors(tmp_path / "none.npz", IDS)
    os.mkfifo(tmp_path / "pipe.npz")
    for path in (tmp_path, tmp_path / "pipe.npz"):
        with pytest.raises(ScoreError, match="no regular file"):
            read_vectors(path, IDS)
