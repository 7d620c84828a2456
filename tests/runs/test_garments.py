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

ROOT = Path(__file__).parents[2]


@pytest.fixture
def garments(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("runs.garments")


def units(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    rows = rng.normal(size=(count, 6))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def test_the_best_place_counts_and_what_is_also_seen_does_not(garments: ModuleType) -> None:
    rng = np.random.default_rng(3)
    frame = Frame(0.0, np.zeros((8, 8, 3), np.uint8))
    rights = rng.integers(0, 4, 60).tolist()
    alsos = [tuple(other for other in range(4) if other != right and rng.random() < 0.5) for right in rights]
    queries = [
        garments.Query(frame, np.zeros(4, np.float32), right, also) for right, also in zip(rights, alsos, strict=True)
    ]
    counts = rng.integers(1, 5, 60).tolist()
    places = [np.zeros((count, 4), np.float32) for count in counts]
    footage = garments.Footage({"box": [frame.image] * 4}, queries, {"some boxes": places})
    vectors = {"box": units(rng, 4), "others": units(rng, 5), "some boxes": units(rng, sum(counts))}
    (row,) = garments.score_footage(vectors, footage)

    ranks = []
    looks = iter(vectors["some boxes"])
    pictures = [*vectors["box"], *vectors["others"]]
    for right, also, count in zip(rights, alsos, counts, strict=True):
        mine = [next(looks) for _ in range(count)]
        best = [max(float(look @ picture) for look in mine) for picture in pictures]
        rivals = [name for name in range(9) if name != right and name not in also]
        ranks.append(1 + sum(best[name] >= best[right] for name in rivals))
    by_garment = [[rank == 1 for rank, r in zip(ranks, rights, strict=True) if r == right] for right in range(4)]
    assert row["R@1"] == round(sum(rank == 1 for rank in ranks) / 60, 3)
    assert row["R@5"] == round(sum(rank <= 5 for rank in ranks) / 60, 3)
    assert row["R@1 by garment"] == round(sum(sum(hits) / len(hits) for hits in by_garment) / 4, 3)


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
