"""Matching, sampling and every loss against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="training is an extra: pip install 'shopcue[train]'")

from torch import Tensor  # noqa: E402

from shopcue.nets.dprnet.losses import (  # noqa: E402
    FASTER_RCNN_TERMS,
    UNKNOWN,
    box_loss,
    detection_loss,
    faster_rcnn_loss,
    label_loss,
    objectness_loss,
    quality_loss,
)
from shopcue.nets.dprnet.matching import BACKGROUND, UNDECIDED, match, sample, spare  # noqa: E402
from shopcue.nets.dprnet.rpn import ProposalSettings, RegionProposals  # noqa: E402
from shopcue.nets.house_detector import Truth  # noqa: E402

Boxes = NDArray[np.float32]
TERMS = {name: torch.tensor(10.0**i) for i, name in enumerate((*FASTER_RCNN_TERMS, "viewpoint", "occlusion", "crop"))}


def loop_iou(a: Boxes, b: Boxes) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = float(max(width, 0) * max(height, 0))
    return both / float((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def loop_match(candidates: Boxes, truth: Boxes, low: float, high: float, best_too: bool) -> list[int]:
    matched = []
    overlaps = [[loop_iou(candidate, thing) for thing in truth] for candidate in candidates]
    for row in overlaps:
        most = max(row)
        is_best = any(0 < row[g] == max(other[g] for other in overlaps) for g in range(len(truth)))
        if most >= high or (best_too and is_best):
            matched.append(row.index(most))
        else:
            matched.append(BACKGROUND if most < low else UNDECIDED)
    return matched


def random_boxes(rng: np.random.Generator, count: int) -> Boxes:
    corner = rng.integers(0, 24, (count, 2))
    return np.concatenate([corner, corner + rng.integers(4, 20, (count, 2))], axis=1).astype(np.float32)


@given(seed=st.integers(0, 100_000), things=st.integers(1, 4), best_too=st.booleans())
def test_matching_is_that_of_a_loop(seed: int, things: int, best_too: bool) -> None:
    rng = np.random.default_rng(seed)
    candidates, truth = random_boxes(rng, 25), random_boxes(rng, things)
    matched = match(torch.from_numpy(candidates), torch.from_numpy(truth), 0.3, 0.7, best_too=best_too)
    assert matched.tolist() == loop_match(candidates, truth, 0.3, 0.7, best_too)


def test_no_thing_is_left_without_an_anchor() -> None:
    candidates = torch.tensor([[0.0, 0, 10, 10], [100.0, 100, 110, 110], [0.0, 0, 11, 11]])
    truth = torch.tensor([[0.0, 0, 10, 10], [108.0, 108, 130, 130], [500.0, 500, 510, 510]])
    assert match(candidates, truth, 0.3, 0.7, best_too=True).tolist() == [0, 1, 0]
    assert match(candidates, truth, 0.3, 0.7, best_too=False).tolist() == [0, BACKGROUND, 0]
    assert match(candidates, truth[:0], 0.3, 0.7, best_too=True).tolist() == [BACKGROUND] * 3


def test_background_where_nobody_labelled_is_left_alone() -> None:
    candidates = torch.tensor([[0.0, 0, 10, 10], [0.0, 0, 10, 10], [6.0, 0, 16, 10], [4.0, 0, 14, 10]])
    matched = torch.tensor([2, BACKGROUND, BACKGROUND, BACKGROUND])
    ignored = torch.tensor([[50.0, 50, 60, 60], [0.0, 0, 9, 40]])
    assert spare(matched, candidates, ignored).tolist() == [2, UNDECIDED, BACKGROUND, UNDECIDED]
    assert spare(matched, candidates, ignored[:0]) is matched


@given(things=st.integers(0, 40), background=st.integers(0, 40), count=st.integers(1, 32), seed=st.integers(0, 99))
def test_a_sample_holds_as_many_things_as_it_may_and_is_filled_up(
    things: int, background: int, count: int, seed: int
) -> None:
    matched = torch.tensor([3] * things + [UNDECIDED] * 5 + [BACKGROUND] * background, dtype=torch.int64)
    positive, negative = sample(matched, count, 0.25, torch.Generator().manual_seed(seed))
    assert len(positive) == min(things, count // 4)
    assert len(negative) == min(background, count - len(positive))
    assert (matched[positive] == 3).all()
    assert (matched[negative] == BACKGROUND).all()
    assert len(set(positive.tolist())) == len(positive)
    assert len(set(negative.tolist())) == len(negative)
    again = sample(matched, count, 0.25, torch.Generator().manual_seed(seed))
    assert positive.equal(again[0])
    assert negative.equal(again[1])


def test_samples_are_drawn_evenly() -> None:
    matched = torch.full((10,), BACKGROUND)
    drawn = torch.cat([sample(matched, 5, 0.5, torch.Generator().manual_seed(seed))[1] for seed in range(400)])
    assert (torch.bincount(drawn, minlength=10) - 200).abs().max() < 50


# ---- losses ----------------------------------------------------------------------------------------------------


def loop_cross_entropy(logits: Tensor, labels: Tensor) -> float:
    total, known = 0.0, 0
    for row, label in zip(logits.double().tolist(), labels.tolist(), strict=True):
        if label != UNKNOWN:
            total += math.log(sum(math.exp(each) for each in row)) - row[label]
            known += 1
    return total / max(known, 1)


def loop_smooth_l1(deltas: Tensor, wanted: Tensor, sampled: int, beta: float) -> float:
    total = 0.0
    for gap in (deltas - wanted).abs().flatten().tolist():
        total += 0.5 * gap**2 / beta if gap < beta else gap - 0.5 * beta
    return total / max(sampled, 1)


@given(seed=st.integers(0, 10_000), rows=st.integers(0, 9))
def test_label_loss_is_that_of_a_loop(seed: int, rows: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(rows, 4, generator=generator)
    labels = torch.randint(-1, 4, (rows,), generator=generator)
    assert label_loss(logits, labels).item() == pytest.approx(loop_cross_entropy(logits, labels), rel=1e-5, abs=1e-6)


def test_without_a_known_label_the_gradient_is_zero_and_there() -> None:
    logits = torch.randn(3, 4, requires_grad=True)
    label_loss(logits, torch.full((3,), UNKNOWN)).backward()
    assert logits.grad is not None  # DistributedDataParallel waits for it
    assert not logits.grad.any()


@given(seed=st.integers(0, 10_000), rows=st.integers(0, 6), beta=st.sampled_from([1 / 9, 1.0]))
def test_box_loss_is_that_of_a_loop(seed: int, rows: int, beta: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    deltas, wanted = torch.randn(2, rows, 4, generator=generator)
    expected = loop_smooth_l1(deltas, wanted, rows + 3, beta)
    assert box_loss(deltas, wanted, rows + 3, beta).item() == pytest.approx(expected, rel=1e-5)


@given(seed=st.integers(0, 10_000), rows=st.integers(1, 9))
def test_objectness_loss_is_that_of_a_loop(seed: int, rows: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(rows, generator=generator)
    is_thing = torch.rand(rows, generator=generator) < 0.4
    total = 0.0
    for logit, thing in zip(logits.tolist(), is_thing.tolist(), strict=True):
        probability = 1 / (1 + math.exp(-logit))
        total -= math.log(probability if thing else 1 - probability)
    assert objectness_loss(logits, is_thing).item() == pytest.approx(total / rows, rel=1e-4, abs=1e-6)
    assert objectness_loss(logits[:0], is_thing[:0]).item() == 0


def test_equations_1_to_3_add_what_they_say() -> None:
    terms = TERMS | {"instance": torch.tensor(10.0**7)}
    assert faster_rcnn_loss(terms).item() == 1111
    assert quality_loss(terms).item() == 1110000
    assert detection_loss(terms).item() == 11111111
    assert set(terms) == {
        *("rpn_class", "rpn_box", "rcnn_class", "rcnn_box"),
        *("occlusion", "viewpoint", "crop", "instance"),
    }


def test_the_first_stage_is_trained_on_what_it_sampled() -> None:
    torch.manual_seed(0)
    settings = ProposalSettings(anchor_sides=(16.0, 32.0), samples=10_000)  # all that is decided
    net = RegionProposals(channels=4, width=8, stride=16, settings=settings)
    with torch.no_grad():
        logits, deltas, anchors = net(torch.randn(1, 4, 3, 4))
    boxes = np.array([[4, 4, 30, 28], [30, 10, 62, 44]], np.float32)
    nothing = torch.zeros(2, dtype=torch.int64)
    truth = Truth(torch.from_numpy(boxes), nothing, torch.zeros(2, 3), nothing, torch.tensor([[0.0, 30, 20, 48]]))
    losses = net.losses(logits[0], deltas[0], anchors, truth, torch.Generator().manual_seed(0))
    total, box_total, sampled = 0.0, 0.0, 0
    for index, owner in enumerate(loop_match(anchors.numpy(), boxes, 0.3, 0.7, best_too=True)):
        x0, y0, x1, y1 = anchors[index].tolist()
        hidden = max(min(x1, 20) - max(x0, 0), 0) * max(min(y1, 48) - max(y0, 30), 0)
        if owner == UNDECIDED or (owner == BACKGROUND and hidden >= 0.5 * (x1 - x0) * (y1 - y0)):
            continue
        sampled += 1
        probability = 1 / (1 + math.exp(-logits[0, index].item()))
        total -= math.log(probability if owner >= 0 else 1 - probability)
        if owner >= 0:
            gx0, gy0, gx1, gy1 = boxes[owner].tolist()
            wanted = [
                ((gx0 + gx1) - (x0 + x1)) / 2 / (x1 - x0),
                ((gy0 + gy1) - (y0 + y1)) / 2 / (y1 - y0),
                math.log((gx1 - gx0) / (x1 - x0)),
                math.log((gy1 - gy0) / (y1 - y0)),
            ]
            box_total += loop_smooth_l1(deltas[0, index], torch.tensor(wanted), 1, 1 / 9)
    assert 0 < sampled < len(anchors)
    assert losses["rpn_class"].item() == pytest.approx(total / sampled, rel=1e-5)
    assert losses["rpn_box"].item() == pytest.approx(box_total / sampled, rel=1e-5)
