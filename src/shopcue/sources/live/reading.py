"""The packets of one connection -> frames and sound, in order, on one clock from the first picture."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Protocol

import av
from av.audio.stream import AudioStream
from av.packet import Packet
from av.video.stream import VideoStream

from shopcue.records import AudioChunk, Frame
from shopcue.sources.live.sampling import Sampler
from shopcue.sources.pictures import Painter
from shopcue.sources.sound import SoundTrack

SOUND_HZ = 16_000
CHUNK_S = 0.5
_SILENT_S = 1.5  # so long after its end a piece of sound is given though it is not full
_EARLY_PACKETS = 3_000  # that wait for the first picture


class PacketSink(Protocol):
    """Takes the packets of a stream as they came, for keeping (`recorder`)."""

    def begin(self, video: VideoStream, audio: AudioStream | None) -> None:
        """A connection begins."""

    def update(self, packet: Packet[Any], time_s: float) -> None:
        """Take a packet, which starts at time_s of the connection's clock."""

    def end(self) -> None:
        """The connection has ended."""


class Reading:
    """What becomes of the packets of one connection.

    rate: ticks a second. sound: whether to give it. sink: takes all packets from the first picture on.
    """

    def __init__(
        self,
        video: VideoStream,
        audio: AudioStream | None,
        rate: Fraction,
        max_side_px: int,
        *,
        sound: bool,
        sink: PacketSink | None,
    ) -> None:
        self.sampler = Sampler(video, rate)
        self.damaged = 0  # packets of sound
        self._video_index = video.index
        self._painter = Painter(video, max_side_px)
        self._audio = audio if sound else None
        self._track = _track()
        self._sound_end_s: float | None = None  # of what the track holds
        self._sink = sink
        self._early: deque[Packet[Any]] = deque(maxlen=_EARLY_PACKETS)
        if sink is not None:
            sink.begin(video, audio)

    def update(self, packet: Packet[Any]) -> Iterator[Frame | AudioChunk]:
        """Take the next packet and yield what is due."""
        clock = self.sampler.clock
        if clock is None:
            self._early.append(packet)
        elif self._sink is not None:
            self._keep(packet)
        if packet.stream_index == self._video_index:
            for frame in self.sampler.update(packet):
                yield from self._after_first_picture()
                assert self.sampler.clock is not None
                time_s = self.sampler.clock.time_s(frame.pts or 0)
                yield from self._late_sound(time_s)
                yield self._painter.paint(frame, time_s)
        elif clock is not None:
            yield from self._hear(packet)

    def flush(self) -> Iterator[Frame | AudioChunk]:
        """Yield what is left: the stream has ended."""
        for frame in self.sampler.flush():
            yield from self._after_first_picture()
            assert self.sampler.clock is not None
            yield self._painter.paint(frame, self.sampler.clock.time_s(frame.pts or 0))
        yield from self._track.flush()

    def close(self) -> None:
        """End the recording of the connection."""
        if self._sink is not None:
            self._sink.end()

    def _after_first_picture(self) -> Iterator[AudioChunk]:
        """Take up what came before it was known where the clock starts."""
        while self._early:
            packet = self._early.popleft()
            if self._sink is not None:
                self._keep(packet)
            if packet.stream_index != self._video_index:
                yield from self._hear(packet)

    def _keep(self, packet: Packet[Any]) -> None:
        stamp = packet.dts if packet.dts is not None else packet.pts
        assert self.sampler.clock is not None
        assert self._sink is not None
        if stamp is not None:
            self._sink.update(packet, float(stamp * packet.time_base - self.sampler.clock.zero))

    def _hear(self, packet: Packet[Any]) -> Iterator[AudioChunk]:
        if self._audio is None or packet.stream_index != self._audio.index:
            return
        assert self.sampler.clock is not None
        zero = self.sampler.clock.zero
        try:
            frames = self._audio.codec_context.decode(packet)
        except av.FFmpegError:
            self.damaged += 1
            return
        for frame in frames:
            start_s = None if frame.pts is None else float(frame.pts * packet.time_base - zero)
            if start_s is None or start_s < 0 or not frame.sample_rate:
                continue
            self._sound_end_s = start_s + frame.samples / frame.sample_rate
            yield from self._track.update(frame, start_s)

    def _late_sound(self, now_s: float) -> Iterator[AudioChunk]:
        """Give what is held of a sound that has broken off."""
        if self._sound_end_s is not None and now_s > self._sound_end_s + _SILENT_S:
            self._sound_end_s = None
            yield from self._track.flush()
            self._track = _track()


def _track() -> SoundTrack:
    return SoundTrack(SOUND_HZ, round(CHUNK_S * SOUND_HZ))
