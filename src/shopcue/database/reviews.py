"""Reviews: what persons decide about focuses, who and when, and how it is undone.

A focus is `rejected`, or else it is `added` if a person added it, `corrected` if its product or span is not what was
found, `confirmed` if a person looked at it and it is. Every decision is kept with the focus before and after it, also
when the focus is gone: it teaches the next model.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from shopcue.database.focuses import UNREVIEWED, add_focus_event, check_span, doubt_of
from shopcue.database.rows import MAX_LIMIT, get_row
from shopcue.database.tables import Focus, Json, Review, Video
from shopcue.errors import Conflict, RecordError, Stale

ACTIONS = ("confirm", "reject", "replace", "move", "restore")
_DECISION = ("product_id", "title", "start_s", "end_s", "status")


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a person asks for, beside the action."""

    product_id: str | None = None
    title: str | None = None
    start_s: float | None = None
    end_s: float | None = None


def review_focus(
    session: Session,
    focus_id: str,
    action: str,
    who: str,
    role: str,
    product_id: str | None = None,
    title: str | None = None,
    start_s: float | None = None,
    end_s: float | None = None,
    version: int | None = None,
) -> Focus:
    """Carry out what a person decided about a focus and remember it.

    action: confirm; reject; replace (by `product_id` with its `title`); move (`start_s`, `end_s` or both, seconds);
    restore (take a rejection back). version: of the focus that the person saw; raises Stale if it is another by now.
    Raises Missing, Conflict if the action does not fit the focus, RecordError if a value is missing or out of range.
    """
    if action not in _APPLY:
        raise RecordError(f"the action is {action[:40]!r}, expected one of {', '.join(ACTIONS)}")
    focus = get_row(session, Focus, focus_id)
    if version is not None and version != focus.version:
        raise Stale(f"the focus {focus_id} is at version {focus.version}, you saw {version}; look at it again")
    before = _state(focus)
    _APPLY[action](session, focus, _Wish(product_id, title, start_s, end_s))
    _record(session, focus, action, before, who, role)
    return focus


def add_focus(
    session: Session, video: Video, product_id: str, title: str, start_s: float, end_s: float, who: str, role: str
) -> Focus:
    """Add a focus that was not found; start_s, end_s: seconds. Raises RecordError for a span outside the video."""
    start_s, end_s = check_span(video, start_s, end_s)
    now = time.time()
    box = [0.0, 0.0, float(video.width or 0), float(video.height or 0)]
    evidence = {"visual": 0.0, "text": 0.0, "comments": 0.0, "frame_s": (start_s + end_s) / 2, "box": box}
    focus = Focus(
        video_id=video.video_id,
        shop=video.shop,
        product_id=product_id,
        title=title,
        start_s=start_s,
        end_s=end_s,
        score=1.0,
        evidence={**evidence, "utterances": []},
        status="added",
        version=0,
        created_at=now,
        updated_at=now,
    )
    session.add(focus)
    session.flush()
    _record(session, focus, "add", {**_state(focus), "status": "rejected"}, who, role)
    return focus


def undo_review(session: Session, focus_id: str, who: str, role: str) -> Focus:
    """Take back the last decision about a focus that was not yet taken back; raises Missing, or Conflict if none is.

    Only what that decision changed goes back: a focus of a stream may have grown since. An added focus is rejected.
    """
    focus = get_row(session, Focus, focus_id)
    query = select(Review).where(Review.focus_id == focus_id, Review.action != "undo", Review.undone_by.is_(None))
    last = session.scalar(query.order_by(Review.review_id.desc()).limit(1))
    if last is None:
        raise Conflict(f"nobody has decided anything about the focus {focus_id} that is not undone already")
    before = _state(focus)
    for name in _DECISION:
        if last.before[name] != last.after[name]:
            setattr(focus, name, _before(last, name, focus.origin))
    focus.start_s = min(focus.start_s, focus.end_s)
    if focus.status in UNREVIEWED:
        focus.status = "open" if focus.is_open else "found"
    last.undone_by = _record(session, focus, "undo", before, who, role).review_id
    return focus


def list_reviews(
    session: Session,
    focus_id: str | None = None,
    shop: str | None = None,
    limit: int = 100,
    before: int | None = None,
) -> list[Review]:
    """Return the decisions about a focus or in a shop, newest first. before: the id of one after which to go on."""
    query = select(Review)
    for column, wanted in ((Review.focus_id, focus_id), (Review.shop, shop)):
        query = query if wanted is None else query.where(column == wanted)
    if before is not None:
        query = query.where(Review.review_id < before)
    return list(session.scalars(query.order_by(Review.review_id.desc()).limit(max(1, min(limit, MAX_LIMIT)))))


