"""What each method was calibrated to: the weights of its score, and the cohorts that similarities are set against.

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
COHORTS = ("image", "clips")
"""The networks whose similarities are set against a cohort."""


@dataclass(frozen=True, slots=True)
class TrainedMethod:
    """What was learnt for one method.

    networks: the fingerprints of those it was learnt with, by what they do. calibration: the weights of its features.
    f1_50: the mean on lives that were not used, by which `auto` chooses.
    """

    networks: Mapping[str, str]
    calibration: Calibration
    f1_50: float


@dataclass(frozen=True, slots=True)
class TrainedCalibration:
    """What was learnt for all methods.

    cohorts: by the network that made it, float32 (K, D): unit embeddings of windows of pictures that show no product of
    any user's shop.
    """

    methods: Mapping[str, TrainedMethod]
    cohorts: Mapping[str, Floats]

    @property
    def best(self) -> str:
        """The method that did better when it was measured, the first of equals."""
        return max(self.methods, key=lambda name: self.methods[name].f1_50)

    @property
    def why_best(self) -> str:
        """A line that says which method is the best, and by which figures."""
        scores = {name: f"{method.f1_50:.2f}" for name, method in self.methods.items()}
        others = ", ".join(f"{name} {score}" for name, score in scores.items() if name != self.best)
        return f"method: {self.best} (f1_50 {scores[self.best]} on lives of products that no net had seen, {others})"


def read_calibration(folder: Path = INDEX.parent) -> TrainedCalibration:
    """Return what is in a folder of weights; raises WeightsError where it is missing or malformed."""
    path = folder / FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema {document['schema']!r}, expected {SCHEMA!r}")
        methods = {name: _method(document["methods"][name], features) for name, features in FEATURES.items()}
        return TrainedCalibration(methods, {network: _cohort(folder, network) for network in COHORTS})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path} is no calibration ({error}); reinstall shopcue") from error


def write_calibration(trained: TrainedCalibration, folder: Path) -> None:
    """Write a calibration and its cohorts into a folder of weights."""
    for network in COHORTS:
        # Half precision: a cosine changes by less than 0.001, and the file is half as large.
        np.save(folder / f"{network}-cohort.npy", trained.cohorts[network].astype(np.float16))
    document = {
        "schema": SCHEMA,
        "methods": {
            name: {
                "networks": dict(method.networks),
                "f1_50": round(method.f1_50, 4),
                "visual": {
                    feature: round(float(weight), 4)
                    for feature, weight in zip(FEATURES[name], method.calibration.visual, strict=True)
                },
                "text": round(method.calibration.text, 4),
                "comments": round(method.calibration.comments, 4),
            }
            for name, method in trained.methods.items()
        },
    }
    (folder / FILE).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _cohort(folder: Path, network: str) -> Floats:
    cohort = np.asarray(np.load(folder / f"{network}-cohort.npy", allow_pickle=False), np.float32)
    if cohort.ndim != 2 or len(cohort) < 2:
        raise ValueError(f"a cohort of shape {cohort.shape}, expected (K, D)")
    return cohort


def _method(entry: Mapping[str, Any], features: Sequence[str]) -> TrainedMethod:
    networks = {str(what): str(fingerprint) for what, fingerprint in entry["networks"].items()}
    return TrainedMethod(networks, _calibration(entry, features), float(entry["f1_50"]))


def _calibration(entry: Mapping[str, Any], features: Sequence[str]) -> Calibration:
    visual = np.array([entry["visual"][name] for name in features], np.float32)
    return Calibration(visual, float(entry["text"]), float(entry["comments"]))
