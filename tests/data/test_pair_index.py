"""Rows of text files as pairs: found once, kept, read one at a time."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpr4m_fixture import CLIP, frames_of, full_row
from shopcue.data.clip_pairs import Clip, ClipPair, ShopImage
from shopcue.data.lpr4m import read_lpr4m_pairs
from shopcue.data.pair_index import PairIndex
from shopcue.errors import MediaError

BOX = (0.1, 0.2, 0.5, 0.75)


def no_notes(note: str) -> None:
    pytest.fail(f"nothing was to be left out, but: {note}")


def read(row: bytes) -> ClipPair:
    """A row is an image, its product and its live, or says that it is bad."""
    image_id, product_id, live_id = row.decode().split()
    if image_id == "bad":
        raise ValueError(f"{product_id} is wrong")
    return ClipPair(Clip("c", (), image_ids=(image_id,), live_id=live_id), ShopImage(image_id, None, "", product_id))


def refuse(row: bytes) -> ClipPair:
    pytest.fail("it was read again")


ROWS = "a 1 x\nbad this x\nb 2 y\n\nc 1 y\nbad that y\n"


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "one.txt", tmp_path / "two.txt"]
    paths[0].write_text(ROWS)
    paths[1].write_text("d 3 x\n")
    return paths


def images(pairs: PairIndex) -> list[str]:
    return [pair.image.image_id for pair in pairs]


# ---- groups ----------------------------------------------------------------------------------------------------------


LABELS = st.lists(st.tuples(st.sampled_from("pqrs"), st.sampled_from("xyz")), min_size=1, max_size=12)


def numbered(labels: list[str]) -> list[int]:
    """The plain way: a label's number is how many others came first."""
    seen = list(dict.fromkeys(labels))
    return [seen.index(label) for label in labels]


@given(labels=LABELS, data=st.data())
def test_groups_are_numbered_as_they_come(
    labels: list[tuple[str, str]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.txt"
    path.write_text("".join(f"{number} {product} {live}\n" for number, (product, live) in enumerate(labels)))
    pairs = PairIndex.of([path], read, no_notes)
    chosen = data.draw(st.lists(st.integers(0, len(labels) - 1), max_size=8))
    for index, told in ((pairs, labels), (pairs.chosen(np.array(chosen, np.int64)), [labels[row] for row in chosen])):
        products, lives = index.groups()
        assert products.tolist() == numbered([product for product, _ in told])
        assert lives.tolist() == numbered([live for _, live in told])


# ---- keeping ---------------------------------------------------------------------------------------------------------


def test_what_was_found_is_found_again_without_reading(files: list[Path], tmp_path: Path) -> None:
    kept = tmp_path / "cache" / "rows.npz"
    first: list[str] = []
    second: list[str] = []
    pairs = PairIndex.of(files, read, first.append, kept)
    assert images(pairs) == ["a", "b", "c", "d"]
    again = PairIndex.of(files, refuse, second.append, kept)
    assert (len(again), again.fingerprint) == (4, pairs.fingerprint)
    assert [each.tolist() for each in again.groups()] == [[0, 1, 0, 2], [0, 1, 1, 0]]
    assert first == second == [f"{files[0]}, line 2: this is wrong", f"{files[0]}, line 6: that is wrong"]
    assert images(PairIndex.of(files, read, second.append, kept)) == ["a", "b", "c", "d"]
    assert [path.name for path in kept.parent.iterdir()] == [kept.name], "nothing is left lying about"


def longer(files: list[Path], kept: Path) -> None:
    files[1].write_text("d 3 x\ne 3 x\n")


def newer(files: list[Path], kept: Path) -> None:
    files[1].write_text("e 3 x\n")


def damaged(files: list[Path], kept: Path) -> None:
    kept.write_bytes(kept.read_bytes()[:200])


def no_archive(files: list[Path], kept: Path) -> None:
    kept.write_bytes(b"")


def other_columns(files: list[Path], kept: Path) -> None:
    with np.load(kept) as found:
        np.savez(kept, **{**found, "products": found["products"][:1]})


def a_pickle(files: list[Path], kept: Path) -> None:
    with np.load(kept) as found:
        np.savez(kept, **{**found, "lives": np.array([print] * 4, object)})


@pytest.mark.parametrize("change", [longer, newer, damaged, no_archive, other_columns, a_pickle])
def test_what_was_kept_of_other_files_or_is_damaged_does_not_count(
    files: list[Path], tmp_path: Path, change: Callable[[list[Path], Path], None]
) -> None:
    kept = tmp_path / "rows.npz"
    PairIndex.of(files, read, lambda note: None, kept)
    change(files, kept)
    plain = PairIndex.of(files, read, lambda note: None)
    found = PairIndex.of(files, read, lambda note: None, kept)
    assert images(found) == images(plain)
    assert found.fingerprint == plain.fingerprint
    assert PairIndex.of(files, refuse, lambda note: None, kept).fingerprint == plain.fingerprint, "it is kept anew"


def test_where_nothing_can_be_kept_it_is_found_each_time(files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "cache").touch()  # a file where the folder should be
    for _ in range(2):
        assert images(PairIndex.of(files, read, lambda note: None, tmp_path / "cache" / "rows.npz")) == list("abcd")


# ---- many rows -------------------------------------------------------------------------------------------------------


def write_many(path: Path, count: int) -> Path:
    row = full_row(frames=frames_of(CLIP, 2), boxes=[list(BOX)] * 2, title="{title}")
    with path.open("w", encoding="utf-8") as file:
        file.writelines(row.replace("{title}", f"title {number}") + "\n" for number in range(count))
    return path


def test_an_index_of_many_rows_is_sixteen_bytes_a_row(tmp_path: Path) -> None:
    count = 40_000  # 14 MB
    path = write_many(tmp_path / "training_videoinfo_x.txt", count)
    pair = ClipPair(Clip("c", (), image_ids=("i",)), ShopImage("i", None))
    tracemalloc.start()
    pairs = PairIndex.of([path], lambda row: pair, no_notes)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(pairs) == count
    assert held < count * 20
    assert peak < count * 40


MEASURED = """
import sys, tracemalloc
from pathlib import Path
from shopcue.data.lpr4m import read_lpr4m_pairs
tracemalloc.start()
pairs = read_lpr4m_pairs(Path(sys.argv[1]), print)
print(tracemalloc.get_traced_memory()[1])
tracemalloc.reset_peak()
every = [pair for pair in pairs[:1000]]
print(tracemalloc.get_traced_memory()[1] * len(pairs) // len(every))
"""


def test_rows_are_read_one_at_a_time(tmp_path: Path) -> None:
    """In a process of its own: what a long run of tests has interned would be counted too."""
    count = 4_000
    write_many(tmp_path / "training_videoinfo_x.txt", count)
    done = subprocess.run([sys.executable, "-c", MEASURED, tmp_path], capture_output=True, text=True, check=True)
    indexing, listing = map(int, done.stdout.split())
    assert indexing < 2_500_000
    assert listing > 4 * indexing
    pairs = read_lpr4m_pairs(tmp_path, no_notes)
    assert [pairs[number].image.title for number in (0, 777, count - 1)] == ["title 0", "title 777", "title 3999"]
    assert len(pickle.dumps(pairs)) < count * 16 + 2_000
    assert pickle.loads(pickle.dumps(pairs))[5] == pairs[5]


def test_an_index_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    assert len(PairIndex.of([path], lambda row: pytest.fail("no row"), no_notes)) == 0
    with pytest.raises(MediaError, match="cannot read"):
        PairIndex.of([tmp_path / "missing"], lambda row: pytest.fail("no row"), no_notes)
