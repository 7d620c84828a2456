"""How often is the box of the shown product among the first that a detector gives?

    python -m runs.detection DATA [LABEL=DETECTOR.onnx ...] [--teacher FILE] [--out FILE]

DATA holds grocery/ and video/. Measured are the detectors given (without any, the shipped one) and, in the same run, a
class-agnostic localizer (`--teacher`, TFLite's detection outputs as ONNX), the five windows of a frame, and five fixed
boxes about its middle. Photos: the shown package in hand-held photos (runs/labels/grocery-boxes.json), all of them and
those of the six held-out products alone; a detector may have been trained on photos of the other products, never on
their labels. Worn: garments in frames of real clips (worn-footage.json). Goods: bottles and the like in frames of real
clips (goods-footage.json). Two clips of six give grounds to the composed scenes that the house detector is trained on:
what they show is counted apart. Top-1 is the share of frames whose surest box is of something labelled; top-k is the
share of labelled boxes that one of the k surest boxes of the frame finds, whatever its class. Found means an IoU of at
least .5 ("tight": .75). No chance is in it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime

from shopcue.catalog.pictures import read_picture
from shopcue.geometry import iou, windows
from shopcue.metrics.boxes import TrueBoxes, recall_at
from shopcue.models.detector import HouseDetector
from shopcue.records import COARSE_CLASSES, QUALITIES, Detections, Floats, Frame
from shopcue.sources.files import frames_at

LABELS = Path(__file__).parent / "labels"
LEAST_IOU, TIGHT_IOU = 0.5, 0.75
# Shares of a frame's width and height: a carton held upright before the camera, here and there.
FIXED = ((0.5, 0.9, 0.5), (0.4, 0.8, 0.5), (0.5, 0.9, 0.4), (0.5, 0.9, 0.6), (0.7, 0.9, 0.5))

TRAINED_ON = (
    "sam2-gallery"  # frames of these clips are grounds of the composed scenes, what they show is labelled there
)

Label = tuple[list[float], str]  # a box and the name of its coarse class
LabelsAt = dict[str, dict[float, list[Label]]]  # by video and time
Detect = Callable[[Sequence[Frame]], list[Detections]]


@dataclass(frozen=True)
class Exam:
    """Frames with what was labelled in each."""

    name: str
    frames: list[Frame]
    truth: list[TrueBoxes]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("detectors", nargs="*", metavar="LABEL=FILE")
    parser.add_argument("--teacher", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    exams = [*read_photos(arguments.data / "grocery"), *read_clips(arguments.data / "video")]
    ways: dict[str, Detect] = {"fixed boxes": fixed_boxes, "five windows": five_windows}
    if arguments.teacher:
        ways["localizer"] = localizer(arguments.teacher)
    for label, file in (pair.split("=", 1) for pair in arguments.detectors):
        ways[label] = HouseDetector(Path(file), threads=1).detect
    if not arguments.detectors:
        ways["house, shipped"] = HouseDetector(threads=1).detect
    rows = [{"detector": way, **row} for way, detect in ways.items() for row in measure(detect, exams)]
    for row in rows:
        print(json.dumps(row))
    result = {
        "title": "The box of the shown product among the first k.",
        "protocol": "Real photos and frames, boxes labelled by eye, IoU of at least .5 (tight: .75); "
        "`runs/detection.py`.",
        "rows": rows,
    }
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def measure(detect: Detect, exams: Sequence[Exam]) -> list[dict[str, Any]]:
    """Return the recalls of one detector, a row an exam."""
    rows = []
    for exam in exams:
        seen = [detect([frame])[0] for frame in exam.frames]
        row: dict[str, Any] = {"exam": exam.name, "boxes": sum(len(true.boxes) for true in exam.truth)}
        row["frames"] = len(exam.frames)
        row["top-1"] = round(first_right(seen, exam.truth), 3)
        row |= {f"top-{k}": round(recall_at(seen, exam.truth, k, LEAST_IOU), 3) for k in (5, 10)}
        rows.append({**row, "top-5 tight": round(recall_at(seen, exam.truth, 5, TIGHT_IOU), 3)})
    return rows


def first_right(seen: Sequence[Detections], truth: Sequence[TrueBoxes]) -> float:
    """Return the share of frames whose surest box is of something labelled; no box is wrong."""
    right = 0
    for found, true in zip(seen, truth, strict=True):
        surest = np.argsort(-found.scores, kind="stable")[:1]
        right += bool((iou(true.boxes, found.boxes[surest]) >= LEAST_IOU).any())
    return right / len(truth)


# ---- what it is measured on ------------------------------------------------------------------------------------


def read_photos(grocery: Path) -> list[Exam]:
    """Return the labelled photos: all, and those of the held-out products."""
    labels = json.loads((LABELS / "grocery-boxes.json").read_text(encoding="utf-8"))
    exams = [Exam("photos, all", [], []), Exam("photos, held-out products", [], [])]
    for label in labels["labels"]:
        frame = Frame(0.0, read_picture(grocery / label["photo"]).image)
        for exam in exams[: 1 + (label["class_id"] in labels["held_out"])]:
            exam.frames.append(frame)
            exam.truth.append(true_boxes([(label["box"], "goods")]))
    return exams


def read_clips(videos: Path) -> list[Exam]:
    """Return the labelled frames of real clips: garments, goods, and both of the clips that training knows."""
    exams = [Exam("worn garments", [], []), Exam("goods in footage", [], []), Exam("clips of the training", [], [])]
    for kind, labels in enumerate((worn_labels(), goods_labels())):
        for video, at in labels.items():
            exam = exams[2 if video.startswith(TRAINED_ON) else kind]
            exam.frames.extend(frames_at(videos / video, sorted(at)))
            exam.truth.extend(true_boxes(at[time_s]) for time_s in sorted(at))
    return exams


def worn_labels() -> LabelsAt:
    """Return the boxes of garments by video and time."""
    found: LabelsAt = {}
    for garment in json.loads((LABELS / "worn-footage.json").read_text(encoding="utf-8"))["garments"]:
        for place in (garment["gallery"], *garment["queries"]):
            here = found.setdefault(garment["video"], {}).setdefault(place["time_s"], [])
            here.append((place["box"], garment["coarse_class"]))
    return found


def goods_labels() -> LabelsAt:
    """Return the boxes of goods by video and time."""
    found: LabelsAt = {}
    for frame in json.loads((LABELS / "goods-footage.json").read_text(encoding="utf-8"))["frames"]:
        found.setdefault(frame["video"], {})[frame["time_s"]] = [(box, "goods") for box in frame["boxes"]]
    return found


def true_boxes(labels: Sequence[Label]) -> TrueBoxes:
    boxes = np.array([box for box, _ in labels], np.float32)
    classes = np.array([COARSE_CLASSES.index(name) for _, name in labels], np.int64)
    return TrueBoxes(boxes, classes, np.zeros(len(labels), bool))


# ---- what a detector is compared with --------------------------------------------------------------------------


def localizer(path: Path) -> Detect:
    """Return the class-agnostic localizer of a file that takes uint8 (1, S, S, 3) and gives (y0, x0, y1, x1) shares."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    picture = session.get_inputs()[0]
    side = picture.shape[1]

    def detect(frames: Sequence[Frame]) -> list[Detections]:
        found = []
        for frame in frames:
            height, width = frame.image.shape[:2]
            shares, _, scores, _ = session.run(None, {picture.name: cv2.resize(frame.image, (side, side))[None]})
            boxes = shares[0].clip(0, 1)[:, [1, 0, 3, 2]] * np.array([width, height] * 2, np.float32)
            found.append(detections(frame, boxes, scores[0]))
        return found

    return detect


def five_windows(frames: Sequence[Frame]) -> list[Detections]:
    return [in_order(frame, windows(*frame.image.shape[1::-1])) for frame in frames]


def fixed_boxes(frames: Sequence[Frame]) -> list[Detections]:
    shares = np.array([(x - w / 2, 0.5 - h / 2, x + w / 2, 0.5 + h / 2) for w, h, x in FIXED], np.float32)
    sizes = [np.array(frame.image.shape[1::-1] * 2, np.float32) for frame in frames]
    return [in_order(frame, shares * size) for frame, size in zip(frames, sizes, strict=True)]


def in_order(frame: Frame, boxes: Floats) -> Detections:
    return detections(frame, boxes, np.linspace(1, 0.5, len(boxes), dtype=np.float32))


def detections(frame: Frame, boxes: Floats, scores: Floats) -> Detections:
    count = len(boxes)
    return Detections(
        frame.time_s,
        (boxes * frame.scale).astype(np.float32),
        np.asarray(scores, np.float32),
        np.full(count, COARSE_CLASSES.index("goods"), np.int64),
        np.ones((count, len(QUALITIES)), np.float32),
        np.ones((count, 1), np.float32),
    )


if __name__ == "__main__":
    main()
