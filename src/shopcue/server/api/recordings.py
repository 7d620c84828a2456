"""What is kept of live streams: the playlist that plays in browsers while it grows, and its segments."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Header
from fastapi import Path as Named
from fastapi.responses import FileResponse, Response

from shopcue.database.tables import Video
from shopcue.server.auth import Parts, Principal, SignedIn, readable_video
from shopcue.server.problems import READS
from shopcue.server.recordings import PLAYLIST_TYPE, SEGMENT_NAME, SEGMENT_TYPE
from shopcue.server.schemas import StreamRecording
from shopcue.server.schemas.shapes import Identity
from shopcue.server.services import Services

router = APIRouter(prefix="/api/videos/{video_id}/recording", tags=["streams"])

_GZIP_LEVEL = 1

Answers = dict[int | str, dict[str, Any]]
SegmentName = Annotated[str, Named(pattern=SEGMENT_NAME)]
IfNoneMatch = Annotated[str, Header()]
AcceptEncoding = Annotated[str, Header()]

PLAYLIST_ANSWERS: Answers = {
    200: {"content": {PLAYLIST_TYPE: {"schema": {"type": "string"}}}, "description": "An HLS playlist"},
    304: {"description": "It is what If-None-Match names."},
}
_BINARY = {"content": {SEGMENT_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
SEGMENT_ANSWERS: Answers = {
    200: {**_BINARY, "description": "The whole segment"},
    206: {**_BINARY, "description": "The part that was asked for"},
    400: {"content": {"text/plain": {}}, "description": "The header Range cannot be read"},
    416: {"content": {"text/plain": {}}, "description": "There is no such part"},
}


@router.get("", responses=READS)
def recording(video_id: Identity, who: SignedIn, parts: Parts) -> StreamRecording:
    """Say what is kept of a stream: which stretches of it, and when its time was 0."""
    return parts.recordings.describe(_video(parts, who, video_id))


@router.get("/live.m3u8", response_class=Response, responses=READS | PLAYLIST_ANSWERS)
def playlist(
    video_id: Identity,
    who: SignedIn,
    parts: Parts,
    if_none_match: IfNoneMatch = "",
    accept_encoding: AcceptEncoding = "",
) -> Response:
    """Give the playlist of all that is kept of a stream; the date of a segment is `# origin` plus its time."""
    return playlist_answer(parts, _video(parts, who, video_id), if_none_match, accept_encoding)


@router.get("/{name}", response_class=FileResponse, responses=READS | SEGMENT_ANSWERS)
def segment(video_id: Identity, name: SegmentName, who: SignedIn, parts: Parts) -> FileResponse:
    """Give a segment of a stream's recording, or the part of it that the header Range names."""
    _video(parts, who, video_id)
    return segment_answer(parts.recordings.segment_file(video_id, name))


def playlist_answer(parts: Services, video: Video, if_none_match: str, accept_encoding: str) -> Response:
    """Return the answer that gives a stream's playlist, or says that the asker has it; raises Missing."""
    found = parts.recordings.playlist(video)
    headers = {"ETag": found.tag, "Vary": "Accept-Encoding", "Cache-Control": "private, no-cache"}
    if found.tag in if_none_match:
        return Response(status_code=304, headers=headers)
    content = found.content
    if "gzip" in accept_encoding:  # twelve hours are 600 KB, asked for with each segment: a tenth of that then
        content, headers["Content-Encoding"] = gzip.compress(content, _GZIP_LEVEL, mtime=0), "gzip"
    return Response(content, media_type=PLAYLIST_TYPE, headers=headers)


def segment_answer(path: Path) -> FileResponse:
    """Return the answer that gives a segment, which never changes."""
    headers = {"Cache-Control": "private, max-age=86400, immutable"}
    return FileResponse(path, media_type=SEGMENT_TYPE, headers=headers)


def _video(parts: Services, who: Principal, video_id: str) -> Video:
    with parts.database.read() as session:
        return readable_video(session, who, video_id)
