"""One connection to a stream: a thread that takes packets from the network, and a reader that never waits for long.

The network may be silent, and what waits for it inside of a library cannot always be interrupted: so the thread waits,
and the reader watches the thread. Whoever leaves the reader or closes the connection goes at once; the thread follows
as soon as the library lets it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from shopcue.errors import MediaError
from shopcue.records import AudioChunk, Frame
from shopcue.sources.containers import MAX_PIXELS, audio_stream
from shopcue.sources.live.reading import PacketSink, Reading
from shopcue.sources.live.scout import Scout
from shopcue.sources.live.timeline import Timeline
from shopcue.sources.live.transport import Transport

_WAITING_PACKETS = 512
_LOOK_EVERY_S = 0.2
_LATE_S = 3.0  # packets that waited so long are left out up to a key frame
_UNREADABLE = 100  # spots in a row after which a connection is given up
_LEAVE_S = 1.0


@dataclass(slots=True)
class Reception:
    """What came over a source's connections, all together.

    damaged: packets that could not be decoded. skipped: those left out because the reader came too late. restarts: how
    often time stamps were put right. connections: how many there were.
    """

    packets: int = 0
    damaged: int = 0
    skipped: int = 0
    restarts: int = 0
    connections: int = 0


@dataclass(frozen=True, slots=True)
class _Opened:
    video: VideoStream
    audio: AudioStream | None


@dataclass(frozen=True, slots=True)
class _Arrived:
    packet: Packet[Any]
    at_s: float


_Item = _Opened | _Arrived | Exception | None


class Connection:
    """Reads one connection through `transport`, and adds to `reception` what came.

    again: makes another transport to the same place, where streams may begin in the midst of a connection.
    """

    def __init__(
        self, transport: Transport, reception: Reception, again: Callable[[], Transport] | None = None
    ) -> None:
        self._transport, self._reception, self._again = transport, reception, again
        self._scout: Scout | None = None  # where sound is wanted and there is none
        self._items: queue.Queue[_Item] = queue.Queue(_WAITING_PACKETS)
        self._heard_s = 0.0  # when the last picture came, of the monotonic clock
        self._leaving, self._done = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._pump, name="shopcue-packets", daemon=True)

    def read(
        self, rate_hz: float, max_side_px: int, *, sound: bool, sink: PacketSink | None
    ) -> Generator[Frame | AudioChunk, None, None]:
        """Connect and yield frames and sound; see `Source.read`."""
        self._reception.connections += 1
        self._thread.start()
        reading: Reading | None = None
        try:
            items = self._watched(1 / rate_hz)
            opened = next(items, None)
            if opened is None:
                return
            assert isinstance(opened, _Opened)
            rate = Fraction(rate_hz).limit_denominator(1_000_000)
            reading = Reading(opened.video, opened.audio, rate, max_side_px, sound=sound, sink=sink)
            if sound and opened.audio is None and self._again is not None:
                self._scout = Scout(self._again)
            yield from self._read(reading, items)
        except (av.FFmpegError, OSError, ValueError) as error:
            # What a library says may hold the address with its key, which belongs in no log.
            raise MediaError(
                f"{self._transport.name} cannot be read ({type(error).__name__}); check that it is on air and may be "
                "watched"
            ) from None
        finally:
            self._leave(reading)

    def close(self) -> None:
        """End the connection; its reader returns. From any thread."""
        self._leaving.set()
        self._transport.cut()

    def _leave(self, reading: Reading | None) -> None:
        self.close()
        if self._scout is not None:
            self._scout.close()
        if reading is not None:
            reading.close()
        self._done.set()
        self._thread.join(_LEAVE_S)

    # ---- reading -------------------------------------------------------------------------------------------------

    def _read(self, reading: Reading, items: Iterator[_Opened | _Arrived]) -> Generator[Frame | AudioChunk, None, None]:
        timeline = Timeline()
        damaged = restarts = 0
        for item in items:
            assert isinstance(item, _Arrived)
            timeline.update(item.packet, item.at_s)
            if time.monotonic() - item.at_s > _LATE_S:
                reading.sampler.skip_to_key_frame()
                self._reception.skipped += 1
            pictures = reading.sampler.pictures
            for each in reading.update(item.packet):
                yielded_s = time.monotonic()
                yield each
                self._heard_s += time.monotonic() - yielded_s  # what the taker does is no silence of the stream
            if reading.sampler.pictures > pictures:
                self._heard_s = time.monotonic()
            self._reception.packets += 1
            self._reception.damaged += item.packet.is_corrupt
            self._reception.damaged += reading.damaged + reading.sampler.damaged - damaged
            self._reception.restarts += timeline.restarts - restarts
            damaged, restarts = reading.damaged + reading.sampler.damaged, timeline.restarts
            if self._scout is not None and (self._scout.found or restarts):
                break  # whoever connects again gets the sound, or another publisher's
        if self._leaving.is_set():
            return
        yield from reading.flush()
        if reading.sampler.clock is None:
            raise MediaError(f"{self._transport.name} ended before a picture came; check that it is on air")

    def _watched(self, tick_s: float) -> Iterator[_Opened | _Arrived]:
        """Yield what the thread brings, until its end or until the connection is closed; raise what it raised."""
        self._heard_s = time.monotonic()
        while not self._leaving.is_set():
            try:
                item = self._items.get(timeout=_LOOK_EVERY_S)
            except queue.Empty:
                self._check_silence(tick_s)
                continue
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            yield item
            self._check_silence(tick_s)

    def _check_silence(self, tick_s: float) -> None:
        if self._transport.waiting:
            self._heard_s = time.monotonic()
        limit_s = max(self._transport.silence_s, 3 * tick_s)  # between ticks little is decoded
        if time.monotonic() - self._heard_s > limit_s:
            raise MediaError(
                f"{self._transport.name} brought no picture for {limit_s:.0f} s; check that it is on air and has video"
            )

    # ---- the thread ----------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        container: InputContainer | None = None
        try:
            container = self._transport.open()
            opened = _Opened(_pictures(container, self._transport.name), audio_stream(container))
            self._put(opened)
            for packet in self._packets(container, opened):
                self._put(_Arrived(packet, time.monotonic()))
                if self._leaving.is_set():
                    break
            self._put(None)
        except Exception as error:  # to be raised where it is read
            self._put(error)
        finally:
            self._done.wait()  # the reader decodes with what belongs to the container
            if container is not None:
                container.close()
            self._transport.close()

    def _packets(self, container: InputContainer, opened: _Opened) -> Iterator[Packet[Any]]:
        """Yield packets, stepping over spots that cannot be read."""
        streams = [opened.video] if opened.audio is None else [opened.video, opened.audio]
        unreadable = 0
        while unreadable < _UNREADABLE:
            try:
                for packet in container.demux(*streams):
                    unreadable = 0
                    if packet.size:
                        yield packet
                return
            except IndexError:
                continue  # a stream that began in the midst, if only by damage: the library cannot give its packets
            except av.InvalidDataError:
                unreadable += 1
                self._reception.damaged += 1
        raise MediaError(f"{self._transport.name} is damaged beyond reading; check what is sent")

    def _put(self, item: _Item) -> None:
        while not self._leaving.is_set():
            try:
                self._items.put(item, timeout=_LOOK_EVERY_S)
            except queue.Full:
                continue
            return


def _pictures(container: InputContainer, name: str) -> VideoStream:
    """Return the stream of moving pictures, ready to be decoded with little delay."""
    best = container.streams.best("video")
    if not isinstance(best, VideoStream):
        raise MediaError(f"{name} has no pictures, expected a stream with video; check the address")
    if best.codec_context is None:
        raise MediaError(f"{name} has pictures in a coding that is not known here; send H.264")
    best.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    best.thread_type = "SLICE"  # threads by frame would hold back as many frames as there are threads
    best.codec_context.thread_count = 1  # many streams share the machine
    return best
