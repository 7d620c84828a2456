"""Boxes as tensors: coding against anchors, overlap, and suppression of those that say the same.

All boxes are `xyxy` pixels, float32, as in `shopcue.geometry`; widths are x1 - x0, with no pixel added.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LARGEST_GROWTH = math.log(1000 / 16)
"""A decoded side is at most 62.5 times its anchor's: exp() of a wild logit must not overflow."""


def encode(boxes: Tensor, anchors: Tensor, scale: Tensor) -> Tensor:
    """Return what turns `anchors` into `boxes`: (..., 4) offsets of the centre and logarithms of the sides.

    boxes, anchors: (..., 4) with sides above 0. scale: (4,), a factor on each, so that regression targets have about
    unit spread. Girshick et al., CVPR 2014, appendix C.
    """
    centre, sides = _centre_and_sides(boxes)
    anchor_centre, anchor_sides = _centre_and_sides(anchors)
    deltas = torch.cat([(centre - anchor_centre) / anchor_sides, torch.log(sides / anchor_sides)], dim=-1)
    return deltas * scale


def decode(deltas: Tensor, anchors: Tensor, scale: Tensor) -> Tensor:
    """Return the boxes that `deltas` say against `anchors`: the inverse of `encode`. All (..., 4)."""
    deltas = deltas / scale
    anchor_centre, anchor_sides = _centre_and_sides(anchors)
    centre = anchor_centre + deltas[..., :2] * anchor_sides
    half = anchor_sides * torch.exp(deltas[..., 2:].clamp(max=LARGEST_GROWTH)) / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def clip(boxes: Tensor, height: int, width: int) -> Tensor:
    """Return `boxes` cut at the borders of a picture of height x width pixels. (..., 4) -> (..., 4)."""
    x, y = boxes[..., 0::2].clamp(0, width), boxes[..., 1::2].clamp(0, height)
    return torch.stack([x, y], dim=-1).flatten(-2)


def is_thin(boxes: Tensor) -> Tensor:
    """Return which boxes are less than a pixel wide or high. (..., 4) -> bool (...)."""
    return (boxes[..., 2:] - boxes[..., :2]).amin(dim=-1) < 1


def area(boxes: Tensor) -> Tensor:
    """Return the area of each box, 0 where it is empty. (..., 4) -> (...), square pixels."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(dim=-1)


def overlap_area(a: Tensor, b: Tensor) -> Tensor:
    """Return the area that every box of `a` shares with every box of `b`. (N, 4), (M, 4) -> (N, M), square pixels."""
    top_left = torch.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    return (bottom_right - top_left).clamp(min=0).prod(dim=-1)


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union of every box of `a` with every box of `b`. (N, 4), (M, 4) -> (N, M)."""
    both = overlap_area(a, b)
    either = area(a)[:, None] + area(b)[None, :] - both
    return torch.where(both > 0, both / either, torch.zeros_like(both))


def nms(boxes: Tensor, scores: Tensor, threshold: float, classes: Tensor | None = None) -> Tensor:
    """Return which boxes stay, best first, when each box removes the worse ones that overlap it by more than threshold.

    boxes: (N, 4). scores: (N,); of equal scores the first counts as better. classes: (N,), boxes of two classes do not
    remove each other; one class where None. Returns int64 (K,), indices.

    Greedy suppression is the only fixed point of 'a box stays if no staying better box covers it': each round settles
    at least the best box that is not settled yet, in practice nearly all of them, and a round is one matrix product.
    """
    order = scores.argsort(descending=True, stable=True)
    sorted_boxes = boxes[order]
    covers = (iou(sorted_boxes, sorted_boxes) > threshold).triu(diagonal=1)  # [i, j]: i is better than j and covers it
    if classes is not None:
        covers &= classes[order][:, None] == classes[order][None, :]
    covers_as_numbers = covers.float()
    stays = torch.ones(len(order), dtype=torch.bool, device=boxes.device)
    while True:
        settled = (stays.float() @ covers_as_numbers) == 0
        if torch.equal(settled, stays):
            return order[stays]
        stays = settled


def _centre_and_sides(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Return centres and sides, each (..., 2)."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
