"""Products for servers under test, put into the store as an import does, with vectors that nobody had to compute."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO

import numpy as np
from PIL.Image import fromarray

from shopcue.catalog.rows import Embedded
from shopcue.records import Product
from shopcue.server.services import Services

ENCODER = "house-test"
DIM = 8


def jpeg(colour: tuple[int, int, int]) -> bytes:
    """A small picture of one colour."""
    out = BytesIO()
    fromarray(np.full((12, 16, 3), colour, np.uint8)).save(out, "JPEG")
    return out.getvalue()


def embedded(product: Product) -> Embedded:
    """A product with a random vector and a coloured picture for each of its images."""
    draw = np.random.default_rng(sum(product.product_id.encode()))
    vectors = draw.normal(size=(len(product.images), DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pictures = tuple(jpeg(tuple(draw.integers(0, 256, 3))) for _ in product.images)
    return Embedded(product, vectors, pictures, tuple(f"{product.product_id}/{i}" for i in range(len(pictures))))


def stock(parts: Services, shop: str, products: Iterable[Product]) -> None:
    """Put products into a shop's catalogue."""
    parts.store.upsert(shop, [embedded(product) for product in products], ENCODER)