def review_histories(session: Session, shop: str, after: str = "", limit: int = 500) -> list[list[Review]]:
    """Return all that was decided about each of the next `limit` focuses of a shop, oldest first.

    after: the id of the focus after which to go on; they come in the order of their ids.
    """
    ids = select(Review.focus_id).where(Review.shop == shop, Review.focus_id > after).distinct()
    next_ids = ids.order_by(Review.focus_id).limit(limit)
    query = select(Review).where(Review.shop == shop, Review.focus_id.in_(next_ids))
    rows = session.scalars(query.order_by(Review.focus_id, Review.review_id))
    return [list(history) for _, history in groupby(rows, key=lambda review: review.focus_id)]


def count_reviewed(session: Session, video_id: str) -> int:
    """Return how many found focuses of a video persons have decided about: what a new match would throw away."""
    query = select(Focus.focus_id).where(
        Focus.video_id == video_id, Focus.origin.is_not(None), Focus.status.not_in(UNREVIEWED)
    )
    return len(session.scalars(query).all())


# ---- what an action does ---------------------------------------------------------------------------------------


def _confirm(_: Session, focus: Focus, __: _Wish) -> None:
    focus.status = _kept_status(focus)


def _reject(_: Session, focus: Focus, __: _Wish) -> None:
    if focus.status == "rejected":
        raise Conflict(f"the focus {focus.focus_id} is rejected already; restore it to take that back")
    focus.status = "rejected"


def _replace(_: Session, focus: Focus, wish: _Wish) -> None:
    if not wish.product_id:
        raise RecordError("a focus is to be replaced by no product, expected a product_id")
    focus.product_id, focus.title = wish.product_id, wish.title or wish.product_id
    focus.status = _kept_status(focus)


def _move(session: Session, focus: Focus, wish: _Wish) -> None:
    if wish.start_s is None and wish.end_s is None:
        raise RecordError("a focus is to be moved nowhere, expected start_s, end_s or both in seconds")
    start_s = focus.start_s if wish.start_s is None else wish.start_s
    end_s = focus.end_s if wish.end_s is None else wish.end_s
    focus.start_s, focus.end_s = check_span(get_row(session, Video, focus.video_id), start_s, end_s)
    focus.status = _kept_status(focus)


def _restore(_: Session, focus: Focus, __: _Wish) -> None:
    if focus.status != "rejected":
        raise Conflict(f"the focus {focus.focus_id} is {focus.status}, only a rejected one can be restored")
    kept = _kept_status(focus)
    focus.status = kept if kept != "confirmed" else "open" if focus.is_open else "found"


_APPLY: dict[str, Callable[[Session, Focus, _Wish], None]] = dict(
    zip(ACTIONS, (_confirm, _reject, _replace, _move, _restore), strict=True)
)


def _kept_status(focus: Focus) -> str:
    """Return the status of a focus that a person looked at and did not reject."""
    if focus.origin is None:
        return "added"
    as_found = all(focus.origin[name] == getattr(focus, name) for name in ("product_id", "start_s", "end_s"))
    return "confirmed" if as_found else "corrected"


def _before(review: Review, name: str, origin: Json | None) -> Any:
    """Return what a decision took away: what was found is by now what the stream has found since."""
    value, found = review.before[name], review.before["found"]
    if origin is None or found is None or name not in found or found[name] != value:
        return value
    return origin[name]


def _state(focus: Focus) -> Json:
    """Return what a decision is about, what was found then, and where the product is best seen."""
    state: dict[str, Any] = {name: getattr(focus, name) for name in _DECISION}
    return {**state, "found": focus.origin, "frame_s": focus.evidence["frame_s"], "box": focus.evidence["box"]}


def _record(session: Session, focus: Focus, action: str, before: Json, who: str, role: str) -> Review:
    """Count the version on, remember the decision, and tell it."""
    now = time.time()
    focus.version += 1
    focus.updated_at = now
    unreviewed = focus.status in UNREVIEWED
    focus.doubt = doubt_of(focus.score, (other["score"] for other in focus.alternatives)) if unreviewed else 0.0
    review = Review(
        focus_id=focus.focus_id,
        video_id=focus.video_id,
        shop=focus.shop,
        action=action,
        before=before,
        after=_state(focus),
        who=who,
        role=role,
        at=now,
    )
    session.add(review)
    session.flush()
    add_focus_event(session, "focus.review", focus)
    return review
