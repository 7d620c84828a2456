"""Boxes and windows: `xyxy` pixels, float32, half-open on the right and at the bottom."""

from __future__ import annotations

import numpy as np

from shopcue.records import Floats, Image, Indices


def area(boxes: Floats) -> Floats:
    """Return the area of each box, 0 where a box is empty. boxes: (..., 4) -> (...), square pixels."""
    width = np.clip(boxes[..., 2] - boxes[..., 0], 0, None)
    height = np.clip(boxes[..., 3] - boxes[..., 1], 0, None)
    return np.asarray(width * height, np.float32)


def iou(a: Floats, b: Floats) -> Floats:
    """Return the intersection over union of every box of `a` with every box of `b`. (N, 4), (M, 4) -> (N, M)."""
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.prod(np.clip(bottom_right - top_left, 0, None), axis=-1)
    either = area(a)[:, None] + area(b)[None, :] - both
    return np.asarray(np.where(either > 0, both / np.maximum(either, 1e-9), 0), np.float32)


def nms(boxes: Floats, scores: Floats, threshold: float) -> Indices:
    """Return which boxes are kept, best first: each drops the worse ones that overlap it by more than `threshold`.

    boxes: (N, 4). scores: (N,); of equal ones the first counts as better. threshold: of the IoU. -> int64 (K,).
    """
    overlap = iou(boxes, boxes)
    alive = np.ones(len(boxes), bool)
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        if alive[index]:
            kept.append(int(index))
            alive &= overlap[index] <= threshold
    return np.array(kept, np.int64)


def widened(box: Floats, share: float) -> Floats:
    """Return the box with `share` of its sides added on each side of it. (..., 4) -> (..., 4)."""
    border = np.concatenate([box[..., 2:] - box[..., :2]] * 2, axis=-1) * np.array([-share, -share, share, share])
    return np.asarray(box + border, np.float32)


def off_centre(boxes: Floats, width: float, height: float) -> Floats:
    """Return how far the middles of boxes are from that of the frame, 0 to 1 at its corners. (..., 4) -> (...)."""
    x = (boxes[..., 0] + boxes[..., 2]) / width - 1
    y = (boxes[..., 1] + boxes[..., 3]) / height - 1
    return np.asarray(np.sqrt((x * x + y * y) / 2), np.float32)


def crop(image: Image, box: Floats) -> Image:
    """Return the part of `image` under `box`, cut at the borders and at least one pixel wide and high."""
    height, width = image.shape[:2]
    x0, y0 = int(np.clip(box[0], 0, width - 1)), int(np.clip(box[1], 0, height - 1))
    x1, y1 = int(np.clip(np.ceil(box[2]), x0 + 1, width)), int(np.clip(np.ceil(box[3]), y0 + 1, height))
    return image[y0:y1, x0:x1]


def windows(width: int, height: int) -> Floats:
    """Return the windows of a frame that are looked at when nothing says where its product is: float32 (5, 4).

    The whole frame first, for its context; then squares in the middle of the shorter side, where a hand holds a product
    up: one of 85 % of it, and three of 60 % along the longer side.
    """
    short = min(width, height)
    boxes = [(0.0, 0.0, float(width), float(height))]
    for share, along in ((0.85, 0.5), (0.6, 0.28), (0.6, 0.5), (0.6, 0.72)):
        x, y = (along * width, height / 2) if width >= height else (width / 2, along * height)
        half = share * short / 2
        x, y = min(max(x, half), width - half), min(max(y, half), height - half)
        boxes.append((x - half, y - half, x + half, y + half))
    return np.array(boxes, np.float32)


def squares(width: int, height: int) -> Floats:
    """Return those of the windows that lie in the very middle, 85 and 60 % of the shorter side: float32 (2, 4)."""
    return windows(width, height)[[1, 3]]
