"""Many streams, one model: what they ask for at the same time is answered in one go.

A network takes less time for four pictures together than for each alone. A `Batcher` is one thread that works for all
who call it: while it works, the next requests gather; when it is free, it takes them all, and waits a moment for more
only if the first of them has not waited yet. Requests are served in the order in which they came, so none starves.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from shopcue.models.detector import Detector
from shopcue.models.image import ImageEncoder
from shopcue.records import Detections, Floats, Frame, Image

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST = 16
WAIT_S = 0.005


@dataclass(frozen=True, slots=True)
class _Request(Generic[Item, Result]):
    items: Sequence[Item]
    answer: Future[list[Result]]
    came_s: float = field(default_factory=time.monotonic)


class Batcher(Generic[Item, Result]):
    """Answers the requests of many threads in batches.

    work: returns a result for each of its items, in order. most: items of a batch; a request is never split, so one
    that asks for more goes alone. wait_s: the deadline of the first request of a batch: so long it may wait for others.
    """

    def __init__(
        self, work: Callable[[Sequence[Item]], Sequence[Result]], *, most: int = MOST, wait_s: float = WAIT_S
    ) -> None:
        self.batches = self.items = 0
        self._work, self._most, self._wait_s = work, most, wait_s
        self._requests: deque[_Request[Item, Result]] = deque()
        self._came = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="shopcue-batcher", daemon=True)
        self._thread.start()

    def __call__(self, items: Sequence[Item]) -> list[Result]:
        """Return the results of some items, in order; raises what `work` raises for them."""
        if not items:
            return []
        request: _Request[Item, Result] = _Request(items, Future())
        with self._came:
            if self._closed:
                raise RuntimeError("the batcher is closed")
            self._requests.append(request)
            self._came.notify()
        return request.answer.result()

    def close(self) -> None:
        """Answer what has been asked, and end the thread."""
        with self._came:
            self._closed = True
            self._came.notify()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._take():
            self._answer(batch)

    def _take(self) -> list[_Request[Item, Result]]:
        """Return the requests of the next batch, none when the batcher is closed and empty."""
        with self._came:
            while not self._requests and not self._closed:
                self._came.wait()
            if not self._requests:
                return []
            deadline_s = self._requests[0].came_s + self._wait_s
            while self._waiting() < self._most and not self._closed:
                if not self._came.wait(max(0.0, deadline_s - time.monotonic())):
                    break
            batch = [self._requests.popleft()]
            while self._requests and sum(len(each.items) for each in (*batch, self._requests[0])) <= self._most:
                batch.append(self._requests.popleft())
            return batch

    def _waiting(self) -> int:
        return sum(len(request.items) for request in self._requests)

    def _answer(self, batch: Sequence[_Request[Item, Result]]) -> None:
        try:
            results = self._done([item for request in batch for item in request.items])
        except Exception as error:
            if len(batch) == 1:
                batch[0].answer.set_exception(error)
                return
            for request in batch:  # only those whose own items are to blame must hear of it
                self._answer([request])
            return
        for request in batch:
            count = len(request.items)
            request.answer.set_result(results[:count])
            results = results[count:]

    def _done(self, items: Sequence[Item]) -> list[Result]:
        results = list(self._work(items))
        if len(results) != len(items):
            raise RuntimeError(f"{len(items)} items gave {len(results)} results")
        self.batches += 1
        self.items += len(items)
        return results


class BatchedDetector:
    """A detector that many streams share."""

    def __init__(self, detector: Detector) -> None:
        self.fingerprint = detector.fingerprint
        self.batcher: Batcher[Frame, Detections] = Batcher(detector.detect)

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """Return the detections of each frame."""
        return self.batcher(frames)


class BatchedEncoder:
    """An image encoder that many streams share."""

    def __init__(self, encoder: ImageEncoder) -> None:
        self.dim, self.fingerprint = encoder.dim, encoder.fingerprint
        self.batcher: Batcher[Image, Floats] = Batcher(lambda images: list(encoder.encode(images)))

    def encode(self, images: Sequence[Image]) -> Floats:
        """Return the unit embeddings of N images, float32 (N, D)."""
        return np.stack(self.batcher(images)) if images else np.empty((0, self.dim), np.float32)
