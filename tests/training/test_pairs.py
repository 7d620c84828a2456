"""Batches: reproducible, of the promised make-up, and products never collide."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from shopcue.errors import MediaError
from shopcue.training.pairs import Goods, PairBatches, PairRecipe, make_goods, read_picture

RECIPE = PairRecipe(garments=3, goods=8, sisters=4, side_px=32)


def batches(recipe: PairRecipe = RECIPE) -> PairBatches:
    rng = np.random.default_rng(0)

    def picture() -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
        return rng.integers(0, 256, (48, 40, 3), dtype=np.uint8)

    goods = [Goods(picture(), np.full((48, 40), 255, np.uint8), (picture(),) * (index < 5)) for index in range(8)]
    return PairBatches(goods, [picture() for _ in range(6)], [picture() for _ in range(4)], recipe)


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    first, again, other = batches()(3), batches()(3), batches()(4)
    np.testing.assert_array_equal(first.queries, again.queries)
    np.testing.assert_array_equal(first.keys, again.keys)
    assert (first.queries != other.queries).any()
    assert (first.queries != batches(PairRecipe(garments=3, goods=8, sisters=4, side_px=32, seed=1))(3).queries).any()


def test_the_make_up_is_as_promised() -> None:
    for step in range(5):
        batch = batches()(step)
        assert batch.queries.shape == batch.keys.shape == (15, 32, 32, 3)
        assert batch.products.shape == (15,)
        kinds = Counter("new" if p < 0 else "goods" if p < 8 else "garment" for p in batch.products.tolist())
        assert kinds["garment"] == 3
        assert kinds["goods"] + kinds["new"] == 12
        made_up = [product for product in batch.products.tolist() if product < 0]
        assert len(set(made_up)) == len(made_up) >= 4, "each made-up product is one of its own"


def test_without_twins_three_quarters_have_photos() -> None:
    plain = batches(PairRecipe(garments=1, goods=8, sisters=0, side_px=32, twins=0))
    for step in range(5):
        goods = plain(step).products[:8]
        assert np.sum(goods < 5) == 6
        assert Counter(goods.tolist()).most_common(1)[0][1] <= 2


def test_pictures_are_read_small_and_trimmed(tmp_path: Path) -> None:
    picture = np.full((600, 300, 3), 255, np.uint8)
    picture[100:500, 100:200] = (0, 0, 200)  # red, as OpenCV writes it
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    assert read_picture(tmp_path / "a.png").shape == (288, 144, 3)
    goods = make_goods(tmp_path / "a.png", [tmp_path / "a.png"] * 2)
    assert goods.picture.shape[0] < 288
    assert len(goods.photos) == 2
    np.testing.assert_array_equal(goods.picture[goods.picture.shape[0] // 2, goods.picture.shape[1] // 2], (200, 0, 0))
    (tmp_path / "b.jpg").write_bytes(b"not a picture")
    with pytest.raises(MediaError, match="no picture"):
        read_picture(tmp_path / "b.jpg")
