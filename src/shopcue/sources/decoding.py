"""Packets -> frames, decoding no more than the wanted frames need.

A packet's time stamp is known before it is decoded, so which frames are wanted is known a little ahead of the decoder.
Frames are put in groups by their time, and one frame of each group is wanted: the first (sampling) or the last (what
is on screen at a time). Between wanted frames

* frames that no other refers to are not decoded (`skip_frame`), and
* what comes after a group's wanted frame and before a key frame that starts afresh is not even given to the decoder;
  where key frames are as dense as the ticks, only key frames are decoded.

All wanted frames come out, and some others do: whoever asks chooses again among them. Where it is not sure that one
packet holds one frame, or after damage, everything is decoded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

# Frames are stored in another order than they are shown in, by at most 16 places in any of the codings below.
_LOOKAHEAD = 32
_PENDING = 512  # packets kept back while none is wanted
_ONE_FRAME_A_PACKET = ("h264", "hevc", "vp9", "av1")


@dataclass(frozen=True, slots=True)
class Choice:
    """Which frames are wanted: in each group of pts the smallest (`best` is min) or the largest (max).

    group: pts -> number of its group, never falling. until: the last pts of interest; every frame after it is wanted,
    so that a reader sees at once that it is done.
    """

    group: Callable[[int], int]
    best: Callable[[int, int], int]
    until: int | None = None

    @classmethod
    def every(cls) -> Choice:
        """Want every frame."""
        return cls(group=lambda pts: pts, best=min)


def wanted(
    stamps: Iterable[tuple[Packet[VideoStream], int | None]], choice: Choice
) -> Iterator[tuple[Packet[VideoStream], bool]]:
    """Yield each packet with whether its frame may be the wanted one of its group, given what the next packets hold."""
    best: dict[int, int] = {}
    ahead: deque[tuple[Packet[VideoStream], int | None]] = deque()

    def settle() -> tuple[Packet[VideoStream], bool]:
        packet, pts = ahead.popleft()
        late = pts is not None and choice.until is not None and pts > choice.until
        return packet, pts is None or late or best.get(choice.group(pts)) == pts

    for packet, pts in stamps:
        ahead.append((packet, pts))
        if pts is not None and not packet.is_discard:
            group = choice.group(pts)
            best[group] = choice.best(best.get(group, pts), pts)
            if len(best) > 4 * _LOOKAHEAD:
                del best[next(iter(best))]
        if len(ahead) > _LOOKAHEAD:
            yield settle()
    while ahead:
        yield settle()


def decode(packets: Iterable[Packet[VideoStream]], stream: VideoStream, choice: Choice) -> Iterator[VideoFrame]:
    """Yield at least the wanted frames of `packets`, in the order in which they are shown, each with a pts.

    What cannot be decoded is left out.
    """
    decoder = _Decoder(stream)
    marked = wanted(((packet, packet.pts) for packet in packets), choice)
    for packet, is_wanted in marked:
        yield from decoder.update(packet, is_wanted)
    yield from decoder.flush()


class _Decoder:
    """A stream's decoder that keeps packets back until a wanted frame needs them."""

    def __init__(self, stream: VideoStream) -> None:
        self._stream = stream
        self._pending: list[Packet[VideoStream]] = []
        self._thrifty = stream.codec_context.name in _ONE_FRAME_A_PACKET
        self._seen = False  # whether a first frame has shown what the stream is like
        self._damaged = False
        self._last_pts: int | None = None

    def update(self, packet: Packet[VideoStream], is_wanted: bool) -> Iterator[VideoFrame]:
        """Take the next packet and yield the frames that are due."""
        if not (self._thrifty and self._seen):
            yield from self._decode(packet)
            return
        if packet.is_keyframe and starts_afresh(bytes(packet), self._stream):
            self._pending.clear()
            self._damaged = False
        self._pending.append(packet)
        if is_wanted or self._damaged or len(self._pending) >= _PENDING:
            *passed, last = self._pending
            self._pending.clear()
            for other in passed:
                yield from self._decode(other, "NONREF")
            yield from self._decode(last)

    def flush(self) -> Iterator[VideoFrame]:
        """Yield the frames that the decoder still holds."""
        yield from self._decode(None)

    def _decode(self, packet: Packet[VideoStream] | None, skip: str = "DEFAULT") -> Iterator[VideoFrame]:
        context = self._stream.codec_context
        try:
            context.skip_frame = skip  # type: ignore[assignment]
            frames = context.decode(packet)
        except av.FFmpegError:
            self._damaged = True
            return
        for frame in frames:
            self._seen = True
            # The two fields of a picture may be two packets, and one of them must not be skipped alone.
            self._thrifty = self._thrifty and not frame.interlaced_frame
            self._stamp(frame)
            yield frame

    def _stamp(self, frame: VideoFrame) -> None:
        """See to it that the frame has a pts: its own, its packet's, or one frame after the last."""
        if frame.pts is None:
            frame.pts = frame.dts
        if frame.pts is None:
            step = 1 / ((self._stream.average_rate or Fraction(25)) * (self._stream.time_base or Fraction(1)))
            frame.pts = 0 if self._last_pts is None else self._last_pts + max(1, round(step))
        self._last_pts = frame.pts


def starts_afresh(packet: bytes, stream: VideoStream) -> bool:
    """Whether nothing from a key frame's `packet` on refers to anything before it.

    Not every key frame does so in H.264 (recovery points) and HEVC (open groups of pictures): an IDR picture does.
    """
    name = stream.codec_context.name
    if name not in ("h264", "hevc"):
        return True
    header = stream.codec_context.extradata or b""
    for first_byte in _nal_heads(packet, _length_size(header, name)):
        kind = first_byte & 0x1F if name == "h264" else first_byte >> 1 & 0x3F
        is_slice = 1 <= kind <= 5 if name == "h264" else kind < 32
        if is_slice:
            return kind == 5 if name == "h264" else kind in (19, 20)
    return False


def _length_size(header: bytes, name: str) -> int:
    """Return how many bytes tell the length of a unit, 0 where start codes part them (ISO 14496-15)."""
    at = 4 if name == "h264" else 21
    return (header[at] & 3) + 1 if len(header) > at and header[0] == 1 else 0


def _nal_heads(packet: bytes, length_size: int) -> Iterator[int]:
    """Yield the first byte of each unit of an H.264 or HEVC packet."""
    at = 0
    while length_size and at + length_size < len(packet):
        yield packet[at + length_size]
        at += length_size + int.from_bytes(packet[at : at + length_size], "big")
    while not length_size and (at := packet.find(b"\0\0\1", at) + 3) > 2 and at < len(packet):
        yield packet[at]
