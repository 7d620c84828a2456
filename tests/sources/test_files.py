from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clips import (
    Image,
    MakeVideo,
    Sound,
    VideoSpec,
    numbered_picture,
    picture_number,
    write_video,
)
from shopcue.errors import MediaError
from shopcue.records import Frame
from shopcue.sources import containers
from shopcue.sources.containers import Clock, clock
from shopcue.sources.decoding import Choice, wanted
from shopcue.sources.files import firsts, frame_at, frames_at, lasts, probe, read_audio, read_frames
from shopcue.sources.pictures import _Turn

# ---- the rules, against plain loops ----------------------------------------------------------------------------


@dataclass
class Stamped:
    """Stands for a packet or a frame: its time stamp is all that the rules look at."""

    pts: int
    is_discard: bool = False


def tick_rule(pts: list[int], time_base: Fraction, zero: Fraction, rate: Fraction) -> list[int]:
    """The words of the rule: for each tick k / rate the first frame at or after it, each frame once."""
    chosen: list[int] = []
    if not pts:
        return chosen
    first_s = min(pts) * time_base - zero
    last_s = max(pts) * time_base - zero
    k = first_s * rate // 1
    while k / rate <= last_s:
        first = min(p for p in pts if p * time_base - zero >= k / rate)
        if first not in chosen:
            chosen.append(first)
        k += 1
    return chosen


time_stamps = st.lists(st.integers(-200, 900), unique=True, max_size=40)
time_bases = st.sampled_from([Fraction(1, 1000), Fraction(1, 30), Fraction(1001, 30000), Fraction(1, 90)])
rates = st.sampled_from([Fraction(2), Fraction(1, 2), Fraction(10), Fraction(30000, 1001), Fraction(3)])


@settings(deadline=None, max_examples=60)
@given(time_stamps, time_bases, st.fractions(-2, 2, max_denominator=1000), rates)
def test_the_first_frame_of_each_tick_is_taken(
    pts: list[int], time_base: Fraction, zero: Fraction, rate: Fraction
) -> None:
    shown = [Stamped(p) for p in sorted(pts)]
    taken = firsts(cast(Any, shown), Clock(time_base, zero).ticks(rate))
    assert [frame.pts for frame in taken] == tick_rule(pts, time_base, zero, rate)


