"""What clips can show: garments, cartons and produce of the public data, each with its silhouette and its photos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from shopcue.data.clothing import SPLITS, Garment, read_garments
from shopcue.data.composed.grounds import GROUND_PX, read_small
from shopcue.data.composed.phrases import COLOURS
from shopcue.data.cutouts import cut_garment, cut_plain, filled, largest_parts
from shopcue.data.grocery import GroceryClass, read_classes, read_photos
from shopcue.models.image import trim_margins
from shopcue.models.verification import GeometricVerifier
from shopcue.records import Catalog, Floats, Gallery, Image, Product

CARTON, PRODUCE = "carton", "produce"

PICTURE_PX = 512
"""The longer side of the shop pictures of groceries as they are read; garment photos are read at `GROUND_PX`."""

_PHOTOS = 24  # of a grocery that are looked at
_LEAST_INLIERS = 12  # fewer points agree by chance, or the place is off
_PLACE_SHARES = (0.03, 0.9)  # of the photo that a carton may take
_SECOND_COLOUR = 0.24
_GLANCE_PX, _SAME_LOOK = 16, 12.0  # the mean difference of pixels up to which two photos may show one garment
_CORNERS: Floats = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.float32)


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo of an article and its outline in it, a convex polygon: float32 (n, 2), shares of width and height."""

    path: Path
    outline: Floats


@dataclass(frozen=True, slots=True)
class Article:
    """Something that a shop sells. key: names it within the data. kind: a class of garments, `CARTON` or `PRODUCE`.

    name, coarse_name: as published, '' for garments. picture: the file it is cut from; mask: its silhouette there, a
    PNG. colours: one or two, (English, Chinese). photos: of the article among other things, maybe none. look: what a
    garment looks like at a glance, RGB of 16 by 16 pixels; nothing for groceries.
    """

    key: str
    kind: str
    name: str
    coarse_name: str
    picture: Path
    mask: bytes
    colours: tuple[tuple[str, str], ...]
    photos: tuple[Photo, ...]
    look: bytes = b""

    @property
    def is_garment(self) -> bool:
        """Whether it is cloth."""
        return self.kind not in (CARTON, PRODUCE)

    def read(self) -> tuple[Image, Image]:
        """Return its picture, RGB, and its mask, uint8 (H, W), 255 inside; raises MediaError."""
        mask = cv2.imdecode(np.frombuffer(self.mask, np.uint8), cv2.IMREAD_GRAYSCALE)
        picture = read_small(self.picture, GROUND_PX if self.is_garment else PICTURE_PX)
        picture = picture if self.is_garment else np.ascontiguousarray(trim_margins(picture))
        return picture, np.asarray(mask, np.uint8)


def read_articles(
    data: Path,
    garments: int | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, whole: None,
) -> list[Article]:
    """Return the articles of clothing/ and grocery/ below `data`, in an order that does not depend on `workers`.

    garments: at most so many of each class, all where None. progress: told how many are done, and of how many. A
    garment that cannot be cut out is left out, and so is one that looks as another does: some were photographed twice,
    and might be of both splits. Raises MediaError where a data set is missing.
    """
    jobs: list[Callable[[], Article | None]] = []
    photos: dict[int, list[Path]] = {}
    for photo in read_photos(data / "grocery"):
        photos.setdefault(photo.class_id, []).append(photo.path)
    jobs += [
        _GroceryJob(grocery, tuple(_some(photos.get(grocery.class_id, []))))
        for grocery in read_classes(data / "grocery")
    ]
    jobs += [_GarmentJob(garment) for garment in _garments(data / "clothing", garments)]
    found: list[Article] = []
    # Not forked: OpenCV's threads do not come along, and who waits for them waits for ever.
    pools = ProcessPoolExecutor(workers, get_context("spawn")) if workers > 1 else nullcontext()
    with pools as pool:
        results = pool.map(_run, jobs, chunksize=4) if pool is not None else map(_run, jobs)
        for number, article in enumerate(results, 1):
            progress(number, len(jobs))
            found += [article] if article is not None else []
    return list(_unlike(found))


