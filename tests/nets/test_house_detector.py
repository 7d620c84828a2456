"""The house detector's losses against plain loops, its cells, its export, and that it learns."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

if TYPE_CHECKING:
    from torch import Tensor

torch = pytest.importorskip("torch", reason="needs the extra train")

from shopcue.models.detector import HouseDetector as ServedDetector  # noqa: E402
from shopcue.nets.backbones import EfficientNetLite0  # noqa: E402
from shopcue.nets.export import export_detector, quantize, run_all  # noqa: E402
from shopcue.nets.house_detector import (  # noqa: E402
    STRIDES,
    Answers,
    HouseDetector,
    Served,
    Truth,
    assign,
    box_iou,
    cell_middles,
    detection_losses,
    generalized_iou,
    varifocal,
)
from shopcue.records import COARSE_CLASSES, Frame  # noqa: E402

SIDE = 64


def random_boxes(rng: np.random.Generator, count: int, side: float = SIDE) -> Tensor:
    corners = np.sort(rng.uniform(0, side, (count, 2, 2)), axis=1)
    return torch.from_numpy(corners.reshape(count, 4).astype(np.float32))


def random_truth(rng: np.random.Generator, things: int) -> Truth:
    return Truth(
        random_boxes(rng, things),
        torch.from_numpy(rng.integers(0, len(COARSE_CLASSES), things)),
        torch.from_numpy(rng.integers(-1, 3, (things, 3))),
        torch.from_numpy(rng.integers(-1, 7, things)),
        torch.zeros(0, 4),
    )


def random_answers(rng: np.random.Generator, pictures: int) -> Answers:
    cells = len(cell_middles(SIDE))
    vectors = torch.nn.functional.normalize(
        torch.from_numpy(rng.normal(size=(pictures, cells, 64)).astype(np.float32)), dim=-1
    )
    return Answers(
        torch.stack([random_boxes(rng, cells) for _ in range(pictures)]),
        torch.from_numpy(rng.normal(size=(pictures, cells, len(COARSE_CLASSES))).astype(np.float32)),
        torch.from_numpy(rng.normal(size=(pictures, cells, 3, 3)).astype(np.float32)),
        vectors,
    )


def plain_overlaps(a: list[float], b: list[float]) -> tuple[float, float]:
    """IoU and generalised IoU of two boxes, by hand."""
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    both = max(wide, 0) * max(high, 0)
    either = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return both / either, both / either - (hull - either) / hull


def test_overlaps_equal_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    a, b = random_boxes(rng, 40), random_boxes(rng, 40)
    for row, (iou, giou) in enumerate(zip(box_iou(a, b), generalized_iou(a, b), strict=True)):
        expected = plain_overlaps(a[row].tolist(), b[row].tolist())
        assert (float(iou), float(giou)) == pytest.approx(expected, abs=1e-5)


def test_varifocal_equals_a_plain_loop() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 3, (6, 4))
    target = np.where(rng.random((6, 4)) < 0.4, rng.random((6, 4)), 0.0)
    found = varifocal(torch.from_numpy(logits), torch.from_numpy(target))
    for row in range(6):
        for column in range(4):
            p, q = 1 / (1 + math.exp(-logits[row, column])), float(target[row, column])
            entropy = -q * math.log(p) - (1 - q) * math.log(1 - p)
            expected = q * entropy if q > 0 else 0.75 * p**2 * entropy
            assert float(found[row, column]) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_cells_are_given_to_things_as_a_plain_loop_gives_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    answers, truth, middles = random_answers(rng, 1), random_truth(rng, 3), cell_middles(SIDE)
    owner, share = assign(answers, 0, truth, middles, most=4)
    boxes, scores = answers.boxes[0].tolist(), answers.classes[0].sigmoid().tolist()
    wanted = truth.boxes.tolist()
    fit = [[0.0] * len(boxes) for _ in wanted]
    chosen: list[set[int]] = []
    for g, box in enumerate(wanted):
        ranks = []
        for cell, (x, y) in enumerate(middles.tolist()):
            if box[0] < x < box[2] and box[1] < y < box[3]:
                overlap = plain_overlaps(boxes[cell], box)[0]
                fit[g][cell] = scores[cell][int(truth.classes[g])] ** 0.5 * overlap**4 + 1e-9
                away = math.dist((x, y), ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))
                ranks.append((fit[g][cell] + 1e-6 / (1 + away), cell))
        chosen.append({cell for _, cell in sorted(ranks, reverse=True)[:4]})
    for cell in range(len(boxes)):
        claims = [(plain_overlaps(boxes[cell], wanted[g])[0], g) for g in range(len(wanted)) if cell in chosen[g]]
        assert int(owner[cell]) == (max(claims, key=lambda claim: (claim[0], -claim[1]))[1] if claims else -1)
    for g, box in enumerate(wanted):
        mine = [cell for cell in range(len(boxes)) if int(owner[cell]) == g]
        if mine:
            best = max(plain_overlaps(boxes[cell], box)[0] for cell in mine)
            most = max(fit[g][cell] for cell in mine)
            for cell in mine:
                assert float(share[cell]) == pytest.approx(fit[g][cell] / most * max(best, 0.05), rel=1e-3, abs=1e-5)


def test_the_losses_equal_a_plain_loop() -> None:
    rng = np.random.default_rng(7)
    torch.manual_seed(0)
    net = HouseDetector(EfficientNetLite0(), instances=7)
    answers, truths, middles = random_answers(rng, 2), [random_truth(rng, 2), random_truth(rng, 3)], cell_middles(SIDE)
    found = detection_losses(net, answers, truths, SIDE)
    assert net.instances is not None
    weight = torch.nn.functional.normalize(net.instances.weight, dim=1)
    sums, worth = dict.fromkeys(found, 0.0), 0.0
    target = torch.zeros_like(answers.classes)
    for n, truth in enumerate(truths):
        owner, share = assign(answers, n, truth, middles)
        for cell in range(len(middles)):
            g = int(owner[cell])
            if g < 0:
                continue
            value = float(share[cell])
            worth += value
            target[n, cell, truth.classes[g]] = value
            sums["box"] += value * (1 - plain_overlaps(answers.boxes[n, cell].tolist(), truth.boxes[g].tolist())[1])
            for kind in range(3):
                label = int(truth.quality[g, kind])
                if label >= 0:
                    logits = answers.quality[n, cell, kind].double()
                    sums["quality"] += value * float(torch.logsumexp(logits, 0) - logits[label])
            thing = int(truth.instances[g])
            if thing >= 0:
                logits = 20 * (weight @ answers.vectors[n, cell]).double()
                sums["instance"] += value * float((torch.logsumexp(logits, 0) - logits[thing]).detach())
    sums["class"] = float(varifocal(answers.classes, target).sum())
    for name, value in sums.items():
        assert float(found[name].detach()) == pytest.approx(value / max(worth, 1.0), rel=1e-4), name


def test_what_is_to_be_ignored_costs_nothing() -> None:
    rng = np.random.default_rng(3)
    net = HouseDetector(EfficientNetLite0())
    answers = random_answers(rng, 1)
    nothing = Truth(
        torch.zeros(0, 4), torch.zeros(0).long(), torch.zeros(0, 3).long(), torch.zeros(0).long(), torch.zeros(0, 4)
    )
    everywhere = Truth(
        nothing.boxes, nothing.classes, nothing.quality, nothing.instances, torch.tensor([[0.0, 0.0, SIDE, SIDE]])
    )
    assert float(detection_losses(net, answers, [nothing], SIDE)["class"]) > 0
    assert all(float(loss) == 0 for loss in detection_losses(net, answers, [everywhere], SIDE).values())


def test_every_cell_answers_once_and_in_order() -> None:
    net = HouseDetector(EfficientNetLite0()).eval()
    answers = net(torch.zeros(2, SIDE, SIDE, 3, dtype=torch.uint8))
    cells = sum((SIDE // stride) ** 2 for stride in STRIDES)
    assert answers.boxes.shape == (2, cells, 4)
    assert answers.quality.shape == (2, cells, 3, 3)
    middles = cell_middles(SIDE)
    inside = (answers.boxes[..., :2] < middles) & (answers.boxes[..., 2:] > middles)
    assert inside.all()
    np.testing.assert_allclose(answers.vectors.detach().norm(dim=-1), 1, atol=1e-5)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[HouseDetector, Path]:
    torch.manual_seed(1)
    net = HouseDetector(EfficientNetLite0(), instances=3).eval()
    path = tmp_path_factory.mktemp("detector") / "net.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        export_detector(net, path, SIDE)
    return net, path


def test_the_exported_file_says_what_the_net_says(exported: tuple[HouseDetector, Path]) -> None:
    net, path = exported
    pixels = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)
    with torch.no_grad():
        expected = Served(net)(torch.from_numpy(pixels))
    for want, have in zip(expected, run_all(path, pixels), strict=True):
        np.testing.assert_allclose(have, want.numpy(), atol=1e-3)


def test_the_exact_parts_stay_exact_in_eight_bits(exported: tuple[HouseDetector, Path], tmp_path: Path) -> None:
    _, path = exported
    pixels = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 3), np.uint8)
    quantize(path, tmp_path / "all.onnx", [pixels])
    quantize(path, tmp_path / "most.onnx", [pixels], exact=("to_box", "to_class"))
    exact = run_all(path, pixels)[0]
    errors = {name: np.abs(run_all(tmp_path / f"{name}.onnx", pixels)[0] - exact).mean() for name in ("all", "most")}
    assert errors["most"] < errors["all"]
    assert (tmp_path / "most.onnx").stat().st_size < path.stat().st_size / 2


def test_what_is_served_is_what_the_cells_say(exported: tuple[HouseDetector, Path]) -> None:
    _, path = exported
    rng = np.random.default_rng(5)
    frame = Frame(1.5, rng.integers(0, 256, (40, 80, 3), np.uint8), scale=2.0)
    served = ServedDetector(path, least_score=0.0, overlap=1.0, most=400)
    found = served.detect([frame])[0]
    square = np.full((SIDE, SIDE, 3), 127, np.uint8)
    square[16:48] = cv2.resize(frame.image, (64, 32), interpolation=cv2.INTER_AREA)
    boxes, scores, _, _ = (output[0] for output in run_all(path, square[None]))
    best = int(scores.max(axis=1).argmax())
    place = (boxes[best] - np.array([0, 16, 0, 16])) / (64 / 80)  # out of the square, into the picture
    expected = np.clip(place, 0, [80, 40, 80, 40]) * 2.0  # and into the video
    nearest = np.abs(found.boxes - expected).max(axis=1).min()
    assert nearest < 1e-3
    assert found.time_s == 1.5
    assert np.all(np.diff(found.scores) <= 0)
