"""What things stand before: scenery, shelves of packs, whole photos; seen by a camera that sways."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from shopcue.data.composed.grounds import Ground, unmarked
from shopcue.data.composed.layers import Label, Layer, Marked, Pose, assemble, item_layer
from shopcue.data.composed.motion import Sway, draw_sway
from shopcue.data.composed.scenes import UNKNOWN
from shopcue.data.composed.scripts import GOODS, Take, draw_item, fitting
from shopcue.data.composed.stock import Item
from shopcue.records import COARSE_CLASSES, Image

_SHAKE_PX = 8.0
_AT_EDGE = 0.015  # of a photo's side: a thing that ends there may go on outside
_FIRST_TRACK = 1000  # of what a ground shows: above all tracks of what is laid on it
_FRONTAL = tuple(COARSE_CLASSES.index(kind) for kind in ("upper", "lower", "full"))
_PHOTOS_OF_GOODS = 0.5


@dataclass(frozen=True, slots=True)
class Stage:
    """A ground, how the camera sees it, and what fills the frame where the ground ends.

    scale: pixels of the frame a pixel of the ground. x, y: where the ground's upper left lies in the frame.
    """

    ground: Ground
    behind: Image
    scale: float
    x: float
    y: float
    sway: Sway

    def seen(self, time_s: float, size: tuple[int, int]) -> tuple[Image, list[Marked]]:
        """Return the ground at a time, RGB of a size (width, height), and the articles that it shows itself."""
        dx, dy = self.sway(time_s)
        x, y = self.x + dx, self.y + dy
        height, width = self.ground.image.shape[:2]
        image = np.empty((size[1], size[0], 3), np.uint8)
        # The last pixel that the ground gives is the middle of its last one: half a pixel further in than its edge.
        right, bottom = self.scale * (width - 1) + x, self.scale * (height - 1) + y
        if x > 0 or y > 0 or right < size[0] - 1 or bottom < size[1] - 1:
            cv2.resize(self.behind, size, dst=image, interpolation=cv2.INTER_AREA)
        source = cv2.blur(self.ground.image, (2, 2)) if self.scale < 0.6 else self.ground.image
        matrix = np.array([[self.scale, 0, x], [0, self.scale, y]])
        cv2.warpAffine(source, matrix, size, image, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT)
        boxes = self.ground.boxes * self.scale + np.array([x, y, x, y], np.float32)
        return image, [self._marked(number, box) for number, box in enumerate(boxes)]

    def _marked(self, number: int, box: NDArray[np.float32]) -> Marked:
        coarse_class, instance = int(self.ground.classes[number]), int(self.ground.instances[number])
        # Garments were laid out or hung up to be seen; how a pack was held, and by which fingers, nobody wrote down.
        viewpoint = 0 if coarse_class in _FRONTAL else UNKNOWN
        label = Label(coarse_class, viewpoint, instance, _FIRST_TRACK + number) if coarse_class >= 0 else None
        x0, y0, x1, y1 = box.tolist()
        return Marked((x0, y0, x1, y1), label, free=coarse_class != GOODS, whole=self._shows_all_of(number))

    def _shows_all_of(self, number: int) -> bool:
        """Whether a thing ends before its photo does, or is known to reach beyond it."""
        height, width = self.ground.image.shape[:2]
        x0, y0, x1, y1 = self.ground.boxes[number].tolist()
        rooms = (x0 / width, y0 / height, 1 - x1 / width, 1 - y1 / height)
        return not any(abs(room) < _AT_EDGE for room in rooms)


def scenery(take: Take) -> Stage:
    """Return a picture of a place, larger than the frame."""
    ground = take.stock.scenery[int(take.rng.integers(len(take.stock.scenery)))]
    return _filling(ground, take, take.rng.uniform(1.06, 1.8))


def shelves(take: Take, tallest_px: float) -> Stage:
    """Return shelves with rows of equal packs of at most `tallest_px`, out of focus and not labelled.

    Photos taken in shops look so: what is shown to the camera stands before many of its kind.
    """
    rng, (width, height) = take.rng, take.size
    width, height = width + 24, height + 24
    image = np.full((height, width, 3), rng.uniform(30, 190), np.uint8)
    row_px = tallest_px * rng.uniform(0.6, 1)
    board_px = max(3, int(row_px * rng.uniform(0.08, 0.2)))
    foot, layers = row_px * rng.uniform(0.4, 1.1), []
    while foot < height + row_px:
        layers += _row(take, foot, row_px, width)
        board = np.full((board_px, width, 4), 255, np.uint8)
        board[..., :3] = rng.uniform(60, 240)
        layers.append(Layer(board, 0, int(foot)))
        foot += row_px + board_px
    dim = cv2.multiply(assemble(image, layers).image, np.full(4, rng.uniform(0.55, 1.0)))
    soft = np.asarray(cv2.GaussianBlur(dim, (0, 0), rng.uniform(0.3, 1.6)), np.uint8)
    return _filling(unmarked(soft), take, 1.0)


def whole_photo(take: Take) -> Stage:
    """Return a photo of an article as it is: the article large or small, whole or cut by the frame."""
    rng, size = take.rng, take.size
    photos = take.stock.photos
    goods = [photo for photo in photos if photo.classes[0] == GOODS]
    garments = [photo for photo in photos if photo.classes[0] != GOODS]
    chosen = (goods if rng.random() < _PHOTOS_OF_GOODS else garments) or photos
    ground = chosen[int(rng.integers(len(chosen)))]
    if ground.classes[0] != GOODS and rng.random() < 0.5:
        ground = _mirrored(ground)
    x0, y0, x1, y1 = ground.boxes[0].tolist()
    scale = rng.uniform(0.35, 1.2) * min(size[0] / (x1 - x0), size[1] / (y1 - y0))
    height, width = ground.image.shape[:2]
    if rng.random() < 0.7:  # the photo fills the frame
        scale = max(scale, size[0] / width, size[1] / height)
    x = size[0] * (0.5 + rng.normal(0, 0.12)) - scale * (x0 + x1) / 2
    y = size[1] * (0.5 + rng.normal(0, 0.12)) - scale * (y0 + y1) / 2
    if scale * width >= size[0]:
        x = min(max(x, size[0] - scale * width), 0.0)
    if scale * height >= size[1]:
        y = min(max(y, size[1] - scale * height), 0.0)
    behind = take.stock.scenery[int(rng.integers(len(take.stock.scenery)))].image
    return Stage(ground, behind, scale, x, y, draw_sway(rng, (_SHAKE_PX, _SHAKE_PX), 0.1, 0.8))


def _filling(ground: Ground, take: Take, larger: float) -> Stage:
    """Return a stage that fills the frame even while the camera sways. larger: than would just fill it."""
    rng, size = take.rng, take.size
    height, width = ground.image.shape[:2]
    scale = larger * max(size[0] / width, size[1] / height)
    if larger == 1.0:
        scale = 1.0
    spare = (scale * width - size[0], scale * height - size[1])
    shake = tuple(min(_SHAKE_PX, room / 2) for room in spare)
    x, y = (-rng.uniform(most, room - most) for most, room in zip(shake, spare, strict=True))
    return Stage(ground, ground.image, scale, x, y, draw_sway(rng, shake, 0.1, 0.8))


def _row(take: Take, foot: float, row_px: float, width: int) -> list[Layer]:
    """Return a row of packs that stand on a board, a few of each."""
    rng, layers = take.rng, []
    x = -row_px * rng.uniform(0, 0.5)
    while x < width:
        item = draw_item(take.stock, rng, goods=1.0)
        tall = fitting(item, row_px * rng.uniform(0.75, 0.95), width / 2)
        step = tall * item.aspect * rng.uniform(1.0, 1.15)
        for _ in range(int(rng.integers(2, 5))):
            layers.append(_facing(item, Pose(x + step / 2, foot - tall / 2, tall, float(rng.normal(0, 8)))))
            x += step
    return layers


def _facing(item: Item, pose: Pose) -> Layer:
    layer = item_layer(item, pose)
    return Layer(layer.pixels, layer.x, layer.y)


def _mirrored(ground: Ground) -> Ground:
    width = ground.image.shape[1]
    boxes = ground.boxes[:, [2, 1, 0, 3]] * np.array([-1, 1, -1, 1], np.float32)
    shifted = boxes + np.array([width, 0, width, 0], np.float32)
    return Ground(np.ascontiguousarray(ground.image[:, ::-1]), shifted, ground.classes, ground.instances)
