"""What each method was calibrated to: the weights of its score, and the cohort that similarities are set against.

Both are learnt numbers like any net's, live in `weights/` beside the nets they were learnt with, and are named by their
fingerprints: with other nets they mean nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shopcue.errors import WeightsError
from shopcue.matching import FEATURES, Calibration
from shopcue.models.hub import INDEX
from shopcue.records import Floats

SCHEMA = "shopcue.calibration/3"
FILE = "house-calibration.json"


@dataclass(frozen=True, slots=True)
class TrainedMethod:
    """What was learnt for one method.

    networks: the fingerprints of those it was learnt with, by what they do. calibration: the weights of its features.
    cohort: float32 (K, D), unit embeddings of windows of pictures that show no product of any user's shop. f1_50: the
    mean on lives that were not used, by which `auto` chooses.
    """

    networks: Mapping[str, str]
    calibration: Calibration
    cohort: Floats
    f1_50: float


def best_of(methods: Mapping[str, TrainedMethod]) -> str:
    """Return the method that did better when it was measured, the first of equals."""
    return max(methods, key=lambda name: methods[name].f1_50)


def read_calibration(folder: Path = INDEX.parent) -> dict[str, TrainedMethod]:
    """Return what is in a folder of weights for each method; raises WeightsError where it is missing or malformed."""
    path = folder / FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema {document['schema']!r}, expected {SCHEMA!r}")
        return {name: _method(document["methods"][name], folder / _cohort_file(name), name) for name in FEATURES}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path} is no calibration ({error}); reinstall shopcue") from error


def write_calibration(methods: Mapping[str, TrainedMethod], folder: Path) -> None:
    """Write the calibrations of all methods and their cohorts into a folder of weights."""
    for name, trained in methods.items():
        # Half precision: a cosine changes by less than 0.001, and the file is half as large.
        np.save(folder / _cohort_file(name), trained.cohort.astype(np.float16))
    document = {
        "schema": SCHEMA,
        "methods": {
            name: {
                "networks": dict(trained.networks),
                "f1_50": round(trained.f1_50, 4),
                "visual": {
                    feature: round(float(weight), 4)
                    for feature, weight in zip(FEATURES[name], trained.calibration.visual, strict=True)
                },
                "text": round(trained.calibration.text, 4),
                "comments": round(trained.calibration.comments, 4),
            }
            for name, trained in methods.items()
        },
    }
    (folder / FILE).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _cohort_file(method: str) -> str:
    return f"{method}-cohort.npy"


def _method(entry: Mapping[str, Any], cohort: Path, name: str) -> TrainedMethod:
    networks = {str(what): str(fingerprint) for what, fingerprint in entry["networks"].items()}
    vectors = np.load(cohort, allow_pickle=False).astype(np.float32)
    if vectors.ndim != 2 or len(vectors) < 2:
        raise ValueError(f"a cohort of shape {vectors.shape}, expected (K, D)")
    return TrainedMethod(networks, _calibration(entry, FEATURES[name]), vectors, float(entry["f1_50"]))


def _calibration(entry: Mapping[str, Any], features: Sequence[str]) -> Calibration:
    visual = np.array([entry["visual"][name] for name in features], np.float32)
    return Calibration(visual, float(entry["text"]), float(entry["comments"]))
