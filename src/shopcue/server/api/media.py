"""What a video looks like: its file, its poster, single frames and crops of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query
from fastapi.responses import FileResponse, Response
from starlette.concurrency import run_in_threadpool

from shopcue.database.tables import Video
from shopcue.errors import Missing
from shopcue.server.auth import Parts, Principal, SignedIn, readable_video
from shopcue.server.media import POSTER_SIDE_PX
from shopcue.server.placing import MEDIA_TYPES
from shopcue.server.problems import READS, Unfit, refusals
from shopcue.server.recordings import Moment
from shopcue.server.schemas.shapes import Identity
from shopcue.server.services import Services

router = APIRouter(prefix="/api/videos/{video_id}", tags=["videos"])

Answers = dict[int | str, dict[str, Any]]

_KEPT = {"Cache-Control": "private, max-age=3600"}
_KEPT_SHORTLY = {"Cache-Control": "private, max-age=60"}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_JPEG: Answers = {200: {"content": {"image/jpeg": _BINARY}, "description": "A picture"}}
_FILE: Answers = {
    200: {"content": {"video/*": _BINARY}, "description": "The whole file"},
    206: {"content": {"video/*": _BINARY}, "description": "The part that was asked for"},
    400: {"content": {"text/plain": {}}, "description": "The header Range cannot be read"},
    416: {"content": {"text/plain": {}}, "description": "There is no such part"},
}


@router.get("/media", response_class=FileResponse, responses=READS | _FILE)
def media(video_id: Identity, who: SignedIn, parts: Parts) -> FileResponse:
    """Give the file of a recording, or the parts of it that the header Range names."""
    return media_answer(_media_file(parts, who, video_id))


@router.get("/poster", response_class=FileResponse, responses=READS | _JPEG)
def poster(video_id: Identity, who: SignedIn, parts: Parts) -> Response:
    """Give the picture that stands for a video; of a stream that is recorded one of the last minutes."""
    with parts.database.read() as session:
        video = readable_video(session, who, video_id)
    return poster_answer(parts, video)


@router.get("/frame", response_class=Response, responses=READS | _JPEG | refusals(400))
async def frame(
    video_id: Identity,
    who: SignedIn,
    parts: Parts,
    t: Annotated[float, Query(ge=0, le=1e7, allow_inf_nan=False, description="Seconds")],
    box: Annotated[str | None, Query(max_length=100, description="x0,y0,x1,y1 in pixels of the video")] = None,
    side: Annotated[int, Query(ge=16, le=1920, description="The longer side, in pixels")] = 320,
) -> Response:
    """Give what a recording, or what is kept of a stream, shows at a moment, or the part of it in a box."""
    edges = None if box is None else _edges(box)
    moment = await run_in_threadpool(_moment, parts, who, video_id, t)
    # In threads of their own: a page full of frames must not keep all others waiting.
    picture = await to_thread.run_sync(
        parts.frames.frame_jpeg, moment.path, moment.time_s, edges, side, limiter=parts.decoding
    )
    return Response(picture, media_type="image/jpeg", headers=_KEPT)


def media_answer(path: Path) -> FileResponse:
    """Return the answer that gives a media file, or parts of it."""
    return FileResponse(path, media_type=MEDIA_TYPES.get(path.suffix, "application/octet-stream"), headers=_KEPT)


def poster_answer(parts: Services, video: Video) -> Response:
    """Return the answer that gives the poster of a video; raises Missing."""
    path = parts.settings.poster_file(video.video_id)
    if path.exists():
        return FileResponse(path, media_type="image/jpeg", headers=_KEPT)
    if video.kind != "stream":
        raise Missing(f"the video {video.video_id} has no poster yet")
    moment = parts.recordings.poster(video)
    picture = parts.frames.frame_jpeg(moment.path, moment.time_s, side_px=POSTER_SIDE_PX)
    return Response(picture, media_type="image/jpeg", headers=_KEPT_SHORTLY)


def _moment(parts: Services, who: Principal, video_id: str, time_s: float) -> Moment:
    with parts.database.read() as session:
        video = readable_video(session, who, video_id)
    return parts.recordings.moment(video, time_s)


def _media_file(parts: Services, who: Principal, video_id: str) -> Path:
    with parts.database.read() as session:
        readable_video(session, who, video_id)
    path = parts.settings.media_file(video_id)
    if path is None:
        raise Missing(f"the video {video_id} has no file here (yet)")
    return path


def _edges(box: str) -> list[float]:
    """Return the edges of a box that is written x0,y0,x1,y1; raises Unfit."""
    try:
        edges = [float(edge) for edge in box.split(",")]
    except ValueError:
        edges = []
    if len(edges) != 4 or not (edges[0] < edges[2] and edges[1] < edges[3]):
        raise Unfit(f"the box is {box!r}, expected x0,y0,x1,y1 in pixels of the video with x0 < x1 and y0 < y1")
    return edges
