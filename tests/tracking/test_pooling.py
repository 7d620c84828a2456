"""Poolings against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from shopcue.tracking.pooling import POOLINGS


def test_each_pooling_equals_a_plain_loop() -> None:
    table = np.random.default_rng(0).random((5, 3), np.float32)
    for column in range(3):
        values = [float(table[row, column]) for row in range(5)]
        assert POOLINGS["avg"](table)[column] == pytest.approx(sum(values) / 5)
        assert POOLINGS["max"](table)[column] == max(values)
        assert POOLINGS["last"](table)[column] == values[-1]
