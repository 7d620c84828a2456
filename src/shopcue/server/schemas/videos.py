"""Videos, live streams, and the work on them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from shopcue.server.schemas.shapes import (
    Address,
    Identity,
    Incoming,
    Instant,
    ItemStatus,
    JobKind,
    JobState,
    Outgoing,
    Seconds,
    Span,
    Title,
    VideoState,
)


class Job(Outgoing):
    """Work that goes on behind; progress in [0, 1] within its stage."""

    job_id: str
    shop: str
    kind: JobKind
    video_id: str | None
    state: JobState
    stage: str
    done: float
    total: float
    progress: float
    attempts: int
    error: str
    result: dict[str, Any] | None
    created_at: Instant
    started_at: Instant | None
    finished_at: Instant | None


class JobAnswer(Outgoing):
    """The job that a request began."""

    job: Job


class Jobs(Outgoing):
    """A page of jobs, the newest first; next: what `before` is for the next page."""

    jobs: list[Job]
    next: str | None


class JobItem(Outgoing):
    """What became of one row of a feed."""

    row: int
    product_id: str
    status: ItemStatus
    reason: str


class ItemCounts(Outgoing):
    """How many rows of a feed came in whole, in part, or not."""

    ok: int
    partial: int
    refused: int


class JobItems(Outgoing):
    """A page of the report of an import; next: what `after` is for the next page."""

    items: list[JobItem]
    counts: ItemCounts
    next: int | None


class NewVideo(Incoming):
    """A video to be matched: exactly one of upload_id and url."""

    upload_id: Identity | None = None
    url: Address | None = None
    title: Title = ""
    speech: Literal["auto", "none"] = "auto"
    speech_upload_id: Identity | None = None
    comments_upload_id: Identity | None = None
    method: Literal["auto", "one-stage", "two-stage"] = "auto"


class NewStream(Incoming):
    """A live stream to be followed; playback_url: where viewers see it, if not in its recording."""

    url: Address
    title: Title = ""
    playback_url: Address | None = None
    speech: Literal["none", "auto"] = "none"
    recording: bool = True
    start: bool = True


class VideoChange(Incoming):
    """What is changed of a video; what is left out stays."""

    title: Title | None = None
    published: bool | None = None


class NewMatch(Incoming):
    """A video to be matched anew; replace: also where that drops what was reviewed."""

    replace: bool = False
    speech: Literal["auto", "none"] | None = None
    method: Literal["auto", "one-stage", "two-stage"] | None = None


class FocusCounts(Outgoing):
    """How many focuses a video has, and how far their review is."""

    total: int
    doubtful: int
    reviewed: int


class StreamHealth(Outgoing):
    """How a stream fares since it was started last.

    frames: looked at. dropped: left out, because looking took too long. waiting: to be looked at. connections: made so
    far, the first one included. faults: of ours, after which it went on. behind_s: how old the last frame was when it
    had been looked at. deaf_s: of sound that nobody could listen to. recording: "on", or why nothing is recorded; ""
    where nothing is to be.
    """

    frames: int = 0
    dropped: int = 0
    waiting: int = 0
    connections: int = 0
    faults: int = 0
    behind_s: float = 0.0
    deaf_s: float = 0.0
    recording: str = ""


class Video(Outgoing):
    """A recording or a live stream.

    Of a stream: wanted: whether it is to be followed. recorded: whether it is to be kept as it comes. health: how it
    fares, or fared when it ran last.
    """

    video_id: str
    shop: str
    kind: Literal["recording", "stream"]
    title: str
    state: VideoState
    wanted: bool
    duration_s: float | None
    width: int | None
    height: int | None
    published: bool
    error: str
    recorded: bool
    health: StreamHealth | None
    created_at: Instant
    job: Job | None
    focuses: FocusCounts
    media: str | None
    playback_url: str | None
    poster: str | None


class StreamRecording(Outgoing):
    """What is kept of a stream.

    origin: the instant at which its time was 0. spans: what is there, as [start, end) in seconds of the stream.
    bytes: on disk. problem: why nothing is recorded now, "" if all is well.
    """

    origin: Instant
    spans: list[Span]
    bytes: int
    problem: str


class VideoAnswer(Outgoing):
    """A new video with the job that matches it."""

    video: Video
    job: Job


class Videos(Outgoing):
    """A page of videos, the newest first; next: what `before` is for the next page."""

    videos: list[Video]
    next: str | None


class Utterance(Outgoing):
    """Something that was said."""

    start_s: float
    end_s: float
    text: str


class Comment(Outgoing):
    """Something that a viewer wrote."""

    time_s: float
    user: str
    text: str


class Words(Outgoing):
    """What was said and written in a video, in order of time."""

    utterances: list[Utterance]
    comments: list[Comment]


class NewComment(Incoming):
    """A viewer's comment; without a time it counts for the moment at which it comes in."""

    time_s: Seconds | None = None
    user: Annotated[str, StringConstraints(max_length=200)] = ""
    text: Annotated[str, StringConstraints(min_length=1, max_length=2_000)]


class NewComments(Incoming):
    """Viewers' comments on a live stream."""

    comments: list[NewComment] = Field(min_length=1, max_length=1_000)


class Taken(Outgoing):
    """How many were taken in."""

    taken: int
