"""The detector learns what drawn pictures show, and its ONNX file says the same."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="training is an extra: pip install 'shopcue[train]'")
pytest.importorskip("onnxscript", reason="training is an extra: pip install 'shopcue[train]'")

from torch import Tensor  # noqa: E402

from shopcue.geometry import iou as box_iou  # noqa: E402
from shopcue.models.detector import HouseDetector  # noqa: E402
from shopcue.nets.backbones import EfficientNetLite0  # noqa: E402
from shopcue.nets.dprnet.backbones import BODIES, HouseBody, ResNetBody  # noqa: E402
from shopcue.nets.dprnet.boxes import iou  # noqa: E402
from shopcue.nets.dprnet.detector import Answers, DetectorSettings, DprnetDetector  # noqa: E402
from shopcue.nets.dprnet.export import Served, export_dprnet_detector  # noqa: E402
from shopcue.nets.dprnet.losses import UNKNOWN, detection_loss  # noqa: E402
from shopcue.nets.dprnet.operators import TorchOperators  # noqa: E402
from shopcue.nets.dprnet.roi_align import roi_align  # noqa: E402
from shopcue.nets.dprnet.rpn import ProposalSettings  # noqa: E402
from shopcue.nets.export import run_all  # noqa: E402
from shopcue.nets.house_detector import Truth  # noqa: E402
from shopcue.nets.resnet import load_published_resnet  # noqa: E402
from shopcue.nets.retrieval import HouseBackbone, ResNetBackbone  # noqa: E402
from shopcue.records import QUALITIES, Frame  # noqa: E402

SIDE_PX = 128
COLOURS = np.array([[220, 40, 40], [40, 200, 60], [60, 80, 230]])  # of each class
SETTINGS = DetectorSettings(
    classes=3,
    instances=6,
    width=24,
    dim=16,
    proposals=ProposalSettings(anchor_sides=(24, 48), kept_in_training=100, kept=40, considered=300),
    proposal_width=48,
    samples=24,
    kept=10,
    score_from=0.3,
)


def draw(seed: int) -> tuple[NDArray[np.uint8], Truth]:
    """Two coloured rectangles on grey noise. The colour is the class, stripes or none make the instance, and the size
    of a black part the quality: no two branches call a size by the same level.
    """
    rng = np.random.default_rng(seed)
    image = rng.integers(100, 140, (SIDE_PX, SIDE_PX, 3)).astype(np.uint8)
    boxes, classes, quality, instances = [], [], [], []
    for left in (4, 68):
        width, height = rng.integers(28, 52, 2)
        x, y = left + rng.integers(0, 56 - width), rng.integers(4, SIDE_PX - 4 - height)
        kind, level, striped = int(rng.integers(3)), int(rng.integers(3)), int(rng.integers(2))
        thing = image[y : y + height, x : x + width]
        thing[:] = COLOURS[kind]
        if striped:
            thing[np.arange(height) // 6 % 2 == 0] = 255
        thing[: height * level // 3] = 0
        boxes.append([x, y, x + width, y + height])
        classes.append(kind)
        quality.append([(level + branch) % 3 for branch in range(3)])
        instances.append(kind * 2 + striped)
    return image, Truth(
        torch.tensor(boxes, dtype=torch.float32),
        torch.tensor(classes),
        torch.tensor(quality),
        torch.tensor(instances),
        torch.zeros(0, 4),
    )


def batch(seeds: range) -> tuple[Tensor, list[Truth]]:
    drawn = [draw(seed) for seed in seeds]
    return torch.from_numpy(np.stack([image for image, _ in drawn])), [truth for _, truth in drawn]


@pytest.fixture(scope="module")
def learnt() -> DprnetDetector:
    """A detector that has seen 240 drawn pictures, on one thread."""
    torch.manual_seed(0)
    detector = DprnetDetector(SETTINGS, ResNetBody((1, 1, 1, 1), width=16))
    optimizer = torch.optim.AdamW(detector.parameters(), lr=1e-3)
    steps = 110
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps, pct_start=0.1)
    for step in range(steps):
        seeds = range(4 * (step % 60), 4 * (step % 60) + 4)
        pixels, truths = batch(seeds)
        loss = detection_loss(detector.losses(pixels, truths, list(seeds)))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(detector.parameters(), 10)
        optimizer.step()
        scheduler.step()
    detector.eval()
    return detector


@pytest.fixture(scope="module")
def unseen(learnt: DprnetDetector) -> tuple[Tensor, list[Truth], Answers]:
    """Pictures that were not trained on, and what is said of them."""
    pixels, truths = batch(range(1000, 1024))
    with torch.no_grad():
        return pixels, truths, learnt.answer(pixels)


def test_things_are_found_and_named(unseen: tuple[Tensor, list[Truth], Answers]) -> None:
    _, truths, answers = unseen
    found, named = [], []
    for index, truth in enumerate(truths):
        overlap = iou(truth.boxes, answers.boxes[index])
        for thing, row in enumerate(overlap):
            best = int((row * (answers.scores[index] > 0)).argmax())
            found.append(bool(row[best] >= 0.5))
            if found[-1]:
                named.append(int(answers.classes[index, best]) == int(truth.classes[thing]))
    assert np.mean(found) >= 0.75
    assert np.mean(named) >= 0.9


def matched(truths: list[Truth], answers: Answers) -> list[tuple[int, int, list[int], int]]:
    """(picture, place, levels of quality, instance) of every thing that was found."""
    rows = []
    for index, truth in enumerate(truths):
        overlap = iou(truth.boxes, answers.boxes[index])
        for thing, row in enumerate(overlap):
            best = int(row.argmax())
            if row[best] >= 0.5:
                rows.append((index, best, truth.quality[thing].tolist(), int(truth.instances[thing])))
    return rows


def test_each_branch_scores_quality(unseen: tuple[Tensor, list[Truth], Answers]) -> None:
    _, truths, answers = unseen
    rows = matched(truths, answers)
    scores = np.array([answers.quality[index, place].tolist() for index, place, _, _ in rows])
    levels = np.array([level for _, _, level, _ in rows])
    for column in range(3):
        assert set(levels[:, column]) == {0, 1, 2}
        assert np.mean(np.round(2 - 2 * scores[:, column]) == levels[:, column]) >= 0.85


def test_embeddings_tell_things_apart(unseen: tuple[Tensor, list[Truth], Answers]) -> None:
    _, truths, answers = unseen
    rows = matched(truths, answers)
    vectors = np.stack([answers.vectors[index, place].numpy() for index, place, _, _ in rows])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    things = np.array([instance for *_, instance in rows])
    cosine = vectors @ vectors.T
    np.fill_diagonal(cosine, -2)
    nearest = things[cosine.argmax(axis=1)]
    assert np.mean(nearest == things) >= 0.8  # chance is one in six


def test_answers_do_not_depend_on_what_else_is_in_the_batch(
    learnt: DprnetDetector, unseen: tuple[Tensor, list[Truth], Answers]
) -> None:
    pixels, _, answers = unseen
    with torch.no_grad():
        alone = learnt.answer(pixels[3:4])
    for name in ("boxes", "scores", "quality", "vectors"):
        torch.testing.assert_close(getattr(alone, name)[0], getattr(answers, name)[3], atol=1e-3, rtol=1e-4)


def test_empty_places_come_last_and_hold_zeros(unseen: tuple[Tensor, list[Truth], Answers]) -> None:
    answers = unseen[2]
    assert (answers.scores.diff(dim=1) <= 0).all()
    empty = answers.scores == 0
    assert 0 < empty.sum() < empty.numel()
    for name in ("boxes", "classes", "quality", "vectors"):
        assert not getattr(answers, name)[empty].any()


# ---- losses ----------------------------------------------------------------------------------------------------


def test_a_picture_is_trained_on_alike_whatever_stands_beside_it() -> None:
    torch.manual_seed(1)
    detector = DprnetDetector(SETTINGS, ResNetBody((1, 1, 1, 1), width=8)).train()
    pixels, truths = batch(range(3))
    with torch.no_grad():
        together = detector.losses(pixels, truths, [5, 6, 7])
        alone = [detector.losses(pixels[i : i + 1], truths[i : i + 1], [5 + i]) for i in range(3)]
    assert len(together) == 8
    for name, value in together.items():
        assert value.item() == pytest.approx(np.mean([each[name].item() for each in alone]), rel=1e-3), name


def test_the_second_stage_is_trained_as_a_loop_would() -> None:
    torch.manual_seed(1)
    settings = replace(SETTINGS, samples=1000, positive_share=1.0)  # all proposals, so that the order is no matter
    detector = DprnetDetector(settings, ResNetBody((1, 1, 1, 1), width=8)).train()
    torch.nn.init.normal_(detector.head.to_deltas.weight, std=0.1)
    pixels, (truth,) = batch(range(1))
    truth = replace(truth, instances=torch.tensor([UNKNOWN, 4]), ignored=torch.tensor([[0.0, 0, 40, 128]]))
    with torch.no_grad():
        losses = detector.losses(pixels, [truth], [0])
        features = detector.body(pixels)
        logits, deltas, anchors = detector.proposals(features)
        boxes, scores = detector.proposals.propose(logits, deltas, anchors, (SIDE_PX, SIDE_PX), TorchOperators())
        proposed = torch.cat([boxes[0, scores[0].isfinite()], truth.boxes])
        rois = roi_align(features, proposed, torch.zeros(len(proposed), dtype=torch.int64), 14, 1 / 16)
        logits, deltas = detector.head(detector.body.tail(rois))
        said = detector.branches(rois)
        names = detector.branches.instance(said.vectors)

    sums: dict[str, list[float]] = {name: [] for name in losses if not name.startswith("rpn")}
    for index, box in enumerate(proposed):
        overlap = [iou(box[None], thing[None]).item() for thing in truth.boxes]
        owner = int(np.argmax(overlap))
        is_thing = overlap[owner] >= 0.5
        hidden = max(min(box[2], 40) - box[0], 0) * (box[3] - box[1])
        if not is_thing and hidden >= 0.5 * (box[2] - box[0]) * (box[3] - box[1]):
            continue
        label = int(truth.classes[owner]) if is_thing else 3
        sums["rcnn_class"].append(-logits[index].double().softmax(dim=0)[label].log().item())
        if not is_thing:
            continue
        (x0, y0, x1, y1), (gx0, gy0, gx1, gy1) = box.tolist(), truth.boxes[owner].tolist()
        wanted = [
            10 * (gx0 + gx1 - x0 - x1) / 2 / (x1 - x0),
            10 * (gy0 + gy1 - y0 - y1) / 2 / (y1 - y0),
            5 * math.log((gx1 - gx0) / (x1 - x0)),
            5 * math.log((gy1 - gy0) / (y1 - y0)),
        ]
        gaps = [abs(a - b) for a, b in zip(deltas[index, label].tolist(), wanted, strict=True)]
        sums["rcnn_box"].append(sum(0.5 * gap**2 if gap < 1 else gap - 0.5 for gap in gaps))
        for column, name in enumerate(QUALITIES):
            level = int(truth.quality[owner, column])
            sums[name].append(-said.quality[column][index].double().softmax(dim=0)[level].log().item())
        if truth.instances[owner] != UNKNOWN:
            sums["instance"].append(-names[index].double().softmax(dim=0)[4].log().item())
    assert 0 < len(sums["instance"]) < len(sums["rcnn_box"]) < len(sums["rcnn_class"]) < len(proposed)
    assert losses["rcnn_box"].item() == pytest.approx(sum(sums["rcnn_box"]) / len(sums["rcnn_class"]), rel=1e-3)
    for name in ("rcnn_class", *QUALITIES, "instance"):
        assert losses[name].item() == pytest.approx(np.mean(sums[name]), rel=1e-3), name


def test_a_picture_without_things_trains_background_alone() -> None:
    torch.manual_seed(1)
    detector = DprnetDetector(SETTINGS, ResNetBody((1, 1, 1, 1), width=8)).train()
    nothing = torch.zeros(0, dtype=torch.int64)
    truth = Truth(torch.zeros(0, 4), nothing, torch.zeros(0, 3, dtype=torch.int64), nothing, torch.zeros(0, 4))
    pixels, _ = batch(range(1))
    losses = detector(pixels, [truth], [0])
    detection_loss(losses).backward()
    assert losses["rpn_class"] > 0
    assert losses["rcnn_class"] > 0
    assert {name for name, value in losses.items() if value == 0} == {
        *("rpn_box", "rcnn_box", "viewpoint", "occlusion", "crop", "instance")
    }
    missing = [name for name, each in detector.named_parameters() if each.grad is None]
    assert not missing  # DistributedDataParallel waits for every one


def test_half_precision_gives_nearly_the_same_losses() -> None:
    torch.manual_seed(1)
    detector = DprnetDetector(SETTINGS, ResNetBody((1, 1, 1, 1), width=8)).train()
    pixels, truths = batch(range(2))
    exact = detector.losses(pixels, truths, [0, 1])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = detector.losses(pixels, truths, [0, 1])
    detection_loss(rough).backward()
    for name, value in exact.items():
        assert rough[name].dtype == torch.float32
        assert rough[name].item() == pytest.approx(value.item(), rel=0.1, abs=0.02), name
    assert all(each.grad is not None and each.grad.isfinite().all() for each in detector.parameters())


# ---- bodies ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["house", "resnet50"])
def test_bodies_keep_their_promises(name: str) -> None:
    with torch.device("meta"):
        body = BODIES[name]()
        features = body(torch.zeros(2, 64, 96, 3, dtype=torch.uint8))
        pooled = body.tail(torch.zeros(5, body.map_channels, body.roi_side, body.roi_side))
    assert features.shape == (2, body.map_channels, 4, 6)
    assert pooled.shape == (5, body.box_channels)


def test_bodies_are_their_backbones_cut_in_two() -> None:
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    backbone = EfficientNetLite0()
    for module in backbone.modules():
        if isinstance(module, torch.nn.Conv2d):  # PyTorch's own start lets the picture fade on its way through
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    house, whole = HouseBody(backbone), HouseBackbone()
    whole.net = backbone
    resnet, whole_resnet = ResNetBody((1, 1, 2, 1), width=8), ResNetBackbone((1, 1, 2, 1), width=8)
    whole_resnet(pixels)  # moves the statistics away from their start
    load_published_resnet(resnet.net, whole_resnet.net.state_dict())
    for body, encoder in ((house, whole), (resnet, whole_resnet.eval())):
        with torch.no_grad():
            torch.testing.assert_close(body.tail(body(pixels)), encoder(pixels), rtol=1e-4, atol=1e-4)


def test_freezing_stops_the_first_layers_alone() -> None:
    for body in (HouseBody(), ResNetBody((1, 1, 1, 1), width=8)):
        body.freeze()
        frozen = [name for name, each in body.named_parameters() if not each.requires_grad]
        assert 0 < len(frozen) < len(list(body.parameters())) / 2


# ---- export ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file(learnt: DprnetDetector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "dprnet.onnx"
    export_dprnet_detector(learnt, path, SIDE_PX, SIDE_PX)
    return path


@pytest.mark.parametrize("count", [1, 4])
def test_onnx_says_what_pytorch_says(
    file: Path, unseen: tuple[Tensor, list[Truth], Answers], count: int, learnt: DprnetDetector
) -> None:
    pixels, _, answers = unseen
    boxes, scores, quality, vectors = run_all(file, pixels[:count].numpy())
    assert (scores.max(axis=2) > 0.3).any()
    np.testing.assert_allclose(boxes, answers.boxes[:count], atol=1e-3)
    np.testing.assert_allclose(scores.max(axis=2), answers.scores[:count], atol=1e-4)
    np.testing.assert_array_equal(scores.argmax(axis=2), answers.classes[:count])
    np.testing.assert_allclose(quality, answers.quality[:count], atol=1e-4)
    np.testing.assert_allclose(vectors, answers.vectors[:count], atol=1e-4)


def test_what_is_exported_is_what_is_answered(
    learnt: DprnetDetector, unseen: tuple[Tensor, list[Truth], Answers]
) -> None:
    pixels, _, answers = unseen
    with torch.no_grad():
        boxes, scores, quality, vectors = Served(learnt)(pixels[:2])
    torch.testing.assert_close(boxes, answers.boxes[:2], atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(scores.sum(dim=2), answers.scores[:2], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(quality, answers.quality[:2], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(vectors, answers.vectors[:2], atol=1e-4, rtol=1e-4)


def test_the_file_is_a_detector_of_the_package(file: Path, unseen: tuple[Tensor, list[Truth], Answers]) -> None:
    pixels, _, answers = unseen
    detector = HouseDetector(file, threads=1)
    found = detector.detect([Frame(float(index), pixels[index].numpy()) for index in range(4)])
    assert sum(len(each) for each in found) >= 4
    for index, each in enumerate(found):
        place = box_iou(each.boxes, answers.boxes[index].numpy()).argmax(axis=1)
        np.testing.assert_allclose(each.boxes, answers.boxes[index, place], atol=1e-3)
        np.testing.assert_allclose(each.quality, answers.quality[index, place], atol=1e-4)
        np.testing.assert_array_equal(each.classes, answers.classes[index, place])


def test_the_file_names_nothing_of_the_machine(file: Path) -> None:
    payload = file.read_bytes()
    assert b"site-packages" not in payload
    assert not re.search(rb"\.py\b", payload)
    assert str(Path.home()).encode() not in payload
