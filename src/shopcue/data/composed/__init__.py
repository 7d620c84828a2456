"""The compositor: short sequences with exact labels, for training and judging detectors, trackers and picking.

Articles are cut out of public photos (or drawn) and laid into scenes, at poses that are known: so boxes, classes,
viewpoints, covered and cut shares, articles and tracks are exact. Photos that show a garment as it lies or is worn are
used whole as well: a garment that was cut out and pasted does not look worn.
"""

from shopcue.data.composed.compose import SIZES, compose_scene, compose_sequence
from shopcue.data.composed.grounds import Ground, Locate
from shopcue.data.composed.scenes import (
    CROP_LIMITS,
    LEAST_VISIBLE,
    OCCLUSION_LIMITS,
    UNKNOWN,
    VIEWPOINT_LIMITS_DEG,
    Scene,
    Sequence,
    levels,
)
from shopcue.data.composed.stock import CLASS_OF_KIND, Item, Stock, View, drawn_stock, read_stock

__all__ = [
    "CLASS_OF_KIND",
    "CROP_LIMITS",
    "LEAST_VISIBLE",
    "OCCLUSION_LIMITS",
    "SIZES",
    "UNKNOWN",
    "VIEWPOINT_LIMITS_DEG",
    "Ground",
    "Item",
    "Locate",
    "Scene",
    "Sequence",
    "Stock",
    "View",
    "compose_scene",
    "compose_sequence",
    "drawn_stock",
    "levels",
    "read_stock",
]
