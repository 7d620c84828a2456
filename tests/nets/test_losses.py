"""Each loss against a plain loop."""

from __future__ import annotations

import math
import random

import pytest

torch = pytest.importorskip("torch", reason="training is an extra: pip install 'shopcue[train]'")

from shopcue.nets.losses import (  # noqa: E402
    batch_hard_triplet,
    info_nce,
    label_smoothed_cross_entropy,
    retrieval_loss,
)


def by_loop(queries: list[list[float]], keys: list[list[float]], products: list[int], temperature: float) -> float:
    def dot(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True)) / temperature

    total, pairs = 0.0, range(len(products))
    for one, other in ((queries, keys), (keys, queries)):
        for i in pairs:
            rivals = [j for j in pairs if j == i or products[j] != products[i]]
            total -= dot(one[i], other[i]) - math.log(sum(math.exp(dot(one[i], other[j])) for j in rivals))
    return total / (2 * len(products))


@pytest.mark.parametrize("products", [[0, 1, 2, 3, 4, 5], [0, 0, 1, 1, 2, 0], [7, 7, 7, 7, 7, 7]])
def test_info_nce_equals_the_loop(products: list[int]) -> None:
    make = torch.Generator().manual_seed(3)
    queries, keys = (torch.nn.functional.normalize(torch.randn(6, 4, generator=make), dim=1) for _ in range(2))
    expected = by_loop(queries.tolist(), keys.tolist(), products, 0.1)
    assert float(info_nce(queries, keys, torch.tensor(products), 0.1)) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_pictures_of_one_product_do_not_push_each_other_away() -> None:
    keys = torch.eye(4, requires_grad=True)
    queries = torch.eye(4)
    info_nce(queries, keys, torch.tensor([0, 0, 1, 2])).backward()
    assert keys.grad is not None
    assert keys.grad[0, 1] == 0
    assert keys.grad[0, 2] > 0


def hard_triplets_by_loop(vectors: list[list[float]], instances: list[int], margin: float) -> float:
    losses, rows = [], range(len(instances))
    for a in rows:
        positives = [math.dist(vectors[a], vectors[b]) for b in rows if b != a and instances[b] == instances[a]]
        negatives = [math.dist(vectors[a], vectors[b]) for b in rows if instances[b] != instances[a]]
        if positives and negatives:
            losses.append(max(0.0, margin + max(positives) - min(negatives)))
    return sum(losses) / len(losses) if losses else 0.0


@pytest.mark.parametrize("margin", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(
    "instances", [[0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 2], [5, 5, 5, 5, 5, 5], [0, 1, 2, 3, 4, 5], [0, 0, 0, 0, 0, 1]]
)
def test_batch_hard_equals_the_loop(instances: list[int], margin: float) -> None:
    make = torch.Generator().manual_seed(1)
    for _ in range(5):
        vectors = torch.nn.functional.normalize(torch.randn(6, 3, generator=make), dim=1)
        expected = hard_triplets_by_loop(vectors.tolist(), instances, margin)
        actual = float(batch_hard_triplet(vectors, torch.tensor(instances), margin))
        assert actual == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_batch_hard_has_a_finite_gradient_where_pictures_are_the_same() -> None:
    """K pictures are drawn again where an instance has fewer: their distance is 0, where a root has no slope."""
    vectors = torch.nn.functional.normalize(torch.tensor([[1.0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 0]]), dim=1)
    vectors.requires_grad_()
    batch_hard_triplet(vectors, torch.tensor([0, 0, 1, 1]), 1.0).backward()
    assert vectors.grad is not None
    assert torch.isfinite(vectors.grad).all()
    assert vectors.grad.abs().sum() > 0


def test_batch_hard_pulls_the_farthest_and_pushes_the_nearest() -> None:
    angles = torch.tensor([0.0, 0.3, 0.6, 0.5, 2.0])
    vectors = torch.stack([angles.cos(), angles.sin()], dim=1).requires_grad_()
    batch_hard_triplet(vectors[:, :], torch.tensor([0, 0, 0, 1, 1]), 0.05).backward()
    along = torch.stack([-angles.sin(), angles.cos()], dim=1)
    assert vectors.grad is not None
    turn = -(vectors.grad * along).sum(dim=1)
    assert turn[0] > 0, "the first is drawn towards its farthest positive"
    assert turn[3] > 0, "the intruder is pushed out, towards its own"


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.5])
def test_smoothed_cross_entropy_equals_the_loop(epsilon: float) -> None:
    draw = random.Random(0)
    logits = [[draw.gauss(0, 2) for _ in range(5)] for _ in range(7)]
    truth = [draw.randrange(5) for _ in range(7)]
    total = 0.0
    for row, right in zip(logits, truth, strict=True):
        norm = math.log(sum(math.exp(value) for value in row))
        for column, value in enumerate(row):
            q = 1 - epsilon * 4 / 5 if column == right else epsilon / 5
            total -= q * (value - norm)
    actual = label_smoothed_cross_entropy(torch.tensor(logits), torch.tensor(truth), epsilon)
    assert float(actual) == pytest.approx(total / 7, rel=1e-5)
    reference = torch.nn.functional.cross_entropy(torch.tensor(logits), torch.tensor(truth), label_smoothing=epsilon)
    assert float(actual) == pytest.approx(float(reference), rel=1e-5)


def test_the_two_branches_weigh_the_same() -> None:
    assert float(retrieval_loss(torch.tensor(0.25), torch.tensor(4.0))) == 4.25
