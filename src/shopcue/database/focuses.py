"""Focuses: what was found in a video, live or in a recording, and what persons made of it."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from shopcue import records
from shopcue.database.events import add_event
from shopcue.database.rows import get_row
from shopcue.database.tables import Focus, Json, Video
from shopcue.database.videos import change_video
from shopcue.errors import Conflict, RecordError

UNREVIEWED = ("open", "found")
STATUSES = (*UNREVIEWED, "confirmed", "rejected", "corrected", "added")

Titles = Mapping[str, str]
"""The titles of products by their ids, for the alternatives of a focus."""


def put_focuses(
    session: Session,
    video: Video,
    focuses: Sequence[records.Focus],
    models: Mapping[str, str] | None = None,
    titles: Titles | None = None,
    *,
    replace_reviewed: bool = False,
) -> list[Focus]:
    """Keep what was found in a whole recording, in place of what was found before; the video is ready then.

    models: what each model was, name -> fingerprint. Focuses that persons added stay. Raises Conflict if persons
    reviewed what was found before, unless `replace_reviewed`; their reviews stay in either case.
    """
    found_before = (Focus.video_id == video.video_id, Focus.origin.is_not(None))
    if not replace_reviewed:
        query = select(func.count()).where(*found_before, Focus.status.not_in(UNREVIEWED))
        if reviewed := session.scalar(query):
            raise Conflict(f"{reviewed} focuses of the video {video.video_id} were reviewed; ask to replace them")
    session.execute(delete(Focus).where(*found_before))
    rows = [_new_row(video, focus, "found", titles or {}) for focus in focuses]
    session.add_all(rows)
    session.flush()
    add_event(session, "focuses.put", video.shop, video.video_id, data={"count": len(rows)})
    if video.kind == "recording":
        matched = {"models": dict(models or {}), "matched_at": time.time()}
        change_video(session, video.video_id, state="ready", error="", **matched)
    return rows


# ---- live ------------------------------------------------------------------------------------------------------


def save_open(
    session: Session,
    video: Video,
    focus: records.Focus,
    focus_id: str | None = None,
    media_s: float | None = None,
    titles: Titles | None = None,
) -> Focus:
    """Keep a focus of a stream that is still on: a new one, or what is now known of the one with this id.

    media_s: where the stream is now. What a person changed stays; the rest follows the stream. Raises Missing.
    """
    if focus_id is None:
        row = _new_row(video, focus, "open", titles or {})
        session.add(row)
    else:
        row = get_row(session, Focus, focus_id)
        _follow(row, focus, titles or {})
    session.flush()
    add_focus_event(session, "focus.open" if focus_id is None else "focus.update", row, media_s)
    return row


def close_focus(
    session: Session,
    focus_id: str,
    focus: records.Focus | None = None,
    media_s: float | None = None,
    titles: Titles | None = None,
) -> Focus:
    """End a focus of a stream, with its last state if given; raises Missing."""
    row = get_row(session, Focus, focus_id)
    if focus is not None:
        _follow(row, focus, titles or {})
    _close(row)
    session.flush()
    add_focus_event(session, "focus.close", row, media_s)
    return row


def revise_focus(
    session: Session,
    focus_id: str,
    focus: records.Focus | None,
    media_s: float | None = None,
    titles: Titles | None = None,
) -> Focus | None:
    """Change a focus of a stream by what was seen later; None withdraws it, unless a person has reviewed it.

    A withdrawn one is deleted, and its last event says status `withdrawn`. Raises Missing.
    """
    row = get_row(session, Focus, focus_id)
    if focus is not None:
        _follow(row, focus, titles or {})
        session.flush()
        add_focus_event(session, "focus.revise", row, media_s)
        return row
    if row.status not in UNREVIEWED:
        _close(row)
        add_focus_event(session, "focus.close", row, media_s)
        return row
    data = {**focus_fields(row), "status": "withdrawn"}
    session.delete(row)
    session.flush()
    add_event(session, "focus.revise", row.shop, row.video_id, media_s, data)
    return None


def settle_focus(session: Session, focus_id: str, focus: records.Focus, titles: Titles | None = None) -> Focus:
    """Keep how a focus of a stream stays, without an event: it differs from what was told by nothing that is news."""
    row = get_row(session, Focus, focus_id)
    _follow(row, focus, titles or {})
    if row.is_open:
        _close(row)
    return row


def close_open_focuses(session: Session, video_id: str, media_s: float | None = None) -> list[Focus]:
    """End all focuses of a stream that are still on, because the stream ended or its worker did."""
    rows = list_open(session, video_id)
    for row in rows:
        close_focus(session, row.focus_id, media_s=media_s)
    return rows


def list_open(session: Session, video_id: str) -> list[Focus]:
    """Return the focuses of a stream that are still on, in order of start."""
    query = select(Focus).where(Focus.video_id == video_id, Focus.is_open)
    return list(session.scalars(query.order_by(Focus.start_s, Focus.focus_id)))


# ---- reading ---------------------------------------------------------------------------------------------------


def get_focus(session: Session, focus_id: str) -> Focus:
    """Return a focus; raises Missing."""
    return get_row(session, Focus, focus_id)


def list_focuses(
    session: Session, video_id: str, include_rejected: bool = False, order: Literal["start", "doubt"] = "start"
) -> list[Focus]:
    """Return the focuses of a video in order of time, or the most doubtful first."""
    query = select(Focus).where(Focus.video_id == video_id)
    if not include_rejected:
        query = query.where(Focus.status != "rejected")
    by_time = (Focus.start_s, Focus.end_s, Focus.product_id, Focus.focus_id)
    return list(session.scalars(query.order_by(*((Focus.doubt.desc(),) if order == "doubt" else ()), *by_time)))


def shown_at(
    session: Session, shop: str, product_ids: Collection[str], limit: int = 20
) -> dict[str, list[tuple[str, float, float]]]:
    """Return when each of some products is on screen: (video_id, start_s, end_s), newest videos first.

    At most `limit` for each product; rejected focuses do not count.
    """
    place = func.row_number().over(
        partition_by=Focus.product_id, order_by=(Video.created_at.desc(), Focus.video_id, Focus.start_s)
    )
    shown = (
        select(Focus.product_id, Focus.video_id, Focus.start_s, Focus.end_s, place.label("place"))
        .join(Video, Video.video_id == Focus.video_id)
        .where(Focus.shop == shop, Focus.product_id.in_(product_ids), Focus.status != "rejected")
        .subquery()
    )
    query = select(shown).where(shown.c.place <= limit).order_by(shown.c.product_id, shown.c.place)
    found: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
    for product_id, video_id, start_s, end_s, _ in session.execute(query):
        found[product_id].append((video_id, start_s, end_s))
    return {product_id: found[product_id] for product_id in product_ids}


def shown_products(session: Session, shop: str) -> set[str]:
    """Return the ids of the products of a shop that are on screen in any of its videos."""
    query = select(Focus.product_id).where(Focus.shop == shop, Focus.status != "rejected").distinct()
    return set(session.scalars(query))


def focus_fields(focus: Focus) -> dict[str, Any]:
    """Return what the API and the events say about a focus; end_s is None while the product is still on screen."""
    shop, product_id = quote(focus.shop, safe=""), quote(focus.product_id, safe="")
    return {
        "focus_id": focus.focus_id,
        "video_id": focus.video_id,
        "product_id": focus.product_id,
        "title": focus.title,
        "start_s": focus.start_s,
        "end_s": None if focus.is_open else focus.end_s,
        "score": focus.score,
        "evidence": focus.evidence,
        "alternatives": focus.alternatives,
        "status": focus.status,
        "open": focus.is_open,
        "version": focus.version,
        "doubt": focus.doubt,
        "picture": f"/api/shops/{shop}/products/{product_id}/pictures/0",
        "found": focus.origin and {name: focus.origin[name] for name in ("product_id", "start_s", "end_s")},
    }


def to_record(focus: Focus) -> records.Focus:
    """Return a focus as the exports take it."""
    evidence = focus.evidence
    said = tuple(records.Utterance(u["start_s"], u["end_s"], u["text"]) for u in evidence["utterances"])
    parts = (evidence["visual"], evidence["text"], evidence["comments"], evidence["frame_s"])
    left, top, right, bottom = evidence["box"]
    others = tuple(records.Alternative(other["product_id"], other["score"]) for other in focus.alternatives)
    return records.Focus(
        focus.product_id,
        focus.title,
        focus.start_s,
        focus.end_s,
        focus.score,
        records.Evidence(*parts, (left, top, right, bottom), said),
        others,
    )


# ---- rules -----------------------------------------------------------------------------------------------------


def doubt_of(score: float, others: Iterable[float]) -> float:
    """Return how little a score stands out from the best other one: 1 - margin, in [0, 1]."""
    return 1.0 - min(max(score - max(others, default=0.0), 0.0), 1.0)


def add_focus_event(session: Session, type: str, focus: Focus, media_s: float | None = None) -> None:
    """Tell what a focus is now, as part of the transaction that changed it."""
    add_event(session, type, focus.shop, focus.video_id, media_s, focus_fields(focus))


def check_span(video: Video, start_s: float, end_s: float) -> tuple[float, float]:
    """Return a span that a person gave, cut at the end of the video; raises RecordError for one that holds nothing."""
    end_s = end_s if video.duration_s is None else min(end_s, video.duration_s)
    if not (math.isfinite(start_s) and math.isfinite(end_s) and 0 <= start_s < end_s):
        length = "" if video.duration_s is None else f" of {video.duration_s:g} s"
        raise RecordError(f"the span is [{start_s}, {end_s}), expected 0 <= start_s < end_s within the video{length}")
    return start_s, end_s


def _new_row(video: Video, focus: records.Focus, status: str, titles: Titles) -> Focus:
    now = time.time()
    return Focus(
        video_id=video.video_id,
        shop=video.shop,
        product_id=focus.product_id,
        title=focus.title,
        start_s=float(focus.start_s),
        end_s=float(focus.end_s),
        score=float(focus.score),
        evidence=_evidence(focus.evidence),
        alternatives=_alternatives(focus, titles),
        status=status,
        is_open=status == "open",
        doubt=doubt_of(float(focus.score), (float(other.score) for other in focus.alternatives)),
        origin=_origin(focus),
        created_at=now,
        updated_at=now,
    )


def _follow(row: Focus, focus: records.Focus, titles: Titles) -> None:
    """Bring a row up to date with the stream, except for what a person decided otherwise."""
    origin = row.origin or {}
    moved_start, moved_end = row.start_s != origin.get("start_s"), row.end_s != origin.get("end_s")
    end_s = row.end_s if moved_end else float(focus.end_s)
    start_s = row.start_s if moved_start else min(float(focus.start_s), end_s)
    row.start_s, row.end_s = start_s, max(start_s, end_s)
    if row.product_id == origin.get("product_id") != focus.product_id:
        row.product_id = focus.product_id
        row.version += 1  # who reviews now has seen another product
    if row.product_id == focus.product_id:
        row.title = focus.title
    row.score = float(focus.score)
    row.evidence = _evidence(focus.evidence)
    row.alternatives = _alternatives(focus, titles)
    row.origin = _origin(focus)
    if row.status in UNREVIEWED:
        row.doubt = doubt_of(row.score, (other["score"] for other in row.alternatives))
    row.updated_at = time.time()


def _close(row: Focus) -> None:
    row.is_open = False
    if row.status == "open":
        row.status = "found"
    row.updated_at = time.time()


def _origin(focus: records.Focus) -> Json:
    span = {"start_s": float(focus.start_s), "end_s": float(focus.end_s)}
    return {"product_id": focus.product_id, "title": focus.title, **span}


def _evidence(evidence: records.Evidence) -> Json:
    return {
        "visual": float(evidence.visual),
        "text": float(evidence.text),
        "comments": float(evidence.comments),
        "frame_s": float(evidence.frame_s),
        "box": [float(edge) for edge in evidence.box],
        "utterances": [
            {"start_s": float(said.start_s), "end_s": float(said.end_s), "text": said.text}
            for said in evidence.utterances
        ],
    }


def _alternatives(focus: records.Focus, titles: Titles) -> list[Json]:
    return [
        {"product_id": other.product_id, "score": float(other.score), "title": titles.get(other.product_id, "")}
        for other in focus.alternatives
    ]
