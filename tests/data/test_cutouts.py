"""Cut-outs against silhouettes that are known because we drew them, and against scipy's morphology."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage

from shopcue.data.cutouts import cut_garment, cut_plain, filled, hull, largest_parts
from shopcue.sources.synthetic.designs import DESIGNS
from shopcue.sources.synthetic.packages import build, render

Image = NDArray[np.uint8]
MASKS = arrays(np.uint8, (12, 15), elements=st.sampled_from([0, 255]))


def overlap(a: Image, b: Image) -> float:
    return float(((a > 0) & (b > 0)).sum() / ((a > 0) | (b > 0)).sum())


def on_white(picture: Image) -> tuple[Image, Image]:
    """An RGBA picture on a white sheet, and its mask."""
    framed = np.asarray(cv2.copyMakeBorder(picture, 9, 9, 9, 9, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0)), np.uint8)
    alpha = framed[..., 3:] / 255
    return (framed[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8), (framed[..., 3] > 127).astype(np.uint8)


@pytest.mark.parametrize("shape", ["gable", "teabox", "can", "jar", "bag"])
def test_a_drawn_pack_is_cut_out_of_white_paper(shape: str) -> None:
    design = next(design for design in DESIGNS if design.shape == shape)
    picture, truth = on_white(render(build(design), 240, yaw=-0.3))
    assert overlap(cut_plain(picture), truth) > 0.96


def test_a_white_pack_on_white_paper_is_not_see_through() -> None:
    picture = np.full((120, 90, 3), 255, np.uint8)
    cv2.rectangle(picture, (20, 10), (70, 110), (228, 228, 228), 1)
    cv2.rectangle(picture, (20, 60), (70, 75), (200, 20, 40), -1)
    picture[105:112, 30:50] = 255  # the outline is open: the ground flows in
    truth = np.zeros((120, 90), np.uint8)
    truth[10:111, 20:71] = 255
    assert overlap(cut_plain(picture), truth) > 0.95


def test_a_shadow_is_not_part_of_the_pack() -> None:
    picture = np.full((160, 200, 3), 255, np.uint8)
    for column in range(90, 180):  # pale, and a little paler with each column
        picture[60:140, column] = 215 + (column - 90) * 40 // 90
    picture[20:140, 40:100] = (30, 90, 160)
    truth = np.zeros((160, 200), np.uint8)
    truth[20:140, 40:100] = 255
    assert overlap(cut_plain(picture), truth) > 0.9


def test_a_picture_without_plain_ground_is_all_product() -> None:
    noise = np.random.default_rng(0).integers(0, 150, (40, 50, 3)).astype(np.uint8)
    assert cut_plain(noise).all()
    assert cut_plain(np.full((40, 50, 3), 255, np.uint8)).all()


def garment_photo(seed: int) -> tuple[Image, Image]:
    """A cloth with a pattern on a floor with another one, and its mask."""
    rng = np.random.default_rng(seed)
    floor = np.clip(rng.normal((150, 120, 90), 12, (320, 240, 3)), 0, 255)
    floor[::16] -= 25
    cloth = np.clip(rng.normal((40, 60, 140), 14, (320, 240, 3)), 0, 255)
    mask = np.zeros((320, 240), np.uint8)
    outline = np.array([(70, 60), (170, 60), (215, 120), (185, 140), (170, 110), (175, 270), (65, 270), (70, 110),
                        (55, 140), (25, 120)])  # fmt: skip
    cv2.fillPoly(mask, [outline], 255)
    return np.where(mask[..., None] > 0, cloth, floor).clip(0, 255).astype(np.uint8), mask


@pytest.mark.parametrize("seed", range(3))
def test_a_garment_is_cut_out_of_a_floor(seed: int) -> None:
    photo, truth = garment_photo(seed)
    mask = cut_garment(photo)
    assert mask is not None
    assert mask.shape == truth.shape
    assert set(np.unique(mask)) == {0, 255}
    assert overlap(mask, truth) > 0.94


def test_the_same_photo_gives_the_same_mask() -> None:
    photo, _ = garment_photo(5)
    first, second = cut_garment(photo), cut_garment(photo)
    assert first is not None
    assert np.array_equal(first, second if second is not None else 0)


@pytest.mark.parametrize("kind", ["plain", "noise", "half"])
def test_a_photo_without_a_garment_is_refused(kind: str) -> None:
    photo = np.full((200, 160, 3), 128, np.uint8)
    if kind == "noise":
        photo = np.random.default_rng(1).integers(0, 256, photo.shape).astype(np.uint8)
    if kind == "half":
        photo[:, :80] = (200, 30, 30)
    assert cut_garment(photo) is None


@given(MASKS)
def test_the_largest_part_is_that_of_scipy(mask: Image) -> None:
    labels, count = ndimage.label(mask)
    areas = ndimage.sum_labels(mask > 0, labels, range(1, count + 1))
    kept = largest_parts(mask)
    if not count:
        assert not kept.any()
        return
    assert (kept > 0).sum() in {areas.max() * times for times in range(1, count + 1)}
    assert np.array_equal(kept > 0, np.isin(labels, np.flatnonzero(areas == areas.max()) + 1))


@given(MASKS)
def test_holes_are_filled_as_scipy_fills_them(mask: Image) -> None:
    # With a limit above every hole; the ground is joined over edges, as scipy's is.
    assert np.array_equal(filled(mask, 1e9) > 0, ndimage.binary_fill_holes(mask > 0)) or not mask.any()


def test_a_large_hole_stays() -> None:
    mask = np.zeros((60, 60), np.uint8)
    mask[5:55, 5:55] = 255
    mask[20:40, 20:40] = 0
    mask[10, 10] = 0
    kept = filled(mask, 0.01)
    assert kept[10, 10] == 255
    assert not kept[20:40, 20:40].any()


@given(MASKS)
def test_a_hull_holds_its_mask_and_no_more_rows_or_columns(mask: Image) -> None:
    if not mask.any():
        return
    around = hull(mask)
    assert not np.any((mask > 0) & (around == 0))
    assert cv2.boundingRect(around) == cv2.boundingRect(mask)
