"""Focuses of a live stream as news: what opens, changes, closes, and is corrected afterwards.

A live decoder sees a focus long before it is sure of it for good. `Announcer` compares what stands now with what it has
said before, and says the difference. Whoever applies all announcements in order has, at the end, exactly the focuses
that the same stream gives offline.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from shopcue.records import Focus

Kind = Literal["open", "update", "close", "revise", "withdraw", "settle"]


@dataclass(frozen=True, slots=True)
class Announcement:
    """One piece of news about one focus.

    kind: `open`, it is on screen now; `update`, it still is, and something else is known about it; `close`, it has
    ended; `revise`, what was said of an ended one has changed; `withdraw`, there was no such focus; `settle`, this is
    how it stays, and it says nothing that is news. number: which focus, counted from 0. focus: as it stands; the end of
    one that is on screen is now.
    """

    kind: Kind
    number: int
    focus: Focus


@dataclass(slots=True)
class _Said:
    """What was last said of a focus."""

    number: int
    focus: Focus
    open: bool


class Announcer:
    """The news of one stream.

    tolerance_s: how far a start or end moves before it is news. tolerance_score: the same for the score.
    """

    def __init__(self, *, tolerance_s: float = 0.25, tolerance_score: float = 0.1) -> None:
        self._tolerance_s, self._tolerance_score = tolerance_s, tolerance_score
        self._said: list[_Said] = []
        self._next = 0

    def update(self, settled: Sequence[Focus], outlook: Sequence[Focus], now_s: float) -> list[Announcement]:
        """Take what the stream's session says at now_s and return the news, in order.

        settled: the focuses that have just ended for good. outlook: all later ones, as they stand.
        """
        views = [*settled, *outlook]
        partner = self._partners(views)
        news: list[Announcement] = []
        for said in [said for said in self._said if said not in partner]:
            news.append(Announcement("withdraw", said.number, said.focus))
        kept: list[_Said] = []
        for n, (view, known) in enumerate(zip(views, partner, strict=True)):
            final = n < len(settled)
            said = known or _Said(self._next, view, open=True)
            if known is None:
                self._next += 1
                news.append(Announcement("open", said.number, view))
            news += self._changes(said, view, still=not final and view.end_s >= now_s)
            if final:
                news.append(Announcement("settle", said.number, view))
            else:
                kept.append(said)
        self._said = kept
        return news

    def _changes(self, said: _Said, view: Focus, still: bool) -> Iterator[Announcement]:
        """Yield what is new about a focus that was announced, and remember that it was said."""
        kind: Kind | None = None
        if said.open and not still:
            kind = "close"
        elif self._differs(said.focus, view, ended=not still):
            kind = "update" if said.open else "revise"
        # One that had ended and goes on after all stays an ended one, with a later end: nobody has to open it again.
        said.open = said.open and still
        if kind is not None:
            said.focus = view
            yield Announcement(kind, said.number, view)

    def _differs(self, before: Focus, now: Focus, *, ended: bool) -> bool:
        return (
            before.product_id != now.product_id
            or abs(before.start_s - now.start_s) > self._tolerance_s
            or (ended and abs(before.end_s - now.end_s) > self._tolerance_s)
            or abs(before.score - now.score) > self._tolerance_score
        )

    def _partners(self, views: Sequence[Focus]) -> list[_Said | None]:
        """Return for each view what was said of it before: of the same product first, else of the same time."""
        partner: list[_Said | None] = [None] * len(views)
        free = list(self._said)
        for alike in (True, False):
            for n, view in enumerate(views):
                rivals = [said for said in free if not alike or said.focus.product_id == view.product_id]
                best = max(rivals, key=lambda said: _overlap_s(said.focus, view), default=None)
                if partner[n] is None and best is not None and _overlap_s(best.focus, view) > 0:
                    partner[n] = best
                    free.remove(best)
        return partner


def _overlap_s(one: Focus, other: Focus) -> float:
    return min(one.end_s, other.end_s) - max(one.start_s, other.start_s)
