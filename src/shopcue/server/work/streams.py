"""The live streams of a server: those that are wanted run, and what they find is written down as it is found."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from shopcue.announcing import Announcement
from shopcue.database import focuses, videos, words
from shopcue.database.events import add_event
from shopcue.database.tables import Focus as FocusRow
from shopcue.database.tables import Video
from shopcue.engine import Engine, State, Stream
from shopcue.errors import MediaError, Missing, OutputError, ShopcueError
from shopcue.listening import Listener
from shopcue.models.recognition import find_recogniser
from shopcue.records import Catalog, Comment, Focus, Utterance
from shopcue.server.addresses import RECORDING
from shopcue.server.settings import ServerSettings
from shopcue.server.work.place import Place
from shopcue.sources.live import PacedFile, Source, open_source
from shopcue.sources.recorder import Recorder
from shopcue.trace import TraceFiles

_log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.5
_MOST_TITLES = 200  # whose words a recogniser is told
_CLOCK_EVERY_S = 2.0  # so often it is written down how far a stream is
_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 120.0
_STEADY_S = 60.0  # a stream that ran so long ran well


def follow_streams(place: Place, leaving: threading.Event) -> None:
    """Start the streams that are wanted and stop those that are not, until `leaving` is set."""
    engine: Engine | None = None  # its networks are loaded when the first stream is wanted
    running: dict[str, _OnAir] = {}
    while not leaving.is_set():
        try:
            with place.database.read() as session:
                wanted = {video.video_id: video for video in videos.wanted_streams(session)}
        except SQLAlchemyError as error:
            _log.warning("the database does not answer (%s); the streams go on", error)
            leaving.wait(_PAUSE_S)
            continue
        for video_id in [video_id for video_id in running if video_id not in wanted]:
            running[video_id].stop()
            if not running[video_id].alive:
                del running[video_id]
        if wanted and engine is None:
            engine = Engine(place.method("auto"), listener=_ears(place))
        for video_id, video in wanted.items():
            assert engine is not None
            running.setdefault(video_id, _OnAir(video_id, place, engine)).look_after(video)
        leaving.wait(_LOOK_EVERY_S)
    # They are still wanted: whoever starts next goes on with them.
    for on_air in running.values():
        on_air.leave()
    if engine is not None:
        engine.close()


def _ears(place: Place) -> Callable[[str], Listener] | None:
    """Return what makes the listener of a stream, or None where nothing can recognise speech."""
    recogniser, line = find_recogniser(threads=1)
    _log.info(line)
    if recogniser is None:
        return None

    def listener(video_id: str) -> Listener:
        with place.database.read() as session:
            shop = videos.get_video(session, video_id).shop
        titles = [product.title for product in place.store.products(shop, limit=_MOST_TITLES).products]
        return Listener(recogniser.knowing(titles))

    return listener


class _OnAir:
    """A stream that is wanted: started, and started again when it fails."""

    def __init__(self, video_id: str, place: Place, engine: Engine) -> None:
        self._video_id, self._place, self._engine = video_id, place, engine
        self._stream: Stream | None = None
        self._sink: _Sink | None = None
        self._ending = False  # nobody wants it any more, or not for now
        self._started_s = self._due_s = 0.0
        self._pause_s = _PAUSE_S

    @property
    def alive(self) -> bool:
        """Whether it runs, or is about to end."""
        return self._stream is not None and self._stream.alive

    def look_after(self, video: Video) -> None:
        """Start the stream if it does not run and its time has come."""
        if self.alive:
            return  # one that ends, and is wanted again, first comes to its end
        if self._stream is not None:
            self._clear_away()
            if not self._ending and (self._sink is None or not self._sink.failed):  # a file was played to its end
                self._change(wanted=False, state="stopped")
                return
            if not self._ending:
                self._wait()
            self._ending = False
        if time.monotonic() >= self._due_s:
            self._start(video)

    def stop(self) -> None:
        """End the stream for good: nobody wants it any more. Returns at once."""
        if self._ending:
            return
        self._ending = True
        if self.alive:
            self._engine.stop(self._video_id, patience_s=0.0)
        else:
            self._clear_away()
            self._change(state="stopped", error="")

    def leave(self) -> None:
        """Write nothing more, because this process ends: what is on screen is left open."""
        if self._sink is not None:
            self._sink.leaving = True

    def _clear_away(self) -> None:
        """Let the engine forget a stream that has ended."""
        self._engine.stop(self._video_id)
        self._stream = None

    def _wait(self) -> None:
        """Leave the stream alone for a while, each time for longer unless it ran well in between."""
        if time.monotonic() - self._started_s > _STEADY_S:
            self._pause_s = _PAUSE_S
        self._due_s = time.monotonic() + self._pause_s
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    def _start(self, video: Video) -> None:
        self._started_s = time.monotonic()
        try:
            shop = self._place.store.on_air(video.shop, self._engine.method.encoder.fingerprint)
            source = _source(video, self._place)
            reached_s, first_s, open_rows = self._go_on()
        except ShopcueError as error:
            self._change(state="failed", error=str(error))
            self._wait()
            return
        recorder, problem = _recorder(video, source, self._place.settings)
        ids = {n: row.focus_id for n, row in enumerate(open_rows)}
        cut_off_s = reached_s if first_s > reached_s else None
        self._sink = _Sink(self._place, video, unrecorded=problem, cut_off_s=cut_off_s, _focus_ids=ids)
        self._stream = self._sink.stream = self._engine.start(
            self._video_id,
            source,
            shop,
            self._sink,
            trace=TraceFiles(self._place.settings.video_folder(video.video_id) / "trace"),
            recorder=recorder,
            first_s=first_s,
            sound=video.listened,
            resumed=tuple(replace(focuses.to_record(row), end_s=max(row.end_s, reached_s)) for row in open_rows),
        )

    def _go_on(self) -> tuple[float, float, list[FocusRow]]:
        """Return how far the stream came, at which time it starts now, and what an earlier process left open.

        A stream that was cut off has gone on meanwhile, and what it showed then is missed; a stopped one has not.
        """
        with self._place.database.write() as session:
            video = videos.get_video(session, self._video_id)
            reached_s = video.duration_s or 0.0
            if video.state not in videos.LIVE_STATES:
                focuses.close_open_focuses(session, video.video_id, reached_s)
                video.reached_at = time.time()
                return reached_s, reached_s, []
            first_s = reached_s + max(0.0, time.time() - (video.reached_at or video.updated_at))
            return reached_s, first_s, focuses.list_open(session, video.video_id)

    def _change(self, **fields: object) -> None:
        try:
            with self._place.database.write() as session:
                videos.change_video(session, self._video_id, **fields)
        except Missing:
            _log.info("the stream %s was deleted", self._video_id)


@dataclass
class _Sink:
    """Writes down what one stream tells, each piece with its event, and reads what viewers write about it.

    unrecorded: why the stream is not kept, where it should be. cut_off_s: how far it came when an earlier process died.
    leaving: set when the process ends and the stream does not. failed: whether the stream has ended for a reason.
    """

    place: Place
    video: Video
    stream: Stream | None = None
    unrecorded: str = ""
    cut_off_s: float | None = None
    leaving: bool = False
    failed: bool = False
    _focus_ids: dict[int, str] = field(default_factory=dict)
    _last_comment: int | None = None
    _clock_s: float = 0.0

    def announce(self, news: Sequence[Announcement], now_s: float) -> None:
        """Write the news, and from time to time how far the stream is, in one transaction."""
        if self.leaving:
            return  # who starts next goes on with what is on screen
        tick = time.monotonic() - self._clock_s > _CLOCK_EVERY_S
        if not (news or tick):
            return
        with self.place.database.write() as session:
            video = videos.get_video(session, self.video.video_id)
            self._tell_what_was_missed(session, video, now_s)
            for each in news:
                self._write(session, video, each, now_s)
            if tick:
                self._clock_s = time.monotonic()
                width, height = self.stream.size if self.stream else (None, None)
                known = {"duration_s": now_s, "reached_at": time.time(), "width": width, "height": height}
                videos.change_video(session, video.video_id, **known, health=self._health())

    def _tell_what_was_missed(self, session: Session, video: Video, now_s: float) -> None:
        """Tell the span that nobody watched, which ends with the first picture."""
        if self.cut_off_s is None:
            return
        missed = {"start_s": self.cut_off_s, "end_s": now_s}
        self.cut_off_s = None
        data = {**videos.video_fields(video), "missed": missed}
        add_event(session, "stream.update", video.shop, video.video_id, now_s, data)

    def state(self, state: State, problem: str) -> None:
        """Write the state of the stream; one that was deleted has none."""
        self.failed = state == "failed"
        if self.leaving:
            return
        with suppress(Missing), self.place.database.write() as session:
            videos.change_video(session, self.video.video_id, state=state, error=problem, health=self._health())

    def words(self) -> Iterable[Utterance | Comment]:
        """Return the comments that came since the last call; those of before the stream started do not count."""
        with self.place.database.read() as session:
            if self._last_comment is None:
                self._last_comment = words.last_comment(session, self.video.video_id)
            found = words.comments_after(session, self.video.video_id, self._last_comment)
        if found:
            self._last_comment = found[-1][0]
        return [comment for _, comment in found]

    def heard(self, utterances: Sequence[Utterance]) -> None:
        """Write down what was said."""
        with suppress(Missing), self.place.database.write() as session:
            words.add_utterances(session, videos.get_video(session, self.video.video_id).video_id, utterances)

    def _health(self) -> dict[str, object]:
        """Return how the stream fares: what it has counted, and whether it is kept."""
        if self.stream is None:
            return {}
        counts = {name: round(value, 3) for name, value in asdict(self.stream.counts).items()}
        return {**counts, "recording": self.stream.recording or self.unrecorded}

    def _titles(self, focus: Focus) -> dict[str, str]:
        """Return the titles of what a focus may show instead."""
        catalog = self.stream.catalog if self.stream is not None else Catalog(())
        others = [each.product_id for each in focus.alternatives if each.product_id in catalog.position]
        return {product_id: catalog.products[catalog.position[product_id]].title for product_id in others}

    def _write(self, session: Session, video: Video, news: Announcement, now_s: float) -> None:
        titles = self._titles(news.focus)
        focus_id = self._focus_ids.get(news.number)
        if focus_id is None or news.kind == "open":
            row = focuses.save_open(session, video, news.focus, None, now_s, titles)
            self._focus_ids[news.number] = row.focus_id
        elif news.kind == "update":
            focuses.save_open(session, video, news.focus, focus_id, now_s, titles)
        elif news.kind == "close":
            focuses.close_focus(session, focus_id, news.focus, now_s, titles)
        elif news.kind == "withdraw":
            focuses.revise_focus(session, self._focus_ids.pop(news.number), None, now_s)
        elif news.kind == "revise":
            focuses.revise_focus(session, focus_id, news.focus, now_s, titles)
        else:
            focuses.settle_focus(session, self._focus_ids.pop(news.number), news.focus, titles)


def _source(video: Video, place: Place) -> Source:
    if not video.source.startswith(RECORDING):
        return open_source(video.source, private=place.settings.allow_private, files=False)
    recording = video.source.removeprefix(RECORDING)
    with place.database.read() as session:
        shop = videos.get_video(session, recording).shop
    path = place.settings.media_file(recording)
    if path is None or shop != video.shop:
        raise MediaError(f"the shop has no recording {recording} to play; give the id of one that was uploaded")
    return PacedFile(path)


def _recorder(video: Video, source: Source, settings: ServerSettings) -> tuple[Recorder | None, str]:
    """Return what keeps a stream, None if it is not to be kept; and why it cannot be, where it should."""
    if not (source.endless and video.recorded and settings.records):
        return None, ""
    folder = settings.recording_folder(video.video_id)
    try:
        spare_bytes = settings.uploads.spare_bytes
        return Recorder(folder, keep_s=settings.keep_s, keep_bytes=settings.keep_bytes, spare_bytes=spare_bytes), ""
    except OutputError as error:
        _log.warning("the stream %s is not recorded: %s", video.video_id, error)
        return None, "the folder of the recording cannot be used"
