"""What the degradations promise: reproducible, same kind of picture, and the geometry that they claim."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from shopcue.data import views
from shopcue.records import Image

Rng = np.random.Generator


def product_on_white() -> Image:
    picture = np.full((120, 100, 3), 252, np.uint8)
    picture[20:110, 30:70] = (180, 40, 40)
    picture[50:80, 30:70] = 255  # a white label that touches the pack's edge: the ground must not flow in
    return picture


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


def test_the_cut_out_is_the_pack_with_its_white_label() -> None:
    mask = views.cut_out(product_on_white())
    expected = np.zeros((120, 100), bool)
    expected[20:110, 30:70] = True
    both, either = np.sum(expected & (mask > 0)), np.sum(expected | (mask > 0))
    assert both / either > 0.97
    assert views.cut_out(np.full((20, 20, 3), 255, np.uint8)).min() == 255  # nothing found: the whole picture


def test_a_placed_product_lies_whole_inside_the_ground() -> None:
    red = np.zeros((60, 40, 3), np.uint8) + np.array([255, 0, 0], np.uint8)
    green = np.zeros((200, 200, 3), np.uint8) + np.array([0, 255, 0], np.uint8)
    for seed in range(20):
        scene = views.placed(red, np.full((60, 40), 255, np.uint8), green, np.random.default_rng(seed))
        assert scene.shape == green.shape
        share = np.mean(scene[..., 0] > 128)
        assert 0.03 < share < 0.75, "35 to 95 % of the side at an aspect of 2:3"


def test_a_twin_has_another_hue_in_both_pictures() -> None:
    red = np.zeros((8, 8, 3), np.uint8) + np.array([200, 0, 0], np.uint8)
    grey = np.full((8, 8, 3), 90, np.uint8)
    one, other = views.recoloured((red, grey), 120)
    np.testing.assert_allclose(one, np.zeros_like(red) + np.array([0, 200, 0]), atol=3)
    np.testing.assert_array_equal(other, grey)


def test_a_sister_differs_inside_the_pack_alone() -> None:
    picture = product_on_white()
    mask = views.cut_out(picture)
    patch = np.random.default_rng(5).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    changed = []
    for seed in range(10):
        sister = views.edited(picture, mask, patch, np.random.default_rng(seed))
        differs = (sister != picture).any(axis=2)
        assert not differs[mask == 0].any()
        changed.append(differs[mask > 0].mean())
    assert np.mean(changed) > 0.1
