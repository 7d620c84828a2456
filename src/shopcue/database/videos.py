"""Videos: recordings and live streams, and what was said and written in them."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from shopcue.database.events import add_event
from shopcue.database.rows import Page, get_row, newest_first
from shopcue.database.tables import Focus, Video
from shopcue.database.texts import iso_time
from shopcue.errors import RecordError

RECORDING_STATES = ("new", "matching", "ready", "failed")
STREAM_STATES = ("stopped", "starting", "live", "reconnecting", "failed")
LIVE_STATES = ("starting", "live", "reconnecting")
_STATES = {"recording": RECORDING_STATES, "stream": STREAM_STATES}
_CHANGEABLE = frozenset(
    ("title", "source", "playback_url", "duration_s", "width", "height", "state", "wanted", "published", "heard")
) | {"models", "matched_at", "error", "health", "reached_at"}
DOUBTFUL = 0.5
"""From which doubt on a focus is worth a person's look."""


@dataclass(frozen=True, slots=True)
class VideoCounts:
    """How many videos a shop has, and how many of them are live streams that are on now."""

    videos: int = 0
    live_streams: int = 0


@dataclass(frozen=True, slots=True)
class FocusCounts:
    """How many focuses a video has, rejected ones too; how many of them are doubtful, and how many were reviewed."""

    total: int = 0
    doubtful: int = 0
    reviewed: int = 0


def add_video(
    session: Session,
    shop: str,
    kind: str,
    title: str,
    source: str,
    playback_url: str | None = None,
    wanted: bool = False,
    listened: bool = False,
    recorded: bool = True,
) -> Video:
    """Add a recording or a stream of a shop. source: a path or an address.

    Of a stream: wanted: whether it is to start. listened: whether its speech is to be recognised. recorded: whether it
    is to be kept as it comes.
    """
    if kind not in _STATES:
        raise RecordError(f"the kind of a video is {kind[:40]!r}, expected recording or stream")
    now = time.time()
    video = Video(
        shop=shop,
        kind=kind,
        title=title,
        source=source,
        playback_url=playback_url,
        state=_STATES[kind][0],
        wanted=wanted,
        listened=listened,
        recorded=recorded,
        created_at=now,
        updated_at=now,
    )
    session.add(video)
    session.flush()
    _tell(session, video)
    return video


def get_video(session: Session, video_id: str) -> Video:
    """Return a video; raises Missing."""
    return get_row(session, Video, video_id)


def list_videos(
    session: Session,
    shop: str | None = None,
    state: str | None = None,
    kind: str | None = None,
    limit: int = 50,
    before: str | None = None,
) -> Page[Video]:
    """Return videos, the newest first. before: the id of a video after which the list goes on."""
    query = select(Video)
    for column, wanted in ((Video.shop, shop), (Video.state, state), (Video.kind, kind)):
        query = query if wanted is None else query.where(column == wanted)
    return newest_first(session, Video, query, (Video.created_at, Video.video_id), limit, before)


def change_video(session: Session, video_id: str, /, **fields: Any) -> Video:
    """Change columns of a video and tell it to the pages, unless nothing changes; raises Missing or RecordError."""
    video = get_row(session, Video, video_id)
    if unknown := fields.keys() - _CHANGEABLE:
        raise RecordError(f"a video has no {', '.join(sorted(unknown))} to change, expected {sorted(_CHANGEABLE)}")
    states = _STATES[video.kind]
    if fields.get("state", video.state) not in states:
        raise RecordError(f"the state of a {video.kind} is {fields['state']!r}, expected one of {', '.join(states)}")
    changed = {name: value for name, value in fields.items() if getattr(video, name) != value}
    for name, value in changed.items():
        setattr(video, name, value)
    if changed:
        video.updated_at = time.time()
        _tell(session, video)
    return video


def delete_video(session: Session, video_id: str) -> None:
    """Delete a video with its focuses, reviews, words and jobs; raises Missing. Its last event says `deleted`."""
    video = get_row(session, Video, video_id)
    data = {**video_fields(video), "deleted": True}
    session.delete(video)
    add_event(session, _event_type(video), video.shop, video.video_id, data=data)


def wanted_streams(session: Session) -> list[Video]:
    """Return the streams that are to run, oldest first."""
    query = select(Video).where(Video.kind == "stream", Video.wanted)
    return list(session.scalars(query.order_by(Video.created_at, Video.video_id)))


def count_videos(session: Session, shops: Collection[str]) -> dict[str, VideoCounts]:
    """Return how many videos each of some shops has."""
    live = func.sum(case((Video.state.in_(LIVE_STATES), 1), else_=0))
    query = select(Video.shop, func.count(), live).where(Video.shop.in_(shops)).group_by(Video.shop)
    found = {shop: VideoCounts(int(videos), int(on)) for shop, videos, on in session.execute(query)}
    return {shop: found.get(shop, VideoCounts()) for shop in shops}


def count_focuses(session: Session, video_ids: Collection[str]) -> dict[str, FocusCounts]:
    """Return how many focuses each of some videos has."""
    doubtful = func.sum(case((Focus.doubt >= DOUBTFUL, 1), else_=0))
    reviewed = func.sum(case((Focus.status.in_(("open", "found")), 0), else_=1))
    query = select(Focus.video_id, func.count(), doubtful, reviewed).where(Focus.video_id.in_(video_ids))
    found = {
        video: FocusCounts(*map(int, counts)) for video, *counts in session.execute(query.group_by(Focus.video_id))
    }
    return {video: found.get(video, FocusCounts()) for video in video_ids}


def video_fields(video: Video) -> dict[str, Any]:
    """Return what events say about a video: the API's fields that stand in its row."""
    return {
        "video_id": video.video_id,
        "shop": video.shop,
        "kind": video.kind,
        "title": video.title,
        "state": video.state,
        "duration_s": video.duration_s,
        "width": video.width,
        "height": video.height,
        "published": video.published,
        "playback_url": video.playback_url,
        "error": video.error,
        "recorded": video.kind == "stream" and video.recorded,
        "health": video.health,
        "created_at": iso_time(video.created_at),
    }


def _tell(session: Session, video: Video) -> None:
    add_event(session, _event_type(video), video.shop, video.video_id, data=video_fields(video))


def _event_type(video: Video) -> str:
    return "stream.update" if video.kind == "stream" else "video.update"
