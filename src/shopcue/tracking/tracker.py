"""Detections of one frame after another -> ids that stay with the things.

A track is tentative until it has been seen again, confirmed while it is in view, and lost when it has been out of view
for a while; a lost one is found again by its look alone. Sure detections choose first, then weak ones may continue what
is in view (ByteTrack, Zhang et al., ECCV 2022). A track keeps running statistics, not its history, so that hours of a
stream need no more memory than minutes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from shopcue.errors import RecordError, SettingsError
from shopcue.geometry import iou
from shopcue.records import COARSE_CLASSES, Detections, Floats, Indices
from shopcue.tracking.association import Likeness, affinity, assign, canonical_order
from shopcue.tracking.kalman import Motion, boxes_of, correct, predict, stack, start

UNTRACKED = -1
"""The id of a detection that belongs to no track."""

_LATEST_SHARE = 0.2  # of the newest look in the running mean, once there are more than five


class State(Enum):
    """The life of a track."""

    TENTATIVE = "tentative"
    CONFIRMED = "confirmed"
    LOST = "lost"


@dataclass(slots=True)
class _Track:
    """What is remembered of a thing: what it is, where it was last, how it moves, how it looks on average and last."""

    track_id: int
    votes: Indices  # (C,), how often it was taken for each class
    motion: Motion
    looks: Floats  # (2, D), unit rows: the running mean and the last
    seen_s: float
    hits: int = 1

    @property
    def coarse_class(self) -> int:
        """What it was taken for most often."""
        return int(self.votes.argmax())

    def update(self, detections: Detections, n: int, overlap: float) -> None:
        """Take a new sight. Where it does not overlap the predicted place, the old motion explains nothing."""
        box, vector = detections.boxes[n], detections.vectors[n]
        moved = predict(self.motion, detections.time_s - self.seen_s)
        self.motion = correct(moved, box) if overlap > 0 else start(box)
        self.seen_s = detections.time_s
        self.votes[detections.classes[n]] += 1
        self.hits += 1
        share = max(1 / self.hits, _LATEST_SHARE)
        self.looks = np.stack([_unit((1 - share) * self.looks[0] + share * vector), vector])


class Tracker:
    """The tracks of one stream.

    sure_score: detections from here on start tracks and choose first; those from weak_score on may continue a track in
    view; the rest is ignored. likeness: how alike two sights of one thing must look. confirm_hits: how often a thing
    must be seen to be confirmed. lost_after_s: seconds out of view until a place says nothing any more (a tentative
    track ends then). max_lost_s: seconds out of view until a track ends. max_tracks: beyond it those that have been out
    of view longest end.
    """

    def __init__(
        self,
        *,
        sure_score: float = 0.5,
        weak_score: float = 0.3,
        likeness: Likeness | None = None,
        confirm_hits: int = 2,
        lost_after_s: float = 1.2,
        max_lost_s: float = 30.0,
        max_tracks: int = 256,
    ) -> None:
        if not 0 <= weak_score <= sure_score <= 1:
            raise SettingsError(
                f"weak_score is {weak_score} and sure_score {sure_score}, expected 0 <= weak_score <= sure_score <= 1"
            )
        if not 0 < lost_after_s <= max_lost_s or min(confirm_hits, max_tracks) < 1:
            raise SettingsError(
                f"lost_after_s is {lost_after_s}, max_lost_s {max_lost_s}, confirm_hits {confirm_hits}, max_tracks "
                f"{max_tracks}; expected 0 < lost_after_s <= max_lost_s, and at least 1 hit and 1 track"
            )
        self._sure_score, self._weak_score = sure_score, weak_score
        self._likeness = likeness or Likeness()
        self._confirm_hits = confirm_hits
        self._lost_after_s, self._max_lost_s = lost_after_s, max_lost_s
        self._max_tracks = max_tracks
        self._tracks: list[_Track] = []
        self._next_id = 0
        self._now_s = -math.inf

    @property
    def states(self) -> dict[int, State]:
        """The tracks that may still be seen again: id -> state. An id that is no longer here never comes back."""
        return {track.track_id: self._state(track) for track in self._tracks}

    def update(self, detections: Detections) -> Indices:
        """Take the next frame and return the id of each detection's track, int64 (N,), `UNTRACKED` where it has none.

        Ids count up from 0 and are never used twice; tentative tracks have theirs already. The order of the detections
        makes no difference. Raises RecordError where time does not go on.
        """
        if detections.time_s <= self._now_s:
            raise RecordError(
                f"detections at {detections.time_s} s came after those at {self._now_s} s; expected a later time"
            )
        self._now_s = detections.time_s
        self._tracks = [track for track in self._tracks if self._may_return(track)]
        ids = np.full(len(detections), UNTRACKED, np.int64)
        order = canonical_order(detections.scores, detections.boxes, detections.classes, detections.vectors)
        scores = detections.scores[order]
        sure = order[scores >= self._sure_score]
        weak = order[(scores >= self._weak_score) & (scores < self._sure_score)]
        alone = self._continue(self._tracks, detections, sure, ids)
        in_view = [track for track in alone if self._state(track) is State.CONFIRMED]
        self._continue(in_view, detections, weak, ids)
        for n in sure[ids[sure] == UNTRACKED]:
            ids[n] = self._start(detections, int(n))
        # A stable sort: of tracks last seen at the same time, the older ids stay.
        self._tracks = sorted(self._tracks, key=lambda track: -track.seen_s)[: self._max_tracks]
        return ids

    def _continue(
        self, tracks: Sequence[_Track], detections: Detections, chosen: Indices, ids: Indices
    ) -> Sequence[_Track]:
        """Give the chosen detections to the tracks that they continue, write their ids, and return the other tracks."""
        if not tracks or not len(chosen):
            return tracks
        elapsed_s = np.array([self._now_s - track.seen_s for track in tracks])
        places = boxes_of(predict(stack([track.motion for track in tracks]), elapsed_s))
        overlap = iou(places, detections.boxes[chosen])
        overlap[elapsed_s > self._lost_after_s] = 0
        cosine = (np.stack([track.looks for track in tracks]) @ detections.vectors[chosen].T).max(axis=1)
        classes = np.array([track.coarse_class for track in tracks])
        same_class = classes[:, None] == detections.classes[chosen][None, :]
        pairs = assign(affinity(overlap, cosine, same_class, self._likeness))
        for t, k in pairs:
            n = int(chosen[k])
            tracks[t].update(detections, n, float(overlap[t, k]))
            ids[n] = tracks[t].track_id
        continued = {t for t, _ in pairs}
        return [track for t, track in enumerate(tracks) if t not in continued]

    def _start(self, detections: Detections, n: int) -> int:
        vector = detections.vectors[n]
        track = _Track(
            track_id=self._next_id,
            votes=np.bincount([detections.classes[n]], minlength=len(COARSE_CLASSES)),
            motion=start(detections.boxes[n]),
            looks=np.stack([vector, vector]),
            seen_s=self._now_s,
        )
        self._tracks.append(track)
        self._next_id += 1
        return track.track_id

    def _state(self, track: _Track) -> State:
        if track.hits < self._confirm_hits:
            return State.TENTATIVE
        return State.LOST if self._now_s - track.seen_s > self._lost_after_s else State.CONFIRMED

    def _may_return(self, track: _Track) -> bool:
        patience_s = self._lost_after_s if self._state(track) is State.TENTATIVE else self._max_lost_s
        return self._now_s - track.seen_s <= patience_s


def _unit(vector: Floats) -> Floats:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9), np.float32)
