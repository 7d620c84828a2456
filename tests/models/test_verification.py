"""Local features on pictures whose place in the frame is known."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from shopcue.catalog.pictures import read_picture
from shopcue.geometry import iou
from shopcue.models.verification import (
    GeometricVerifier,
    PhotoWeights,
    closeup,
    photo_features,
    photo_log_odds,
)
from shopcue.records import Catalog, Gallery, Image, Product
from shopcue.sources.synthetic import make_shop


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Image]:
    folder = tmp_path_factory.mktemp("shop")
    make_shop(folder, count=3, seed=1)
    return [read_picture(path).image for path in sorted((folder / "images").glob("*.jpg"))]


def gallery_of(pictures: list[Image]) -> Gallery:
    products = tuple(Product(str(i), f"product {i}", (f"{i}.jpg",)) for i in range(len(pictures)))
    vectors = np.eye(len(pictures), 8, dtype=np.float32)
    return Gallery(Catalog(products), vectors, np.arange(len(pictures)), "test", tuple(pictures))


def placed(picture: Image, transform: np.ndarray, size: tuple[int, int] = (640, 360)) -> Image:
    """The picture under an affine map, on a grey ground with noise."""
    ground = np.random.default_rng(0).normal(128, 6, (size[1], size[0], 3)).clip(0, 255).astype(np.uint8)
    return np.asarray(cv2.warpAffine(picture, transform, size, dst=ground, borderMode=cv2.BORDER_TRANSPARENT), np.uint8)


def turned(picture: Image, height: float, degrees: float, x: float, y: float) -> np.ndarray:
    """The map that shows a picture `height` pixels high, turned, with its centre at (x, y)."""
    centre = (picture.shape[1] / 2, picture.shape[0] / 2)
    transform = cv2.getRotationMatrix2D(centre, degrees, height / picture.shape[0])
    transform[:, 2] += (x - centre[0], y - centre[1])
    return transform


@pytest.mark.parametrize(
    ("height", "degrees", "x", "y"), [(300, 0, 320, 180), (220, 12, 200, 170), (180, -20, 450, 200)]
)
def test_a_picture_is_found_where_it_was_put(
    pictures: list[Image], height: float, degrees: float, x: float, y: float
) -> None:
    transform = turned(pictures[0], height, degrees, x, y)
    found = GeometricVerifier(gallery_of(pictures)).verify(placed(pictures[0], transform), [0, 1, 2])
    assert found[0].inliers >= 15
    assert max(found[1].inliers, found[2].inliers) < found[0].inliers / 3
    side_x, side_y = pictures[0].shape[1], pictures[0].shape[0]
    corners = np.array([[0, 0, 1], [side_x, 0, 1], [side_x, side_y, 1], [0, side_y, 1]], np.float64) @ transform.T
    truth = np.concatenate([corners.min(0).clip(0), corners.max(0).clip(0, [640, 360])]).astype(np.float32)
    assert iou(found[0].box[None], truth[None])[0, 0] > 0.85


def test_a_mirrored_picture_is_another_print(pictures: list[Image]) -> None:
    verifier = GeometricVerifier(gallery_of(pictures))
    transform = turned(pictures[0], 300, 0, 320, 180)
    straight = verifier.verify(placed(pictures[0], transform), [0])[0].inliers
    mirrored = verifier.verify(placed(np.ascontiguousarray(pictures[0][:, ::-1]), transform), [0])[0].inliers
    assert mirrored < straight / 3


def test_where_there_is_nothing_nothing_is_found(pictures: list[Image]) -> None:
    verifier = GeometricVerifier(gallery_of(pictures))
    for frame in (
        np.full((360, 640, 3), 128, np.uint8),
        np.zeros((1, 1, 3), np.uint8),
        np.random.default_rng(1).integers(0, 255, (360, 640, 3)).astype(np.uint8),
    ):
        assert all(found.inliers < 8 for found in verifier.verify(frame, [0, 1, 2]))
    assert verifier.verify(np.zeros((90, 160, 3), np.uint8), []) == []


def test_plain_pictures_and_a_gallery_without_pictures_say_nothing() -> None:
    plain = [np.full((200, 100, 3), 255, np.uint8)]
    frame = np.random.default_rng(2).integers(0, 255, (180, 320, 3)).astype(np.uint8)
    assert GeometricVerifier(gallery_of(plain)).verify(frame, [0])[0].inliers == 0
    bare = Gallery(gallery_of(plain).catalog, np.eye(1, 8, dtype=np.float32), np.array([0]), "test")
    assert GeometricVerifier(bare).verify(frame, [0])[0].inliers == 0


def test_the_answer_does_not_depend_on_who_else_is_asked_for(pictures: list[Image], tmp_path: Path) -> None:
    frame = placed(pictures[1], turned(pictures[1], 260, 5, 300, 180))
    alone = GeometricVerifier(gallery_of(pictures)).verify(frame, [1])[0]
    among = GeometricVerifier(gallery_of(pictures)).verify(frame, [2, 1, 0])[1]
    assert alone.inliers == among.inliers
    np.testing.assert_array_equal(alone.box, among.box)


def tilted(picture: Image, quad: list[tuple[float, float]]) -> np.ndarray:
    """The projective map that shows a picture with its corners at `quad`, clockwise from the top left."""
    height, width = picture.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    return np.asarray(cv2.getPerspectiveTransform(corners, np.array(quad, np.float32)), np.float64)


def scene_of(picture: Image, transform: np.ndarray, size: tuple[int, int] = (640, 480)) -> Image:
    """The picture under a projective map, on a grey ground with noise."""
    ground = np.random.default_rng(0).normal(128, 6, (size[1], size[0], 3)).clip(0, 255).astype(np.uint8)
    return np.asarray(
        cv2.warpPerspective(picture, transform, size, dst=ground, borderMode=cv2.BORDER_TRANSPARENT), np.uint8
    )


def test_a_tilted_picture_is_laid_upright(pictures: list[Image]) -> None:
    quad = [(230.0, 60.0), (400.0, 100.0), (390.0, 380.0), (220.0, 430.0)]
    image = scene_of(pictures[0], tilted(pictures[0], quad))
    found = GeometricVerifier(gallery_of(pictures)).examine(image, [0])[0]
    width, height = found.size
    corners = np.array([[[0, 0], [width, 0], [width, height], [0, height]]], np.float32)
    placed = cv2.perspectiveTransform(corners, found.placing)[0]
    assert np.abs(placed - np.array(quad)).max() < 4
    assert found.agreement.luma > 0.7
    upright = closeup(image, found).astype(np.float32)
    straight = cv2.resize(pictures[0], (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    assert np.corrcoef(upright.ravel(), straight.ravel())[0, 1] > 0.9


def test_agreement_tells_twins_that_share_most_of_their_print(pictures: list[Image]) -> None:
    twin = pictures[0].copy()
    height = twin.shape[0]
    twin[height * 2 // 3 : height * 5 // 6] = pictures[1][height * 2 // 3 : height * 5 // 6, : twin.shape[1]]
    verifier = GeometricVerifier(gallery_of([pictures[0], twin, pictures[2]]))
    for shown, picture in ((0, pictures[0]), (1, twin)):
        found = verifier.examine(scene_of(picture, np.vstack([turned(picture, 330, 8, 300, 240), [0, 0, 1]])), [0, 1])
        own, other = found[shown], found[1 - shown]
        assert other.inliers >= 15, "the twin is found too"
        assert own.agreement.luma > other.agreement.luma + 0.03


def test_a_box_says_where_to_look(pictures: list[Image]) -> None:
    left = np.vstack([turned(pictures[0], 260, 0, 150, 180), [0, 0, 1]])
    right = np.vstack([turned(pictures[0], 260, 0, 480, 190), [0, 0, 1]])
    image = np.where(
        np.arange(640)[None, :, None] < 320, scene_of(pictures[0], left), scene_of(pictures[0], right)
    ).astype(np.uint8)
    half = 130 * pictures[0].shape[1] / pictures[0].shape[0]
    verifier = GeometricVerifier(gallery_of(pictures))
    for x, y in ((150, 180), (480, 190)):
        box = np.array([x - half, y - 130, x + half, y + 130], np.float32)
        for look in (verifier.verify, verifier.examine):
            found = look(image, [0], box)[0]
            assert iou(found.box[None], box[None])[0, 0] > 0.85


def test_examining_finds_nothing_where_there_is_nothing(pictures: list[Image]) -> None:
    verifier = GeometricVerifier(gallery_of(pictures))
    outside = np.array([900, 900, 950, 950], np.float32)
    for image in (np.full((360, 640, 3), 128, np.uint8), np.zeros((1, 1, 3), np.uint8)):
        for box in (None, outside):
            found = verifier.examine(image, [0, 1, 2], box)
            assert [each.inliers for each in found] == [0, 0, 0]
            assert all(each.agreement.luma == 0 for each in found)
    assert verifier.examine(np.zeros((90, 160, 3), np.uint8), []) == []


def test_examining_does_not_depend_on_who_else_is_asked_for(pictures: list[Image]) -> None:
    image = placed(pictures[1], turned(pictures[1], 260, 5, 300, 180))
    alone = GeometricVerifier(gallery_of(pictures)).examine(image, [1])[0]
    among = GeometricVerifier(gallery_of(pictures)).examine(image, [2, 1, 0])[1]
    assert (alone.inliers, alone.agreement) == (among.inliers, among.agreement)
    np.testing.assert_array_equal(alone.placing, among.placing)


def test_the_log_odds_of_a_photo_are_linear_in_what_was_found(pictures: list[Image]) -> None:
    image = placed(pictures[2], turned(pictures[2], 260, 5, 300, 180))
    found = GeometricVerifier(gallery_of(pictures)).examine(image, [2, 0])
    similarity = np.array([1.0, 2.0, -0.5], np.float32)
    weights = PhotoWeights(one=-3.0, similarity=2.0, inliers=0.5, luma=4.0, chroma=1.0)
    expected = [-3 + 2 * s for s in similarity.tolist()]
    for product, each in ((2, found[0]), (0, found[1])):
        expected[product] += 0.5 * math.log(1 + max(0, each.inliers - 3))
        expected[product] += 4 * each.agreement.luma + each.agreement.chroma
    np.testing.assert_allclose(photo_log_odds(photo_features(similarity, [2, 0], found), weights), expected, rtol=1e-5)
    assert int(np.argmax(photo_log_odds(photo_features(np.zeros(3, np.float32), [2, 0], found)))) == 2
