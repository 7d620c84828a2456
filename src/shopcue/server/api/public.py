"""What needs no token: published videos, their media, products and live events; open to the pages of every site."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Response
from starlette.requests import HTTPConnection

from shopcue.database.tables import Video
from shopcue.errors import Missing
from shopcue.server.api.events import STREAM, After, EventStream, LastEventId, Watch, watch
from shopcue.server.api.media import media_answer, poster_answer
from shopcue.server.api.products import picture_answer
from shopcue.server.api.recordings import (
    PLAYLIST_ANSWERS,
    SEGMENT_ANSWERS,
    AcceptEncoding,
    IfNoneMatch,
    SegmentName,
    playlist_answer,
    segment_answer,
)
from shopcue.server.auth import Parts
from shopcue.server.live import Scope
from shopcue.server.problems import refusals
from shopcue.server.published import Showcase, plays_from_recording, published_video
from shopcue.server.schemas.public import PublicVideo
from shopcue.server.schemas.shapes import Identity, ProductName
from shopcue.server.services import Services, services

router = APIRouter(prefix="/api/public/videos/{video_id}", tags=["public"])

_KEPT_S: Final = 300
_READS: Final = refusals(404, 422)


def showcase(connection: HTTPConnection) -> Showcase:
    """Return what puts together the public documents of the server that a request came to."""
    found = connection.app.state.showcase
    assert isinstance(found, Showcase)
    return found


Shown = Annotated[Showcase, Depends(showcase)]


def _media(kind: str) -> dict[int | str, dict[str, Any]]:
    binary = {"content": {kind: {"schema": {"type": "string", "format": "binary"}}}}
    return {200: {**binary, "description": "All of it"}, 206: {**binary, "description": "A part of it"}, **_READS}


@router.get("", responses=_READS)
def show(video_id: Identity, shown: Shown) -> PublicVideo:
    """Show a published video with its focuses and products."""
    return shown.document(video_id)


@router.get("/media", response_class=Response, responses=_media("video/*"))
def play(video_id: Identity, parts: Parts) -> Response:
    """Give a published video's file; a part of it where the request names a Range."""
    with parts.database.read() as session:
        published_video(session, video_id)
    path = parts.settings.media_file(video_id)
    if path is None:
        raise Missing(f"the video {video_id!r} has no file here")
    return _kept(media_answer(path))


@router.get("/poster", response_class=Response, responses=_media("image/jpeg"))
def show_poster(video_id: Identity, parts: Parts) -> Response:
    """Give the picture that stands for a published video."""
    with parts.database.read() as session:
        video = published_video(session, video_id)
    return _kept(poster_answer(parts, video))


@router.get("/recording/live.m3u8", response_class=Response, responses=_READS | PLAYLIST_ANSWERS)
def play_stream(
    video_id: Identity, parts: Parts, if_none_match: IfNoneMatch = "", accept_encoding: AcceptEncoding = ""
) -> Response:
    """Give the playlist of what is kept of a published stream that plays from here."""
    answer = playlist_answer(parts, _recorded(parts, video_id), if_none_match, accept_encoding)
    answer.headers["Cache-Control"] = "public, no-cache"
    return answer


@router.get("/recording/{name}", response_class=Response, responses=_READS | SEGMENT_ANSWERS)
def play_segment(video_id: Identity, name: SegmentName, parts: Parts) -> Response:
    """Give a segment of what is kept of a published stream; a part of it where the request names a Range."""
    _recorded(parts, video_id)
    return _kept(segment_answer(parts.recordings.segment_file(video_id, name)))


def _recorded(parts: Services, video_id: str) -> Video:
    """Return a published stream that plays from its recording; raises Missing for all others."""
    with parts.database.read() as session:
        video = published_video(session, video_id)
    if not (plays_from_recording(video.kind, video.playback_url) and parts.recordings.exists(video_id)):
        raise Missing(
            f"the video {video_id!r} does not play from a recording (yet); see its document for where it does"
        )
    return video


@router.get(
    "/products/{product_id:path}/picture",
    response_class=Response,
    responses={304: {"description": "It is what If-None-Match names."}, **_media("image/jpeg")},
)
def show_picture(
    video_id: Identity,
    product_id: ProductName,
    parts: Parts,
    shown: Shown,
    if_none_match: Annotated[str, Header()] = "",
) -> Response:
    """Give the first picture of a product that a published video shows, or that is recommended beside it."""
    with parts.database.read() as session:
        video = published_video(session, video_id)
        shown.check_product(session, video, product_id)
    return _kept(picture_answer(parts, video.shop, product_id, 0, if_none_match))


def _kept(answer: Response) -> Response:
    """Let browsers and caches keep an answer for a while: not longer than a video should stay after it is withdrawn."""
    answer.headers["Cache-Control"] = f"public, max-age={_KEPT_S}"
    return answer


def watch_published(
    connection: HTTPConnection, video_id: Identity, after: After = None, last_event_id: LastEventId = None
) -> Watch:
    """Return what everyone may follow of a video; raises Missing unless it is published."""

    def check() -> None:
        with services(connection).database.read() as session:
            published_video(session, video_id)

    return watch(connection, check, Scope(video_id=video_id, public=True), after, last_event_id)


@router.get("/events", response_class=Response, responses=STREAM | refusals(404, 422, 429))
def follow(watch: Annotated[Watch, Depends(watch_published)]) -> Response:
    """Tell what changes of a published video: its focuses with their products, and whether it is on."""
    return EventStream(watch)
