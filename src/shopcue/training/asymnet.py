"""Training of AsymNet on tracklets of embeddings: one explicit loop over batches of things."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from shopcue.data.sampling import endless
from shopcue.nets.asymnet import AsymNet, mixture_loss
from shopcue.records import Floats, Indices


@dataclass(frozen=True, slots=True)
class Tracklets:
    """N tracklets as a net reads them.

    views: float32 (N, T, D), unit embeddings, zeros where a tracklet has ended. lengths: int64 (N,), from 1 to T.
    instances: int64 (N,), which thing each shows: the row of its picture in the gallery.
    """

    views: Floats
    lengths: Indices
    instances: Indices

    @classmethod
    def of(cls, views: list[Floats], instances: list[int]) -> Tracklets:
        """Return tracklets of several lengths, each float32 (t, D), as one."""
        lengths = np.array([len(each) for each in views], np.int64)
        padded = np.zeros((len(views), int(lengths.max()), views[0].shape[1]), np.float32)
        for row, each in zip(padded, views, strict=True):
            row[: len(each)] = each
        return cls(padded, lengths, np.array(instances, np.int64))


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast. batch: things, each with one tracklet; others: pictures of other things besides."""

    steps: int = 400
    batch: int = 32
    others: int = 64
    rate: float = 1e-3
    weight_decay: float = 0.02
    seed: int = 0


def train_asymnet(
    tracklets: Tracklets, pictures: Floats, schedule: Schedule, report: Callable[[int, float], None]
) -> AsymNet:
    """Return a net trained to pair tracklets with pictures; `report` takes each step and its loss.

    pictures: float32 (G, D), unit, the gallery that `tracklets.instances` points into.
    """
    torch.manual_seed(schedule.seed)
    rng = np.random.default_rng(schedule.seed)
    net = AsymNet(pictures.shape[1]).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=schedule.rate, weight_decay=schedule.weight_decay)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, schedule.steps)
    things = endless(sorted(set(tracklets.instances.tolist())), rng)
    for step in range(schedule.steps):
        chosen = _one_of_each([next(things) for _ in range(schedule.batch)], tracklets.instances, rng)
        shown = np.union1d(tracklets.instances[chosen], rng.integers(len(pictures), size=schedule.others))
        probability = net(
            torch.from_numpy(tracklets.views[chosen]),
            torch.from_numpy(tracklets.lengths[chosen]),
            torch.from_numpy(pictures[shown]),
        )
        same = torch.from_numpy(tracklets.instances[chosen][:, None] == shown[None, :])
        loss = mixture_loss(probability, same)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        scheduler.step()
        report(step + 1, float(loss.detach()))
    return net.eval()


@torch.no_grad()
def rank(net: AsymNet, tracklets: Tracklets, pictures: Floats) -> Floats:
    """Return the probability that each tracklet shows the thing of each picture. float32 (N, G)."""
    known = torch.from_numpy(pictures)
    rows = [
        net(torch.from_numpy(views[None, :length]), torch.tensor([length]), known)[0].numpy()
        for views, length in zip(tracklets.views, tracklets.lengths, strict=True)
    ]
    return np.stack(rows)


def _one_of_each(things: list[int], instances: Indices, rng: np.random.Generator) -> Indices:
    rows: list[NDArray[np.int64]] = [np.flatnonzero(instances == thing) for thing in things]
    return np.array([row[rng.integers(len(row))] for row in rows], np.int64)
