"""A reviewed video as files: what review has left of its focuses, in each format of `exports` and as a report."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Final

from shopcue import exports, report
from shopcue.catalog.rows import to_products
from shopcue.catalog.thumbnails import decode_thumbnail
from shopcue.database.focuses import UNREVIEWED, to_record
from shopcue.database.tables import Focus, Video
from shopcue.errors import MediaError, Missing
from shopcue.records import Frame, Image
from shopcue.server.problems import TooMany
from shopcue.server.services import Services
from shopcue.sources.files import frame_at, frames_at

_FRAME_SIDE_PX: Final = 640
_PICTURE_SIDE_PX: Final = 320
_UNSEEN_PICTURES: Final = 60
_PATIENCE_S: Final = 60.0


def reviewed_document(video: Video, focuses: Sequence[Focus]) -> exports.FocusDocument:
    """Return what a video shows after review. focuses: without the rejected ones.

    Its path is the title: where a file lies on a server, or where a stream comes from, is nobody's business.
    """
    ends = max((focus.end_s for focus in focuses), default=0.0)
    duration_s = ends if video.duration_s is None else video.duration_s
    models = {name: str(value) for name, value in video.models.items()}
    name = exports.one_line(video.title) or video.video_id
    return exports.FocusDocument(name, duration_s, models, tuple(to_record(focus) for focus in focuses))


def write_export(document: exports.FocusDocument, name: str) -> str:
    """Return a document in one of the formats of `exports.FORMATS`."""
    out = StringIO(newline="")
    exports.FORMATS[name](document, out)
    return out.getvalue()


class Reports:
    """Draws reports, one at a time: each reads hundreds of frames of a video."""

    def __init__(self, parts: Services) -> None:
        self._parts = parts
        self._turn = threading.Lock()

    def render(self, video: Video, focuses: Sequence[Focus]) -> str:
        """Return the report of a reviewed video as HTML; raises TooMany if others take too long."""
        document = reviewed_document(video, focuses)
        decided = sum(focus.status not in UNREVIEWED for focus in focuses)
        options = {"state": video.state, "reviewed": f"{decided} of {len(focuses)} focuses"}
        if not self._turn.acquire(timeout=_PATIENCE_S):
            raise TooMany("other reports are being made; try again later", _PATIENCE_S)
        try:
            return report.render_report(
                document,
                Path(),
                products=to_products(self._parts.store.snapshot(video.shop).rows),
                pictures=self._pictures(video.shop, document),
                frames=self._frames(video, report.frame_times(document)),
                options=options,
            )
        finally:
            self._turn.release()

    def _frames(self, video: Video, times_s: Sequence[float]) -> Iterator[Frame | None]:
        """Yield what a video shows at some times; of a stream only what is kept of it."""
        media = self._parts.settings.media_file(video.video_id)
        if media is not None and times_s:
            yield from frames_at(media, times_s, _FRAME_SIDE_PX)
        elif video.kind == "stream":
            yield from (self._kept_frame(video, time_s) for time_s in times_s)

    def _kept_frame(self, video: Video, time_s: float) -> Frame | None:
        try:
            moment = self._parts.recordings.moment(video, time_s)
            return frame_at(moment.path, moment.time_s, _FRAME_SIDE_PX)
        except (Missing, MediaError):
            return None

    def _pictures(self, shop: str, document: exports.FocusDocument) -> dict[str, Image]:
        """Return the first pictures of the products that a report shows, and of some that the video does not."""
        shown = dict.fromkeys(focus.product_id for focus in document.focuses)
        others = (each for each in self._parts.store.snapshot(shop).ids if each not in shown)
        wanted = [*list(shown)[: report.PICTURE_LIMIT], *islice(others, _UNSEEN_PICTURES)]
        return {
            each.product.product_id: decode_thumbnail(each.pictures[0], _PICTURE_SIDE_PX)
            for each in self._parts.store.embedded(shop, wanted)
        }
