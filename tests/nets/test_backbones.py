"""The folded net says what the published one says: checked against plain loops and unfolded modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from torch import Tensor

torch = pytest.importorskip("torch", reason="training is an extra: pip install 'shopcue[train]'")

from shopcue.nets.backbones import (  # noqa: E402
    BATCH_NORM_EPSILON,
    FEATURES,
    EfficientNetLite0,
    MiddleLite0,
    PictureEncoder,
    SameConv,
    load_published,
    whiten,
)


def published_state(seed: int = 0) -> dict[str, Tensor]:
    """Random weights under the published names, with running statistics that make folding matter."""
    make = torch.Generator().manual_seed(seed)
    net, state = EfficientNetLite0(), {}

    def put(conv: str, norm: str, module: SameConv) -> None:
        channels = module.conv.out_channels
        state[f"{conv}.weight"] = torch.randn(module.conv.weight.shape, generator=make) * 0.2
        state[f"{norm}.weight"] = torch.rand(channels, generator=make) + 0.5
        state[f"{norm}.bias"] = torch.randn(channels, generator=make) * 0.1
        state[f"{norm}.running_mean"] = torch.randn(channels, generator=make) * 0.1
        state[f"{norm}.running_var"] = torch.rand(channels, generator=make) + 0.5

    put("_conv_stem", "_bn0", net.stem)
    put("_conv_head", "_bn1", net.head)
    for index, block in enumerate(net.blocks):
        if block.expand is not None:
            put(f"_blocks.{index}._expand_conv", f"_blocks.{index}._bn0", block.expand)
        put(f"_blocks.{index}._depthwise_conv", f"_blocks.{index}._bn1", block.depthwise)
        put(f"_blocks.{index}._project_conv", f"_blocks.{index}._bn2", block.project)
    return state


def unfolded(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """EfficientNet-Lite0 written down flat from its paper: convolution, BatchNorm, ReLU6, with TensorFlow's padding."""
    functional = torch.nn.functional

    def conv(x: Tensor, conv: str, norm: str, stride: int = 1, depthwise: bool = False) -> Tensor:
        weight = state[f"{conv}.weight"]
        size, kernel = x.shape[-1], weight.shape[-1]
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        x = functional.pad(x, (total // 2, total - total // 2) * 2)
        x = functional.conv2d(x, weight, stride=stride, groups=x.shape[1] if depthwise else 1)
        statistics = [state[f"{norm}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")]
        return functional.batch_norm(x, *statistics, eps=BATCH_NORM_EPSILON)

    strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]
    x = functional.relu6(conv(x, "_conv_stem", "_bn0", 2))
    for index, stride in enumerate(strides):
        name, y = f"_blocks.{index}.", x
        if index:
            y = functional.relu6(conv(y, f"{name}_expand_conv", f"{name}_bn0"))
        y = functional.relu6(conv(y, f"{name}_depthwise_conv", f"{name}_bn1", stride, depthwise=True))
        y = conv(y, f"{name}_project_conv", f"{name}_bn2")
        x = x + y if y.shape == x.shape else y
    return functional.relu6(conv(x, "_conv_head", "_bn1")).mean((2, 3))


@pytest.mark.parametrize("side", [32, 96])
def test_folded_net_equals_the_unfolded_one(side: int) -> None:
    state = {name: value.double() for name, value in published_state().items()}
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1)).double()
    with torch.no_grad():
        # The net's weights are float32: what is left is their rounding, and nothing else, in double precision.
        expected, actual = unfolded(state, x), load_published(state).double()(x)
    assert expected.std() > 0.01
    torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-3)


def test_encoder_takes_raw_pixels_and_gives_unit_vectors() -> None:
    encoder = PictureEncoder(load_published(published_state()), dim=16).eval()
    pixels = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        vectors = encoder(pixels)
        by_hand = encoder.backbone((pixels.float().permute(0, 3, 1, 2) - 127) / 128) @ encoder.projection.weight.T
        by_hand = by_hand + encoder.projection.bias
    torch.testing.assert_close(vectors, by_hand / by_hand.norm(dim=1, keepdim=True), rtol=1e-4, atol=1e-5)


def test_freeze_stops_the_stem_and_the_first_blocks() -> None:
    net = EfficientNetLite0()
    net.freeze(2)
    moving = {
        name.split(".conv")[0].split(".")[1]
        for name, p in net.named_parameters()
        if p.requires_grad and "blocks" in name
    }
    assert moving == {str(index) for index in range(2, 16)}
    assert not any(parameter.requires_grad for parameter in net.stem.parameters())


def test_whitening_centres_and_decorrelates() -> None:
    rng = np.random.default_rng(0)
    mixed = rng.normal(size=(60, 20)) @ rng.normal(size=(20, FEATURES)) + rng.normal(size=FEATURES)
    projection = torch.nn.Linear(FEATURES, 8)
    whiten(projection, torch.tensor(mixed, dtype=torch.float32))
    with torch.no_grad():
        out = projection(torch.tensor(mixed, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=1e-2)
    covariance = np.cov(out.T)
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=1e-2)
    assert np.all(np.diag(covariance) < 1)


def test_the_middle_pools_the_filters_of_the_twelfth_block() -> None:
    """Against hooks on the whole net: the power mean over all places of what the twelfth block's filters say."""
    whole = load_published(published_state()).eval()
    seen: list[Tensor] = []
    hook = whole.blocks[11].depthwise.register_forward_hook(lambda module, args, out: seen.append(out))
    pictures = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole(pictures)
        hook.remove()
        pooled = MiddleLite0(whole)(pictures)
    places = seen[0].clamp(1e-3, 6).flatten(2).double().numpy()
    np.testing.assert_allclose(pooled.numpy(), (places**3).mean(axis=2) ** (1 / 3), rtol=1e-4)
    assert pooled.shape == (2, MiddleLite0.width)


def test_an_encoder_of_the_middle_gives_unit_vectors_and_slopes() -> None:
    encoder = PictureEncoder(MiddleLite0(EfficientNetLite0()), dim=8)
    vectors = encoder(torch.zeros(2, 32, 32, 3, dtype=torch.uint8))
    np.testing.assert_allclose(vectors.detach().norm(dim=1).numpy(), 1, rtol=1e-5)
    encoder.backbone.freeze(3)
    vectors[:, 0].sum().backward()
    slopes = {name: value.grad for name, value in encoder.named_parameters()}
    assert all(slope is None or torch.isfinite(slope).all() for slope in slopes.values())
