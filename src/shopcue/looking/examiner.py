"""Single photos against a gallery, more thoroughly than a live stream has time for."""

from __future__ import annotations

import numpy as np

from shopcue.geometry import crop
from shopcue.looking.comparison import Comparison
from shopcue.looking.tracklets import prominence
from shopcue.models.detector import WindowDetector
from shopcue.models.image import ImageEncoder
from shopcue.models.verification import photo_features, photo_log_odds
from shopcue.records import Detections, Floats, Frame, Gallery, Image


class Examiner:
    """Looks at single photos, more thoroughly than a live stream has time for.

    gallery, encoder, cohort, verify: as in `Comparison`. The shown thing is the detector's most prominent box.
    """

    def __init__(self, gallery: Gallery, encoder: ImageEncoder, cohort: Floats, *, verify: int) -> None:
        self.catalog = gallery.catalog
        self._comparison = Comparison(gallery, encoder, cohort, verify)
        self._encoder, self._windows = encoder, WindowDetector(encoder)

    def examine(self, photo: Image, detections: Detections) -> Floats:
        """Return the log odds of each product against 'none', float32 (P,). The detections are of this photo."""
        height, width = photo.shape[:2]
        vectors = self._windows.detect([Frame(detections.time_s, photo)])[0].vectors
        box = None
        if len(detections):
            box = detections.boxes[int(np.argmax(prominence(detections, width, height)))]
            vectors = np.concatenate([vectors, self._encoder.encode([crop(photo, box)])])
        sight = self._comparison.sight(vectors)
        products = self._comparison.candidates(sight)
        found = self._comparison.verifier.examine(photo, products, box)
        return photo_log_odds(photo_features(sight.similarity, products, found))
