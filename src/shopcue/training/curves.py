"""What a training writes down as it goes: a CSV with a row every few steps."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from shopcue.errors import OutputError

COLUMNS = ("step", "loss", "distance", "classification", "rate", "seconds")


class Curves:
    """The curves of a retrieval training: means of the losses, the rate, seconds, and figures now and then.

    path: of the CSV, which appears whole at each `write`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[dict[str, str]] = []
        self._parts: list[Tensor] = []
        self._begun_s = time.monotonic()

    def read(self, step: int) -> None:
        """Take the rows up to `step` back from the file, where there is one: what came later is done again."""
        if not self._path.is_file():
            return
        with self._path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if (row.get("step") or "").isdecimal()]
        self._rows = [row for row in rows if int(row["step"]) <= step]

    def add(self, parts: Tensor) -> None:
        """Add the loss of a step and its two parts, (3,); they stay on their device until a row is closed."""
        self._parts.append(parts)

    def close_row(self, step: int, rate: float) -> None:
        """Make a row of the mean of what was added since the last one; `step` steps are behind us."""
        means = [f"{value:.5f}" for value in torch.stack(self._parts).mean(dim=0).tolist()]
        values = (str(step), *means, f"{rate:.3e}", f"{time.monotonic() - self._begun_s:.1f}")
        self._rows.append(dict(zip(COLUMNS, values, strict=True)))
        self._parts.clear()

    def note(self, figures: Mapping[str, float]) -> None:
        """Add figures to the last row; each name is a column."""
        self._rows[-1].update({name: f"{value:.5f}" for name, value in figures.items()})

    def write(self) -> None:
        """Write all rows, under another name first. Raises OutputError."""
        names = dict.fromkeys((*COLUMNS, *(name for row in self._rows for name in row)))
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
