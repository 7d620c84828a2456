"""The drawn stream as files: the video with its sound, what is said, what is written, and the truth."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream

from shopcue.errors import OutputError, SettingsError
from shopcue.records import Comment, Floats, Utterance
from shopcue.sources.synthetic.designs import DESIGNS
from shopcue.sources.synthetic.scene import Scene
from shopcue.sources.synthetic.schedule import Showing, plan, spoken, written
from shopcue.sources.synthetic.shop import read_designs, write_text

_RATE_HZ = 48_000
_SMPTE_170M = 6
_FILES = ("live.mp4", "speech.vtt", "comments.jsonl", "truth.json")
_CHORDS_HZ = (
    (196.0, 246.9, 293.7, 392.0),
    (164.8, 196.0, 246.9, 329.6),
    (130.8, 164.8, 196.0, 329.6),
    (146.8, 185.0, 220.0, 293.7),
)
_CHORD_S = 4.0
_SMALLEST, _LARGEST = (64, 64), (3840, 2160)
Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Stream:
    """Where a drawn stream lies, and its schedule."""

    video: Path
    speech: Path
    comments: Path
    truth: Path
    duration_s: float
    showings: tuple[Showing, ...]


def make_stream(
    folder: Path,
    feed: Path,
    *,
    duration_s: float = 90.0,
    size: tuple[int, int] = (960, 540),
    fps: int = 25,
    seed: int = 0,
    progress: Progress | None = None,
) -> Stream:
    """Draw a live show about the products of `feed` into `folder`: live.mp4, speech.vtt, comments.jsonl, truth.json.

    feed: the catalog.csv that `make_shop` wrote. size: width and height in pixels, both even. progress: called with
    the share that is done, up to 1. The pictures and the schedule depend on the arguments alone.
    Raises FeedError, SettingsError, OutputError.
    """
    _check(size, fps)
    sold = read_designs(feed)
    brands = {design.brand for design in sold}
    unsold = [design for design in DESIGNS if design.brand not in brands]
    showings = plan(sold, unsold, duration_s, seed)
    frames = round(duration_s * fps)
    duration_s = frames / fps
    utterances, comments = spoken(showings, duration_s, seed), written(showings, duration_s, seed)
    scene = Scene(showings, comments, sold, size, seed)
    video, speech, chat, truth = (folder / name for name in _FILES)
    stream = Stream(video, speech, chat, truth, duration_s, showings)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_video(stream.video, scene, size, fps, frames, progress)
        write_text(stream.speech, _vtt(utterances))
        write_text(stream.comments, _jsonl(comments))
        write_text(stream.truth, _truth(showings, duration_s))
    except OSError as error:
        raise OutputError(
            f"the stream cannot be written to {folder}: {error}; give a folder that is writable"
        ) from error
    return stream


def _check(size: tuple[int, int], fps: int) -> None:
    fits = all(low <= side <= high and side % 2 == 0 for low, side, high in zip(_SMALLEST, size, _LARGEST, strict=True))
    if not fits:
        raise SettingsError(f"the size is {size[0]}x{size[1]}, expected even numbers from 64x64 to 3840x2160")
    if not 1 <= fps <= 60:
        raise SettingsError(f"the frame rate is {fps}, expected 1 to 60 frames a second")


# ---- texts ------------------------------------------------------------------------------------------------------


def _clock(time_s: float) -> str:
    ms = round(time_s * 1000)
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"


def _vtt(utterances: Sequence[Utterance]) -> str:
    cues = [f"{_clock(u.start_s)} --> {_clock(u.end_s)}\n{_escaped(u.text)}\n" for u in utterances]
    return "\n".join(["WEBVTT\n", *cues])


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _jsonl(comments: Sequence[Comment]) -> str:
    return "".join(json.dumps(asdict(comment), ensure_ascii=False) + "\n" for comment in comments)


def _truth(showings: Sequence[Showing], duration_s: float) -> str:
    focuses = [{"product_id": s.design.product_id, "start_s": s.start_s, "end_s": s.end_s} for s in showings if s.sold]
    return json.dumps({"duration_s": duration_s, "focuses": focuses}, indent=1) + "\n"


# ---- video and sound ----------------------------------------------------------------------------------------------


def _write_video(
    path: Path, scene: Scene, size: tuple[int, int], fps: int, frames: int, progress: Progress | None
) -> None:
    draft = path.with_name(f".{path.name}.part")
    try:
        with av.open(str(draft), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            video, audio = (
                _video_stream(container, size, fps),
                container.add_stream("aac", rate=_RATE_HZ, layout="stereo"),
            )
            audio.bit_rate = 96_000
            sound = _Sound(audio, frames / fps)
            for i in range(frames):
                planes = np.asarray(cv2.cvtColor(scene.frame_at(i / fps), cv2.COLOR_RGB2YUV_I420), np.uint8)
                picture = av.VideoFrame.from_ndarray(planes, format="yuv420p")
                picture.pts, picture.time_base = i, Fraction(1, fps)
                container.mux(video.encode(picture))
                sound.write(container, (i + 1) / fps)
                if progress:
                    progress((i + 1) / frames)
            container.mux(video.encode(None))
            sound.write(container, frames / fps, last=True)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _video_stream(container: OutputContainer, size: tuple[int, int], fps: int) -> VideoStream:
    stream = container.add_stream("libx264", rate=fps, options={"preset": "veryfast", "crf": "23"})
    stream.width, stream.height, stream.pix_fmt = size[0], size[1], "yuv420p"
    stream.codec_context.gop_size = 2 * fps
    # say which matrix OpenCV makes the colours with (BT.601, limited range), else players guess by the height
    stream.codec_context.colorspace, stream.codec_context.color_range = _SMPTE_170M, 1
    stream.codec_context.color_primaries, stream.codec_context.color_trc = _SMPTE_170M, _SMPTE_170M
    return stream


class _Sound:
    """A quiet bed of soft chords and pink noise, made second by second so that its length costs no memory."""

    def __init__(self, stream: AudioStream, duration_s: float) -> None:
        self._stream, self._samples, self._done = stream, round(duration_s * _RATE_HZ), 0
        self._noise = _pink(4 * _RATE_HZ)

    def write(self, container: OutputContainer, until_s: float, last: bool = False) -> None:
        """Encode the sound up to `until_s`, in steps of the codec's frame; `last` also empties the encoder."""
        step = self._stream.codec_context.frame_size or 1024
        end = self._samples if last else round(until_s * _RATE_HZ)
        while self._done + (0 if last else step) <= end and self._done < self._samples:
            count = min(step, self._samples - self._done)
            chunk = av.AudioFrame.from_ndarray(self._bed(self._done, count), format="fltp", layout="stereo")
            chunk.sample_rate, chunk.pts, chunk.time_base = _RATE_HZ, self._done, Fraction(1, _RATE_HZ)
            container.mux(self._stream.encode(chunk))
            self._done += count
        if last:
            container.mux(self._stream.encode(None))

    def _bed(self, first: int, count: int) -> Floats:
        """Return samples, float32 (2, count)."""
        index = first + np.arange(count)
        t = index / _RATE_HZ
        swell = np.sin(np.pi * (t % _CHORD_S) / _CHORD_S) ** 0.8
        which = (t // _CHORD_S).astype(int) % len(_CHORDS_HZ)
        tones = np.array(_CHORDS_HZ)[which]
        waves = np.sin(2 * np.pi * tones * t[:, None]) + 0.25 * np.sin(4 * np.pi * tones * t[:, None])
        chord = 0.018 * swell * waves.sum(1)
        sides = [chord + self._noise[(index + shift) % len(self._noise)] for shift in (0, _RATE_HZ)]
        fade = np.minimum(np.minimum(t / 0.5, (self._samples - index) / (0.5 * _RATE_HZ)), 1)
        return (np.stack(sides) * fade).astype(np.float32)


def _pink(count: int) -> Floats:
    """Return noise whose power falls with the frequency, rms 0.006; it loops without a click."""
    spectrum = np.fft.rfft(np.random.default_rng(9).standard_normal(count))
    shape = 1 / np.sqrt(np.maximum(np.arange(len(spectrum)), 60))
    noise = np.fft.irfft(spectrum * shape, count)
    return np.asarray(0.006 * noise / noise.std(), np.float32)
