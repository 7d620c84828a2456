"""Explained moments as pictures and as one page, to be opened from a disk without a network.

Titles and speech come from strangers: they stand on the page alone, where the template escapes them, and never in a
file's name or in a picture. The page has no script and loads nothing.
"""

from __future__ import annotations

import io
import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from markupsafe import Markup
from PIL import Image as Pictures

from shopcue.catalog.pictures import read_picture, shrink
from shopcue.commands import open_shop
from shopcue.errors import OutputError, SettingsError
from shopcue.explaining import Explainer, Heat, Moment, Window, Winner, said_within, window_around
from shopcue.exports import check_writable, clock, one_line
from shopcue.models.clip import HOUSE_CLIPS, OnnxClipEncoder
from shopcue.pipeline import Update
from shopcue.records import Image, Utterance
from shopcue.sources.files import frames_at, probe
from shopcue.sources.subtitles import read_subtitles
from shopcue.standalone import jpeg_address, source_of, style, template

PAGE: Final = "explain.html"
SPAN_S: Final = 10.0
MOST_MOMENTS: Final = 60
"""A page of more would be too large to open."""

_SIDE_PX = 640
_SHOP_PX = 240
_SHEET_PX = 360
_LABEL_PX = 32
_SAID_LIMIT = 600
_JPEG_QUALITY = 82
_STRENGTH = 0.6  # of the colours over the frame
_CONTOUR = 0.5

_STOPS = ((0.0, (16, 20, 56)), (0.35, (92, 44, 140)), (0.7, (222, 92, 118)), (1.0, (255, 236, 190)))
"""The colours of a map, RGB. Each is lighter than the one before, so that a print in grey still tells high from low."""


@dataclass(frozen=True, slots=True)
class Explained:
    """What `explain` made: the page, the pictures beside it, and what they show."""

    page: Path
    pictures: tuple[Path, ...]
    moments: tuple[Moment, ...]


def explain(
    video: str | Path | Sequence[str | Path],
    catalog: str | Path,
    out: str | Path,
    *,
    model: str | Path | None = None,
    at: Sequence[float] = (),
    speech: str | Path | None = None,
    text: str | None = None,
    span_s: float = SPAN_S,
    threads: int | None = None,
    update: Update | None = None,
) -> Explained:
    """Write into `out` where frames resemble what they are taken for, with and without what is said (`explaining`).

    video: a file, of which each of the seconds `at` is explained by the clip of span_s seconds around it; or the
    pictures of one clip, of which the middle one is explained. catalog: a feed. model: the folder of a clip encoder,
    None for the house one. speech: a .vtt or .srt file, of which counts what is said while the clip lasts; text: words
    that count in its place. Raises a ShopcueError for bad input, before anything is written.
    """
    if speech is not None and text is not None:
        raise SettingsError("both a speech file and words came; give one of --speech and --text")
    utterances = () if speech is None else tuple(read_subtitles(Path(speech)))
    check_writable(out)
    encoder = OnnxClipEncoder(HOUSE_CLIPS if model is None else Path(model), threads)
    encoder.encode_places([np.zeros((8, 8, 3), np.uint8)])  # a folder without them ends it before the long work
    if isinstance(video, str | Path):
        clips = _clips_of_video(video, at, utterances, span_s=span_s, count=encoder.manifest.frames)
    else:
        clips = _clip_of_pictures(video, at)
    explainer = Explainer(encoder, open_shop(catalog, encoder, update=update).gallery)
    moments = []
    for clip in clips:
        moments.append(explainer.explain(clip.frames, clip.shown, clip.said if text is None else text, clip.time_s))
        if update is not None:
            update("explaining", len(moments), max(len(at), 1))
    return _write(Path(out), moments, encoder)


