"""A video and a catalogue -> focuses: the natural way of the data, read from top to bottom.

`Session` is the state of one stream and `Session.step` its one stateful step. Offline is a `for` loop over it
(`find_focuses`); a live engine puts threads, queues and batches across streams around the same step.
"""

from __future__ import annotations

import math
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

from shopcue.catalog.exact import similarities
from shopcue.focusing import Focuser
from shopcue.geometry import crop, windows
from shopcue.matching import CohortNorm, candidates, see, visual_features
from shopcue.mentions import Mentions
from shopcue.models.calibration import TrainedCalibration
from shopcue.models.image import ImageEncoder
from shopcue.models.text import TextMatcher
from shopcue.models.verification import GeometricVerifier, Verification, closeup
from shopcue.records import (
    COARSE_CLASSES,
    QUALITIES,
    Comment,
    Detections,
    Floats,
    Focus,
    Frame,
    Gallery,
    Match,
    Utterance,
)
from shopcue.settings import Settings

T = TypeVar("T")

EVIDENCE_WAIT_S = 20.0
"""A moment is scored when its stream is so far past it, so that what is said about it, and heard late, still counts."""

_BATCH_FRAMES = 8
_SURE_INLIERS = 6  # fewer are found by chance, and then the place is wrong
_HALF_A_FRAME_S = 0.02  # time stamps are not exact multiples


