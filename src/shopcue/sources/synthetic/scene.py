"""The show as a pure function of time: `frame_at(t)` draws it, `product_at(t)` tells what is in the hand."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from shopcue.records import Comment, Image
from shopcue.sources.synthetic import hands, packages, studio
from shopcue.sources.synthetic.designs import Design
from shopcue.sources.synthetic.overlays import Overlays
from shopcue.sources.synthetic.schedule import Showing

_CARTON = 0.67
_WIDEST = 0.5
_YAW_STEP = 0.02
_ENTER_S, _LEAVE_S = 0.75, 0.6
_KEPT_RIGS = 48


@dataclass(frozen=True, slots=True)
class Rig:
    """A hand and what it holds as one premultiplied RGBA picture; `mask` is the held package alone, uint8."""

    picture: Image
    mask: Image
    centre: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a rig is: its centre in pixels, turn in degrees, scale, and the yaw of what it holds in radians."""

    x: float
    y: float
    roll: float
    scale: float
    yaw: float


class Scene:
    """A live show that is drawn frame by frame; the same arguments and time give the same pixels."""

    def __init__(
        self,
        showings: Sequence[Showing],
        comments: Sequence[Comment],
        goods: Sequence[Design],
        size: tuple[int, int],
        seed: int,
    ) -> None:
        self._showings, self._size, self._seed = tuple(showings), size, seed
        self._starts = [showing.start_s for showing in showings]
        self._half = (size[0] // 2, size[1] // 2)
        self._layers = studio.layers(self._half, goods, seed)
        self._overlays = Overlays(self._showings, comments, size)
        self._solids: dict[str, packages.Solid] = {}
        self._rigs: dict[tuple[str, int, bool], Rig] = {}
        self._hands: dict[tuple[bool, bool], hands.Hand] = {}
        rng = np.random.default_rng((seed, 5))
        self._phases = rng.uniform(0, 2 * np.pi, 16)
        grain = rng.normal(0, 1.25, (size[1] + 64, size[0] + 64, 3))
        self._grain = (128 + grain).clip(0, 255).astype(np.uint8)

    def product_at(self, time_s: float) -> str | None:
        """Return the id of the shop's product that is in the hand and on screen, or None."""
        showing = self.showing_at(time_s)
        return showing.design.product_id if showing is not None and showing.sold else None

    def showing_at(self, time_s: float) -> Showing | None:
        """Return what is in the hand and on screen, sold or not."""
        i = bisect_right(self._starts, time_s) - 1
        return self._showings[i] if i >= 0 and time_s < self._showings[i].end_s else None

    def mask_at(self, time_s: float) -> Image:
        """Return where the held package is seen, uint8 (H, W), 0 where it is not."""
        showing = self.showing_at(time_s)
        if showing is None:
            return np.zeros((self._size[1], self._size[0]), np.uint8)
        pose = self._pose(showing, time_s)
        rig = self._rig(showing, pose.yaw)
        return np.asarray(cv2.warpAffine(rig.mask, _affine(rig, pose), self._size, flags=cv2.INTER_LINEAR), np.uint8)

    def frame_at(self, time_s: float, held: bool = True) -> Image:
        """Return the picture at a time, RGB (H, W, 3); `held` False leaves out the hand and what it holds."""
        frame = self._room(time_s)
        if held:
            hand = self._hand_layer(time_s)
            frame = frame if hand is None else studio.lay(frame, hand)
        return self._overlays.draw(self._developed(frame, time_s), time_s)

    def _room(self, time_s: float) -> Image:
        """Return the studio behind the hand; it is out of focus, so half the resolution holds all of it."""
        camera = self._wave(time_s, 0.13, 0), self._wave(time_s, 0.17, 2)
        sway = 0.25 * self._wave(time_s, 0.31, 4)
        wall, host, table = self._layers
        room = studio.window(wall, self._half, camera)
        room = studio.lay(room, studio.window(host, self._half, (camera[0] + sway, camera[1])))
        room = studio.lay(room, studio.window(table, self._half, camera))
        return np.asarray(cv2.resize(room, self._size, interpolation=cv2.INTER_LINEAR), np.uint8)

    def _developed(self, frame: Image, time_s: float) -> Image:
        """Return the frame as a camera gives it: exposure and white balance drift, the sensor is noisy."""
        gain = 1.03 + 0.05 * self._wave(time_s, 0.11, 6) + 0.02 * self._wave(time_s, 0.9, 7)
        warmth = 0.02 * self._wave(time_s, 0.07, 8)
        levels = np.arange(256, dtype=np.float32)[:, None] * gain * np.array([1 + warmth, 1, 1 - warmth], np.float32)
        table = np.clip(levels, 0, 255).astype(np.uint8)[None]
        graded = np.asarray(cv2.LUT(frame, table), np.uint8)
        tick = round(time_s * 1000)
        x, y = (tick * 7919) % 64, (tick * 104729) % 64
        noise = self._grain[y : y + self._size[1], x : x + self._size[0]]
        return np.asarray(cv2.addWeighted(graded, 1, noise, 1, -128), np.uint8)

    def _wave(self, time_s: float, rate_hz: float, phase: int) -> float:
        """Return a smooth, never quite repeating motion in [-1, 1]."""
        turn, start = 2 * math.pi * rate_hz * time_s, self._phases[phase]
        return 0.7 * math.sin(turn + start) + 0.3 * math.sin(2.3 * turn + 2 * start)

    # ---- the hand -------------------------------------------------------------------------------------------------

    def _hand_layer(self, time_s: float) -> Image | None:
        showing = self.showing_at(time_s)
        if showing is None:
            return self._empty_hand(time_s)
        pose = self._pose(showing, time_s)
        rig = self._rig(showing, pose.yaw)
        before = self._pose(showing, time_s - 1 / 50)
        return self._moved(rig, pose, (pose.x - before.x, pose.y - before.y))

    def _moved(self, rig: Rig, pose: Pose, travel: tuple[float, float]) -> Image:
        layer = cv2.warpAffine(rig.picture, _affine(rig, pose), self._size, flags=cv2.INTER_LINEAR)
        smear = (min(round(abs(travel[0])), 40) | 1, min(round(abs(travel[1])), 40) | 1)
        if smear != (1, 1):
            layer = cv2.blur(layer, smear)
        return np.asarray(layer, np.uint8)

    def _left_handed(self, start_s: float) -> bool:
        return math.sin(12.9 * start_s + self._seed) > 0.25

    def _pose(self, showing: Showing, time_s: float) -> Pose:
        wide, high = self._size
        into, left_s = time_s - showing.start_s, showing.end_s - time_s
        outward = -1.0 if self._left_handed(showing.start_s) else 1.0
        away = max((1 - min(into / _ENTER_S, 1)) ** 3, (1 - min(left_s / _LEAVE_S, 1)) ** 2.2)
        own = 5.7 * showing.start_s
        x = wide * (0.5 + outward * 0.07 + 0.05 * math.sin(0.5 * time_s + own) + 0.006 * self._wave(time_s, 1.9, 9))
        y = high * (0.53 + 0.025 * math.sin(0.8 * time_s + own) + 0.006 * self._wave(time_s, 2.3, 10))
        height = self._held_px(showing.design)
        reach = wide / 2 + outward * (wide / 2 - x) + 0.75 * self._rig_width(showing)
        roll = 5 * math.sin(0.7 * time_s + own) + 1.2 * self._wave(time_s, 1.4, 11) - 14 * outward * away
        closer = 1 + 0.13 * math.sin(0.6 * time_s + 1.3 * own) ** 2
        # now and then the host turns the package to show its side
        turn = 0.34 * math.sin(0.9 * time_s + own) + 0.5 * math.sin(0.37 * time_s + 2 * own) ** 5
        return Pose(x + outward * away * reach, y + 0.5 * height * away, roll, closer, turn - 0.3 * outward * away)

    def _held_px(self, design: Design) -> int:
        """Return how tall the package is drawn: true to its kind, but never wider than half the frame."""
        solid = self._solid(design)
        natural = _CARTON * self._size[1] * packages.tall(design) ** 0.7
        widest = _WIDEST * self._size[0] / packages.breadth(solid)
        return max(24, round(float(min(natural, widest)) / 0.9))

    def _rig_width(self, showing: Showing) -> float:
        return max(packages.breadth(self._solid(showing.design)), 0.5) * self._held_px(showing.design)

    def _solid(self, design: Design) -> packages.Solid:
        if design.product_id not in self._solids:
            self._solids[design.product_id] = packages.build(design)
        return self._solids[design.product_id]

    def _hand(self, open_hand: bool, left: bool) -> hands.Hand:
        if (open_hand, left) not in self._hands:
            draw = hands.opened if open_hand else hands.gripping
            self._hands[open_hand, left] = draw(0.24 * self._size[1], self._seed, left)
        return self._hands[open_hand, left]

    def _rig(self, showing: Showing, yaw: float) -> Rig:
        step, left = round(yaw / _YAW_STEP), self._left_handed(showing.start_s)
        key = (showing.design.product_id, step, left)
        if key not in self._rigs:
            while len(self._rigs) >= _KEPT_RIGS:
                del self._rigs[next(iter(self._rigs))]
            height = self._held_px(showing.design)
            held = packages.render(self._solid(showing.design), height, step * _YAW_STEP)
            self._rigs[key] = _grip(held, self._hand(False, left), left)
        return self._rigs[key]

    def _empty_hand(self, time_s: float) -> Image | None:
        """Return the empty hand that talks along in the middle of a long enough gap."""
        i = bisect_right(self._starts, time_s)
        start_s = self._showings[i - 1].end_s if i else -1.0
        end_s = self._showings[i].start_s if i < len(self._showings) else time_s + 9
        into, left_s = time_s - start_s - 0.15, end_s - time_s - 0.15
        if min(into, left_s) <= 0 or end_s - start_s < 1.6:
            return None
        left = self._left_handed(end_s + start_s)
        outward = -1.0 if left else 1.0
        away = max((1 - min(into / 0.7, 1)) ** 3, (1 - min(left_s / 0.5, 1)) ** 2)
        wide, high = self._size
        x = wide * (0.5 + outward * (0.26 + 0.45 * away + 0.02 * math.sin(3.1 * time_s)))
        y = high * (0.6 + 0.5 * away + 0.03 * math.sin(4.3 * time_s))
        hand = self._hand(True, left)
        rig = Rig(packages.premultiplied(hand.behind), hand.behind[..., 3], hand.origin)
        return self._moved(rig, Pose(x, y, 9 * math.sin(3.7 * time_s), 1, 0), (outward * 12 * away, 12 * away))


def _affine(rig: Rig, pose: Pose) -> NDArray[np.float64]:
    move = np.asarray(cv2.getRotationMatrix2D(rig.centre, pose.roll, pose.scale), np.float64)
    move[:, 2] += pose.x - rig.centre[0], pose.y - rig.centre[1]
    return move


def _grip(held: Image, hand: hands.Hand, left: bool) -> Rig:
    """Return the package between palm and thumb, with the shadows that they throw on each other."""
    _, top, _, tall = cv2.boundingRect(held[..., 3])
    row = round(top + 0.68 * tall)
    filled = np.flatnonzero(held[row, :, 3] > 128)
    edge = int(filled[0] if left else filled[-1]) if len(filled) else held.shape[1] // 2
    hx, hy = (round(v) for v in hand.origin)
    x0, y0 = min(0, edge - hx), min(0, row - hy)
    wide = max(held.shape[1], edge - hx + hand.behind.shape[1]) - x0
    high = max(held.shape[0], row - hy + hand.behind.shape[0]) - y0
    at_hand, at_held = (edge - hx - x0, row - hy - y0), (-x0, -y0)
    palm, thumb = (_placed(part, (wide, high), at_hand) for part in (hand.behind, hand.before))
    package = _placed(held, (wide, high), at_held)
    soft = max(3, round(held.shape[0] / 20))
    picture = _shade(palm, package[..., 3], soft, 0.5)
    picture = _over(picture, package)
    picture = _over(_shade(picture, thumb[..., 3], soft, 0.45), thumb)
    mask = cv2.multiply(package[..., 3], cv2.bitwise_not(thumb[..., 3]), scale=1 / 255)
    centre = (at_held[0] + held.shape[1] / 2, at_held[1] + held.shape[0] / 2)
    return Rig(picture, np.asarray(mask, np.uint8), centre)


def _placed(picture: Image, size: tuple[int, int], corner: tuple[int, int]) -> Image:
    """Return a premultiplied sheet of (width, height) with the picture on it."""
    sheet = np.zeros((size[1], size[0], 4), np.uint8)
    x, y = corner
    sheet[y : y + picture.shape[0], x : x + picture.shape[1]] = packages.premultiplied(picture)
    return sheet


def _over(below: Image, above: Image) -> Image:
    keep = cv2.bitwise_not(above[..., 3])
    return np.asarray(cv2.add(cv2.multiply(below, cv2.merge([keep] * 4), scale=1 / 255), above), np.uint8)


def _shade(picture: Image, cover: Image, soft: int, strength: float) -> Image:
    """Return the premultiplied picture in the soft shadow of what lies over it."""
    move = np.array([[1, 0, 0.25 * soft], [0, 1, 0.5 * soft]], np.float32)
    blurred = cv2.blur(cv2.blur(cover, (soft, soft)), (soft, soft))
    shadow = cv2.warpAffine(blurred, move, (cover.shape[1], cover.shape[0]))
    dim = cv2.convertScaleAbs(shadow, alpha=-strength, beta=255)
    keep = np.full_like(dim, 255)
    return np.asarray(cv2.multiply(picture, cv2.merge([dim, dim, dim, keep]), scale=1 / 255), np.uint8)