def parse_seconds(text: str) -> float:
    """Return a moment as a person writes it, in seconds; raises SettingsError."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise SettingsError(f"the moment is {text[:40]!r}, expected seconds from 0, such as 62.5")
    return seconds


def summary(explained: Explained) -> list[str]:
    """Return who wins at each moment, a line each."""
    lines = []
    for moment in explained.moments:
        time = "clip" if moment.time_s is None else f"{moment.time_s:.2f} s"
        without, with_text = (one_line(it.product.title) for it in (moment.without_text, moment.with_text))
        lines.append(
            f"{time:>10}  {without} {moment.without_text.visual:.2f} -> {with_text} {moment.with_text.score:.2f}"
        )
    return lines


# ---- what is explained -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Clip:
    """The frames around a moment, the one that is shown, and what is said meanwhile."""

    time_s: float | None
    frames: tuple[Image, ...]
    shown: Image
    said: str


def _clips_of_video(
    video: str | Path, at: Sequence[float], utterances: Sequence[Utterance], *, span_s: float, count: int
) -> Iterator[_Clip]:
    """Return the clips around the seconds `at`, read one by one; all that can be wrong with the times is told first."""
    if not 1 <= len(at) <= MOST_MOMENTS:
        raise SettingsError(f"{len(at)} moments came, expected 1 to {MOST_MOMENTS}; give seconds with --at")
    info = probe(video)
    windows = [window_around(at_s, info.duration_s, span_s, count) for at_s in at]

    def read(at_s: float, window: Window) -> _Clip:
        times_s = sorted([*window.times_s, at_s])
        shown = times_s.index(at_s)
        frames = [frame.image for frame in frames_at(info.path, times_s, _SIDE_PX)]
        clip = tuple(frames[:shown] + frames[shown + 1 :])
        return _Clip(at_s, clip, frames[shown], said_within(utterances, window))

    return map(read, at, windows)


def _clip_of_pictures(paths: Sequence[str | Path], at: Sequence[float]) -> Iterator[_Clip]:
    """Return one clip, the middle picture of which is shown."""
    if not paths or at:
        raise SettingsError(
            f"{len(paths)} pictures and {len(at)} moments came; give at least one picture of a clip, and no moments"
        )
    frames = tuple(shrink(read_picture(Path(path)).image, _SIDE_PX) for path in paths)
    return iter([_Clip(None, frames, frames[len(frames) // 2], "")])


# ---- pictures --------------------------------------------------------------------------------------------------


def colours() -> Image:
    """Return the colours of a map from its least value to its greatest, each lighter than before: RGB, (256, 3)."""
    places, steps = [place for place, _ in _STOPS], np.linspace(0, 1, 256)
    channels = [np.interp(steps, places, [colour[channel] for _, colour in _STOPS]) for channel in range(3)]
    return np.asarray(np.round(np.stack(channels, axis=1)), np.uint8)


def paint(image: Image, heat: Heat) -> Image:
    """Return a frame under the colours of a map, with a line around where it is above one half. RGB uint8 (H, W, 3)."""
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    tint = colours()[np.round(heat.values * 255).astype(np.uint8)]
    painted = np.round((1 - _STRENGTH) * grey + _STRENGTH * tint).astype(np.uint8)
    lines, _ = cv2.findContours((heat.values > _CONTOUR).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    width = max(1, round(max(image.shape[:2]) / 320))
    cv2.drawContours(painted, lines, -1, (0, 0, 0), 2 * width + 1)  # dark around light shows on any ground
    cv2.drawContours(painted, lines, -1, (255, 255, 255), width)
    return painted


def _sheet(moment: Moment) -> Image:
    """Return all of a moment in one row, for a paper: frame, and both maps, each with its winner's shop picture."""
    columns = [("frame", moment.image)]
    for name, winner in (("without text", moment.without_text), ("with text", moment.with_text)):
        columns.append((name, paint(moment.image, winner.heat)))
        if winner.picture is not None:
            score = winner.visual if winner is moment.without_text else winner.score
            columns.append((f"{score:.2f}", winner.picture))
    if moment.attention is not None:
        columns.append(("attention", paint(moment.image, moment.attention)))
    return np.concatenate([_column(label, image) for label, image in columns], axis=1)


def _column(label: str, image: Image) -> Image:
    """Return a picture as high as the sheet below its label, which is never a stranger's."""
    width = max(1, round(image.shape[1] * _SHEET_PX / image.shape[0]))
    column = np.full((_SHEET_PX + _LABEL_PX, max(width, 4 * _LABEL_PX) + 8, 3), 255, np.uint8)
    column[_LABEL_PX:, 4 : 4 + width] = cv2.resize(image, (width, _SHEET_PX), interpolation=cv2.INTER_AREA)
    cv2.putText(column, label, (6, _LABEL_PX - 10), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (20, 20, 20), 1, cv2.LINE_AA)
    return column


def _png(image: Image) -> bytes:
    raw = io.BytesIO()
    Pictures.fromarray(image).save(raw, "PNG")
    return raw.getvalue()


def _address(image: Image) -> str:
    """Return a picture as a data address."""
    return jpeg_address(image, _JPEG_QUALITY)