def detect(frames: Sequence[Frame], encoder: ImageEncoder) -> list[Detections]:
    """Look at several windows of each frame, in one batch over all of them (the one-stage method: no detector)."""
    boxes = [windows(frame.image.shape[1], frame.image.shape[0]) for frame in frames]
    crops = [crop(frame.image, box) for frame, places in zip(frames, boxes, strict=True) for box in places]
    vectors = encoder.encode(crops)
    ends = np.cumsum([len(places) for places in boxes])[:-1]
    return [
        Detections(
            frame.time_s,
            boxes=(places * frame.scale).astype(np.float32),
            scores=np.ones(len(places), np.float32),
            classes=np.full(len(places), COARSE_CLASSES.index("goods")),
            quality=np.ones((len(places), len(QUALITIES)), np.float32),
            vectors=rows,
        )
        for frame, places, rows in zip(frames, boxes, np.split(vectors, ends), strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a moment looks like, before any word about it is known.

    visual: float32 (P,), log odds of each product against 'none' by pictures alone. box: float32 (P, 4), where each
    product looks most like itself, xyxy pixels of the video.
    """

    time_s: float
    visual: Floats
    box: Floats


class Looker:
    """Compares the moments of one stream with a gallery: embeddings first, local features for the few best candidates.

    encoder: the one that made the gallery. trained: its calibration and cohort. verify: how many candidates are
    verified. verify_every_s: local features cost more than all else, and what they find holds for a while: it stands
    until so much later, or until another candidate is the best.
    """

    def __init__(
        self,
        gallery: Gallery,
        encoder: ImageEncoder,
        trained: TrainedCalibration,
        *,
        verify: int,
        verify_every_s: float = 0.0,
    ) -> None:
        self._gallery = gallery
        self._encoder = encoder
        self._weights = trained.calibration.visual
        self._norm = CohortNorm.of(similarities(gallery, trained.cohort))
        self._verifier = GeometricVerifier(gallery)
        self._verify, self._verify_every_s = verify, verify_every_s
        self._verified_s = -math.inf
        self._best = -1
        self._found: dict[int, Verification] = {}
        self._closeup = np.zeros(len(gallery.catalog), np.float32)

    def features(self, frame: Frame, detections: Detections) -> tuple[Floats, Floats]:
        """Return what a moment looks like to each product: features (P, F) of `matching.FEATURES`, boxes (P, 4)."""
        sight = see(similarities(self._gallery, detections.vectors), self._norm)
        best = int(np.argmax(sight.similarity))
        if best != self._best or frame.time_s - self._verified_s >= self._verify_every_s - _HALF_A_FRAME_S:
            self._verified_s, self._best = frame.time_s, best
            self._look_closer(frame, candidates(sight, self._verify))
        boxes = detections.boxes[sight.window]
        inliers = np.zeros(len(sight.similarity), np.float32)
        for product, found in self._found.items():
            inliers[product] = found.inliers
            boxes[product] = found.box * frame.scale
        return visual_features(sight, inliers, self._closeup), boxes

    def _look_closer(self, frame: Frame, products: list[int]) -> None:
        """Verify the candidates, and embed anew the place where the surest of them was found, cut out and upright."""
        verified = zip(products, self._verifier.verify(frame.image, products), strict=True)
        self._found = {product: found for product, found in verified if found.inliers}
        surest = max(self._found.values(), key=lambda found: found.inliers, default=None)
        self._closeup = np.zeros(len(self._gallery.catalog), np.float32)
        if surest is not None and surest.inliers >= _SURE_INLIERS:
            vector = self._encoder.encode([closeup(frame.image, surest)])
            self._closeup = see(similarities(self._gallery, vector), self._norm).similarity

    def look(self, frame: Frame, detections: Detections) -> Seen:
        """Return what a moment shows. The detections are those of this frame."""
        features, boxes = self.features(frame, detections)
        return Seen(frame.time_s, np.asarray(features @ self._weights, np.float32), boxes)


class Session:
    """One stream against one shop: frames, speech and comments in, focuses out.

    gallery: the shop on air. encoder: the one that made it. trained: the weights of its score. text: says which
    products a text names; None goes without words. Nothing in here grows with the length of the stream.
    """

    def __init__(
        self,
        gallery: Gallery,
        encoder: ImageEncoder,
        trained: TrainedCalibration,
        text: TextMatcher | None = None,
        settings: Settings | None = None,
    ) -> None:
        self._settings = settings or Settings()
        self._gallery = gallery
        self._calibration = trained.calibration
        matching = self._settings.matching
        self._looker = Looker(gallery, encoder, trained, verify=matching.verify, verify_every_s=matching.verify_every_s)
        self._mentions = Mentions(text) if text is not None else None
        focusing = self._settings.focusing
        self._focuser = Focuser(
            gallery.catalog,
            switch_nats=focusing.switch_nats,
            max_delay_s=focusing.max_delay_s,
            alternatives=focusing.alternatives,
        )
        self._waiting: deque[Seen] = deque()

    def update(self, words: Utterance | Comment) -> None:
        """Take something that was said or written; it may come late, by up to `EVIDENCE_WAIT_S`."""
        if self._mentions is not None:
            self._mentions.update(words)

    def step(self, frame: Frame, detections: Detections) -> list[Focus]:
        """Take the next moment and return the focuses that have ended for good."""
        self._waiting.append(self._looker.look(frame, detections))
        closed: list[Focus] = []
        while self._waiting[0].time_s <= frame.time_s - EVIDENCE_WAIT_S:
            closed += self._focuser.update(self._match(self._waiting.popleft()))
        return [self._with_words(focus) for focus in closed]

    def finish(self, end_s: float) -> list[Focus]:
        """End the stream at end_s and return the focuses that were still open."""
        closed = [focus for seen in self._waiting for focus in self._focuser.update(self._match(seen))]
        self._waiting.clear()
        return [self._with_words(focus) for focus in closed + self._focuser.finish(end_s)]

    def _match(self, seen: Seen) -> Match:
        matching, calibration = self._settings.matching, self._calibration
        text = comments = np.zeros(len(seen.visual), np.float32)
        if self._mentions is not None:
            text = calibration.text * matching.text_weight * self._mentions.utterances_at(seen.time_s)
            comments = calibration.comments * matching.comment_weight * self._mentions.comments_at(seen.time_s)
        score = (seen.visual + text + comments).astype(np.float32)
        return Match(seen.time_s, seen.visual, text.astype(np.float32), comments.astype(np.float32), score, seen.box)

    def _with_words(self, focus: Focus) -> Focus:
        if self._mentions is None:
            return focus
        product = self._gallery.catalog.position[focus.product_id]
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
    encoder: ImageEncoder,
    words: Words,
    end_s: float,
    update: Update | None = None,
) -> list[Focus]:
    """Run a session over a whole video and return its focuses in order of start."""
    focuses: list[Focus] = []
    spoken = deque(words.in_order())
    # The matrices are small: BLAS threads would wait for each other, spinning, and take a third of the machine.
    with threadpool_limits(1, "blas"), closing(_ahead(_looks(frames, encoder), 3 * _BATCH_FRAMES)) as looks:
        for frame, detections in looks:
            while spoken and spoken[0][0] <= frame.time_s:
                session.update(spoken.popleft()[1])
            focuses += session.step(frame, detections)
            if update is not None:
                update("video", frame.time_s, end_s)
    for _, late in spoken:
        session.update(late)
    return sorted(focuses + session.finish(end_s), key=lambda focus: focus.start_s)


def _looks(frames: Iterable[Frame], encoder: ImageEncoder) -> Iterator[tuple[Frame, Detections]]:
    remaining = iter(frames)
    while batch := list(islice(remaining, _BATCH_FRAMES)):
        yield from zip(batch, detect(batch, encoder), strict=True)


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
