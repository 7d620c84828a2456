"""Anchors: the boxes that the region proposal network starts from (Ren et al., NeurIPS 2015, 3.1.1)."""

from __future__ import annotations

import torch
from torch import Tensor


def anchor_shapes(sides: tuple[float, ...], ratios: tuple[float, ...]) -> Tensor:
    """Return boxes around the origin, float32 (A, 4): each side with each ratio of height to width, the area kept."""
    side = torch.tensor(sides).repeat_interleave(len(ratios))
    stretch = torch.tensor(ratios).sqrt().repeat(len(sides))
    half = torch.stack([side / stretch, side * stretch], dim=1) / 2
    return torch.cat([-half, half], dim=1)


def place_anchors(shapes: Tensor, height: int, width: int, stride: int) -> Tensor:
    """Return the anchors of a map of height x width cells, float32 (height * width * A, 4), rows first, pixels.

    shapes: (A, 4) around the origin; each stands at the centre of each cell.
    """
    y = (torch.arange(height, device=shapes.device, dtype=shapes.dtype) + 0.5) * stride
    x = (torch.arange(width, device=shapes.device, dtype=shapes.dtype) + 0.5) * stride
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    centres = torch.stack([columns, rows, columns, rows], dim=-1).view(-1, 1, 4)
    return (centres + shapes).view(-1, 4)
