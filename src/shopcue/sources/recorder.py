"""A live stream kept as it came: segments of MPEG-TS and a playlist, in a folder that a web server may serve.

Packets are written without coding them anew. A segment starts with a key frame; it is put together in memory and
written by a thread of its own, to a temporary name first, so that neither a slow disk nor a full one holds up the
stream: what cannot be written is lost, said once, and the next segment is tried again.

The playlist tells where each segment stands in the time of the stream: its program date is `origin` plus that time.
So a player that shows the date of its position shows the time of the stream, whatever was lost or has been deleted.
"""

from __future__ import annotations

import io
import logging
import math
import queue
import threading
import time
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from shopcue.errors import OutputError
from shopcue.sources.recordings import Segment, Shelf

_log = logging.getLogger(__name__)

_VIDEO = ("h264", "hevc", "mpeg4", "mpeg2video", "mpeg1video")
_AUDIO = ("aac", "mp3", "mp2", "ac3", "eac3", "opus")
_OPTIONS = {"mpegts_flags": "initial_discontinuity"}  # the counters of packets start again in every segment
_LEAD_S = Fraction(10)  # added to all time stamps of a segment: none may fall below 0
_REORDER_S = Fraction(1, 2)  # so much earlier a packet is decoded than shown, where its source does not say
_LONGEST_STEP_S = 1.0  # from one picture to the next, as far as the end of a segment goes
_LONGEST = 5  # segments without a key frame end after so many times their length
_MAX_BYTES = 64 << 20
_WAITING = 4
_FAREWELL_S = 5.0


class Recorder:
    """Records a stream into `folder`, over as many connections as it has.

    segment_s: how long segments are, more where key frames are far between. keep_s, keep_bytes: what is older, or too
    much, is deleted; None keeps all. spare_bytes: what must stay free on the disk. problem: why nothing is recorded
    now, empty while all is well. A folder that holds a recording goes on with it. Raises OutputError if the folder
    cannot be made or holds something else.
    """

    def __init__(
        self,
        folder: Path,
        segment_s: float = 6.0,
        keep_s: float | None = None,
        keep_bytes: int | None = None,
        spare_bytes: int = 0,
    ) -> None:
        if not (0 < segment_s < math.inf) or (keep_s is not None and keep_s <= 0) or (keep_bytes or 1) <= 0:
            raise OutputError(f"{segment_s=}, {keep_s=}, {keep_bytes=}: expected numbers above 0")
        self.problem = ""
        self._segment_s = segment_s
        self._shelf = Shelf(folder, keep_s, keep_bytes, spare_bytes)
        self._end_s = self._shelf.end_s
        self._cut: _Cut | None = None
        self._ending: _Cut | None = None  # the segment before, while its last sound comes
        self._streams: tuple[VideoStream, AudioStream | None] | None = None
        self._extradata: Any = None  # of pictures whose coding changed in mid-stream
        self._shift_s = 0.0
        self._follows = False
        self._number = self._shelf.next_number
        self._full: queue.Queue[tuple[Segment, bytes] | None] = queue.Queue(_WAITING)
        self._writer = threading.Thread(target=self._write, name="shopcue-recorder", daemon=True)
        self._writer.start()

    # ---- the stream ----------------------------------------------------------------------------------------------

    def begin(self, video: VideoStream, audio: AudioStream | None) -> None:
        """A connection begins: `place` tells where, else it is placed by the wall clock."""
        self._streams, self._extradata = None, None
        self._shift_s = max(self._end_s, time.time() - self._shelf.origin.timestamp()) if self._number else 0.0
        if video.codec_context.name not in _VIDEO:
            self._fail(f"{video.codec_context.name} pictures cannot be recorded, expected H.264 or HEVC")
            return
        heard = audio is not None and audio.codec_context is not None and audio.codec_context.name in _AUDIO
        self._streams = (video, audio if heard else None)

    def place(self, shift_s: float) -> None:
        """Tell at which time of the stream the connection's 0 stands."""
        self._shift_s = shift_s

    def update(self, packet: Packet[Any], time_s: float) -> None:
        """Take a packet, which is to be decoded at time_s of the connection."""
        if self._streams is None:
            return
        is_video = packet.stream_index == self._streams[0].index
        shown_s = time_s
        if packet.pts is not None and packet.dts is not None:
            shown_s += float((packet.pts - packet.dts) * packet.time_base)
        if is_video and packet.has_sidedata("new_extradata"):
            self._extradata = packet.get_sidedata("new_extradata")
        try:
            if is_video and self._is_cut(packet, shown_s):
                self._finish(self._ending)
                self._ending, self._cut = self._cut, _Cut(*self._known(), shown_s, self._extradata)
            if self._cut is not None:
                self._take(packet, is_video, time_s, shown_s)
        except (av.FFmpegError, ValueError, OSError) as error:
            self._cut, self._ending, self._follows = None, None, False
            self._fail(f"a segment cannot be put together ({type(error).__name__})")

    def end(self) -> None:
        """The connection has ended."""
        with suppress(av.FFmpegError, ValueError, OSError):
            self._finish(self._ending)
            self._ending = None
            self._finish(self._cut)
        self._cut, self._ending, self._streams, self._follows = None, None, None, False

    def close(self) -> None:
        """End the recording: waits until the last segment is written, but not for ever."""
        self.end()
        with suppress(queue.Full):
            self._full.put(None, timeout=_FAREWELL_S)
        self._writer.join(_FAREWELL_S)

    def _known(self) -> tuple[VideoStream, AudioStream | None]:
        """Return the streams of which a segment can be made now: sound that was announced may not have come yet."""
        assert self._streams is not None
        video, audio = self._streams
        return video, audio if audio is not None and audio.codec_context.sample_rate else None

    def _is_cut(self, packet: Packet[Any], shown_s: float) -> bool:
        """Whether a segment is to start with this packet of the video."""
        if self._cut is None:
            return packet.is_keyframe
        length_s = shown_s - self._cut.start_s
        too_much = length_s >= _LONGEST * self._segment_s or self._cut.size > _MAX_BYTES
        # Times are of a clock in ticks: a segment that lacks less than a picture's length is long enough.
        return too_much or (packet.is_keyframe and length_s >= self._segment_s - 0.01)

    def _take(self, packet: Packet[Any], is_video: bool, time_s: float, shown_s: float) -> None:
        """Put a packet where it belongs: sound from before a segment's first picture to the segment before."""
        assert self._cut is not None
        early = not is_video and time_s < self._cut.start_s
        if early and self._ending is not None:
            self._ending.add(packet, time_s, shown_s)
        elif not early:  # what is heard before the first picture of all would stand at that picture's date
            self._cut.add(packet, time_s, shown_s)
        if self._ending is not None and (time_s >= self._cut.start_s + (_LONGEST_STEP_S if is_video else 0)):
            ending, self._ending = self._ending, None
            self._finish(ending)

    def _finish(self, cut: _Cut | None) -> None:
        """Hand a segment to the writer."""
        if cut is None:
            return
        start_s = cut.start_s + self._shift_s
        # To where the next one starts, so that they follow without a seam.
        end_s = cut.end_s if self._cut is None or self._cut is cut else self._cut.start_s
        segment = Segment(self._number, start_s, max(end_s - cut.start_s, 0.001), self._follows)
        content = cut.content()
        self._number, self._follows = self._number + 1, True
        self._end_s = segment.end_s
        try:
            self._full.put_nowait((segment, content))
        except queue.Full:
            self._follows = False
            self._fail("the disk does not keep up")

    # ---- the writer ----------------------------------------------------------------------------------------------

    def _write(self) -> None:
        lost = False
        while (item := self._full.get()) is not None:
            segment, content = item
            try:
                self._shelf.add(replace(segment, follows=segment.follows and not lost, size=len(content)), content)
            except OSError as error:
                lost = True
                self._fail(f"a segment cannot be written ({error.strerror})")
                continue
            if lost:
                _log.warning("the recording goes on")
            lost, self.problem = False, ""
        with suppress(OSError):
            self._shelf.finish()

    def _fail(self, problem: str) -> None:
        if not self.problem:
            _log.warning("no recording: %s", problem)
        self.problem = problem


