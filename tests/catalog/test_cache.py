"""Caches: what goes in comes out, growth is bounded, and no damage fails a run."""

import multiprocessing
import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from shopcue.catalog.cache import Download, DownloadCache, EmbeddingCache, Key, default_folder
from shopcue.records import Floats


def units(count: int, dim: int = 8, seed: int = 0) -> dict[Key, Floats]:
    rows = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return {(f"{seed}-{i}", "encoder"): row for i, row in enumerate(rows)}


def same(found: dict[Key, Floats], expected: dict[Key, Floats]) -> bool:
    return found.keys() == expected.keys() and all(np.array_equal(found[key], expected[key]) for key in expected)


def test_what_goes_in_comes_out_bit_by_bit(tmp_path: Path) -> None:
    vectors = units(1_000)
    cache = EmbeddingCache(tmp_path / "deep" / "e.sqlite3")
    cache.put_many(vectors)
    cache.close()
    again = EmbeddingCache(tmp_path / "deep" / "e.sqlite3")
    assert same(again.get_many([*vectors, ("none", "encoder"), ("0-1", "other encoder")]), vectors)
    assert not again.trouble
    again.close()


def test_two_encoders_do_not_mix(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path / "e.sqlite3")
    one, two = (np.eye(2, dtype=np.float32)[i] for i in range(2))
    cache.put_many({("a", "one"): one})
    cache.put_many({("a", "two"): two})
    assert same(cache.get_many([("a", "one"), ("a", "two")]), {("a", "one"): one, ("a", "two"): two})
    cache.close()


def test_without_a_path_nothing_is_kept() -> None:
    cache = EmbeddingCache(None)
    cache.put_many(units(3))
    assert cache.get_many(units(3)) == {}
    assert not cache.trouble


def test_the_oldest_leave_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    day = [1_000_000]
    monkeypatch.setattr("shopcue.catalog.cache._BOUND_EVERY", 2)
    monkeypatch.setattr("shopcue.catalog.cache.time.time", lambda: day[0] * 86_400.0)
    cache = EmbeddingCache(tmp_path / "e.sqlite3", max_vectors=20)
    first, second, third, fourth = (units(8, seed=seed) for seed in range(4))
    for vectors in (first, second):
        cache.put_many(vectors)
        day[0] += 1
    assert same(cache.get_many(first), first)  # now used later than the second
    cache.put_many(third)
    day[0] += 1
    cache.put_many(fourth)
    cache.put_many(fourth)
    assert same(
        cache.get_many([*first, *third, *fourth]), {**{k: first[k] for k in cache.get_many(first)}, **third, **fourth}
    )
    assert cache.get_many(second) == {}
    assert len(cache.get_many([*first, *second, *third, *fourth])) <= 20
    cache.close()


def test_bytes_bound_the_number_of_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shopcue.catalog.cache._BOUND_EVERY", 1000)
    cache = EmbeddingCache(tmp_path / "e.sqlite3", max_bytes=10 * 8 * 4)
    cache.put_many(units(50))
    assert len(cache.get_many(units(50))) <= 10
    cache.close()


def test_a_damaged_file_is_as_good_as_none(tmp_path: Path) -> None:
    path = tmp_path / "e.sqlite3"
    path.write_bytes(b"this is not a database, however long it may be" * 100)
    cache = EmbeddingCache(path)
    cache.put_many(units(3))
    assert cache.get_many(units(3)) == {}
    assert str(path) in cache.trouble
    assert "\n" not in cache.trouble


def test_a_place_that_cannot_be_written_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = EmbeddingCache(tmp_path / "file" / "e.sqlite3")
    cache.put_many(units(3))
    assert cache.get_many(units(3)) == {}
    assert cache.trouble


def test_a_damaged_vector_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "e.sqlite3"
    cache = EmbeddingCache(path)
    vectors = units(4)
    cache.put_many(vectors)
    cache.close()
    damages = (b"", b"123", np.full(8, np.nan, np.float32).tobytes(), np.zeros(8, np.float32).tobytes())
    connection = sqlite3.connect(path)
    for (content, _), damage in zip(vectors, damages, strict=True):
        connection.execute("UPDATE embeddings SET vector = ? WHERE content = ?", (damage, content))
    connection.commit()
    connection.close()
    assert cache.get_many(vectors) == {}
    cache.close()


def test_a_busy_file_only_misses_what_is_asked_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shopcue.catalog.cache._BUSY_S", 0.05)
    path = tmp_path / "e.sqlite3"
    cache = EmbeddingCache(path)
    cache.put_many(units(3))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    cache.put_many(units(3, seed=1))
    other.execute("ROLLBACK")
    other.close()
    assert not cache.trouble
    assert cache.get_many(units(3, seed=1)) == {}
    assert same(cache.get_many(units(3)), units(3))
    cache.close()


def _fill(path: Path, seed: int) -> None:
    cache = EmbeddingCache(path)
    for key, vector in units(40, seed=seed).items():
        cache.put_many({key: vector})
        cache.get_many([key])
    cache.close()
    os._exit(1 if cache.trouble else 0)


def test_several_processes_share_a_cache(tmp_path: Path) -> None:
    path = tmp_path / "e.sqlite3"
    workers = [multiprocessing.get_context("spawn").Process(target=_fill, args=(path, seed)) for seed in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    cache = EmbeddingCache(path)
    for seed in range(3):
        assert same(cache.get_many(units(40, seed=seed)), units(40, seed=seed))
    cache.close()


def test_the_default_folder_follows_the_desktop_standard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "shopcue"
    for unusable in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", unusable)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        assert default_folder() == tmp_path / "home" / ".cache" / "shopcue"


def test_downloads_come_back(tmp_path: Path) -> None:
    cache = DownloadCache(tmp_path / "d.sqlite3")
    download = Download(b"\x00bytes", '"etag"', "Mon, 01 Jan 2024 00:00:00 GMT", 12.5)
    assert cache.get("https://shop.example/a") is None
    cache.put("https://shop.example/a", download)
    assert cache.get("https://shop.example/a") == download
    assert cache.get("https://shop.example/A") is None
    cache.close()


def test_downloads_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    second = [0]
    monkeypatch.setattr("shopcue.catalog.cache._BOUND_EVERY", 2)
    monkeypatch.setattr("shopcue.catalog.cache.time.time", lambda: float(second[0]))
    cache = DownloadCache(tmp_path / "d.sqlite3", max_bytes=10_000)
    for second[0] in range(21):
        cache.put(str(second[0]), Download(bytes(1_000), "", "", 0.0))
    kept = [i for i in range(21) if cache.get(str(i)) is not None]
    assert 1 <= len(kept) <= 10
    assert kept == list(range(21 - len(kept), 21))
    cache.close()
