"""What is composed: scenes and sequences, all that is known about them, and the rules that make classes of shares."""

from __future__ import annotations

from collections.abc import Sequence as Several
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shopcue.records import Floats, Image, Indices

VIEWPOINT_LIMITS_DEG = (25.0, 50.0)
"""A thing turned less than this about its vertical axis is frontal; less than that, turned; else steep."""

OCCLUSION_LIMITS = (0.1, 0.4)
"""Less covered than this is free; less than that, slightly covered; else heavily."""

CROP_LIMITS = (0.05, 0.35)
"""Less outside the frame than this is whole; less than that, slightly cut; else heavily."""

LEAST_VISIBLE = 0.15
"""A thing of which less than this share is to be seen is not labelled: its box is among those to ignore."""

UNKNOWN = -1
"""The level of a quality that nobody knows, of things in whole photos."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One composed picture and the truth about its N things, from back to front.

    image: RGB uint8 (H, W, 3). boxes: float32 (N, 4), xyxy pixels, around the whole silhouette, covered parts too, cut
    at the frame. classes: int64 (N,), into `COARSE_CLASSES`. viewpoint: int64 (N,), 0 frontal, 1 turned, 2 steep or
    `UNKNOWN`. occlusion: float32 (N,), the share of the silhouette inside the frame that other things cover. crop:
    float32 (N,), the share of the silhouette's area outside the frame; both NaN where nobody knows. instance: int64
    (N,), which article of the stock, -1 for one that is not in it. track: int64 (N,), the same for the same thing in
    all scenes of a sequence. ignored: float32 (K, 4), boxes in which a detection is neither right nor wrong.
    """

    image: Image
    boxes: Floats
    classes: Indices
    viewpoint: Indices
    occlusion: Floats
    crop: Floats
    instance: Indices
    track: Indices
    ignored: Floats

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def occlusion_class(self) -> Indices:
        """0 free, 1 slightly, 2 heavily covered, or `UNKNOWN`; int64 (N,)."""
        return levels(self.occlusion, OCCLUSION_LIMITS)

    @property
    def crop_class(self) -> Indices:
        """0 whole, 1 slightly, 2 heavily cut by the frame, or `UNKNOWN`; int64 (N,)."""
        return levels(self.crop, CROP_LIMITS)


@dataclass(frozen=True, slots=True)
class Sequence:
    """A composed stretch of video. time_s: float64 (T,), seconds, increasing. scenes: T of them, of one size."""

    time_s: NDArray[np.float64]
    scenes: tuple[Scene, ...]

    def __len__(self) -> int:
        return len(self.scenes)


def levels(values: Floats | Several[float], limits: tuple[float, float]) -> Indices:
    """Return 0 below the first limit, 1 below the second, else 2; `UNKNOWN` of NaN. (N,) -> int64 (N,)."""
    shares = np.asarray(values, np.float64)
    found = np.searchsorted(np.array(limits), shares, side="right")
    return np.where(np.isnan(shares), UNKNOWN, found).astype(np.int64)
