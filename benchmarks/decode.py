"""What reading a video costs: CPU time, wall time and peak memory, against the naive ways, in one run.

    python benchmarks/decode.py [VIDEO ...] [--rate 2] [--rounds 3] [--long]

Without VIDEO it makes its own: 60 s of 1280 x 720 at 30 frames a second in H.264 with B-frames, once with key frames
every 2 s (as live streams have) and once every 8 s. Each way runs in a process of its own; the best of the rounds
counts. `--long` also compares the peak memory of 10 minutes with that of 2 hours. What is compared:

    shopcue         read_frames: decodes what sampled frames need, scales each once to small RGB
    every frame     PyAV, decodes every frame with the same threads, samples and scales in the same way
    opencv          VideoCapture.read() of every frame, then resize and convert of those at index / fps
    opencv seek     VideoCapture.set(POS_MSEC) to each tick
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from shopcue.sources.files import read_frames

Picture = NDArray[np.uint8]

SIDE_PX = 640


def shopcue(path: str, rate: float) -> int:
    return sum(1 for _ in read_frames(path, rate, SIDE_PX))


def every_frame(path: str, rate: float) -> int:
    count, last, scaler = 0, -1, VideoReformatter()
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = 2
        for frame in container.decode(stream):
            if int(frame.time * rate) > last:
                last = int(frame.time * rate)
                scale = max(1, max(frame.width, frame.height) / SIDE_PX)
                width, height = round(frame.width / scale), round(frame.height / scale)
                scaler.reformat(frame, width, height, "rgb24", threads=1).to_ndarray()
                count += 1
    return count


def small(image: Picture) -> None:
    height, width = image.shape[:2]
    scale = max(1, max(width, height) / SIDE_PX)
    image = cv2.resize(image, (round(width / scale), round(height / scale)), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def opencv(path: str, rate: float) -> int:
    capture = cv2.VideoCapture(path)
    fps, count, index, last = capture.get(cv2.CAP_PROP_FPS), 0, 0, -1
    while True:
        there, image = capture.read()
        if not there:
            return count
        if int(index / fps * rate) > last:
            last = int(index / fps * rate)
            small(image)  # type: ignore[arg-type]
            count += 1
        index += 1


def opencv_seek(path: str, rate: float) -> int:
    capture = cv2.VideoCapture(path)
    duration_s = capture.get(cv2.CAP_PROP_FRAME_COUNT) / capture.get(cv2.CAP_PROP_FPS)
    count = 0
    for k in range(int(duration_s * rate)):
        capture.set(cv2.CAP_PROP_POS_MSEC, 1000 * k / rate)
        there, image = capture.read()
        if there:
            small(image)  # type: ignore[arg-type]
            count += 1
    return count


WAYS = {"shopcue": shopcue, "every frame": every_frame, "opencv": opencv, "opencv seek": opencv_seek}


def measure(way: str, path: str, rate: float) -> dict[str, float]:
    """Run one way in this process and say what it cost; peak_mb is above what the imports hold."""
    before = memory_mb("VmRSS")
    cpu, wall = time.process_time(), time.perf_counter()
    frames = WAYS[way](path, rate)
    return {
        "frames": frames,
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
        "peak_mb": memory_mb("VmHWM") - before,
    }


def memory_mb(name: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    return float("nan")


def in_own_process(way: str, path: str, rate: float) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", way, "--rate", str(rate), path]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "2"}
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


# ---- videos of our own -----------------------------------------------------------------------------------------


def scene(number: int, width: int, height: int) -> Picture:
    """A textured picture that drifts as a hand-held camera does, with a box that moves across it."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (90, 160, 3), np.uint8)
    texture = np.asarray(cv2.resize(noise, (width * 2, height * 2)), np.uint8)
    x, y = (int(width / 2 * (1 + np.sin(number / rate))) for rate in (37, 53))
    image = np.ascontiguousarray(texture[min(y, height) :][:height, x:][:, :width])
    at = number * 5 % (width - 200 if width > 400 else width // 2)
    image[height // 3 : height // 2, at : at + width // 6] = (200, 40, 60)
    return image


def make_video(path: Path, seconds: int, size: tuple[int, int], key_every_s: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "veryfast", "bf": "3", "crf": "26"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = 30 * key_every_s
        for number in range(seconds * 30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scene(number, *size), format="rgb24")))
        container.mux(stream.encode(None))


def repeat(clip: Path, path: Path, times: int, duration_s: int) -> None:
    """Write a video that shows `clip` over and over, without coding it again."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for i in range(times):
            source.seek(0)
            for packet in source.demux(video=0):
                if packet.dts is not None and packet.pts is not None:
                    shift = round(i * duration_s / packet.time_base)
                    packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                    target.mux(packet)


def own_videos(folder: Path) -> Iterator[Path]:
    for key_every_s in (2, 8):
        path = folder / f"720p30-keys-{key_every_s}s.mp4"
        make_video(path, 60, (1280, 720), key_every_s)
        yield path


# ---- what is printed -------------------------------------------------------------------------------------------


def compare_ways(paths: list[Path], rate: float, rounds: int) -> None:
    print(f"| video | way | frames | CPU s | wall s | memory MB |  ({rate:g} frames a second, best of {rounds})")
    print("|---|---|---|---|---|---|")
    for path in paths:
        found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(rounds):  # in turn, so that another program's load falls on all of them
            for way in WAYS:
                found[way].append(in_own_process(way, str(path), rate))
        for way, runs in found.items():
            best = {key: min(run[key] for run in runs) for key in runs[0]}
            cells = [
                f"{best['frames']:.0f}",
                *(f"{best[k]:.2f}" for k in ("cpu_s", "wall_s")),
                f"{best['peak_mb']:.0f}",
            ]
            print("|", " | ".join([path.name, way, *cells]), "|")


def compare_scalings(path: Path) -> None:
    """Say what each interpolation costs for one picture, and how far from the exact mean over areas."""
    with av.open(str(path)) as container:
        frames = [frame for i, frame in enumerate(container.decode(video=0)) if i in (5, 25, 45)]
    scale = max(frames[0].width, frames[0].height) / SIDE_PX
    width, height = round(frames[0].width / scale), round(frames[0].height / scale)
    truths = [
        cv2.resize(f.to_ndarray(format="rgb24").astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        for f in frames
    ]
    print(f"\n| interpolation to {width} x {height} | ms a picture | PSNR against area mean, dB |\n|---|---|---|")
    for kind in (Interpolation.FAST_BILINEAR, Interpolation.BILINEAR, Interpolation.AREA, Interpolation.BICUBIC):
        scaler = VideoReformatter()
        times, errors = [], []
        for frame, truth in [*zip(frames, truths, strict=True)] * 20:
            start = time.perf_counter()
            image = scaler.reformat(frame, width, height, "rgb24", interpolation=kind, threads=1).to_ndarray()
            times.append(time.perf_counter() - start)
            errors.append(float(np.mean((image - truth) ** 2)))
        psnr = 10 * np.log10(255**2 / np.mean(errors))
        print(f"| {kind.name} | {1000 * float(np.median(times)):.2f} | {psnr:.1f} |")


def compare_lengths(folder: Path, rate: float) -> None:
    """Say how peak memory depends on the length."""
    clip = folder / "clip.mp4"
    make_video(clip, 20, (320, 180), 2)
    print("\n| length | frames | CPU s | memory MB |\n|---|---|---|---|")
    for name, minutes in (("10 min", 10), ("2 h", 120)):
        path = folder / f"{minutes}.mp4"
        repeat(clip, path, minutes * 3, 20)
        found = in_own_process("shopcue", str(path), rate)
        print(f"| {name} | {found['frames']:.0f} | {found['cpu_s']:.1f} | {found['peak_mb']:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--rate", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one, str(args.videos[0]), args.rate)))
        return
    with tempfile.TemporaryDirectory() as name:
        paths = args.videos or list(own_videos(Path(name)))
        compare_ways(paths, args.rate, args.rounds)
        compare_scalings(paths[0])
        if args.long:
            compare_lengths(Path(name), args.rate)


if __name__ == "__main__":
    main()
