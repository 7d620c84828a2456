"""Geometric verification: does a product's picture really lie in the frame, print on print?

An embedding says what looks alike; local features say whether the same print is there, and where. It helps printed
goods and patterned cloth, and says nothing about plain garments, so it can only add to a score. RootSIFT (Arandjelovic
and Zisserman, CVPR 2012), ratio test (Lowe, IJCV 2004), affine RANSAC; for photos also a homography by MAGSAC++ (Barath
et al., CVPR 2020) and how well the cut-out agrees with the picture in every place (`models.agreement`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from shopcue.geometry import crop
from shopcue.models.agreement import SIDE_PX, SLACK_PX, Agreement, Template, agreement, make_template
from shopcue.records import Floats, Gallery, Image

_PICTURE_SIDE_PX = 360
_KEPT_PRODUCTS = 512
_LEAST_INLIERS = 4
_AROUND_BOX = 0.1  # of a box's longer side is looked at too: boxes cut off lids and corners

# What `examine` takes more of than `verify` does.
_EXAMINED_SIDE_PX = 640
_EXAMINED_POINTS = 1200
_EXAMINED_TOLERANCE_PX = 6.0
_MOST_ENLARGED = 4.0
_COMPARED = 4  # candidates that are compared place by place
_WORTH_COMPARING = 5  # inliers: fewer are found by chance
_HOMOGRAPHY_TOLERANCE_PX = 4.0
_HOMOGRAPHY_INLIERS = 8  # eight unknowns fit four points whatever they are

_NO_AGREEMENT = Agreement(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class _Features:
    points: Floats  # (N, 2) pixels
    descriptors: Floats  # (N, 128), unit rows


@dataclass(frozen=True, slots=True)
class _Picture:
    """A product's picture: its local features, their picture's size (width, height), and the picture as a template."""

    features: _Features
    size: tuple[int, int]
    template: Template


@dataclass(frozen=True, slots=True)
class _Part:
    """A frame as it is looked at: the features of its part that starts at `corner` (x, y), `factor` times as large."""

    features: _Features
    factor: float
    corner: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Verification:
    """How well one product's pictures were found in a frame.

    inliers: matched points that agree on one map, 0 when nothing was found. box: float32 (4,), where the picture
    lies in the frame, xyxy pixels of the frame's image; zeros when nothing was found. placing: float32 (3, 3), the
    projective map from the picture, as large as `size` (width, height), to the frame's image. agreement: how well what
    lies there agrees with the picture, zeros where no one compared it.
    """

    inliers: int
    box: Floats
    placing: Floats
    size: tuple[int, int]
    agreement: Agreement = _NO_AGREEMENT


_NOTHING = Verification(0, np.zeros(4, np.float32), np.zeros((3, 3), np.float32), (0, 0))


@dataclass(frozen=True, slots=True)
class PhotoWeights:
    """What each sign adds to the log odds that a photo shows a product, as `runs/verification.py` learns it.

    one: to every product. similarity: a deviation above the cohort. inliers: a unit of log(1 + inliers - 3). luma,
    chroma: full agreement.
    """

    one: float
    similarity: float
    inliers: float
    luma: float
    chroma: float


PHOTO_WEIGHTS = PhotoWeights(one=-7.21, similarity=1.40, inliers=1.97, luma=-0.19, chroma=3.19)


def photo_features(similarity: Floats, products: Sequence[int], found: Sequence[Verification]) -> Floats:
    """Return what `PhotoWeights` weigh, for each of P products: float32 (P, 5).

    similarity: float32 (P,), in deviations above the cohort. found: what `examine` says of `products`, in their order.
    """
    features = np.zeros((len(similarity), 5), np.float32)
    features[:, 0] = 1.0
    features[:, 1] = similarity
    for product, each in zip(products, found, strict=True):
        print_on_print = np.log1p(max(each.inliers - 3.0, 0.0))
        features[product, 2:] = (print_on_print, each.agreement.luma, each.agreement.chroma)
    return features


def photo_log_odds(features: Floats, weights: PhotoWeights = PHOTO_WEIGHTS) -> Floats:
    """Return the log odds of each product against 'none of them'. features: float32 (P, 5) -> (P,)."""
    row = (weights.one, weights.similarity, weights.inliers, weights.luma, weights.chroma)
    return np.asarray(features @ np.array(row, np.float32), np.float32)


def closeup(image: Image, found: Verification) -> Image:
    """Return what of a frame lies where a picture was found, turned upright as the picture is: RGB uint8 (H, W, 3)."""
    return _warp(image, found.placing, found.size)


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
        self._tolerance_px = tolerance_px * frame_side_px / 640
        self._frame_sift = cv2.SIFT.create(nfeatures=frame_points)
        self._examined_sift = cv2.SIFT.create(nfeatures=_EXAMINED_POINTS)
        self._picture_sift = cv2.SIFT.create(nfeatures=picture_points)
        self._known: OrderedDict[int, list[_Picture]] = OrderedDict()

    def verify(self, image: Image, products: Sequence[int], box: Floats | None = None) -> list[Verification]:
        """Look for each product (index into the catalogue) in an RGB image and return what was found, in order.

        box: float32 (4,), where in the image to look, xyxy pixels: less work and more points on the thing; everywhere
        where None.
        """
        if not products or not self._pictures:
            return [_NOTHING] * len(products)
        part = _look(self._frame_sift, image, box, self._frame_side_px, 1.0)
        return [self._find(part, product, image, self._tolerance_px)[0] for product in products]

    def examine(self, image: Image, products: Sequence[int], box: Floats | None = None) -> list[Verification]:
        """Look as `verify` does, but thoroughly: for a photo, not for every frame of a stream.

        More and finer points, a homography where there are enough, and the agreement of the few best candidates.
        """
        if not products or not self._pictures:
            return [_NOTHING] * len(products)
        part = _look(self._examined_sift, image, box, _EXAMINED_SIDE_PX, _MOST_ENLARGED)
        found = []
        for product in products:
            best, picture, pairs = self._find(part, product, image, _EXAMINED_TOLERANCE_PX)
            if picture is not None and best.inliers >= _WORTH_COMPARING:
                best = _bend(best, part, picture, pairs, image)
            found.append((best, picture))
        order = sorted(range(len(found)), key=lambda i: -found[i][0].inliers)[:_COMPARED]
        return [
            replace(each, agreement=_compare(image, each, picture.template))
            if picture is not None and each.inliers >= _WORTH_COMPARING and i in order
            else each
            for i, (each, picture) in enumerate(found)
        ]

    def _find(
        self, part: _Part, product: int, image: Image, tolerance_px: float
    ) -> tuple[Verification, _Picture | None, NDArray[np.int64]]:
        """Return the best of a product's pictures: how it was found, the picture, and the pairs of points (K, 2)."""
        best: tuple[Verification, _Picture | None, NDArray[np.int64]] = _NOTHING, None, np.zeros((0, 2), np.int64)
        for picture in self._pictures_of(product):
            pairs = self._pair(picture.features, part.features)
            if len(pairs) < _LEAST_INLIERS:
                continue
            transform, mask = cv2.estimateAffine2D(
                picture.features.points[pairs[:, 0]],
                part.features.points[pairs[:, 1]],
                method=cv2.RANSAC,
                ransacReprojThreshold=tolerance_px,
                maxIters=500,
                confidence=0.99,
                refineIters=3,
            )
            if transform is None or not _plausible(transform) or int(mask.sum()) <= best[0].inliers:
                continue
            best = _place(int(mask.sum()), np.vstack([transform, [0, 0, 1]]), part, picture.size, image), picture, pairs
        return best

    def _pair(self, picture: _Features, frame: _Features) -> NDArray[np.int64]:
        """Return which points of a picture and a frame look the same, (K, 2) indices, the surest not first."""
        if len(picture.points) < _LEAST_INLIERS or len(frame.points) < _LEAST_INLIERS:
            return np.zeros((0, 2), np.int64)
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
        return np.stack([order, first[order]], axis=1).astype(np.int64)

    def _pictures_of(self, product: int) -> list[_Picture]:
        if product in self._known:
            self._known.move_to_end(product)
            return self._known[product]
        found = []
        for index in np.flatnonzero(self._owner == product):
            picture = self._pictures[index]
            small = _resize(picture, _PICTURE_SIDE_PX / max(picture.shape[:2]))
            size = (small.shape[1], small.shape[0])
            found.append(_Picture(_features(self._picture_sift, small), size, make_template(picture)))
        self._known[product] = found
        if len(self._known) > _KEPT_PRODUCTS:
            self._known.popitem(last=False)
        return found


