"""Calibrations go to disk and come back, and a damaged one is refused in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shopcue.errors import WeightsError
from shopcue.matching import FEATURES, Calibration
from shopcue.methods import open_method
from shopcue.models.calibration import (
    COHORTS,
    FILE,
    TrainedCalibration,
    TrainedMethod,
    read_calibration,
    write_calibration,
)
from shopcue.settings import Models, Settings


def example() -> TrainedCalibration:
    rng = np.random.default_rng(0)
    methods, cohorts = {}, {}
    for number, (name, features) in enumerate(FEATURES.items()):
        weights = Calibration(np.linspace(-4, 2, len(features)).astype(np.float32), 4.5, 0.5)
        methods[name] = TrainedMethod({"image": f"encoder-{number}"}, weights, 0.9 - number / 10)
    for number, network in enumerate(COHORTS):
        cohort = rng.normal(size=(20, 8 + number)).astype(np.float32)
        cohorts[network] = cohort / np.linalg.norm(cohort, axis=1, keepdims=True)
    return TrainedCalibration(methods, cohorts)


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    write_calibration(example(), tmp_path)
    back = read_calibration(tmp_path)
    assert list(back.methods) == list(FEATURES)
    for name, trained in example().methods.items():
        found = back.methods[name]
        assert (found.networks, found.f1_50) == (trained.networks, trained.f1_50)
        assert (found.calibration.text, found.calibration.comments) == (4.5, 0.5)
        np.testing.assert_allclose(found.calibration.visual, trained.calibration.visual, atol=1e-4)
    for network, cohort in example().cohorts.items():
        np.testing.assert_allclose(back.cohorts[network], cohort, atol=1e-3)


def test_the_best_method_is_the_one_that_did_better() -> None:
    first, second = FEATURES
    trained = example()
    assert trained.best == first
    better = {**trained.methods, second: replace(trained.methods[second], f1_50=0.95)}
    assert replace(trained, methods=better).best == second


@pytest.mark.parametrize("damage", ["{", '{"schema": "other"}', json.dumps({"schema": "shopcue.calibration/3"}), "[]"])
def test_a_damaged_calibration_is_refused(tmp_path: Path, damage: str) -> None:
    write_calibration(example(), tmp_path)
    (tmp_path / FILE).write_text(damage)
    with pytest.raises(WeightsError, match="is no calibration"):
        read_calibration(tmp_path)


@pytest.mark.parametrize("name", FEATURES)
def test_the_shipped_calibration_belongs_to_the_shipped_networks(name: str) -> None:
    trained, method = read_calibration(), open_method(name, Settings(models=Models(threads=1)))
    assert trained.methods[name].networks == method.fingerprints
    assert trained.cohorts["image"].shape[1] == method.encoder.dim
    assert method.clips is None or trained.cohorts["clips"].shape[1] == method.clips.dim
    for cohort in trained.cohorts.values():
        np.testing.assert_allclose(np.linalg.norm(cohort, axis=1), 1.0, atol=1e-2)