class _Cut:
    """A segment that is being put together in memory."""

    def __init__(self, video: VideoStream, audio: AudioStream | None, start_s: float, extradata: Any) -> None:
        self.start_s = self.end_s = start_s
        self.size = 0
        self._file = io.BytesIO()
        self._container: OutputContainer = av.open(self._file, "w", format="mpegts", options=_OPTIONS)
        self._out: dict[int, Stream] = {
            stream.index: self._container.add_stream_from_template(stream, opaque=True)
            for stream in (video, audio)
            if stream is not None
        }
        if audio is not None:
            _complete(self._out[audio.index], audio)
        self._video_index = video.index
        self._extradata = extradata
        self._last_dts: dict[int, int] = {}
        self._last_s = start_s  # when the last picture was to be decoded

    def add(self, packet: Packet[Any], time_s: float, shown_s: float) -> None:
        """Take a packet, to be decoded (if that is known, else shown) at time_s of the connection, shown at shown_s."""
        stream = self._out.get(packet.stream_index)
        if stream is None:
            return
        copy: Packet[Any] = Packet(bytes(packet))  # what is written is stamped anew, and the decoder needs the old one
        copy.stream, copy.time_base, copy.is_keyframe = stream, packet.time_base, packet.is_keyframe
        copy.duration = packet.duration
        dts, pts = self._stamps(packet, time_s)
        copy.dts, copy.pts = dts, pts
        if packet.stream_index == self._video_index:
            step_s = float((packet.duration or 0) * packet.time_base) or time_s - self._last_s
            self._last_s = time_s
            self.end_s = max(self.end_s, shown_s + min(step_s, _LONGEST_STEP_S))
            if self._extradata is not None:
                copy.set_sidedata(self._extradata)
                self._extradata = None
        self._container.mux(copy)
        self.size += packet.size

    def _stamps(self, packet: Packet[Any], time_s: float) -> tuple[int, int]:
        """Return when a packet is to be decoded and shown, in its own time base; the first only grows."""
        base = packet.time_base
        at = round((Fraction(time_s) + _LEAD_S) / base)
        if packet.dts is not None:
            pts = at + (packet.pts - packet.dts if packet.pts is not None else 0)
            dts = at
        else:
            pts = at
            dts = at - round(_REORDER_S / base) if packet.stream_index == self._video_index else at
        dts = max(dts, self._last_dts.get(packet.stream_index, dts - 1) + 1)
        self._last_dts[packet.stream_index] = dts
        return dts, max(pts, dts)

    def content(self) -> bytes:
        """Return the segment as it is to be written."""
        self._container.close()
        return self._file.getvalue()


def _complete(out: Stream, audio: AudioStream) -> None:
    """Tell a copy of sound what only its decoder knows, where it was announced and came later."""
    context = out.codec_context
    if isinstance(context, AudioCodecContext) and not context.sample_rate:
        context.sample_rate, context.layout = audio.codec_context.sample_rate, audio.codec_context.layout
