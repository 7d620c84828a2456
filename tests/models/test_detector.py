"""Every detector keeps the contract, and the shipped one finds what is drawn."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from shopcue.data.composed import compose_scene, drawn_stock
from shopcue.errors import WeightsError
from shopcue.geometry import crop, iou, windows
from shopcue.metrics.boxes import TrueBoxes, recall_at
from shopcue.models.detector import DETECTORS, Detector, HouseDetector, WindowDetector
from shopcue.models.hub import find_weights
from shopcue.models.image import HouseEncoder
from shopcue.records import COARSE_CLASSES, Frame

MAKERS: dict[str, Callable[[], Detector]] = {name: partial(make, threads=1) for name, make in DETECTORS.items()}
MAKERS["windows"] = lambda: WindowDetector(HouseEncoder(threads=1))


@pytest.fixture(scope="module", params=MAKERS)
def detector(request: pytest.FixtureRequest) -> Detector:
    return MAKERS[request.param]()


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    stock = drawn_stock(count=6)
    return [Frame(float(seed), compose_scene(stock, seed).image, scale=2.0) for seed in range(6)]


def test_a_detector_keeps_the_contract(detector: Detector, frames: list[Frame]) -> None:
    together = detector.detect(frames)
    assert [seen.time_s for seen in together] == [frame.time_s for frame in frames]
    assert any(len(seen) for seen in together)
    for frame, seen in zip(frames, together, strict=True):
        height, width = (side * frame.scale for side in frame.image.shape[:2])
        assert np.all(seen.boxes[:, :2] >= -1e-3)
        assert np.all(seen.boxes[:, 2:] <= np.array([width, height]) + 1e-3)
        assert np.all(seen.boxes[:, 2:] > seen.boxes[:, :2])
        assert np.all(np.diff(seen.scores) <= 0)
        assert np.all((seen.classes >= 0) & (seen.classes < len(COARSE_CLASSES)))
        np.testing.assert_allclose(np.linalg.norm(seen.vectors, axis=1), 1, atol=1e-5)
    assert detector.fingerprint == detector.fingerprint != ""


def test_a_batch_says_what_single_frames_say(detector: Detector, frames: list[Frame]) -> None:
    for seen, frame in zip(detector.detect(frames), frames, strict=True):
        alone = detector.detect([frame])[0]
        np.testing.assert_allclose(alone.boxes, seen.boxes, atol=1e-2)
        np.testing.assert_allclose(alone.scores, seen.scores, atol=1e-4)
        np.testing.assert_allclose(alone.vectors, seen.vectors, atol=1e-4)


def test_no_frames_give_nothing() -> None:
    assert HouseDetector(threads=1).detect([]) == []


def test_a_black_frame_is_no_trouble(detector: Detector) -> None:
    seen = detector.detect([Frame(0.0, np.zeros((90, 160, 3), np.uint8))])[0]
    assert np.isfinite(seen.boxes).all()


def test_drawn_packs_are_found() -> None:
    stock = drawn_stock(count=8, seed=3)
    scenes = [compose_scene(stock, seed) for seed in range(1000, 1060)]
    seen = HouseDetector(threads=1).detect([Frame(float(n), scene.image) for n, scene in enumerate(scenes)])
    truth = [TrueBoxes(scene.boxes, scene.classes, np.zeros(len(scene), bool)) for scene in scenes]
    assert recall_at(seen, truth, 5) > 0.7


def test_two_boxes_of_one_thing_do_not_both_stay(frames: list[Frame]) -> None:
    for seen in HouseDetector(threads=1, overlap=0.5, least_score=0.01).detect(frames):
        overlap = iou(seen.boxes, seen.boxes) - np.eye(len(seen), dtype=np.float32)
        assert len(seen) < 2 or float(overlap.max()) <= 0.5 + 1e-4


def test_windows_are_what_the_encoder_makes_of_them(frames: list[Frame]) -> None:
    encoder = HouseEncoder(threads=1)
    seen = WindowDetector(encoder).detect(frames[:1])[0]
    image = frames[0].image
    expected = encoder.encode([crop(image, box) for box in windows(image.shape[1], image.shape[0])])
    np.testing.assert_allclose(seen.vectors, expected, atol=1e-5)


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"expected uint8 \(N, S, S, 3\) and boxes, scores, quality, vectors"):
        HouseDetector(find_weights("house-encoder").path)
    with pytest.raises(WeightsError, match=r"absent\.onnx"):
        HouseDetector(tmp_path / "absent.onnx")
