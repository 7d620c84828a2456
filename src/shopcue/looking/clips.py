"""One-stage: what a frame shows by itself, and what the frames around it show together, as one clip (SGMN)."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from shopcue.geometry import crop
from shopcue.looking.comparison import Comparison, Resemblance
from shopcue.looking.looker import HALF_A_FRAME_S, Seen
from shopcue.matching import Sight, look_features
from shopcue.models.verification import Verification
from shopcue.records import Detections, Floats, Frame, Image
from shopcue.trace import Trace
from shopcue.tracking.tracker import UNTRACKED

CLIP_SHARE = 0.3
"""How much of the similarity is the clip's.

The clip encoder names the right product more often, the image encoder says better that there is none: together they do
better than either (`runs/calibration.py`, on whose lives the share was chosen).
"""


class ClipJoiner(Protocol):
    """What sees frames and makes clips of them."""

    def encode(self, images: Sequence[Image]) -> Floats:
        """Return unit vectors of frames. N RGB uint8 -> float32 (N, D)."""

    def join(self, clips: Sequence[Floats]) -> Floats:
        """Return unit vectors of clips: N times float32 (l, D) -> (N, D)."""


@dataclass(frozen=True, slots=True)
class _Moment:
    """A frame as it was seen by itself: by its windows, and by local features."""

    time_s: float
    sight: Sight
    vectors: Floats  # (W, D), of the clip encoder
    boxes: Floats  # (W, 4), pixels of the video
    scale: float
    found: dict[int, Verification]
    closeup: Floats  # (P,)


class ClipLooker:
    """Windows of every frame, by themselves and joined to clips over time; local features for the best candidates.

    frames: compares windows by the vectors that come with them, and looks closer. clips: compares clips. joiner: makes
    those. reach_s: a clip is of the frames so near to its moment. verify_every_s: local features cost more than all
    else, and what they find holds for a while: it stands until so much later, or until another candidate is the best.
    trace: told of the windows.
    """

    def __init__(
        self,
        frames: Comparison,
        clips: Resemblance,
        joiner: ClipJoiner,
        *,
        reach_s: float = 1.0,
        verify_every_s: float = 0.0,
        trace: Trace | None = None,
    ) -> None:
        self._frames, self._clips, self._joiner = frames, clips, joiner
        self._trace, self._reach_s, self._verify_every_s = trace, reach_s, verify_every_s
        self._verified_s = -math.inf
        self._best = -1
        self._found: dict[int, Verification] = {}
        self._closeup = np.zeros(frames.products, np.float32)
        self._moments: deque[_Moment] = deque()  # in order of time, with those before the first that waits
        self._ready = 0  # how many of them have been returned

    def update(self, frame: Frame, detections: Detections) -> list[Seen]:
        """Take the next frame with its windows and return the moments whose clips are over."""
        sight = self._frames.sight(detections.vectors)
        self._look_closer(frame, sight)
        if self._trace is not None:
            self._trace.followed(frame, detections, np.full(len(detections), UNTRACKED, np.int64), [])
        vectors = self._joiner.encode([crop(frame.image, box) for box in detections.boxes / frame.scale])
        self._moments.append(
            _Moment(frame.time_s, sight, vectors, detections.boxes, frame.scale, self._found, self._closeup)
        )
        return list(self._over(frame.time_s - self._reach_s + HALF_A_FRAME_S))

    def outlook(self) -> list[Seen]:
        """Return the moments whose clips are not over, of the frames that are there."""
        return [self._seen(n) for n in range(self._ready, len(self._moments))]

    def finish(self) -> list[Seen]:
        """End the stream and return the moments whose clips were not over."""
        return list(self._over(math.inf))

    def _look_closer(self, frame: Frame, sight: Sight) -> None:
        """Look for the best candidates by local features, where that is due."""
        best = int(np.argmax(sight.similarity))
        if best != self._best or frame.time_s - self._verified_s >= self._verify_every_s - HALF_A_FRAME_S:
            self._verified_s, self._best = frame.time_s, best
            self._found, self._closeup = self._frames.look_closer(frame.image, sight)

    def _over(self, until_s: float) -> Iterator[Seen]:
        while self._ready < len(self._moments) and self._moments[self._ready].time_s <= until_s:
            yield self._seen(self._ready)
            needed_s = self._moments[self._ready].time_s - self._reach_s - HALF_A_FRAME_S
            self._ready += 1
            while self._moments[0].time_s < needed_s:
                self._moments.popleft()
                self._ready -= 1

    def _seen(self, n: int) -> Seen:
        """Return what the n-th moment looks like; each of its windows is a clip of its own."""
        moment, reach_s = self._moments[n], self._reach_s + HALF_A_FRAME_S
        near = [each.vectors for each in self._moments if abs(each.time_s - moment.time_s) <= reach_s]
        near = [vectors for vectors in near if len(vectors) == len(moment.vectors)]  # the video may change its shape
        clip = self._clips.sight(self._joiner.join(list(np.stack(near, axis=1))))
        similarity = (1 - CLIP_SHARE) * moment.sight.similarity + CLIP_SHARE * clip.similarity
        boxes = moment.boxes[moment.sight.window]
        inliers = np.zeros(len(similarity), np.float32)
        for product, found in moment.found.items():
            inliers[product] = found.inliers
            boxes[product] = found.box * moment.scale
        return Seen(moment.time_s, look_features(similarity, inliers, moment.closeup), boxes)
