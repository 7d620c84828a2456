"""The report: one page that shows what was found in a video and why, to be opened from a disk without a network.

Pictures, style and script are inside the page; only the video lies beside it. Titles, speech and links come from
strangers: the template escapes every value, links are http(s) alone, and a content security policy lets nothing be
loaded and no script run but the page's own.
"""

from __future__ import annotations

import os
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from markupsafe import Markup
from PIL import Image as Pictures

from shopcue.errors import MediaError
from shopcue.exports import FocusDocument, clock, one_line, write_page
from shopcue.records import Evidence, Focus, Frame, Image, Product
from shopcue.standalone import asset, jpeg_address, source_of, style, template

PICTURE_LIMIT: Final = 400
"""How many focuses show their frame, the surest first; also how many shop pictures a page holds."""

COLOURS: Final = 8
_SHOP_PX: Final = 320
_FRAME_PX: Final = 384
_POSTER_PX: Final = 640
_UNSEEN_PX: Final = 96
_UNSEEN_PICTURES: Final = 60
_UNSEEN_LIMIT: Final = 300
_OPEN_CARDS: Final = 24
_JPEG_QUALITY: Final = 80

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture inside a page: its JPEG as a data address, and the size in pixels of what it was made from."""

    address: str
    width: int
    height: int


DrawnFrame = tuple[Picture, Box | None]
"""A frame, and the box in pixels of `Frame.image` as x, y, width, height."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a score as a bar: its log odds, and in percent where the bar starts, its length and where 0 is."""

    name: str
    value: float
    start: float
    length: float
    zero: float


@dataclass(frozen=True, slots=True)
class Shown:
    """A product of the report. colour: the number of its colour. times: (place in the document, start_s) of each focus.

    link: an http(s) address that is safe to follow, or empty; host: where it leads.
    """

    product: Product
    title: str
    colour: int
    link: str
    host: str
    times: tuple[tuple[int, float], ...]
    total_s: float
    picture: Picture | None


@dataclass(frozen=True, slots=True)
class Card:
    """A focus of the report, with the index of its product and what is drawn of its evidence."""

    number: int
    focus: Focus
    product: int
    parts: tuple[Part, ...]
    alternatives: tuple[tuple[str, float], ...]
    frame: Picture | None
    box: tuple[float, float, float, float] | None


def frame_times(document: FocusDocument) -> list[float]:
    """Return the times of the frames that a report shows, in seconds, not falling: what to ask `frames_at` for."""
    return [document.focuses[i].evidence.frame_s for i in _pictured(document)]


def _pictured(document: FocusDocument) -> list[int]:
    """Return the places of the focuses that show their frame, in order of the frame's time."""
    focuses = document.focuses
    surest = sorted(range(len(focuses)), key=lambda i: -focuses[i].score)[:PICTURE_LIMIT]
    return sorted(surest, key=lambda i: focuses[i].evidence.frame_s)


def write_report(
    document: FocusDocument,
    out: str | os.PathLike[str],
    *,
    products: Sequence[Product] = (),
    pictures: Mapping[str, Image] | None = None,
    frames: Iterable[Frame | None] = (),
    options: Mapping[str, object] | None = None,
) -> Path:
    """Write the report to the file `out` and return its path; see `render_report`. Raises OutputError."""
    path = Path(out)
    text = render_report(document, path.parent, products=products, pictures=pictures, frames=frames, options=options)
    return write_page(path, text)


