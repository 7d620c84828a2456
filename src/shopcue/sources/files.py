"""Video files: sampled pictures, single pictures and sound, all on one clock.

A picture's time is the time stamp that the file gives it, in seconds from the file's zero (see `containers`), as a
player shows it; it is never a count divided by a frame rate.

Sampling is by time. The ticks are k / rate_hz; each takes the first frame at or after it, and a frame is taken once.
So of the frames between two neighbouring ticks the first is taken, and a stretch without frames gives none. Reading a
part gives the same frames as that part of reading the whole.

Only what a sampled frame needs is decoded (see `decoding`); only sampled frames are converted, straight to their small
RGB picture. Memory does not depend on a file's length.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path

from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from shopcue.errors import MediaError
from shopcue.records import AudioChunk, Frame
from shopcue.sources.containers import (
    Clock,
    audio_stream,
    clock,
    may_restart,
    open_media,
    packets,
    packets_from,
    rewind,
    video_stream,
)
from shopcue.sources.decoding import Choice, decode
from shopcue.sources.pictures import Painter
from shopcue.sources.sound import SoundTrack

_RUN_GAP_S = 30.0  # reading on over a longer gap costs more than a seek


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a video file holds.

    duration_s: seconds from the file's zero to its end. width, height: pixels as shown, upright. has_audio: whether
    there is sound that can be decoded.
    """

    path: str
    duration_s: float
    width: int
    height: int
    has_audio: bool


def probe(path: str | Path) -> VideoInfo:
    """Return what the video file at `path` holds, by decoding its first picture; raise MediaError if it has none."""
    with open_media(path) as container:
        stream = video_stream(container, path)
        has_audio = audio_stream(container) is not None
        times = clock(container, stream)
        first = next(decode(packets(container, stream), stream, Choice.every()), None)
        if first is None:
            raise _undecodable(path)
        width, height = Painter(stream).shown_size(first)
        return VideoInfo(str(path), _duration_s(container, stream, times), width, height, has_audio)


def _undecodable(path: str | Path) -> MediaError:
    return MediaError(
        f"{path} has no picture that can be decoded, expected at least one; check that it plays, or convert it to MP4"
    )


def _duration_s(container: InputContainer, stream: VideoStream, times: Clock) -> float:
    """Return the end of the last picture or sound in seconds; read all packets where no header can be trusted."""
    streams = [*container.streams.video, *container.streams.audio]
    ends = [
        float((s.start_time + s.duration) * s.time_base - times.zero)
        for s in streams
        if s.start_time is not None and s.duration is not None and s.time_base is not None
    ]
    if ends and not may_restart(container):
        return max(ends)
    if container.duration is not None and not may_restart(container):
        # A Matroska header counts from the container's own 0, as its time stamps do.
        return float(Fraction(container.duration, 1_000_000) - max(times.zero, Fraction(0)))
    rewind(container, stream)
    last = max((packet.pts for packet in packets(container, stream) if packet.pts is not None), default=0)
    return times.time_s(last) + float(1 / (stream.average_rate or 25))


def read_frames(
    path: str | Path,
    rate_hz: float = 2.0,
    max_side_px: int | None = 640,
    start_s: float = 0.0,
    end_s: float | None = None,
) -> Iterator[Frame]:
    """Yield the frames of the ticks k / rate_hz with times in [start_s, end_s), in order.

    Pictures are upright RGB, made smaller so that their longer side is at most max_side_px (None: as they are).
    Damaged parts are left out. Raises MediaError, once iteration starts, if the file is no video or nothing decodes.
    """
    if not (0 < rate_hz < math.inf) or (max_side_px is not None and max_side_px < 1):
        raise MediaError(f"rate_hz={rate_hz} and max_side_px={max_side_px}: expected finite numbers above 0")
    rate = Fraction(rate_hz).limit_denominator(1_000_000)
    with open_media(path) as container:
        stream = video_stream(container, path)
        times = clock(container, stream)
        choice = Choice(times.ticks(rate), min, None if end_s is None else times.pts(end_s))
        found = packets(container, stream)
        if start_s > 0:
            found = packets_from(container, stream, times.pts(math.floor(Fraction(start_s) * rate) / rate))
        painter = Painter(stream, max_side_px)
        empty = True
        for frame in firsts(decode(found, stream, choice), choice.group):
            empty = False
            time_s = times.time_s(frame.pts or 0)
            if end_s is not None and time_s >= end_s:
                return
            if time_s >= start_s:
                yield painter.paint(frame, time_s)
        if empty and start_s <= 0:
            raise _undecodable(path)


