"""Why a video was matched as it was: what was seen, what was picked, and what it was taken for."""

from __future__ import annotations

from shopcue.server.schemas.shapes import Box, Outgoing


class Quality(Outgoing):
    """How well a box shows what is in it, each in [0, 1], 1 the best."""

    viewpoint: float
    occlusion: float
    crop: float


class Thing(Outgoing):
    """Something that was detected in a frame; tracklet_id: null if it belongs to none, followed: was it looked at."""

    tracklet_id: int | None
    box: Box
    coarse_class: str
    score: float
    quality: Quality
    followed: bool


class Candidate(Outgoing):
    """A product that a moment may show: log odds in all and by part, the probability, and the place."""

    product_id: str
    title: str
    score: float
    probability: float
    visual: float
    text: float
    comments: float
    box: Box


class Moment(Outgoing):
    """A frame that was looked at; showing: the product whose focus it lies in."""

    time_s: float
    things: list[Thing]
    showing: str | None
    candidates: list[Candidate]


class PickCandidate(Outgoing):
    """A product that a pick was compared with: similarity in deviations above the cohort, inliers of local features."""

    product_id: str
    title: str
    similarity: float
    inliers: int


class Dropped(Outgoing):
    """A view that was not picked, and why."""

    time_s: float
    box: Box
    worth: float
    reason: str


class Pick(Outgoing):
    """The best view of a stretch of a tracklet (null: of the frame as a whole). crop: the address of its picture."""

    tracklet_id: int | None
    time_s: float
    start_s: float
    end_s: float
    box: Box
    coarse_class: str | None
    score: float
    quality: Quality
    worth: float
    verified: bool
    crop: str
    candidates: list[PickCandidate]
    dropped: list[Dropped]


class Trace(Outgoing):
    """A stretch of a video of at most two minutes: it ends at end_s, whatever was asked for. Sizes in pixels."""

    start_s: float
    end_s: float
    width: int | None
    height: int | None
    moments: list[Moment]
    picks: list[Pick]