def render_report(
    document: FocusDocument,
    folder: str | os.PathLike[str],
    *,
    products: Sequence[Product] = (),
    pictures: Mapping[str, Image] | None = None,
    frames: Iterable[Frame | None] = (),
    options: Mapping[str, object] | None = None,
) -> str:
    """Return the report as HTML, to be written into `folder`, from which the page finds the video.

    products: the shop's, shown or not. pictures: product_id -> RGB picture. frames: one for each of `frame_times`, in
    that order, None where there is none; they are taken one by one, so they may come straight from the video, and may
    end early. options: what the run was asked for, named in the footer.
    """
    shown, unseen = _products(document, products, pictures or {})
    drawn, poster = _drawn(document, frames)
    cards = _cards(document, shown, {product.product_id: product.title for product in products}, drawn)
    styles, script = style("report.css"), asset("report.js")
    page = template("report.html.j2", clock=clock, counted=_counted, percent="{:.0%}".format)
    return page.render(
        document=document,
        name=re.split(r"[/\\]", document.video)[-1] or document.video,
        video=_video_address(document.video, folder),
        poster=poster,
        figures=_figures(document, len(shown), len(shown) + len(unseen)),
        shown=shown,
        unseen=unseen[:_UNSEEN_LIMIT],
        unseen_count=len(unseen),
        cards=cards,
        open_cards=len(cards) <= _OPEN_CARDS,
        data=_data(document, shown, cards),
        options=options or {},
        style=Markup(styles),  # noqa: S704 - the package's own file
        script=Markup(script),  # noqa: S704 - the package's own file
        policy=_policy(styles, script),
        picture_limit=PICTURE_LIMIT,
    )


# ---- what the page shows ---------------------------------------------------------------------------------------


def _products(
    document: FocusDocument, products: Sequence[Product], pictures: Mapping[str, Image]
) -> tuple[list[Shown], list[Shown]]:
    """Return the products that were shown, in order of first focus, and those that were not, in order of the feed."""
    known = {product.product_id: product for product in products}
    times: dict[str, list[int]] = {}
    for place, focus in enumerate(document.focuses):
        times.setdefault(focus.product_id, []).append(place)
    shown = []
    for colour, (product_id, places) in enumerate(times.items()):
        product = known.pop(product_id, None) or Product(product_id or "?", document.focuses[places[0]].title, ())
        image = pictures.get(product_id) if colour < PICTURE_LIMIT else None
        found = [(place, document.focuses[place]) for place in places]
        shown.append(_shown(product, colour % COLOURS, image, _SHOP_PX, found))
    unseen = []
    for number, product in enumerate(known.values()):
        image = pictures.get(product.product_id) if number < _UNSEEN_PICTURES else None
        unseen.append(_shown(product, 0, image, _UNSEEN_PX, []))
    return shown, unseen


def _shown(
    product: Product, colour: int, image: Image | None, side_px: int, found: Sequence[tuple[int, Focus]]
) -> Shown:
    link = _safe_link(product.link)
    return Shown(
        product=product,
        title=one_line(product.title) or product.product_id,
        colour=colour,
        link=link,
        host=(urlsplit(link).hostname or "") if link else "",
        times=tuple((place, focus.start_s) for place, focus in found),
        total_s=_union_s([focus for _, focus in found]),
        picture=None if image is None else _picture(image, side_px),
    )


def _cards(
    document: FocusDocument, shown: Sequence[Shown], titles: Mapping[str, str], drawn: Mapping[int, DrawnFrame]
) -> list[Card]:
    place = {number: index for index, product in enumerate(shown) for number, _ in product.times}
    ends = [end for focus in document.focuses for end in _log_odds(focus.evidence).values()]
    low, high = min([0.0, *ends]), max([1.0, *ends])
    return [
        Card(
            number=number,
            focus=focus,
            product=place[number],
            parts=tuple(_part(name, value, low, high) for name, value in _log_odds(focus.evidence).items()),
            alternatives=tuple(
                (one_line(titles.get(other.product_id, "")) or other.product_id, other.score)
                for other in focus.alternatives
            ),
            frame=drawn[number][0] if number in drawn else None,
            box=drawn[number][1] if number in drawn else None,
        )
        for number, focus in enumerate(document.focuses)
    ]


def _log_odds(evidence: Evidence) -> dict[str, float]:
    return {"Visual": evidence.visual, "Text": evidence.text, "Comments": evidence.comments}


def _part(name: str, value: float, low: float, high: float) -> Part:
    start, end = sorted((0.0, value))
    percent = 100 / (high - low)
    return Part(name, value, (start - low) * percent, (end - start) * percent, -low * percent)


