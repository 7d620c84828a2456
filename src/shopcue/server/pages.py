"""The pages: studio, lab and player, with the files that they load, and what search engines are told of a video."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin

import jinja2
from fastapi import APIRouter, Request
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from shopcue.database.tables import Video
from shopcue.database.texts import iso_time
from shopcue.database.videos import list_videos
from shopcue.errors import Missing, ShopcueError
from shopcue.exports import one_line
from shopcue.server.api.public import Shown
from shopcue.server.auth import Parts, authenticate, readable_video
from shopcue.server.published import published_video
from shopcue.server.schemas.public import PublicVideo
from shopcue.server.security import page_policy, web_origin
from shopcue.server.services import Services

router = APIRouter(include_in_schema=False)

_READING = ["GET", "HEAD"]  # whoever previews a link asks for its head first

FILES: Final = Path(__file__).parent / "static"
_MOST_STREAMS: Final = 200
_MOST_ORIGINS: Final = 20
_TEMPLATES: Final = jinja2.Environment(
    loader=jinja2.PackageLoader("shopcue.server"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class Files(StaticFiles):
    """The files of the pages: a browser keeps them and asks each time whether they are still the same."""

    def __init__(self) -> None:
        super().__init__(directory=FILES)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer with a file, or that it is the one that the browser has."""
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response


# ---- studio and lab ---------------------------------------------------------------------------------------------


@router.get("/")
def begin() -> RedirectResponse:
    """Lead to the studio."""
    return RedirectResponse("/studio")


@router.api_route("/studio", methods=_READING)
@router.api_route("/studio/{rest:path}", methods=_READING)
def show_studio(request: Request, parts: Parts) -> HTMLResponse:
    """Show the seller's page; it asks the API for everything, with the cookie of whoever is signed in."""
    return _page("studio.html.j2", page_policy(*_playback(request, parts)))


@router.api_route("/lab/{video_id}", methods=_READING)
def show_lab(request: Request, video_id: str, parts: Parts) -> HTMLResponse:
    """Show why a video was matched as it was."""
    return _page("lab.html.j2", page_policy(*_playback(request, parts, video_id)))


def _playback(request: Request, parts: Services, video_id: str | None = None) -> list[str]:
    """Return where the streams play that whoever is signed in may see: those origins a page has to load from."""
    try:
        principal = authenticate(request)
        with parts.database.read() as session:
            if video_id is not None:
                return _addresses([readable_video(session, principal, video_id)])
            streams = list_videos(session, kind="stream", limit=_MOST_STREAMS).rows
            return _addresses(video for video in streams if principal.may_read(video.shop))
    except ShopcueError:
        return []  # the page itself says that there is nothing to see


def _addresses(videos: Iterable[Video]) -> list[str]:
    found = {web_origin(video.playback_url): video.playback_url for video in videos if video.playback_url}
    return [address for origin, address in found.items() if origin and address][:_MOST_ORIGINS]


# ---- player -----------------------------------------------------------------------------------------------------


@router.api_route("/play/{video_id}", methods=_READING)
def show_player(request: Request, video_id: str, parts: Parts, shown: Shown) -> HTMLResponse:
    """Show a published video to shoppers and search engines; any site may put it into a frame."""
    try:
        document = shown.document(video_id)
        with parts.database.read() as session:
            since = iso_time(published_video(session, video_id).created_at)
    except Missing:
        return _page("gone.html.j2", page_policy(embeddable=True), status=404)
    here = str(request.base_url)
    page = urljoin(here, document.page)
    poster = urljoin(here, document.poster) if document.poster else ""
    told = json_in_html(json_ld(document, here, since))
    policy = page_policy(document.playback_url, embeddable=True)
    return _page("play.html.j2", policy, video=document, page=page, poster=poster, json_ld=told)


@router.api_route("/embed/player.js", methods=_READING)
def embed() -> Response:
    """Give the web component to the pages of other sites; what it imports comes from this server, too."""
    # An own address that stays when files move; it leads on instead of being the file, whose imports are relative.
    return Response(
        'export * from "../static/player/shopcue-player.js";\n',
        media_type="text/javascript",
        headers={"Cache-Control": "public, max-age=3600"},
    )


def json_ld(document: PublicVideo, here: str, since: str | None) -> dict[str, Any]:
    """Return a video and the moments of its products as schema.org's VideoObject and Clip.

    here: the address of this server. since: the instant from which the video is here.
    """
    page = urljoin(here, document.page)
    titles = {each: one_line(product.title) for each, product in document.products.items()}
    name = one_line(document.title) or "Video"
    video: dict[str, Any] = {
        "@context": "https://schema.org",
        "@type": "VideoObject",
        "name": name,
        "description": ", ".join(titles.values())[:500] or name,
        "uploadDate": since,
        "url": page,
        "embedUrl": page,
        "thumbnailUrl": [urljoin(here, document.poster)] if document.poster else None,
        "contentUrl": urljoin(here, document.media) if document.media else document.playback_url,
        "duration": f"PT{document.duration_s:.3f}S" if document.duration_s else None,
        "width": document.width,
        "height": document.height,
        "hasPart": [
            {
                "@type": "Clip",
                "name": titles.get(focus.product_id, focus.product_id),
                "startOffset": round(focus.start_s, 3),
                "endOffset": round(focus.end_s, 3),
                "url": f"{page}?t={focus.start_s:.0f}",
            }
            for focus in document.focuses
            if focus.end_s is not None
        ],
    }
    if document.live:
        video["publication"] = {"@type": "BroadcastEvent", "isLiveBroadcast": True, "startDate": since}
    return {key: value for key, value in video.items() if value not in (None, [])}


def json_in_html(value: dict[str, Any]) -> Markup:
    """Return JSON as it can stand inside a script element, whatever a title holds."""
    text = json.dumps(value, ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - nothing is left in it that HTML reads


def _page(template: str, policy: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    try:
        text = _TEMPLATES.get_template(template).render(values)
    except jinja2.TemplateNotFound:
        raise HTTPException(404) from None
    return HTMLResponse(text, status, {"Content-Security-Policy": policy, "Cache-Control": "no-cache"})
