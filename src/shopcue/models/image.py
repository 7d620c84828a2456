"""Picture -> embedding: the seam that every image encoder fills."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from shopcue.records import Floats, Image


class ImageEncoder(Protocol):
    """Turns pictures into unit vectors; the same pictures give the same vectors however they are batched."""

    @property
    def dim(self) -> int:
        """D, the length of an embedding."""

    @property
    def fingerprint(self) -> str:
        """What names these exact weights and this preprocessing; vectors of two fingerprints do not compare."""

    def encode(self, images: Sequence[Image]) -> Floats:
        """Return unit embeddings. images: N RGB uint8 pictures of any size -> float32 (N, D)."""
