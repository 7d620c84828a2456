"""Contact sheets of composed scenes, with their labels drawn in: look before you train.

    python -m runs.composed DATA OUT [--count 48] [--seed 0] [--frames 1]

DATA holds grocery/, clothing/ and maybe video/; `-` composes drawn packs alone. OUT is a picture file. A box is solid
where the thing is plain to see and broken where it is covered or cut; below it: class, viewpoint, occlusion, crop.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np

from shopcue.data.composed import Scene, compose_sequence, drawn_stock, read_stock
from shopcue.records import COARSE_CLASSES, Image

TILE_PX = 320
COLOURS = ((255, 80, 80), (80, 160, 255), (255, 80, 255), (255, 200, 40), (80, 255, 255), (80, 255, 80))


def drawn_in(scene: Scene) -> Image:
    """Return the scene with its labels, on a square."""
    tile = np.zeros((TILE_PX, TILE_PX, 3), np.uint8)
    picture = scene.image.copy()
    for box in np.round(scene.ignored).astype(int).tolist():
        cv2.rectangle(picture, tuple(box[:2]), tuple(box[2:]), (128, 128, 128), 1)
    for i, box in enumerate(np.round(scene.boxes).astype(int).tolist()):
        colour = COLOURS[int(scene.classes[i])]
        cv2.rectangle(picture, tuple(box[:2]), tuple(box[2:]), colour, 1)
        quality = f"{scene.viewpoint[i]} {scene.occlusion[i]:.2f} {scene.crop[i]:.2f} #{scene.track[i]}"
        text = f"{COARSE_CLASSES[int(scene.classes[i])]} {quality}"
        at = (box[0] + 2, min(box[3] - 3, picture.shape[0] - 3))
        cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.3, (0, 0, 0), 2, cv2.LINE_AA)
        cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.3, colour, 1, cv2.LINE_AA)
    tile[: picture.shape[0], : picture.shape[1]] = picture[:TILE_PX, :TILE_PX]
    return tile


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--frames", type=int, default=1)
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--per-kind", type=int, default=12)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    begun = time.monotonic()
    stock = drawn_stock() if arguments.data == "-" else read_stock(Path(arguments.data), per_kind=arguments.per_kind)
    print(f"stock of {len(stock.items)} articles, {len(stock.scenery)} grounds: {time.monotonic() - begun:.1f} s")
    begun = time.monotonic()
    sequences = [
        compose_sequence(stock, arguments.seed + number, arguments.frames)
        for number in range(arguments.count // arguments.frames)
    ]
    scenes = [scene for sequence in sequences for scene in sequence.scenes]
    print(f"{len(scenes) / (time.monotonic() - begun):.1f} scenes a second")
    tiles = [drawn_in(scene) for scene in scenes]
    rows = [np.hstack(tiles[i : i + arguments.columns]) for i in range(0, len(tiles), arguments.columns)]
    sheet = np.vstack([row for row in rows if row.shape[1] == rows[0].shape[1]])
    cv2.imwrite(str(arguments.out), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
