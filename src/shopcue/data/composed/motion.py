"""Smooth motion: what moves as a hand or a camera does, as a function of time alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Sway:
    """Channels that move smoothly, two sines each. amplitude: (C,). rate_hz, phase: (C, 2)."""

    amplitude: NDArray[np.float64]
    rate_hz: NDArray[np.float64]
    phase: NDArray[np.float64]

    def __call__(self, time_s: float) -> list[float]:
        """Return the C channels at a time, each within its amplitude."""
        waves = np.sin(2 * np.pi * (self.rate_hz * time_s + self.phase))
        values: list[float] = (self.amplitude * (0.75 * waves[:, 0] + 0.25 * waves[:, 1])).tolist()
        return values


@dataclass(frozen=True, slots=True)
class Stay:
    """When a thing is in its place, in seconds, and how it comes and goes.

    enters_s: when it has arrived. leaves_s: when it starts to go. door: the pixels between its place and where it
    comes from. crossing_s: what the way takes.
    """

    enters_s: float = -np.inf
    leaves_s: float = np.inf
    door: tuple[float, float] = (0.0, 0.0)
    crossing_s: float = 0.8

    def offset(self, time_s: float) -> tuple[float, float]:
        """Return how far the thing is from its place, in pixels."""
        coming, going = self.enters_s - time_s, time_s - self.leaves_s
        away = eased(coming / self.crossing_s) + eased(going / self.crossing_s)
        return away * self.door[0], away * self.door[1]


def draw_sway(rng: Rng, reach: tuple[float, ...], slowest_hz: float = 0.05, fastest_hz: float = 0.5) -> Sway:
    """Return a motion whose channels reach at most as far as `reach` says."""
    count = len(reach)
    amplitude = np.array(reach) * rng.uniform(0.3, 1, count)
    return Sway(amplitude, rng.uniform(slowest_hz, fastest_hz, (count, 2)), rng.uniform(0, 1, (count, 2)))


def draw_stay(rng: Rng, size: tuple[int, int], duration_s: float, share: float = 0.25) -> Stay:
    """Return a stay in a sequence; at `share` each, the thing comes or goes while it is filmed. size: of the frame."""
    angle, stay = rng.uniform(0, 2 * np.pi), Stay()
    enters_s = float(rng.uniform(0, 0.6 * duration_s + stay.crossing_s)) if rng.random() < share else -np.inf
    leaves_s = max(enters_s, 0.0) + float(rng.uniform(0.2, 1)) * duration_s if rng.random() < share else np.inf
    far = 1.3 * max(size)
    return Stay(enters_s, leaves_s, (far * float(np.cos(angle)), far * float(np.sin(angle))))


def eased(share: float) -> float:
    """Return 0 up to 0, 1 from 1 on, and a smooth way between."""
    bounded = min(max(share, 0.0), 1.0)
    return bounded * bounded * (3 - 2 * bounded)
