"""Reviewed focuses as files, and corrections as training pairs."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Response
from fastapi.responses import StreamingResponse
from starlette.requests import HTTPConnection

from shopcue.database.focuses import list_focuses
from shopcue.server.auth import Parts, Principal, SignedIn, readable_shop, readable_video
from shopcue.server.corrections import correction_archive, correction_lines
from shopcue.server.problems import READS
from shopcue.server.reports import Reports, reviewed_document, write_export
from shopcue.server.schemas.shapes import Identity, ShopName
from shopcue.server.services import Services

router = APIRouter(prefix="/api", tags=["exports"])

Export = Literal["focuses.json", "focuses.vtt", "chapters.txt", "focuses.csv", "report.html"]

_TYPES: Final = {
    "focuses.json": "application/json",
    "focuses.vtt": "text/vtt; charset=utf-8",
    "chapters.txt": "text/plain; charset=utf-8",
    "focuses.csv": "text/csv; charset=utf-8",
    "report.html": "text/html; charset=utf-8",
}


def _file(*kinds: str) -> dict[int | str, dict[str, Any]]:
    types = [kind.partition(";")[0] for kind in kinds]
    content = {each: {"schema": {"type": "object" if each == "application/json" else "string"}} for each in types}
    return {200: {"content": content, "description": "The file"}}


def reports(connection: HTTPConnection) -> Reports:
    """Return what draws the reports of the server that a request came to."""
    found = connection.app.state.reports
    assert isinstance(found, Reports)
    return found


@router.get("/videos/{video_id}/exports/{name}", response_class=Response, responses=READS | _file(*_TYPES.values()))
def export(
    video_id: Identity, name: Export, who: SignedIn, parts: Parts, drawer: Annotated[Reports, Depends(reports)]
) -> Response:
    """Give the focuses of a video as reviewed: what was rejected is left out, what was corrected is as corrected."""
    with parts.database.read() as session:
        video = readable_video(session, who, video_id)
        focuses = list_focuses(session, video_id)
    text = (
        drawer.render(video, focuses)
        if name == "report.html"
        else write_export(reviewed_document(video, focuses), name)
    )
    return Response(text.encode(errors="replace"), media_type=_TYPES[name], headers=_as_file(f"{video.title}-{name}"))


@router.get("/shops/{shop}/corrections.jsonl", response_class=Response, responses=READS | _file("application/jsonl"))
def correction_list(shop: ShopName, who: SignedIn, parts: Parts) -> StreamingResponse:
    """Give what persons decided in a shop as training pairs, a line of JSON for each."""
    _check_readable(parts, who, shop)
    lines = correction_lines(parts.database, shop)
    return StreamingResponse(lines, media_type="application/jsonl", headers=_as_file(f"{shop}-corrections.jsonl"))


@router.get("/shops/{shop}/corrections.zip", response_class=Response, responses=READS | _file("application/zip"))
def correction_files(shop: ShopName, who: SignedIn, parts: Parts) -> StreamingResponse:
    """Give the training pairs of a shop with what each shows of its video and the products' pictures."""
    _check_readable(parts, who, shop)
    pieces = correction_archive(parts, shop)
    return StreamingResponse(pieces, media_type="application/zip", headers=_as_file(f"{shop}-corrections.zip"))


def _check_readable(parts: Services, who: Principal, shop: str) -> None:
    with parts.database.read() as session:
        readable_shop(session, who, shop)


@router.get("/shops/{shop}/corrections.jsonl", response_class=Response, responses=READS | _file("application/jsonl"))
def export_corrections(shop: ShopName, who: SignedIn, parts: Parts) -> StreamingResponse:
    """Give what persons decided as pairs to train with, a JSON line each: a place, a product, whether it is it."""
    with parts.database.read() as session:
        readable_shop(session, who, shop)
    lines = correction_lines(parts.database, shop)
    return StreamingResponse(lines, headers=_as_file(f"{shop}-corrections.jsonl"), media_type="application/jsonl")


@router.get("/shops/{shop}/corrections.zip", response_class=Response, responses=READS | _file("application/zip"))
def export_correction_pictures(shop: ShopName, who: SignedIn, parts: Parts) -> StreamingResponse:
    """Give the same with pictures: pairs.jsonl, what each place shows, and the products as the shop shows them."""
    with parts.database.read() as session:
        readable_shop(session, who, shop)
    pieces = correction_archive(parts, shop)
    return StreamingResponse(pieces, headers=_as_file(f"{shop}-corrections.zip"), media_type="application/zip")


def _as_file(name: str) -> dict[str, str]:
    """Return the headers that let a browser save an answer, never show it: it comes from our own address."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name)[-120:]
    return {"Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name[-120:], safe='')}"}
