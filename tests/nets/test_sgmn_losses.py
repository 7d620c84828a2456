"""SGMN's losses against plain loops."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="training is an extra: pip install 'shopcue[train]'")

from torch import Tensor  # noqa: E402

import sgmn_loops as plain  # noqa: E402
from shopcue.nets.sgmn.losses import column_divergence, first_of, triplet  # noqa: E402

MAKE = torch.Generator().manual_seed(5)


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=MAKE)


@pytest.mark.parametrize("hardest", [True, False])
@pytest.mark.parametrize("products", [[0, 1, 2, 3, 4, 5], [0, 0, 1, 1, 2, 0], [7, 7, 7, 7, 7, 7]])
@pytest.mark.parametrize("counts", [None, [True, False, True, True, True, False], [False] * 6])
def test_the_triplet_loss_equals_the_loop(products: list[int], counts: list[bool] | None, hardest: bool) -> None:
    similarity = draw(6, 6).tanh()
    counted = None if counts is None else torch.tensor(counts)
    loss = triplet(similarity, torch.tensor(products), 0.2, counts=counted, hardest=hardest)
    assert float(loss) == pytest.approx(
        plain.triplet(similarity.tolist(), products, 0.2, counts, hardest), rel=1e-5, abs=1e-7
    )


def test_a_pair_beyond_the_margin_costs_nothing_and_two_of_one_product_do_not_repel() -> None:
    similarity = torch.tensor([[0.9, 0.9, 0.65], [0.9, 0.9, 0.65], [0.65, 0.65, 0.9]], requires_grad=True)
    assert float(triplet(similarity, torch.tensor([0, 0, 1]), 0.2).detach()) == 0
    triplet(similarity, torch.tensor([0, 0, 1]), 0.3).backward()
    assert similarity.grad is not None
    assert similarity.grad[0, 1] == similarity.grad[1, 0] == 0
    assert similarity.grad[2, :2].sum() > 0


def test_the_triplet_loss_ignores_the_order_of_the_pairs() -> None:
    similarity, products = draw(5, 5), torch.tensor([0, 1, 1, 2, 3])
    order = torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(
        triplet(similarity[order][:, order], products[order]), triplet(similarity, products), rtol=1e-5, atol=1e-6
    )


def test_the_divergence_equals_the_loop() -> None:
    relevance, similarity = draw(3, 4, 5), draw(3, 4, 5)
    connected = torch.rand(3, 4, 5, generator=MAKE) < 0.6
    connected[1, :, 2] = False
    terms = []
    for n in range(3):
        for b in range(5):
            rows = [a for a in range(4) if connected[n, a, b]]
            if not rows:
                continue
            graph = plain.softmax([float(relevance[n, a, b]) for a in rows])
            every = plain.softmax([float(similarity[n, a, b]) for a in range(4)])
            terms.append(sum(p * math.log(p / every[a]) for p, a in zip(graph, rows, strict=True)))
    loss = column_divergence(relevance, connected, similarity)
    assert float(loss) == pytest.approx(sum(terms) / len(terms), rel=1e-5)


def test_the_divergence_has_gradients_where_a_column_is_empty() -> None:
    relevance, similarity = draw(1, 3, 2).requires_grad_(), draw(1, 3, 2).requires_grad_()
    connected = torch.tensor([[[True, False], [True, False], [False, False]]])
    column_divergence(relevance, connected, similarity).backward()
    assert relevance.grad is not None
    assert similarity.grad is not None
    assert relevance.grad.isfinite().all()
    assert similarity.grad.isfinite().all()
    assert (relevance.grad[0, :, 1] == 0).all()


def test_the_first_of_the_candidates_is_right() -> None:
    logits = draw(3, 4)
    valid = torch.tensor([[True, True, True, True], [True, True, False, False], [True, False, False, False]])
    expected = []
    for n in (0, 1):  # the third has no rival
        shares = plain.softmax([float(logits[n, k]) for k in range(4) if valid[n, k]])
        expected.append(-math.log(shares[0]))
    assert float(first_of(logits, valid)) == pytest.approx(sum(expected) / 2, rel=1e-5)
    assert float(first_of(logits[2:], valid[2:])) == 0
