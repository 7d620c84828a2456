"""The net is the one of the paper: checked against its definition written down flat, under the published names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from torch import Tensor

torch = pytest.importorskip("torch", reason="training is an extra: pip install 'shopcue[train]'")

from shopcue.errors import WeightsError  # noqa: E402
from shopcue.nets.resnet import DEPTHS, FrozenBatchNorm, ResNet, load_published_resnet  # noqa: E402

BLOCKS = (1, 2, 1, 2)
WIDTH = 4


def published_state(blocks: tuple[int, ...] = BLOCKS, width: int = WIDTH) -> dict[str, Tensor]:
    """Random weights under the published names, written down without the net."""
    make = torch.Generator().manual_seed(0)
    state: dict[str, Tensor] = {}

    def put(conv: str, norm: str, outputs: int, inputs: int, kernel: int) -> None:
        fan = inputs * kernel * kernel
        state[f"{conv}.weight"] = torch.randn(outputs, inputs, kernel, kernel, generator=make) * (2 / fan) ** 0.5
        state[f"{norm}.weight"] = torch.rand(outputs, generator=make) + 0.5
        state[f"{norm}.bias"] = torch.randn(outputs, generator=make) * 0.1
        state[f"{norm}.running_mean"] = torch.randn(outputs, generator=make) * 0.1
        state[f"{norm}.running_var"] = torch.rand(outputs, generator=make) + 0.5
        state[f"{norm}.num_batches_tracked"] = torch.tensor(7)

    put("conv1", "bn1", width, 3, 7)
    inputs = width
    for stage, count in enumerate(blocks):
        narrow = width * 2**stage
        for block in range(count):
            name = f"layer{stage + 1}.{block}"
            put(f"{name}.conv1", f"{name}.bn1", narrow, inputs, 1)
            put(f"{name}.conv2", f"{name}.bn2", narrow, narrow, 3)
            put(f"{name}.conv3", f"{name}.bn3", narrow * 4, narrow, 1)
            if block == 0:
                put(f"{name}.downsample.0", f"{name}.downsample.1", narrow * 4, inputs, 1)
            inputs = narrow * 4
    state["fc.weight"], state["fc.bias"] = torch.zeros(1000, inputs), torch.zeros(1000)
    return state


def flat(state: dict[str, Tensor], x: Tensor, last: int) -> Tensor:
    """ResNet written down flat: He et al., 2016, with the stride in the 3x3 convolution."""
    functional = torch.nn.functional

    def conv(x: Tensor, conv: str, norm: str, stride: int = 1) -> Tensor:
        weight = state[f"{conv}.weight"]
        x = functional.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
        return functional.batch_norm(
            x, *(state[f"{norm}.{name}"] for name in ("running_mean", "running_var", "weight", "bias"))
        )

    x = functional.max_pool2d(conv(x, "conv1", "bn1", 2).relu(), 3, 2, 1)
    for stage in range(last):
        for block in range(BLOCKS[stage]):
            name, stride = f"layer{stage + 1}.{block}", 2 if stage and not block else 1
            y = conv(x, f"{name}.conv1", f"{name}.bn1").relu()
            y = conv(y, f"{name}.conv2", f"{name}.bn2", stride).relu()
            y = conv(y, f"{name}.conv3", f"{name}.bn3")
            skip = x if block else conv(x, f"{name}.downsample.0", f"{name}.downsample.1", stride)
            x = (y + skip).relu()
    return x


@pytest.mark.parametrize("norm", [torch.nn.BatchNorm2d, FrozenBatchNorm])
@pytest.mark.parametrize("last", [1, 3, 4])
def test_the_net_equals_the_flat_one(norm: type, last: int) -> None:
    state = {name: value.double() if value.is_floating_point() else value for name, value in published_state().items()}
    net = ResNet(BLOCKS, norm, WIDTH).double().eval()
    if norm is FrozenBatchNorm:
        state = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    load_published_resnet(net, state)
    x = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1)).double()
    with torch.no_grad():
        actual, expected = net.stages(x, last), flat(state, x, last)
    assert expected.std() > 0.01
    assert actual.shape == (2, 2 ** (last + 1) * WIDTH, 64 // 2 ** (last + 1), 96 // 2 ** (last + 1))
    torch.testing.assert_close(actual, expected)


def test_counters_do_not_matter_to_frozen_norms() -> None:
    net = ResNet(BLOCKS, FrozenBatchNorm, WIDTH)
    load_published_resnet(net, published_state())
    assert not any(name.endswith("bn1.weight") for name, _ in net.named_parameters())
    net.train()(torch.randn(1, 3, 32, 32)).sum().backward()
    assert torch.equal(net.state_dict()["bn1.running_mean"], published_state()["bn1.running_mean"])


@pytest.mark.parametrize(("name", "parameters"), [("resnet50", 25_557_032), ("resnet101", 44_549_160)])
def test_the_published_depths_have_the_published_sizes(name: str, parameters: int) -> None:
    with torch.device("meta"):
        net = ResNet(DEPTHS[name])
    classifier = 2048 * 1000 + 1000
    assert net.channels == 2048
    assert sum(parameter.numel() for parameter in net.parameters()) + classifier == parameters


def test_weights_of_another_net_are_refused_by_name() -> None:
    net = ResNet(BLOCKS, width=WIDTH)
    with pytest.raises(WeightsError, match=r"hold 'layer1\.1\.bn1\.bias'"):
        load_published_resnet(net, published_state((2, 2, 1, 2)))
    with pytest.raises(WeightsError, match=r"lack 'layer4\.1\.bn1\.bias'"):
        load_published_resnet(net, published_state((1, 2, 1, 1)))
    with pytest.raises(WeightsError, match=r"'bn1\.bias' has shape \(8,\), expected \(4,\)"):
        load_published_resnet(net, published_state(width=8))


def test_freezing_stops_the_stem_and_the_first_stages() -> None:
    net = ResNet(BLOCKS, width=WIDTH)
    net.freeze(2)
    moving = {name.split(".")[0] for name, parameter in net.named_parameters() if parameter.requires_grad}
    assert moving == {"layer3", "layer4"}
