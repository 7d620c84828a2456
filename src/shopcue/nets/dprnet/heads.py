"""What is said of each box: class and exact place, how well it shows its thing, and which thing it is (figure 3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shopcue.records import QUALITIES


class BoxHead(nn.Module):
    """Two fully connected layers side by side: the class, background being the last one, and a box for each class."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.to_class = nn.Linear(features, classes + 1)
        self.to_deltas = nn.Linear(features, 4 * classes)
        nn.init.normal_(self.to_class.weight, std=0.01)
        nn.init.normal_(self.to_deltas.weight, std=0.001)
        nn.init.zeros_(self.to_class.bias)
        nn.init.zeros_(self.to_deltas.bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return class logits (R, C + 1) and deltas (R, C, 4). features: (R, F)."""
        deltas = self.to_deltas(features).view(-1, self.classes, 4)
        return self.to_class(features).float(), deltas.float()


class QualityBranch(nn.Module):
    """One proposal-scoring branch: four 3x3 convolutions, the mean over the cells, one fully connected layer."""

    def __init__(self, channels: int, width: int, levels: int) -> None:
        super().__init__()
        inputs = (channels, width, width, width)
        self.convolutions = nn.ModuleList(nn.Conv2d(count, width, 3, padding=1) for count in inputs)
        self.to_level = nn.Linear(width, levels)
        for convolution in self.convolutions:
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            nn.init.zeros_(convolution.bias)

    def forward(self, rois: Tensor) -> Tensor:
        """Return logits of the levels, good to bad. (R, C, side, side) -> (R, levels)."""
        for convolution in self.convolutions:
            rois = F.relu(convolution(rois))
        return self.to_level(rois.mean(dim=(2, 3))).float()


class InstanceBranch(nn.Module):
    """Three fully connected layers; the output of the last but one is the embedding by which things are told apart.

    No activation stands between the embedding and the classifier: the cosine of two embeddings then counts everything
    that the classifier sees. The paper leaves this open.
    """

    def __init__(self, channels: int, width: int, dim: int, instances: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(channels, width)
        self.to_vector = nn.Linear(width, dim)
        self.to_instance = nn.Linear(dim, instances)

    def embed(self, rois: Tensor) -> Tensor:
        """Return embeddings, not yet of unit length. (R, C, side, side) -> (R, dim)."""
        return self.to_vector(F.relu(self.hidden(rois.mean(dim=(2, 3))))).float()

    def forward(self, vectors: Tensor) -> Tensor:
        """Return the logits of the training set's things. (R, dim) -> (R, instances)."""
        return self.to_instance(vectors).float()


@dataclass(frozen=True, slots=True)
class Said:
    """What the scoring and instance branches say of R boxes: logits (R, levels) for each quality, vectors (R, dim)."""

    quality: tuple[Tensor, ...]
    vectors: Tensor


class Branches(nn.Module):
    """The three scoring branches and the instance branch, on the map under each box.

    They see it at half the side that it was sampled to, which is what the box head's strided stage sees too.
    """

    worth: Tensor

    def __init__(self, channels: int, width: int, levels: int, dim: int, instances: int) -> None:
        super().__init__()
        self.quality = nn.ModuleList(QualityBranch(channels, width, levels) for _ in QUALITIES)
        self.instance = InstanceBranch(channels, width, dim, instances)
        self.register_buffer("worth", torch.linspace(1, 0, levels), persistent=False)

    def forward(self, rois: Tensor) -> Said:
        """Return logits and embeddings. rois: (R, C, side, side)."""
        rois = F.avg_pool2d(rois, 2)
        return Said(tuple(branch(rois) for branch in self.quality), self.instance.embed(rois))

    def scores(self, said: Said) -> tuple[Tensor, Tensor]:
        """Return quality scores (R, 3) in [0, 1], 1 the best, and unit vectors (R, dim).

        A score is the expected worth of the levels, which fall evenly from 1 (good) to 0 (bad).
        """
        quality = torch.stack([logits.softmax(dim=1) @ self.worth for logits in said.quality], dim=1)
        return quality, F.normalize(said.vectors, dim=1)
