"""Batches: reproducible, of the promised make-up, and products never collide."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from shopcue.errors import MediaError
from shopcue.records import Image
from shopcue.training.drawn import DrawnGoods
from shopcue.training.pairs import Goods, PairBatches, PairRecipe, Photo, make_goods, read_picture

RECIPE = PairRecipe(garments=3, goods=8, drawn=4, side_px=32)
FAMILIES, SISTERS = 5, 3


def batches(recipe: PairRecipe = RECIPE) -> PairBatches:
    rng = np.random.default_rng(0)

    def picture(channels: int = 3) -> Image:
        return rng.integers(0, 256, (48, 40, channels), dtype=np.uint8)

    photos = (Photo(picture()), Photo(picture(), np.array([10, 4, 30, 44], np.float32)))
    goods = [Goods(picture(), np.full((48, 40), 255, np.uint8), photos * (index < 5)) for index in range(8)]
    families = [tuple(DrawnGoods(picture(), (picture(4),)) for _ in range(SISTERS)) for _ in range(FAMILIES)]
    return PairBatches(goods, families, [picture() for _ in range(6)], [picture() for _ in range(4)], recipe)


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    first, again, other = batches()(3), batches()(3), batches()(4)
    np.testing.assert_array_equal(first.queries, again.queries)
    np.testing.assert_array_equal(first.keys, again.keys)
    assert (first.queries != other.queries).any()
    assert (first.queries != batches(replace(RECIPE, seed=1))(3).queries).any()


def test_the_make_up_is_as_promised() -> None:
    for step in range(5):
        batch = batches()(step)
        assert batch.queries.shape == batch.keys.shape == (15, 32, 32, 3)
        kinds = Counter(kind_of(product) for product in batch.products.tolist())
        assert kinds["garment"] == 3
        assert kinds["drawn"] == 4
        assert kinds["goods"] + kinds["new"] == 8
        halves = np.sign(batch.products[:4]), np.sign(batch.products[4:8])
        assert all((half < 0).all() or (half >= 0).all() for half in halves), "a half shares its inks"
        assert not set(batch.products[:4]) & set(batch.products[4:8]) & set(range(-99, 0)), "inks of its own"


def kind_of(product: int) -> str:
    """Goods come first, then garments, then drawn goods, each of the numbers of `batches`."""
    return "new" if product < 0 else "goods" if product < 8 else "garment" if product < 14 else "drawn"


def test_drawn_goods_come_as_families() -> None:
    for step in range(5):
        drawn = [product - 14 for product in batches()(step).products.tolist() if product >= 14]
        assert len(set(drawn)) == 4
        assert sorted(Counter(product // SISTERS for product in drawn).values()) == [1, SISTERS]
    more = batches(replace(RECIPE, drawn=100))(0).products
    assert sorted(more[more >= 14] - 14) == list(range(FAMILIES * SISTERS)), "all there are, each once"


def test_without_twins_three_quarters_have_photos() -> None:
    plain = batches(PairRecipe(garments=1, goods=8, drawn=0, side_px=32, twins=0))
    for step in range(5):
        goods = plain(step).products[:8]
        assert np.sum(goods < 5) == 6
        assert Counter(goods.tolist()).most_common(1)[0][1] <= 2


def test_a_photo_with_a_box_is_cut_to_it() -> None:
    """Green inside the box, red far from it: no tight crop sees red, loose ones do."""
    pixels = np.zeros((80, 80, 3), np.uint8)
    pixels[..., 0] = 255
    pixels[15:65, 15:65] = (0, 255, 0)
    photo = Photo(pixels, np.array([32, 32, 48, 48], np.float32))
    goods = [Goods(pixels, np.full((80, 80), 255, np.uint8), (photo,))] * 4
    # What a stream does to the colours keeps red and green apart.
    recipe = PairRecipe(garments=1, goods=4, drawn=0, side_px=32, composed=0, twins=0, letterboxed=0)
    for loose in (0.0, 1.0):
        made = PairBatches(goods, [], [pixels], [pixels], replace(recipe, loose=loose, in_clutter=0))
        red = [q[..., 0].astype(int) - q[..., 1] > 60 for step in range(6) for q in made(step).queries[:4]]
        assert (np.mean(red) > 0.2) == (loose == 1), np.mean(red)


def test_pictures_are_read_small_and_trimmed(tmp_path: Path) -> None:
    picture = np.full((600, 300, 3), 255, np.uint8)
    picture[100:500, 100:200] = (0, 0, 200)  # red, as OpenCV writes it
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    assert read_picture(tmp_path / "a.png").shape == (288, 144, 3)
    goods = make_goods(tmp_path / "a.png", [tmp_path / "a.png"] * 2)
    assert goods.picture.shape[0] < 288
    assert [photo.box for photo in goods.photos] == [None, None]
    box = np.array([1, 2, 30, 40], np.float32)
    (photo,) = make_goods(tmp_path / "a.png", [tmp_path / "a.png"], lambda path, pixels: box).photos
    assert photo.box is box
    assert photo.pixels.shape == (384, 192, 3)
    np.testing.assert_array_equal(goods.picture[goods.picture.shape[0] // 2, goods.picture.shape[1] // 2], (200, 0, 0))
    (tmp_path / "b.jpg").write_bytes(b"not a picture")
    with pytest.raises(MediaError, match="no picture"):
        read_picture(tmp_path / "b.jpg")