def firsts(frames: Iterable[VideoFrame], group: Callable[[int], int]) -> Iterator[VideoFrame]:
    """Yield the first frame of each group; frames that come late, in a group that has passed, are left out."""
    last: int | None = None
    for frame in frames:
        number = group(frame.pts or 0)
        if last is None or number > last:
            last = number
            yield frame


def frame_at(path: str | Path, time_s: float, max_side_px: int | None = None) -> Frame:
    """Return the frame that is on screen at time_s (see `frames_at`)."""
    return next(frames_at(path, [time_s], max_side_px))


def frames_at(path: str | Path, times_s: Sequence[float], max_side_px: int | None = None) -> Iterator[Frame]:
    """Yield, for each of times_s, the frame that is on screen then: the last one whose time is not after it.

    times_s: seconds, not falling. Before the first frame of the file that one is given, after its end the last one.
    Raises MediaError if the file is no video or nothing decodes.
    """
    if any(not math.isfinite(time_s) for time_s in times_s) or list(times_s) != sorted(times_s):
        raise MediaError(f"asked for frames at {list(times_s)[:5]}..., expected finite times that do not fall")
    with open_media(path) as container:
        stream = video_stream(container, path)
        times = clock(container, stream)
        painter = Painter(stream, max_side_px)
        for run in _runs(times_s):
            wanted_pts = [times.pts(time_s) for time_s in run]
            found = packets_from(container, stream, wanted_pts[0])
            choice = Choice(partial(bisect_left, wanted_pts), max, wanted_pts[-1])
            shown = None
            for shown in lasts(decode(found, stream, choice), wanted_pts):
                yield painter.paint(shown, times.time_s(shown.pts or 0))
            if shown is None:
                raise _undecodable(path)


def _runs(times_s: Sequence[float]) -> Iterator[Sequence[float]]:
    """Part times where the way to the next one is so long that a seek is cheaper than reading on."""
    start = 0
    for i in range(1, len(times_s) + 1):
        if i == len(times_s) or times_s[i] - times_s[i - 1] > _RUN_GAP_S:
            yield times_s[start:i]
            start = i


def lasts(frames: Iterable[VideoFrame], wanted_pts: Sequence[int]) -> Iterator[VideoFrame]:
    """Yield for each of wanted_pts (not falling) the last frame at or before it, or else the first frame."""
    shown: VideoFrame | None = None
    answered = 0
    for frame in frames:
        while answered < len(wanted_pts) and (frame.pts or 0) > wanted_pts[answered]:
            yield shown or frame
            answered += 1
        if answered == len(wanted_pts):
            return
        shown = frame
    if shown is not None:
        yield from [shown] * (len(wanted_pts) - answered)


def read_audio(path: str | Path, rate_hz: int = 16000, chunk_s: float = 30.0) -> Iterator[AudioChunk]:
    """Yield a file's sound as mono chunks of chunk_s seconds, on the clock of its pictures.

    Where the sound has a gap, a chunk ends before it and the next one starts after it. A file without sound yields
    nothing. Raises MediaError if the file cannot be opened.
    """
    with open_media(path) as container:
        stream = audio_stream(container)
        if stream is None:
            return
        times = clock(container, stream)
        track = SoundTrack(rate_hz, max(1, round(chunk_s * rate_hz)))
        for packet in chain(packets(container, stream), [None]):
            for frame in _decode_sound(stream, packet):
                start_s = None if frame.pts is None else times.time_s(frame.pts)
                yield from track.update(frame, start_s)
        yield from track.flush()


def _decode_sound(stream: AudioStream, packet: Packet[AudioStream] | None) -> list[AudioFrame]:
    try:
        return stream.codec_context.decode(packet)
    except FFmpegError:
        return []  # a damaged packet leaves a gap
