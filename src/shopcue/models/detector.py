"""Frames -> places where a product may be, with coarse class, quality and instance embedding.

A detector runs on key frames, in batches over frames and streams; its boxes come back in the video's pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from shopcue.errors import WeightsError
from shopcue.geometry import area, crop, nms, windows
from shopcue.models.hub import find_weights
from shopcue.models.image import ImageEncoder, fit_square, letterbox_placing, open_session
from shopcue.records import COARSE_CLASSES, QUALITIES, Detections, Floats, Frame

DETECTOR_OUTPUTS = ("boxes", "scores", "quality", "vectors")
"""What a detector's file says of each of L cells: (N, L, 4), (N, L, C), (N, L, 3) and (N, L, E)."""

_LEAST_AREA_SHARE = 0.002  # of the frame: smaller things cannot be told apart anyway


class Detector(Protocol):
    """Says where in a frame a product may be."""

    @property
    def fingerprint(self) -> str:
        """What names these exact weights and this way of reading them."""

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """Return what is in each frame, the surest first; boxes are in pixels of the video."""


class HouseDetector:
    """Shopcue's own detector: one pass over a letterboxed square, any class, then non-maximum suppression.

    weights: another file of the same kind, the package's own where None. threads: of one run, the machine's cores where
    None. least_score: detections that are less sure are dropped. overlap: IoU above which two boxes are one thing,
    whatever its class. most: detections kept in a frame. Raises WeightsError where the file is no such detector.
    """

    def __init__(
        self,
        weights: Path | None = None,
        threads: int | None = None,
        *,
        least_score: float = 0.1,
        overlap: float = 0.6,
        most: int = 20,
    ) -> None:
        found = find_weights("house-detector", weights)
        self._session = open_session(found.path, threads)
        self._least_score, self._overlap, self._most = least_score, overlap, most
        picture = self._session.get_inputs()[0]
        names = tuple(output.name for output in self._session.get_outputs())
        side = picture.shape[1] if len(picture.shape) == 4 else None
        if names != DETECTOR_OUTPUTS or picture.type != "tensor(uint8)" or not isinstance(side, int):
            raise WeightsError(
                f"{found.path} takes {picture.type} {picture.shape} and gives {', '.join(names)}; expected uint8 "
                f"(N, S, S, 3) and {', '.join(DETECTOR_OUTPUTS)}, as `export_detector` writes it"
            )
        self._side_px = side
        self._fingerprint = f"{found.fingerprint}-{side}"

    @property
    def fingerprint(self) -> str:
        """The hash of the file and the side of its input."""
        return self._fingerprint

    @property
    def side_px(self) -> int:
        """S, the side of the square that the net sees."""
        return self._side_px

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """Return what is in each frame, the surest first; boxes are in pixels of the video."""
        if not frames:
            return []
        pixels = np.stack([fit_square(frame.image, self._side_px, "letterbox") for frame in frames])
        outputs = self._session.run(list(DETECTOR_OUTPUTS), {self._session.get_inputs()[0].name: pixels})
        return [
            self._read(frame, *(np.asarray(output[index], np.float32) for output in outputs))
            for index, frame in enumerate(frames)
        ]

    def _read(self, frame: Frame, boxes: Floats, scores: Floats, quality: Floats, vectors: Floats) -> Detections:
        height, width = frame.image.shape[:2]
        scale, left, top = letterbox_placing(width, height, self._side_px)
        best = scores.max(axis=1)
        boxes = (boxes - np.array([left, top] * 2, np.float32)) / np.float32(scale)
        boxes = np.clip(boxes, 0, np.array([width, height] * 2, np.float32))
        sure = np.flatnonzero((best >= self._least_score) & (area(boxes) >= _LEAST_AREA_SHARE * width * height))
        sure = sure[np.argsort(-best[sure], kind="stable")[: 10 * self._most]]  # bounds the work of a hostile frame
        kept = sure[nms(boxes[sure], best[sure], self._overlap)][: self._most]
        length = np.maximum(np.linalg.norm(vectors[kept], axis=1, keepdims=True), 1e-12)
        return Detections(
            frame.time_s,
            boxes=(boxes[kept] * frame.scale).astype(np.float32),
            scores=np.clip(best[kept], 0, 1),
            classes=scores[kept].argmax(axis=1).astype(np.int64).clip(0, len(COARSE_CLASSES) - 1),
            quality=np.clip(quality[kept], 0, 1).reshape(-1, len(QUALITIES)),
            vectors=(vectors[kept] / length).astype(np.float32),
        )


class WindowDetector:
    """No detector: places of a frame, each with what the encoder makes of it, in one batch over all frames.

    places: which, by the frame's width and height in pixels: boxes, float32 (N, 4).
    """

    def __init__(self, encoder: ImageEncoder, places: Callable[[int, int], Floats] = windows) -> None:
        self._encoder, self._places = encoder, places

    @property
    def fingerprint(self) -> str:
        """That of the encoder."""
        return self._encoder.fingerprint

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """Return the places of each frame; their vectors are the encoder's embeddings."""
        boxes = [self._places(frame.image.shape[1], frame.image.shape[0]) for frame in frames]
        crops = [crop(frame.image, box) for frame, places in zip(frames, boxes, strict=True) for box in places]
        vectors = self._encoder.encode(crops)
        ends = np.cumsum([len(places) for places in boxes])[:-1]
        return [
            Detections(
                frame.time_s,
                boxes=(places * frame.scale).astype(np.float32),
                scores=np.ones(len(places), np.float32),
                classes=np.full(len(places), COARSE_CLASSES.index("goods")),
                quality=np.ones((len(places), len(QUALITIES)), np.float32),
                vectors=rows,
            )
            for frame, places, rows in zip(frames, boxes, np.split(vectors, ends), strict=True)
        ]


DETECTORS: dict[str, Callable[..., Detector]] = {"house": HouseDetector}
