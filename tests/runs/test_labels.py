"""The labels made by eye: well formed, plausible, about pictures that are as they say; and how boxes are counted."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from shopcue.data.grocery import read_classes, read_photos
from shopcue.geometry import iou
from shopcue.metrics.boxes import TrueBoxes
from shopcue.records import COARSE_CLASSES, Detections, Frame
from shopcue.sources.files import frames_at, probe

RUNS = Path(__file__).parents[2] / "runs"
HELD_OUT = [31, 34, 44, 46, 52, 55]


def labels(name: str) -> Any:
    return json.loads((RUNS / "labels" / f"{name}.json").read_text(encoding="utf-8"))


def script(name: str) -> ModuleType:
    """A script of runs/, which is no package, as a module."""
    spec = importlib.util.spec_from_file_location(f"runs_{name}", RUNS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def places(garment: dict[str, Any]) -> list[dict[str, Any]]:
    return [garment["gallery"], *garment["queries"]]


def footage() -> Iterator[tuple[str, float, list[float]]]:
    """Every labelled box of the clips with its video and time."""
    for garment in labels("worn-footage")["garments"]:
        for place in places(garment):
            yield garment["video"], place["time_s"], place["box"]
    for frame in labels("goods-footage")["frames"]:
        for box in frame["boxes"]:
            yield frame["video"], frame["time_s"], box


def test_boxes_of_packages_are_plausible() -> None:
    found = labels("grocery-boxes")
    assert found["held_out"] == HELD_OUT
    assert len(found["labels"]) >= 90
    assert sum(label["class_id"] in HELD_OUT for label in found["labels"]) >= 45
    names = [label["photo"] for label in found["labels"] + found["excluded"]]
    assert len(set(names)) == len(names) == 96
    for label in found["labels"]:
        x1, y1, x2, y2 = label["box"]
        assert 0 <= x1 < x2 <= label["width"], label["photo"]
        assert 0 <= y1 < y2 <= label["height"], label["photo"]
        share = (x2 - x1) * (y2 - y1) / (label["width"] * label["height"])
        assert 0.08 < share < 0.9, label["photo"]
        assert 1 < (y2 - y1) / (x2 - x1) < 4 or not label["held"] or share > 0.3, label["photo"]


def test_garments_are_plausible() -> None:
    garments = labels("worn-footage")["garments"]
    assert len({garment["garment_id"] for garment in garments}) == len(garments) == 18
    assert len({garment["wearer"] for garment in garments}) == 11
    for garment in garments:
        name, shown = garment["garment_id"], garment["gallery"]
        assert garment["coarse_class"] in COARSE_CLASSES, name
        assert not Path(garment["video"]).is_absolute()
        start_s, end_s = garment["seen_s"]
        assert all(start_s <= place["time_s"] <= end_s for place in places(garment)), name
        assert len(garment["queries"]) >= 4, name
        assert all(abs(query["time_s"] - shown["time_s"]) >= 1 for query in garment["queries"]), name
        x1, y1, x2, y2 = shown["box"]
        corners = np.array(shown["outline"])
        assert (corners >= [x1, y1]).all(), name
        assert (corners <= [x2, y2]).all(), name
        inside = cv2.contourArea(corners.astype(np.float32)) / ((x2 - x1) * (y2 - y1))
        assert 0.4 < inside < 1, name


def test_a_wearer_wears_one_garment_of_a_class() -> None:
    worn = Counter((garment["wearer"], garment["coarse_class"]) for garment in labels("worn-footage")["garments"])
    assert set(worn.values()) == {1}


def test_goods_are_plausible() -> None:
    frames = labels("goods-footage")["frames"]
    assert len({(frame["video"], frame["time_s"]) for frame in frames}) == len(frames) == 24
    for frame in frames:
        boxes = np.array(frame["boxes"], np.float32)
        overlap = iou(boxes, boxes)[~np.eye(len(boxes), dtype=bool)]
        assert (overlap < 0.5).all(), frame  # two things, not one thing twice


def test_photos_are_those_that_the_seed_draws(shared: Path) -> None:
    root = shared / "data" / "grocery"
    found = labels("grocery-boxes")
    packaged = {each.class_id for each in read_classes(root) if each.packaged}
    photos = [photo for photo in read_photos(root) if photo.class_id in packaged]
    rng = np.random.default_rng(found["seed"])
    drawn: dict[str, int] = {}
    for held_out in (True, False):
        pool = [photo for photo in photos if (photo.class_id in HELD_OUT) == held_out]
        for index in rng.choice(len(pool), 48, replace=False):
            drawn[pool[index].path.relative_to(root).as_posix()] = pool[index].class_id
    assert {label["photo"]: label["class_id"] for label in found["labels"] + found["excluded"]} == drawn
    for label in found["labels"]:
        with Image.open(root / label["photo"]) as photo:
            assert photo.size == (label["width"], label["height"])


def test_boxes_lie_in_the_frames_of_the_clips(shared: Path) -> None:
    by_video: dict[str, list[tuple[float, list[float]]]] = {}
    for video, time_s, box in footage():
        by_video.setdefault(video, []).append((time_s, box))
    for video, boxes in by_video.items():
        path = shared / "data" / "video" / video
        height, width = next(frames_at(path, [0.0])).image.shape[:2]
        duration_s = probe(path).duration_s
        for time_s, (x1, y1, x2, y2) in boxes:
            assert 0 <= time_s < duration_s
            assert 0 <= x1 < x2 <= width, (video, time_s)
            assert 0 <= y1 < y2 <= height, (video, time_s)
            assert (x2 - x1) * (y2 - y1) > 0.004 * width * height, (video, time_s)


# ---- runs/detection.py -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def detection() -> ModuleType:
    return script("detection")


def seen(boxes: list[list[float]], scores: list[float]) -> Detections:
    count = len(boxes)
    return Detections(
        0.0,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        np.zeros(count, np.int64),
        np.ones((count, 3), np.float32),
        np.ones((count, 1), np.float32),
    )


def test_top_1_is_of_frames_and_top_5_is_of_boxes(detection: ModuleType) -> None:
    frame = Frame(0.0, np.zeros((100, 100, 3), np.uint8))
    truth: list[TrueBoxes] = [
        detection.true_boxes([([0, 0, 10, 10], "goods"), ([50, 50, 60, 60], "goods")]),
        detection.true_boxes([([0, 0, 10, 10], "upper")]),
        detection.true_boxes([([0, 0, 10, 10], "upper")]),
    ]
    answers = iter(
        [
            seen([[80, 80, 90, 90], [50, 50, 60, 60], [0, 0, 10, 7]], [0.1, 0.9, 0.2]),  # both, the right one first
            seen([[80, 80, 90, 90], [0, 0, 10, 6]], [0.9, 0.8]),  # found second, with an IoU of .6
            seen([], []),
        ]
    )
    exam = detection.Exam("made", [frame] * 3, truth)
    (row,) = detection.measure(lambda frames: [next(answers)], [exam])
    assert row == {
        "exam": "made",
        "boxes": 4,
        "frames": 3,
        "top-1": round(1 / 3, 3),
        "top-5": 0.75,
        "top-10": 0.75,
        "top-5 tight": 0.25,
    }


def test_fixed_boxes_are_shares_of_the_frame(detection: ModuleType) -> None:
    frame = Frame(0.0, np.zeros((50, 100, 3), np.uint8), scale=2.0)
    (found,) = detection.fixed_boxes([frame])
    np.testing.assert_allclose(found.boxes[0], [50, 5, 150, 95], rtol=1e-6)  # pixels of the video, not of the frame
    assert (np.diff(found.scores) < 0).all()


def test_every_label_of_the_clips_is_examined(detection: ModuleType) -> None:
    examined = [
        (video, time_s, tuple(box))
        for labels_at in (detection.worn_labels(), detection.goods_labels())
        for video, at in labels_at.items()
        for time_s, here in at.items()
        for box, _ in here
    ]
    assert Counter(examined) == Counter((video, time_s, tuple(box)) for video, time_s, box in footage())
