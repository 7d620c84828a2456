"""Small videos made on the spot, whose pictures say their number in a way that survives coding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

Image = NDArray[np.uint8]

CODE_BITS = 10
SOUND_RATE_HZ = 16_000


def numbered_picture(number: int, width: int = 160, height: int = 96) -> Image:
    """A picture that says its number in black and white bars, which survive coding, scaling and turning upright."""
    bars = np.array([number >> bit & 1 for bit in range(CODE_BITS)], np.uint8) * 255
    row = bars[np.arange(width) * CODE_BITS // width]
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (height, width, 3)))


def picture_number(image: Image) -> int:
    """The number that a `numbered_picture` says."""
    width = image.shape[1]
    centres = ((np.arange(CODE_BITS) + 0.5) * width / CODE_BITS).astype(int)
    bars = image[image.shape[0] // 2, centres].mean(axis=-1) > 127
    return int(sum(1 << bit for bit, on in enumerate(bars) if on))


@dataclass(frozen=True)
class Sound:
    """A stretch of a tone: start_s, seconds, hertz."""

    start_s: float = 0.0
    duration_s: float = 1.0
    tone_hz: float = 440.0


@dataclass(frozen=True)
class VideoSpec:
    """What to write: see `MakeVideo`."""

    pts_s: Sequence[float]
    picture: Callable[[int], Image]
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    options: Mapping[str, str] = field(default_factory=dict)
    key_frames_every: int = 30
    b_frames: int = 0
    rotation: float = 0
    pixel_ratio: Fraction | None = None
    time_base: Fraction = Fraction(1, 90_000)
    rate_hz: int = 30


class MakeVideo(Protocol):
    """Writes a small video and returns its path.

    pts_s: the time of each frame in seconds. picture: number -> RGB picture (default: `numbered_picture`); name's
    ending chooses the container. sounds: stretches of tone, in order. The rest goes to `VideoSpec`.
    """

    def __call__(
        self,
        name: str = "clip.mp4",
        pts_s: Iterable[float] = ...,
        *,
        picture: Callable[[int], Image] = ...,
        sounds: Sequence[Sound] = ...,
        container_options: Mapping[str, str] = ...,
        **spec: object,
    ) -> Path: ...


def write_video(container: OutputContainer, spec: VideoSpec, sounds: Sequence[Sound] = ()) -> None:
    """Write pictures (none if there are no times) and sound into an open container."""
    pictures = _add_pictures(container, spec) if spec.pts_s else None
    # Plain samples start where they are said to; AAC puts an encoder's run-in before them.
    plain = container.format.name in ("matroska", "avi", "wav")
    sound = container.add_stream("pcm_s16le" if plain else "aac", rate=SOUND_RATE_HZ, layout="mono") if sounds else None
    if pictures is not None:
        for number, pts_s in enumerate(spec.pts_s):
            frame = av.VideoFrame.from_ndarray(spec.picture(number), format="rgb24").reformat(format=spec.pix_fmt)
            frame.pts = round(pts_s / spec.time_base)
            frame.time_base = spec.time_base
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
    if sound is not None:
        _write_sound(container, sound, sounds)


def _add_pictures(container: OutputContainer, spec: VideoSpec) -> VideoStream:
    height, width = spec.picture(0).shape[:2]
    stream = container.add_stream(spec.codec, rate=spec.rate_hz, options={"threads": "1", **spec.options})
    assert isinstance(stream, VideoStream)
    stream.width, stream.height, stream.pix_fmt = width, height, spec.pix_fmt
    context = stream.codec_context
    context.time_base = spec.time_base
    context.gop_size = spec.key_frames_every
    context.max_b_frames = spec.b_frames
    if spec.pixel_ratio is not None:
        context.sample_aspect_ratio = spec.pixel_ratio
    if spec.rotation:
        stream.set_display_rotation(spec.rotation)
    return stream


def _write_sound(container: OutputContainer, stream: AudioStream, sounds: Sequence[Sound]) -> None:
    rate = SOUND_RATE_HZ
    form = "s16" if stream.codec_context.name == "pcm_s16le" else "fltp"
    for sound in sounds:
        seconds = np.arange(round(sound.duration_s * rate)) / rate
        wave = 0.5 * np.sin(2 * np.pi * sound.tone_hz * seconds)
        samples = (wave * 32767).astype(np.int16) if form == "s16" else wave.astype(np.float32)
        for at in range(0, len(wave) - 1023, 1024):
            frame = av.AudioFrame.from_ndarray(samples[None, at : at + 1024], format=form, layout="mono")
            frame.sample_rate = rate
            frame.time_base = Fraction(1, rate)
            frame.pts = round(sound.start_s * rate) + at
            container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
