"""MPEG-TS over HTTP as an encoder sends it, with what can go wrong on the way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from http.server import BaseHTTPRequestHandler

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream

from engine.films import FPS, Film
from shopcue.engine import Stream

SOUND_HZ = 16_000
_SOUND_FRAME = 1024
_AHEAD_S = 1.5
_PATIENCE_S = 0.3
_WAITING_FRAMES = 1


@dataclass
class Tape:
    """The bytes of a broadcast, each piece with the second of the show at which an encoder would send it."""

    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    now_s: float = 0.0

    def write(self, data: bytes) -> int:
        """Take what a muxer writes."""
        self.pieces.append((self.now_s, bytes(data)))
        return len(data)

    def record(
        self, film: Film, start_s: float, end_s: float, *, stamp_s: float = 0.0, silent_from_s: float | None = None
    ) -> Tape:
        """Encode a part of a film, and go on where the tape ends, with a new encoder.

        stamp_s: what its time stamps say at second 0 of the film. silent_from_s: from then on there is no sound.
        """
        # Every packet is written at once, whatever the other stream does.
        options = {"flush_packets": "1", "max_interleave_delta": "100000"}
        with av.open(self, "w", format="mpegts", options=options) as container:
            video, sound = _pictures(container, film), container.add_stream("aac", rate=SOUND_HZ, layout="mono")
            assert isinstance(sound, AudioStream)
            tone = _tone(start_s, end_s if silent_from_s is None else silent_from_s, stamp_s)
            for n in range(round(start_s * FPS), round(end_s * FPS)):
                self.now_s = n / FPS
                frame = av.VideoFrame.from_ndarray(film.picture(self.now_s), format="rgb24").reformat(format="yuv420p")
                frame.pts, frame.time_base = n + round(stamp_s * FPS), Fraction(1, FPS)
                container.mux(video.encode(frame))
                for part in tone:
                    container.mux(sound.encode(part))
                    if part.time is not None and part.time - stamp_s > self.now_s:
                        break
            container.mux(video.encode(None))
            container.mux(sound.encode(None))
        return self

    def corrupted(self, start_s: float, end_s: float, seed: int, share: float = 1 / 1500) -> Tape:
        """Return the tape with that share of its bytes of a while changed, wherever they are."""
        rng = np.random.default_rng(seed)

        def spoilt(data: bytes) -> bytes:
            wrong = np.frombuffer(data, np.uint8).copy()
            at = np.flatnonzero(rng.random(len(wrong)) < share)
            wrong[at] ^= rng.integers(1, 256, len(at), dtype=np.uint8)
            return wrong.tobytes()

        return Tape([(due_s, spoilt(data) if start_s <= due_s < end_s else data) for due_s, data in self.pieces])


def _pictures(container: OutputContainer, film: Film) -> VideoStream:
    video = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "threads": "1"})
    assert isinstance(video, VideoStream)
    video.height, video.width = film.picture(0.0).shape[:2]
    video.pix_fmt = "yuv420p"
    video.codec_context.gop_size = FPS
    return video


def _tone(start_s: float, end_s: float, stamp_s: float) -> Iterator[av.AudioFrame]:
    for at in range(round(start_s * SOUND_HZ), round(end_s * SOUND_HZ) - _SOUND_FRAME + 1, _SOUND_FRAME):
        wave = 0.3 * np.sin(2 * np.pi * 440 * (at + np.arange(_SOUND_FRAME)) / SOUND_HZ)
        frame = av.AudioFrame.from_ndarray(wave.astype(np.float32)[None], format="fltp", layout="mono")
        frame.sample_rate, frame.time_base = SOUND_HZ, Fraction(1, SOUND_HZ)
        frame.pts = at + round(stamp_s * SOUND_HZ)
        yield frame


@dataclass
class Sender:
    """Sends a tape to the first who asks, faster than life, and never far ahead of who looks.

    stall: at which second of the show nothing is sent for how many seconds; what was due meanwhile comes at once.
    watcher: the stream that looks; nothing is sent until it is known.
    """

    tape: Tape
    stall: tuple[float, float] | None = None
    watcher: Stream | None = None
    asked: int = 0

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        self.asked += 1
        if self.asked > 1:
            handler.send_error(404)
            return
        handler.send_response(200)
        handler.end_headers()
        stall = self.stall
        for due_s, data in self.tape.pieces:
            self._wait(due_s)
            if stall is not None and due_s >= stall[0]:
                time.sleep(stall[1])
                stall = None
            handler.wfile.write(data)

    def _wait(self, due_s: float) -> None:
        """Wait for who looks; not for long where what was sent never came through."""
        until_s = time.monotonic() + _PATIENCE_S
        while (watcher := self.watcher) is None or len(watcher._frames) > _WAITING_FRAMES:
            time.sleep(0.005)
        while due_s - watcher._now_s > _AHEAD_S and time.monotonic() < until_s:
            time.sleep(0.005)