# ---- the page --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _View:
    """One picture of the page. title: what it is. of: a sentence of what is drawn. low, high: of its map, as text.

    winner: whose map it is, with its shop_picture as a data address; by_text: whether words counted when it won.
    """

    title: str
    of: str
    address: str
    low: str = ""
    high: str = ""
    winner: Winner | None = None
    shop_picture: str = ""
    by_text: bool = False


@dataclass(frozen=True, slots=True)
class _Section:
    """One moment of the page. changed: whether the words change who wins."""

    heading: str
    said: str
    changed: bool
    views: tuple[_View, ...]


def render(moments: Sequence[Moment], encoder: OnnxClipEncoder) -> str:
    """Return the page."""
    styles = style("explain.css")
    legend = np.broadcast_to(colours()[None], (12, 256, 3))
    return template("explain.html.j2").render(
        sections=[_section(moment) for moment in moments],
        legend=_address(np.ascontiguousarray(legend)),
        weight=encoder.text_weight,
        reads=encoder.manifest.text is not None,
        fingerprint=encoder.fingerprint,
        made=dict(encoder.manifest.made),
        style=Markup(styles),  # noqa: S704 - the package's own file
        policy=_policy(styles),
    )


def _section(moment: Moment) -> _Section:
    size = f"{moment.image.shape[1]} × {moment.image.shape[0]} pixels"
    views = [_View("The frame", size, _address(moment.image))]
    views += [_winner_view(moment, text=False), _winner_view(moment, text=True)]
    if moment.attention is not None:
        heat = moment.attention
        views.append(
            _View(
                "The encoder’s own attention",
                "How much of each place goes into the frame’s vector. It is the same whatever is said.",
                _address(paint(moment.image, heat)),
                f"{heat.low:.2%}",
                f"{heat.high:.2%}",
            )
        )
    heading = "Clip of pictures" if moment.time_s is None else f"{clock(moment.time_s)} ({moment.time_s:.2f} s)"
    changed = moment.without_text.product.product_id != moment.with_text.product.product_id
    return _Section(heading, _shortened(moment.said), changed, tuple(views))


def _winner_view(moment: Moment, *, text: bool) -> _View:
    winner = moment.with_text if text else moment.without_text
    return _View(
        "With text" if text else "Without text",
        "Where the frame resembles the product that wins "
        + ("by pictures and by what is said." if text else "by pictures alone."),
        _address(paint(moment.image, winner.heat)),
        f"{winner.heat.low:.2f}",
        f"{winner.heat.high:.2f}",
        winner,
        "" if winner.picture is None else _address(shrink(winner.picture, _SHOP_PX)),
        text,
    )


def _shortened(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= _SAID_LIMIT else f"{line[:_SAID_LIMIT]}…"


def _policy(styles: str) -> str:
    """Return a content security policy that allows this style and the pictures in the page, and nothing else."""
    return f"default-src 'none'; style-src {source_of(styles)}; img-src data:; base-uri 'none'; form-action 'none'"


# ---- files -----------------------------------------------------------------------------------------------------


def _write(out: Path, moments: Sequence[Moment], encoder: OnnxClipEncoder) -> Explained:
    """Write the page and its pictures; all are complete before the first is moved to its place."""
    check_writable(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=".explain-") as staging:
            names = []
            for number, moment in enumerate(moments, start=1):
                for name, image in _pictures(number, moment):
                    (Path(staging) / name).write_bytes(_png(image))
                    names.append(name)
            (Path(staging) / PAGE).write_text(render(moments, encoder), encoding="utf-8", errors="replace", newline="")
            pictures = tuple((Path(staging) / name).replace(out / name) for name in names)
            page = (Path(staging) / PAGE).replace(out / PAGE)
    except OSError as error:
        raise OutputError(
            f"explanations cannot be written to {str(out)!r}: {error.strerror or error}; "
            "expected a folder with write access and space, give another one"
        ) from error
    return Explained(page, pictures, tuple(moments))


def _pictures(number: int, moment: Moment) -> Iterator[tuple[str, Image]]:
    """Yield the pictures of a moment with their file names, which are made of numbers and our own words alone."""
    stem = f"{number:02}" if moment.time_s is None else f"{number:02}-{moment.time_s:.2f}s"
    yield f"{stem}.png", _sheet(moment)
    yield f"{stem}-frame.png", moment.image
    yield f"{stem}-without-text.png", paint(moment.image, moment.without_text.heat)
    yield f"{stem}-with-text.png", paint(moment.image, moment.with_text.heat)
    if moment.attention is not None:
        yield f"{stem}-attention.png", paint(moment.image, moment.attention)
