"""Selective multi-modal fusion, eq. 17-21, against plain loops."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="training is an extra: pip install 'shopcue[train]'")

from torch import Tensor  # noqa: E402

import sgmn_loops as plain  # noqa: E402
from shopcue.nets.sgmn.fusion import Fusion, hardest  # noqa: E402

MAKE = torch.Generator().manual_seed(11)
N, L, D, T = 6, 3, 8, 5
MASK = torch.ones(N, L, dtype=torch.bool)
MASK[2, 1] = MASK[4, 0] = False


def units(*shape: int) -> Tensor:
    return torch.nn.functional.normalize(torch.randn(*shape, generator=MAKE), dim=-1)


def build(text_dim: int = T, k: int = 4) -> Fusion:
    torch.manual_seed(0)
    net = Fusion(D, text_dim, heads=2, k=k)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=MAKE))
    return net


def candidates_by_loop(row: list[float], own: int, products: list[int], k: int) -> list[int]:
    rivals = [j for j in range(len(row)) if products[j] != products[own]]
    return [own, *sorted(rivals, key=lambda j: -row[j])[: min(k, len(row)) - 1]]


@pytest.mark.parametrize("products", [[0, 1, 2, 3, 4, 5], [0, 0, 1, 1, 2, 0], [4, 4, 4, 4, 4, 4]])
@pytest.mark.parametrize("k", [2, 4, 9])
def test_the_hardest_are_the_best_ranked_of_other_products(products: list[int], k: int) -> None:
    similarity = torch.randn(N, N, generator=MAKE)
    found = hardest(similarity, torch.tensor(products), k, torch.ones(N, dtype=torch.bool))
    for n in range(N):
        expected = candidates_by_loop(similarity[n].tolist(), n, products, k)
        assert found.indices[n][found.valid[n]].tolist() == expected
        assert int(found.valid[n].sum()) == len(expected)


def fused_by_loop(net: Fusion, rows: plain.Rows, text: plain.Row | None) -> plain.Rows:
    """Eq. 19: one linear layer over both, side by side."""
    visual = plain.linear(net.visual, plain.scaled(rows, D**0.5))
    if text is not None:
        said = plain.linear(net.text, plain.scaled([text], T**0.5))[0]
        visual = [[v + t for v, t in zip(row, said, strict=True)] for row in visual]
    return plain.layer_norm(net.after_fusion, visual)


def match_by_loop(net: Fusion, asked: plain.Row, clip: plain.Rows, there: list[bool]) -> float:
    """Eq. 20 and the similarity of eq. 21."""
    found = plain.attention(net.cross, [asked], clip, [there])
    return math.exp(min(float(net.scale.detach()), math.log(100))) * plain.cosine(found[0], asked)


def cross_entropy_by_loop(rows: list[list[float]]) -> float:
    losses = [-math.log(plain.softmax(row)[0]) for row in rows if len(row) > 1]
    return sum(losses) / len(losses) if losses else 0.0


@pytest.mark.parametrize("products", [[0, 1, 2, 3, 4, 5], [0, 0, 1, 1, 2, 0], [4, 4, 4, 4, 4, 4]])
@pytest.mark.parametrize("with_text", [True, False])
def test_the_matching_loss_equals_the_loop(products: list[int], with_text: bool) -> None:
    net = build(T if with_text else 0)
    videos, images, similarity = units(N, L, D), units(N, D), torch.randn(N, N, generator=MAKE)
    speech, titles = (units(N, T), units(N, T)) if with_text else (None, None)
    said = speech.tolist() if speech is not None else [None] * N
    named = titles.tolist() if titles is not None else [None] * N
    clips, asked = [], []
    for n in range(N):
        fused = fused_by_loop(net, videos[n].tolist(), said[n])
        clips.append(plain.block(net.block, fused, [MASK[n].tolist()] * L))
        asked.append(fused_by_loop(net, [images[n].tolist()], named[n])[0])
    toward, back = [], []
    for n in range(N):
        of_clip = candidates_by_loop(similarity[n].tolist(), n, products, 4)
        toward.append([match_by_loop(net, asked[m], clips[n], MASK[n].tolist()) for m in of_clip])
        of_image = candidates_by_loop(similarity[:, n].tolist(), n, products, 4)
        back.append([match_by_loop(net, asked[n], clips[m], MASK[m].tolist()) for m in of_image])
    expected = (cross_entropy_by_loop(toward) + cross_entropy_by_loop(back)) / 2
    actual = net(videos, images, speech, titles, similarity, torch.tensor(products), MASK)
    assert float(actual.detach()) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_before_training_a_clip_that_holds_the_picture_wins() -> None:
    torch.manual_seed(0)
    net, images = Fusion(D, 0, heads=2), units(N, D)
    right = net(images[:, None].expand(N, L, D), images, None, None, images @ images.T, torch.arange(N), MASK)
    wrong = net(images[:, None].expand(N, L, D).flip(0), images, None, None, images @ images.T, torch.arange(N), MASK)
    assert float(right.detach()) < 0.5 * float(wrong.detach())


def test_the_loss_ignores_the_order_of_the_pairs() -> None:
    net, order = build(), torch.tensor([3, 5, 0, 1, 4, 2])
    videos, images, speech, titles = units(N, L, D), units(N, D), units(N, T), units(N, T)
    similarity, products = torch.randn(N, N, generator=MAKE), torch.tensor([0, 1, 2, 2, 3, 4])
    straight = net(videos, images, speech, titles, similarity, products, MASK)
    mixed = net(
        videos[order],
        images[order],
        speech[order],
        titles[order],
        similarity[order][:, order],
        products[order],
        MASK[order],
    )
    torch.testing.assert_close(mixed, straight)
