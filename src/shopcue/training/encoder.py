"""Training of the image encoder: one explicit loop over batches of pairs.

The loop knows nothing about data sets or files: it is given pairs and gives back a net.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from shopcue.nets.backbones import PictureEncoder
from shopcue.nets.losses import info_nce
from shopcue.records import Floats, Image
from shopcue.training.pairs import PairBatches
from shopcue.training.steps import batch_loader, rate_at


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast: steps, learning rates at their peak, and how much of the net stands still.

    Both rates rise over `warmup` steps and fall on a cosine to zero. frozen_blocks: besides the stem.
    """

    steps: int = 250
    warmup: int = 10
    backbone_rate: float = 2e-4
    projection_rate: float = 1e-3
    weight_decay: float = 0.02
    temperature: float = 0.05
    frozen_blocks: int = 5
    workers: int = 1


@dataclass(frozen=True, slots=True)
class Progress:
    """What one step did: its number, the loss, and the share of queries whose own key was the nearest."""

    step: int
    loss: float
    first: float


def train_encoder(
    start: PictureEncoder, batches: PairBatches, schedule: Schedule, report: Callable[[Progress], None]
) -> PictureEncoder:
    """Return a trained copy of `start`; `report` is called after each step.

    The pairs that a loss of `info_nce` sees are the whole batch, goods and garments together, with no queue of past
    keys: without a momentum encoder, stale keys cost more than they bring.
    """
    encoder = copy.deepcopy(start).train()
    encoder.backbone.freeze(schedule.frozen_blocks)
    moving = [parameter for parameter in encoder.backbone.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": moving, "lr": schedule.backbone_rate},
            {"params": encoder.projection.parameters(), "lr": schedule.projection_rate},
        ],
        weight_decay=schedule.weight_decay,
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_at(step, schedule))
    for step, batch in enumerate(batch_loader(batches, 0, schedule.steps, schedule.workers)):
        pixels = torch.from_numpy(np.concatenate([batch.queries, batch.keys]))
        queries, keys = encoder(pixels).chunk(2)
        loss = info_nce(queries, keys, torch.from_numpy(batch.products), schedule.temperature)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        scheduler.step()
        nearest = (queries @ keys.T).argmax(dim=1)
        first = (nearest == torch.arange(len(queries))).float().mean()
        report(Progress(step + 1, float(loss.detach()), float(first)))
    return encoder.eval()


@torch.no_grad()
def blend(start: PictureEncoder, trained: PictureEncoder, share: float) -> PictureEncoder:
    """Return the net whose every weight lies between the two: `share` of the way from `start` to `trained`.

    What was learnt on a few goods costs other footage; half-way nets keep most of both (Wortsman et al., CVPR 2022).
    """
    between = copy.deepcopy(start)
    theirs = trained.state_dict()
    between.load_state_dict(
        {name: torch.lerp(value, theirs[name], share) for name, value in start.state_dict().items()}
    )
    return between.eval()


@torch.no_grad()
def embed(encoder: PictureEncoder, squares: Image, batch: int = 32) -> Floats:
    """Return what the net makes of squares in PyTorch. uint8 (N, S, S, 3) -> float32 (N, dim)."""
    encoder.eval()
    parts = [encoder(torch.from_numpy(squares[i : i + batch])) for i in range(0, len(squares), batch)]
    return np.asarray(torch.cat(parts).numpy(), np.float32)
