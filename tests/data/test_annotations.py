"""What annotation files may hold, and what is made of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shopcue.data.annotations import one_line, path_inside, pictures_in, read_object, text_lines
from shopcue.errors import MediaError

ROOT = Path("/data/set")


@given(
    st.text() | st.text("ab./\\ ", max_size=20) | st.lists(st.sampled_from(["..", ".", "", "a", "b c"])).map("/".join)
)
@example("a/../../b")
@example("a\x00b")
@example("\ud800")
@example("/" + "a" * 300)
@example("a/" * 600 + "b")
@example("衣" * 100)
def test_a_path_lies_inside_or_is_refused(name: str) -> None:
    try:
        path = path_inside(ROOT, name)
    except ValueError:
        return
    assert path.parts[: len(ROOT.parts)] == ROOT.parts
    assert len(path.parts) > len(ROOT.parts)
    assert ".." not in path.parts
    assert not path.exists(), "which is asked of the disk without an error"


@pytest.mark.parametrize("name", ["a.jpg", "imgs/a b.jpg", "imgs/衣.jpg", "./a.jpg", "a//b.jpg", "..a/b..jpg"])
def test_names_that_real_sets_have_are_paths(name: str) -> None:
    assert path_inside(ROOT, name) == ROOT / name


def test_objects_and_what_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"a": [1]}))
    assert read_object(path) == {"a": [1]}
    for text in ("[]", "null", "", "{", "[" * 100_000, "{" * 5, '{"a": NaN'):
        path.write_text(text)
        with pytest.raises(MediaError, match=r"a\.json cannot be read"):
            read_object(path)
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(MediaError):
        read_object(path)
    with pytest.raises(MediaError):
        read_object(tmp_path / "missing.json")


def test_an_object_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with path.open("wb") as file:
        file.truncate((1 << 30) + 1)  # no disk is used
    with pytest.raises(MediaError, match="more than"):
        read_object(path)


def test_lines_end_in_line_feeds_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\x0btwo\x0c\rthree\r\n\n  \nfour\xff\xe2\x80\xa8five")
    assert list(text_lines(path)) == [(1, "one\x0btwo\x0c\rthree"), (4, "four\ufffd\u2028five")]
    path.write_bytes(b"x" * (5 << 20))
    assert max(len(line) for _, line in text_lines(path)) <= 1 << 20
    with pytest.raises(MediaError, match="cannot read"):
        list(text_lines(tmp_path / "missing.txt"))


def test_pictures_of_a_folder_come_by_name(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "c.txt", "c.webp"):
        (tmp_path / name).touch()
    assert [path.name for path in pictures_in(tmp_path)] == ["a.png", "b.JPG", "c.webp"]
    assert pictures_in(tmp_path / "missing") == []


@given(st.text())
def test_one_line_is_one(text: str) -> None:
    line = one_line(text)
    assert len(line) <= 300
    assert line.splitlines() in ([], [line])


@given(
    numbers=st.lists(st.integers(0, 10**6), min_size=1, max_size=12, unique=True),
    before=st.sampled_from(["", "clip.mp4_", "a-1-"]),
)
def test_pictures_that_are_numbered_come_in_the_order_of_their_numbers(
    numbers: list[int], before: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("frames")
    for number in numbers:
        (folder / f"{before}{number}.png").touch()
    assert [path.name for path in pictures_in(folder)] == [f"{before}{number}.png" for number in sorted(numbers)]


@given(names=st.lists(st.text("a1.0", max_size=6), max_size=8, unique=True))
def test_pictures_of_any_name_have_an_order(names: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("frames")
    for name in names:
        (folder / f"_{name}.png").touch()
    assert sorted(path.name for path in pictures_in(folder)) == sorted(f"_{name}.png" for name in names)
