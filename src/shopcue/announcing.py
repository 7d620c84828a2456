"""Focuses of a live stream as news: what opens, changes, closes, and is corrected afterwards.

A live decoder sees a focus long before it is sure of it for good. `Announcer` compares what stands now with what it has
said before, and says the difference. Whoever applies all announcements in order has, at the end, exactly the focuses
that the same stream gives offline.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from shopcue.records import Focus

Kind = Literal["open", "update", "close", "revise", "withdraw", "settle"]

_ENDED: tuple[Kind, Kind] = ("close", "settle")


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
    """What was last said of a focus. before: how it stood when the stream was interrupted, if it was on screen then."""

    number: int
    focus: Focus
    open: bool
    before: Focus | None = None


class Announcer:
    """The news of one stream.

    tolerance_s: how far a start or end moves before it is news. tolerance_score: the same for the score. resumed: the
    focuses that were on screen when the stream was interrupted, each up to then, numbered from 0: one goes on if its
    product is seen again within bridge_s; those that are not seen within patience_s of the first news are closed.
    """

    def __init__(
        self,
        *,
        tolerance_s: float = 0.25,
        tolerance_score: float = 0.1,
        resumed: Sequence[Focus] = (),
        bridge_s: float = 60.0,
        patience_s: float = 15.0,
    ) -> None:
        self._tolerance_s, self._tolerance_score = tolerance_s, tolerance_score
        self._bridge_s, self._patience_s = bridge_s, patience_s
        self._said: list[_Said] = []
        self._interrupted = [_Said(n, focus, open=True, before=focus) for n, focus in enumerate(resumed)]
        self._next = len(resumed)
        self._first_s: float | None = None

    @property
    def open(self) -> list[tuple[int, Focus]]:
        """The focuses that are on screen, as far as was said: number and focus."""
        return [(said.number, said.focus) for said in (*self._interrupted, *self._said) if said.open]

    def update(self, settled: Sequence[Focus], outlook: Sequence[Focus], now_s: float) -> list[Announcement]:
        """Take what the stream's session says at now_s and return the news, in order.

        settled: the focuses that have just ended for good. outlook: all later ones, as they stand.
        """
        # A single moment is too little to say whether what was interrupted goes on, or something begins.
        expected = {said.focus.product_id for said in self._interrupted}
        outlook = [view for view in outlook if view.end_s > view.start_s or view.product_id not in expected]
        views = [*settled, *outlook]
        news = self._resume(views, now_s)
        partner = self._partners(views)
        for said in [said for said in self._said if said not in partner]:
            if said.before is None:
                news.append(Announcement("withdraw", said.number, said.focus))
            else:  # it was there, and was not seen again after all
                said.focus, said.open = said.before, True
                self._interrupted.append(said)
        kept: list[_Said] = []
        for n, (view, known) in enumerate(zip(views, partner, strict=True)):
            final = n < len(settled)
            said = known or _Said(self._next, view, open=True)
            view = view if said.before is None else replace(view, start_s=said.before.start_s)
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

    def finish(self, settled: Sequence[Focus], now_s: float) -> list[Announcement]:
        """Take the last focuses of the stream, which ends at now_s, and return the last news."""
        news = self.update(settled, [], now_s)
        news += [Announcement(kind, said.number, said.focus) for said in self._interrupted for kind in _ENDED]
        self._interrupted = []
        return news

    def resume(self, now_s: float) -> Announcer:
        """Return an announcer for a new session of the same stream, which goes on with what is on screen at now_s."""
        other = copy.copy(self)
        other._said, other._first_s = [], None
        cut = [(number, replace(focus, end_s=max(focus.end_s, now_s))) for number, focus in self.open]
        other._interrupted = [_Said(number, focus, open=True, before=focus) for number, focus in cut]
        return other

    def _resume(self, views: Sequence[Focus], now_s: float) -> list[Announcement]:
        """Let the interrupted focuses go on that are seen again, and return the end of those that are not."""
        self._first_s = now_s if self._first_s is None else self._first_s
        over = now_s - self._first_s > self._patience_s
        news = []
        for said in list(self._interrupted):
            end_s = said.focus.end_s
            again = [v for v in views if v.product_id == said.focus.product_id and v.end_s > v.start_s]
            seen = next((v for v in again if -self._bridge_s <= end_s - v.start_s <= self._tolerance_s), None)
            if seen is not None:
                said.focus = replace(said.focus, end_s=seen.end_s)
                self._said.append(said)
            elif over:
                news += [Announcement(kind, said.number, said.focus) for kind in _ENDED]
            if seen is not None or over:
                self._interrupted.remove(said)
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
