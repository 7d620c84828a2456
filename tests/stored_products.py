"""Products for stores: made in a line, with vectors and pictures that tell them apart; and a folder feed to import."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image as PilImage

from shopcue.catalog.rows import Embedded
from shopcue.catalog.thumbnails import encode_thumbnail
from shopcue.records import Floats, Image, Product

DIM = 8


def unit(seed: int, count: int = 1, dim: int = DIM) -> Floats:
    rows = np.random.default_rng(seed).normal(size=(count, dim))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def embedded(product_id: str, title: str = "a thing", pictures: int = 1, seed: int = 0, **texts: str) -> Embedded:
    """A product whose pictures are plain, each of its own grey, and whose vectors are drawn."""
    images = tuple(f"{product_id}-{i}.png" for i in range(pictures))
    greys = tuple(encode_thumbnail(np.full((24, 16, 3), (37 * seed + 11 * i) % 256, np.uint8)) for i in range(pictures))
    contents = tuple(f"{product_id}-{seed}-{i}" for i in range(pictures))
    return Embedded(Product(product_id, title, images, **texts), unit(seed, pictures), greys, contents)


class MeanColour:
    """A three-line encoder that survives JPEG: the mean colour of a picture beside a constant, unit length."""

    dim = 4

    def __init__(self, fingerprint: str = "mean-colour", offset: float = 1.0) -> None:
        self.fingerprint = fingerprint
        self._offset = offset
        self.seen = 0

    def encode(self, images: Sequence[Image]) -> Floats:
        self.seen += len(images)
        rows = np.array([[*(image.reshape(-1, 3).mean(axis=0) / 255), self._offset] for image in images], np.float32)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def paint(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (60, 40)) -> None:
    """Write a picture of a plain thing on white."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = PilImage.new("RGB", (size[0] * 2, size[1] * 2), "white")
    picture.paste(colour, (size[0] // 2, size[1] // 2, size[0] * 3 // 2, size[1] * 3 // 2))
    picture.save(path)


def colour_of(number: int) -> tuple[int, int, int]:
    return (40 + 37 * number % 180, 40 + 71 * number % 180, 40 + 113 * number % 180)


def write_feed(folder: Path, count: int, *, first: int = 0) -> Path:
    """Write a feed of `count` products with a painted picture each."""
    for number in range(first, first + count):
        paint(folder / "images" / f"{number}.png", colour_of(number))
    lines = [f"p{number},Product {number},images/{number}.png" for number in range(first, first + count)]
    path = folder / "feed.csv"
    path.write_text("\n".join(["id,title,image_link", *lines]) + "\n")
    return path
