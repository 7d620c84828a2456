"""A video and a catalogue -> focuses: the natural way of the data, read from top to bottom.

`Session` is the state of one stream and `Session.step` its one stateful step. Offline is a `for` loop over it
(`find_focuses`); a live engine puts threads, queues and batches across streams around the same step.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from shopcue.focusing import Focuser
from shopcue.looking import Looker, Seen
from shopcue.matching import Calibration
from shopcue.mentions import Mentions
from shopcue.models.detector import Detector
from shopcue.models.text import TextMatcher
from shopcue.records import Catalog, Comment, Detections, Focus, Frame, Match, Utterance
from shopcue.settings import Settings
from shopcue.trace import Trace

T = TypeVar("T")

EVIDENCE_WAIT_S = 20.0
"""A moment is scored when its stream is so far past it, so that what is said about it, and heard late, still counts."""

FORGOTTEN_S = 60.0
"""What was on screen so long before an interruption ended says nothing about what is on screen after it."""

_BATCH_FRAMES = 8
_RECENT_WORDS = 500  # are read again when the catalogue changes, for what is on screen then


class Session:
    """One stream against one shop: frames, speech and comments in, focuses out.

    catalog: the shop on air. looker: compares frames with it. calibration: the weights of the looker's features and of
    words. text: says which products a text names; None goes without words. trace: told how each moment compares.
    Nothing in here grows with the length of the stream.
    """

    def __init__(
        self,
        catalog: Catalog,
        looker: Looker,
        calibration: Calibration,
        text: TextMatcher | None = None,
        settings: Settings | None = None,
        trace: Trace | None = None,
    ) -> None:
        self._settings = settings or Settings()
        self._trace = trace
        self._catalog = catalog
        self._looker = looker
        self._calibration = calibration
        self._mentions = Mentions(text) if text is not None else None
        focusing = self._settings.focusing
        self._focuser = Focuser(
            catalog,
            switch_nats=focusing.switch_nats,
            max_delay_s=focusing.max_delay_s,
            alternatives=focusing.alternatives,
        )
        self._recent: deque[Utterance | Comment] = deque(maxlen=_RECENT_WORDS)
        self._waiting: deque[Seen] = deque()
        self._previews: deque[Match] = deque()  # what the first of those that wait are worth, as far as words are known

    @property
    def catalog(self) -> Catalog:
        """The shop on air."""
        return self._catalog

    def update(self, words: Utterance | Comment) -> None:
        """Take something that was said or written; it may come late, by up to `EVIDENCE_WAIT_S`."""
        if self._mentions is not None:
            self._mentions.update(words)
            self._recent.append(words)
            self._previews.clear()

    def step(self, frame: Frame, detections: Detections) -> list[Focus]:
        """Take the next moment and return the focuses that have ended for good."""
        self._waiting += self._looker.update(frame, detections)
        closed: list[Focus] = []
        while self._waiting and self._waiting[0].time_s <= frame.time_s - EVIDENCE_WAIT_S:
            closed += self._decide_first()
        return [self._with_words(focus) for focus in closed]

    def expect(self, focus: Focus, now_s: float) -> None:
        """Begin, at now_s, with a focus that was on screen when the stream was interrupted; the longer ago the less."""
        gap_s = max(0.0, now_s - focus.end_s)
        self._focuser.expect(focus.product_id, max(0.0, 1 - gap_s / FORGOTTEN_S))

    def outlook(self, now_s: float) -> list[Focus]:
        """Return the focuses that `step` has not yet returned, as they stand at now_s; all of them may still change.

        In order of start. The last one ends at now_s where its product is still on screen.
        """
        for seen in islice(self._waiting, len(self._previews), None):
            self._previews.append(self._match(seen))
        ahead = [*self._previews, *(self._match(seen) for seen in self._looker.outlook())]
        return [self._with_words(focus) for focus in self._focuser.outlook(ahead, now_s)]

    def change(self, catalog: Catalog, looker: Looker, text: TextMatcher | None = None) -> list[Focus]:
        """Go on with another catalogue of the shop and return the focuses that have ended for good.

        What has been seen until now is decided by the old one. A focus goes on if its product is still there.
        """
        self._waiting += self._looker.finish()
        closed: list[Focus] = []
        while self._waiting:
            closed += self._decide_first()
        closed += self._focuser.change(catalog)
        closed = [self._with_words(focus) for focus in closed]
        self._catalog, self._looker = catalog, looker
        self._mentions = Mentions(text) if text is not None else None
        for words in tuple(self._recent):
            self.update(words)
        return closed

    def finish(self, end_s: float) -> list[Focus]:
        """End the stream at end_s and return the focuses that were still open."""
        self._waiting += self._looker.finish()
        closed: list[Focus] = []
        while self._waiting:
            closed += self._decide_first()
        return [self._with_words(focus) for focus in closed + self._focuser.finish(end_s)]

    def _decide_first(self) -> list[Focus]:
        """Score the moment that has waited longest and return the focuses that end by it."""
        seen = self._waiting.popleft()
        match = self._previews.popleft() if self._previews else self._match(seen)
        if self._trace is not None:
            self._trace.matched(match, self._catalog)
        return self._focuser.update(match)

    def _match(self, seen: Seen) -> Match:
        matching, calibration = self._settings.matching, self._calibration
        visual = np.asarray(seen.features @ calibration.visual, np.float32)
        text = comments = np.zeros_like(visual)
        if self._mentions is not None:
            text = calibration.text * matching.text_weight * self._mentions.utterances_at(seen.time_s)
            comments = calibration.comments * matching.comment_weight * self._mentions.comments_at(seen.time_s)
        score = (visual + text + comments).astype(np.float32)
        return Match(seen.time_s, visual, text.astype(np.float32), comments.astype(np.float32), score, seen.box)

    def _with_words(self, focus: Focus) -> Focus:
        if self._mentions is None:
            return focus
        product = self._catalog.position[focus.product_id]
        said = self._mentions.naming(product, focus.start_s, focus.end_s)
        return replace(focus, evidence=replace(focus.evidence, utterances=said))


# ---- offline ---------------------------------------------------------------------------------------------------

Update = Callable[[str, float, float], None]
"""Progress: what is being done, how much is done, of how much."""


@dataclass(frozen=True, slots=True)
class Words:
    """What was said and written about a video, each in order of time."""

    utterances: Sequence[Utterance] = ()
    comments: Sequence[Comment] = ()

    def in_order(self) -> Iterator[tuple[float, Utterance | Comment]]:
        """Yield each with the second at which it is known: an utterance when it has ended."""
        known: list[tuple[float, Utterance | Comment]] = [(said.end_s, said) for said in self.utterances]
        known += [(comment.time_s, comment) for comment in self.comments]
        yield from sorted(known, key=lambda pair: pair[0])


def find_focuses(
    session: Session,
    frames: Iterable[Frame],
    detector: Detector,
    words: Words,
    end_s: float,
    update: Update | None = None,
) -> list[Focus]:
    """Run a session over a whole video and return its focuses in order of start."""
    focuses: list[Focus] = []
    spoken = deque(words.in_order())
    # The matrices are small: BLAS threads would wait for each other, spinning, and take a third of the machine.
    with threadpool_limits(1, "blas"), closing(_ahead(_detected(frames, detector), 3 * _BATCH_FRAMES)) as looks:
        for frame, detections in looks:
            while spoken and spoken[0][0] <= frame.time_s:
                session.update(spoken.popleft()[1])
            focuses += session.step(frame, detections)
            if update is not None:
                update("video", frame.time_s, end_s)
    for _, late in spoken:
        session.update(late)
    return sorted(focuses + session.finish(end_s), key=lambda focus: focus.start_s)


def _detected(frames: Iterable[Frame], detector: Detector) -> Iterator[tuple[Frame, Detections]]:
    remaining = iter(frames)
    while batch := list(islice(remaining, _BATCH_FRAMES)):
        yield from zip(batch, detector.detect(batch), strict=True)


def _ahead(items: Iterator[T], room: int) -> Generator[T, None, None]:
    """Yield what `items` yields, made by a thread that runs at most `room` items ahead."""
    box: queue.Queue[T | BaseException | None] = queue.Queue(room)
    stopped = threading.Event()

    def put(item: T | BaseException | None) -> bool:
        while not stopped.is_set():
            try:
                box.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            if all(put(item) for item in items):
                put(None)
        except BaseException as error:  # whatever it is, it belongs to the one who waits for the items
            put(error)
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    worker = threading.Thread(target=work, name="shopcue-ahead", daemon=True)
    worker.start()
    try:
        while (item := box.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        worker.join()
