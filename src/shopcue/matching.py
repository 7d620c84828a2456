"""What a moment says for each product: visual + λ·text (SGMN eq. 23), calibrated per gallery, with 'none' at zero.

Raw similarities do not compare between products: a plain white carton is near to everything. So each product's
similarity is set against what it has with a fixed cohort of pictures of other streams (z-norm, Auckenthaler et al.,
Digital Signal Processing 10, 2000), which needs no picture of the stream at hand and carries over to new catalogues. A
conditional logit (McFadden 1974) over the products, with 'none' fixed at log odds 0 and the same weights for every
product, turns this into log odds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from shopcue.geometry import area, off_centre
from shopcue.records import Floats, Indices

_LOOKS = ("one", "similarity", "margin", "inliers", "inlier_margin", "closeup_margin")
FEATURES = {"one-stage": _LOOKS, "two-stage": (*_LOOKS, "size", "off_centre")}
"""What the visual log odds of each method are linear in; the order of `Calibration.visual`."""

_MARGIN_LIMIT = 3.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """The weights of one method's conditional logit, learnt once on products that no user has.

    visual: float32 (F,), one for each of its `FEATURES`. text, comments: what full evidence of each adds, in nats.
    """

    visual: Floats
    text: float
    comments: float


@dataclass(frozen=True, slots=True)
class Sight:
    """What one moment looks like to each of P products, before any word is heard.

    similarity: float32 (P,), in standard deviations above the cohort. window: int64 (P,), which of the moment's
    boxes looks most like the product.
    """

    similarity: Floats
    window: Indices


@dataclass(frozen=True, slots=True)
class CohortNorm:
    """How similar each of P products is to pictures of other streams: mean and deviation, float32 (P,)."""

    mean: Floats
    deviation: Floats

    @classmethod
    def of(cls, similarity: Floats) -> CohortNorm:
        """Measure the norm. similarity: float32 (K, P), of each product with each of K cohort pictures."""
        deviation = np.maximum(similarity.std(axis=0), 0.02)  # a product that nothing resembles still has some noise
        return cls(similarity.mean(axis=0).astype(np.float32), deviation.astype(np.float32))


def see(similarity: Floats, norm: CohortNorm) -> Sight:
    """Sum up a moment's windows for each product. similarity: float32 (N, P), raw cosines, N >= 1.

    The mean of the best two windows: one may look like anything by chance, and few show the product well.
    """
    window = np.argmax(similarity, axis=0)
    kept = min(2, len(similarity))
    best = np.partition(similarity, -kept, axis=0)[-kept:].mean(axis=0)
    return Sight(((best - norm.mean) / norm.deviation).astype(np.float32), window.astype(np.int64))


def look_features(similarity: Floats, inliers: Floats, closeup: Floats) -> Floats:
    """Return the features of a look at one thing, or at a frame, for each product: float32 (P, 6).

    similarity: float32 (P,), in deviations above the cohort. inliers: float32 (P,), 0 where no one looked. closeup:
    float32 (P,), the similarity of the place where local features found a product, upright and cut out, in deviations
    above the cohort; zeros where they found none. The margins are against the best rival, so that twins of a brand,
    which resemble the frame equally, do not both count as found.
    """
    found = np.log1p(np.maximum(inliers - 3.0, 0.0))
    columns = (np.ones_like(found), similarity, margin(similarity), found, margin(found), margin(closeup))
    return np.stack(columns, axis=1).astype(np.float32)


def thing_features(look: Floats, box: Floats, width: float, height: float) -> Floats:
    """Return the features of a thing in a frame of `width` x `height` for each product: float32 (P, 8).

    look: float32 (P, 6), of `look_features`. box: float32 (4,), where the thing is. A thing that is held up for sale is
    large and near the middle; the same thing on the shelf behind is not what is shown.
    """
    share = float(np.log(max(float(area(box)) / (width * height), 1e-3)))
    place = np.array([share + 2, off_centre(box, width, height)], np.float32)
    return np.concatenate([look, np.broadcast_to(place, (len(look), 2))], axis=1)


def candidates(sight: Sight, count: int) -> list[int]:
    """Return the `count` products that a moment resembles most, best first."""
    count = min(count, len(sight.similarity))
    if count == 0:
        return []
    top = np.argpartition(-sight.similarity, count - 1)[:count]
    return [int(p) for p in top[np.argsort(-sight.similarity[top], kind="stable")]]


def fit_logit(features: Floats, shown: Indices, offset: Floats | None = None, decay: float = 1e-2) -> Floats:
    """Return the weights of the conditional logit: those that make what was shown most likely.

    features: float32 (M, P, F), of each product at each moment. shown: int64 (M,), which one is shown, -1 for none.
    offset: float32 (M, P), log odds that are there already, such as those of the pictures when words are weighed.
    decay: of the L2 penalty beside the mean log likelihood. The loss is convex, so there is one answer.
    """
    x = features.astype(np.float64)
    moments = len(x)
    known = np.zeros(x.shape[:2]) if offset is None else offset.astype(np.float64)
    rows = np.flatnonzero(shown >= 0)
    seen = np.zeros(x.shape[2]) + x[rows, shown[rows]].sum(axis=0)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logit = np.concatenate([x @ weights + known, np.zeros((moments, 1))], axis=1)  # 'none' is last
        normaliser = logsumexp(logit, axis=1)
        probability = np.exp(logit[:, :-1] - normaliser[:, None])
        value = (
            normaliser.sum() - seen @ weights - known[rows, shown[rows]].sum()
        ) / moments + decay / 2 * weights @ weights
        slope = (np.einsum("mp,mpf->f", probability, x) - seen) / moments + decay * weights
        return float(value), slope

    found = minimize(loss, np.zeros(x.shape[2]), jac=True, method="L-BFGS-B", options={"maxiter": 1000, "ftol": 1e-12})
    return np.asarray(found.x, np.float32)


def margin(values: Floats) -> Floats:
    """Return how far each value is above the largest of the others, within ±3; 0 for a value that has no others."""
    if len(values) < 2:
        return np.zeros_like(values)
    second, first = np.partition(values, -2)[-2:]
    rival = np.full_like(values, first)
    rival[int(np.argmax(values))] = second
    return np.asarray(np.clip(values - rival, -_MARGIN_LIMIT, _MARGIN_LIMIT), np.float32)
