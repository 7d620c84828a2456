"""How good the house detector is on composed sequences: average precision, and each quality branch's confusion table.

    python -m runs.scenes DATA [--detector FILE] [--sequences 150] [--frames 4] [--out FILE]

DATA holds grocery/, clothing/ and maybe video/. Sequences are composed of the six held-out packaged products and of
garments of the test split, on the grounds that training does not use; seeds 0 to N - 1. A branch gives a score in
[0, 1], the expectation of 1 for good, .5 for middling and 0 for bad. From which score on it is read as good, and as
middling, is chosen for the best balanced accuracy on as many sequences of the products and garments of the training.
Qualities are compared for detections that find a thing at IoU .5. Chance of the balanced accuracy is 1/3.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from runs.encoder import HELD_OUT, SPLIT_SEED, read_shop

from shopcue.data.composed import Sequence, compose_sequence, read_stock
from shopcue.data.grocery import GroceryClass
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
    kept, held_out = split_by_product(read_shop(arguments.data).packaged, HELD_OUT, SPLIT_SEED)
    detector = HouseDetector(arguments.detector, least_score=0.02)

    def films(products: list[GroceryClass], garments: str) -> Iterator[Sequence]:
        ids = [each.class_id for each in products]
        stock = read_stock(arguments.data, ids, garments=garments, per_kind=PER_KIND)
        yield from (compose_sequence(stock, seed, frames=arguments.frames) for seed in range(arguments.sequences))

    _, _, known_levels, known_scores = watch(detector, films(kept, "train"))
    found, truth, labels, quality = watch(detector, films(held_out, "test"))
    scores = score_boxes(found, truth)
    document = {
        "title": "The house detector on composed sequences of products and garments that it has never seen.",
        "protocol": f"{arguments.sequences} sequences of {arguments.frames} frames, seeds from 0, "
        f"{sum(len(true.boxes) - int(true.ignored.sum()) for true in truth)} boxes (`runs/scenes.py`)",
        "mAP .5:.95": round(scores.map, 3),
        "mAP .5": round(scores.map_50, 3),
        "AP by class": {COARSE_CLASSES[key]: round(value, 3) for key, value in scores.ap.items()},
        "quality": {
            name: branch(labels[:, c], quality[:, c], best_cuts(known_levels[:, c], known_scores[:, c]))
            for c, name in enumerate(QUALITIES)
        },
    }
    print(json.dumps(document, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def watch(
    detector: HouseDetector, films: Iterator[Sequence]
) -> tuple[list[Detections], list[TrueBoxes], Indices, Floats]:
    """Return what is detected and what is there, frame by frame, and true levels and scores (N, 3) of what is found."""
    found: list[Detections] = []
    truth: list[TrueBoxes] = []
    pairs: list[tuple[Indices, Floats]] = []
    for sequence in films:
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
    labels, quality = (np.concatenate(each) for each in zip(*pairs, strict=True))
    return found, truth, labels, quality


def read_levels(scores: Floats, cuts: tuple[float, float]) -> Indices:
    """Return 0 good from the first cut on, 1 middling from the second on, else 2 bad."""
    return np.where(scores >= cuts[0], 0, np.where(scores >= cuts[1], 1, 2))


def best_cuts(labels: Indices, scores: Floats) -> tuple[float, float]:
    """Return the cuts of the best balanced accuracy."""
    known = labels >= 0
    grid = np.unique(np.quantile(scores[known], np.linspace(0.01, 0.99, 60)))
    cuts = [(float(high), float(low)) for high in grid for low in grid if low < high]
    tables = [confusion(labels[known], read_levels(scores[known], pair), len(LEVELS)) for pair in cuts]
    return cuts[int(np.argmax([balanced_accuracy(table) for table in tables]))]


def branch(labels: Indices, scores: Floats, cuts: tuple[float, float]) -> dict[str, object]:
    """Return how a branch's scores go with the truth, where it is known."""
    known = labels >= 0
    table = confusion(labels[known], read_levels(scores[known], cuts), len(LEVELS))
    return {
        "things": int(known.sum()),
        "read as good and as middling from": [round(cut, 3) for cut in cuts],
        "balanced accuracy": round(balanced_accuracy(table), 3),
        "rows true, columns read (good, middling, bad)": table.tolist(),
    }


if __name__ == "__main__":
    main()
