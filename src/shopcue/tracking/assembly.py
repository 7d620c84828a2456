"""Tracked detections -> tracklets, each handed out as soon as nothing can be added to it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from shopcue.errors import SettingsError
from shopcue.records import Detections, Floats, Indices, Tracklet
from shopcue.tracking.tracker import UNTRACKED


@dataclass(slots=True)
class _Open:
    """The sights of one thing that have not been handed out yet."""

    pieces: int = 0
    times_s: list[float] = field(default_factory=list)
    classes: list[int] = field(default_factory=list)
    boxes: list[Floats] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    quality: list[Floats] = field(default_factory=list)
    vectors: list[Floats] = field(default_factory=list)

    def add(self, detections: Detections, n: int) -> None:
        self.times_s.append(detections.time_s)
        self.classes.append(int(detections.classes[n]))
        self.scores.append(float(detections.scores[n]))
        # Copies: a row that is only looked at would keep all detections of its frame in memory.
        self.boxes.append(detections.boxes[n].copy())
        self.quality.append(detections.quality[n].copy())
        self.vectors.append(detections.vectors[n].copy())

    def take(self, tracklet_id: int) -> Tracklet:
        """Return the sights as a tracklet and go on without them."""
        tracklet = Tracklet(
            tracklet_id=tracklet_id,
            coarse_class=int(np.bincount(self.classes).argmax()),
            times_s=np.array(self.times_s, np.float64),
            boxes=np.stack(self.boxes),
            scores=np.array(self.scores, np.float32),
            quality=np.stack(self.quality),
            vectors=np.stack(self.vectors),
        )
        for sights in (self.times_s, self.classes, self.boxes, self.scores, self.quality, self.vectors):
            sights.clear()
        self.pieces += 1
        return tracklet


class Assembler:
    """Collects the detections of each track, within bounds, into tracklets.

    A tracklet comes out when its track has ended; of a track that goes on, a piece comes out, with the same id, as soon
    as it is piece_s long or max_sights many, so that what stays in view for hours is known in time and takes no memory.
    Its class is what most of its sights were taken for. min_sights: a track that was seen less often was a mistake, and
    nothing of it comes out.
    """

    def __init__(self, *, piece_s: float = 60.0, max_sights: int = 256, min_sights: int = 2) -> None:
        if not piece_s > 0 or not 1 <= min_sights <= max_sights:
            raise SettingsError(
                f"piece_s is {piece_s}, min_sights {min_sights} and max_sights {max_sights}; expected piece_s > 0 and "
                "1 <= min_sights <= max_sights"
            )
        self._piece_s, self._max_sights, self._min_sights = piece_s, max_sights, min_sights
        self._open: dict[int, _Open] = {}

    def update(self, detections: Detections, ids: Indices, alive: Collection[int]) -> list[Tracklet]:
        """Take a frame and return the tracklets that are complete, in order of id.

        ids: int64 (N,), as `Tracker.update` gave them. alive: the ids that may come again, as in `Tracker.states`.
        """
        for n in np.flatnonzero(ids != UNTRACKED):
            track = self._open.setdefault(int(ids[n]), _Open())
            track.add(detections, int(n))
        ended = [track_id for track_id in self._open if track_id not in alive]
        full = [track_id for track_id, track in self._open.items() if track_id in alive and self._is_full(track)]
        return [
            tracklet for track_id in sorted(ended + full) for tracklet in self._hand_out(track_id, track_id in full)
        ]

    def finish(self) -> list[Tracklet]:
        """End the stream and return what is left, in order of id."""
        return [tracklet for track_id in sorted(self._open) for tracklet in self._hand_out(track_id, goes_on=False)]

    def _is_full(self, track: _Open) -> bool:
        sights = track.times_s
        return len(sights) >= self._max_sights or (len(sights) > 1 and sights[-1] - sights[0] >= self._piece_s)

    def _hand_out(self, track_id: int, goes_on: bool) -> list[Tracklet]:
        track = self._open[track_id] if goes_on else self._open.pop(track_id)
        if not track.times_s or (not track.pieces and len(track.times_s) < self._min_sights):
            return []
        return [track.take(track_id)]
