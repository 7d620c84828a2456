"""RoIAlign (He et al., ICCV 2017) in plain PyTorch: exact, differentiable, of bounded memory.

Every value of a pooled map is a weighted sum of a few cells of the feature map. `embedding_bag` is just that, a sum of
chosen rows with given weights, so nothing but the result is ever held.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def roi_align(features: Tensor, boxes: Tensor, pictures: Tensor, side: int, scale: float, samples: int = 2) -> Tensor:
    """Return the features under each box, sampled to a square: (R, C, side, side).

    features: float (N, C, H, W). boxes: (R, 4), xyxy pixels of the input. pictures: int64 (R,), which of the N a box
    lies in. scale: cells a pixel, 1 / stride. samples: points a bin along each side. A pixel's centre lies at half, as
    in the paper's corrected form (`half_pixel` of ONNX); points more than one cell outside the map count as 0.
    """
    _, channels, height, width = features.shape
    features = features.to(boxes.dtype)  # half precision is too coarse for positions, and sums of it for weights
    cells = boxes * scale - 0.5
    rows, row_weights = _taps(cells[:, 1], cells[:, 3], side, samples, height)
    columns, column_weights = _taps(cells[:, 0], cells[:, 2], side, samples, width)
    # (R, side, side, taps of the row, taps of the column)
    at = pictures[:, None, None, None, None] * height + rows[:, :, None, :, None]
    at = at * width + columns[:, None, :, None, :]
    weights = row_weights[:, :, None, :, None] * column_weights[:, None, :, None, :]
    taps = 4 * samples * samples
    table = features.permute(0, 2, 3, 1).reshape(-1, channels)
    pooled = F.embedding_bag(at.reshape(-1, taps), table, mode="sum", per_sample_weights=weights.reshape(-1, taps))
    return pooled.view(-1, side, side, channels).permute(0, 3, 1, 2)


def _taps(start: Tensor, end: Tensor, side: int, samples: int, length: int) -> tuple[Tensor, Tensor]:
    """Return cells and weights along one axis for each bin: int64 and float (R, side, 2 * samples).

    start, end: (R,), where the boxes begin and end, in cells. The weights of a bin sum to 1 inside the map.
    """
    points = torch.arange(side * samples, device=start.device, dtype=start.dtype)
    step = (end - start) / (side * samples)
    position = start[:, None] + (points + 0.5) * step[:, None]
    inside = (position >= -1) & (position <= length)
    position = position.clamp(0, length - 1)
    low = position.floor()
    high = (low + 1).clamp(max=length - 1)
    share = position - low
    weights = torch.stack([1 - share, share], dim=-1) * inside[..., None] / samples
    cells = torch.stack([low, high], dim=-1).long()
    return cells.view(-1, side, 2 * samples), weights.view(-1, side, 2 * samples)
