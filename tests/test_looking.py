"""What the two-stage method makes of tracklets, against a plain loop over a stream whose things are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from shopcue.geometry import crop, widened
from shopcue.looking import Seen, TrackletLooker
from shopcue.matching import look_features, thing_features
from shopcue.records import Catalog, Detections, Floats, Frame, Gallery, Image, Product

WIDTH, HEIGHT = 320, 180
STRETCH_S, REACH_S = 1.5, 3.0


class ColourEncoder:
    """An encoder whose embedding can be computed in the head: the mean colour, as a unit vector."""

    dim = 3
    fingerprint = "colour"

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def encode(self, images: Sequence[Image]) -> Floats:
        self.shapes += [image.shape for image in images]
        rows = np.stack([image.reshape(-1, 3).mean(axis=0) + 1e-3 for image in images])
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.fixture
def gallery() -> Gallery:
    """Three products: red, green and blue, without pictures, so that nothing is verified."""
    catalog = Catalog(tuple(Product(name, name, ("x.jpg",)) for name in ("red", "green", "blue")))
    return Gallery(catalog, np.eye(3, dtype=np.float32), np.arange(3), "colour")


def frames(count: int, seed: int = 0) -> list[tuple[Frame, Detections]]:
    """A red thing that stays at the left and a green one at the right, each of changing brightness and quality."""
    rng = np.random.default_rng(seed)
    moments = []
    for k in range(count):
        image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        image[40:140, 30:90] = (rng.integers(120, 255), rng.integers(0, 60), 0)
        image[60:120, 220:300] = (0, rng.integers(120, 255), rng.integers(0, 60))
        boxes = np.array([[30, 40, 90, 140], [220, 60, 300, 120]], np.float32)
        quality = rng.uniform(0.2, 1, (2, 3)).astype(np.float32)
        vectors = np.eye(2, dtype=np.float32)
        moments.append(
            (
                Frame(k / 2, image),
                Detections(k / 2, boxes, np.array([0.9, 0.8], np.float32), np.array([5, 5]), quality, vectors),
            )
        )
    return moments


def looker(gallery: Gallery, encoder: ColourEncoder) -> TrackletLooker:
    cohort = encoder.encode([np.full((4, 4, 3), value, np.uint8) for value in (10, 200)])
    return TrackletLooker(gallery, encoder, cohort, verify=2, stretch_s=STRETCH_S, reach_s=REACH_S)


def run(gallery: Gallery, moments: list[tuple[Frame, Detections]]) -> list[Seen]:
    eye = looker(gallery, ColourEncoder())
    return [seen for moment in moments for seen in eye.update(*moment)] + eye.finish()


def test_each_moment_comes_once_and_in_order(gallery: Gallery) -> None:
    moments = frames(41)
    assert [seen.time_s for seen in run(gallery, moments)] == [frame.time_s for frame, _ in moments]


def test_a_moment_sums_up_the_best_views_around_it_as_a_plain_loop_does(gallery: Gallery) -> None:
    moments = frames(24)
    found = run(gallery, moments)
    encoder = ColourEncoder()
    norm_mean = (encoder.encode([np.full((4, 4, 3), v, np.uint8) for v in (10, 200)]) @ gallery.vectors.T).mean(axis=0)
    things = {0: ((0.0, 0.2), 0), 1: ((0.0, 0.2), 1), 2: ((0.0, -0.2), -1)}
    looks: dict[int, list[tuple[float, Floats]]] = {}
    for thing, (borders, row) in things.items():
        looks[thing] = []
        for first in range(0, len(moments), 3):  # 3 frames a stretch
            stretch = moments[first : first + 3]
            worths = [1.0 if row < 0 else float(np.prod(seen.quality[row]) * seen.scores[row]) for _, seen in stretch]
            frame, seen = stretch[int(np.argmax(worths))]
            box = np.array([0, 0, WIDTH, HEIGHT], np.float32) if row < 0 else seen.boxes[row]
            vectors = encoder.encode([crop(frame.image, widened(box, border)) for border in borders])
            similarity = ((vectors @ gallery.vectors.T).mean(axis=0) - norm_mean) / 0.02
            looks[thing].append((frame.time_s, np.asarray(similarity, np.float32)))
    for (frame, shown), found_here in zip(moments, found, strict=True):
        rows = []
        for thing, (_, row) in things.items():
            near = [similarity for time_s, similarity in looks[thing] if abs(time_s - frame.time_s) <= REACH_S]
            box = np.array([0, 0, WIDTH, HEIGHT], np.float32) if row < 0 else shown.boxes[row]
            nothing = np.zeros(3, np.float32)
            rows.append(
                thing_features(look_features(np.mean(near, axis=0), nothing, nothing), box, float(WIDTH), float(HEIGHT))
            )
        for product in range(3):
            best = max(rows, key=lambda features: features[product, 1])
            np.testing.assert_allclose(found_here.features[product], best[product], rtol=2e-3, atol=2e-3)
    # the red product was seen in the red thing, the green one in the green
    np.testing.assert_array_equal(found[0].box[0], [30, 40, 90, 140])
    np.testing.assert_array_equal(found[0].box[1], [220, 60, 300, 120])


def test_only_the_picks_are_embedded(gallery: Gallery) -> None:
    encoder = ColourEncoder()
    eye = looker(gallery, encoder)
    encoder.shapes.clear()
    moments = frames(30)
    for moment in moments:
        eye.update(*moment)
    eye.finish()
    picks = len(moments) / 3 * 3  # stretches of three frames; two things and the frame as a whole
    assert len(encoder.shapes) == 2 * picks


def test_a_long_stream_needs_no_more_memory_than_a_short_one(gallery: Gallery) -> None:
    eye = looker(gallery, ColourEncoder())
    sizes = []
    for frame, detections in frames(600):
        # every few seconds the things are others
        new = np.roll(np.eye(64, dtype=np.float32), int(frame.time_s // 4), axis=1)[:2]
        moved = detections.boxes + np.float32(int(frame.time_s // 4) % 5)
        eye.update(
            frame,
            Detections(frame.time_s, moved, detections.scores, detections.classes, detections.quality, new),
        )
        sizes.append(len(eye._things) + len(eye._moments) + sum(len(thing.looks) for thing in eye._things.values()))
    assert max(sizes[300:]) <= max(sizes[:300])
    assert max(sizes) < 60


def test_a_frame_without_things_is_still_looked_at(gallery: Gallery) -> None:
    nothing = np.zeros((0, 4), np.float32)
    empty = [
        (
            Frame(k / 2, np.full((HEIGHT, WIDTH, 3), (250, 0, 0), np.uint8)),
            Detections(
                k / 2, nothing, nothing[:, 0], np.zeros(0, np.int64), nothing[:, :3], np.zeros((0, 2), np.float32)
            ),
        )
        for k in range(8)
    ]
    found = run(gallery, empty)
    assert len(found) == 8
    assert all(int(np.argmax(seen.features[:, 1])) == 0 for seen in found)
