"""Calibrations go to disk and come back, and a damaged one is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from shopcue.errors import WeightsError
from shopcue.matching import FEATURES, Calibration
from shopcue.models.calibration import FILE, TrainedCalibration, read_calibration, write_calibration
from shopcue.models.image import HouseEncoder


def example() -> TrainedCalibration:
    cohort = np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32)
    cohort /= np.linalg.norm(cohort, axis=1, keepdims=True)
    methods = {
        name: Calibration(np.linspace(-4, 2, len(features)).astype(np.float32), 4.5, 0.5)
        for name, features in FEATURES.items()
    }
    return TrainedCalibration("some-encoder", "some-detector", "one-stage", methods, cohort)


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    write_calibration(example(), tmp_path)
    back = read_calibration(tmp_path)
    assert (back.encoder, back.detector, back.best) == ("some-encoder", "some-detector", "one-stage")
    for name, weights in example().methods.items():
        assert (back.methods[name].text, back.methods[name].comments) == (4.5, 0.5)
        np.testing.assert_allclose(back.methods[name].visual, weights.visual, atol=1e-4)
    np.testing.assert_allclose(back.cohort, example().cohort, atol=1e-3)


@pytest.mark.parametrize("damage", ["{", '{"schema": "other"}', json.dumps({"schema": "shopcue.calibration/2"}), "[]"])
def test_a_damaged_calibration_is_refused(tmp_path: Path, damage: str) -> None:
    write_calibration(example(), tmp_path)
    (tmp_path / FILE).write_text(damage)
    with pytest.raises(WeightsError, match="is no calibration"):
        read_calibration(tmp_path)


def test_the_shipped_calibration_belongs_to_the_shipped_encoder() -> None:
    encoder = HouseEncoder(threads=1)
    shipped = read_calibration()
    assert shipped.encoder == encoder.fingerprint
    assert shipped.cohort.shape[1] == encoder.dim
    np.testing.assert_allclose(np.linalg.norm(shipped.cohort, axis=1), 1.0, atol=1e-2)
