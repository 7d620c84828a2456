"""DPRNet's losses (equations 1-3), one function each.

Every loss is a mean over what was sampled of ONE picture, and the loss of a batch is the mean over its pictures. So a
batch that is split over several processes, each with as many pictures, has the same loss and the same gradients.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from shopcue.records import QUALITIES

UNKNOWN = -1
"""A label that is not known; it adds nothing."""

RPN_TERMS = ("rpn_class", "rpn_box")
RCNN_TERMS = ("rcnn_class", "rcnn_box")
FASTER_RCNN_TERMS = RPN_TERMS + RCNN_TERMS
QUALITY_TERMS = QUALITIES
INSTANCE_TERMS = ("instance",)


def faster_rcnn_loss(terms: Mapping[str, Tensor]) -> Tensor:
    """Return equation 1: L_rpn_cls + L_rpn_reg + L_rcnn_cls + L_rcnn_reg."""
    return torch.stack([terms[name] for name in FASTER_RCNN_TERMS]).sum()


def quality_loss(terms: Mapping[str, Tensor]) -> Tensor:
    """Return equation 2: L_occlusion + L_viewpoint + L_crop."""
    return torch.stack([terms[name] for name in QUALITY_TERMS]).sum()


def detection_loss(terms: Mapping[str, Tensor]) -> Tensor:
    """Return equation 3: L_fasterrcnn + L_quality + L_instance."""
    return faster_rcnn_loss(terms) + quality_loss(terms) + terms["instance"]


def objectness_loss(logits: Tensor, is_thing: Tensor) -> Tensor:
    """Return the cross entropy of two classes, thing or background. logits, is_thing (0 or 1): (S,)."""
    if not len(logits):
        return logits.sum()
    return F.binary_cross_entropy_with_logits(logits, is_thing.to(logits.dtype))


def box_loss(deltas: Tensor, wanted: Tensor, sampled: int, beta: float) -> Tensor:
    """Return the smooth L1 of the boxes of things, summed over four numbers and divided by all that was sampled.

    deltas, wanted: (P, 4), of the P things among `sampled` candidates. beta: where the parabola becomes a line
    (Girshick, ICCV 2015, eq. 3). Dividing by `sampled` and not by P keeps a picture with few things from weighing more.
    """
    return F.smooth_l1_loss(deltas, wanted, beta=beta, reduction="sum") / max(sampled, 1)


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross entropy over the labels that are known, 0 where none is. (S, C), int64 (S,) -> ().

    The class of a box, each quality and the instance are all trained by it.
    """
    known = labels != UNKNOWN
    return F.cross_entropy(logits[known], labels[known], reduction="sum") / known.sum().clamp(min=1)
