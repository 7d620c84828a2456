"""Packets of a live video -> the first picture of each tick, as soon as it can be known and with little decoding.

Unlike a file's reader (`decoding`) this one cannot look ahead. A packet is wanted when none with an earlier picture of
its tick has come; all wanted packets are decoded, so that the first picture of each tick comes out as it does from a
file. While a wanted picture is still inside the decoder everything is decoded, so that it comes out soon; after it,
packets are held back until the next tick needs them, or until a key frame that starts afresh makes them needless.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

import av
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from shopcue.sources.containers import Clock
from shopcue.sources.decoding import starts_afresh

_HELD = 600  # packets, of up to ten seconds
_TICKS = 8
_ONE_FRAME_A_PACKET = ("h264", "hevc", "vp9", "av1")


class Sampler:
    """Takes the packets of a video and gives the first picture of each tick k / rate, from the first picture on.

    rate: Hz. pictures: how many were decoded. damaged: how many packets could not be.
    """

    def __init__(self, stream: VideoStream, rate: Fraction) -> None:
        self.pictures = self.damaged = 0
        self.clock: Clock | None = None  # once the first picture has come
        self._stream, self._rate = stream, rate
        self._time_base = stream.time_base or Fraction(1, 90_000)
        self._thrifty = stream.codec_context.name in _ONE_FRAME_A_PACKET
        self._tick: Callable[[int], int] = lambda pts: 0
        self._earliest: dict[int, int] = {}  # tick -> the first pts of it that has come
        self._given, self._served = -1, -1  # the last tick given to the decoder, and the last that came out of it
        self._held: list[Packet[VideoStream]] = []
        self._broken = False  # since the last key frame
        self._waits_for_key = False

    def update(self, packet: Packet[VideoStream]) -> Iterator[VideoFrame]:
        """Take the next packet and yield the pictures that are due."""
        fresh = packet.is_keyframe and starts_afresh(bytes(packet), self._stream)
        if self._waits_for_key and not packet.is_keyframe:
            return
        self._waits_for_key = False
        if fresh:
            self._held.clear()
            self._broken = False
        self._held.append(packet)
        if self._is_due(packet):
            held, self._held = self._held, []
            for other in held[:-1]:
                yield from self._decode(other, "NONREF" if self._thrifty and self.clock else "DEFAULT")
            yield from self._decode(held[-1])

    def skip_to_key_frame(self) -> None:
        """Leave out what comes before the next key frame, to catch up."""
        self._waits_for_key = True
        self._held.clear()

    def flush(self) -> Iterator[VideoFrame]:
        """Yield what the decoder still holds: the stream has ended."""
        for packet in self._held:
            yield from self._decode(packet, "NONREF")
        self._held.clear()
        yield from self._decode(None)

    def _is_due(self, packet: Packet[VideoStream]) -> bool:
        """Whether the decoder needs `packet` now, and with it all that is held."""
        if not self._thrifty or self.clock is None or packet.pts is None:
            return True
        tick = self._tick(packet.pts)
        wanted = packet.pts < self._earliest.get(tick, packet.pts + 1) and tick > self._served
        if wanted:
            self._earliest[tick] = packet.pts
            self._given = max(self._given, tick)
            if len(self._earliest) > _TICKS:
                del self._earliest[min(self._earliest)]
        return wanted or self._given > self._served or self._broken or len(self._held) >= _HELD

    def _decode(self, packet: Packet[VideoStream] | None, skip: str = "DEFAULT") -> Iterator[VideoFrame]:
        context = self._stream.codec_context
        try:
            context.skip_frame = skip  # type: ignore[assignment]
            frames = context.decode(packet)
        except av.FFmpegError:
            self.damaged += packet is not None
            self._broken = True
            return
        for frame in frames:
            self.pictures += 1
            # The two fields of a picture may be two packets, and one of them must not be skipped alone.
            self._thrifty = self._thrifty and not frame.interlaced_frame
            if frame.pts is None:
                self.damaged += self.clock is not None  # a first picture may have no time yet
            elif self._is_first(frame.pts):
                yield frame

    def _is_first(self, pts: int) -> bool:
        if self.clock is None:
            self.clock = Clock(self._time_base, pts * self._time_base)
            self._tick = self.clock.ticks(self._rate)
        tick = self._tick(pts)
        if tick <= self._served:
            return False
        self._served = tick
        return True
