"""How layers lie over each other, against loops over pixels; and poses, against trigonometry."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shopcue.data.composed.layers import Label, Layer, Marked, Pose, assemble, item_layer, over, projected
from shopcue.data.composed.scenes import (
    CROP_LIMITS,
    LEAST_VISIBLE,
    OCCLUSION_LIMITS,
    VIEWPOINT_LIMITS_DEG,
    Scene,
    levels,
)
from shopcue.data.composed.stock import Item, carton, flat
from shopcue.records import COARSE_CLASSES

Image = NDArray[np.uint8]
GROUND = np.full((40, 60, 3), 90, np.uint8)


def label(track: int) -> Label:
    return Label(track % len(COARSE_CLASSES), 0, 100 + track, track)


def block(x: int, y: int, width: int, height: int, track: int | None = 0, alpha: int = 255) -> Layer:
    pixels = np.empty((height, width, 4), np.uint8)
    pixels[...] = (alpha, alpha // 2, 0, alpha)
    return Layer(pixels, x, y, None if track is None else label(track))


# ---- assembling --------------------------------------------------------------------------------------------------


@st.composite
def layers(draw: st.DrawFn) -> list[Layer]:
    """A few small layers with random alpha, in and out of the frame."""
    made: list[Layer] = []
    for track in range(draw(st.integers(0, 4))):
        rng = np.random.default_rng(draw(st.integers(0, 999)))
        size = (draw(st.integers(1, 25)), draw(st.integers(1, 25)))
        alpha = rng.choice([0, 60, 127, 128, 200, 255], size)
        colours = rng.integers(0, 256, (*size, 3)) * alpha[..., None] // 255
        pixels = np.concatenate([colours, alpha[..., None]], axis=-1).astype(np.uint8)
        tag = label(track) if draw(st.booleans()) else None
        made.append(Layer(pixels, draw(st.integers(-30, 60)), draw(st.integers(-30, 40)), tag))
    return made


def slow_scene(ground: Image, parts: list[Layer]) -> tuple[NDArray[np.float64], dict[int, tuple[float, ...]]]:
    """The picture and (box, occlusion, crop) of each labelled layer with a pixel in the frame, pixel by pixel."""
    picture = ground.astype(np.float64)
    top = {}
    inside: dict[int, list[tuple[int, int]]] = {}
    whole: dict[int, int] = {}
    for index, part in enumerate(parts):
        for row in range(part.pixels.shape[0]):
            for column in range(part.pixels.shape[1]):
                *colour, alpha = (int(value) for value in part.pixels[row, column])
                y, x = part.y + row, part.x + column
                solid = alpha >= 128
                whole[index] = whole.get(index, 0) + solid
                if not (0 <= y < ground.shape[0] and 0 <= x < ground.shape[1]):
                    continue
                picture[y, x] = np.minimum(picture[y, x] * (255 - alpha) / 255 + colour, 255)
                if solid:
                    top[y, x] = index
                    inside.setdefault(index, []).append((y, x))
    known: dict[int, tuple[float, ...]] = {}
    for index, pixels in inside.items():
        if parts[index].label is None:
            continue
        ys, xs = [y for y, _ in pixels], [x for _, x in pixels]
        shown = sum(top[pixel] == index for pixel in pixels)
        box = (min(xs), min(ys), max(xs) + 1, max(ys) + 1)
        known[index] = tuple(map(float, (*box, 1 - shown / len(pixels), 1 - len(pixels) / whole[index])))
    return picture, known


@given(layers())
def test_a_scene_equals_a_loop_over_its_pixels(parts: list[Layer]) -> None:
    ground = np.random.default_rng(1).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    scene = assemble(ground, parts)
    picture, known = slow_scene(ground, parts)
    assert np.abs(scene.image - picture).max() <= 0.51 * max(1, len(parts))
    plain = {index: row for index, row in known.items() if (1 - row[4]) * (1 - row[5]) >= LEAST_VISIBLE}
    tags = [parts[index].label for index in plain]
    assert scene.track.tolist() == [tag.track for tag in tags if tag is not None]
    assert scene.instance.tolist() == [tag.instance for tag in tags if tag is not None]
    assert scene.classes.tolist() == [tag.coarse_class for tag in tags if tag is not None]
    found = np.column_stack([scene.boxes, scene.occlusion, scene.crop])
    assert np.allclose(found, np.array(list(plain.values())).reshape(-1, 6), atol=1e-6)
    ignored = [row[:4] for index, row in known.items() if index not in plain]
    assert np.allclose(scene.ignored, np.array(ignored).reshape(-1, 4))


def test_what_the_frame_cuts_off_is_cropped() -> None:
    scene = assemble(GROUND, [block(-5, 10, 10, 8), block(50, 35, 20, 10, 1)])
    assert scene.boxes.tolist() == [[0, 10, 5, 18], [50, 35, 60, 40]]
    assert scene.crop.tolist() == [0.5, 0.75]
    assert scene.occlusion.tolist() == [0, 0]
    assert scene.crop_class.tolist() == [2, 2]


def test_what_others_cover_is_occluded() -> None:
    scene = assemble(GROUND, [block(10, 10, 20, 10), block(25, 10, 20, 10, 1), block(40, 10, 5, 10, None)])
    assert scene.occlusion.tolist() == [0.25, 0.25]
    assert scene.occlusion_class.tolist() == [1, 1]
    assert scene.boxes[0].tolist() == [10, 10, 30, 20]  # covered parts are inside the box


def test_a_shadow_covers_nothing() -> None:
    assert assemble(GROUND, [block(10, 10, 20, 10), block(0, 0, 60, 40, None, alpha=127)]).occlusion.tolist() == [0]


def test_what_is_hardly_seen_is_ignored() -> None:
    scene = assemble(GROUND, [block(10, 10, 20, 10), block(12, 10, 30, 10, None)])
    assert len(scene) == 0
    assert scene.ignored.tolist() == [[10, 10, 30, 20]]
    assert len(assemble(GROUND, [block(10, 10, 20, 10), block(13, 10, 30, 10, None)])) == 1  # just 15 % to be seen


def test_what_lies_outside_is_not_there() -> None:
    scene = assemble(GROUND, [block(-30, 0, 30, 10), block(60, 0, 5, 5, 1), block(0, 40, 5, 5, 2)])
    assert len(scene) == 0
    assert len(scene.ignored) == 0
    assert np.array_equal(scene.image, GROUND)


def test_the_ground_is_not_written_to() -> None:
    ground = GROUND.copy()
    assemble(ground, [block(0, 0, 30, 30)])
    assert np.array_equal(ground, GROUND)


def test_what_is_not_known_of_a_mark_is_nan() -> None:
    scene = assemble(GROUND, [], [Marked((-20, 10, 20, 30), label(7), free=False, whole=False)])
    assert np.isnan(scene.crop).tolist() == np.isnan(scene.occlusion).tolist() == [True]
    assert scene.boxes[0].tolist() == [0, 10, 20, 30]


def test_what_the_ground_shows_is_labelled_by_its_box() -> None:
    marks = [Marked((-20, 10, 20, 30), label(7)), Marked((30, 0, 40, 10), None), Marked((70, 0, 90, 10), label(8))]
    scene = assemble(GROUND, [block(10, 10, 10, 20, 1)], marks)
    assert scene.track.tolist() == [7, 1]
    assert scene.boxes[0].tolist() == [0, 10, 20, 30]
    assert scene.crop[0] == pytest.approx(0.5)
    assert scene.occlusion[0] == pytest.approx(0.5)
    assert scene.ignored.tolist() == [[30, 0, 40, 10]]


@given(st.integers(0, 9999))
def test_over_equals_the_formula(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pair = rng.integers(0, 256, (2, 5, 6, 4))
    pair[..., :3] = pair[..., :3] * pair[..., 3:] // 255
    below, above = pair.astype(np.uint8)
    plain = pair[0] * (255 - pair[1][..., 3:]) / 255 + pair[1]
    assert np.abs(over(below, above) - plain).max() <= 0.51


# ---- shares and classes ------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 90)), st.sampled_from([OCCLUSION_LIMITS, CROP_LIMITS, VIEWPOINT_LIMITS_DEG]))
def test_levels_equal_comparisons(values: list[float], limits: tuple[float, float]) -> None:
    plain = [0 if value < limits[0] else 1 if value < limits[1] else 2 for value in values]
    assert levels(values, limits).tolist() == plain
    assert levels([*values, math.nan], limits).tolist() == [*plain, -1]


def test_an_empty_scene_has_empty_labels() -> None:
    scene: Scene = assemble(GROUND, [])
    assert (scene.boxes.shape, scene.ignored.shape) == ((0, 4), (0, 4))
    assert scene.occlusion_class.shape == scene.crop_class.shape == (0,)


# ---- poses -------------------------------------------------------------------------------------------------------


def test_a_point_is_projected_as_trigonometry_says() -> None:
    pose = Pose(100, 50, 80, yaw_deg=30)
    x, y = projected(np.array([(0.25, 0.5, 0.0)]), pose)[0]
    near = 80 * 4 / (4 - 0.25 * math.sin(math.radians(30)))
    assert x == pytest.approx(100 + near * 0.25 * math.cos(math.radians(30)))
    assert y == pytest.approx(50 - near * 0.5)


def test_turns_go_the_way_that_they_say() -> None:
    right, top, front = np.array([(0.5, 0.0, 0.0)]), np.array([(0.0, 0.5, 0.0)]), np.array([(0.0, 0.0, 0.5)])
    assert projected(right, Pose(0, 0, 10, roll_deg=90))[0].tolist() == pytest.approx([0, 5], abs=1e-4)  # clockwise
    assert projected(front, Pose(0, 0, 10, yaw_deg=30))[0][0] < 0  # so the right side comes into view
    assert projected(front, Pose(0, 0, 10, pitch_deg=30))[0][1] > 0  # so the top does
    assert projected(top, Pose(0, 0, 10))[0].tolist() == pytest.approx([0, -5])


@pytest.fixture(scope="module")
def pack() -> Item:
    """A pack, red on the left and blue on the right, on white."""
    picture = np.full((260, 160, 3), 255, np.uint8)
    picture[10:250, 20:140] = (200, 30, 30)
    picture[10:250, 80:140] = (30, 30, 200)
    return carton("red and blue", 3, picture)


def silhouette(layer: Layer) -> tuple[float, float, float, float]:
    ys, xs = np.nonzero(layer.pixels[..., 3] >= 128)
    return layer.x + xs.min(), layer.y + ys.min(), layer.x + xs.max() + 1, layer.y + ys.max() + 1


def test_an_upright_pack_stands_where_its_pose_says(pack: Item) -> None:
    layer = item_layer(pack, Pose(100, 60, 80), track=9)
    # In perspective the front is nearer than the middle, and a little larger.
    grown = 4 / (4 - pack.depth * pack.aspect / 2)
    expected = (100 - 20 * grown, 60 - 40 * grown, 100 + 20 * grown, 60 + 40 * grown)
    assert silhouette(layer) == pytest.approx(expected, abs=1.6)
    assert layer.label == Label(COARSE_CLASSES.index("goods"), 0, 3, 9)


def test_a_pack_that_lies_down_is_wide(pack: Item) -> None:
    x0, y0, x1, y1 = silhouette(item_layer(pack, Pose(0, 0, 80, roll_deg=90)))
    assert x1 - x0 > 1.7 * (y1 - y0)


@pytest.mark.parametrize("yaw", [-70, -45, -20, 20, 45, 70])
def test_a_turned_pack_shows_the_side_that_it_turns_to(pack: Item, yaw: float) -> None:
    pose = Pose(0, 0, 200, yaw_deg=yaw)
    layer = item_layer(pack, pose)
    half = np.array([pack.aspect / 2, 0.5, pack.depth * pack.aspect / 2])
    corners = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * half
    outline = projected(corners, pose)
    expected = (*outline.min(axis=0).tolist(), *outline.max(axis=0).tolist())
    assert silhouette(layer) == pytest.approx(expected, abs=3)
    middle_of_side = projected(np.array([(np.sign(yaw) * half[0], 0.4, 0.0)]), pose)[0]
    red, _, blue, alpha = layer.pixels[
        round(float(middle_of_side[1])) - layer.y, round(float(middle_of_side[0])) - layer.x
    ]
    assert alpha == 255
    assert blue > red + 60 if yaw > 0 else red > blue + 60


@pytest.mark.parametrize(("yaw", "viewpoint"), [(0, 0), (-24, 0), (26, 1), (-49, 1), (51, 2), (-68, 2)])
def test_the_viewpoint_follows_from_the_yaw(pack: Item, yaw: float, viewpoint: int) -> None:
    tag = item_layer(pack, Pose(0, 0, 60, yaw_deg=yaw)).label
    assert tag is not None
    assert tag.viewpoint == viewpoint


def test_a_garment_is_flat() -> None:
    photo = np.full((80, 60, 3), (20, 120, 60), np.uint8)
    mask = np.zeros((80, 60), np.uint8)
    mask[10:70, 10:50] = 255
    garment = flat("green", 0, 1, photo, mask)
    x0, _, x1, _ = silhouette(item_layer(garment, Pose(0, 0, 120, yaw_deg=60)))
    assert x1 - x0 == pytest.approx(120 * 40 / 60 * math.cos(math.radians(60)), rel=0.12)
