"""What the two-stage method makes of tracklets, against a plain loop over a stream whose things are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from shopcue.geometry import crop, widened
from shopcue.looking import ClipLooker, Comparison, Resemblance, Seen, TrackletLooker
from shopcue.matching import look_features, thing_features
from shopcue.models.detector import WindowDetector
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


# ---- clips -------------------------------------------------------------------------------------------------------


class Mean(ColourEncoder):
    """Sees the colours of frames the other way round, and joins frames by their mean, as a unit vector."""

    def encode(self, images: Sequence[Image]) -> Floats:
        return np.ascontiguousarray(super().encode(images)[:, ::-1])

    def join(self, clips: Sequence[Floats]) -> Floats:
        rows = np.stack([clip.mean(axis=0) for clip in clips])
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def shown(count: int, seed: int = 0, step_s: float = 0.5) -> list[Frame]:
    """Frames of one colour each, drawn anew."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 255, (count, 3), np.uint8)
    return [Frame(k * step_s, np.full((HEIGHT, WIDTH, 3), colour, np.uint8)) for k, colour in enumerate(colours)]


COHORT = [np.full((4, 4, 3), value, np.uint8) for value in (10, 200)]


def clip_looker(gallery: Gallery, reach_s: float) -> ClipLooker:
    encoder, clips = ColourEncoder(), Mean()
    seen = Gallery(gallery.catalog, np.ascontiguousarray(gallery.vectors[:, ::-1]), gallery.owner, "clips")
    frames = Comparison(gallery, encoder, encoder.encode(COHORT), verify=2)
    return ClipLooker(frames, Resemblance(seen, clips.encode(COHORT)), clips, reach_s=reach_s)


def watch(eye: ClipLooker, frames: list[Frame]) -> list[Seen]:
    detector = WindowDetector(ColourEncoder())
    return [seen for frame in frames for seen in eye.update(frame, detector.detect([frame])[0])] + eye.finish()


@pytest.mark.parametrize("reach_s", [0.0, 0.5, 1.3, 60.0])
def test_a_moment_is_what_the_frames_around_it_show_as_a_plain_loop_says(gallery: Gallery, reach_s: float) -> None:
    frames = shown(14)
    found = watch(clip_looker(gallery, reach_s), frames)
    assert [seen.time_s for seen in found] == [frame.time_s for frame in frames]
    encoder = ColourEncoder()
    vectors = [WindowDetector(encoder).detect([frame])[0].vectors for frame in frames]
    cohort = encoder.encode(COHORT) @ gallery.vectors.T

    def alike(windows: Floats) -> Floats:
        best_two = np.sort(windows @ gallery.vectors.T, axis=0)[-2:].mean(axis=0)
        return np.asarray((best_two - cohort.mean(axis=0)) / np.maximum(cohort.std(axis=0), 0.02))

    for seen, frame, own in zip(found, frames, vectors, strict=True):
        close = [abs(other.time_s - frame.time_s) <= reach_s for other in frames]
        near = [rows for rows, is_close in zip(vectors, close, strict=True) if is_close]
        clips = []
        for window in range(5):  # turning colours round in frames and shop alike changes no similarity
            mean = sum(rows[window] for rows in near) / len(near)
            clips.append(mean / np.linalg.norm(mean))
        similarity = np.asarray(0.7 * alike(own) + 0.3 * alike(np.stack(clips)), np.float32)
        zeros = np.zeros(3, np.float32)
        np.testing.assert_allclose(seen.features, look_features(similarity, zeros, zeros), atol=1e-3)


def test_the_outlook_of_a_clip_counts_the_frames_so_far_and_leaves_no_trace(gallery: Gallery) -> None:
    frames = shown(9, seed=1)
    plain = watch(clip_looker(gallery, 1.0), frames)
    eye, told, detector = clip_looker(gallery, 1.0), [], WindowDetector(ColourEncoder())
    for count, frame in enumerate(frames, 1):
        told += eye.update(frame, detector.detect([frame])[0])
        ahead = eye.outlook()
        assert [seen.time_s for seen in [*told, *ahead]] == [other.time_s for other in frames[:count]]
        ended = watch(clip_looker(gallery, 1.0), frames[:count])
        for early, late in zip(ahead, ended[len(told) :], strict=True):
            np.testing.assert_array_equal(early.features, late.features)
    told += eye.finish()
    assert eye.outlook() == []
    for one, other in zip(told, plain, strict=True):
        np.testing.assert_array_equal(one.features, other.features)


def test_a_video_that_changes_its_shape_is_compared_with_frames_of_its_own(gallery: Gallery) -> None:
    eye, detector = clip_looker(gallery, 5.0), WindowDetector(ColourEncoder())
    wide = shown(3, seed=2)
    few = [detector.detect([frame])[0] for frame in wide]
    few = [Detections(d.time_s, d.boxes[:2], d.scores[:2], d.classes[:2], d.quality[:2], d.vectors[:2]) for d in few]
    for frame, windows in zip(wide, few, strict=True):
        eye.update(frame, windows)
    later = [replace(frame, time_s=frame.time_s + 1.5) for frame in shown(3, seed=3)]
    for frame in later:
        eye.update(frame, detector.detect([frame])[0])
    alone = watch(clip_looker(gallery, 5.0), later)
    for one, other in zip(eye.finish()[3:], alone, strict=True):
        np.testing.assert_array_equal(one.features, other.features)


def test_a_long_stream_keeps_only_the_frames_that_clips_need(gallery: Gallery) -> None:
    eye, detector = clip_looker(gallery, 1.0), WindowDetector(ColourEncoder())
    for frame in shown(60, seed=4):
        eye.update(frame, detector.detect([frame])[0])
        assert len(eye._moments) <= 6
