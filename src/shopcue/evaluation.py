"""How good Shopcue is on videos whose truth is known, beside the naive way, by the same scorer in one run."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shopcue.catalog.exact import similarities
from shopcue.errors import ScoreError
from shopcue.models.image import ImageEncoder
from shopcue.records import Frame, Gallery


@dataclass(frozen=True, slots=True)
class TruthSpan:
    """A product that is shown over a span of seconds: of a truth, or of an answer that carries no evidence."""

    product_id: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Truth:
    """What is really shown in a video of duration_s seconds."""

    focuses: tuple[TruthSpan, ...]
    duration_s: float


def read_truth(path: Path) -> Truth:
    """Return the truth in a JSON file {"duration_s", "focuses": [{"product_id", "start_s", "end_s"}]}.

    Raises ScoreError where the file cannot be read or has another form.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        spans = tuple(
            TruthSpan(str(f["product_id"]), float(f["start_s"]), float(f["end_s"])) for f in document["focuses"]
        )
        duration_s = float(document["duration_s"])
    except OSError as error:
        raise ScoreError(f"cannot read the truth {path}: {error.strerror}; give the path of a truth.json") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ScoreError(
            f'{path} is no truth ({type(error).__name__}: {error}); expected {{"duration_s": ..., "focuses": '
            '[{"product_id", "start_s", "end_s"}]}'
        ) from error
    if not all(math.isfinite(s.start_s) and math.isfinite(s.end_s) and s.end_s >= s.start_s for s in spans):
        raise ScoreError(f"{path} holds a span that ends before it starts; expected start_s <= end_s")
    if not (math.isfinite(duration_s) and duration_s > 0):
        raise ScoreError(f"{path} has duration_s {duration_s}, expected seconds above 0")
    return Truth(spans, duration_s)


def naive_focuses(frames: Iterable[Frame], encoder: ImageEncoder, gallery: Gallery, end_s: float) -> list[TruthSpan]:
    """Return what the naive way finds: the whole frame's nearest picture, always, and equal neighbours joined."""
    spans: list[TruthSpan] = []
    current, start_s = -1, 0.0
    for frame in frames:
        nearest = int(np.argmax(similarities(gallery, encoder.encode([frame.image]))[0]))
        if nearest != current:
            if current >= 0:
                spans.append(TruthSpan(gallery.catalog.products[current].product_id, start_s, frame.time_s))
            current, start_s = nearest, frame.time_s
    if current >= 0:
        spans.append(TruthSpan(gallery.catalog.products[current].product_id, start_s, max(end_s, start_s)))
    return spans
