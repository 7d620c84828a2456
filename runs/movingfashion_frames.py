"""Takes a frame a second out of the videos of MovingFashion, so that a training need not decode them again and again.

    python -m runs.movingfashion_frames ROOT [--side-px 640] [--workers 2]

ROOT holds train.json, test.json and videos/. Frames go to ROOT/frames/<video>/0000.jpg, ..., where the reader looks for
them before it opens a video: the frames that it would take out of the video itself, whose longer side is scaled down to
--side-px. A folder appears when it is whole, and one that is there already is left alone, so that this may be stopped
and started again. A video that cannot be read is one line.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2

from shopcue.data.movingfashion import clip_frames
from shopcue.data.movingfashion_products import SPLITS, FashionVideo, read_movingfashion
from shopcue.errors import MediaError, ShopcueError
from shopcue.sources.clip_frames import frames_by_index

_EVERY = 1 << 20  # more seconds than any video has
_QUALITY = 95


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--side-px", type=int, default=640)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    try:
        videos = list(videos_of(arguments.root))
        missing = 0
        for done, line in enumerate(take_all(arguments.root, videos, arguments.side_px, arguments.workers), 1):
            missing += bool(line)
            if line:
                print(line, file=sys.stderr)
            if done % 500 == 0:
                print(f"{done} of {len(videos)} videos", file=sys.stderr)
    except ShopcueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"frames of {len(videos) - missing} videos lie below {arguments.root / 'frames'}; {missing} cannot be read")
    return 0


def videos_of(root: Path) -> Iterator[str]:
    """Yield the videos of all splits that are there, each once; raises MediaError where none is."""
    there = [split for split in SPLITS if (root / f"{split}.json").is_file()]
    if not there:
        raise MediaError(f"{root} holds no train.json or test.json; give the folder of MovingFashion")
    products = [product for split in there for product in read_movingfashion(root, split, lambda note: None)]
    yield from dict.fromkeys(video.video for product in products for video in product.videos)


def take_all(root: Path, videos: list[str], side_px: int, workers: int) -> Iterator[str]:
    """Yield for each video '', or a line that says why it has no frames."""
    take = partial(take_frames, root, side_px)
    if workers < 2:
        yield from map(take, videos)
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        yield from pool.map(take, videos, chunksize=4)


def take_frames(root: Path, side_px: int, video: str) -> str:
    """Write the frames of one video, all or none of them. Returns '', or why there are none."""
    folder = root / "frames" / Path(video).stem
    if folder.exists():
        return ""
    try:
        refs = clip_frames(root, FashionVideo(video, {}), _EVERY)
        indices = [ref.index for ref in refs if ref.index is not None]
        pictures = frames_by_index(root / video, set(indices), side_px)
    except MediaError as error:
        return " ".join(str(error).split())
    if not pictures:
        return f"{root / video} shows nothing"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as parent:
        draft = Path(parent) / folder.name
        draft.mkdir()
        for number, index in enumerate(indices):
            if index in pictures:
                picture = cv2.cvtColor(pictures[index], cv2.COLOR_RGB2BGR)
                cv2.imwrite(str(draft / f"{number:04d}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        draft.rename(folder)
    return ""


if __name__ == "__main__":
    sys.exit(main())
