"""Each loss against a plain loop."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="training is an extra: pip install 'shopcue[train]'")

from shopcue.nets.losses import info_nce  # noqa: E402


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
