"""Which detection continues which track: how far two sights are alike, and the best pairing of all.

Frames are few and things move far between them, so where a thing is says less than what it looks like: the less two
boxes overlap, the more alike they must look (`demanded_cosine`). Where nothing overlaps, after a cut of the camera say,
the look alone decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from shopcue.errors import SettingsError
from shopcue.records import Floats, Indices


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike two sights must look to be of one thing, as the cosine of their vectors.

    apart: where they do not overlap. in_place: where they cover each other. Between, linear in the overlap.
    other_class: how much more alike where the detector says that they are of two classes, which it may have mistaken;
    from 2 on such sights are never of one thing. What is usual depends on the vectors; the defaults fit those of the
    house detector.
    """

    apart: float = 0.85
    in_place: float = 0.3
    other_class: float = 0.15

    def __post_init__(self) -> None:
        if not -1 <= self.in_place <= self.apart <= 1 or not self.other_class >= 0:
            raise SettingsError(
                f"in_place is {self.in_place}, apart {self.apart} and other_class {self.other_class}; expected cosines "
                "with in_place <= apart, and other_class from 0 upwards"
            )


def demanded_cosine(overlap: Floats, same_class: NDArray[np.bool_], likeness: Likeness) -> Floats:
    """Return how alike two sights must look. overlap: IoU, any shape; same_class: of that shape -> that shape."""
    in_class = likeness.apart + (likeness.in_place - likeness.apart) * overlap
    return np.asarray(in_class + np.where(same_class, 0, likeness.other_class), np.float32)


def affinity(overlap: Floats, cosine: Floats, same_class: NDArray[np.bool_], likeness: Likeness) -> Floats:
    """Return by how much each pair looks more alike than it must, 0 where it may not be paired. (T, N) each."""
    return np.asarray(np.maximum(cosine - demanded_cosine(overlap, same_class, likeness), 0), np.float32)


def assign(affinity: Floats) -> list[tuple[int, int]]:
    """Return the pairs (track, detection), each used once, with the largest sum of affinities. (T, N), 0 = no pair.

    The Hungarian method; a pair of affinity 0 is never returned, so both sides may stay alone.
    """
    rows, columns = linear_sum_assignment(affinity, maximize=True)
    return [(int(t), int(n)) for t, n in zip(rows, columns, strict=True) if affinity[t, n] > 0]


def canonical_order(*columns: NDArray[np.generic]) -> Indices:
    """Return an order of N rows that depends on what is in them, never on how they came; (N,) or (N, C) each.

    Rows with anything in them that is not finite are left out: a net may say anything. Equal rows stay as they came,
    for they cannot be told apart. Ties broken in this order make a result independent of the order of its input.
    """
    rows = np.column_stack([column.astype(np.float64) for column in columns])
    order = np.lexsort(rows.T[::-1])
    return np.asarray(order[np.isfinite(rows[order]).all(axis=1)], np.int64)
