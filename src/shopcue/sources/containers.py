"""Opening a media file safely, and the clock that its pictures and its sound share.

Files come from strangers. Only a regular file on this machine is opened, only by a demuxer that reads nothing but that
file (a playlist renamed `.mp4` would otherwise make the reader fetch addresses or read other files), and only pictures
up to `MAX_PIXELS` are decoded.

Zero is where the earlier of pictures and sound starts, so that a recording that begins at 10 s or at a day's worth of
broadcast clock starts at 0. Sound alone never moves zero below 0: what precedes it there is an encoder's run-in, which
players do not play either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.format import Flags
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from shopcue.errors import MediaError
from shopcue.sources.splicing import splice

_COVER = Disposition.attached_pic

MAX_PIXELS = 8192 * 8192
EXPECTED = "expected a video file such as MP4, MOV, MKV, WebM, TS, FLV or AVI"
# Demuxers that read one file and nothing else: none of hls, dash, concat, sdp, image2, lavfi and the like.
_DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,avi,flv,live_flv,kux,asf,ogg,mxf,wtv,rm,nut,ivf,gif,"
    "mp3,wav,flac,aac"
)
_PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"<?xml", b"<MPD", b"v=0")
_DEMUX_ERRORS = 100  # unreadable spots after which the rest of a file is given up
_ROUNDING_S = Fraction(1, 1_000_000)  # far above that of float seconds, below any frame's length
_SEEK_MARGINS_S = (0, 1, 4, 16, 64)


@dataclass(frozen=True, slots=True)
class Clock:
    """Turns a stream's time stamps into seconds from the file's zero, exactly.

    time_base: seconds of one unit of pts. zero: seconds, what counts as 0.
    """

    time_base: Fraction
    zero: Fraction

    def time_s(self, pts: int) -> float:
        """Return the time of `pts` in seconds."""
        return float(pts * self.time_base - self.zero)

    def ticks(self, rate: Fraction) -> Callable[[int], int]:
        """Return the function that tells the last tick k / rate (rate in Hz) at or before a pts, in whole numbers."""
        step, start = self.time_base * rate, self.zero * rate
        scale = math.lcm(step.denominator, start.denominator)
        a, b = int(step * scale), int(start * scale)
        return lambda pts: (pts * a - b) // scale

    def pts(self, time_s: float | Fraction) -> int:
        """Return the last pts that is not after `time_s`; a time that `time_s` gave comes back to its own pts."""
        return int((Fraction(time_s) + _ROUNDING_S + self.zero) // self.time_base)


@contextmanager
def open_media(path: str | Path) -> Iterator[InputContainer]:
    """Open a media file for reading and close it afterwards.

    Raises MediaError if it is missing, empty, not a regular file, a playlist, or no media file that can be read.
    """
    checked = _regular_file(path)
    try:
        # `file:` so that no name, however it looks, can choose another protocol.
        container = av.open(
            f"file:{checked.absolute()}",
            options={"max_pixels": str(MAX_PIXELS)},
            container_options={"protocol_whitelist": "file", "format_whitelist": _DEMUXERS},
            metadata_errors="replace",
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MediaError(
            f"{path} cannot be opened ({reason}); {EXPECTED}; check that it plays and was not cut short "
            "(an MP4 whose recording was interrupted lacks its index)"
        ) from error
    with container:
        yield container


def _regular_file(path: str | Path) -> Path:
    """Return `path` if it is a file that can hold a video; raise MediaError with the reason if not."""
    if "://" in str(path):
        raise MediaError(f"{path} is an address, {EXPECTED}; download it first or watch it with `shopcue live`")
    file = Path(path)
    if file.is_dir():
        raise MediaError(f"{path} is a folder, {EXPECTED}; name one of the files in it")
    if not file.exists():
        raise MediaError(f"no file at {path}, {EXPECTED}; check the path")
    if not file.is_file():
        raise MediaError(f"{path} is a pipe or a device, {EXPECTED}; save its content to a file first")
    try:
        with file.open("rb") as opened:
            head = opened.read(16)
    except OSError as error:
        raise MediaError(f"{path} cannot be read ({error.strerror}), {EXPECTED}; check its permissions") from error
    if not head:
        raise MediaError(f"{path} is empty, {EXPECTED}; copy it again")
    if head.removeprefix(b"\xef\xbb\xbf").startswith(_PLAYLISTS):
        raise MediaError(f"{path} is a playlist or a text, {EXPECTED}; give the video itself")
    return file


def video_stream(container: InputContainer, path: str | Path) -> VideoStream:
    """Return the stream of moving pictures, ready to decode; raise MediaError if there is none."""
    streams = [stream for stream in container.streams.video if not stream.disposition & _COVER]
    if not streams:
        held = "only sound" if container.streams.audio else "neither pictures nor sound (it may be cut short)"
        raise MediaError(f"{path} holds {held}, {EXPECTED} with moving pictures; give the file that has them")
    best = container.streams.best("video")
    stream = next((stream for stream in streams if stream is best), streams[0])
    if stream.codec_context is None:
        raise MediaError(f"{path} has pictures in a coding that is not known here; convert it to H.264 in MP4")
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = 2
    return stream


def audio_stream(container: InputContainer) -> AudioStream | None:
    """Return the main stream of sound that can be decoded, or None."""
    decodable = [stream for stream in container.streams.audio if stream.codec_context is not None]
    best = container.streams.best("audio")
    return next((stream for stream in decodable if stream is best), decodable[0] if decodable else None)


def clock(container: InputContainer, stream: Stream) -> Clock:
    """Return the clock of `stream`; every stream of a file counts from the same zero."""
    pictures = _starts(s for s in container.streams.video if not s.disposition & _COVER)
    sound = _starts(container.streams.audio)
    zero = min(chain(pictures, sound), default=Fraction(0))
    if zero < 0:
        zero = min(chain(pictures, [Fraction(0)]))
    return Clock(stream.time_base or Fraction(1, 1_000_000), zero)


def _starts(streams: Iterable[Stream]) -> list[Fraction]:
    return [s.start_time * s.time_base for s in streams if s.start_time is not None and s.time_base is not None]


def packets(container: InputContainer, stream: Stream) -> Iterator[Packet[Any]]:
    """Yield the packets of `stream` from the present position on, on one running time (see `splicing`)."""
    timed = [s for s in (*container.streams.video, *container.streams.audio) if not s.disposition & _COVER]
    for packet in splice(_demux(container, timed), may_restart(container)):
        if packet.stream_index == stream.index:
            yield packet


def may_restart(container: InputContainer) -> bool:
    """Whether time stamps may start again within such a container, so that a seek by time is no use."""
    return bool(Flags(container.format.flags) & Flags.ts_discont)


def _demux(container: InputContainer, streams: Sequence[Stream]) -> Iterator[Packet[Any]]:
    """Yield the packets of `streams`, stepping over spots that cannot be read."""
    for _ in range(_DEMUX_ERRORS):
        try:
            yield from (packet for packet in container.demux(*streams) if packet.size)
        except av.FFmpegError:
            continue
        return


def packets_from(container: InputContainer, stream: VideoStream, pts: int) -> Iterator[Packet[VideoStream]]:
    """Yield packets from a key frame at or before `pts` on, or from the first packet if there is none.

    A seek lands where the file's index says, which may be late: so look at what comes, and go back further while it is
    too late. A recorded broadcast is read from its start, since its time stamps may start again.
    """
    if may_restart(container):
        rewind(container, stream)
        yield from packets(container, stream)
        return
    target = pts if stream.start_time is None else max(pts, stream.start_time)
    for margin_s in _SEEK_MARGINS_S:
        if not _seek(container, stream, target, margin_s):
            continue
        found = packets(container, stream)
        key = next((packet for packet in found if packet.is_keyframe and packet.pts is not None), None)
        if key is not None and key.pts is not None and key.pts <= target:
            yield key
            yield from found
            return
    rewind(container, stream)
    yield from packets(container, stream)


def rewind(container: InputContainer, stream: VideoStream) -> None:
    """Go back to the first packet."""
    # First to a time well before it: at its own time a transport stream's search ends behind it. But AVI refuses that.
    for margin_s in (_SEEK_MARGINS_S[-1], 0):
        if _seek(container, stream, stream.start_time or 0, margin_s):
            return


def _seek(container: InputContainer, stream: VideoStream, pts: int, margin_s: int) -> bool:
    """Go to a key frame margin_s before `pts`; return whether the container could."""
    try:
        container.seek(pts - int(margin_s / (stream.time_base or Fraction(1))), stream=stream)
    except av.FFmpegError:
        return False
    return True
