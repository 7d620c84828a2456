"""Pictures of things at a pose, and how they lie over each other: from poses to a picture with exact labels.

A layer is RGBA uint8 with the colours weighted by alpha, in a window of its own that may reach outside the frame: so
what the frame cuts off is known exactly. A pixel belongs to a thing where the alpha is 128 or more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from shopcue.data.composed.scenes import LEAST_VISIBLE, VIEWPOINT_LIMITS_DEG, Scene, levels
from shopcue.data.composed.stock import Item, View
from shopcue.records import Floats, Image

SOLID = 128
_CAMERA_DISTANCE = 4.0  # in heights of the thing
_WIDEST_PX = 2048


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a thing is: the pixel of its centre, its height when upright, and its turns in degrees.

    yaw: about its vertical axis, above 0 shows its right side. pitch: above 0 shows its top. roll: in the picture,
    clockwise.
    """

    x: float
    y: float
    height_px: float
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0


@dataclass(frozen=True, slots=True)
class Label:
    """What a layer shows: coarse class, viewpoint, the article of the stock, and the thing of the sequence."""

    coarse_class: int
    viewpoint: int
    instance: int
    track: int


@dataclass(frozen=True, slots=True)
class Layer:
    """A picture to lay over others. pixels: RGBA uint8 (h, w, 4), weighted by alpha. x, y: of its upper left pixel.

    label: None for what is no article: hands, shadows.
    """

    pixels: Image
    x: int
    y: int
    label: Label | None = None


@dataclass(frozen=True, slots=True)
class Marked:
    """A rectangle of the ground that shows an article; box: xyxy pixels of the frame, may reach outside.

    label: None where detections are to be ignored. free, whole: whether it is known that in the ground itself nothing
    covers the article, and that the ground shows all of it.
    """

    box: tuple[float, float, float, float]
    label: Label | None
    free: bool = True
    whole: bool = True


def item_layer(item: Item, pose: Pose, track: int = 0) -> Layer:
    """Return an article at a pose, with its side where it has depth."""
    view = min(item.views, key=lambda each: abs(each.yaw_deg - pose.yaw_deg))
    turned = replace(pose, yaw_deg=float(np.clip(pose.yaw_deg - view.yaw_deg, -80, 80)))
    height, width = view.pictures[0].shape[:2]
    wide, deep = width / height / 2, item.depth * width / height / 2
    front = np.array([(-wide, 0.5, deep), (wide, 0.5, deep), (wide, -0.5, deep), (-wide, -0.5, deep)])
    corners = projected(front, turned)
    outline = corners if not deep else np.vstack([corners, projected(front * (1, 1, -1), turned)])
    low = np.floor(outline.min(axis=0)).astype(int) - 1
    size = np.minimum(np.ceil(outline.max(axis=0)).astype(int) + 2 - low, _WIDEST_PX)
    window = (int(size[0]), int(size[1]))
    pixels = _onto(_level(view, pose.height_px), corners - low, window)
    if deep:
        pixels = over(_body(view, turned, deep, low, window), pixels)
    viewpoint = int(levels([abs(pose.yaw_deg)], VIEWPOINT_LIMITS_DEG)[0])
    return Layer(pixels, int(low[0]), int(low[1]), Label(item.coarse_class, viewpoint, item.instance, track))


def projected(points: NDArray[np.float64], pose: Pose) -> Floats:
    """Return the pixels of points at a pose. points: (n, 3), x right, y up, z to the viewer, in heights -> (n, 2)."""
    yaw, pitch, roll = (math.radians(turn) for turn in (pose.yaw_deg, pose.pitch_deg, pose.roll_deg))
    x = points[:, 0] * math.cos(yaw) - points[:, 2] * math.sin(yaw)
    z = points[:, 0] * math.sin(yaw) + points[:, 2] * math.cos(yaw)
    y = points[:, 1] * math.cos(pitch) - z * math.sin(pitch)
    z = points[:, 1] * math.sin(pitch) + z * math.cos(pitch)
    near = pose.height_px * _CAMERA_DISTANCE / (_CAMERA_DISTANCE - z)
    across, down = x * near, -y * near
    turned = (across * math.cos(roll) - down * math.sin(roll), across * math.sin(roll) + down * math.cos(roll))
    return np.stack([pose.x + turned[0], pose.y + turned[1]], axis=-1).astype(np.float32)