def _look(sift: cv2.SIFT, image: Image, box: Floats | None, side_px: int, most_enlarged: float) -> _Part:
    """Return the features of an image, or of what is in and around a box, its longer side made `side_px` long."""
    height, width = image.shape[:2]
    area = np.array([0, 0, width, height], np.float32)
    if box is not None:
        border = _AROUND_BOX * float(max(box[2] - box[0], box[3] - box[1]))
        area = box + np.array([-border, -border, border, border], np.float32)
    part = crop(image, area)
    corner = (float(np.clip(area[0], 0, width - 1) // 1), float(np.clip(area[1], 0, height - 1) // 1))
    factor = min(most_enlarged, side_px / max(part.shape[:2]))
    return _Part(_features(sift, _resize(part, factor)), factor, corner)


def _place(
    inliers: int, transform: NDArray[np.float64], part: _Part, size: tuple[int, int], image: Image
) -> Verification:
    """Return what was found, with its map (3, 3) from the picture to the part turned into one to the image."""
    x, y = part.corner
    placing = np.array([[1 / part.factor, 0, x], [0, 1 / part.factor, y], [0, 0, 1]]) @ transform
    placed = _project(placing, _corners(size))
    limit = np.array([image.shape[1], image.shape[0]], np.float64)
    box = np.concatenate([placed.min(0).clip(0, limit), placed.max(0).clip(0, limit)])
    return Verification(inliers, box.astype(np.float32), placing.astype(np.float32), size)


def _bend(found: Verification, part: _Part, picture: _Picture, pairs: NDArray[np.int64], image: Image) -> Verification:
    """Return what an affine map found with a homography in its place, where the points carry one."""
    transform, mask = cv2.findHomography(
        picture.features.points[pairs[:, 0]],
        part.features.points[pairs[:, 1]],
        cv2.USAC_MAGSAC,
        _HOMOGRAPHY_TOLERANCE_PX,
        maxIters=1000,
        confidence=0.999,
    )
    if transform is None or int(mask.sum()) < _HOMOGRAPHY_INLIERS or not _unfolded(transform, picture.size):
        return found
    return _place(int(mask.sum()), np.asarray(transform, np.float64), part, picture.size, image)


def _compare(image: Image, found: Verification, template: Template) -> Agreement:
    """Return how well what lies where a picture was found agrees with it."""
    # Warped at twice the size and averaged: a warp alone would skip pixels of a large photo.
    factor = 2 * SIDE_PX / max(found.size)
    slack = 2 * SLACK_PX
    inner = np.array([[1 / factor, 0, -slack / factor], [0, 1 / factor, -slack / factor], [0, 0, 1]])
    placing = found.placing @ inner
    coarse = float(np.sqrt(max(1.0, abs(np.linalg.det(placing[:2, :2] / placing[2, 2])))))
    if coarse > 1.5:
        image, placing = _resize(image, 1 / coarse), np.diag([1 / coarse, 1 / coarse, 1]) @ placing
    width, height = template.size
    size = (width + 2 * SLACK_PX, height + 2 * SLACK_PX)
    large = _warp(image, placing.astype(np.float32), (2 * size[0], 2 * size[1]))
    return agreement(template, np.asarray(cv2.resize(large, size, interpolation=cv2.INTER_AREA), np.uint8))


def _warp(image: Image, placing: Floats, size: tuple[int, int]) -> Image:
    how = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    upright = cv2.warpPerspective(image, placing, size, flags=how, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(upright, np.uint8)


def _corners(size: tuple[int, int]) -> NDArray[np.float64]:
    width, height = size
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)


def _project(transform: NDArray[Any], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points (N, 2) under a projective map (3, 3)."""
    mapped = points @ transform[:, :2].T + transform[:, 2]
    return np.asarray(mapped[:, :2] / mapped[:, 2:], np.float64)


def _plausible(transform: NDArray[Any]) -> bool:
    """Say whether a picture that is mapped so could be a product before a camera: not mirrored, not a needle."""
    if not np.all(np.isfinite(transform)):
        return False
    stretches = np.linalg.svd(transform[:, :2], compute_uv=False)
    return bool(np.linalg.det(transform[:, :2]) > 0 and stretches[1] > 0.12 and stretches[0] < 4 * stretches[1])


def _unfolded(transform: NDArray[Any], size: tuple[int, int]) -> bool:
    """Say whether a homography shows the whole picture from its front: before the camera, convex, not mirrored."""
    corners = _corners(size)
    if not np.all(np.isfinite(transform)) or np.any(corners @ transform[2, :2] + transform[2, 2] <= 1e-6):
        return False
    placed = _project(transform, corners)
    along = np.roll(placed, -1, axis=0) - placed
    turns = along[:, 0] * np.roll(along[:, 1], -1) - along[:, 1] * np.roll(along[:, 0], -1)
    return bool(np.all(turns > 0) and turns.sum() / 2 > 0.01 * size[0] * size[1])


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
