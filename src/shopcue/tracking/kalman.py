"""Where a thing will be: a Kalman filter on boxes, with a clock in seconds.

A box is four numbers that move independently: the centre (x, y), the logarithm of the area and the logarithm of the
aspect (width over height), so that whatever is predicted is a box. Each has a value and a velocity, and velocities
die away: an integrated Ornstein-Uhlenbeck process (Johnson et al., Ecology 89, 2008). At two to four frames a second a
hand has mostly stopped or turned round by the next frame, and a thing out of sight has not left at constant speed.
Its moments are exact for every time step: two short predictions equal one long one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shopcue.records import Floats

Doubles = NDArray[np.float64]

MEMORY_S = 0.5
"""After so many seconds a velocity has fallen to 1/e."""

SPEED = np.array([1.0, 1.0, 0.8, 0.5])
"""The usual velocity: sides of the box a second for the centre, log units a second for area and aspect."""

NOISE = np.array([0.06, 0.06, 0.12, 0.08])
"""The usual error of a detector: sides of the box, and log units."""

_LEAST_SIDE_PX = 1.0


@dataclass(frozen=True, slots=True)
class Motion:
    """What is known of where boxes are and how they move; leading axes (...) stand for any number of boxes.

    mean: float64 (..., 4, 2), value and velocity per second of centre x, centre y (pixels), log area and log aspect.
    covariance: float64 (..., 4, 2, 2), of value and velocity; the four are independent of each other.
    """

    mean: Doubles
    covariance: Doubles


def start(boxes: Floats) -> Motion:
    """Return what a first sight tells: the place, and nothing about the velocity. boxes: (..., 4), xyxy pixels."""
    value = _coordinates(boxes)
    unit = _units(value)
    covariance = np.zeros((*value.shape, 2, 2))
    covariance[..., 0, 0] = (NOISE * unit) ** 2
    covariance[..., 1, 1] = (SPEED * unit) ** 2
    return Motion(np.stack([value, np.zeros_like(value)], axis=-1), covariance)


def predict(motion: Motion, elapsed_s: float | Doubles) -> Motion:
    """Return the motion `elapsed_s` later; seconds, one number or one for each box (...)."""
    elapsed = np.asarray(elapsed_s, np.float64)[..., None]
    left = np.exp(-elapsed / MEMORY_S)
    step = np.zeros((*left.shape, 2, 2))
    step[..., 0, 0], step[..., 0, 1], step[..., 1, 1] = 1.0, MEMORY_S * (1 - left), left
    # What chance adds on the way, so that the velocity keeps its usual spread.
    added = np.zeros((*left.shape, 2, 2))
    added[..., 0, 0] = MEMORY_S**2 * (2 * elapsed / MEMORY_S - 3 + 4 * left - left**2)
    added[..., 0, 1] = added[..., 1, 0] = MEMORY_S * (1 - left) ** 2
    added[..., 1, 1] = 1 - left**2
    speed = (SPEED * _units(motion.mean[..., 0]))[..., None, None]
    return Motion(
        (step @ motion.mean[..., None])[..., 0],
        step @ motion.covariance @ np.swapaxes(step, -1, -2) + speed**2 * added,
    )


def correct(motion: Motion, boxes: Floats) -> Motion:
    """Return the motion after a sight of the boxes, (..., 4), xyxy pixels, at the time it was predicted for."""
    value = _coordinates(boxes)
    noise = (NOISE * _units(value)) ** 2
    spread = motion.covariance[..., 0, 0] + noise
    gain = motion.covariance[..., 0] / spread[..., None]
    surprise = value - motion.mean[..., 0]
    return Motion(
        motion.mean + gain * surprise[..., None],
        motion.covariance - gain[..., :, None] * gain[..., None, :] * spread[..., None, None],
    )


def boxes_of(motion: Motion) -> Floats:
    """Return where the boxes are, float32 (..., 4), xyxy pixels."""
    x, y, log_area, log_aspect = np.moveaxis(motion.mean[..., 0], -1, 0)
    width, height = np.exp((log_area + log_aspect) / 2), np.exp((log_area - log_aspect) / 2)
    return np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], axis=-1).astype(np.float32)


def stack(motions: Sequence[Motion]) -> Motion:
    """Return the motions of T single boxes as one, with the leading axis (T,)."""
    return Motion(np.stack([m.mean for m in motions]), np.stack([m.covariance for m in motions]))


def _coordinates(boxes: Floats) -> Doubles:
    x0, y0, x1, y1 = np.moveaxis(boxes.astype(np.float64), -1, 0)
    width, height = np.maximum(x1 - x0, _LEAST_SIDE_PX), np.maximum(y1 - y0, _LEAST_SIDE_PX)
    return np.stack([(x0 + x1) / 2, (y0 + y1) / 2, np.log(width * height), np.log(width / height)], axis=-1)


def _units(value: Doubles) -> Doubles:
    """Return in what each coordinate is measured, (..., 4): a near thing moves more pixels than a far one."""
    side = np.exp(value[..., 2] / 2)
    return np.stack([side, side, np.ones_like(side), np.ones_like(side)], axis=-1)
