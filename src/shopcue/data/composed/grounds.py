"""Grounds of a stock: places, photos that show an article, and what is known of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from shopcue.data.grocery import read_classes, read_photos
from shopcue.errors import MediaError
from shopcue.records import COARSE_CLASSES, Floats, Image, Indices

GROUND_PX = 320
"""The longer side of a ground."""

IGNORED, STRANGER = -1, -1
"""The class of what is neither to be found nor to be left out, and the instance of what is not in the stock."""

Locate = Callable[[Path, Image], Floats | None]
Shares = tuple[float, float, float, float]

_FRAMES = 16  # of a video
_FRUIT = 8  # photos of a variety
_SINGLE = (0.06, 0.5)  # shares of a photo: smaller is one of a pile, larger is the pile

_SHOWN_IN: Mapping[str, tuple[tuple[str, Shares], ...]] = {
    "02_cups": (("upper", (0.34, -0.22, 0.75, 0.54)), ("", (0.1, 0.0, 0.9, 0.78))),
    "03_blocks": (),
    "04_coffee": (("upper", (0.2, -0.15, 0.85, 0.8)), ("", (0.12, 0.0, 0.86, 0.9))),
}
"""What the videos show, as shares of width and height: garments, labelled by eye, and ("") what is to be ignored.

Other videos are not used: people walk through them in garments that nobody labelled.
"""


@dataclass(frozen=True, slots=True)
class Ground:
    """A picture to lay things on, RGB, and the K things that it shows itself.

    boxes: float32 (K, 4), xyxy pixels; may reach outside. classes: int64 (K,), into `COARSE_CLASSES`, or `IGNORED`.
    instances: int64 (K,), into the stock's items, or `STRANGER`.
    """

    image: Image
    boxes: Floats
    classes: Indices
    instances: Indices


def marked(image: Image, box: Floats, coarse_class: int, instance: int) -> Ground:
    """Return a photo of one article. box: float32 (4,)."""
    return Ground(image, box.reshape(1, 4).astype(np.float32), np.array([coarse_class]), np.array([instance]))


def unmarked(image: Image) -> Ground:
    """Return a ground that shows no article."""
    return Ground(image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.int64))


def held_photos(root: Path, class_id: int, instance: int, locate: Locate) -> Iterator[Ground]:
    """Yield the photos of a packaged product of the groceries at `root` in which `locate` finds it."""
    for photo in read_photos(root):
        if photo.class_id != class_id:
            continue
        image = read_small(photo.path, GROUND_PX)
        box = locate(photo.path, image)
        if box is not None:
            yield marked(image, box, COARSE_CLASSES.index("goods"), instance)


def fruit_photos(root: Path, first: int, locate: Locate | None) -> Iterator[Ground]:
    """Yield photos of loose fruit and vegetables in shops, of each variety 8 from number `first` on.

    Some show one fruit in a hand, which is to be ignored where `locate` finds it.
    """
    packaged = {known.class_id for known in read_classes(root) if known.packaged}
    taken: dict[int, int] = {}
    for photo in read_photos(root, ("train",)):
        number = taken.setdefault(photo.class_id, 0)
        taken[photo.class_id] += 1
        if photo.class_id not in packaged and first <= number < first + _FRUIT:
            image = read_small(photo.path, GROUND_PX)
            box = locate(photo.path, image) if locate else None
            single = (
                box is not None and _SINGLE[0] < (box[2] - box[0]) * (box[3] - box[1]) / image[..., 0].size < _SINGLE[1]
            )
            yield marked(image, box, IGNORED, STRANGER) if box is not None and single else unmarked(image)


def frames(root: Path) -> Iterator[Ground]:
    """Yield frames of the videos below `root` of which it is known what they show, if they are there."""
    for path in sorted(root.glob("*/*.mp4")):
        if path.stem in _SHOWN_IN:
            for image in _some_frames(path):
                yield _shown(image, _SHOWN_IN[path.stem])


def emptied(photo: Image, mask: Image) -> Ground:
    """Return the place where a garment lay or hung, out of focus: the garment is painted over from its surroundings.

    photo: RGB; mask: uint8, 255 where the garment is.
    """
    height, width = photo.shape[:2]
    size = (max(8, width // 4), max(8, height // 4))
    around = cv2.dilate(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.ones((5, 5), np.uint8))
    painted = cv2.inpaint(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), (around > 0) * np.uint8(255), 3, 1)
    wide = cv2.resize(painted, (width, height), interpolation=cv2.INTER_CUBIC)
    share = cv2.GaussianBlur(cv2.resize(around, (width, height)), (0, 0), 4)[..., None] / np.float32(255)
    mixed = (photo * (1 - share) + wide * share).astype(np.uint8)
    return unmarked(np.asarray(cv2.GaussianBlur(mixed, (0, 0), 1.5), np.uint8))


def drawn_ground(rng: np.random.Generator) -> Ground:
    """Return a wall over a table top in soft light, with a few shapes before the wall, as a studio has."""
    side = GROUND_PX
    picture = np.empty((side, side, 3), np.float32)
    edge = int(rng.uniform(0.45, 0.85) * side)
    picture[:edge], picture[edge:] = _muted(rng), _muted(rng)
    for _ in range(int(rng.integers(0, 6))):
        corner = rng.uniform(-0.1, 0.9, 2) * side
        far = corner + rng.uniform(0.05, 0.5, 2) * side
        ends = [(int(x), min(int(y), edge)) for x, y in (corner, far)]
        colour = [float(value) for value in _muted(rng)]
        cv2.rectangle(picture, ends[0], ends[1], colour, -1 if rng.random() < 0.7 else 3)
    picture[:edge] = cv2.GaussianBlur(picture[:edge], (0, 0), rng.uniform(0.5, 5))
    relief = cv2.resize(rng.normal(0, 14, (12, 12)).astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    light = np.linspace(rng.uniform(-30, 30), rng.uniform(-30, 30), side, dtype=np.float32)
    return unmarked(np.asarray(np.clip(picture + relief[..., None] + light[None, :, None], 0, 255), np.uint8))


def _muted(rng: np.random.Generator) -> Floats:
    """Return a colour as walls and furniture have: mostly grey."""
    return np.asarray(rng.uniform(30, 235) + rng.normal(0, 22, 3), np.float32)


def read_small(path: Path, side_px: int) -> Image:
    """Return a picture file as RGB, its longer side shrunk to `side_px`; raises MediaError where it cannot be read."""
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise MediaError(f"{path} is no picture that can be read; check the data set")
    return _shrunk(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8), side_px)


def _shrunk(image: Image, side_px: int) -> Image:
    scale = side_px / max(image.shape[:2])
    if scale >= 1:
        return image
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def _shown(image: Image, things: tuple[tuple[str, Shares], ...]) -> Ground:
    size = np.array([image.shape[1], image.shape[0]] * 2, np.float32)
    boxes = np.array([share for _, share in things], np.float32).reshape(-1, 4) * size
    classes = [COARSE_CLASSES.index(kind) if kind else IGNORED for kind, _ in things]
    return Ground(image, boxes, np.array(classes, np.int64), np.full(len(things), STRANGER, np.int64))


def _some_frames(path: Path) -> Iterator[Image]:
    """Yield frames of a video at even distances, small, RGB."""
    video = cv2.VideoCapture(str(path))
    try:
        step = max(1, int(video.get(cv2.CAP_PROP_FRAME_COUNT)) // _FRAMES)
        for number in range(step * _FRAMES):  # one pass: each seek would decode from the last key frame on
            if not video.grab():
                return
            if number % step == 0:
                pixels = video.retrieve()[1]
                yield _shrunk(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8), GROUND_PX)
    finally:
        video.release()
