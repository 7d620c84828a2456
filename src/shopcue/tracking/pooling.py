"""A tracklet's views against a gallery -> one similarity a picture: the rivals of picking one view.

Baselines of Video2Shop (Cheng et al., CVPR 2017) that DPRNet is compared with in its figure 9.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from shopcue.records import Floats


def average(similarity: Floats) -> Floats:
    """Return the mean over the views. (T, M) -> (M,)."""
    return np.asarray(similarity.mean(axis=0), np.float32)


def maximum(similarity: Floats) -> Floats:
    """Return the most over the views. (T, M) -> (M,)."""
    return np.asarray(similarity.max(axis=0), np.float32)


def last(similarity: Floats) -> Floats:
    """Return what the last view says. (T, M) -> (M,)."""
    return np.asarray(similarity[-1], np.float32)


POOLINGS: dict[str, Callable[[Floats], Floats]] = {"avg": average, "max": maximum, "last": last}
