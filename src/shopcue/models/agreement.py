"""Does an upright cut-out agree with a shop picture place by place? This tells packs of one brand apart.

Matched points count what two packs share, and twins share their logo and most of their print. So the photo's cut-out is
laid on the picture and compared cell by cell by normalised cross-correlation (Lewis, Vision Interface 1995), which
ignores the light. Each cell may move by a few pixels, because no pack is flat and no map exact. A hand in front lowers
the agreement of all candidates alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from shopcue.records import Floats, Image

SIDE_PX = 96
"""The longer side of a picture as it is compared: fine enough for words, coarse enough for a map that is a bit off."""

SLACK_PX = 2
"""How far a cell may move; a cut-out is so much larger than its picture on every side."""

_GROUND_TOLERANCE = 12  # of 255: as `image.trim_margins` has it
_FULL_CONTRAST = 25.0  # a deviation of the values in a cell beyond which it does not count for more


@dataclass(frozen=True, slots=True)
class _Layer:
    """One side of a picture: values float32 (H, W, C), and each cell's mean (H, W, C), variance and weight (H, W)."""

    values: Floats
    mean: Floats
    variance: Floats
    weight: Floats
    cell_px: int
    noise: float  # a variance: what cells without print have, so that they agree with nothing


@dataclass(frozen=True, slots=True)
class Template:
    """A shop picture made ready to be compared with. size: (width, height) in pixels."""

    size: tuple[int, int]
    luma: _Layer
    chroma: _Layer


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well a cut-out agrees with a picture, each in [0, 1]. luma: in what is printed; chroma: in its colours."""

    luma: float
    chroma: float


def make_template(picture: Image) -> Template:
    """Return a shop picture as a template. RGB uint8 (H, W, 3) of any size."""
    factor = SIDE_PX / max(picture.shape[:2])
    size = (max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor)))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    mask = product_mask(picture).astype(np.float32)
    shown = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.float32)
    luma, chroma = _luma_chroma(np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8))
    return Template(size, _layer(luma, shown, 11, 36.0), _layer(chroma, shown, 25, 16.0))


def product_mask(picture: Image) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Say which pixels show the product: all but the plain ground that reaches the border. -> bool (H, W)."""
    corners = np.stack([picture[0, 0], picture[0, -1], picture[-1, 0], picture[-1, -1]])
    ground = np.median(corners.astype(np.float32), axis=0)
    plain = (np.abs(picture - ground).max(axis=2) <= _GROUND_TOLERANCE).astype(np.uint8)
    _, regions = cv2.connectedComponents(plain, connectivity=4)
    border = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    outside = np.isin(regions, border[border > 0])
    return ~outside if not outside.all() else np.ones_like(outside)


def agreement(template: Template, cutout: Image) -> Agreement:
    """Compare a template with what lies in its place. cutout: RGB uint8, `SLACK_PX` larger than `size` on each side."""
    luma, chroma = _luma_chroma(cutout)
    return Agreement(_agreement(template.luma, luma), _agreement(template.chroma, chroma))


def _agreement(layer: _Layer, values: Floats) -> float:
    """Return the weighted mean over all cells of the best correlation that each finds within the slack."""
    height, width, channels = layer.values.shape
    moved = sliding_window_view(values, (height, width), axis=(0, 1)).reshape(-1, channels, height, width)
    moved = np.ascontiguousarray(moved.transpose(2, 3, 1, 0))  # (H, W, C, shifts)
    mean = _cells(moved, layer.cell_px)
    variance = _variance(moved, mean, layer.cell_px)
    both = _cells(moved * layer.values[..., None], layer.cell_px) - mean * layer.mean[..., None]
    scale = np.sqrt((variance + layer.noise) * (layer.variance + layer.noise)[..., None])
    best = (both.sum(axis=2) / scale).max(axis=2).clip(0, 1)
    return float((layer.weight * best).sum() / (layer.weight.sum() + 1e-6))


def _layer(values: Floats, shown: Floats, cell_px: int, noise: float) -> _Layer:
    mean = _cells(values[..., None], cell_px)
    variance = _variance(values[..., None], mean, cell_px)[..., 0]
    weight = np.minimum(np.sqrt(variance), _FULL_CONTRAST) * shown
    return _Layer(values, mean[..., 0], variance, weight.astype(np.float32), cell_px, noise)


def _variance(values: Floats, mean: Floats, cell_px: int) -> Floats:
    """Return the variance in each cell, summed over the channels: (H, W, C, N) -> (H, W, N)."""
    return np.asarray((_cells(values * values, cell_px) - mean * mean).clip(0, None).sum(axis=2), np.float32)


def _cells(values: Floats, cell_px: int) -> Floats:
    """Return the mean of the square cell around each pixel, (H, W, C, N) -> the same."""
    flat = np.ascontiguousarray(values, np.float32).reshape(*values.shape[:2], -1)
    mean = cv2.boxFilter(flat, cv2.CV_32F, (cell_px, cell_px), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(mean, np.float32).reshape(values.shape)


def _luma_chroma(image: Image) -> tuple[Floats, Floats]:
    """Return lightness (H, W, 1) and the two colour axes (H, W, 2) of CIE Lab, as OpenCV scales them to 0..255."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32)
    return np.ascontiguousarray(lab[..., :1]), np.ascontiguousarray(lab[..., 1:])
