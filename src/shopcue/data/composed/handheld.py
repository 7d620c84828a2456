"""A photo of a product, filmed again by a camera that moves: its box stays known, whatever the camera does."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from shopcue.data.composed.layers import Label, Marked
from shopcue.data.composed.motion import Rng, Sway, draw_sway
from shopcue.records import Floats, Image

_REACH = (0.12, 0.09, 0.14, 6.0)  # of the camera: shares of the frame across and down, log zoom, degrees of roll
_PERSPECTIVE = 0.1


@dataclass(frozen=True, slots=True)
class Filmed:
    """A photo before a camera.

    outline: float64 (n, 2), pixels of the photo around the product. placing: float64 (3, 3), from the photo to the
    frame at rest. sway moves x, y (pixels), log zoom and roll (degrees).
    """

    image: Image
    outline: NDArray[np.float64]
    label: Label
    placing: NDArray[np.float64]
    sway: Sway

    def seen(self, time_s: float, size: tuple[int, int]) -> tuple[Image, list[Marked]]:
        """Return the photo at a time, RGB of a size (width, height), and where its product lies."""
        dx, dy, grown, roll = self.sway(time_s)
        moved = _about((size[0] / 2, size[1] / 2), math.exp(grown), roll, (dx, dy)) @ self.placing
        flags, border = cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101
        image = cv2.warpPerspective(self.image, moved, size, flags=flags, borderMode=border)
        placed = cv2.perspectiveTransform(self.outline[None], moved)[0]
        (x0, y0), (x1, y1) = placed.min(axis=0).tolist(), placed.max(axis=0).tolist()
        return np.asarray(image, np.uint8), [Marked((x0, y0, x1, y1), self.label)]


def film(image: Image, outline: Floats, label: Label, size: tuple[int, int], share: float, rng: Rng) -> Filmed:
    """Return a photo before a camera that shows its product at a share of the frame, turned and tilted a little.

    outline: float32 (n, 2), shares of the photo's width and height.
    """
    height, width = image.shape[:2]
    points = outline.astype(np.float64) * (width, height)
    (x0, y0), (x1, y1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    scale = share * min(size[0] / (x1 - x0), size[1] / (y1 - y0))
    scale = max(scale, 1.05 * max(size[0] / width, size[1] / height))  # beyond its borders a photo is mirrored
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    tilted = corners + rng.normal(0, _PERSPECTIVE / 2, (4, 2)) * np.array([width, height])
    leaned = cv2.getPerspectiveTransform(corners, tilted.astype(np.float32))
    middle = scale * np.array([x0 + x1, y0 + y1]) / 2
    at = np.array(size) * (0.5 + rng.normal(0, 0.07, 2)) - middle
    filling = np.clip(at, np.array(size) - scale * np.array([width, height]), 0)
    at = np.clip(filling + middle, 0.2 * np.array(size), 0.8 * np.array(size)) - middle
    laid = np.array([(scale, 0, at[0]), (0, scale, at[1]), (0, 0, 1.0)])
    rolled = _about((size[0] / 2, size[1] / 2), 1.0, rng.normal(0, 7), (0, 0))
    reach = (_REACH[0] * size[0], _REACH[1] * size[1], *_REACH[2:])
    return Filmed(image, points, label, rolled @ laid @ leaned, draw_sway(rng, reach))


def _about(middle: tuple[float, float], zoom: float, roll_deg: float, move: tuple[float, float]) -> NDArray[np.float64]:
    """Return the map (3, 3) that zooms and turns about a point, then moves."""
    cosine, sine = zoom * math.cos(math.radians(roll_deg)), zoom * math.sin(math.radians(roll_deg))
    linear = np.array([(cosine, -sine), (sine, cosine)])
    offset = np.array(middle) - linear @ np.array(middle) + np.array(move)
    return np.vstack([np.column_stack([linear, offset]), (0, 0, 1)])
