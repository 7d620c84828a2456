"""The bodies that DPRNet's detector stands on: a map of the whole picture, and what is made of the map under a box.

All follow the C4 form of Faster R-CNN (He et al., CVPR 2016): all stages up to stride 16 see the picture once, the
last stage sees each box.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shopcue.nets.backbones import FEATURES, EfficientNetLite0
from shopcue.nets.resnet import DEPTHS, IMAGENET_MEAN, IMAGENET_STD, FrozenBatchNorm, ResNet

STRIDE = 16
"""Pixels a cell of the map, in every body."""


class Body(nn.Module):
    """What a detector needs of a backbone.

    map_channels: C of the map. box_channels: F of what the tail makes of a box. roi_side: cells that a box is sampled
    to, even.
    """

    map_channels: int
    box_channels: int
    roi_side: int

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the map of the pictures. uint8 (N, H, W, 3), H and W multiples of 32 -> (N, C, H / 16, W / 16)."""
        raise NotImplementedError

    def tail(self, rois: Tensor) -> Tensor:
        """Return the features of each box. (R, C, roi_side, roi_side) -> (R, F)."""
        raise NotImplementedError

    def freeze(self) -> None:
        """Stop training of the first layers: edges and colours are the same everywhere."""
        raise NotImplementedError


class HouseBody(Body):
    """EfficientNet-Lite0, cut after its fifth stage: small enough to be trained on a processor."""

    map_channels = 112
    box_channels = FEATURES
    roi_side = 8
    _CUT = 11  # blocks up to stride 16

    def __init__(self, backbone: EfficientNetLite0 | None = None) -> None:
        super().__init__()
        self.backbone = backbone or EfficientNetLite0()

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the map after the fifth stage."""
        x = (pixels.permute(0, 3, 1, 2).float() - 127.0) * (1.0 / 128.0)
        x = F.relu6(self.backbone.stem(x))
        for block in self.backbone.blocks[: self._CUT]:
            x = block(x)
        return x

    def tail(self, rois: Tensor) -> Tensor:
        """Return what the last two stages and the last convolution make of each box, averaged over its cells."""
        for block in self.backbone.blocks[self._CUT :]:
            rois = block(rois)
        return F.relu6(self.backbone.head(rois)).mean(dim=(2, 3))

    def freeze(self) -> None:
        """Stop training of the stem and of the first two blocks."""
        self.backbone.freeze(2)


class ResNetBody(Body):
    """A ResNet, cut after its third stage, BatchNorm standing still (the paper's own kind of body).

    blocks: of each stage. width: channels of the stem, 64 but in tests.
    """

    mean: Tensor
    deviation: Tensor
    roi_side = 14

    def __init__(self, blocks: tuple[int, int, int, int], width: int = 64) -> None:
        super().__init__()
        self.net = ResNet(blocks, FrozenBatchNorm, width)
        self.map_channels, self.box_channels = self.net.channels // 2, self.net.channels
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN), persistent=False)
        self.register_buffer("deviation", torch.tensor(IMAGENET_STD), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the map after the third stage (C4)."""
        x = (pixels.float() - self.mean) / self.deviation
        return self.net.stages(x.permute(0, 3, 1, 2), last=3)

    def tail(self, rois: Tensor) -> Tensor:
        """Return what the fourth stage makes of each box, averaged over its cells."""
        return self.net.layer4(rois).mean(dim=(2, 3))

    def freeze(self) -> None:
        """Stop training of the stem and of the first stage."""
        self.net.freeze(1)


BODIES: dict[str, Callable[[], Body]] = {
    "house": HouseBody,
    "resnet50": partial(ResNetBody, DEPTHS["resnet50"]),
    "resnet101": partial(ResNetBody, DEPTHS["resnet101"]),
}
