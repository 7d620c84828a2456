"""Cloth that hangs, folds and moves: what makes two views of one garment differ by more than a camera."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from shopcue.data.composed.actors import Actor
from shopcue.data.composed.figures import Figure
from shopcue.data.composed.layers import Layer
from shopcue.data.composed.motion import Rng, Sway, draw_sway
from shopcue.data.composed.stock import Item, View
from shopcue.records import Floats, Image

_KNOTS = 6  # of a side: folds are this coarse
_WAVES = 3
_PADDED = 0.08  # of a side: folds reach beyond the silhouette
_DEEPEST_SHADE = 0.5


@dataclass(frozen=True, slots=True)
class Cloth:
    """How a garment hangs. folds: float32 (W, k, k, 2), shares of its sides that each wave moves it by; the first is
    there always, the others come and go with `sway`. shape: float32 (2, 3), how it is stretched and sheared about its
    middle. shade: how dark folds are."""

    folds: Floats
    sway: Sway
    shape: Floats
    shade: float

    def __call__(self, item: Item, time_s: float, height_px: float) -> Item:
        """Return the garment as it hangs at a time, in one picture about `height_px` high."""
        view = item.views[0]
        enough = [picture for picture in view.pictures if picture.shape[0] >= height_px]
        picture = self._moved(enough[-1] if enough else view.pictures[0], time_s)
        return replace(item, views=(View(view.yaw_deg, (picture,), view.sides, view.hull),))

    def _moved(self, picture: Image, time_s: float) -> Image:
        border_y, border_x = (round(_PADDED * side) for side in picture.shape[:2])
        height, width = picture.shape[0] + 2 * border_y, picture.shape[1] + 2 * border_x
        waves = np.array([1.0, *self.sway(time_s)], np.float32)
        field = np.tensordot(waves, self.folds, 1)
        moves = cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC)
        x, y = (
            np.linspace(-0.5, 0.5, width, dtype=np.float32),
            np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None],
        )
        (xx, xy, x0), (yx, yy, y0) = self.shape.tolist()
        # Where each pixel comes from, in pixels of the picture without its border.
        from_x = (moves[..., 0] + xx * x + xy * y + (0.5 + x0)) * np.float32(width) - border_x
        from_y = (moves[..., 1] + yx * x + yy * y + (0.5 + y0)) * np.float32(height) - border_y
        bent = cv2.remap(picture, from_x, from_y, cv2.INTER_LINEAR)
        return np.asarray(cv2.multiply(bent, self._light(field, (width, height)), dtype=cv2.CV_8U), np.uint8)

    def _light(self, field: Floats, size: tuple[int, int]) -> Floats:
        """Return how light each place is, at most 1, so that alpha stays above the colours: steep folds are dark."""
        steep = np.gradient(field[..., 0], axis=1) + 0.5 * np.gradient(field[..., 1], axis=0)
        low, high = float(steep.min()), float(steep.max())
        light = 1 - self.shade * (steep - low) / max(high - low, 1e-6)
        wide = cv2.resize(np.asarray(light, np.float32), size, interpolation=cv2.INTER_LINEAR)
        return np.asarray(cv2.merge([wide, wide, wide, np.ones_like(wide)]), np.float32)


@dataclass(frozen=True, slots=True)
class Draped:
    """An actor whose article is cloth."""

    actor: Actor
    cloth: Cloth

    @property
    def reach_px(self) -> float:
        """How high it is in the frame, in pixels."""
        return self.actor.reach_px

    def layers(self, time_s: float, size: tuple[int, int]) -> list[Layer]:
        """Return the article with its shadow and the hand that holds it."""
        hung = self.cloth(self.actor.item, time_s, self.actor.pose_at(time_s).height_px)
        return replace(self.actor, item=hung).layers(time_s, size)


@dataclass(frozen=True, slots=True)
class Clad:
    """A figure whose garments are cloth, one for each."""

    figure: Figure
    cloths: tuple[Cloth, ...]

    @property
    def reach_px(self) -> float:
        """How high it is in the frame, in pixels."""
        return self.figure.reach_px

    def layers(self, time_s: float, size: tuple[int, int]) -> list[Layer]:
        """Return limbs, garments and head, from back to front."""
        worn = tuple(
            replace(each, item=cloth(each.item, time_s, each.tall * self.figure.height_px))
            for each, cloth in zip(self.figure.worn, self.cloths, strict=True)
        )
        return replace(self.figure, worn=worn).layers(time_s, size)


def draw_cloth(rng: Rng, strength: float = 1.0) -> Cloth:
    """Return how a garment hangs. strength: 0 as in its picture, 1 as in a hand that moves."""
    knots = rng.normal(0, 1, (_WAVES, _KNOTS, _KNOTS, 2)).astype(np.float32)
    # Cloth falls: folds run downwards, so that they change across more than along.
    knots = np.stack([cv2.GaussianBlur(wave, (1, 5), 0) for wave in knots])
    folds = knots * np.float32(strength * rng.uniform(0.012, 0.045))
    stretch = np.exp(strength * rng.normal(0, 0.09, 2))
    shear = strength * rng.normal(0, 0.09, 2)
    middle = np.zeros(2)
    shape = np.array([(stretch[0], shear[0], middle[0]), (shear[1], stretch[1], middle[1])], np.float32)
    return Cloth(folds, draw_sway(rng, (1.0,) * (_WAVES - 1)), shape, float(strength * rng.uniform(0, _DEEPEST_SHADE)))
