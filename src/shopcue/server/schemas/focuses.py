"""Focuses, their review, and what a search finds."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from shopcue.server.schemas.shapes import Box, FocusStatus, Incoming, Instant, Outgoing, ProductName, Seconds
from shopcue.server.schemas.videos import Utterance


class Alternative(Outgoing):
    """Another product that a focus may show."""

    product_id: str
    score: float
    title: str


class Evidence(Outgoing):
    """Why a focus was found: parts of the log odds, the best frame, the place in it, and what was said."""

    visual: float
    text: float
    comments: float
    frame_s: float
    box: Box
    utterances: list[Utterance]


class Found(Outgoing):
    """A focus as it was before anyone changed it."""

    product_id: str
    start_s: float
    end_s: float | None


class Focus(Outgoing):
    """A product is on screen from start_s to end_s (null while that goes on).

    doubt in [0, 1]: how much it needs a look, 0 where it was reviewed. picture: the address of the product's picture.
    """

    focus_id: str
    video_id: str
    product_id: str
    title: str
    start_s: float
    end_s: float | None
    score: float
    evidence: Evidence | None
    alternatives: list[Alternative]
    status: FocusStatus
    version: int
    doubt: float
    picture: str | None
    found: Found | None


class Focuses(Outgoing):
    """The focuses of a video."""

    focuses: list[Focus]


class NewFocus(Incoming):
    """A focus that was missed."""

    product_id: ProductName
    start_s: Seconds
    end_s: Seconds


class NewReview(Incoming):
    """A decision on a focus; version: the one that was looked at, to notice that someone else changed it."""

    action: Literal["confirm", "reject", "replace", "move", "restore"]
    product_id: ProductName | None = None
    start_s: Seconds | None = None
    end_s: Seconds | None = None
    version: int | None = Field(default=None, ge=0, le=1 << 31)


class Review(Outgoing):
    """A decision that was made; undone: whether it was taken back."""

    review_id: int
    focus_id: str
    video_id: str
    action: Literal["confirm", "reject", "replace", "move", "add", "restore", "undo"]
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    who: str
    at: Instant
    undone: bool


class Reviews(Outgoing):
    """Decisions, the newest first."""

    reviews: list[Review]


class Hit(Outgoing):
    """A product that a search found."""

    product_id: str
    title: str
    score: float
    picture: str | None
    price: str


class Hits(Outgoing):
    """What a search found, the best first."""

    results: list[Hit]
