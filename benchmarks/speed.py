"""How fast `shopcue match` is, and how much memory a long video takes.

    python benchmarks/speed.py VIDEO FEED [--hours 2] [--out FILE]

Measured in fresh processes: seconds of video a second for VIDEO as it is, for a 1080p30 copy of it, and (with --hours)
the peak memory of a video of ten minutes and of one of so many hours, both made of VIDEO repeated without encoding it
anew. Speech recognition is off; the catalogue's embeddings are cached by a run before. Needs ffmpeg. Times include
starting the process; the machine should be idle.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from shopcue.sources.files import probe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("feed", type=Path)
    parser.add_argument("--hours", type=float, default=0.0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        match(arguments.video, arguments.feed, folder)
        figures["x_real_time"] = speed(arguments.video, arguments.feed, folder)
        full = folder / "1080p30.mp4"
        ffmpeg("-i", arguments.video, "-vf", "scale=1920:1080", "-r", "30", "-preset", "veryfast", "-c:a", "copy", full)
        figures["x_real_time_1080p30"] = speed(full, arguments.feed, folder)
        if arguments.hours:
            for label, seconds in (("10_minutes", 600.0), ("long", arguments.hours * 3600)):
                video = repeated(arguments.video, seconds, folder / f"{label}.mp4")
                figures[f"peak_mb_{label}"] = match(video, arguments.feed, folder)[1]
            figures["long_hours"] = arguments.hours
            figures["peak_ratio"] = round(figures["peak_mb_long"] / figures["peak_mb_10_minutes"], 3)
    print(json.dumps(figures, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def speed(video: Path, feed: Path, folder: Path) -> float:
    return round(probe(video).duration_s / match(video, feed, folder)[0], 1)


def match(video: Path, feed: Path, folder: Path) -> tuple[float, float]:
    """Run `shopcue match` in a process of its own and return its seconds and its peak memory in megabytes."""
    command = [sys.executable, "-m", "shopcue", "match", video, "--catalog", feed, "--out", folder / "out"]
    code = (
        "import resource, subprocess, sys;"
        "code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode;"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
    )
    began_s = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, command), "--speech", "none"], capture_output=True, text=True, check=True
    )
    kilobytes = int(done.stdout) if sys.platform != "darwin" else int(done.stdout) // 1024
    return time.perf_counter() - began_s, round(kilobytes / 1024, 1)


def repeated(video: Path, seconds: float, out: Path) -> Path:
    ffmpeg("-stream_loop", "-1", "-i", video, "-t", str(seconds), "-c", "copy", out)
    return out


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
