"""One live stream: a thread reads and a thread looks, and what is found is told as news.

Where looking is slower than the stream the oldest frame is dropped and counted, never a word. A connection that breaks
is made again after a while that grows; the time of the stream goes on meanwhile, so that a focus after the gap stands
where it belongs. A fault while looking ends the session, not the stream: a new one goes on with what is on screen.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

from threadpoolctl import threadpool_limits

from shopcue.announcing import Announcement, Announcer
from shopcue.engine.hearing import Ears
from shopcue.engine.waiting import Arrived, Full, Note, State, Waiting
from shopcue.errors import ShopcueError
from shopcue.methods import Method
from shopcue.pipeline import FORGOTTEN_S, Session
from shopcue.records import AudioChunk, Catalog, Comment, Focus, Frame, Gallery, Utterance
from shopcue.sources.live import Source
from shopcue.sources.recorder import Recorder
from shopcue.trace import TraceFiles

_log = logging.getLogger(__name__)

_WAITING_FRAMES, _WAITING_S = 40, 4.0
_SHOP_EVERY_S = 1.0
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_STEADY_S = 30.0  # a connection that lasted so long was a good one: the next pause is short again
_MOST_FAULTS = 3
_LAST_WORDS_S = 60.0  # a file that has ended waits so long for what was said in it,
_LAST_WORDS_OF_STOPPED_S = 2.0  # a stream that somebody stops does not
_FAREWELL_S = 5.0


class Shop(Protocol):
    """The shop on air."""

    gallery: Gallery

    def refresh(self) -> bool:
        """Read the shop again where it has changed; returns whether it has."""


class Sink(Protocol):
    """Takes what a stream has to say, and gives what is said about it. Called by the thread of the stream alone."""

    def announce(self, news: Sequence[Announcement], now_s: float) -> None:
        """Take the news, in order."""

    def state(self, state: State, problem: str) -> None:
        """Take the state of the stream; problem: one line, empty when all is well."""

    def words(self) -> Iterable[Utterance | Comment]:
        """Return what was written since the last call, and what was said, where the sink knows of it."""

    def heard(self, utterances: Sequence[Utterance]) -> None:
        """Take what the ears have heard, in order of time."""


@dataclass(slots=True)
class Counts:
    """What a stream has done so far.

    waiting: frames in the queue now. behind_s: how old the last frame was when its news was told. faults: sessions that
    ended by a fault of ours. deaf_s: seconds of sound that nobody could listen to.
    """

    frames: int = 0
    dropped: int = 0
    waiting: int = 0
    connections: int = 0
    faults: int = 0
    behind_s: float = 0.0
    deaf_s: float = 0.0


class Stream:
    """One live stream against one shop.

    name: by which the ears know it. source: where it comes from. shop: what is looked for; read again when it changes.
    sink: takes the news. turns: at the processor, shared by all streams. ears: listen to its speech; None goes without.
    trace: takes down what is decided. recorder: keeps what comes, and is closed in the end. first_s: the time of the
    stream at which it starts, for one that goes on after its process died. full: see `Full`. resumed: what was on
    screen then: see `Announcer`.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        shop: Shop,
        method: Method,
        sink: Sink,
        *,
        turns: threading.Semaphore | None = None,
        ears: Ears | None = None,
        trace: TraceFiles | None = None,
        recorder: Recorder | None = None,
        first_s: float = 0.0,
        full: Full = "drop",
        resumed: Sequence[Focus] = (),
    ) -> None:
        self.counts = Counts()
        self.size: tuple[int | None, int | None] = (None, None)  # width and height in pixels, once a frame has come
        self._name, self._source, self._shop, self._method = name, source, shop, method
        self._sink, self._ears, self._trace, self._recorder = sink, ears, trace, recorder
        self._turns = turns or threading.Semaphore()
        self._stopping = threading.Event()
        self._frames = Waiting(_WAITING_FRAMES, _WAITING_S, full)
        self._first_s = self._now_s = self._read_s = first_s
        # When its time was 0. A new stream begins with its first picture, however long that was waited for; one that
        # was interrupted has gone on meanwhile.
        self._began_s = time.monotonic() - first_s if first_s and source.endless else None
        self._announcer = Announcer(resumed=resumed, bridge_s=FORGOTTEN_S)
        self._session = self._new_session()
        self._shop_s = time.monotonic()
        self._problem = ""
        self._thread = threading.Thread(target=self._run, name="shopcue-stream", daemon=True)

    def start(self) -> None:
        """Begin to read and to look."""
        self._thread.start()

    def change_shop(self, shop: Shop) -> None:
        """Look for the products of another shop from the next frame on."""
        self._shop, self._shop_s = shop, -math.inf

    def halt(self) -> None:
        """Ask the stream to end; its open focuses end now."""
        self._stopping.set()
        self._frames.close()
        self._source.close()

    def stop(self, patience_s: float = 10.0) -> None:
        """End the stream, and wait until the last news is told, or patience_s."""
        self.halt()
        self.join(patience_s)

    def join(self, patience_s: float | None = None) -> None:
        """Wait until the stream has ended."""
        self._thread.join(patience_s)

    @property
    def catalog(self) -> Catalog:
        """The products on air."""
        return self._session.catalog

    @property
    def recording(self) -> str:
        """Whether what comes is kept: empty for no, `on`, or why it cannot be kept now."""
        if self._recorder is None or not self.counts.connections:
            return ""
        return self._recorder.problem or "on"

    @property
    def alive(self) -> bool:
        """Whether the stream still runs."""
        return self._thread.is_alive()

    # ---- looking -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        reader = threading.Thread(target=self._read, name="shopcue-reader", daemon=True)
        try:
            self._sink.state("starting", "")
            reader.start()
            with threadpool_limits(1, "blas"):
                while (item := self._frames.get()) is not None:
                    self._take(item)
            self._hear_the_last()
            ended = self._session.finish(self._now_s)
            self._sink.announce(self._announcer.finish(ended, self._now_s), self._now_s)
            if self._trace is not None:
                self._trace.finish()
            self._sink.state("failed" if self._problem else "stopped", self._problem)
        except ShopcueError as error:
            self._sink.state("failed", str(error))
        except Exception as error:  # a fault of ours ends this stream and no other
            _log.exception("the stream %s ended by a fault of ours", self._name)
            self._sink.state("failed", f"a fault of ours: {type(error).__name__}")
        finally:
            self.halt()
            if self._ears is not None:
                self._ears.forget(self._name)
            if reader.is_alive():
                reader.join(_FAREWELL_S)
            if self._recorder is not None:
                self._recorder.close()

    def _take(self, item: Arrived | Note) -> None:
        """Look at a frame; a fault of ours starts the session anew, with what is on screen, some times."""
        if isinstance(item, Note):
            self._sink.state(item.state, item.problem)
            return
        try:
            self._step(item.frame)
        except ShopcueError:
            raise
        except Exception:
            self.counts.faults += 1
            if self.counts.faults > _MOST_FAULTS:
                raise
            _log.exception("the session of the stream %s ended by a fault of ours, another goes on", self._name)
            self._begin_anew()
        self.counts.behind_s = time.monotonic() - item.at_s

    def _begin_anew(self) -> None:
        self._announcer = self._announcer.resume(self._now_s)
        self._session = self._new_session()

    def _new_session(self) -> Session:
        """Return a session that begins with what was on screen."""
        session = self._method.session(self._shop.gallery, self._trace)
        for _, focus in self._announcer.open:
            session.expect(focus, self._now_s)
        return session

    def _step(self, frame: Frame) -> None:
        self._follow_the_shop()
        self._listen(self._ears.said(self._name) if self._ears is not None else [])
        height, width = frame.image.shape[:2]
        self.size = (round(width * frame.scale), round(height * frame.scale))
        detections = self._method.detector.detect([frame])[0]
        self._now_s = frame.time_s
        with self._turns:
            ended = self._session.step(frame, detections)
            outlook = self._session.outlook(self._now_s)
        self.counts.frames += 1
        self.counts.dropped, self.counts.waiting = self._frames.dropped, len(self._frames)
        if self._ears is not None:
            self.counts.deaf_s = self._ears.lost_s(self._name)
        self._sink.announce(self._announcer.update(ended, outlook, self._now_s), self._now_s)

    def _listen(self, said: Sequence[Utterance]) -> None:
        """Take what was said, and what was written."""
        if said:
            self._sink.heard(said)
        for words in (*self._sink.words(), *said):
            self._session.update(words)

    def _hear_the_last(self) -> None:
        """Take what was said in the end, which is heard a little after it was seen."""
        if self._ears is not None:
            patience_s = _LAST_WORDS_OF_STOPPED_S if self._stopping.is_set() else _LAST_WORDS_S
            self._listen(self._ears.finish(self._name, patience_s))

    def _follow_the_shop(self) -> None:
        if time.monotonic() - self._shop_s < _SHOP_EVERY_S:
            return
        self._shop_s = time.monotonic()
        try:
            changed = self._shop.refresh()
        except ShopcueError as error:
            self._sink.state("live", f"the shop as it was is still on air: {error}")
            return
        if changed or self._session.catalog is not self._shop.gallery.catalog:
            ended = self._method.change(self._session, self._shop.gallery, self._trace)
            outlook = self._session.outlook(self._now_s)
            self._sink.announce(self._announcer.update(ended, outlook, self._now_s), self._now_s)

    # ---- reading -------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """Connect, read, and connect again, until the stream is stopped or its source has ended for good."""
        pause_s = _SHORTEST_PAUSE_S
        while not self._stopping.is_set():
            connected_s, problem = time.monotonic(), "the stream ended"
            try:
                self._read_connection()
            except ShopcueError as error:
                problem = str(error)
            except Exception as error:
                _log.exception("a source failed by a fault of ours")
                problem = f"a fault of ours: {type(error).__name__}"
            if not self._source.endless:
                self._problem = "" if problem == "the stream ended" else problem
                break
            if self._stopping.is_set():
                break
            if time.monotonic() - connected_s > _STEADY_S:
                pause_s = _SHORTEST_PAUSE_S
            self._frames.put(Note("reconnecting", problem))
            self._stopping.wait(pause_s * random.uniform(0.7, 1.3))  # noqa: S311 - so that not all come at once
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        self._frames.close()

    def _read_connection(self) -> None:
        """Read one connection to its end."""
        sampling = self._method.settings.sampling
        shift_s: float | None = None
        self.counts.connections += 1
        sound = self._ears is not None
        items = self._source.read(sampling.rate_hz, sampling.max_side_px, sound=sound, recorder=self._recorder)
        with closing(items):
            for item in items:
                if self._stopping.is_set():
                    break
                if isinstance(item, AudioChunk):
                    self._hear(item, shift_s)
                    continue
                if shift_s is None:
                    shift_s = self._start_of_connection_s() - item.time_s
                    if self._recorder is not None:
                        self._recorder.place(shift_s)
                    self._frames.put(Note("live"))
                self._read_s = item.time_s + shift_s
                self._frames.put(Arrived(Frame(self._read_s, item.image, item.scale), time.monotonic()))

    def _hear(self, chunk: AudioChunk, shift_s: float | None) -> None:
        """Give sound to the ears; what comes before the first picture has no place in the stream's time yet."""
        if self._ears is not None and shift_s is not None:
            self._ears.hear(self._name, AudioChunk(chunk.start_s + shift_s, chunk.samples, chunk.rate_hz))

    def _start_of_connection_s(self) -> float:
        """Return the time of the stream at which a connection starts: the gap before it counts, as the clock saw it."""
        now_s = time.monotonic()
        if self._began_s is None:
            self._began_s = now_s - self._first_s
            return self._first_s
        return max(now_s - self._began_s, self._read_s + 1 / self._method.settings.sampling.rate_hz)