def over(below: Image, above: Image) -> Image:
    """Return one picture laid over another; both RGBA of one size, weighted by alpha."""
    rest = cv2.cvtColor(255 - above[..., 3], cv2.COLOR_GRAY2BGRA)
    rest[..., 3] = 255 - above[..., 3]
    return np.asarray(cv2.add(cv2.multiply(below, rest, scale=1 / 255), above), np.uint8)


def assemble(ground: Image, layers: Sequence[Layer], marked: Sequence[Marked] = ()) -> Scene:
    """Lay the layers over the ground, from back to front, and return the picture with what is known about it.

    ground: RGB uint8 (H, W, 3). marked: articles that the ground itself shows, whose silhouettes are their boxes.
    """
    image = ground.copy()
    owner = np.full(image.shape[:2], -1, np.int32)
    for index, layer in enumerate(layers):
        paint(image, owner, layer, index)
    found = [_seen_mark(mark, owner) for mark in marked]
    found += [_seen(layer, owner, index) for index, layer in enumerate(layers) if layer.label is not None]
    return _scene(image, [each for each in found if each is not None])


def paint(image: Image, owner: NDArray[np.int32], layer: Layer, index: int) -> None:
    """Lay one layer over `image` and write `index` into `owner` where it is solid; both in place."""
    part = _inside(layer, image.shape[1], image.shape[0])
    if part is None:
        return
    pixels, (x, y) = part
    height, width = pixels.shape[:2]
    alpha = np.ascontiguousarray(pixels[..., 3])
    rest = cv2.cvtColor(255 - alpha, cv2.COLOR_GRAY2RGB)
    below = image[y : y + height, x : x + width]
    colours = cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB)
    image[y : y + height, x : x + width] = cv2.add(cv2.multiply(below, rest, scale=1 / 255), colours)
    owner[y : y + height, x : x + width][alpha >= SOLID] = index


@dataclass(frozen=True, slots=True)
class _Seen:
    box: tuple[float, float, float, float]
    label: Label | None
    occlusion: float
    crop: float


def _seen(layer: Layer, owner: NDArray[np.int32], index: int) -> _Seen | None:
    """Return what is known of a layer in the frame; None where its silhouette lies outside."""
    whole = int(np.count_nonzero(layer.pixels[..., 3] >= SOLID))
    part = _inside(layer, owner.shape[1], owner.shape[0])
    if not whole or part is None:
        return None
    pixels, (x, y) = part
    solid = (pixels[..., 3] >= SOLID).astype(np.uint8)
    inside = cv2.countNonZero(solid)
    if not inside:
        return None
    left, top, width, height = cv2.boundingRect(solid)
    shown = int(np.count_nonzero(owner[y : y + solid.shape[0], x : x + solid.shape[1]] == index))
    box = (float(x + left), float(y + top), float(x + left + width), float(y + top + height))
    return _Seen(box, layer.label, 1 - shown / inside, 1 - inside / whole)


def _seen_mark(mark: Marked, owner: NDArray[np.int32]) -> _Seen | None:
    height, width = owner.shape
    x0, x1 = np.clip((mark.box[0], mark.box[2]), 0, width).tolist()
    y0, y1 = np.clip((mark.box[1], mark.box[3]), 0, height).tolist()
    covered = owner[round(y0) : round(y1), round(x0) : round(x1)] >= 0
    if not covered.size or x1 - x0 < 1 or y1 - y0 < 1:
        return None
    whole = (mark.box[2] - mark.box[0]) * (mark.box[3] - mark.box[1])
    crop = max(0.0, 1 - (x1 - x0) * (y1 - y0) / whole) if mark.whole else math.nan
    return _Seen((x0, y0, x1, y1), mark.label, float(covered.mean()) if mark.free else math.nan, crop)


