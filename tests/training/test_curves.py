"""Curves are complete at every write, and a resumed run leaves no row of the killed one behind."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training is an extra: pip install 'shopcue[train]'")

from shopcue.errors import OutputError
from shopcue.training.curves import Curves


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def test_figures_become_columns_and_what_was_done_again_replaces(tmp_path: Path) -> None:
    path = tmp_path / "run" / "curves.csv"
    curves = Curves(path)
    curves.add(10, {"loss": 2.5})
    curves.add(20, {"loss": 1.25})
    curves.note({"R@1": 0.5})
    curves.add(30, {"loss": 1})
    curves.write()
    expected = [
        {"step": "10", "loss": "2.5", "R@1": ""},
        {"step": "20", "loss": "1.25", "R@1": "0.5"},
        {"step": "30", "loss": "1", "R@1": ""},
    ]
    assert rows(path) == expected
    resumed = Curves(path, resume=True)
    resumed.add(20, {"loss": 1.5})
    resumed.write()
    assert rows(path) == [expected[0], {"step": "20", "loss": "1.5", "R@1": ""}]
    anew = Curves(path)
    anew.add(10, {"loss": 3})
    anew.write()
    assert rows(path) == [{"step": "10", "loss": "3"}]
    assert [each.name for each in path.parent.iterdir()] == ["curves.csv"]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    curves = Curves(tmp_path / "file" / "curves.csv")
    curves.add(1, {"loss": 1})
    with pytest.raises(OutputError, match="cannot write"):
        curves.write()
