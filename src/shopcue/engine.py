"""Many live streams at once, each a `Session` that is stepped as frames come, and its focuses told as news.

A stream is a thread that looks and a thread that reads: the reader puts frames into a short queue, and where looking
is slower the oldest frame is dropped and counted, never a word. A connection that breaks is made again after a while
that grows; the time of the stream goes on meanwhile, so that a focus after the gap stands where it belongs. The model
is shared, and so is the machine: the streams take turns at it.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Literal, Protocol

from threadpoolctl import threadpool_limits

from shopcue.announcing import Announcement, Announcer
from shopcue.errors import ShopcueError
from shopcue.methods import Method
from shopcue.records import Comment, Focus, Frame, Gallery, Utterance
from shopcue.sources.live import Source
from shopcue.trace import TraceFiles

State = Literal["starting", "live", "reconnecting", "stopped", "failed"]

_log = logging.getLogger(__name__)

_WAITING_FRAMES = 8
_SHOP_EVERY_S = 1.0
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_STEADY_S = 30.0  # a connection that lasted so long was a good one: the next pause is short again


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
        """Return what was said and written since the last call."""


@dataclass(slots=True)
class Counts:
    """What a stream has done so far. behind_s: how old the last frame was when it had been looked at."""

    frames: int = 0
    dropped: int = 0
    connections: int = 0
    behind_s: float = 0.0


class Stream:
    """One live stream against one shop.

    source: where it comes from. shop: what is looked for; read again when it changes. sink: takes the news. looking:
    the turn at the model, shared by all streams of a process. trace: takes down what is decided. first_s: the time of
    the stream at which it starts, for one that goes on after its process died. full: what happens to a frame when the
    queue is full: `drop` the oldest, or let the source `wait`, which only a file can.
    """

    def __init__(
        self,
        source: Source,
        shop: Shop,
        method: Method,
        sink: Sink,
        *,
        looking: threading.Lock | None = None,
        trace: TraceFiles | None = None,
        first_s: float = 0.0,
        full: Literal["drop", "wait"] = "drop",
    ) -> None:
        self.counts = Counts()
        self.size: tuple[int | None, int | None] = (None, None)  # width and height in pixels, once a frame has come
        self._source, self._shop, self._method, self._sink, self._trace = source, shop, method, sink, trace
        self._looking = looking or threading.Lock()
        self._stopping = threading.Event()
        self._frames = _Waiting(_WAITING_FRAMES, full)
        self._first_s = self._now_s = self._read_s = first_s
        self._session = method.session(shop.gallery, trace)
        self._announcer = Announcer()
        self._shop_s = time.monotonic()
        self._problem = ""
        self._thread = threading.Thread(target=self._run, name="shopcue-stream", daemon=True)

    def start(self) -> None:
        """Begin to read and to look."""
        self._thread.start()

    def stop(self, patience_s: float = 10.0) -> None:
        """End the stream: its open focuses end now. Waits until the last news is told, or patience_s."""
        self._stopping.set()
        self._frames.close()
        self.join(patience_s)

    def join(self, patience_s: float | None = None) -> None:
        """Wait until the stream has ended."""
        self._thread.join(patience_s)

    @property
    def titles(self) -> dict[str, str]:
        """The titles of the products on air, by their ids."""
        return {product.product_id: product.title for product in self._session.catalog}

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
                    self._step(*item) if isinstance(item, tuple) else self._sink.state(*item.said)
            self._tell(self._session.finish(self._now_s), last=True)
            if self._trace is not None:
                self._trace.finish()
            self._sink.state("failed" if self._problem else "stopped", self._problem)
        except ShopcueError as error:
            self._sink.state("failed", str(error))
        except Exception as error:  # a fault of ours ends this stream and no other
            _log.exception("a stream ended by a fault of ours")
            self._sink.state("failed", f"a fault of ours: {type(error).__name__}")
        finally:
            self._stopping.set()
            self._frames.close()

    def _step(self, frame: Frame, arrived_s: float) -> None:
        self._follow_the_shop()
        for words in self._sink.words():
            self._session.update(words)
        with self._looking:
            detections = self._method.detector.detect([frame])[0]
            ended = self._session.step(frame, detections)
        self._now_s = frame.time_s
        height, width = frame.image.shape[:2]
        self.size = (round(width * frame.scale), round(height * frame.scale))
        self.counts.frames += 1
        self.counts.dropped = self._frames.dropped
        self._tell(ended)
        self.counts.behind_s = time.monotonic() - arrived_s

    def _follow_the_shop(self) -> None:
        if time.monotonic() - self._shop_s < _SHOP_EVERY_S:
            return
        self._shop_s = time.monotonic()
        try:
            changed = self._shop.refresh()
        except ShopcueError as error:
            self._sink.state("live", f"the shop as it was is still on air: {error}")
            return
        if changed:
            self._tell(self._method.change(self._session, self._shop.gallery, self._trace))

    def _tell(self, ended: Sequence[Focus], *, last: bool = False) -> None:
        outlook = [] if last else self._session.outlook(self._now_s)
        self._sink.announce(self._announcer.update(ended, outlook, self._now_s), self._now_s)

    # ---- reading -------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """Connect, read, and connect again, until the stream is stopped or its source has ended for good."""
        began_s, pause_s = time.monotonic() - self._first_s, _SHORTEST_PAUSE_S
        while not self._stopping.is_set():
            connected_s, problem = time.monotonic(), "the stream ended"
            try:
                self._read_connection(began_s)
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
            self._frames.put(_Note(("reconnecting", problem)))
            self._stopping.wait(pause_s * random.uniform(0.7, 1.3))  # noqa: S311 - so that not all come at once
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        self._frames.close()

    def _read_connection(self, began_s: float) -> None:
        """Read one connection to its end."""
        sampling = self._method.settings.sampling
        shift_s: float | None = None
        self.counts.connections += 1
        with closing(self._source.frames(sampling.rate_hz, sampling.max_side_px)) as frames:
            for frame in frames:
                if self._stopping.is_set():
                    break
                if shift_s is None:
                    shift_s = self._start_of_connection_s(began_s) - frame.time_s
                    self._frames.put(_Note(("live", "")))
                self._read_s = frame.time_s + shift_s
                self._frames.put((Frame(self._read_s, frame.image, frame.scale), time.monotonic()))

    def _start_of_connection_s(self, began_s: float) -> float:
        """Return the time of the stream at which a connection starts: the gap before it counts."""
        if self.counts.connections == 1:
            return self._first_s
        return max(time.monotonic() - began_s, self._read_s + 1 / self._method.settings.sampling.rate_hz)


@dataclass(frozen=True, slots=True)
class _Note:
    """A change of state, in order with the frames."""

    said: tuple[State, str]


class _Waiting:
    """A short queue of frames, and of notes between them. full: what happens to a frame too many: see `Stream`."""

    def __init__(self, room: int, full: Literal["drop", "wait"]) -> None:
        self.dropped = 0
        self._room, self._full = room, full
        self._items: deque[tuple[Frame, float] | _Note] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, item: tuple[Frame, float] | _Note) -> None:
        """Add an item. Notes are few and are never dropped."""
        with self._changed:
            while self._full == "wait" and len(self._items) >= self._room and not self._closed:
                self._changed.wait()
            self._items.append(item)
            frames = [n for n, each in enumerate(self._items) if isinstance(each, tuple)]
            if len(frames) > self._room:
                del self._items[frames[0]]
                self.dropped += 1
            self._changed.notify_all()

    def get(self) -> tuple[Frame, float] | _Note | None:
        """Return the oldest item, waiting for one; None when the queue is closed and empty."""
        with self._changed:
            while not self._items and not self._closed:
                self._changed.wait()
            self._changed.notify_all()
            return self._items.popleft() if self._items else None

    def close(self) -> None:
        """Let those who wait go: nothing comes any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
