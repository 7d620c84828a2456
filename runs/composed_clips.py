"""A composed set of live clips in which products of a shop are shown and spoken of: write it, look at it.

    python -m runs.composed_clips DATA OUT [--seed 0] [--split product] [--train 3000] [--test 600] [--workers 2]
                                           [--hold-out KEY,...] [--sheet FILE.jpg]

DATA holds grocery/ and clothing/, and maybe video/. OUT is a new folder, read by `shopcue.data.composed_clips`. The
split is by product: no product of a test clip, none of its photos, nor anything that appears beside it, is in a
training clip. --hold-out names articles that are for testing, such as grocery/31: what is shown in the lives that the
score is calibrated on. --sheet draws some clips of each split: shop picture, frames with the box of what is meant, and
words.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from shopcue.data.clip_pairs import ClipPair, FrameRef
from shopcue.data.composed.articles import read_articles
from shopcue.data.composed.clip_sets import ClipFormat, write_clip_set
from shopcue.data.composed.grounds import read_small
from shopcue.data.composed.lives import ClipSetPlan
from shopcue.data.composed_clips import read_composed_pairs
from shopcue.models.image import fit_square
from shopcue.progress import ProgressLines
from shopcue.records import Image

TILE_PX, TILES = 192, 5


def sheet_of(root: Path, count: int) -> Image:
    """Return `count` clips of each split, one a row: shop picture, then every other frame with its box."""
    rows = []
    for split in ("train", "test"):
        pairs = read_composed_pairs(root, print, split="test" if split == "test" else "train")
        for index in np.linspace(0, len(pairs) - 1, min(count, len(pairs))).astype(int).tolist():
            rows.append(row_of(pairs[index]))
    half = -(-len(rows) // 2)
    rows += [np.zeros_like(rows[0])] * (2 * half - len(rows))
    return np.hstack([np.vstack(rows[:half]), np.vstack(rows[half:])])


def row_of(pair: ClipPair) -> Image:
    """Return one clip, its title and its speech below it where they are in letters that OpenCV can draw."""
    frames = pair.clip.frames
    tiles = [tile(FrameRef(pair.image.path)) if pair.image.path else np.zeros((TILE_PX, TILE_PX, 3), np.uint8)]
    tiles += [tile(frames[index]) for index in np.linspace(0, len(frames) - 1, TILES).astype(int).tolist()]
    row = np.hstack(tiles)
    said = dict(pair.clip.subsets)
    text = f"{pair.image.title} | {said['speech']}, {said['scale']}, {said['products']}: {pair.clip.speech}"
    plain = text.encode("ascii", "replace").decode()
    note = np.full((16, row.shape[1], 3), 24, np.uint8)
    cv2.putText(note, plain[:190], (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.34, (230, 230, 230), 1, cv2.LINE_AA)
    return np.vstack([row, note])


def tile(frame: FrameRef) -> Image:
    """Return a frame on a square, its box drawn in."""
    picture = read_small(frame.path, 4 * TILE_PX)
    if frame.box is not None:
        x0, y0, x1, y1 = (round(side) for side in frame.box)
        cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), (80, 255, 80), 1)
    return fit_square(picture, TILE_PX)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", choices=("product",), default="product")
    parser.add_argument("--train", type=int, default=3000)
    parser.add_argument("--test", type=int, default=600)
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--gallery", type=int, default=55)
    parser.add_argument("--garments", type=int, help="at most so many of each class")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--hold-out", default="")
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    hold_out = tuple(filter(None, arguments.hold_out.split(",")))
    plan = ClipSetPlan(
        arguments.train, arguments.test, gallery=arguments.gallery, seed=arguments.seed, hold_out=hold_out
    )
    form = ClipFormat(arguments.frames, arguments.side)
    begun = time.monotonic()
    with ProgressLines() as lines:
        articles = read_articles(
            arguments.data, arguments.garments, arguments.workers, lambda done, whole: lines.update("cut", done, whole)
        )
        cut_s = time.monotonic() - begun
        head = write_clip_set(
            articles,
            arguments.data,
            arguments.out,
            plan,
            form,
            workers=arguments.workers,
            progress=lambda done, whole: lines.update("compose", done, whole),
        )
    composed_s = time.monotonic() - begun - cut_s
    rate = (arguments.train + arguments.test) / composed_s
    print(f"{len(articles)} articles cut out in {cut_s:.0f} s, {rate:.1f} clips a second", file=sys.stderr)
    print(json.dumps(head, indent=2))
    if arguments.sheet is not None:
        cv2.imwrite(str(arguments.sheet), cv2.cvtColor(sheet_of(arguments.out, 12), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
