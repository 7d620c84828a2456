"""What persons decided about focuses, as pairs to train with: a place in a video, a product, and whether it is shown.

A pair comes from the last decision about a focus that still stands, also when the video was matched again since. One
that was replaced gives two: the right product, and the wrong one as a hard negative.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from shopcue.database import Database
from shopcue.database.focuses import UNREVIEWED
from shopcue.database.reviews import review_histories
from shopcue.database.tables import Review
from shopcue.database.texts import iso_time
from shopcue.database.videos import get_video
from shopcue.errors import ShopcueError
from shopcue.server.services import Services

_log = logging.getLogger(__name__)

_SIDE_PX = 480
_FOCUSES_AT_ONCE = 500

Box = tuple[float, float, float, float]
Crop = Callable[["Pair"], bytes | None]
"""Returns what a pair shows of its video as JPEG, None where that is not there (any more)."""
Picture = Callable[[str], bytes | None]
"""Returns the main picture of a product as JPEG, None where it is not there (any more)."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Whether a product is shown at a place of a video.

    time_s: seconds. box: xyxy pixels of the video, None for the whole picture. label: 1 shown, 0 not. instead_of: the
    product that was taken for it. at: seconds since 1970.
    """

    video_id: str
    time_s: float
    box: Box | None
    product_id: str
    label: int
    instead_of: str | None
    who: str
    at: float


def pairs_of(history: Sequence[Review]) -> list[Pair]:
    """Return what is to be learnt from all that was decided about one focus, in the order in which it was decided."""
    standing = [review for review in history if review.action != "undo" and review.undone_by is None]
    added = history[0].action == "add"
    if not standing or (added and standing[0] is not history[0]):
        return []  # all of it, or the adding, was undone
    last = standing[-1]
    now, found = last.after, history[0].before
    if now["status"] in UNREVIEWED:
        return []
    label = int(now["status"] != "rejected")
    if added or now["product_id"] == found["product_id"]:
        return [_pair(last, now["product_id"], label)]
    replaced = found["product_id"] if label else None
    return [_pair(last, now["product_id"], label, replaced), _pair(last, found["product_id"], 0)]


def _pair(review: Review, product_id: str, label: int, instead_of: str | None = None) -> Pair:
    state = review.after
    left, top, right, bottom = state["box"]
    seen = state["start_s"] <= state["frame_s"] < state["end_s"]  # else the span was moved away from it
    return Pair(
        video_id=review.video_id,
        time_s=state["frame_s"] if seen else (state["start_s"] + state["end_s"]) / 2,
        box=(left, top, right, bottom) if seen and left < right and top < bottom else None,
        product_id=product_id,
        label=label,
        instead_of=instead_of,
        who=review.who,
        at=review.at,
    )


def correction_pairs(database: Database, shop: str) -> Iterator[Pair]:
    """Yield the pairs of a shop, in no particular order; no transaction is open in between."""
    after = ""
    while True:
        with database.read() as session:
            histories = review_histories(session, shop, after, _FOCUSES_AT_ONCE)
        if not histories:
            return
        for history in histories:
            yield from pairs_of(history)
        after = histories[-1][0].focus_id


def pair_fields(pair: Pair) -> dict[str, Any]:
    """Return a pair as JSON; `frame` is where the API shows the place."""
    query = {"t": f"{pair.time_s:.3f}", "side": str(_SIDE_PX)}
    if pair.box is not None:
        query["box"] = ",".join(f"{edge:.1f}" for edge in pair.box)
    fields: dict[str, Any] = {
        "video_id": pair.video_id,
        "time_s": round(pair.time_s, 3),
        "box": None if pair.box is None else [round(edge, 1) for edge in pair.box],
        "product_id": pair.product_id,
        "label": pair.label,
    }
    if pair.instead_of is not None:
        fields["instead_of"] = pair.instead_of
    frame = f"/api/videos/{pair.video_id}/frame?{urlencode(query, safe=',')}"
    return {**fields, "who": pair.who, "at": iso_time(pair.at), "frame": frame}


def correction_lines(database: Database, shop: str) -> Iterator[str]:
    """Yield `corrections.jsonl` of a shop, a line for each pair."""
    for pair in correction_pairs(database, shop):
        yield _line(pair_fields(pair))


def correction_archive(parts: Services, shop: str) -> Iterator[bytes]:
    """Yield `corrections.zip` of a shop, piece by piece: see `archive_pairs`."""

    def crop(pair: Pair) -> bytes | None:
        return _kept(lambda: _crop(parts, pair))

    def picture(product_id: str) -> bytes | None:
        return _kept(lambda: parts.store.picture(shop, product_id, 0))

    return archive_pairs(correction_pairs(parts.database, shop), crop, picture)


def archive_pairs(pairs: Iterator[Pair], crop: Crop, picture: Picture) -> Iterator[bytes]:
    """Yield a zip file, piece by piece: what each pair shows, the products' pictures, and last `pairs.jsonl`.

    A line of it is that of `corrections.jsonl` with `crop` and `picture`: the names of the files, null for one that is
    no longer there. No name in it comes from a stranger.
    """
    sink = _Sink()
    lines: list[str] = []
    products: dict[str, str | None] = {}
    with ZipFile(sink, "w", ZIP_STORED) as archive:

        def put(name: str, data: bytes | None) -> str | None:
            if data is not None:
                archive.writestr(name, data)
            return None if data is None else name

        for number, pair in enumerate(pairs):
            if pair.product_id not in products:
                products[pair.product_id] = put(f"products/{len(products):06}.jpg", picture(pair.product_id))
            files = {"crop": put(f"crops/{number:06}.jpg", crop(pair)), "picture": products[pair.product_id]}
            lines.append(_line(pair_fields(pair) | files))
            if piece := sink.take():
                yield piece
        archive.writestr("pairs.jsonl", "".join(lines), ZIP_DEFLATED)
    yield sink.take()


class _Sink:
    """A file that is only written to, and emptied on the way."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes, /) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing: it holds what it was given."""

    def close(self) -> None:
        """Do nothing: it is emptied afterwards."""

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


def _crop(parts: Services, pair: Pair) -> bytes:
    """Return what a pair's place looks like; raises Missing where that is not (or no longer) here, or MediaError."""
    with parts.database.read() as session:
        moment = parts.recordings.moment(get_video(session, pair.video_id), pair.time_s)
    return parts.frames.frame_jpeg(moment.path, moment.time_s, pair.box, _SIDE_PX)


def _kept(read: Callable[[], bytes]) -> bytes | None:
    """Return what is read, or None with a line in the log: one lost picture is not the end of the rest."""
    try:
        return read()
    except ShopcueError as error:
        _log.info("left out of the corrections: %s", error)
        return None


def _line(fields: dict[str, Any]) -> str:
    return json.dumps(fields, ensure_ascii=False, allow_nan=False) + "\n"
