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
from shopcue.models.calibration import FILE, TrainedMethod, best_of, read_calibration, write_calibration
from shopcue.settings import Models, Settings


def example() -> dict[str, TrainedMethod]:
    rng = np.random.default_rng(0)
    methods = {}
    for number, (name, features) in enumerate(FEATURES.items()):
        cohort = rng.normal(size=(20, 8 + number)).astype(np.float32)
        cohort /= np.linalg.norm(cohort, axis=1, keepdims=True)
        weights = Calibration(np.linspace(-4, 2, len(features)).astype(np.float32), 4.5, 0.5)
        methods[name] = TrainedMethod({"image": f"encoder-{number}"}, weights, cohort, 0.9 - number / 10)
    return methods


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    write_calibration(example(), tmp_path)
    back = read_calibration(tmp_path)
    assert list(back) == list(FEATURES)
    for name, trained in example().items():
        assert (back[name].networks, back[name].f1_50) == (trained.networks, trained.f1_50)
        assert (back[name].calibration.text, back[name].calibration.comments) == (4.5, 0.5)
        np.testing.assert_allclose(back[name].calibration.visual, trained.calibration.visual, atol=1e-4)
        np.testing.assert_allclose(back[name].cohort, trained.cohort, atol=1e-3)


def test_the_best_method_is_the_one_that_did_better() -> None:
    first, second = FEATURES
    methods = example()
    assert best_of(methods) == first
    assert best_of({**methods, second: replace(methods[second], f1_50=0.95)}) == second
    assert best_of({name: replace(each, f1_50=0.5) for name, each in methods.items()}) == first


@pytest.mark.parametrize("damage", ["{", '{"schema": "other"}', json.dumps({"schema": "shopcue.calibration/3"}), "[]"])
def test_a_damaged_calibration_is_refused(tmp_path: Path, damage: str) -> None:
    write_calibration(example(), tmp_path)
    (tmp_path / FILE).write_text(damage)
    with pytest.raises(WeightsError, match="is no calibration"):
        read_calibration(tmp_path)


@pytest.mark.parametrize("name", FEATURES)
def test_the_shipped_calibration_belongs_to_the_shipped_networks(name: str) -> None:
    method = open_method(name, Settings(models=Models(threads=1)))
    assert method.trained.networks == method.fingerprints
    assert method.trained.cohort.shape[1] == method.encoder.dim
    np.testing.assert_allclose(np.linalg.norm(method.trained.cohort, axis=1), 1.0, atol=1e-2)
