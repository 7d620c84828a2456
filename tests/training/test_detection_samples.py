"""Samples follow from their number alone, and their boxes lie where the things are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

torch = pytest.importorskip("torch", reason="training is an extra: pip install 'shopcue[train]'")

from shopcue.data.composed import Stock, compose_scene, drawn_stock  # noqa: E402
from shopcue.data.deepfashion2 import CATEGORIES, UNKNOWN, StreetGarment, StreetPicture  # noqa: E402
from shopcue.errors import MediaError  # noqa: E402
from shopcue.training.detection_samples import (  # noqa: E402
    ComposedSamples,
    Sample,
    Samples,
    StreetSamples,
    read_street_samples,
)

SIDE_PX = 64
BOX = (30.0, 10.0, 70.0, 40.0)  # of the blue garment in every drawn picture


def garment(style: int, box: tuple[float, float, float, float] = BOX, category: int = 8) -> StreetGarment:
    landmarks = np.full((CATEGORIES[category].landmarks, 3), 2, np.int64)
    return StreetGarment(1, category, style, box, landmarks, occlusion=2, viewpoint=3, zoom_in=1, scale=2)


@pytest.fixture
def pictures(tmp_path: Path) -> list[StreetPicture]:
    """Five pictures, 100 x 50, each with a blue garment; the first shows another one, outside of it."""
    made = []
    for number in range(5):
        image = np.full((50, 100, 3), 60 + 30 * number, np.uint8)
        x0, y0, x1, y1 = map(int, BOX)
        image[y0:y1, x0:x1] = (0, 0, 255)
        path = tmp_path / f"{number:06d}.png"
        Pillow.fromarray(image).save(path)
        outside = (garment(1, (200, 0, 300, 50)),) if number == 0 else ()
        made.append(StreetPicture(path.stem, path, "user", 10 + number, (*outside, garment(number % 2))))
    return made


@pytest.fixture(scope="module")
def stock() -> Stock:
    return drawn_stock(3)


def equal(a: Sample, b: Sample) -> bool:
    same = [a.truth.boxes.equal(b.truth.boxes), a.truth.instances.equal(b.truth.instances)]
    return np.array_equal(a.pixels, b.pixels) and all(same)


def test_a_street_sample_shows_its_garment_in_its_box(pictures: list[StreetPicture]) -> None:
    samples = StreetSamples(pictures, SIDE_PX, seed=0)
    assert samples.instances == 3  # pictures 0, 1 and 3: the one outside has a pair too
    mirrored = set()
    for number in range(10):
        sample = samples(number)
        assert sample.pixels.shape == (SIDE_PX, SIDE_PX, 3)
        (box,) = sample.truth.boxes.tolist()
        blue = sample.pixels[..., 2].astype(int) - sample.pixels[..., 0] > 60
        rows, columns = np.flatnonzero(blue.any(axis=1)), np.flatnonzero(blue.any(axis=0))
        seen = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        np.testing.assert_allclose(box, seen, atol=1)
        # 100 x 50 in a square of 64: .64 as large, 16 rows of grey above.
        assert box[1] == pytest.approx(16 + 0.64 * BOX[1], abs=1e-4)
        mirrored.add(box[0] == pytest.approx(0.64 * (100 - BOX[2]), abs=1e-4))
        assert sample.truth.classes.tolist() == [1]
        assert sample.truth.quality.tolist() == [[2, 1, 0]]
        assert sample.truth.ignored.shape == (0, 4)
    assert mirrored in ({True}, {False, True})


def test_boxes_of_a_large_picture_are_in_pixels_of_its_file(pictures: list[StreetPicture], tmp_path: Path) -> None:
    with Pillow.open(pictures[1].path) as small:
        small.resize((2000, 1000), Pillow.Resampling.NEAREST).save(tmp_path / "large.png")
    large = replace(
        pictures[1],
        path=tmp_path / "large.png",
        garments=(garment(1, tuple(20 * side for side in BOX)),),  # type: ignore[arg-type]
    )
    for number in range(4):
        boxes = [StreetSamples([each], SIDE_PX, seed=0)(number).truth.boxes for each in (pictures[1], large)]
        torch.testing.assert_close(boxes[1], boxes[0], rtol=0, atol=0.1)


def test_directions_and_light_change_from_round_to_round(pictures: list[StreetPicture]) -> None:
    samples = StreetSamples([pictures[1]], SIDE_PX, seed=0)
    drawn = [samples(number) for number in range(12)]
    assert len({sample.truth.boxes[0, 0].item() for sample in drawn}) == 1  # the box is in the middle
    assert len({int(sample.pixels[20, 2, 0]) for sample in drawn}) > 6
    left = StreetPicture("left", pictures[1].path, "user", 1, (garment(0, (0, 0, 30, 50)),))
    lefts = {StreetSamples([left], SIDE_PX, seed=0)(number).truth.boxes[0, 0].item() for number in range(12)}
    assert len(lefts) == 2


def test_every_picture_comes_once_a_round(pictures: list[StreetPicture]) -> None:
    samples = StreetSamples(pictures, SIDE_PX, seed=3)
    rounds = [[samples(5 * turn + place).truth.instances.tolist() for place in range(5)] for turn in range(4)]
    for each in rounds:
        assert sorted(each) == sorted([[UNKNOWN], [UNKNOWN], [UNKNOWN], [1], [2]])
    assert len({str(each) for each in rounds}) > 1


def test_samples_follow_from_their_number(pictures: list[StreetPicture], stock: Stock) -> None:
    for make in (
        lambda seed: StreetSamples(pictures, SIDE_PX, seed),
        lambda seed: ComposedSamples(stock, "drawn", SIDE_PX, seed),
    ):
        samples: Samples = make(0)
        later = samples(7)
        assert equal(make(0)(7), later)
        samples(2)
        assert equal(samples(7), later)
        assert not equal(make(1)(7), later)
        assert make(1).fingerprint == samples.fingerprint


def test_other_data_have_another_fingerprint(pictures: list[StreetPicture], stock: Stock) -> None:
    names = {StreetSamples(some, SIDE_PX, 0).fingerprint for some in (pictures, pictures[:4], pictures[1:])}
    fewer = replace(stock, items=stock.items[:2])
    names |= {ComposedSamples(some, "drawn", SIDE_PX, 0).fingerprint for some in (stock, fewer)}
    assert len(names) == 5


def test_composed_samples_are_composed_scenes(stock: Stock) -> None:
    samples = ComposedSamples(stock, "drawn", SIDE_PX, seed=0)
    assert samples.instances == len(stock.items)
    for number in range(4):
        scene, truth = compose_scene(stock, number), samples(number).truth
        height, width = scene.image.shape[:2]
        scale = SIDE_PX / max(height, width)
        margin = np.array([(SIDE_PX - round(width * scale)) // 2, (SIDE_PX - round(height * scale)) // 2] * 2)
        np.testing.assert_allclose(truth.boxes, scene.boxes * scale + margin, atol=1e-3)
        np.testing.assert_array_equal(truth.instances, scene.instance)
        assert (truth.instances < samples.instances).all()


def test_a_picture_that_cannot_be_read_is_replaced(pictures: list[StreetPicture]) -> None:
    pictures[3].path.write_bytes(b"no picture")
    samples = StreetSamples(pictures, SIDE_PX, seed=0)
    seen = [samples(number).truth.instances.tolist() for number in range(5)]
    assert [2] not in seen  # what picture 3 shows
    assert len(seen) == 5
    for picture in pictures:
        picture.path.unlink(missing_ok=True)
    with pytest.raises(MediaError, match="16 pictures of DeepFashion2 in a row cannot be read"):
        samples(0)


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    for folder in ("image", "annos"):
        (tmp_path / "train" / folder).mkdir(parents=True)
    with pytest.raises(MediaError, match="holds no annotated picture"):
        read_street_samples(tmp_path, SIDE_PX, 0, print)
