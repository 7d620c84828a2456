"""Two-stage: detections -> tracklets -> the best view of each stretch -> what that alone shows."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from shopcue.geometry import area, crop, off_centre, widened
from shopcue.looking.comparison import Comparison
from shopcue.looking.looker import HALF_A_FRAME_S, Seen
from shopcue.matching import Sight, look_features, thing_features
from shopcue.models.image import ImageEncoder
from shopcue.picking import view_quality
from shopcue.records import QUALITIES, Detections, Floats, Frame, Gallery, Image
from shopcue.trace import Candidate, Stretch, Trace, View
from shopcue.tracking.tracker import UNTRACKED, Tracker

_THING_BORDERS = (0.0, 0.2)  # of a box's sides: a thing is embedded tightly, and with what is around it


@dataclass(frozen=True, slots=True)
class _Best:
    """The best view of a stretch so far, with its pictures."""

    view: View
    pictures: tuple[Image, ...]


@dataclass(frozen=True, slots=True)
class _Look:
    """What the pick of a stretch looks like to each product, each float32 (P,); None where no one looked closer."""

    time_s: float
    similarity: Floats
    inliers: Floats | None = None
    closeup: Floats | None = None


@dataclass(frozen=True, slots=True)
class _Early:
    """A look at a view of a stretch that lasts. sight: what it was made of."""

    view: View
    sight: Sight
    look: _Look


@dataclass(slots=True)
class _Thing:
    """A tracklet as far as it is still of use: the views of the present stretch, and what was found in others.

    verified_s, verified_best: when it was last verified, and which product was then the most similar. early: a look at
    a view of the present stretch, taken before it is known to be the best.
    """

    verified_s: float = -math.inf
    verified_best: int = -1
    views: list[View] = field(default_factory=list)
    best: _Best | None = None
    early: _Early | None = None
    looks: deque[_Look] = field(default_factory=deque)


@dataclass(frozen=True, slots=True)
class _Moment:
    """A frame that waits for the picks around it: which things were where, boxes in pixels of the video."""

    time_s: float
    size: tuple[float, float]
    things: tuple[int, ...]
    boxes: Floats


_WHOLE_FRAME = -2
"""The id of the frame as a whole: what it shows is looked at too, for what no detector finds."""

_TRACED_CANDIDATES = 5


class TrackletLooker:
    """Two-stage: detections -> tracklets -> the best view of each stretch -> embedding and verification of that alone.

    gallery, encoder, cohort, verify: as in `Comparison`. stretch_s: of how many seconds the best view is picked.
    verify_every_s: the picks of a tracklet are verified so often, or when another product is the most similar; the
    frame as a whole only where there is no thing in it. reach_s: what is found in a pick counts for the moments of its
    tracklet that are so near. most: how many things of a frame are followed, the most prominent first. trace: told of
    all that.
    """

    def __init__(
        self,
        gallery: Gallery,
        encoder: ImageEncoder,
        cohort: Floats,
        *,
        verify: int,
        stretch_s: float = 1.5,
        verify_every_s: float = 3.0,
        reach_s: float = 1.6,
        most: int = 3,
        trace: Trace | None = None,
    ) -> None:
        self._gallery, self._trace = gallery, trace
        self._comparison, self._encoder = Comparison(gallery, encoder, cohort, verify), encoder
        self._verify_every_s = verify_every_s
        self._stretch_s, self._reach_s, self._most = stretch_s, reach_s, most
        self._tracker = Tracker(sure_score=0.3, weak_score=0.15)
        self._things: dict[int, _Thing] = {}
        self._moments: deque[_Moment] = deque()

    def update(self, frame: Frame, detections: Detections) -> list[Seen]:
        """Take the next frame with its detections and return the moments that are ready, in order of time."""
        ids = self._tracker.update(detections)
        height, width = frame.image.shape[0] * frame.scale, frame.image.shape[1] * frame.scale
        prominent = [int(n) for n in np.argsort(-prominence(detections, width, height)) if ids[n] != UNTRACKED]
        prominent = prominent[: self._most]
        whole = np.array([0, 0, width, height], np.float32)
        self._notice(_WHOLE_FRAME, frame, _whole_view(frame.time_s, whole), borders=(0.0, -0.2))
        for n in prominent:
            self._notice(int(ids[n]), frame, _view(detections, n), borders=_THING_BORDERS)
        if self._trace is not None:
            self._trace.followed(frame, detections, ids, prominent)
        boxes = np.concatenate([whole[None], detections.boxes[prominent]])
        things = (_WHOLE_FRAME, *(int(ids[n]) for n in prominent))
        self._moments.append(_Moment(frame.time_s, (width, height), things, boxes))
        self._examine(frame.time_s)
        return list(self._ready(frame.time_s - self._reach_s))

    def outlook(self) -> list[Seen]:
        """Return the moments that are not ready, as they look so far: one view of a stretch that lasts counts early."""
        for thing_id, thing in self._things.items():
            if thing.best is not None and thing.early is None:
                sight = self._sight(thing.best)
                thing.early = _Early(thing.best.view, sight, self._look(thing_id, thing, thing.best, sight))
        return [self._seen(moment, early=True) for moment in self._moments]

    def finish(self) -> list[Seen]:
        """End the stream and return the moments that were not ready."""
        self._examine(math.inf)
        return list(self._ready(math.inf))

    def _notice(self, thing_id: int, frame: Frame, view: View, borders: tuple[float, ...]) -> None:
        """Keep this sight of a thing if it is the best of its stretch; a stretch that is over is examined first."""
        thing = self._things.setdefault(thing_id, _Thing())
        if thing.views and frame.time_s - thing.views[0].time_s >= self._stretch_s - HALF_A_FRAME_S:
            self._pick(thing_id, thing)
        thing.views.append(view)
        if thing.best is None or view.worth > thing.best.view.worth:
            pictures = (crop(frame.image, widened(view.box / frame.scale, border)).copy() for border in borders)
            thing.best = _Best(view, tuple(pictures))

    def _examine(self, now_s: float) -> None:
        """Pick from the things that have been out of view for a stretch, and forget those that no moment needs."""
        needed_s = (self._moments[0].time_s if self._moments else now_s) - self._reach_s
        for thing_id, thing in list(self._things.items()):
            if thing.views and now_s - thing.views[0].time_s >= self._stretch_s + HALF_A_FRAME_S:
                self._pick(thing_id, thing)
            while thing.looks and thing.looks[0].time_s < needed_s:
                thing.looks.popleft()
            if not thing.views and not thing.looks:
                del self._things[thing_id]

    def _pick(self, thing_id: int, thing: _Thing) -> None:
        """Compare the best view of the stretch with the gallery."""
        assert thing.best is not None
        best, views, early = thing.best, tuple(thing.views), thing.early
        thing.best, thing.views, thing.early = None, [], None
        if early is None or early.view is not best.view:
            look = self._look(thing_id, thing, best, self._sight(best))
        elif self._is_due(thing_id, thing, best.view.time_s, early.sight) == (early.look.inliers is not None):
            look = early.look
        else:  # what else was in view has changed whether it is worth a closer look
            look = self._look(thing_id, thing, best, early.sight)
        if look.inliers is not None:
            thing.verified_s, thing.verified_best = look.time_s, int(np.argmax(look.similarity))
        thing.looks.append(look)
        if self._trace is not None:
            tracklet_id = None if thing_id == _WHOLE_FRAME else thing_id
            verified = look.inliers is not None
            self._trace.picked(Stretch(tracklet_id, views, best.view, verified, self._traced(look)))

    def _sight(self, best: _Best) -> Sight:
        return self._comparison.sight(self._encoder.encode(best.pictures))

    def _is_due(self, thing_id: int, thing: _Thing, time_s: float, sight: Sight) -> bool:
        """Tell whether a view is to be looked at by local features, which cost more than all else."""
        recent = time_s - thing.verified_s < self._verify_every_s - HALF_A_FRAME_S
        empty = thing_id == _WHOLE_FRAME and len(self._things) > 1
        return not empty and not (recent and int(np.argmax(sight.similarity)) == thing.verified_best)

    def _look(self, thing_id: int, thing: _Thing, best: _Best, sight: Sight) -> _Look:
        """Compare a view with the gallery, by local features too where they are due."""
        if not self._is_due(thing_id, thing, best.view.time_s, sight):
            return _Look(best.view.time_s, sight.similarity)
        found, close = self._comparison.look_closer(best.pictures[-1], sight)
        inliers = np.zeros_like(sight.similarity)
        for product, each in found.items():
            inliers[product] = each.inliers
        return _Look(best.view.time_s, sight.similarity, inliers, close)

    def _traced(self, look: _Look) -> tuple[Candidate, ...]:
        """Return the products that a look is most like, the most similar first."""
        products = self._gallery.catalog.products
        found = np.zeros_like(look.similarity) if look.inliers is None else look.inliers
        likely = np.argsort(-look.similarity, kind="stable")[:_TRACED_CANDIDATES]
        return tuple(Candidate(products[p], float(look.similarity[p]), int(found[p])) for p in likely)

    def _ready(self, until_s: float) -> Iterator[Seen]:
        while self._moments and self._moments[0].time_s + HALF_A_FRAME_S <= until_s - self._stretch_s:
            yield self._seen(self._moments.popleft())

    def _seen(self, moment: _Moment, *, early: bool = False) -> Seen:
        """Sum up the picks around a moment, thing by thing; each product is seen in the thing that is most like it.

        early: whether views that may not be picked in the end count too.
        """
        features, likeness, boxes = [], [], []
        for thing_id, box in zip(moment.things, moment.boxes, strict=True):
            thing = self._things.get(thing_id, _Thing())
            known = [*thing.looks, thing.early.look] if early and thing.early is not None else thing.looks
            looks = [look for look in known if abs(look.time_s - moment.time_s) <= self._reach_s]
            if not looks:
                continue
            similarity = np.mean([look.similarity for look in looks], axis=0)
            nothing = [np.zeros_like(similarity)]
            inliers = np.max([look.inliers for look in looks if look.inliers is not None] or nothing, axis=0)
            close = np.mean([look.closeup for look in looks if look.closeup is not None] or nothing, axis=0)
            part = thing_features(look_features(similarity, inliers, close), box, *moment.size)
            features.append(part)
            likeness.append(part[:, 1] + 2 * part[:, 3])
            boxes.append(box)
        which = np.argmax(np.stack(likeness), axis=0)
        rows = np.arange(len(which))
        return Seen(moment.time_s, np.stack(features)[which, rows], np.stack(boxes)[which])


def _view(detections: Detections, n: int) -> View:
    """Return the n-th detection as a view; what it is worth is how sure and how well seen it is."""
    score, quality = float(detections.scores[n]), detections.quality[n]
    worth = float(view_quality(quality)) * score
    return View(detections.time_s, detections.boxes[n], worth, int(detections.classes[n]), score, quality)


def _whole_view(time_s: float, box: Floats) -> View:
    """Return the frame as a whole as a view: each is worth the same, so the first of a stretch is picked."""
    return View(time_s, box, 1.0, None, 1.0, np.ones(len(QUALITIES), np.float32))


def prominence(detections: Detections, width: float, height: float) -> Floats:
    """Return how much each detection is meant to be looked at: sure, large, and near the middle. float32 (N,)."""
    share = np.sqrt(area(detections.boxes) / (width * height))
    return np.asarray(detections.scores * share * (1 - 0.5 * off_centre(detections.boxes, width, height)), np.float32)
