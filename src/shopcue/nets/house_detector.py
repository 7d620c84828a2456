"""The house detector: boxes, coarse class, three quality scores and an instance embedding in one pass, small enough for
a live stream on a processor.

DPRNet's branches (its figure 3) on a one-stage body: no anchors and no second stage, every cell of two maps says how
far the four sides of its box are (FCOS, Tian et al., ICCV 2019). Cells are given to boxes by how well they class AND
place them (TOOD, Feng et al., ICCV 2021), and the class score is trained to be that fit (varifocal loss, Zhang et al.,
CVPR 2021), so that the score ranks boxes by how good they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shopcue.nets.backbones import EfficientNetLite0, SameConv
from shopcue.records import COARSE_CLASSES, QUALITIES

STRIDES = (16, 32)
LEVELS = 3
"""Each quality is one of three: good, middling, bad."""

_TAPS = ((10, 112), (15, 320))  # (block of EfficientNet-Lite0, its channels) at each of STRIDES
_WIDTH = 96


@dataclass(frozen=True, slots=True)
class Answers:
    """What the net says of L cells of N pictures.

    boxes: (N, L, 4) xyxy pixels of the input. classes: (N, L, C) logits. quality: (N, L, 3, LEVELS) logits. vectors:
    (N, L, E) unit.
    """

    boxes: Tensor
    classes: Tensor
    quality: Tensor
    vectors: Tensor


@dataclass(frozen=True, slots=True)
class Truth:
    """What is in one picture: G things.

    boxes: (G, 4) xyxy pixels of the input. classes: int64 (G,). quality: int64 (G, 3), each 0 good to 2 bad, -1 where
    it is not known. instances: int64 (G,), which thing it is, -1 where it is not known. ignored: (K, 4), where anything
    may be said.
    """

    boxes: Tensor
    classes: Tensor
    quality: Tensor
    instances: Tensor
    ignored: Tensor


class Separable(nn.Module):
    """A 3x3 convolution of each channel, then one across channels, then ReLU. (N, C, H, W) -> (N, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = SameConv(channels, channels, 3, groups=channels)
        self.pointwise = SameConv(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map."""
        return F.relu(self.pointwise(self.depthwise(x)))


class HouseDetector(nn.Module):
    """uint8 RGB (N, S, S, 3), S a multiple of 32 -> `Answers`; preprocessing is inside.

    instances: how many things the training set holds; the classifier over them is used in training alone, and what it
    is fed is the embedding (DPRNet 3.1: the last but one output).
    """

    def __init__(self, backbone: EfficientNetLite0, instances: int = 0, dim: int = 64) -> None:
        super().__init__()
        self.backbone = backbone
        self.lateral = nn.ModuleList(SameConv(channels, _WIDTH, 1) for _, channels in _TAPS)
        self.smooth = nn.ModuleList(Separable(_WIDTH) for _ in _TAPS)
        self.box_tower = nn.Sequential(Separable(_WIDTH), Separable(_WIDTH))
        self.class_tower = nn.Sequential(Separable(_WIDTH), Separable(_WIDTH))
        self.to_box = SameConv(_WIDTH, 4, 1)
        self.to_class = SameConv(_WIDTH, len(COARSE_CLASSES), 1)
        self.to_quality = SameConv(_WIDTH, len(QUALITIES) * LEVELS, 1)
        self.to_vector = SameConv(_WIDTH, dim, 1)
        self.reach = nn.Parameter(torch.tensor([3.0] * len(STRIDES)))  # how many cells a side is away, at the start
        self.instances = nn.Linear(dim, instances, bias=False) if instances else None
        nn.init.constant_(self.to_class.conv.bias, -4.0)  # so rare is a thing in a cell

    def forward(self, pixels: Tensor) -> Answers:
        """Return what every cell of both maps says."""
        x = (pixels.permute(0, 3, 1, 2).float() - 127.0) * (1.0 / 128.0)
        fine, coarse = (lateral(tap) for lateral, tap in zip(self.lateral, self._taps(x), strict=True))
        fine = fine + F.interpolate(coarse, scale_factor=2.0, mode="nearest")
        parts: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        for level, each in enumerate((fine, coarse)):
            features = self.smooth[level](each)
            placed, classed = self.box_tower(features), self.class_tower(features)
            side = features.shape[-1]
            sides = F.softplus(self.to_box(placed)) * (self.reach[level] * STRIDES[level])
            middle = _middles(side, STRIDES[level], sides.device)
            near, far = _cells(sides)[..., :2], _cells(sides)[..., 2:]
            boxes = torch.cat([middle - near, middle + far], dim=-1)
            parts.append(
                (
                    boxes,
                    _cells(self.to_class(classed)),
                    _cells(self.to_quality(classed)),
                    _cells(self.to_vector(classed)),
                )
            )
        boxes, classes, quality, vectors = (torch.cat(each, dim=1) for each in zip(*parts, strict=True))
        quality = quality.unflatten(-1, (len(QUALITIES), LEVELS))
        return Answers(boxes, classes, quality, F.normalize(vectors, dim=-1))

    def _taps(self, x: Tensor) -> list[Tensor]:
        taps = []
        x = F.relu6(self.backbone.stem(x))
        for index, block in enumerate(self.backbone.blocks):
            x = block(x)
            if index in {block for block, _ in _TAPS}:
                taps.append(x)
        return taps


class Served(nn.Module):
    """The detector as it is exported: plain tensors, probabilities in place of logits.

    uint8 (N, S, S, 3) -> boxes (N, L, 4), scores (N, L, C), quality (N, L, 3), vectors (N, L, E). A quality is the
    expectation of 1 for good, .5 for middling and 0 for bad.
    """

    def __init__(self, detector: HouseDetector) -> None:
        super().__init__()
        self.detector = detector
        self.register_buffer("worth", torch.linspace(1, 0, LEVELS))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return boxes, scores, quality and vectors of every cell."""
        answers = self.detector(pixels)
        quality = answers.quality.softmax(dim=-1) @ self.worth
        return answers.boxes, answers.classes.sigmoid(), quality, answers.vectors


# ---- training --------------------------------------------------------------------------------------------------


def box_iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the IoU of matching boxes. (..., 4), (..., 4), which broadcast -> (...)."""
    overlap = _overlap(a, b)
    return overlap / (_area(a) + _area(b) - overlap).clamp(min=1e-6)


def generalized_iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the generalised IoU of matching boxes, in (-1, 1]. (..., 4), (..., 4) -> (...). Rezatofighi, CVPR 2019."""
    overlap = _overlap(a, b)
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    either = _area(a) + _area(b) - overlap
    return overlap / either.clamp(min=1e-6) - (hull - either) / hull.clamp(min=1e-6)


def varifocal(logits: Tensor, target: Tensor, weight: float = 0.75, focus: float = 2.0) -> Tensor:
    """Return the varifocal loss of each element: where there is nothing, it counts as far as the net is wrong.

    logits, target: same shape, target in [0, 1], 0 for 'nothing here' (Zhang et al., CVPR 2021, eq. 2).
    """
    probability = logits.detach().sigmoid()
    weights = torch.where(target > 0, target, weight * probability**focus)
    return weights * F.binary_cross_entropy_with_logits(logits, target, reduction="none")


@torch.no_grad()
def assign(answers: Answers, index: int, truth: Truth, middles: Tensor, most: int = 9) -> tuple[Tensor, Tensor]:
    """Give the cells of picture `index` to its things: (L,) int64 which thing or -1, (L,) float32 how well, 0 to 1.

    A thing gets the `most` cells inside its box of the largest `sqrt(score) * IoU^4`; a cell that two want goes to the
    better IoU. How well: that fit, scaled so that a thing's best cell has its best IoU (TOOD 3.3).
    """
    boxes, classes = answers.boxes[index], answers.classes[index].sigmoid()
    if not len(truth.boxes):
        return torch.full((len(boxes),), -1), torch.zeros(len(boxes))
    wanted = truth.boxes[:, None]  # (G, 1, 4)
    inside = _inside(middles, truth.boxes)
    overlap = box_iou(boxes[None], wanted) * inside
    fit = classes[:, truth.classes].T.sqrt() * overlap**4 + 1e-9
    # Before the net places anything, cells nearest to a box's middle stand in: no fit would leave it without a cell.
    distance = ((middles - (wanted[..., :2] + wanted[..., 2:]) / 2) ** 2).sum(-1).sqrt()
    rank = torch.where(inside, fit + 1e-6 / (1 + distance), torch.zeros_like(fit))
    chosen = torch.zeros_like(inside)
    top = rank.topk(min(most, rank.shape[1]), dim=1).indices
    chosen.scatter_(1, top, True)
    chosen &= inside
    overlap_if_chosen = torch.where(chosen, overlap + 1e-6, torch.zeros_like(overlap))
    owner = overlap_if_chosen.argmax(dim=0)
    owned = chosen.any(dim=0)
    mine = F.one_hot(owner, len(wanted)).T.bool() & owned
    fit = torch.where(mine, fit, torch.zeros_like(fit))
    best_fit = fit.amax(dim=1, keepdim=True)
    best_overlap = torch.where(mine, overlap, torch.zeros_like(overlap)).amax(dim=1, keepdim=True)
    share = (fit / best_fit.clamp(min=1e-9) * best_overlap.clamp(min=0.05)).amax(dim=0)
    return torch.where(owned, owner, torch.full_like(owner, -1)), share * owned


def detection_losses(net: HouseDetector, answers: Answers, truths: Sequence[Truth], side_px: int) -> dict[str, Tensor]:
    """Return the parts of DPRNet's eq. 3 for a batch: `class`, `box` (eq. 1), `quality` (eq. 2), `instance`.

    Each is a mean over what the cells are worth; quality and instance are cross-entropies over the cells that have a
    thing whose label is known.
    """
    middles = cell_middles(side_px, answers.boxes.device)
    target = torch.zeros_like(answers.classes)
    counted = torch.ones_like(target)
    losses = {name: answers.boxes.sum() * 0.0 for name in ("class", "box", "quality", "instance")}
    worth = answers.boxes.new_zeros(())
    for index, truth in enumerate(truths):
        owner, share = assign(answers, index, truth, middles)
        cells = torch.nonzero(owner >= 0)[:, 0]
        if len(truth.ignored):
            counted[index] *= ~_inside(middles, truth.ignored).any(dim=0)[:, None]
            counted[index, cells] = 1
        if not len(cells):
            continue
        things, value = owner[cells], share[cells]
        target[index, cells, truth.classes[things]] = value
        worth = worth + value.sum()
        losses["box"] = (
            losses["box"] + ((1 - generalized_iou(answers.boxes[index, cells], truth.boxes[things])) * value).sum()
        )
        losses["quality"] = losses["quality"] + _labelled(
            answers.quality[index, cells].flatten(0, 1), truth.quality[things].flatten(), value.repeat_interleave(3)
        )
        if net.instances is not None:
            logits = 20 * answers.vectors[index, cells] @ F.normalize(net.instances.weight, dim=1).T
            losses["instance"] = losses["instance"] + _labelled(logits, truth.instances[things], value)
    losses["class"] = losses["class"] + (varifocal(answers.classes, target) * counted).sum()
    return {name: loss / worth.clamp(min=1.0) for name, loss in losses.items()}


def cell_middles(side_px: int, device: torch.device | None = None) -> Tensor:
    """Return where each cell stands in the input, in the order of `Answers`: (L, 2) pixels."""
    return torch.cat([_middles(side_px // stride, stride, device) for stride in STRIDES])


def _inside(middles: Tensor, boxes: Tensor) -> Tensor:
    """Return which cells stand in which boxes. (L, 2), (G, 4) -> bool (G, L)."""
    return ((middles > boxes[:, None, :2]) & (middles < boxes[:, None, 2:])).all(dim=-1)


def _labelled(logits: Tensor, labels: Tensor, value: Tensor) -> Tensor:
    """Return the cross-entropy, weighted by value, summed over rows whose label is known."""
    known = labels >= 0
    return (F.cross_entropy(logits[known], labels[known], reduction="none") * value[known]).sum()


def _middles(side: int, stride: int, device: torch.device | None) -> Tensor:
    along = (torch.arange(side, device=device) + 0.5) * stride
    y, x = torch.meshgrid(along, along, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], dim=1)


def _cells(grid: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H W, C)."""
    return grid.flatten(2).transpose(1, 2)


def _overlap(a: Tensor, b: Tensor) -> Tensor:
    return (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)
