"""What appears in a sequence: articles, hands that hold them, hands that pass; each a function of time alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np

from shopcue.data.composed.layers import Layer, Pose, item_layer, projected
from shopcue.data.composed.motion import Stay, Sway
from shopcue.data.composed.stock import PALM_PX, Item
from shopcue.records import Image
from shopcue.sources.synthetic.hands import Hand

_YAW_MOST_DEG = 70.0
_EDGE = 0.94  # a grip is this far from an article's middle: its corners are round


class Player(Protocol):
    """Something that appears in a sequence."""

    @property
    def reach_px(self) -> float:
        """How high it is in the frame, in pixels; what is farther away is smaller and is laid down first."""

    def layers(self, time_s: float, size: tuple[int, int]) -> list[Layer]:
        """Return what is seen of it in a frame of a size (width, height), from back to front."""


@dataclass(frozen=True, slots=True)
class Grip:
    """A hand on an article. side: -1 its left edge, 1 its right edge; along: where on it, 0 the top, 1 the foot.

    palm: the palm's length in heights of the article. before: the whole hand lies before the article, not its thumb
    alone. tilt_deg: how the forearm leans.
    """

    hand: Hand
    side: int
    along: float
    palm: float
    before: bool
    tilt_deg: float


@dataclass(frozen=True, slots=True)
class Actor:
    """An article. sway moves x, y (pixels), log height, yaw and roll (degrees) about `pose`.

    gain: of its red, green and blue. shadow: how dark it makes what is behind it, 0..1.
    """

    item: Item
    track: int
    pose: Pose
    sway: Sway
    stay: Stay
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    shadow: float = 0.0
    grip: Grip | None = None

    @property
    def reach_px(self) -> float:
        """How high it is in the frame, in pixels."""
        return self.pose.height_px

    def pose_at(self, time_s: float) -> Pose:
        """Return where the article is at a time."""
        x, y, grown, yaw, roll = self.sway(time_s)
        away = self.stay.offset(time_s)
        return replace(
            self.pose,
            x=self.pose.x + x + away[0],
            y=self.pose.y + y + away[1],
            height_px=self.pose.height_px * math.exp(grown),
            yaw_deg=min(max(self.pose.yaw_deg + yaw, -_YAW_MOST_DEG), _YAW_MOST_DEG),
            roll_deg=self.pose.roll_deg + roll,
        )

    def layers(self, time_s: float, size: tuple[int, int]) -> list[Layer]:
        """Return the article with its shadow and the hand that holds it."""
        pose = self.pose_at(time_s)
        thing = item_layer(self.item, pose, self.track)
        if not touches(thing, size):
            return []
        lit = replace(thing, pixels=in_light(thing.pixels, self.gain))
        shown = [shadow_of(thing, self.shadow), lit] if self.shadow else [lit]
        if self.grip is None:
            return shown
        behind, before = self._hand(self.grip, pose)
        return [*shown, behind] if self.grip.before else [behind, *shown, before]

    def _hand(self, grip: Grip, pose: Pose) -> tuple[Layer, Layer]:
        """Return the hand behind the article, and its part before it."""
        edge = grip.side * self.item.aspect / 2 * _EDGE
        at = projected(np.array([(edge, 0.5 - grip.along, 0.0)]), pose)[0]
        scale, angle = grip.palm * pose.height_px / PALM_PX, pose.roll_deg + grip.tilt_deg
        point = (float(at[0]), float(at[1]))
        behind = hand_layer(grip.hand.behind, grip.hand.origin, point, scale, angle)
        return behind, hand_layer(grip.hand.before, grip.hand.origin, point, scale, angle)


@dataclass(frozen=True, slots=True)
class Passing:
    """A hand with nothing in it, at x, y, its palm `palm_px` long. sway moves x, y (pixels) and its turn (degrees)."""

    hand: Hand
    x: float
    y: float
    palm_px: float
    sway: Sway

    @property
    def reach_px(self) -> float:
        """How high it is in the frame, in pixels."""
        return 3 * self.palm_px

    def layers(self, time_s: float, size: tuple[int, int]) -> list[Layer]:
        """Return the hand."""
        x, y, turn = self.sway(time_s)
        at = (self.x + x, self.y + y)
        layer = hand_layer(self.hand.behind, self.hand.origin, at, self.palm_px / PALM_PX, turn)
        return [layer] if touches(layer, size) else []


def touches(layer: Layer, size: tuple[int, int]) -> bool:
    """Whether any of a layer lies in a frame of a size (width, height)."""
    height, width = layer.pixels.shape[:2]
    return bool(-width < layer.x < size[0] and -height < layer.y < size[1])


def hand_layer(
    picture: Image, origin: tuple[float, float], at: tuple[float, float], scale: float, angle_deg: float
) -> Layer:
    """Return a hand whose `origin` lies at a pixel of the frame, `scale` times as large, turned clockwise."""
    height, width = picture.shape[:2]
    cosine, sine = scale * math.cos(math.radians(angle_deg)), scale * math.sin(math.radians(angle_deg))
    linear = np.array([[cosine, -sine], [sine, cosine]])
    corners = (np.array([(0, 0), (width, 0), (width, height), (0, height)]) - origin) @ linear.T + at
    low = np.floor(corners.min(axis=0)).astype(int)
    size = np.ceil(corners.max(axis=0)).astype(int) - low + 1
    matrix = np.column_stack([linear, np.array(at) - linear @ np.array(origin) - low])
    pixels = cv2.warpAffine(picture, matrix, (int(size[0]), int(size[1])), flags=cv2.INTER_LINEAR)
    return Layer(np.asarray(pixels, np.uint8), int(low[0]), int(low[1]))


def shadow_of(thing: Layer, strength: float) -> Layer:
    """Return the soft shadow that a thing throws on what is behind it; too faint to count as a cover."""
    height, width = thing.pixels.shape[:2]
    border = max(2, height // 12)
    alpha = cv2.copyMakeBorder(thing.pixels[..., 3], border, border, border, border, cv2.BORDER_CONSTANT, value=0)
    small = cv2.resize(alpha, (max(1, width // 4), max(1, height // 4)), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), max(0.8, border / 8))
    pixels = np.zeros((*alpha.shape, 4), np.uint8)
    pixels[..., 3] = cv2.resize(soft, (alpha.shape[1], alpha.shape[0])) * min(strength, 0.49)
    return Layer(pixels, thing.x - border // 2, thing.y - border // 3)


def in_light(pixels: Image, gain: tuple[float, float, float]) -> Image:
    """Return a picture weighted by alpha in another light."""
    return np.asarray(cv2.multiply(pixels, np.array((*gain, 1.0))), np.uint8)
