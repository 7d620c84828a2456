"""What a training writes down as it goes: a CSV with a row every few steps."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping
from pathlib import Path

from shopcue.errors import OutputError

CURVES = "curves.csv"
"""The name of the file in a training's folder."""


class Curves:
    """Rows of figures by step, and the seconds since the start or the resumption.

    path: of the CSV, which appears whole at each `write`. resume: keep the rows that are there.
    """

    def __init__(self, path: Path, *, resume: bool = False) -> None:
        self._path = path
        self._rows: list[dict[str, str]] = []
        self._begun_s = time.monotonic()
        if resume and path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                self._rows = [row for row in csv.DictReader(file) if (row.get("step") or "").isdecimal()]

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """Add the row of `step`. Rows of the same step or later ones are of a run that was killed: they are dropped."""
        self._rows = [row for row in self._rows if int(row["step"]) < step]
        texts = {name: f"{value:.6g}" for name, value in figures.items()}
        self._rows.append({"step": str(step), **texts, "seconds": f"{time.monotonic() - self._begun_s:.1f}"})

    def note(self, figures: Mapping[str, float]) -> None:
        """Add figures to the last row."""
        self._rows[-1].update({name: f"{value:.6g}" for name, value in figures.items()})

    def write(self) -> None:
        """Write all rows, under another name first; every figure is a column. Raises OutputError."""
        names = dict.fromkeys(name for row in self._rows for name in row)
        text = io.StringIO()
        writer = csv.DictWriter(text, list(names), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        draft = self._path.with_name(f".{self._path.name}.part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(text.getvalue(), encoding="utf-8")
            draft.replace(self._path)
        except OSError as error:
            raise OutputError(f"cannot write {self._path} ({error.strerror}); give a folder with room") from error
