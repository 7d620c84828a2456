"""Videos: recordings that are matched, and what is shown of them."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import urlsplit

from fastapi import APIRouter
from sqlalchemy.orm import Session

from shopcue.database import jobs, uploads, videos, words
from shopcue.database.tables import Video as VideoRow
from shopcue.errors import Conflict
from shopcue.server.addresses import WEB, check_address
from shopcue.server.auth import Parts, SignedIn, readable_shop, readable_video, writable_shop, writable_video
from shopcue.server.placing import forget_bytes, forget_video, look_into, place_media, title_of
from shopcue.server.problems import CHANGES, READS, Unfit
from shopcue.server.schemas import (
    Comment,
    JobAnswer,
    NewMatch,
    NewVideo,
    Utterance,
    Video,
    VideoAnswer,
    VideoChange,
    Videos,
    Words,
)
from shopcue.server.schemas.shapes import Identity, Limit, ShopName, VideoState
from shopcue.server.services import Services
from shopcue.server.views import view_job, view_videos

router = APIRouter(tags=["videos"])


@router.get("/api/shops/{shop}/videos", responses=READS)
def list_all(
    shop: ShopName,
    who: SignedIn,
    parts: Parts,
    state: VideoState | None = None,
    kind: Literal["recording", "stream"] | None = None,
    limit: Limit = 50,
    before: Identity | None = None,
) -> Videos:
    """List the recordings and streams of a shop, the newest first."""
    with parts.database.read() as session:
        readable_shop(session, who, shop)
        if before is not None:
            readable_video(session, who, before)
        page = videos.list_videos(session, shop, state, kind, limit, before)
        return Videos(videos=view_videos(parts, session, page.rows), next=page.next)


@router.post("/api/shops/{shop}/videos", status_code=201, responses=CHANGES)
def add(shop: ShopName, body: NewVideo, who: SignedIn, parts: Parts) -> VideoAnswer:
    """Take in a recording, from an upload or an address, and queue the job that matches it."""
    with parts.database.read() as session:
        writable_shop(session, who, shop)
    if body.upload_id is not None and body.url is None:
        return _add_upload(parts, shop, body.upload_id, body)
    if body.url is not None and body.upload_id is None:
        return _add_address(parts, shop, body.url, body)
    raise Unfit("expected exactly one of upload_id and url")


def _add_upload(parts: Services, shop: str, upload_id: str, body: NewVideo) -> VideoAnswer:
    upload, size = look_into(parts, shop, upload_id)
    video_id = ""
    try:
        with parts.database.write() as session:
            uploads.use_upload(session, upload_id, shop, "video")
            title = body.title or title_of(upload.name)
            video_id = videos.add_video(session, shop, "recording", title, upload.name).video_id
            videos.change_video(session, video_id, **size)
            place_media(parts, upload, video_id)
            answer = _queue(parts, session, video_id, {"upload_id": upload_id, "name": upload.name}, body)
    except BaseException:
        if video_id:
            forget_video(parts, video_id)
        raise
    forget_bytes(parts, upload_id)
    return answer


def _add_address(parts: Services, shop: str, url: str, body: NewVideo) -> VideoAnswer:
    check_address(url, WEB, allow_private=parts.settings.allow_private)
    with parts.database.write() as session:
        title = body.title or title_of(url.partition("?")[0])
        video = videos.add_video(session, shop, "recording", title, url)
        return _queue(parts, session, video.video_id, {"url": url}, body)


def _queue(parts: Services, session: Session, video_id: str, source: dict[str, Any], body: NewVideo) -> VideoAnswer:
    """Queue the job of a new video, with the uploads of words that go with it."""
    video = videos.get_video(session, video_id)
    for kind, upload_id in (("speech", body.speech_upload_id), ("comments", body.comments_upload_id)):
        if upload_id is not None:
            uploads.use_upload(session, upload_id, video.shop, kind)
    asked = body.model_dump(include={"speech", "method", "speech_upload_id", "comments_upload_id"})
    job = jobs.add_job(session, "match", video.shop, source | asked, video_id)
    return VideoAnswer(video=view_videos(parts, session, [video])[0], job=view_job(job))


@router.get("/api/videos/{video_id}", responses=READS)
def show(video_id: Identity, who: SignedIn, parts: Parts) -> Video:
    """Show a video."""
    with parts.database.read() as session:
        return view_videos(parts, session, [readable_video(session, who, video_id)])[0]


@router.patch("/api/videos/{video_id}", responses=CHANGES)
def change(video_id: Identity, body: VideoChange, who: SignedIn, parts: Parts) -> Video:
    """Call a video something else, publish it, or take it back."""
    fields = body.model_dump(exclude_none=True)
    with parts.database.write() as session:
        writable_video(session, who, video_id)
        return view_videos(parts, session, [videos.change_video(session, video_id, **fields)])[0]


@router.delete("/api/videos/{video_id}", status_code=204, responses=CHANGES)
def delete(video_id: Identity, who: SignedIn, parts: Parts) -> None:
    """Delete a video with its focuses, reviews and files."""
    with parts.database.write() as session:
        writable_video(session, who, video_id)
        videos.delete_video(session, video_id)
    forget_video(parts, video_id)


@router.post("/api/videos/{video_id}/match", status_code=202, responses=CHANGES)
def match(video_id: Identity, body: NewMatch, who: SignedIn, parts: Parts) -> JobAnswer:
    """Match a recording anew, against the catalogue as it is now."""
    with parts.database.write() as session:
        video = writable_video(session, who, video_id)
        if video.kind != "recording":
            raise Conflict(f"the video {video_id} is a stream, which is matched while it is on; start it instead")
        if videos.count_focuses(session, [video_id])[video_id].reviewed and not body.replace:
            raise Conflict(f'the video {video_id} has reviewed focuses; send {{"replace": true}} to drop them')
        former = jobs.latest_jobs(session, [video_id]).get(video_id)
        payload = _source(video) if former is None else dict(former.payload)
        payload |= body.model_dump(exclude_none=True)
        return JobAnswer(job=view_job(jobs.add_job(session, "match", video.shop, payload, video_id)))


def _source(video: VideoRow) -> dict[str, Any]:
    """Return where a job finds a video whose former jobs are forgotten; what is here already is not looked for."""
    return {"url": video.source} if urlsplit(video.source).scheme in WEB else {"name": video.source}


@router.get("/api/videos/{video_id}/words", responses=READS)
def list_words(video_id: Identity, who: SignedIn, parts: Parts) -> Words:
    """List what was said and written in a video, in order of time."""
    with parts.database.read() as session:
        readable_video(session, who, video_id)
        said, written = words.list_utterances(session, video_id), words.list_comments(session, video_id)
    return Words(
        utterances=[Utterance.model_validate(each) for each in said],
        comments=[Comment.model_validate(each) for each in written],
    )
