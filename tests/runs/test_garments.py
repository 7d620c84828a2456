"""How runs/garments.py counts, against a plain loop: the best place of a frame, and answers that do not count."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from shopcue.records import Frame

pytest.importorskip("torch", reason="training is an extra: pip install shopcue[train]")

RUNS = Path(__file__).parents[2] / "runs"


@pytest.fixture
def garments(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(RUNS))
    return importlib.import_module("garments")


def units(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    rows = rng.normal(size=(count, 6))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def test_the_best_place_counts_and_what_is_also_seen_does_not(garments: ModuleType) -> None:
    rng = np.random.default_rng(3)
    frame = Frame(0.0, np.zeros((8, 8, 3), np.uint8))
    rights, alsos = [0, 0, 1, 2, 2, 2], [(1,), (), (0, 2), (), (1,), ()]
    queries = [
        garments.Query(frame, np.zeros(4, np.float32), right, also) for right, also in zip(rights, alsos, strict=True)
    ]
    counts = [1, 3, 2, 1, 4, 2]
    places = [np.zeros((count, 4), np.float32) for count in counts]
    footage = garments.Footage({"box": [frame.image] * 3}, queries, {"some boxes": places})
    vectors = {"box": units(rng, 3), "others": units(rng, 5), "some boxes": units(rng, sum(counts))}
    (row,) = garments.score_footage(vectors, footage)

    hits: list[bool] = []
    remaining = iter(vectors["some boxes"])
    for right, also, count in zip(rights, alsos, counts, strict=True):
        looks = [next(remaining) for _ in range(count)]
        answers = {}
        for name, picture in enumerate([*vectors["box"], *vectors["others"]]):
            if name not in also:
                answers[name] = max(float(look @ picture) for look in looks)
        hits.append(max(answers, key=lambda name: answers[name]) == right)
    assert 0 < sum(hits) < len(hits)
    assert row["R@1"] == round(sum(hits) / 6, 3)
    of_each = [hits[0] + hits[1], hits[2] * 2, (hits[3] + hits[4] + hits[5]) / 1.5]
    assert row["R@1 by garment"] == round(sum(of_each) / 6, 3)


def test_a_cut_out_is_white_outside_its_outline(garments: ModuleType) -> None:
    image = np.full((40, 60, 3), 7, np.uint8)
    cut = garments.cut_out(image, [(10, 5), (29, 5), (29, 24), (10, 24)])
    assert cut.shape == (24, 24, 3)  # 20 px square and a tenth of white around it
    assert (cut[2:22, 2:22] == 7).all()
    outside = cut.copy()
    outside[2:22, 2:22] = 255
    assert (outside == 255).all()


def test_a_loose_box_is_a_share_wider_on_each_side(garments: ModuleType) -> None:
    np.testing.assert_allclose(garments.grown(np.array([10, 20, 30, 60], np.float32), 0.1), [8, 16, 32, 64])