@settings(deadline=None, max_examples=60)
@given(time_stamps, st.lists(st.integers(-300, 3100), max_size=8).map(sorted))
def test_the_frame_on_screen_is_the_last_one_that_has_come(pts: list[int], asked: list[int]) -> None:
    shown = sorted(pts)
    expected = [max((p for p in shown if p <= a), default=shown[0]) for a in asked] if shown else []
    assert [frame.pts for frame in lasts(cast(Any, [Stamped(p) for p in shown]), asked)] == expected


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 400), unique=True, max_size=120), st.integers(1, 50), st.randoms(use_true_random=False))
def test_no_wanted_frame_is_passed_over_however_packets_are_ordered(pts: list[int], width: int, random: Any) -> None:
    """Frames are stored up to 16 places from where they are shown; the wanted ones are known all the same."""
    stored = [p for _, p in sorted((i + random.uniform(0, 8), p) for i, p in enumerate(sorted(pts)))]
    groups: dict[int, list[int]] = {}
    for p in pts:
        groups.setdefault(p // width, []).append(p)
    for best in (min, max):
        choice = Choice(lambda p: p // width, cast(Any, best))
        marked = wanted(cast(Any, [(Stamped(p), p) for p in stored]), choice)
        found = {cast(Stamped, packet).pts for packet, is_wanted in marked if is_wanted}
        assert {best(group) for group in groups.values()} <= found
        if width * 2 <= 16:
            assert len(found) == len(groups)


# ---- sampled frames --------------------------------------------------------------------------------------------


def numbers(frames: Iterator[Frame]) -> list[int]:
    return [picture_number(frame.image) for frame in frames]


def decode_everything(path: Path) -> list[tuple[Fraction, Image]]:
    """The slow way: every frame of a file in one thread, with its time from the stream's start."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        frames = [(frame.pts, frame.to_ndarray(format="rgb24")) for frame in container.decode(stream)]
        base, zero = stream.time_base, stream.start_time
    assert base is not None
    assert zero is not None
    return [((pts - zero) * base, cast(Image, image)) for pts, image in frames if pts is not None]


STRUCTURES: dict[str, dict[str, Any]] = {
    "b-frames.mp4": {"b_frames": 3, "options": {"b-pyramid": "normal"}, "key_frames_every": 25},
    "many-b-frames.mkv": {"b_frames": 8, "options": {"b-pyramid": "strict", "refs": "8"}, "key_frames_every": 60},
    "dense-keys.mp4": {"key_frames_every": 7, "b_frames": 2},
    "open-groups.ts": {"b_frames": 3, "key_frames_every": 15, "options": {"x264-params": "open-gop=1"}},
    "intra-refresh.ts": {"key_frames_every": 20, "options": {"x264-params": "intra-refresh=1"}},
    "interlaced.ts": {"options": {"x264-params": "tff=1"}, "b_frames": 2},
    "hevc.mp4": {"codec": "libx265", "b_frames": 3, "key_frames_every": 12, "options": {"x265-params": "log-level=-1"}},
    "hevc-open.ts": {
        "codec": "libx265",
        "b_frames": 3,
        "key_frames_every": 12,
        "options": {"x265-params": "log-level=-1:open-gop=1"},
    },
    "vp8.webm": {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "12"}, "key_frames_every": 20},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}, "key_frames_every": 20},
    "av1.mp4": {"codec": "libsvtav1", "options": {"preset": "12"}, "key_frames_every": 20},
    "mpeg4.avi": {"codec": "mpeg4", "b_frames": 2, "time_base": Fraction(1, 30)},
    "mpeg2.ts": {"codec": "mpeg2video", "b_frames": 2, "key_frames_every": 12, "time_base": Fraction(1, 30)},
    "mjpeg.mp4": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
}


def moving_picture(number: int) -> Image:
    """A picture whose parts move, so that frames refer to each other and a wrong reference shows."""
    y, x = np.mgrid[:96, :160]
    waves = [128 + 100 * np.sin((x * (3 + c) + y * 5 + number * 11) / 23 + c) for c in range(3)]
    image = np.stack(waves, axis=-1).astype(np.uint8)
    image[10 + number % 60 :][:20, 5 + number % 120 :][:, :20] = 255 - number
    return image


@pytest.mark.parametrize("name", STRUCTURES)
def test_decoding_only_what_is_needed_equals_decoding_everything(make_video: MakeVideo, name: str) -> None:
    structure = STRUCTURES[name]
    if structure.get("codec", "libx264") not in av.codecs_available:
        pytest.skip(f"this PyAV cannot write {structure['codec']}")
    path = make_video(name, [i / 30 for i in range(130)], picture=moving_picture, **structure)
    slow = decode_everything(path)
    pts_of = {time_s: i for i, (time_s, _) in enumerate(slow)}
    for rate in (Fraction(1, 2), Fraction(2), Fraction(7)):
        chosen = tick_rule([round(t * 90_000) for t in pts_of], Fraction(1, 90_000), Fraction(0), rate)
        expected = [slow[i] for i in range(len(slow)) if round(slow[i][0] * 90_000) in chosen]
        fast = list(read_frames(path, float(rate)))
        assert [frame.time_s for frame in fast] == pytest.approx([float(time_s) for time_s, _ in expected], abs=1e-9)
        for frame, (_, image) in zip(fast, expected, strict=True):
            np.testing.assert_array_equal(frame.image, image)


def test_variable_frame_rate_gives_true_times_and_no_made_up_frames(make_video: MakeVideo) -> None:
    pts_s = [0, 0.1, 0.4, 0.55, 0.6, 1.7, 1.71, 4.0, 4.49, 4.5]
    path = make_video("vfr.mkv", pts_s)
    frames = list(read_frames(path, rate_hz=2))
    assert [frame.time_s for frame in frames] == [0, 0.55, 1.7, 4.0, 4.5]
    assert numbers(iter(frames)) == [0, 3, 5, 7, 9]


@pytest.mark.parametrize("name", ["odd.mp4", "odd.ts"])
def test_an_odd_time_base_stays_exact(make_video: MakeVideo, name: str) -> None:
    base = Fraction(1001, 24000)
    path = make_video(name, [float(i * base) for i in range(100)], time_base=base, b_frames=2)
    frames = list(read_frames(path, rate_hz=2))
    expected = tick_rule(list(range(100)), base, Fraction(0), Fraction(2))
    assert numbers(iter(frames)) == expected
    assert [frame.time_s for frame in frames] == pytest.approx([float(i * base) for i in expected], abs=1 / 90_000)


@pytest.mark.parametrize("span", [(0, 1.0), (0.3, 1.25), (0.5, 2.0), (1.99, 3.0), (2.4, None), (50, None), (1, 1)])
@pytest.mark.parametrize("name", ["part.mp4", "part.ts", "part.mkv"])
def test_a_part_reads_as_that_part_of_the_whole(
    make_video: MakeVideo, name: str, span: tuple[float, float | None]
) -> None:
    path = make_video(name, [0.013 + i / 29 for i in range(90)], b_frames=2, key_frames_every=20)
    start_s, end_s = span
    whole = [f for f in read_frames(path, 4) if f.time_s >= start_s and (end_s is None or f.time_s < end_s)]
    part = list(read_frames(path, 4, start_s=start_s, end_s=end_s))
    assert [f.time_s for f in part] == [f.time_s for f in whole]
    assert numbers(iter(part)) == numbers(iter(whole))


@pytest.mark.parametrize("rate_hz", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(make_video: MakeVideo, rate_hz: float) -> None:
    with pytest.raises(MediaError, match="rate_hz"):
        next(read_frames(make_video(), rate_hz))


# ---- the clock -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["late.mp4", "late.ts", "late.mkv"])
@pytest.mark.parametrize("start_s", [0.5, 10, 26 * 3600.0])
def test_a_file_that_starts_late_starts_at_zero(make_video: MakeVideo, name: str, start_s: float) -> None:
    path = make_video(name, [start_s + i / 10 for i in range(20)])
    frames = list(read_frames(path, rate_hz=10))
    assert [f.time_s for f in frames] == pytest.approx([i / 10 for i in range(20)], abs=0.001)
    assert numbers(iter(frames)) == list(range(20))
    assert probe(path).duration_s == pytest.approx(2.0, abs=0.1)
    assert picture_number(frame_at(path, 1.24).image) == 12


@pytest.mark.parametrize("name", ["both.mkv", "both.ts", "both.mp4"])
@pytest.mark.parametrize(("pictures_s", "sound_s"), [(3.0, 4.5), (4.5, 3.0), (0.0, 1.5)])
def test_pictures_and_sound_share_their_zero(
    make_video: MakeVideo, name: str, pictures_s: float, sound_s: float
) -> None:
    path = make_video(name, [pictures_s + i / 10 for i in range(40)], sounds=[Sound(sound_s, 2.0)])
    zero = min(pictures_s, sound_s)
    first = next(read_frames(path, 10))
    assert first.time_s == pytest.approx(pictures_s - zero, abs=0.07)
    assert loud(path)[0] - first.time_s == pytest.approx(sound_s - pictures_s, abs=0.03)


def test_the_run_in_of_sound_does_not_move_the_pictures(make_video: MakeVideo) -> None:
    """AAC puts 1,024 samples before its start, at a negative time: players drop them and show the pictures at 0."""
    path = make_video("clip.mp4", sounds=[Sound(0.0, 0.9)])
    assert next(read_frames(path)).time_s == 0
    assert next(read_audio(path)).start_s == 0


def test_what_an_edit_list_cuts_off_is_not_shown(make_video: MakeVideo) -> None:
    """MP4 with pictures before 0: its edit list starts at 0, and so do players."""
    path = make_video("early.mp4", [-0.5 + i / 10 for i in range(20)])
    frames = list(read_frames(path, rate_hz=10))
    assert [f.time_s for f in frames] == pytest.approx([i / 10 for i in range(15)])
    assert numbers(iter(frames)) == list(range(5, 20))


@pytest.mark.parametrize(
    ("pictures_s", "sound_s", "zero_s"),
    [
        (10, 10.5, 10),
        (10.5, 10, 10),
        (0, -0.064, 0),
        (0.02, -0.064, 0),
        (-0.5, 0, -0.5),
        (-0.5, -0.6, -0.5),
        (3, None, 3),
    ],
)
def test_zero_is_where_the_first_of_pictures_and_sound_starts(
    pictures_s: float, sound_s: float | None, zero_s: float
) -> None:
    base = Fraction(1, 1000)

    def stream(start_s: float) -> SimpleNamespace:
        return SimpleNamespace(start_time=round(start_s * 1000), time_base=base, disposition=0)

    cover = SimpleNamespace(start_time=-9000, time_base=base, disposition=av.stream.Disposition.attached_pic)
    streams = SimpleNamespace(video=[cover, stream(pictures_s)], audio=[] if sound_s is None else [stream(sound_s)])
    times = clock(cast(Any, SimpleNamespace(streams=streams)), cast(Any, streams.video[1]))
    assert times.zero == Fraction(zero_s).limit_denominator(1000)
    assert times.time_s(round(pictures_s * 1000)) == pytest.approx(pictures_s - zero_s)


def test_a_recording_whose_time_stamps_start_again_goes_on(make_video: MakeVideo) -> None:
    """Three recordings joined end to end, of different sizes: each follows the one before."""
    one = make_video("one.ts", [i / 10 for i in range(30)], sounds=[Sound(0, 3.0)])
    two = make_video("two.ts", [i / 10 for i in range(30, 60)], picture=lambda i: numbered_picture(i + 30, 320, 192))
    again = make_video("again.ts", [i / 10 for i in range(30)], picture=lambda i: numbered_picture(i + 60, 80, 48))
    path = one.with_name("joined.ts")
    path.write_bytes(one.read_bytes() + two.read_bytes() + again.read_bytes())
    frames = list(read_frames(path, rate_hz=30))
    assert numbers(iter(frames)) == list(range(90))
    times = [frame.time_s for frame in frames]
    assert times == pytest.approx([i / 10 for i in range(90)], abs=0.2)
    assert min(np.diff(times)) > 0
    assert {frame.image.shape for frame in frames} == {(96, 160, 3), (192, 320, 3), (48, 80, 3)}
    assert probe(path).duration_s == pytest.approx(9.0, abs=0.3)
    assert picture_number(frame_at(path, 8.0).image) in (79, 80)


@pytest.mark.parametrize("ending", ["mkv", "webm", "ts"])
def test_a_length_that_no_header_tells_is_found(make_video: MakeVideo, tmp_path: Path, ending: str) -> None:
    class Pipe:
        """A file that can only be written forward, as a recorder's output."""

        def __init__(self, path: Path) -> None:
            self.file = path.open("wb")
            self.write = self.file.write

    path = tmp_path / f"recorded.{ending}"
    pipe = Pipe(path)
    with pipe.file, av.open(pipe, "w", format="mpegts" if ending == "ts" else "matroska") as container:
        write_video(container, VideoSpec([i / 10 for i in range(25)], numbered_picture))
    assert probe(path).duration_s == pytest.approx(2.5, abs=0.1)


# ---- the picture -----------------------------------------------------------------------------------------------


def corners(number: int) -> Image:
    """Four corners of four colours: which way up a picture is."""
    image = np.zeros((48, 96, 3), np.uint8)
    image[:24, :48], image[:24, 48:], image[24:, :48] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    return image


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_undone(make_video: MakeVideo, degrees: int) -> None:
    plain = next(read_frames(make_video("plain.mp4", picture=corners))).image
    path = make_video("turned.mp4", picture=corners, rotation=degrees)
    turned = next(read_frames(path)).image
    # The display matrix turns counter-clockwise, as np.rot90 does.
    np.testing.assert_array_equal(turned, np.rot90(plain, degrees // 90))
    info = probe(path)
    assert (info.height, info.width) == turned.shape[:2]
    assert turned.flags.c_contiguous


@pytest.mark.parametrize("flips", [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("degrees", [0, 90])
def test_a_mirrored_picture_is_set_right(flips: tuple[bool, bool], degrees: int) -> None:
    cosine, sine = {0: (1, 0), 90: (0, 1)}[degrees]
    a, b, c, d = cosine, -sine, sine, cosine
    across, down = (-1 if flips[0] else 1), (-1 if flips[1] else 1)
    matrix = [a * across, b * down, 0, c * across, d * down, 0, 0, 0, 1 << 14]
    image = corners(0)
    ours = _Turn.from_matrix(np.array(matrix, np.int32).tobytes()).apply(image)
    # The plain way: put each pixel where the matrix sends it.
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width]
    to_x = matrix[0] * x + matrix[3] * y
    to_y = matrix[1] * x + matrix[4] * y
    plain = np.zeros_like(ours)
    plain[to_y - to_y.min(), to_x - to_x.min()] = image
    np.testing.assert_array_equal(ours, plain)


@pytest.mark.parametrize(
    ("pix_fmt", "codec"),
    [
        ("yuv420p", "libx264"),
        ("yuvj420p", "mjpeg"),
        ("yuvj420p", "libx264"),
        ("yuv422p", "libx264"),
        ("yuv444p", "libx264"),
        ("yuv420p10le", "libx264"),
        ("gbrp", "libx264rgb"),
    ],
)
def test_colours_come_back_whatever_they_are_coded_in(make_video: MakeVideo, pix_fmt: str, codec: str) -> None:
    if pix_fmt == "gbrp":
        pix_fmt = "rgb24"
    colours = [(255, 255, 255), (0, 0, 0), (220, 30, 40), (30, 160, 60), (40, 60, 200), (128, 128, 128)]

    def flat(number: int) -> Image:
        return np.full((64, 64, 3), colours[number % len(colours)], np.uint8)

    path = make_video("flat.mkv", [i / 2 for i in range(6)], picture=flat, codec=codec, pix_fmt=pix_fmt)
    for frame, colour in zip(read_frames(path), colours, strict=True):
        np.testing.assert_allclose(frame.image.reshape(-1, 3).mean(axis=0), colour, atol=8)


def test_a_big_video_without_a_named_matrix_is_taken_as_bt709(tmp_path: Path, make_video: MakeVideo) -> None:
    """Encode pure red as BT.709 says, name no matrix: a player shows red, a reader that takes BT.601 does not."""

    def red_709() -> av.VideoFrame:
        frame = av.VideoFrame(1280, 720, "yuv420p")
        for plane, value in zip(frame.planes, (63, 102, 240), strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        return frame

    path = tmp_path / "hd.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        container.mux(stream.encode(red_709()))
        container.mux(stream.encode(None))
    frame = next(read_frames(path))
    np.testing.assert_allclose(frame.image.reshape(-1, 3).mean(axis=0), (255, 0, 0), atol=4)


@pytest.mark.parametrize(
    ("size", "ratio", "side_px", "shape", "shown"),
    [
        ((160, 96), None, 640, (96, 160), (160, 96)),
        ((160, 96), None, 80, (48, 80), (160, 96)),
        ((160, 96), None, None, (96, 160), (160, 96)),
        ((96, 160), None, 80, (80, 48), (96, 160)),
        ((160, 96), Fraction(4, 3), 640, (96, 213), (213, 96)),
        ((160, 96), Fraction(3, 4), 64, (51, 64), (160, 128)),
        ((160, 96), Fraction(1, 4000), 640, (96, 160), (160, 96)),
        ((1600, 2), None, 64, (1, 64), (1600, 2)),
    ],
)
def test_pictures_keep_their_shape(
    make_video: MakeVideo,
    size: tuple[int, int],
    ratio: Fraction | None,
    side_px: int | None,
    shape: tuple[int, int],
    shown: tuple[int, int],
) -> None:
    path = make_video("shape.mp4", picture=lambda i: numbered_picture(i, *size), pixel_ratio=ratio)
    frame = next(read_frames(path, max_side_px=side_px))
    info = probe(path)
    assert frame.image.shape == (*shape, 3)
    assert (info.width, info.height) == shown
    assert frame.scale == pytest.approx(max(shown) / max(shape), rel=0.01)


def test_odd_sizes(make_video: MakeVideo) -> None:
    path = make_video("odd.mkv", picture=lambda i: numbered_picture(i, 161, 97), pix_fmt="yuv444p")
    assert numbers(read_frames(path, 10)) == list(range(10))
    assert (probe(path).width, probe(path).height) == (161, 97)


# ---- single frames ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["at.mp4", "at.ts", "at.mkv", "at.avi", "at.flv"])
def test_the_frame_at_a_time_is_the_one_on_screen(make_video: MakeVideo, name: str) -> None:
    rate = Fraction(1, 25)
    spec: dict[str, Any] = {"codec": "mpeg4", "time_base": rate} if name.endswith("avi") else {"b_frames": 3}
    path = make_video(name, [float(i * rate) for i in range(200)], key_frames_every=30, rate_hz=25, **spec)
    everything = list(read_frames(path, rate_hz=200))
    assert len(everything) == 200
    asked = [0.0, 0.01, 0.5, 0.999, 1.0, 3.333, 5.0, 7.96, 7.99, 100.0]
    expected = [
        max((f.time_s for f in everything if f.time_s <= a + 1e-9), default=everything[0].time_s) for a in asked
    ]
    assert [frame.time_s for frame in frames_at(path, asked)] == pytest.approx(expected)
    assert [frame_at(path, a).time_s for a in asked] == pytest.approx(expected)
    by_time = {frame.time_s: picture_number(frame.image) for frame in everything}
    assert numbers(frames_at(path, asked)) == [by_time[t] for t in expected]


def test_frames_far_apart_are_sought(make_video: MakeVideo) -> None:
    path = make_video("long.mp4", [float(i) for i in range(600)], key_frames_every=20)
    asked = [3.5, 4.0, 200.2, 210, 590]
    assert numbers(frames_at(path, asked)) == [3, 4, 200, 210, 590]


def test_before_the_first_frame_the_first_one_is_given(make_video: MakeVideo) -> None:
    path = make_video("late.mkv", [2.0, 2.5], sounds=[Sound(0, 3.0)])
    assert frame_at(path, 0.5).time_s == 2.0


@pytest.mark.parametrize("asked", [[1.0, 0.5], [float("nan")], [float("inf")]])
def test_times_that_fall_or_are_none_are_refused(make_video: MakeVideo, asked: list[float]) -> None:
    with pytest.raises(MediaError, match="finite times"):
        list(frames_at(make_video(), asked))


# ---- sound -----------------------------------------------------------------------------------------------------


def loud(path: Path) -> list[float]:
    """Where sound starts and stops being loud, in seconds, by 10 ms windows."""
    samples = np.zeros(16_000 * 30)
    for chunk in read_audio(path):
        at = round(chunk.start_s * chunk.rate_hz)
        samples[at : at + len(chunk.samples)] = chunk.samples
    level = np.abs(samples.reshape(-1, 160)).max(axis=1) > 0.2
    return [float(i) / 100 for i in np.flatnonzero(np.diff(np.concatenate([[0], level, [0]])))]


def test_a_gap_in_the_sound_is_kept_in_time(make_video: MakeVideo) -> None:
    path = make_video("gap.mkv", [i / 10 for i in range(60)], sounds=[Sound(1.0, 1.024), Sound(4.0, 1.024)])
    assert loud(path) == pytest.approx([1.0, 2.02, 4.0, 5.02], abs=0.02)
    assert [chunk.start_s for chunk in read_audio(path)] == pytest.approx([1.0, 4.0], abs=0.001)


def test_sound_comes_in_chunks_of_the_length_asked_for(make_video: MakeVideo) -> None:
    path = make_video("tone.mkv", sounds=[Sound(0.0, 10.24, tone_hz=200)])
    chunks = list(read_audio(path, rate_hz=8000, chunk_s=3.0))
    assert [len(chunk.samples) for chunk in chunks] == [24_000, 24_000, 24_000, 9_920]
    assert [chunk.start_s for chunk in chunks] == [0, 3, 6, 9]
    whole = np.concatenate([chunk.samples for chunk in chunks])
    ideal = 0.5 * np.sin(2 * np.pi * 200 * np.arange(len(whole)) / 8000)
    np.testing.assert_allclose(whole[200:-200], ideal[200:-200], atol=0.01)


def test_stereo_at_another_rate_becomes_mono(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    seconds = np.arange(44_100 * 2) / 44_100
    left, right = 0.6 * np.sin(2 * np.pi * 300 * seconds), np.zeros_like(seconds)
    both = (np.stack([left, right], axis=1) * 32767).astype(np.int16).reshape(1, -1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=44_100, layout="stereo")
        frame = av.AudioFrame.from_ndarray(both, format="s16", layout="stereo")
        frame.sample_rate = 44_100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    whole = np.concatenate([chunk.samples for chunk in read_audio(path)])
    assert len(whole) == pytest.approx(32_000, abs=20)
    assert np.abs(whole).max() == pytest.approx(0.3, abs=0.01)


def test_a_file_without_sound_yields_none(make_video: MakeVideo) -> None:
    path = make_video()
    assert list(read_audio(path)) == []
    assert not probe(path).has_audio


# ---- what comes from strangers ---------------------------------------------------------------------------------


def test_a_file_of_sound_alone_says_so(make_video: MakeVideo) -> None:
    path = make_video("voice.m4a", [], sounds=[Sound()])
    for read in (lambda: probe(path), lambda: next(read_frames(path)), lambda: frame_at(path, 0)):
        with pytest.raises(MediaError, match="only sound"):
            read()
    assert sum(len(chunk.samples) for chunk in read_audio(path)) > 10_000


def test_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("mp3", rate=16_000)
        cover = container.add_stream("mjpeg")
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        container.mux(cover.encode(frame.reformat(format="yuvj420p")))
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), format="fltp", layout="mono")
        tone.sample_rate = 16_000
        container.mux(sound.encode(tone))
        container.mux(sound.encode(None))
    with av.open(str(path)) as container:
        assert container.streams.video, "the test's file has a cover"
    with pytest.raises(MediaError, match="only sound"):
        probe(path)


def test_a_cut_mp4_is_refused(make_video: MakeVideo) -> None:
    path = make_video("whole.mp4")
    cut = path.with_name("cut.mp4")
    cut.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(MediaError, match="cut short"):
        probe(cut)


@pytest.mark.parametrize("ending", ["ts", "mkv"])
def test_of_a_cut_recording_what_is_there_is_used(make_video: MakeVideo, ending: str) -> None:
    path = make_video(f"whole.{ending}", [i / 10 for i in range(100)], key_frames_every=10)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    found = numbers(read_frames(path, 10))
    assert 30 < len(found) < 70
    assert found == list(range(len(found)))


@pytest.mark.parametrize("ending", ["ts", "mkv", "mp4"])
@pytest.mark.parametrize("seed", range(3))
def test_damage_in_the_middle_is_stepped_over(make_video: MakeVideo, ending: str, seed: int) -> None:
    path = make_video(f"whole.{ending}", [i / 10 for i in range(200)], key_frames_every=10, b_frames=2)
    content = bytearray(path.read_bytes())
    random = np.random.default_rng(seed)
    middle = slice(len(content) * 4 // 10, len(content) // 2)
    content[middle] = random.integers(0, 256, middle.stop - middle.start, np.uint8).tobytes()
    path.write_bytes(content)
    frames = list(read_frames(path, 10))
    times = [frame.time_s for frame in frames]
    assert times == sorted(set(times))
    found = {round(frame.time_s * 10): picture_number(frame.image) for frame in frames}
    intact = [i for i in (*range(60), *range(130, 200)) if found.get(i) == i]
    assert len(intact) > 110


def test_nothing_decodable_is_an_error(make_video: MakeVideo) -> None:
    path = make_video("noise.mkv", [i / 10 for i in range(30)])
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        spots = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for pos, size in spots:
        assert pos is not None
        content[pos + 8 : pos + size + 4] = b"\xff" * (size - 4)
    path.write_bytes(content)
    for read in (lambda: probe(path), lambda: next(read_frames(path)), lambda: frame_at(path, 1)):
        with pytest.raises(MediaError):
            read()


def refused(path: Path | str) -> str:
    """The one line that `path` is refused with, the same from every reader."""
    lines = set()
    for read in (lambda: probe(path), lambda: next(read_frames(path)), lambda: next(read_audio(path))):
        with pytest.raises(MediaError) as caught:
            read()
        lines.add(str(caught.value))
    (line,) = lines
    assert "\n" not in line
    assert "expected" in line
    return line


def test_what_is_no_video_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video\n" * 100)
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(1).bytes(5000))
    (tmp_path / "picture.mp4").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (tmp_path / "two\nlines.mp4").write_text("not a video")
    assert "no file" in refused(tmp_path / "missing.mp4")
    assert "folder" in refused(tmp_path)
    assert "empty" in refused(tmp_path / "empty.mp4")
    for name in ("text.mp4", "noise.mp4", "picture.mp4", "two\nlines.mp4"):
        assert "cannot be opened" in refused(tmp_path / name)
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "pipe" in refused(tmp_path / "pipe.mp4")
    assert "no file" in refused("a\0b.mp4")


@pytest.mark.parametrize("name", ["http://127.0.0.1:9/a.mp4", "rtmp://h/a", "pipe:0", "concat:a.mp4", "data:,x", ""])
def test_an_address_is_no_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused(name)


def test_a_hostile_name_chooses_no_protocol(make_video: MakeVideo, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_video()
    monkeypatch.chdir(path.parent)
    for name in ("concat:clip.mp4|clip.mp4", "subfile,,start,0,end,9,,:x.mp4", "pipe:0", "-i", "%03d.mp4", "a?b#c.mp4"):
        Path(name).write_bytes(path.read_bytes())
        assert numbers(read_frames(name, 10)) == list(range(10))


@pytest.fixture
def visits() -> Iterator[tuple[str, list[str]]]:
    """A server on this machine's address, and the list of what was asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("guards", ["all", "demuxers alone"])
def test_a_playlist_reads_nothing_else(
    make_video: MakeVideo, visits: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch, guards: str
) -> None:
    """A playlist named .mp4 that points at another file and at an address is refused and fetches nothing."""
    if guards == "demuxers alone":
        monkeypatch.setattr(containers, "_PLAYLISTS", (b"never",))
    other = make_video("other.ts")
    address, asked = visits
    head = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:5\n#EXTINF:1.0,\n"
    texts = [
        f"{head}{other}\n#EXT-X-ENDLIST\n",
        f"{head}{address}/a.ts\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile '{other}'\n",
        f"ffconcat version 1.0\nfile '{address}/a.ts'\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n",
        f'<?xml version="1.0"?><MPD type="static" xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet>'
        f'<Representation id="1"><BaseURL>{address}/a.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>',
    ]
    for ending in ("mp4", "m3u8", "ts"):
        for text in texts:
            path = other.with_name(f"list.{ending}")
            path.write_text(text)
            refused(path)
    assert asked == []


def test_a_picture_too_big_to_hold_is_refused(make_video: MakeVideo, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_video("big.mp4", picture=lambda i: numbered_picture(i, 640, 480))
    assert probe(path).width == 640
    monkeypatch.setattr(containers, "MAX_PIXELS", 320 * 240)
    with pytest.raises(MediaError):
        probe(path)


def test_the_decoders_do_not_speak(make_video: MakeVideo) -> None:
    path = make_video("whole.ts", [i / 10 for i in range(60)], key_frames_every=10)
    content = bytearray(path.read_bytes())
    content[len(content) // 3 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 3)
    path.write_bytes(content)
    code = (
        "import sys; from shopcue.sources.files import *\n"
        "assert list(read_frames(sys.argv[1])); list(read_audio(sys.argv[1])); probe(sys.argv[1])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are counted where /proc lists them")
def test_the_file_is_let_go(make_video: MakeVideo) -> None:
    path = make_video("held.mp4", sounds=[Sound(0, 1)])

    def held() -> bool:
        return any(os.path.realpath(fd) == str(path) for fd in Path("/proc/self/fd").iterdir())

    for reader in (read_frames(path), frames_at(path, [0.1, 0.5]), read_audio(path, chunk_s=0.2)):
        next(reader)
        assert held()
        cast(Any, reader).close()
        assert not held()
    with pytest.raises(ZeroDivisionError):
        sum(1 / frame.time_s for frame in read_frames(path))
    assert not held()


def test_frames_are_freed_without_waiting_for_a_garbage_collection(make_video: MakeVideo) -> None:
    """A decoded frame of 4K takes 12 MB: a few hundred that wait for the collector are all the memory there is."""
    path = make_video("turned.mp4", [i / 10 for i in range(60)], rotation=90)
    gc.collect()
    gc.disable()
    try:
        for _ in read_frames(path, 10):
            pass
        alive = sum(type(thing) is av.VideoFrame for thing in gc.get_objects())
    finally:
        gc.enable()
    assert alive < 5


def repeat(clip: Path, times: int, duration_s: int) -> Path:
    """A video that shows `clip`, which is duration_s long, over and over."""
    path = clip.with_name(f"{times}-{clip.name}")
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        streams = [target.add_stream_from_template(stream) for stream in source.streams]
        for i in range(times):
            source.seek(0)
            for packet in source.demux():
                if packet.dts is None or packet.pts is None:
                    continue
                shift = round(i * duration_s / packet.time_base)
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                packet.stream = streams[packet.stream_index]
                target.mux(packet)
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory as Linux gives it")
def test_memory_does_not_grow_with_the_length(make_video: MakeVideo) -> None:
    """Peak memory of reading a video thirty times as long, pictures and sound, each in a process of its own."""
    code = (
        "import sys; from pathlib import Path; from shopcue.sources.files import *\n"
        "for _ in read_frames(sys.argv[1]): pass\n"
        "for _ in read_audio(sys.argv[1]): pass\n"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    clip = make_video("20.mp4", [i / 10 for i in range(200)], sounds=[Sound(0, 20)], key_frames_every=250)
    peaks = []
    for times in (3, 90):
        path = repeat(clip, times, 20)
        done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] - peaks[0] < 12


def test_a_composed_live_is_read_as_its_own_clock_says(shared: Path) -> None:
    path = shared / "bench" / "live-a" / "live.mp4"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    with av.open(str(path)) as container:
        slow = [frame.time for frame in container.decode(video=0)]
    expected = [t for i, t in enumerate(slow) if i == 0 or int(t * 2) > int(slow[i - 1] * 2)]
    assert [frame.time_s for frame in read_frames(path)] == pytest.approx(expected, abs=1e-6)