def _drawn(document: FocusDocument, frames: Iterable[Frame | None]) -> tuple[dict[int, DrawnFrame], Picture | None]:
    """Return what is drawn of each focus's frame, and the first of all as the picture of the video until it plays."""
    drawn: dict[int, DrawnFrame] = {}
    poster = None
    try:
        for number, frame in zip(_pictured(document), frames, strict=False):
            if frame is not None:
                box = _box_in(frame, document.focuses[number].evidence.box)
                drawn[number] = (_picture(frame.image, _FRAME_PX), box)
                poster = poster or _picture(frame.image, _POSTER_PX)
    except MediaError:
        pass  # the video broke off: its focuses are still worth a page, and each frame that could be read
    return drawn, poster


def _box_in(frame: Frame, box: Box) -> Box | None:
    height, width = frame.image.shape[:2]
    x0, x1 = (min(max(edge / frame.scale, 0), width) for edge in (box[0], box[2]))
    y0, y1 = (min(max(edge / frame.scale, 0), height) for edge in (box[1], box[3]))
    return (x0, y0, x1 - x0, y1 - y0) if x1 > x0 and y1 > y0 else None


def _picture(image: Image, side_px: int) -> Picture:
    height, width = image.shape[:2]
    picture = Pictures.fromarray(image)
    picture.thumbnail((side_px, side_px))
    return Picture(jpeg_address(picture, _JPEG_QUALITY), width, height)


def _figures(document: FocusDocument, shown: int, products: int) -> list[tuple[str, str, str]]:
    """Return (name, value, what it means) of the figures at the top of the page."""
    scores = [focus.score for focus in document.focuses]
    covered = _union_s(document.focuses) / document.duration_s if document.duration_s else 0.0
    return [
        ("Duration", clock(document.duration_s), "length of the video"),
        ("Products shown", f"{shown} of {products}", f"in {_counted(len(scores), 'focus', 'focuses')}"),
        ("Coverage", f"{min(covered, 1):.0%}", "of the time shows a product"),
        (
            "Median confidence",
            f"{statistics.median(scores):.0%}" if scores else "–",
            "half are surer" if scores else "no focus",
        ),
    ]


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _union_s(focuses: Sequence[Focus]) -> float:
    """Return for how many seconds at least one of the focuses lasts. focuses: in order of start."""
    total, ended = 0.0, 0.0
    for focus in focuses:
        total += max(focus.end_s - max(focus.start_s, ended), 0)
        ended = max(ended, focus.end_s)
    return total


def _data(document: FocusDocument, shown: Sequence[Shown], cards: Sequence[Card]) -> dict[str, Any]:
    """Return what the script draws the timeline from."""
    end_s = max([document.duration_s, *(focus.end_s for focus in document.focuses)])
    return {
        "duration_s": round(end_s, 3),
        "products": [
            {"title": it.title, "colour": it.colour, "price": it.product.price, "link": it.link, "host": it.host}
            for it in shown
        ],
        "focuses": [
            {
                "product": card.product,
                "start_s": round(card.focus.start_s, 3),
                "end_s": round(card.focus.end_s, 3),
                "score": round(card.focus.score, 4),
                "said": one_line(" ".join(said.text for said in card.focus.evidence.utterances))[:200],
            }
            for card in cards
        ],
    }


# ---- addresses -------------------------------------------------------------------------------------------------


def _safe_link(link: str) -> str:
    """Return `link` if it is an http(s) address without spaces and control characters, else an empty text."""
    if not re.fullmatch(r"https?://[^\s\x00-\x20\x7f-\x9f\\<>\"]+", link, re.IGNORECASE):
        return ""
    try:
        return link if urlsplit(link).hostname else ""
    except ValueError:
        return ""


def _video_address(video: str, folder: str | os.PathLike[str]) -> str:
    """Return where a page in `folder` finds the video: relative if it can be; empty for a stream, which is no file."""
    if "://" in video or not video:
        return ""
    path = Path(video).absolute()
    try:
        relative = os.path.relpath(path, Path(folder).absolute())
    except ValueError:  # on another drive
        return path.as_uri()
    return quote(os.fsencode(Path(relative).as_posix()))


# ---- the page --------------------------------------------------------------------------------------------------


def _policy(styles: str, script: str) -> str:
    """Return a content security policy that allows this style, this script, pictures in the page and local media."""
    return (
        f"default-src 'none'; style-src {source_of(styles)}; script-src {source_of(script)}; "
        "img-src data:; media-src 'self' file:; base-uri 'none'; form-action 'none'"
    )
