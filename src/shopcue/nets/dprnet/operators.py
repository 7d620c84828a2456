"""The two operators that PyTorch lacks, as a seam: the detector's path to its answers is written once, on these.

Training and tests use `TorchOperators`; an export puts ONNX's own operators in their place (`nets/dprnet/export.py`).
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from shopcue.nets.dprnet.boxes import nms
from shopcue.nets.dprnet.roi_align import roi_align


class Operators(Protocol):
    """What samples features under boxes, and what removes boxes that say the same."""

    def roi_align(self, features: Tensor, boxes: Tensor, pictures: Tensor, side: int, scale: float) -> Tensor:
        """Return (R, C, side, side): see `shopcue.nets.dprnet.roi_align`."""

    def stays(self, boxes: Tensor, scores: Tensor, classes: Tensor, class_count: int, threshold: float) -> Tensor:
        """Return which boxes stay after suppression within each class of each picture: bool (N, K).

        boxes: (N, K, 4), scores: (N, K), a score of -inf marks no box at all; classes: int64 (N, K).
        """


class TorchOperators:
    """Both in plain PyTorch."""

    def roi_align(self, features: Tensor, boxes: Tensor, pictures: Tensor, side: int, scale: float) -> Tensor:
        """Return (R, C, side, side)."""
        return roi_align(features, boxes, pictures, side, scale)

    def stays(self, boxes: Tensor, scores: Tensor, classes: Tensor, class_count: int, threshold: float) -> Tensor:
        """Return which boxes stay, bool (N, K)."""
        stays = torch.zeros_like(scores, dtype=torch.bool)
        for index in range(len(boxes)):
            there = scores[index].isfinite().nonzero()[:, 0]
            kept = nms(boxes[index, there], scores[index, there], threshold, classes[index, there])
            stays[index, there[kept]] = True
        return stays
