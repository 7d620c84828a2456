"""How good the house detector is on composed sequences: average precision, and each quality branch's confusion table.

    python -m runs.scenes DATA [--detector FILE] [--sequences 150] [--frames 4] [--out FILE]

DATA holds grocery/, clothing/ and maybe video/. Sequences are composed of the six held-out packaged products and of
garments of the test split, on the grounds that training does not use; seeds 0 to N - 1. A branch gives a score in
[0, 1], the expectation of 1 for good, .5 for middling and 0 for bad; it is read as good from 2/3 on, as bad below 1/3.
Qualities are compared for detections that find a thing at IoU .5. Chance of the balanced accuracy is 1/3.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from runs.encoder import HELD_OUT, SPLIT_SEED, read_shop

from shopcue.data.composed import compose_sequence, read_stock
from shopcue.data.sampling import split_by_product
from shopcue.metrics.boxes import TrueBoxes, balanced_accuracy, confusion, pair_up, score_boxes
from shopcue.models.detector import HouseDetector
from shopcue.records import COARSE_CLASSES, QUALITIES, Detections, Floats, Frame, Indices

PER_KIND = 12
LEVELS = ("good", "middling", "bad")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--detector", type=Path, help="another file than the shipped one")
    parser.add_argument("--sequences", type=int, default=150)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    _, held_out = split_by_product(read_shop(arguments.data).packaged, HELD_OUT, SPLIT_SEED)
    stock = read_stock(arguments.data, [each.class_id for each in held_out], garments="test", per_kind=PER_KIND)
    detector = HouseDetector(arguments.detector, least_score=0.02)
    found: list[Detections] = []
    truth: list[TrueBoxes] = []
    pairs: list[tuple[Indices, Floats]] = []
    for seed in range(arguments.sequences):
        sequence = compose_sequence(stock, seed, frames=arguments.frames)
        frames = [Frame(float(t), scene.image) for t, scene in zip(sequence.time_s, sequence.scenes, strict=True)]
        for scene, seen in zip(sequence.scenes, detector.detect(frames), strict=True):
            boxes = np.concatenate([scene.boxes, scene.ignored])
            ignored = np.arange(len(boxes)) >= len(scene)
            classes = np.concatenate([scene.classes, np.full(len(scene.ignored), COARSE_CLASSES.index("goods"))])
            found.append(seen)
            truth.append(TrueBoxes(boxes, classes, ignored))
            levels = np.stack([scene.viewpoint, scene.occlusion_class, scene.crop_class], axis=1)
            which = pair_up(seen.boxes, seen.scores, scene.boxes, np.zeros(len(scene), bool))
            pairs.append((levels[which[which >= 0]], seen.quality[which >= 0]))
    scores = score_boxes(found, truth)
    labels, quality = (np.concatenate(each) for each in zip(*pairs, strict=True))
    document = {
        "title": "The house detector on composed sequences of products and garments that it has never seen.",
        "protocol": f"{arguments.sequences} sequences of {arguments.frames} frames, seeds from 0, "
        f"{sum(len(true.boxes) - int(true.ignored.sum()) for true in truth)} boxes (`runs/scenes.py`)",
        "mAP .5:.95": round(scores.map, 3),
        "mAP .5": round(scores.map_50, 3),
        "AP by class": {COARSE_CLASSES[key]: round(value, 3) for key, value in scores.ap.items()},
        "quality": {name: branch(labels[:, column], quality[:, column]) for column, name in enumerate(QUALITIES)},
    }
    print(json.dumps(document, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def branch(labels: Indices, scores: Floats) -> dict[str, object]:
    """Return how a branch's scores go with the truth, where it is known."""
    known = labels >= 0
    read = np.where(scores >= 2 / 3, 0, np.where(scores >= 1 / 3, 1, 2))
    table = confusion(labels[known], read[known], len(LEVELS))
    return {
        "things": int(known.sum()),
        "balanced accuracy": round(balanced_accuracy(table), 3),
        "rows true, columns read (good, middling, bad)": table.tolist(),
    }


if __name__ == "__main__":
    main()
