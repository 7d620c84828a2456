"""One-stage: what windows of every frame show."""

from __future__ import annotations

import math

import numpy as np

from shopcue.looking.comparison import Comparison
from shopcue.looking.looker import HALF_A_FRAME_S, Seen
from shopcue.matching import look_features
from shopcue.models.image import ImageEncoder
from shopcue.models.verification import Verification
from shopcue.records import Detections, Floats, Frame, Gallery
from shopcue.trace import Trace
from shopcue.tracking.tracker import UNTRACKED


class WindowLooker:
    """One-stage: embeddings of a frame's windows first, local features in the frame for the few best candidates.

    gallery, encoder, cohort, verify: as in `Comparison`. verify_every_s: local features cost more than all else, and
    what they find holds for a while: it stands until so much later, or until another candidate is the best. trace: told
    of the windows.
    """

    def __init__(
        self,
        gallery: Gallery,
        encoder: ImageEncoder,
        cohort: Floats,
        *,
        verify: int,
        verify_every_s: float = 0.0,
        trace: Trace | None = None,
    ) -> None:
        self._trace = trace
        self._comparison = Comparison(gallery, encoder, cohort, verify)
        self._verify_every_s = verify_every_s
        self._verified_s = -math.inf
        self._best = -1
        self._found: dict[int, Verification] = {}
        self._closeup = np.zeros(len(gallery.catalog), np.float32)

    def update(self, frame: Frame, detections: Detections) -> list[Seen]:
        """Take the next frame with its windows and return the moment."""
        sight = self._comparison.sight(detections.vectors)
        best = int(np.argmax(sight.similarity))
        if best != self._best or frame.time_s - self._verified_s >= self._verify_every_s - HALF_A_FRAME_S:
            self._verified_s, self._best = frame.time_s, best
            self._found, self._closeup = self._comparison.look_closer(frame.image, sight)
        if self._trace is not None:
            self._trace.followed(frame, detections, np.full(len(detections), UNTRACKED, np.int64), [])
        boxes = detections.boxes[sight.window]
        inliers = np.zeros(len(sight.similarity), np.float32)
        for product, found in self._found.items():
            inliers[product] = found.inliers
            boxes[product] = found.box * frame.scale
        return [Seen(frame.time_s, look_features(sight.similarity, inliers, self._closeup), boxes)]

    def outlook(self) -> list[Seen]:
        """Return nothing: every moment was ready at once."""
        return []

    def finish(self) -> list[Seen]:
        """Return nothing: every moment was ready at once."""
        return []
