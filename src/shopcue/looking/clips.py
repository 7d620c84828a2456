"""One-stage (SGMN): what the frames around a moment show together, compared with the shop as one clip."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from shopcue.looking.comparison import Comparison
from shopcue.looking.looker import HALF_A_FRAME_S, Seen
from shopcue.matching import look_features
from shopcue.models.image import ImageEncoder
from shopcue.models.verification import Verification
from shopcue.records import Detections, Floats, Frame, Gallery
from shopcue.trace import Trace
from shopcue.tracking.tracker import UNTRACKED


class Join(Protocol):
    """What makes clips of frames that are encoded."""

    def join(self, clips: Sequence[Floats]) -> Floats:
        """Return unit vectors of clips: N times float32 (l, D) -> (N, D)."""


@dataclass(frozen=True, slots=True)
class _Moment:
    """A frame whose clip is not over yet: its windows, and what local features found in it."""

    time_s: float
    vectors: Floats  # (W, D)
    boxes: Floats  # (W, 4), pixels of the video
    scale: float
    found: dict[int, Verification]
    closeup: Floats  # (P,)


class ClipLooker:
    """The windows of the frames around a moment, each joined to a clip over time; local features in the frame itself.

    gallery, encoder, cohort, verify: as in `Comparison`. clips: joins what the encoder made of frames. reach_s: a clip
    is of the frames so near to its moment. verify_every_s: local features cost more than all else, and what they find
    holds for a while: it stands until so much later, or until another candidate is the best. trace: told of the
    windows.
    """

    def __init__(
        self,
        gallery: Gallery,
        encoder: ImageEncoder,
        clips: Join,
        cohort: Floats,
        *,
        verify: int,
        reach_s: float = 2.5,
        verify_every_s: float = 0.0,
        trace: Trace | None = None,
    ) -> None:
        self._trace, self._clips, self._reach_s = trace, clips, reach_s
        self._comparison = Comparison(gallery, encoder, cohort, verify)
        self._verify_every_s = verify_every_s
        self._verified_s = -math.inf
        self._best = -1
        self._found: dict[int, Verification] = {}
        self._closeup = np.zeros(len(gallery.catalog), np.float32)
        self._moments: deque[_Moment] = deque()  # in order of time, with those before the first that waits
        self._ready = 0  # how many of them have been returned

    def update(self, frame: Frame, detections: Detections) -> list[Seen]:
        """Take the next frame with its windows and return the moments whose clips are over."""
        self._look_closer(frame, detections)
        if self._trace is not None:
            self._trace.followed(frame, detections, np.full(len(detections), UNTRACKED, np.int64), [])
        self._moments.append(
            _Moment(frame.time_s, detections.vectors, detections.boxes, frame.scale, self._found, self._closeup)
        )
        return list(self._over(frame.time_s - self._reach_s + HALF_A_FRAME_S))

    def outlook(self) -> list[Seen]:
        """Return the moments whose clips are not over, of the frames that are there."""
        return [self._seen(n) for n in range(self._ready, len(self._moments))]

    def finish(self) -> list[Seen]:
        """End the stream and return the moments whose clips were not over."""
        return list(self._over(math.inf))

    def _look_closer(self, frame: Frame, detections: Detections) -> None:
        """Look for the best candidates by local features, where that is due."""
        sight = self._comparison.sight(detections.vectors)
        best = int(np.argmax(sight.similarity))
        if best != self._best or frame.time_s - self._verified_s >= self._verify_every_s - HALF_A_FRAME_S:
            self._verified_s, self._best = frame.time_s, best
            self._found, self._closeup = self._comparison.look_closer(frame.image, sight)

    def _over(self, until_s: float) -> Iterator[Seen]:
        while self._ready < len(self._moments) and self._moments[self._ready].time_s <= until_s:
            yield self._seen(self._ready)
            self._ready += 1
            while self._moments[0].time_s < self._moments[self._ready - 1].time_s - self._reach_s - HALF_A_FRAME_S:
                self._moments.popleft()
                self._ready -= 1

    def _seen(self, n: int) -> Seen:
        """Return what the clip around the n-th moment looks like; each window is a clip of its own."""
        moment = self._moments[n]
        near = [each for each in self._moments if abs(each.time_s - moment.time_s) <= self._reach_s + HALF_A_FRAME_S]
        near = [each for each in near if len(each.vectors) == len(moment.vectors)]  # the video may change its shape
        sight = self._comparison.sight(self._clips.join(list(np.stack([each.vectors for each in near], axis=1))))
        boxes = moment.boxes[sight.window]
        inliers = np.zeros(len(sight.similarity), np.float32)
        for product, found in moment.found.items():
            inliers[product] = found.inliers
            boxes[product] = found.box * moment.scale
        return Seen(moment.time_s, look_features(sight.similarity, inliers, moment.closeup), boxes)
