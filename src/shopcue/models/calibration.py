"""The weights of the score and the cohort that similarities are set against, as trained with one encoder.

Both are learnt numbers like any net's, live in `weights/` beside the net they were learnt with, and are named by its
fingerprint: with another encoder they mean nothing.
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

SCHEMA = "shopcue.calibration/2"
FILE = "house-calibration.json"
COHORT_FILE = "house-cohort.npy"


@dataclass(frozen=True, slots=True)
class TrainedCalibration:
    """What was learnt with one encoder and one detector: a calibration for each method, and the cohort.

    encoder, detector: their fingerprints. best: the method that did better. cohort: float32 (K, D), unit embeddings of
    windows of pictures that show no product of any user's shop.
    """

    encoder: str
    detector: str
    best: str
    methods: Mapping[str, Calibration]
    cohort: Floats


def read_calibration(folder: Path = INDEX.parent) -> TrainedCalibration:
    """Return the calibration in a folder of weights; raises WeightsError where it is missing or malformed."""
    path = folder / FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema {document['schema']!r}, expected {SCHEMA!r}")
        methods = {name: _calibration(document["methods"][name], features) for name, features in FEATURES.items()}
        best = str(document["best"])
        if best not in methods:
            raise ValueError(f"the best method is {best!r}, expected one of {', '.join(methods)}")
        cohort = np.load(folder / COHORT_FILE, allow_pickle=False).astype(np.float32)
        if cohort.ndim != 2 or len(cohort) < 2:
            raise ValueError(f"a cohort of shape {cohort.shape}, expected (K, D)")
        return TrainedCalibration(str(document["encoder"]), str(document["detector"]), best, methods, cohort)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path} is no calibration ({error}); reinstall shopcue") from error


def write_calibration(trained: TrainedCalibration, folder: Path) -> None:
    """Write a calibration and its cohort into a folder of weights."""
    # Half precision: a cosine changes by less than 0.001, and the file is half as large.
    np.save(folder / COHORT_FILE, trained.cohort.astype(np.float16))
    document = {
        "schema": SCHEMA,
        "encoder": trained.encoder,
        "detector": trained.detector,
        "best": trained.best,
        "methods": {
            name: {
                "visual": dict(zip(FEATURES[name], [round(float(w), 4) for w in weights.visual], strict=True)),
                "text": round(weights.text, 4),
                "comments": round(weights.comments, 4),
            }
            for name, weights in trained.methods.items()
        },
    }
    (folder / FILE).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _calibration(entry: Mapping[str, Any], features: Sequence[str]) -> Calibration:
    visual = np.array([entry["visual"][name] for name in features], np.float32)
    return Calibration(visual, float(entry["text"]), float(entry["comments"]))
