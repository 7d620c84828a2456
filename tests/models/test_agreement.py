"""Agreement of cut-outs with pictures, against plain loops and against pictures made different in a known place."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from shopcue.models.agreement import SIDE_PX, SLACK_PX, agreement, make_template, product_mask
from shopcue.records import Floats, Image


@pytest.fixture(scope="module")
def pack() -> Image:
    """A print of words and blots, as large as a template so that nothing has to be resized."""
    rng = np.random.default_rng(3)
    picture = np.full((SIDE_PX, 64, 3), (230, 220, 200), np.uint8)
    for x, y in rng.integers(8, 56, (24, 2)):
        cv2.circle(picture, (int(x), int(y) + 20), 4, tuple(map(int, rng.integers(0, 255, 3))), -1)
    cv2.putText(picture, "MILK", (6, 26), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (20, 40, 160), 2)
    return picture


def cutout_of(picture: Image, dx: int = 0, dy: int = 0) -> Image:
    """The picture with `SLACK_PX` around it, seen through a window that is (dx, dy) off."""
    grown = cv2.copyMakeBorder(picture, 8, 8, 8, 8, cv2.BORDER_REPLICATE)
    y, x = 8 - SLACK_PX + dy, 8 - SLACK_PX + dx
    return np.asarray(grown[y : y + picture.shape[0] + 2 * SLACK_PX, x : x + picture.shape[1] + 2 * SLACK_PX])


def slow_agreement(picture: Floats, cutout: Floats, cell_px: int, noise: float) -> float:
    """The definition, pixel by pixel: pictures (H, W, C), the cut-out larger by the slack on each side."""
    height, width = picture.shape[:2]
    reach = cell_px // 2

    def cell(values: Floats, y: int, x: int) -> Floats:
        rows = np.clip(np.arange(y - reach, y + reach + 1), 0, height - 1)
        columns = np.clip(np.arange(x - reach, x + reach + 1), 0, width - 1)
        return values[np.ix_(rows, columns)].reshape(-1, values.shape[2]).astype(np.float64)

    total = weights = 0.0
    for y in range(height):
        for x in range(width):
            a = cell(picture, y, x)
            a = a - a.mean(axis=0)
            spread = (a**2).mean(axis=0).sum()
            best = 0.0
            for dy in range(2 * SLACK_PX + 1):
                for dx in range(2 * SLACK_PX + 1):
                    b = cell(cutout[dy : dy + height, dx : dx + width], y, x)
                    b = b - b.mean(axis=0)
                    both = (a * b).mean(axis=0).sum()
                    best = max(best, both / np.sqrt((spread + noise) * ((b**2).mean(axis=0).sum() + noise)))
            weight = min(np.sqrt(spread), 25.0)
            total, weights = total + weight * min(best, 1.0), weights + weight
    return float(total / weights)


def test_it_is_what_plain_loops_give() -> None:
    rng = np.random.default_rng(0)
    # A few columns of a picture that is as high as a template: nothing is resized, and the loops take no time.
    picture = np.asarray(cv2.blur(rng.integers(0, 255, (SIDE_PX, 3, 3)).astype(np.uint8), (3, 3)), np.uint8)
    # The corners are black and white and no red is near their mean, so that nothing passes for ground.
    picture[0], picture[-1] = 0, 255
    picture[..., 0] = np.where(picture[..., 0] < 128, picture[..., 0] // 2, 255 - (255 - picture[..., 0]) // 2)
    cutout = cutout_of(picture, 1, -1)
    cutout = (0.7 * cutout + rng.normal(30, 8, cutout.shape)).clip(0, 255).astype(np.uint8)
    template = make_template(picture)
    assert product_mask(picture).all(), "the loops know nothing of a ground"
    lab, other = (cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32) for image in (picture, cutout))
    found = agreement(template, cutout)
    assert found.luma == pytest.approx(slow_agreement(lab[..., :1], other[..., :1], 11, 36.0), abs=0.01)
    assert found.chroma == pytest.approx(slow_agreement(lab[..., 1:], other[..., 1:], 25, 16.0), abs=0.01)


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (2, -2), (-1, 2)])
def test_a_picture_agrees_with_itself_within_the_slack(pack: Image, dx: int, dy: int) -> None:
    found = agreement(make_template(pack), cutout_of(pack, dx, dy))
    assert found.luma > 0.95
    assert found.chroma > 0.95


def test_beyond_the_slack_it_does_not(pack: Image) -> None:
    assert agreement(make_template(pack), cutout_of(pack, 7, 7)).luma < 0.6


def test_light_is_ignored(pack: Image) -> None:
    dim = (0.5 * cutout_of(pack) + 20).astype(np.uint8)
    assert agreement(make_template(pack), dim).luma > 0.85


def test_a_twin_agrees_less(pack: Image) -> None:
    renamed, recoloured = pack.copy(), pack.copy()
    renamed[8:30] = (230, 220, 200)
    cv2.putText(renamed, "SOYA", (6, 26), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (20, 40, 160), 2)
    recoloured[50:90] = recoloured[50:90][..., [2, 0, 1]]
    own = agreement(make_template(pack), cutout_of(pack))
    assert agreement(make_template(renamed), cutout_of(pack)).luma < own.luma - 0.1
    assert agreement(make_template(recoloured), cutout_of(pack)).chroma < own.chroma - 0.1


def test_the_ground_of_a_picture_does_not_count(pack: Image) -> None:
    def on(ground: Image) -> Image:
        scene = ground.copy()
        scene[10:86, 12:52] = pack[10:86, 12:52]
        return scene

    white = on(np.full_like(pack, 255))
    shelf = on(np.random.default_rng(1).integers(0, 255, pack.shape).astype(np.uint8))
    assert product_mask(white).mean() == pytest.approx(76 * 40 / (96 * 64), abs=0.01)
    lost = cutout_of(np.full_like(pack, 255))
    found, nothing = (agreement(make_template(white), cutout) for cutout in (cutout_of(shelf), lost))
    assert found.luma > 0.7
    assert nothing.luma < 0.2


def test_a_white_label_inside_a_pack_is_no_ground() -> None:
    picture = np.full((60, 60, 3), 255, np.uint8)
    picture[10:50, 10:50] = (200, 30, 30)
    picture[20:40, 20:40] = 255
    expected = np.zeros((60, 60), bool)
    expected[10:50, 10:50] = True
    np.testing.assert_array_equal(product_mask(picture), expected)
    assert product_mask(np.full((4, 5, 3), 9, np.uint8)).all(), "a plain picture is all there is"


@pytest.mark.parametrize("size", [(1, 1), (3, 400), (400, 3)])
def test_pictures_of_any_shape_are_compared(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(2).integers(0, 255, (*size, 3)).astype(np.uint8)
    template = make_template(picture)
    width, height = template.size
    cutout = np.zeros((height + 2 * SLACK_PX, width + 2 * SLACK_PX, 3), np.uint8)
    found = agreement(template, cutout)
    assert 0 <= found.luma <= 1
    assert 0 <= found.chroma <= 1
