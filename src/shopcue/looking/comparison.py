"""Pictures against a gallery: by their embeddings, and for the few best candidates by local features."""

from __future__ import annotations

import numpy as np

from shopcue.catalog.exact import similarities
from shopcue.matching import CohortNorm, Sight, candidates, see
from shopcue.models.image import ImageEncoder
from shopcue.models.verification import GeometricVerifier, Verification, closeup
from shopcue.records import Floats, Gallery, Image

_SURE_INLIERS = 6  # fewer are found by chance, and then the place is wrong


class Resemblance:
    """What embeddings look like to each product of a gallery.

    gallery: of vectors of the encoder that made the embeddings. cohort: float32 (K, D), what that encoder makes of
    pictures that show no product of any user's shop.
    """

    def __init__(self, gallery: Gallery, cohort: Floats) -> None:
        self._gallery = gallery
        self._norm = CohortNorm.of(similarities(gallery, cohort))

    @property
    def products(self) -> int:
        """P."""
        return len(self._gallery.catalog)

    def sight(self, vectors: Floats) -> Sight:
        """Return what embeddings of one thing look like to each product. float32 (N, D), N >= 1."""
        return see(similarities(self._gallery, vectors), self._norm)


class Comparison(Resemblance):
    """Compares pictures with a gallery by local features too; has no state of a stream.

    encoder: the one that made the gallery. verify: how many candidates are verified.
    """

    def __init__(self, gallery: Gallery, encoder: ImageEncoder, cohort: Floats, verify: int) -> None:
        super().__init__(gallery, cohort)
        self._encoder, self._verify = encoder, verify
        self.verifier = GeometricVerifier(gallery)

    def candidates(self, sight: Sight) -> list[int]:
        """Return the products that are worth verifying, the most similar first."""
        return candidates(sight, self._verify)

    def look_closer(self, picture: Image, sight: Sight) -> tuple[dict[int, Verification], Floats]:
        """Return which candidates lie in a picture, and what the place of the surest looks like to each product.

        That place is cut out, turned upright and embedded anew: float32 (P,), zeros where nothing sure was found.
        """
        products = self.candidates(sight)
        verified = zip(products, self.verifier.verify(picture, products), strict=True)
        found = {product: each for product, each in verified if each.inliers}
        surest = max(found.values(), key=lambda each: each.inliers, default=None)
        if surest is None or surest.inliers < _SURE_INLIERS:
            return found, np.zeros(self.products, np.float32)
        return found, self.sight(self._encoder.encode([closeup(picture, surest)])).similarity
