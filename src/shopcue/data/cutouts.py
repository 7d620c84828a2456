"""Cut-outs: the silhouette of the one thing that a picture shows, by segmentation of our own.

A shop picture stands on plain ground, which is flooded from the border. A garment photo lies on anything, so GrabCut
(Rother, Kolmogorov and Blake, 2004) is started from two guesses, and its answer counts only where both agree.
Pictures are RGB uint8 (H, W, 3), masks uint8 (H, W): 255 where the thing is, else 0.
"""

from __future__ import annotations

import cv2
import numpy as np

from shopcue.records import Image

_PALE = 200  # the ground of shop pictures
_GROUND_TOLERANCE = 12
_SHADOW_STEP = 2
_SHADOW_LEAVES = 0.94  # of the product with its shadow
_SOLID = 0.965  # packs fill this much of their convex hull; less means that the ground flowed into white print
_GRABCUT_SIDE_PX = 128
_GRABCUT_ROUNDS = 3
_GUESSES = (0.62, 0.86)  # shares of each side that a garment may fill, for the two starts
_LEAST_AGREEMENT = 0.86
_LEAST_CONTRAST = 14.0  # mean Lab distance between inside and just outside


def cut_plain(picture: Image) -> Image:
    """Return the mask of the product in a shop picture: all but the plain ground that the border touches.

    Where the ground flowed into white print, the convex hull is taken: a pack must not become see-through. A picture
    without plain ground is all product.
    """
    ground = _flooded(picture, np.zeros(picture.shape[:2], np.uint8), _GROUND_TOLERANCE, cv2.FLOODFILL_FIXED_RANGE)
    product = _solid(ground)
    # A shadow is pale, grey, and joined to the ground by small steps. White packs are so too: what small steps lead to
    # counts as shadow only where that is much.
    soft = np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.0), np.uint8)
    hsv = cv2.cvtColor(soft, cv2.COLOR_RGB2HSV)
    wall = ((hsv[..., 1] > 14) | (hsv[..., 2] < 150)).astype(np.uint8)
    unshadowed = _solid(ground | _flooded(soft, wall, _SHADOW_STEP, 0))
    much = cv2.countNonZero(unshadowed) < _SHADOW_LEAVES * cv2.countNonZero(product)
    return unshadowed if much else product