def colours_of(picture: Image, mask: Image) -> tuple[tuple[str, str], ...]:
    """Return the names, (English, Chinese), of the one or two colours that cover most of what lies under a mask."""
    inside = cv2.erode(mask, np.ones((5, 5), np.uint8)) > 0
    pixels = picture[inside if inside.any() else mask > 0]
    lab = _lab(pixels[:: max(1, len(pixels) // 2000)])
    names = list(COLOURS)
    known = _lab(np.array([rgb for _, rgb in COLOURS.values()], np.uint8))
    nearest = np.linalg.norm(lab[:, None] - known[None], axis=2).argmin(axis=1)
    shares = np.bincount(nearest, minlength=len(names)) / len(lab)
    first, second = np.argsort(-shares, kind="stable")[:2].tolist()
    chosen = [first, second] if shares[second] >= _SECOND_COLOUR else [first]
    return tuple((names[index], COLOURS[names[index]][0]) for index in chosen)


@dataclass(frozen=True, slots=True)
class _GarmentJob:
    garment: Garment

    def __call__(self) -> Article | None:
        photo = read_small(self.garment.path, GROUND_PX)
        mask = cut_garment(photo)
        if mask is None:
            return None
        key, kind = f"garment/{self.garment.kind}/{self.garment.garment_id}", self.garment.kind
        photos = (Photo(self.garment.path, _outline(mask)),)
        look = _glance(photo, mask)
        return Article(key, kind, "", "", self.garment.path, _png(mask), colours_of(photo, mask), photos, look)


@dataclass(frozen=True, slots=True)
class _GroceryJob:
    grocery: GroceryClass
    photos: tuple[Path, ...]

    def __call__(self) -> Article:
        grocery = self.grocery
        picture = np.ascontiguousarray(trim_margins(read_small(grocery.picture, PICTURE_PX)))
        if grocery.packaged:
            kind, mask = CARTON, cut_plain(picture)
            photos = tuple(_found(picture, _outline(mask), self.photos))
        else:  # a pile fills its photo
            kind, mask = PRODUCE, _on_white(picture)
            photos = tuple(Photo(path, _CORNERS) for path in self.photos)
        key, colours = f"grocery/{grocery.class_id}", colours_of(picture, mask)
        return Article(key, kind, grocery.name, grocery.coarse_name, grocery.picture, _png(mask), colours, photos)


def _found(picture: Image, outline: Floats, photos: Iterable[Path]) -> Iterator[Photo]:
    """Yield the photos in which print on print says where the carton is. outline: of the carton in its picture."""
    catalog = Catalog((Product("carton", "carton", ()),))
    gallery = Gallery(catalog, np.ones((1, 1), np.float32), np.zeros(1, np.int64), "", (picture,))
    verifier = GeometricVerifier(gallery, frame_side_px=400)
    for path in photos:
        photo = read_small(path, GROUND_PX)
        seen = verifier.verify(photo, [0])[0]
        if seen.inliers < _LEAST_INLIERS:
            continue
        points = outline.astype(np.float64) * seen.size
        placed = cv2.perspectiveTransform(points[None], seen.placing.astype(np.float64))[0]
        share = cv2.contourArea(placed.astype(np.float32)) / photo[..., 0].size
        if _PLACE_SHARES[0] < share < _PLACE_SHARES[1]:
            yield Photo(path, np.asarray(placed / np.array(photo.shape[1::-1]), np.float32))


def _garments(root: Path, per_kind: int | None) -> Iterator[Garment]:
    """Yield garments of all published splits, at most `per_kind` of each class."""
    taken: dict[str, int] = {}
    for split in (split for split in SPLITS if (root / split).is_dir()):
        for garment in read_garments(root, split):
            taken[garment.kind] = taken.get(garment.kind, 0) + 1
            if per_kind is None or taken[garment.kind] <= per_kind:
                yield garment


def _outline(mask: Image) -> Floats:
    """Return the convex hull of a mask: float32 (n, 2), shares of width and height."""
    hull = cv2.approxPolyDP(cv2.convexHull(cv2.findNonZero(mask)), 1.0, True)[:, 0]
    return np.asarray(hull / np.array(mask.shape[::-1]), np.float32)


def _on_white(picture: Image) -> Image:
    """Return the mask of what lies on white ground, in one piece or several, holes filled."""
    soft = np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.0), np.uint8)
    hsv = cv2.cvtColor(soft, cv2.COLOR_RGB2HSV)
    thing = ((hsv[..., 1] > 30) | (hsv[..., 2] < 170)).astype(np.uint8) * np.uint8(255)
    closed = cv2.morphologyEx(thing, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    mask = filled(largest_parts(np.asarray(closed, np.uint8), 0.05), 1.0)
    return mask if cv2.countNonZero(mask) > 0.05 * mask.size else cut_plain(picture)


def _glance(photo: Image, mask: Image) -> bytes:
    """Return what lies under a mask, on white, in very few pixels."""
    x, y, width, height = cv2.boundingRect(mask)
    alone = np.where(mask[..., None] > 0, photo, np.uint8(255))[y : y + height, x : x + width]
    return cv2.resize(alone, (_GLANCE_PX, _GLANCE_PX), interpolation=cv2.INTER_AREA).tobytes()


def _unlike(articles: Iterable[Article]) -> Iterator[Article]:
    """Yield the articles without garments that look as an earlier one of their class does."""
    known: dict[str, list[Floats]] = {}
    for article in articles:
        if article.look:
            look = np.frombuffer(article.look, np.uint8).astype(np.float32)
            others = known.setdefault(article.kind, [])
            if others and np.sqrt(((np.array(others) - look) ** 2).mean(axis=1)).min() < _SAME_LOOK:
                continue
            others.append(look)
        yield article


def _some(paths: list[Path]) -> list[Path]:
    """Return at most `_PHOTOS` of the photos, at even distances: neighbours show nearly the same."""
    return paths[:: max(1, -(-len(paths) // _PHOTOS))]


def _run(job: Callable[[], Article | None]) -> Article | None:
    cv2.setNumThreads(1)
    return job()


def _png(mask: Image) -> bytes:
    return bytes(cv2.imencode(".png", mask)[1])


def _lab(pixels: NDArray[np.uint8]) -> Floats:
    """Return colours in CIE Lab. RGB uint8 (n, 3) -> float32 (n, 3)."""
    scaled = pixels[None].astype(np.float32) / 255
    return np.asarray(cv2.cvtColor(scaled, cv2.COLOR_RGB2LAB)[0], np.float32)
