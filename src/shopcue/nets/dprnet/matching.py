"""Which anchors and proposals stand for which thing of a picture, and which of them are trained on."""

from __future__ import annotations

import torch
from torch import Tensor

from shopcue.nets.dprnet.boxes import area, iou, overlap_area

BACKGROUND = -1
UNDECIDED = -2


def match(candidates: Tensor, truth: Tensor, low: float, high: float, *, best_too: bool) -> Tensor:
    """Return for each candidate the thing that it stands for, `BACKGROUND` or `UNDECIDED`: int64 (N,).

    candidates: (N, 4), truth: (G, 4). A candidate stands for the thing that it overlaps most, if by `high` or more;
    it is background below `low`. best_too: for each thing, the candidates that overlap it most stand for what they
    overlap most, however little, if at all: so that no thing is left without one (Ren et al., 3.1.2).
    """
    if not len(truth) or not len(candidates):
        return torch.full((len(candidates),), BACKGROUND, dtype=torch.int64, device=candidates.device)
    overlap = iou(candidates, truth)
    most, nearest = overlap.max(dim=1)
    matched = torch.full_like(nearest, UNDECIDED)
    matched[most < low] = BACKGROUND
    decided = most >= high
    if best_too:
        best = overlap.max(dim=0).values
        decided |= ((overlap == best) & (best > 0)).any(dim=1)
    return torch.where(decided, nearest, matched)


def spare(matched: Tensor, candidates: Tensor, ignored: Tensor, share: float = 0.5) -> Tensor:
    """Return `matched` with background that lies by `share` or more in one of `ignored` made `UNDECIDED`: int64 (N,).

    candidates: (N, 4). ignored: (K, 4), where things may be that nobody labelled.
    """
    if not len(ignored):
        return matched
    inside = (overlap_area(candidates, ignored) >= share * area(candidates)[:, None]).any(dim=1)
    return matched.masked_fill(inside & (matched == BACKGROUND), UNDECIDED)


def sample(matched: Tensor, count: int, positive_share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return a random choice of candidates to train on: (indices of things, indices of background), int64.

    At most `count` in all and at most `positive_share` of it things; background fills up the rest. generator: on the
    CPU, so that the choice is the same on every device.
    """
    positive = (matched >= 0).nonzero()[:, 0]
    negative = (matched == BACKGROUND).nonzero()[:, 0]
    positive = _choose(positive, int(count * positive_share), generator)
    return positive, _choose(negative, count - len(positive), generator)


def _choose(items: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return at most `count` of `items`, in random order."""
    order = torch.randperm(len(items), generator=generator)[:count]
    return items[order.to(items.device)]