def cut_garment(photo: Image) -> Image | None:
    """Return the mask of the garment in a photo of it, or None where the cut is not to be trusted.

    Trusted is what two starts of GrabCut agree on, of a plausible size and shape, and of another colour than what lies
    around it.
    """
    scale = _GRABCUT_SIDE_PX / max(photo.shape[:2])
    small = np.asarray(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    first, second = (_grabcut(small, share) for share in _GUESSES)
    either = cv2.countNonZero(first | second)
    if not either or cv2.countNonZero(first & second) < _LEAST_AGREEMENT * either:
        return None
    if not _plausible(second) or _contrast(small, second) < _LEAST_CONTRAST:
        return None
    size = (photo.shape[1], photo.shape[0])
    smooth = cv2.GaussianBlur(cv2.resize(second, size, interpolation=cv2.INTER_CUBIC), (0, 0), 0.4 / scale)
    return np.asarray((smooth > 127) * np.uint8(255), np.uint8)


def largest_parts(mask: Image, least_share: float = 1.0) -> Image:
    """Return the largest connected part, with those that have at least `least_share` of its area."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    if count <= 2:
        return mask
    areas = stats[1:, cv2.CC_STAT_AREA]
    kept = np.zeros(count, np.uint8)
    kept[1:][areas >= least_share * areas.max()] = 255
    return np.asarray(kept[labels], np.uint8)


def filled(mask: Image, largest_hole: float = 0.015) -> Image:
    """Return the mask without its holes, but for those above `largest_hole` of its area: between two legs, say."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(255 - mask, connectivity=4)
    x, y, width, height = (stats[:, column] for column in range(4))
    enclosed = (x > 0) & (y > 0) & (x + width < mask.shape[1]) & (y + height < mask.shape[0])
    small = stats[:, cv2.CC_STAT_AREA] <= largest_hole * cv2.countNonZero(mask)
    holes = enclosed & small & (np.arange(count) > 0)
    return np.asarray(np.where(holes[labels], 255, mask), np.uint8)


def hull(mask: Image) -> Image:
    """Return the convex hull of a mask that is not empty."""
    outline = cv2.convexHull(cv2.findNonZero(mask))
    return np.asarray(cv2.fillConvexPoly(np.zeros_like(mask), outline, 255), np.uint8)


def _flooded(picture: Image, wall: Image, tolerance: int, way: int) -> Image:
    """Return what a flood reaches from the pale corners, 255 there. wall: uint8 (H, W), 1 where it cannot go.

    way: `FLOODFILL_FIXED_RANGE` compares with the corner, 0 with the neighbour.
    """
    height, width = picture.shape[:2]
    reached = cv2.copyMakeBorder(wall, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    flags = 4 | cv2.FLOODFILL_MASK_ONLY | way | 255 << 8
    canvas = np.ascontiguousarray(picture)
    for x, y in ((0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)):
        if picture[y, x].min() > _PALE and not reached[y + 1, x + 1]:
            cv2.floodFill(canvas, reached, (x, y), 0, (tolerance,) * 3, (tolerance,) * 3, flags)
    return np.asarray((reached[1:-1, 1:-1] == 255) * np.uint8(255), np.uint8)


def _solid(ground: Image) -> Image:
    """Return the one thing that is not ground, without holes; its hull where it is far from convex; all if nothing."""
    product = filled(largest_parts(np.asarray(255 - ground, np.uint8)), 1.0)
    if not product.any():
        return np.full_like(ground, 255)
    around = hull(product)
    return product if cv2.countNonZero(product) >= _SOLID * cv2.countNonZero(around) else around


def _grabcut(photo: Image, share: float) -> Image:
    """Return the thing that is looked for in the middle `share` of each side."""
    height, width = photo.shape[:2]
    state = np.full((height, width), cv2.GC_PR_BGD, np.uint8)
    y, x = round(height * (1 - share) / 2), round(width * (1 - share) / 2)
    state[y : height - y, x : width - x] = cv2.GC_PR_FGD
    rim = 2
    state[:rim] = state[-rim:] = cv2.GC_BGD
    state[:, :rim] = state[:, -rim:] = cv2.GC_BGD
    mask = cv2.morphologyEx(_refined(photo, state), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return filled(largest_parts(np.asarray(mask, np.uint8), 0.25))


def _refined(photo: Image, state: Image) -> Image:
    cv2.setRNGSeed(0)  # GrabCut's clusters start at random: the same photo must give the same mask
    ground, thing = np.zeros((1, 65), np.float64), np.zeros((1, 65), np.float64)
    bgr = cv2.cvtColor(photo, cv2.COLOR_RGB2BGR)
    try:
        cv2.grabCut(bgr, state, (0, 0, 0, 0), ground, thing, _GRABCUT_ROUNDS, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # a photo of one colour has no clusters
        return np.zeros_like(state)
    return np.asarray(((state == cv2.GC_FGD) | (state == cv2.GC_PR_FGD)) * np.uint8(255), np.uint8)


def _plausible(mask: Image) -> bool:
    """Whether a mask has the size and the compactness of a garment that was photographed on purpose."""
    share = cv2.countNonZero(mask) / mask.size
    inner = mask[3:-3, 3:-3]
    at_border = np.concatenate([inner[0], inner[-1], inner[:, 0], inner[:, -1]])
    parts = cv2.connectedComponents(mask)[0] - 1
    solid = cv2.countNonZero(mask) / max(1, cv2.countNonZero(hull(mask)))
    return 0.1 < share < 0.8 and float((at_border > 0).mean()) < 0.12 and parts <= 3 and solid > 0.5


def _contrast(photo: Image, mask: Image) -> float:
    """Return how far the colours just inside and just outside of the silhouette lie apart, in Lab."""
    lab = cv2.cvtColor(photo, cv2.COLOR_RGB2LAB).astype(np.float32)
    kernel = np.ones((9, 9), np.uint8)
    outside = (cv2.dilate(mask, kernel) > 0) & (mask == 0)
    inside = (cv2.erode(mask, kernel) == 0) & (mask > 0)
    if not outside.any() or not inside.any():
        return 0.0
    return float(np.linalg.norm(lab[inside].mean(axis=0) - lab[outside].mean(axis=0)))
