"""Training of the house detector: one explicit loop over batches of labelled pictures.

The loop knows nothing about data sets or files: it is given batches and gives back a net.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from shopcue.data.composed import Scene, Stock, compose_scene
from shopcue.models.image import fit_square, letterbox_placing
from shopcue.nets.house_detector import HouseDetector, Truth, detection_losses
from shopcue.records import Floats
from shopcue.training.steps import batch_loader, rate_at


@dataclass(frozen=True, slots=True)
class DetectionBatch:
    """pixels: uint8 (N, S, S, 3); truths: N, boxes in pixels of the square."""

    pixels: NDArray[np.uint8]
    truths: tuple[Truth, ...]


class DetectionBatches(Protocol):
    """Makes batch `step` of a run as a function of the step alone, so that worker processes need no common state."""

    def __call__(self, step: int) -> DetectionBatch:
        """Return the batch."""


@dataclass(frozen=True, slots=True)
class DetectionRecipe:
    """How a batch is made up: pictures in it, and the sides that pictures are given."""

    pictures: int = 16
    sides_px: tuple[int, ...] = (224, 256, 288)
    seed: int = 0


@dataclass(frozen=True, slots=True)
class DetectionSchedule:
    """How long and how fast. Rates rise over `warmup` steps and fall on a cosine to zero.

    average: of the weights, the share of the old that stays at each step. weights: of the parts of the loss.
    """

    steps: int = 1200
    warmup: int = 40
    backbone_rate: float = 2e-4
    head_rate: float = 1.5e-3
    weight_decay: float = 0.02
    frozen_blocks: int = 2
    average: float = 0.99
    clip: float = 10.0
    workers: int = 1
    weights: dict[str, float] = field(
        default_factory=lambda: {"class": 1.0, "box": 2.0, "quality": 0.3, "instance": 0.3}
    )


@dataclass(frozen=True, slots=True)
class DetectionProgress:
    """What one step did: its number and the parts of the loss."""

    step: int
    losses: dict[str, float]


class SceneBatches:
    """Batches of composed scenes. stock: what scenes are made of."""

    def __init__(self, stock: Stock, recipe: DetectionRecipe) -> None:
        self._stock, self._recipe = stock, recipe

    def __call__(self, step: int) -> DetectionBatch:
        """Return batch `step`."""
        recipe = self._recipe
        side = int(np.random.default_rng((recipe.seed, step)).choice(recipe.sides_px))
        first = (recipe.seed << 40) + step * recipe.pictures
        scenes = [compose_scene(self._stock, seed) for seed in range(first, first + recipe.pictures)]
        return DetectionBatch(
            np.stack([fit_square(scene.image, side, "letterbox") for scene in scenes]),
            tuple(to_truth(scene, side) for scene in scenes),
        )


def to_truth(scene: Scene, side_px: int) -> Truth:
    """Return what the detector is to say of a scene that is letterboxed into a square of `side_px`."""
    height, width = scene.image.shape[:2]
    scale, left, top = letterbox_placing(width, height, side_px)

    def placed(boxes: Floats) -> torch.Tensor:
        return torch.from_numpy(boxes * np.float32(scale) + np.array([left, top] * 2, np.float32))

    quality = np.stack([scene.viewpoint, scene.occlusion_class, scene.crop_class], axis=1)
    return Truth(
        placed(scene.boxes),
        torch.from_numpy(scene.classes),
        torch.from_numpy(quality),
        torch.from_numpy(scene.instance),
        placed(scene.ignored),
    )


def train_detector(
    start: HouseDetector,
    batches: DetectionBatches,
    schedule: DetectionSchedule,
    report: Callable[[DetectionProgress], None],
) -> HouseDetector:
    """Return a trained copy of `start`, its weights averaged over the last steps; `report` is called after each."""
    net = copy.deepcopy(start).train()
    net.backbone.freeze(schedule.frozen_blocks)
    net.backbone.head.requires_grad_(False)  # the encoder's last map, of no use here
    backbone = [parameter for parameter in net.backbone.parameters() if parameter.requires_grad]
    heads = [parameter for name, parameter in net.named_parameters() if not name.startswith("backbone.")]
    optimizer = torch.optim.AdamW(
        [{"params": backbone, "lr": schedule.backbone_rate}, {"params": heads, "lr": schedule.head_rate}],
        weight_decay=schedule.weight_decay,
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_at(step, schedule))
    averaged = copy.deepcopy(net).eval()
    for step, batch in enumerate(batch_loader(batches, 0, schedule.steps, schedule.workers)):
        pixels = torch.from_numpy(batch.pixels)
        losses = detection_losses(net, net(pixels), batch.truths, pixels.shape[1])
        loss = torch.stack([schedule.weights[name] * value for name, value in losses.items()]).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), schedule.clip)
        optimizer.step()
        scheduler.step()
        _average(averaged, net, min(schedule.average, (1 + step) / (10 + step)))
        report(DetectionProgress(step + 1, {name: float(value.detach()) for name, value in losses.items()}))
    return averaged


@torch.no_grad()
def _average(averaged: HouseDetector, net: HouseDetector, share: float) -> None:
    for old, new in zip(averaged.parameters(), net.parameters(), strict=True):
        old.lerp_(new, 1 - share)
