"""Why a session decided as it did, written down minute by minute for the page that shows it (Fashion Focus, Fig. 2 A).

A `Trace` is told what was followed, what was picked, and how each moment compares with the shop. `TraceFiles` keeps
that as one small compressed JSON file for each minute of the stream, so that hours cost megabytes and no memory.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from shopcue.errors import OutputError
from shopcue.focusing import probabilities
from shopcue.records import COARSE_CLASSES, QUALITIES, Catalog, Detections, Floats, Frame, Indices, Match, Product

MINUTE_S = 60.0
"""How much of a stream one file holds."""

_PATIENCE_S = 90.0  # a moment is scored, and its stretch picked, well within this time after it was seen
_CANDIDATES = 5


@dataclass(frozen=True, slots=True)
class View:
    """One sight of a thing that might have been picked.

    box: float32 (4,), xyxy pixels of the video. coarse_class: None for the frame as a whole, which no one detected.
    quality: float32 (3,). worth: by which views are compared.
    """

    time_s: float
    box: Floats
    worth: float
    coarse_class: int | None
    score: float
    quality: Floats


@dataclass(frozen=True, slots=True)
class Candidate:
    """A product that a pick may show: similarity in deviations above the cohort, inliers of its local features."""

    product: Product
    similarity: float
    inliers: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a tracklet: its views in order of time, the one that was picked, and what was found in that.

    tracklet_id: None for the frame as a whole. verified: whether local features were compared.
    """

    tracklet_id: int | None
    views: tuple[View, ...]
    picked: View
    verified: bool
    candidates: tuple[Candidate, ...]


class Trace(Protocol):
    """Takes down what a session sees and decides."""

    def followed(self, frame: Frame, detections: Detections, ids: Indices, prominent: list[int]) -> None:
        """Take what was detected in a frame, the track of each (-1: none), and which of them are looked at."""

    def picked(self, stretch: Stretch) -> None:
        """Take a stretch of a tracklet that is over."""

    def matched(self, match: Match, catalog: Catalog) -> None:
        """Take how a moment compares with the shop; moments come in order of time, some seconds after their frames."""


class TraceFiles:
    """A trace as files `<minute>.json.gz` in a folder, in the shape in which the API gives it out.

    A file appears complete or not at all. Raises OutputError where it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._minutes: dict[int, dict[str, Any]] = {}
        self._moments: dict[float, dict[str, Any]] = {}
        self._size = (0, 0)

    def followed(self, frame: Frame, detections: Detections, ids: Indices, prominent: list[int]) -> None:
        """Take what was detected in a frame."""
        height, width = frame.image.shape[:2]
        self._size = (round(width * frame.scale), round(height * frame.scale))
        moment = self._moment(frame.time_s)
        moment["things"] = [
            {
                "tracklet_id": int(ids[n]) if ids[n] >= 0 else None,
                "box": _rounded(detections.boxes[n]),
                "coarse_class": COARSE_CLASSES[detections.classes[n]],
                "score": round(float(detections.scores[n]), 3),
                "quality": _quality(detections.quality[n]),
                "followed": n in prominent,
            }
            for n in range(len(detections))
        ]
        self._write_until(frame.time_s - _PATIENCE_S)

    def picked(self, stretch: Stretch) -> None:
        """Take a stretch of a tracklet that is over."""
        view = stretch.picked
        self._minute(view.time_s)["picks"].append(
            {
                "tracklet_id": stretch.tracklet_id,
                "time_s": view.time_s,
                "start_s": stretch.views[0].time_s,
                "end_s": stretch.views[-1].time_s,
                "box": _rounded(view.box),
                "coarse_class": None if view.coarse_class is None else COARSE_CLASSES[view.coarse_class],
                "score": round(view.score, 3),
                "quality": _quality(view.quality),
                "worth": round(view.worth, 4),
                "verified": stretch.verified,
                "candidates": [
                    {
                        "product_id": each.product.product_id,
                        "title": each.product.title,
                        "similarity": round(each.similarity, 3),
                        "inliers": each.inliers,
                    }
                    for each in stretch.candidates
                ],
                "dropped": [_dropped(other, view) for other in stretch.views if other is not view],
            }
        )

    def matched(self, match: Match, catalog: Catalog) -> None:
        """Take how a moment compares with the shop."""
        best = np.argsort(-match.score, kind="stable")[:_CANDIDATES]
        chance = probabilities(match.score)
        self._moment(match.time_s)["candidates"] = [
            {
                "product_id": catalog.products[p].product_id,
                "title": catalog.products[p].title,
                "score": round(float(match.score[p]), 3),
                "probability": round(float(chance[p]), 4),
                "visual": round(float(match.visual[p]), 3),
                "text": round(float(match.text[p]), 3),
                "comments": round(float(match.comments[p]), 3),
                "box": _rounded(match.box[p]),
            }
            for p in best
        ]

    def finish(self) -> None:
        """Write what is left; the stream is over."""
        self._write_until(np.inf)

    def _minute(self, time_s: float) -> dict[str, Any]:
        return self._minutes.setdefault(int(time_s // MINUTE_S), {"moments": [], "picks": []})

    def _moment(self, time_s: float) -> dict[str, Any]:
        if time_s not in self._moments:
            self._moments[time_s] = {"time_s": time_s, "things": [], "candidates": []}
            self._minute(time_s)["moments"].append(self._moments[time_s])
        return self._moments[time_s]

    def _write_until(self, time_s: float) -> None:
        for minute in [minute for minute in self._minutes if (minute + 1) * MINUTE_S <= time_s]:
            self._write(minute, self._minutes.pop(minute))

    def _write(self, minute: int, content: dict[str, Any]) -> None:
        for moment in content["moments"]:
            self._moments.pop(moment["time_s"], None)
        width, height = self._size
        span = {"start_s": minute * MINUTE_S, "end_s": (minute + 1) * MINUTE_S, "width": width, "height": height}
        path = self._folder / f"{minute}.json.gz"
        staged = path.with_name(f".{path.name}.part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            staged.write_bytes(gzip.compress(json.dumps(span | content).encode(), 6, mtime=0))
            staged.replace(path)
        except OSError as error:
            raise OutputError(
                f"cannot write {path}: {error.strerror or error}; check the disk and its rights"
            ) from None


def _dropped(view: View, picked: View) -> dict[str, Any]:
    """Return a view that was not picked, and why, in words: the part of its worth that is furthest behind."""
    parts = {"the detector is less sure": (view.score, picked.score)}
    parts |= {f"worse {name}": (float(view.quality[n]), float(picked.quality[n])) for n, name in enumerate(QUALITIES)}
    reason = min(parts, key=lambda name: parts[name][0] - parts[name][1])
    if view.worth == picked.worth:
        reason = "as good, but later"
    return {"time_s": view.time_s, "box": _rounded(view.box), "worth": round(view.worth, 4), "reason": reason}


def _rounded(box: Floats) -> list[float]:
    return [round(float(side), 1) for side in box]


def _quality(quality: Floats) -> dict[str, float]:
    return {name: round(float(value), 3) for name, value in zip(QUALITIES, quality, strict=True)}
