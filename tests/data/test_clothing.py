"""The reader on a small tree in the true layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from shopcue.data.clothing import Garment, read_garments
from shopcue.errors import MediaError


def test_garments_of_one_split_sorted_by_path(tmp_path: Path) -> None:
    for name in (
        "train/t-shirt/b.jpg",
        "train/dress/c.jpg",
        "train/dress/a.jpg",
        "test/hat/d.jpg",
        "train/dress/notes.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert list(read_garments(tmp_path, "train")) == [
        Garment("a", "dress", tmp_path / "train/dress/a.jpg"),
        Garment("c", "dress", tmp_path / "train/dress/c.jpg"),
        Garment("b", "t-shirt", tmp_path / "train/t-shirt/b.jpg"),
    ]
    with pytest.raises(MediaError, match="no split"):
        list(read_garments(tmp_path, "validation"))
    with pytest.raises(MediaError, match="no split"):
        list(read_garments(tmp_path, ".."))
