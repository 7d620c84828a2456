"""A video file as if it were live."""

from __future__ import annotations

import heapq
import math
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path

from shopcue.errors import MediaError
from shopcue.records import AudioChunk, Frame
from shopcue.sources.files import read_audio, read_frames
from shopcue.sources.live.reading import CHUNK_S, SOUND_HZ, PacketSink


class PacedFile:
    """A video file as a live stream: each frame comes when its time has come. speed: how much faster than life."""

    endless = False

    def __init__(self, path: str | Path, speed: float = 1.0) -> None:
        if not speed > 0:
            raise MediaError(f"a speed of {speed} was asked for, expected a number above 0")
        self._path, self._speed = path, speed
        self._closed = threading.Event()

    def read(
        self, rate_hz: float, max_side_px: int, *, sound: bool = False, recorder: PacketSink | None = None
    ) -> Generator[Frame | AudioChunk, None, None]:
        """Yield the frames and the sound of the file, the same as offline. A file needs no recorder."""
        began_s = time.monotonic()
        for due_s, item in self._items(rate_hz, max_side_px, sound):
            wait_s = 0.0 if math.isinf(self._speed) else began_s + due_s / self._speed - time.monotonic()
            if self._closed.wait(max(0.0, wait_s)):
                return
            yield item

    def close(self) -> None:
        """End the stream."""
        self._closed.set()

    def _items(self, rate_hz: float, max_side_px: int, sound: bool) -> Iterator[tuple[float, Frame | AudioChunk]]:
        """Yield what there is, each with the time at which it is known."""
        frames = ((frame.time_s, frame) for frame in read_frames(self._path, rate_hz, max_side_px))
        if not sound:
            return frames
        chunks = ((chunk.end_s, chunk) for chunk in read_audio(self._path, SOUND_HZ, CHUNK_S))
        return heapq.merge(frames, chunks, key=lambda item: item[0])
