"""How far long work is: a bar for a person, plain lines for a log, both on stderr."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_LINE_EVERY_S = 10.0


class ProgressLines:
    """Shows `update(what, done, total)` calls: a bar for each `what` on a terminal, now and then a line elsewhere."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._bars: Progress | None = None
        if console.is_terminal:
            self._bars = Progress(
                TextColumn("{task.description:<12}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=console,
                transient=True,
            )
        self._tasks: dict[str, TaskID] = {}
        self._said_s: dict[str, float] = {}

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def update(self, what: str, done: float, total: float) -> None:
        """Say that `done` of `total` of the work called `what` is done."""
        if self._bars is not None:
            if what not in self._tasks:
                self._tasks[what] = self._bars.add_task(what, total=total)
            self._bars.update(self._tasks[what], completed=done, total=total)
            return
        now_s = time.monotonic()
        # The first call starts the clock: work that is done at once needs no line.
        if now_s - self._said_s.setdefault(what, now_s) >= _LINE_EVERY_S:
            self._said_s[what] = now_s
            print(f"{what}: {100 * done / max(total, 1e-9):.0f} %", file=sys.stderr, flush=True)

    def note(self, line: str) -> None:
        """Say one line beside the bars."""
        if self._bars is not None:
            self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)
