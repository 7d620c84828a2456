"""What the streams under test look for and tell it to: a shop, and a sink that keeps everything."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from shopcue.announcing import Announcement
from shopcue.engine import State
from shopcue.records import Comment, Focus, Gallery, Utterance

Span = tuple[str, float, float]


@dataclass
class Fixed:
    """A shop on air that changes when it is told to."""

    gallery: Gallery
    coming: Gallery | None = None

    def refresh(self) -> bool:
        if self.coming is None:
            return False
        self.gallery, self.coming = self.coming, None
        return True


@dataclass
class Kept:
    """A sink that keeps what it is told, and says what it was given.

    news: with the time of the stream at which it came. states: state, problem. live_s: when the stream came on air,
    each time, of the monotonic clock. left: set when a connection is over, ended: when the stream is.
    """

    said: list[Utterance] = field(default_factory=list)
    news: list[tuple[float, Announcement]] = field(default_factory=list)
    states: list[tuple[State, str]] = field(default_factory=list)
    listened: list[Utterance] = field(default_factory=list)
    live_s: list[float] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def announce(self, news: Sequence[Announcement], now_s: float) -> None:
        self.news += [(now_s, each) for each in news]

    def state(self, state: State, problem: str) -> None:
        self.states.append((state, problem))
        if state == "live":
            self.live_s.append(time.monotonic())
        if state in ("reconnecting", "stopped", "failed"):
            self.left.set()
        if state in ("stopped", "failed"):
            self.ended.set()

    def words(self) -> Iterable[Utterance | Comment]:
        said, self.said = self.said, []
        return said

    def heard(self, utterances: Sequence[Utterance]) -> None:
        self.listened += utterances

    def focuses(self) -> list[Focus]:
        """What stands in the end, for one who applied all the news in order."""
        found: dict[int, Focus] = {}
        for _, each in self.news:
            assert (each.kind == "open") == (each.number not in found), f"{each.kind} of {each.number} is out of order"
            found[each.number] = each.focus
            if each.kind == "withdraw":
                del found[each.number]
        return sorted(found.values(), key=lambda focus: focus.start_s)


def applied(events: Iterable[dict[str, Any]]) -> list[Span]:
    """What a program has in the end that reads the events of `shopcue live`, by start.

    No focus opens twice, and none stays open.
    """
    found: dict[str, dict[str, Any]] = {}
    for event in events:
        if event["type"].startswith("focus."):
            data = event["data"]
            assert (event["type"] == "focus.open") == (data["focus_id"] not in found)
            found[data["focus_id"]] = data
            if data["status"] == "withdrawn":
                del found[data["focus_id"]]
    assert all(data["status"] == "found" for data in found.values())
    return sorted(((d["product_id"], d["start_s"], d["end_s"]) for d in found.values()), key=lambda span: span[1])


def spans(focuses: Sequence[Focus]) -> list[Span]:
    return [(focus.product_id, focus.start_s, focus.end_s) for focus in focuses]


def near(found: list[Span], expected: list[Span], within_s: float) -> bool:
    """Whether the same products are shown in the same order, with ends that differ by no more than that."""
    return [product for product, *_ in found] == [product for product, *_ in expected] and all(
        abs(a - b) <= within_s
        for ours, theirs in zip(found, expected, strict=True)
        for a, b in zip(ours[1:], theirs[1:], strict=True)
    )


def outside(found: list[Span], stretch: tuple[float, float]) -> list[Span]:
    """What is found, less what lies in a stretch: a focus across it is two then."""
    start_s, end_s = stretch
    parts = [(product, a, min(b, start_s)) for product, a, b in found if a < start_s]
    return parts + [(product, max(a, end_s), b) for product, a, b in found if b > end_s]
