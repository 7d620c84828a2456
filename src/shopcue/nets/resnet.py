"""ResNet-50 and ResNet-101 in plain PyTorch, with the parameter names under which their published weights are known.

The stride of a block is in its 3x3 convolution, as in all weights that go by these names (He et al., CVPR 2016, with
that change).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shopcue.errors import WeightsError

DEPTHS: dict[str, tuple[int, int, int, int]] = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}
"""How many blocks each of the four stages has (He et al., 2016, table 1)."""

EXPANSION = 4  # of the channels, by the last convolution of a block
IMAGENET_MEAN = (123.675, 116.28, 103.53)  # RGB, of values in 0..255: what the published weights were trained with
IMAGENET_STD = (58.395, 57.12, 57.375)

Norm = Callable[[int], nn.Module]


class FrozenBatchNorm(nn.Module):
    """A BatchNorm that stands still: its statistics and its scale are buffers. (N, C, H, W) -> (N, C, H, W).

    What small batches of large pictures need: statistics of two pictures are worse than those of ImageNet.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.epsilon = epsilon
        for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full((channels,), value))

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled and shifted map."""
        scale = self.weight * torch.rsqrt(self.running_var + self.epsilon)
        shift = self.bias - self.running_mean * scale
        return x * scale[:, None, None] + shift[:, None, None]


class Bottleneck(nn.Module):
    """Narrow (1x1), filter (3x3, with the stride), widen (1x1), add the input. (N, C, H, W) -> (N, C', H', W')."""

    def __init__(self, inputs: int, width: int, stride: int, norm: Norm) -> None:
        super().__init__()
        outputs = width * EXPANSION
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = norm(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = norm(outputs)
        fits = stride == 1 and inputs == outputs
        self.downsample = (
            None if fits else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), norm(outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's map."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """The convolutions of a ResNet: (N, 3, H, W) normalised pictures -> (N, 32 * width, H / 32, W / 32).

    blocks: of each of the four stages. norm: makes the normalisation of so many channels. width: channels of the stem;
    64 in the paper, less in tests.
    """

    def __init__(self, blocks: tuple[int, int, int, int], norm: Norm = nn.BatchNorm2d, width: int = 64) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=False)
        self.bn1 = norm(width)
        channels = width
        for index, count in enumerate(blocks):
            narrow = width * 2**index
            stage = []
            for block in range(count):
                stage.append(Bottleneck(channels, narrow, 2 if block == 0 and index > 0 else 1, norm))
                channels = narrow * EXPANSION
            self.add_module(f"layer{index + 1}", nn.Sequential(*stage))
        self.channels = channels
        self._start()

    def stages(self, x: Tensor, last: int = 4) -> Tensor:
        """Return the map after stage `last`, 1 to 4. (N, 3, H, W) -> (N, 2 ** (last + 1) * width, H', W').

        H' = H / 2 ** (last + 1): stage 3 is C4 of Faster R-CNN, with stride 16.
        """
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, padding=1)
        for index in range(1, last + 1):
            x = self.get_submodule(f"layer{index}")(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Return the last map."""
        return self.stages(x)

    def freeze(self, stages: int) -> None:
        """Stop training of the stem and of the first `stages` stages."""
        for module in (self.conv1, self.bn1, *(self.get_submodule(f"layer{i + 1}") for i in range(stages))):
            module.requires_grad_(False)

    def _start(self) -> None:
        """Draw weights that neither blow up nor fade (He et al., ICCV 2015)."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def load_published_resnet(net: ResNet, state: Mapping[str, Tensor]) -> None:
    """Put published weights into `net`; the classifier of ImageNet (`fc.*`) and counters of batches are left out.

    state: tensors by the names of torchvision, e.g. `layer1.0.conv1.weight`. Raises WeightsError where they are of
    another net.
    """
    own = net.state_dict()
    given = {name: value for name, value in state.items() if not name.startswith("fc.")}
    for name in sorted(own.keys() | given.keys()):
        if name.endswith("num_batches_tracked"):
            continue
        if name not in given or name not in own:
            where = "lack" if name not in given else "hold"
            raise WeightsError(f"the weights {where} {name!r}; give the state dict of a ResNet of the same depth")
        if given[name].shape != own[name].shape:
            raise WeightsError(
                f"the weights' {name!r} has shape {tuple(given[name].shape)}, expected {tuple(own[name].shape)}; "
                "give the state dict of a ResNet of the same depth"
            )
    net.load_state_dict({name: given.get(name, value) for name, value in own.items()})