def _scene(image: Image, found: Sequence[_Seen]) -> Scene:
    def plain(each: _Seen) -> bool:
        seen = (1 - each.crop) * (1 - each.occlusion)
        return math.isnan(seen) or seen >= LEAST_VISIBLE

    kept = [(each, each.label) for each in found if each.label is not None and plain(each)]
    dropped = [each.box for each in found if each.label is None or not plain(each)]
    return Scene(
        image,
        np.array([each.box for each, _ in kept], np.float32).reshape(-1, 4),
        np.array([label.coarse_class for _, label in kept], np.int64),
        np.array([label.viewpoint for _, label in kept], np.int64),
        np.array([each.occlusion for each, _ in kept], np.float32),
        np.array([each.crop for each, _ in kept], np.float32),
        np.array([label.instance for _, label in kept], np.int64),
        np.array([label.track for _, label in kept], np.int64),
        np.array(dropped, np.float32).reshape(-1, 4),
    )


def _inside(layer: Layer, width: int, height: int) -> tuple[Image, tuple[int, int]] | None:
    """Return the part of a layer that lies in a frame, and where; None where no pixel does."""
    x0, y0 = max(layer.x, 0), max(layer.y, 0)
    x1, y1 = min(layer.x + layer.pixels.shape[1], width), min(layer.y + layer.pixels.shape[0], height)
    if x0 >= x1 or y0 >= y1:
        return None
    return layer.pixels[y0 - layer.y : y1 - layer.y, x0 - layer.x : x1 - layer.x], (x0, y0)


def _level(view: View, height_px: float) -> Image:
    """Return the smallest of a view's pictures that is still as high as it will be seen."""
    enough = [picture for picture in view.pictures if picture.shape[0] >= height_px]
    return enough[-1] if enough else view.pictures[0]


def _onto(picture: Image, corners: Floats, size: tuple[int, int], border: int = cv2.BORDER_CONSTANT) -> Image:
    height, width = picture.shape[:2]
    source = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    matrix = cv2.getPerspectiveTransform(source, corners.astype(np.float32))
    return np.asarray(cv2.warpPerspective(picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border), np.uint8)


def _body(view: View, pose: Pose, deep: float, low: NDArray[np.int64], size: tuple[int, int]) -> Image:
    """Return what is seen of a pack besides its front: its hull from front to back, printed as its side is."""
    height, width = view.pictures[0].shape[:2]
    flat = (view.hull / (width, height) - 0.5) * (width / height, -1)
    ends = [projected(np.column_stack([flat, np.full(len(flat), z)]), pose) for z in (deep, -deep)]
    outline = cv2.convexHull((np.vstack(ends) - low).astype(np.float32))
    mask = np.zeros((size[1], size[0]), np.uint8)
    cv2.fillConvexPoly(mask, np.round(outline * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
    right = pose.yaw_deg > 0
    edge = (1 if right else -1) * width / height / 2
    near, far = (deep, -deep) if right else (-deep, deep)
    quad = np.array([(edge, 0.5, near), (edge, 0.5, far), (edge, -0.5, far), (edge, -0.5, near)])
    corners = (projected(quad, pose) - low).astype(np.float32)
    if abs(cv2.contourArea(corners)) > height:  # else the side is seen edge-on: what shows is the top
        side = _onto(view.sides[int(right)], corners, size, cv2.BORDER_REPLICATE)
    else:
        side = np.full((size[1], size[0], 3), view.sides[0].mean(axis=(0, 1)), np.float32).astype(np.uint8)
    return np.dstack([cv2.multiply(side, cv2.cvtColor(mask, cv2.COLOR_GRAY2RGB), scale=1 / 255), mask])
