"""The loop learns, leaves its start alone, and gives the same net twice."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training is an extra: pip install 'shopcue[train]'")

from shopcue.nets.backbones import EfficientNetLite0, PictureEncoder  # noqa: E402
from shopcue.training.encoder import Progress, Schedule, blend, embed, train_encoder  # noqa: E402
from shopcue.training.pairs import Goods, PairBatches, PairRecipe, Photo  # noqa: E402

SCHEDULE = Schedule(steps=8, warmup=2, frozen_blocks=2, backbone_rate=1e-3, projection_rate=1e-3, workers=0)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def start() -> PictureEncoder:
    torch.manual_seed(0)
    encoder = PictureEncoder(EfficientNetLite0(), dim=8)
    for module in encoder.modules():
        if isinstance(module, torch.nn.Conv2d):  # PyTorch's own start lets the picture fade on its way through
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return encoder


def batches() -> PairBatches:
    """Flat colours: a product is known by its colour alone, whatever crops and blur do."""
    rng = np.random.default_rng(0)
    flat = [np.zeros((48, 48, 3), np.uint8) + rng.integers(0, 256, 3, dtype=np.uint8) for _ in range(12)]
    goods = [Goods(picture, np.full((48, 48), 255, np.uint8), (Photo(picture),)) for picture in flat[:6]]
    recipe = PairRecipe(garments=4, goods=4, drawn=0, side_px=32, twins=0, composed=0, in_clutter=0)
    return PairBatches(goods, [], flat[6:], flat, recipe)


def train() -> tuple[PictureEncoder, PictureEncoder, list[Progress]]:
    seen: list[Progress] = []
    first = start()
    return first, train_encoder(first, batches(), SCHEDULE, seen.append), seen


def test_the_loop_moves_what_it_should_and_nothing_else() -> None:
    first, trained, seen = train()
    assert [each.step for each in seen] == list(range(1, 9))
    assert all(math.isfinite(each.loss) and 0 <= each.first <= 1 for each in seen)
    untouched = start().state_dict()
    frozen: list[str] = []
    moved: list[str] = []
    for name, value in trained.state_dict().items():
        assert torch.equal(first.state_dict()[name], untouched[name]), "the start is left as it was"
        (frozen if torch.equal(value, untouched[name]) else moved).append(name)
    assert {name.split(".")[1] for name in frozen} == {"stem", "blocks"}
    assert not any(name.startswith(("backbone.head", "projection")) for name in frozen)
    assert all(name.split(".")[2] in {"0", "1"} for name in frozen if ".blocks." in name)
    assert any(name.startswith("backbone.blocks.2.") for name in moved)


def test_training_brings_pairs_together() -> None:
    first, trained, _ = train()
    batch = batches()(100)
    gaps = []
    for encoder in (first, trained):
        similarity = embed(encoder, batch.queries) @ embed(encoder, batch.keys).T
        gaps.append(float(np.diag(similarity).mean() - similarity.mean()))
    assert gaps[1] > gaps[0]


def test_the_same_seed_gives_the_same_net() -> None:
    one, other = train()[1].state_dict(), train()[1].state_dict()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("share", [0, 0.25, 1])
def test_blend_lies_between(share: float) -> None:
    torch.manual_seed(1)
    high, low = PictureEncoder(EfficientNetLite0(), dim=8), start()
    between = blend(low, high, share).state_dict()
    for name, value in low.state_dict().items():
        torch.testing.assert_close(between[name], value + share * (high.state_dict()[name] - value))


def test_embed_does_not_depend_on_the_batch() -> None:
    squares = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_allclose(embed(start(), squares, batch=2), embed(start(), squares, batch=5), atol=1e-5)
