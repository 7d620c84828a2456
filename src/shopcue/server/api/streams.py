"""Live streams: added, started, stopped, and told what viewers write."""

from __future__ import annotations

from fastapi import APIRouter

from shopcue import records
from shopcue.database import videos, words
from shopcue.database.tables import Video as VideoRow
from shopcue.errors import Conflict
from shopcue.server.addresses import RECORDING, WEB, check_address, check_stream
from shopcue.server.auth import Parts, Principal, SignedIn, writable_shop, writable_video
from shopcue.server.problems import CHANGES
from shopcue.server.schemas import NewComments, NewStream, Taken, Video
from shopcue.server.schemas.shapes import Identity, ShopName
from shopcue.server.services import Services
from shopcue.server.views import view_videos

router = APIRouter(tags=["streams"])


@router.post("/api/shops/{shop}/streams", status_code=201, responses=CHANGES)
def add(shop: ShopName, body: NewStream, who: SignedIn, parts: Parts) -> Video:
    """Add a live stream (rtmp, rtsp, HLS, srt), or a recording that plays as one (`recording:<video_id>`).

    Where the server runs with `--allow-private`, it also listens for one (`listen:rtmp://…`, `listen:srt://…`, udp), or
    takes it from one of its cameras (`/dev/video0`).
    """
    if body.playback_url is not None:
        check_address(body.playback_url, WEB, allow_private=True)  # it is the viewers' browsers that ask for it
    with parts.database.write() as session:
        writable_shop(session, who, shop)
        if body.url.startswith(RECORDING):
            _check_recording(videos.get_video(session, body.url.removeprefix(RECORDING)), shop)
        else:
            check_stream(body.url, allow_private=parts.settings.allow_private)
        title = body.title or "Live"
        video = videos.add_video(
            session,
            shop,
            "stream",
            title,
            body.url,
            body.playback_url,
            wanted=body.start,
            listened=body.speech == "auto",
            recorded=body.recording,
        )
        return view_videos(parts, session, [video])[0]


@router.post("/api/videos/{video_id}/start", responses=CHANGES)
def start(video_id: Identity, who: SignedIn, parts: Parts) -> Video:
    """Start following a stream; its state says when it is on."""
    return _want(parts, who, video_id, wanted=True)


@router.post("/api/videos/{video_id}/stop", responses=CHANGES)
def stop(video_id: Identity, who: SignedIn, parts: Parts) -> Video:
    """Stop following a stream."""
    return _want(parts, who, video_id, wanted=False)


@router.post("/api/videos/{video_id}/comments", status_code=202, responses=CHANGES)
def take_comments(video_id: Identity, body: NewComments, who: SignedIn, parts: Parts) -> Taken:
    """Take in what viewers of a stream write; without a time it counts for now."""
    with parts.database.write() as session:
        video = writable_video(session, who, video_id)
        _check_stream(video)
        now_s = video.duration_s or 0.0
        comments = [
            records.Comment(now_s if each.time_s is None else each.time_s, each.user, each.text)
            for each in body.comments
        ]
        words.add_comments(session, video_id, comments)
    return Taken(taken=len(comments))


def _want(parts: Services, who: Principal, video_id: str, *, wanted: bool) -> Video:
    with parts.database.write() as session:
        _check_stream(writable_video(session, who, video_id))
        return view_videos(parts, session, [videos.change_video(session, video_id, wanted=wanted)])[0]


def _check_stream(video: VideoRow) -> None:
    if video.kind != "stream":
        raise Conflict(f"the video {video.video_id} is a recording, expected a stream")


def _check_recording(video: VideoRow, shop: str) -> None:
    if video.kind != "recording" or video.shop != shop:
        raise Conflict(f"the shop has no recording {video.video_id} to play; give the id of one of its recordings")
