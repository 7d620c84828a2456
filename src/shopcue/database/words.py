"""What is said and written in a video: utterances and comments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from shopcue import records
from shopcue.database.rows import get_row
from shopcue.database.tables import Comment, Utterance, Video
from shopcue.errors import Conflict

MAX_COMMENTS = 500_000
"""How many comments of one video are kept: more than ten a second for half a day."""
_AT_ONCE = 1_000


def put_utterances(session: Session, video_id: str, utterances: Iterable[records.Utterance]) -> None:
    """Keep what was recognised in a whole recording, in place of what was kept before; marks the video as heard."""
    get_row(session, Video, video_id).heard = True
    session.execute(delete(Utterance).where(Utterance.video_id == video_id))
    add_utterances(session, video_id, utterances)


def add_utterances(session: Session, video_id: str, utterances: Iterable[records.Utterance]) -> None:
    """Keep what was just said in a stream."""
    rows = [
        {"video_id": video_id, "start_s": float(said.start_s), "end_s": float(said.end_s), "text": said.text}
        for said in utterances
    ]
    for at in range(0, len(rows), _AT_ONCE):
        session.execute(insert(Utterance), rows[at : at + _AT_ONCE])


def add_comments(session: Session, video_id: str, comments: Sequence[records.Comment]) -> None:
    """Keep what viewers wrote; raises Missing, or Conflict when a video would have more than `MAX_COMMENTS`."""
    get_row(session, Video, video_id)
    there = session.scalar(select(func.count()).where(Comment.video_id == video_id)) or 0
    if there + len(comments) > MAX_COMMENTS:
        raise Conflict(f"the video {video_id} would have more than {MAX_COMMENTS:,} comments; send no more")
    rows = [
        {"video_id": video_id, "time_s": float(said.time_s), "user": said.user, "text": said.text} for said in comments
    ]
    for at in range(0, len(rows), _AT_ONCE):
        session.execute(insert(Comment), rows[at : at + _AT_ONCE])


def put_comments(session: Session, video_id: str, comments: Sequence[records.Comment]) -> None:
    """Keep the comments of a recording in place of those that were kept before; raises as `add_comments`."""
    session.execute(delete(Comment).where(Comment.video_id == video_id))
    add_comments(session, video_id, comments)


def list_utterances(
    session: Session, video_id: str, start_s: float | None = None, end_s: float | None = None, limit: int | None = None
) -> list[records.Utterance]:
    """Return the utterances that touch [start_s, end_s), in order of time."""
    query = select(Utterance).where(Utterance.video_id == video_id)
    if start_s is not None:
        query = query.where(Utterance.end_s > start_s)
    if end_s is not None:
        query = query.where(Utterance.start_s < end_s)
    rows = session.scalars(query.order_by(Utterance.start_s, Utterance.utterance_id).limit(limit))
    return [records.Utterance(row.start_s, row.end_s, row.text) for row in rows]


def list_comments(
    session: Session, video_id: str, start_s: float | None = None, end_s: float | None = None, limit: int | None = None
) -> list[records.Comment]:
    """Return the comments of [start_s, end_s), in order of time."""
    query = select(Comment).where(Comment.video_id == video_id)
    if start_s is not None:
        query = query.where(Comment.time_s >= start_s)
    if end_s is not None:
        query = query.where(Comment.time_s < end_s)
    rows = session.scalars(query.order_by(Comment.time_s, Comment.comment_id).limit(limit))
    return [records.Comment(row.time_s, row.user, row.text) for row in rows]


def last_comment(session: Session, video_id: str) -> int:
    """Return the number of the latest comment of a video, 0 if it has none: where `comments_after` goes on."""
    return session.scalar(select(func.max(Comment.comment_id)).where(Comment.video_id == video_id)) or 0


def comments_after(
    session: Session, video_id: str, after: int, limit: int = 1_000
) -> list[tuple[int, records.Comment]]:
    """Return (number, comment) of those that arrived after the one with the number `after`, for a stream's worker."""
    query = select(Comment).where(Comment.video_id == video_id, Comment.comment_id > after)
    rows = session.scalars(query.order_by(Comment.comment_id).limit(limit))
    return [(row.comment_id, records.Comment(row.time_s, row.user, row.text)) for row in rows]
