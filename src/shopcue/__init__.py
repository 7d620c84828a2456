"""Shopcue finds which product of a shop is on screen in a video or a live stream, and when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shopcue.commands import Answer
    from shopcue.records import Focus

__version__ = "0.1.0"


# What a program calls. The imports stand inside: a bare `import shopcue` must cost nothing.


def match(video: str | Path, catalog: str | Path, out: str | Path | None = None, **options: Any) -> list[Focus]:
    """Return which product of a feed is on screen in a video, and when: the focuses in order of start.

    out: a folder for the files that `shopcue match` writes. options: those of `shopcue.commands.match`.
    """
    from shopcue import commands

    return list(commands.match(video, catalog, out, **options).focuses)


def search(queries: Sequence[str | Path], catalog: str | Path, k: int = 10, **options: Any) -> Iterator[Answer]:
    """Yield, for each photo or clip, the k products that it most likely shows: see `shopcue.commands.search`."""
    from shopcue import commands

    return commands.search(queries, catalog, k, **options)
