"""DPRNet's retrieval network (3.3, figure 4): a backbone, a distance branch and, in training, a classification branch.

Both branches stand on the averaged map of the backbone. The distance branch is one linear layer to a unit vector, by
which a search compares pictures; the classification branch tells the instances of the training set apart and is
thrown away after it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shopcue.nets.backbones import FEATURES, EfficientNetLite0
from shopcue.nets.resnet import DEPTHS, IMAGENET_MEAN, IMAGENET_STD, ResNet


class Backbone(nn.Module):
    """What the branches need: pictures in, F features out. uint8 RGB (N, S, S, 3), S a multiple of 32 -> (N, F)."""

    channels: int
    """F."""


class HouseBackbone(Backbone):
    """EfficientNet-Lite0: small enough to be trained on a processor."""

    channels = FEATURES

    def __init__(self) -> None:
        super().__init__()
        self.net = EfficientNetLite0()

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the averaged map. uint8 (N, S, S, 3) -> (N, 1280)."""
        return self.net((pixels.permute(0, 3, 1, 2).float() - 127.0) * (1.0 / 128.0))


class ResNetBackbone(Backbone):
    """A ResNet. blocks, width: as in `ResNet`."""

    mean: Tensor
    std: Tensor

    def __init__(self, blocks: tuple[int, int, int, int], width: int = 64) -> None:
        super().__init__()
        self.net = ResNet(blocks, width=width)
        self.channels = self.net.channels
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the averaged map. uint8 (N, S, S, 3) -> (N, 32 * width)."""
        return self.net((pixels.permute(0, 3, 1, 2).float() - self.mean) / self.std).mean(dim=(2, 3))


BACKBONES: dict[str, Callable[[], Backbone]] = {
    "house": HouseBackbone,
    "resnet50": lambda: ResNetBackbone(DEPTHS["resnet50"]),
    "resnet101": lambda: ResNetBackbone(DEPTHS["resnet101"]),
}


class Embedder(nn.Module):
    """Backbone and distance branch: what is left of the network in use. uint8 (N, S, S, 3) -> unit vectors (N, dim)."""

    def __init__(self, backbone: Backbone, dim: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.projection = nn.Linear(backbone.channels, dim)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return unit embeddings in single precision, whatever the backbone computes in."""
        return self.embed(self.backbone(pixels))

    def embed(self, features: Tensor) -> Tensor:
        """Return unit embeddings of the backbone's features. (N, F) -> float32 (N, dim)."""
        return F.normalize(self.projection(features).float(), dim=1)


class RetrievalNet(nn.Module):
    """The network in training: unit vectors for the distance branch, logits of `instances` for the other one."""

    def __init__(self, backbone: Backbone, dim: int, instances: int) -> None:
        super().__init__()
        self.embedder = Embedder(backbone, dim)
        self.classifier = nn.Linear(backbone.channels, instances)
        # A first guess that prefers nobody: large random logits would drown the distance branch at the start.
        nn.init.normal_(self.classifier.weight, std=0.001)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return (unit vectors (N, dim), logits (N, instances)) of uint8 (N, S, S, 3)."""
        features = self.embedder.backbone(pixels)
        return self.embedder.embed(features), self.classifier(features).float()
