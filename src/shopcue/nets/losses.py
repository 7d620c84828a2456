"""Losses, one function each: plain tensors in, a scalar out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def info_nce(queries: Tensor, keys: Tensor, products: Tensor, temperature: float = 0.07) -> Tensor:
    """Return the symmetric InfoNCE of pairs (queries[i], keys[i]), blind to other pairs of the same product.

    queries, keys: (N, D) unit vectors; products: (N,) int64, which product each pair shows. A second picture of the
    same product is neither the wanted answer nor a wrong one, so it is left out of the sum (van den Oord et al., 2018,
    eq. 4; both directions as in Radford et al., 2021, figure 3).
    """
    logits = queries @ keys.T / temperature
    same = products[:, None] == products[None, :]
    itself = torch.eye(len(products), dtype=torch.bool, device=products.device)
    logits = logits.masked_fill(same & ~itself, float("-inf"))
    target = torch.arange(len(products), device=products.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def batch_hard_triplet(vectors: Tensor, instances: Tensor, margin: float = 0.3) -> Tensor:
    """Return the mean over anchors of [margin + hardest positive distance - hardest negative distance]+.

    vectors: (N, D) unit vectors; instances: (N,) int64, what each shows. The hardest positive is the farthest row of
    the same instance, the hardest negative the nearest of another one (DPRNet eq. 6; Hermans et al., 2017, eq. 5). An
    anchor that lacks either is left out. Distances are Euclidean, not squared as in FaceNet: squares pull a net
    towards the one vector that makes all distances 0 (Hermans et al., section 5.3). They lie in [0, 2], because a
    search compares unit vectors, so the margin has a fixed meaning.
    """
    distances = torch.cdist(vectors, vectors, compute_mode="donot_use_mm_for_euclid_dist")
    same = instances[:, None] == instances[None, :]
    itself = torch.eye(len(instances), dtype=torch.bool, device=instances.device)
    positive = distances.masked_fill(~same | itself, float("-inf")).amax(dim=1)
    negative = distances.masked_fill(same, float("inf")).amin(dim=1)
    complete = torch.isfinite(positive) & torch.isfinite(negative)
    gaps = F.relu(margin + positive[complete] - negative[complete])
    return gaps.sum() / complete.sum().clamp(min=1)


def label_smoothed_cross_entropy(logits: Tensor, instances: Tensor, epsilon: float = 0.1) -> Tensor:
    """Return the mean of -sum_i q_i log p_i; q is 1 - epsilon (C - 1) / C for the truth, epsilon / C for all others.

    logits: (N, C); instances: (N,) int64, the true column of each row (DPRNet eq. 7; Szegedy et al., 2016, eq. 4).
    """
    log_p = F.log_softmax(logits, dim=1)
    truth = log_p.gather(1, instances[:, None]).squeeze(1)
    return -((1 - epsilon) * truth + epsilon * log_p.mean(dim=1)).mean()


def retrieval_loss(distance: Tensor, classification: Tensor) -> Tensor:
    """Return what the retrieval network minimises: its two branches with equal weight (DPRNet eq. 8). Scalars."""
    return classification + distance
