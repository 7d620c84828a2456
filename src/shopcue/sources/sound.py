"""Decoded sound -> mono chunks at one rate, each where it belongs in time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from shopcue.records import AudioChunk, Floats

_JITTER_S = 0.05  # time stamps that are off by less are rounding, not a gap


class SoundTrack:
    """Takes the frames of a sound stream one by one and gives chunks of chunk_n samples at rate_hz.

    A frame that starts later than the last one ended opens a new stretch; of one that starts earlier, what is already
    there is dropped.
    """

    def __init__(self, rate_hz: int, chunk_n: int) -> None:
        self._rate_hz = rate_hz
        self._chunk_n = chunk_n
        self._resampler: AudioResampler | None = None
        self._form: tuple[str, str, int] | None = None  # of the frames that the resampler takes
        self._parts: list[Floats] = []
        self._held_n = 0
        self._start_s = 0.0  # of the first sample held
        self._skip_n = 0  # samples to drop before the next are kept
        self._next_s: float | None = None  # where the next frame of this stretch starts

    def update(self, frame: AudioFrame, start_s: float | None) -> Iterator[AudioChunk]:
        """Take the next frame, which starts at start_s (None: where the last one ended), and yield what is full."""
        at_s = start_s if start_s is not None else self._next_s or 0.0
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._next_s is None or abs(at_s - self._next_s) > _JITTER_S or form != self._form:
            yield from self._open_stretch(at_s, form)
        frame.pts = None  # samples are counted from the start of the stretch
        self._keep(frame)
        self._next_s = (self._next_s or 0.0) + frame.samples / frame.sample_rate
        yield from self._full()

    def flush(self) -> Iterator[AudioChunk]:
        """End the stretch and yield the rest of it."""
        if self._resampler is not None:
            self._keep(None)
        self._resampler = None
        yield from self._full()
        if self._held_n:
            yield self._take(self._held_n)

    def _open_stretch(self, at_s: float, form: tuple[str, str, int]) -> Iterator[AudioChunk]:
        end_s = self._start_s if self._next_s is None else self._next_s
        yield from self.flush()
        self._start_s = max(at_s, end_s)
        self._skip_n = round((self._start_s - at_s) * self._rate_hz)
        self._next_s = at_s
        self._form = form
        self._resampler = AudioResampler("fltp", None, self._rate_hz)

    def _keep(self, frame: AudioFrame | None) -> None:
        assert self._resampler is not None
        for out in self._resampler.resample(frame):
            if out is None:
                continue
            # The mean, which cannot leave [-1, 1]: the resampler's own mix makes loud stereo clip.
            samples = out.to_ndarray().mean(axis=0, dtype=np.float32)[self._skip_n :]
            self._skip_n -= min(self._skip_n, out.samples)
            self._parts.append(np.clip(np.nan_to_num(samples, nan=0.0), -1, 1))
            self._held_n += len(samples)

    def _full(self) -> Iterator[AudioChunk]:
        while self._held_n >= self._chunk_n:
            yield self._take(self._chunk_n)

    def _take(self, count: int) -> AudioChunk:
        """Return the first `count` samples held and keep the rest."""
        held = np.concatenate(self._parts)
        chunk = AudioChunk(self._start_s, held[:count], self._rate_hz)
        self._parts = [held[count:]]
        self._held_n -= count
        self._start_s = chunk.end_s
        return chunk
