"""What looks at a stream, and what it says of a moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from shopcue.records import Detections, Floats, Frame

HALF_A_FRAME_S = 0.02
"""Time stamps are not exact multiples."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a moment looks like, before any word about it is known.

    features: float32 (P, F), of `matching.FEATURES`. box: float32 (P, 4), where each product looks most like itself,
    xyxy pixels of the video.
    """

    time_s: float
    features: Floats
    box: Floats


class Looker(Protocol):
    """Compares the moments of one stream with a gallery; a moment may be ready some seconds after its frame."""

    def update(self, frame: Frame, detections: Detections) -> list[Seen]:
        """Take the next frame with its detections and return the moments that are ready, in order of time."""

    def outlook(self) -> list[Seen]:
        """Return the moments that are not ready, as they look so far; leaves no trace in what comes later."""

    def finish(self) -> list[Seen]:
        """End the stream and return the moments that were not ready."""
