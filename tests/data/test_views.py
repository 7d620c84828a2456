"""What the degradations promise: reproducible, same kind of picture, and the geometry that they claim."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from shopcue.data import views
from shopcue.records import Image

Rng = np.random.Generator


DEGRADATIONS: dict[str, Callable[[Image, Rng], Image]] = {
    "shop_view": views.shop_view,
    "camera_view": lambda image, rng: views.camera_view(image, rng, 0.5),
    "degraded": views.degraded,
    "tilted": lambda image, rng: views.tilted(image, rng, 0.1),
    "exposed": lambda image, rng: views.exposed(image, rng, 0.4),
    "tinted": views.tinted,
    "blurred": views.blurred,
    "coarse": views.coarse,
    "jpeg": lambda image, rng: views.jpeg(image, rng, 25),
    "with_hand": views.with_hand,
    "with_graphics": views.with_graphics,
}


@pytest.mark.parametrize("name", DEGRADATIONS)
@pytest.mark.parametrize("size", [(40, 30), (120, 200), (288, 216)])
def test_a_view_is_a_picture_that_its_seed_fixes(name: str, size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    before = image.copy()
    for seed in range(6):
        first = DEGRADATIONS[name](image, np.random.default_rng(seed))
        again = DEGRADATIONS[name](image, np.random.default_rng(seed))
        assert first.dtype == np.uint8
        assert first.ndim == 3
        assert first.size > 0
        np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(image, before)


def test_a_placed_product_lies_whole_inside_the_ground() -> None:
    red = np.zeros((60, 40, 3), np.uint8) + np.array([255, 0, 0], np.uint8)
    green = np.zeros((200, 200, 3), np.uint8) + np.array([0, 255, 0], np.uint8)
    for seed in range(20):
        scene, box = views.placed(red, np.full((60, 40), 255, np.uint8), green, np.random.default_rng(seed))
        assert scene.shape == green.shape
        share = np.mean(scene[..., 0] > 128)
        assert 0.03 < share < 0.75, "35 to 95 % of the side at an aspect of 2:3"
        rows, columns = np.nonzero(scene[..., 0] > 128)
        np.testing.assert_allclose(box, [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], atol=4)


def test_turned_hues_leave_grey_alone() -> None:
    red = np.zeros((8, 8, 3), np.uint8) + np.array([200, 0, 0], np.uint8)
    grey = np.full((8, 8, 3), 90, np.uint8)
    np.testing.assert_allclose(views.hue_turned(red, 120), np.zeros_like(red) + np.array([0, 200, 0]), atol=3)
    np.testing.assert_array_equal(views.hue_turned(grey, 120), grey)


def test_new_inks_are_the_same_for_every_picture_and_never_the_old_ones() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    kinds = set()
    for seed in range(60):
        paint = views.inks(np.random.default_rng(seed))
        painted = paint(picture)
        np.testing.assert_array_equal(painted, paint(picture[::-1])[::-1])
        assert np.abs(painted.astype(int) - picture).mean() > 10
        kinds.add(tuple(bool((np.sort(painted) == np.sort(made)).all()) for made in (picture, 255 - picture)))
    assert kinds == {(True, False), (False, True), (False, False)}, "moved channels, reversed, turned hues"


def test_a_crop_around_a_box_is_about_the_box() -> None:
    """The picture's values are its coordinates, so that a crop says where it is from."""
    y, x = np.mgrid[0:200, 0:160]
    image = np.stack([x, y, x * 0], axis=2).astype(np.uint8)
    box = np.array([40, 60, 100, 160], np.float32)
    areas = []
    for seed in range(60):
        crop = views.crop_around(image, box, np.random.default_rng(seed))
        (x0, y0), (x1, y1) = crop[0, 0, :2].astype(int), crop[-1, -1, :2].astype(int) + 1
        shared = (min(x1, 100) - max(x0, 40)) * (min(y1, 160) - max(y0, 60))
        assert shared / (60 * 100) > 0.5
        areas.append(crop.shape[0] * crop.shape[1] / (60 * 100))
    assert min(areas) < 0.9
    assert max(areas) > 1.5
    assert max(areas) < 1.5**2 * 1.4


def test_a_crop_around_a_box_at_the_border_is_a_picture() -> None:
    image = np.zeros((40, 30, 3), np.uint8)
    for box in ([-5, -5, 1, 1], [29, 39, 30, 40], [0, 0, 30, 40], [10, 10, 10, 10]):
        for seed in range(10):
            crop = views.crop_around(image, np.array(box, np.float32), np.random.default_rng(seed))
            assert min(crop.shape[:2]) >= 8
