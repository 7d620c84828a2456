"""Geometric verification: does a product's picture really lie in the frame, print on print?

An embedding says what looks alike; local features say whether the same print is there, and where. It helps printed
goods and patterned cloth, and says nothing about plain garments, so it can only add to a score. RootSIFT (Arandjelovic
and Zisserman, CVPR 2012), ratio test (Lowe, IJCV 2004), affine RANSAC.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from shopcue.records import Floats, Gallery, Image

_PICTURE_SIDE_PX = 360
_KEPT_PRODUCTS = 512
_LEAST_INLIERS = 4


@dataclass(frozen=True, slots=True)
class _Features:
    points: Floats  # (N, 2) pixels
    descriptors: Floats  # (N, 128), unit rows


@dataclass(frozen=True, slots=True)
class Verification:
    """How well one product's pictures were found in a frame.

    inliers: matched points that agree on one affine map, 0 when nothing was found. box: float32 (4,), where the picture
    lies in the frame, xyxy pixels of the frame's image; zeros when nothing was found. placing: float32 (2, 3), the map
    from the picture, as large as `size` (width, height), to the frame's image.
    """

    inliers: int
    box: Floats
    placing: Floats
    size: tuple[int, int]


_NOTHING = Verification(0, np.zeros(4, np.float32), np.zeros((2, 3), np.float32), (0, 0))


def closeup(image: Image, found: Verification) -> Image:
    """Return what of a frame lies where a picture was found, turned upright as the picture is: RGB uint8 (H, W, 3)."""
    how = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    upright = cv2.warpAffine(image, found.placing, found.size, flags=how, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(upright, np.uint8)


class GeometricVerifier:
    """Looks for the pictures of a few candidates in a frame.

    gallery: must hold `pictures`. The features of a product's pictures are found when it is first a candidate and kept
    while it is in use. frame_side_px: a frame is shrunk to this before its features are found.
    """

    def __init__(
        self,
        gallery: Gallery,
        *,
        frame_side_px: int = 480,
        frame_points: int = 600,
        picture_points: int = 800,
        ratio: float = 0.85,
        tolerance_px: float = 6.0,
    ) -> None:
        self._pictures = gallery.pictures
        self._owner = gallery.owner
        self._frame_side_px = frame_side_px
        self._ratio = ratio
        self._tolerance_px = tolerance_px
        self._frame_sift = cv2.SIFT.create(nfeatures=frame_points)
        self._picture_sift = cv2.SIFT.create(nfeatures=picture_points)
        self._known: OrderedDict[int, list[tuple[_Features, tuple[int, int]]]] = OrderedDict()

    def verify(self, image: Image, products: Sequence[int]) -> list[Verification]:
        """Look for each product (index into the catalogue) in an RGB image and return what was found, in order."""
        if not products or not self._pictures:
            return [_NOTHING] * len(products)
        factor = min(1.0, self._frame_side_px / max(image.shape[:2]))
        frame = _features(self._frame_sift, _resize(image, factor))
        if len(frame.points) < _LEAST_INLIERS:
            return [_NOTHING] * len(products)
        return [self._find(frame, product, factor, image) for product in products]

    def _find(self, frame: _Features, product: int, factor: float, image: Image) -> Verification:
        best = _NOTHING
        for picture, (height, width) in self._features_of(product):
            found = self._align(frame, picture)
            if found is not None and found[0] > best.inliers:
                inliers, transform = found
                corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
                placing = transform / factor
                placed = corners @ placing[:, :2].T + placing[:, 2]
                limit = np.array([image.shape[1], image.shape[0]], np.float32)
                box = np.concatenate([placed.min(0).clip(0, limit), placed.max(0).clip(0, limit)])
                best = Verification(inliers, box.astype(np.float32), placing.astype(np.float32), (width, height))
        return best

    def _align(self, frame: _Features, picture: _Features) -> tuple[int, Floats] | None:
        """Return how many points agree on an affine map from the picture to the frame, and the map (2, 3)."""
        if len(picture.points) < 2:
            return None
        similarity = picture.descriptors @ frame.descriptors.T
        rows, first = np.arange(len(similarity)), similarity.argmax(axis=1)
        best = similarity[rows, first]
        similarity[rows, first] = -1.0
        # Unit vectors: a squared distance is 2 - 2 cos; Lowe's ratio is between distances.
        near, next_near = 2 - 2 * best, 2 - 2 * similarity.max(axis=1)
        kept = near < self._ratio**2 * next_near
        # Many points of a picture on one point of the frame is texture, not print: the closest one stays.
        order = np.flatnonzero(kept)[np.argsort(near[kept], kind="stable")]
        _, unique = np.unique(first[order], return_index=True)
        order = order[unique]
        if len(order) < _LEAST_INLIERS:
            return None
        transform, mask = cv2.estimateAffine2D(
            picture.points[order],
            frame.points[first[order]],
            method=cv2.RANSAC,
            ransacReprojThreshold=self._tolerance_px * self._frame_side_px / 640,
            maxIters=500,
            confidence=0.99,
            refineIters=3,
        )
        if transform is None or not _plausible(transform):
            return None
        return int(mask.sum()), transform.astype(np.float32)

    def _features_of(self, product: int) -> list[tuple[_Features, tuple[int, int]]]:
        if product in self._known:
            self._known.move_to_end(product)
            return self._known[product]
        found = []
        for index in np.flatnonzero(self._owner == product):
            picture = self._pictures[index]
            small = _resize(picture, _PICTURE_SIDE_PX / max(picture.shape[:2]))
            found.append((_features(self._picture_sift, small), (small.shape[0], small.shape[1])))
        self._known[product] = found
        if len(self._known) > _KEPT_PRODUCTS:
            self._known.popitem(last=False)
        return found


def _plausible(transform: NDArray[Any]) -> bool:
    """Say whether a picture that is mapped so could be a product before a camera: not mirrored, not a needle."""
    if not np.all(np.isfinite(transform)):
        return False
    stretches = np.linalg.svd(transform[:, :2], compute_uv=False)
    return bool(np.linalg.det(transform[:, :2]) > 0 and stretches[1] > 0.12 and stretches[0] < 4 * stretches[1])


def _resize(image: Image, factor: float) -> Image:
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return image if factor == 1 else np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)


def _features(sift: cv2.SIFT, image: Image) -> _Features:
    points, descriptors = sift.detectAndCompute(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), None)
    if not points:
        return _Features(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32))
    root = np.sqrt(descriptors / np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-6))
    return _Features(np.array([p.pt for p in points], np.float32), root.astype(np.float32))
