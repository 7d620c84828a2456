"""The losses of SGMN, one function each: plain tensors in, a scalar out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def triplet(
    similarity: Tensor,
    products: Tensor,
    margin: float = 0.2,
    *,
    counts: Tensor | None = None,
    hardest: bool = True,
) -> Tensor:
    """Return the triplet loss of pairs in both directions, T(.) of SGMN eq. 5.

    similarity: (N, N), row clip, column picture, pairs on the diagonal. products: int64 (N,); pairs of one product are
    no negatives of each other. counts: bool (N,), which pairs take part, as anchor or as negative. An anchor's loss is
    [margin - own + negative]+, for the hardest negative of the batch, or summed over all (Faghri et al., 2017, eq. 6
    and 5). Decided: the mean over pairs, not their sum, so that weights and rates do not depend on the batch size; an
    anchor without negatives is left out.
    """
    rival = products[:, None] != products[None, :]
    if counts is not None:
        rival = rival & counts[:, None] & counts[None, :]
    own = similarity.diagonal()
    total = similarity.new_zeros(())
    for toward, against in ((similarity, rival), (similarity.T, rival.T)):
        hinges = F.relu(margin - own[:, None] + toward) * against
        losses = hinges.amax(dim=1) if hardest else hinges.sum(dim=1)
        total = total + losses.sum() / against.any(dim=1).sum().clamp(min=1)
    return total


def column_divergence(relevance: Tensor, connected: Tensor, similarity: Tensor) -> Tensor:
    """Return the mean over columns of KL(softmax of the graph, over its connections || softmax of the similarities).

    All (N, A, B), connected bool: K(.) of SGMN eq. 16. Decided: by columns, since all of eq. 8 to 11 is; the graph is
    the distribution that the similarities follow, and a pair that is not connected has no share of it. A column
    without connections is left out.
    """
    graph = relevance.masked_fill(~connected, torch.finfo(relevance.dtype).min).log_softmax(dim=1)
    terms = (graph.exp() * (graph - similarity.log_softmax(dim=1))).masked_fill(~connected, 0)
    return terms.sum() / connected.any(dim=1).sum().clamp(min=1)


def first_of(logits: Tensor, valid: Tensor) -> Tensor:
    """Return the mean cross-entropy of the first column being right. (N, K); valid: bool (N, K).

    A row whose first column is not valid, or that has no valid rival, is left out.
    """
    losses = -logits.masked_fill(~valid, torch.finfo(logits.dtype).min).log_softmax(dim=1)[:, 0]
    asked = valid[:, 0] & valid[:, 1:].any(dim=1)
    return (losses * asked).sum() / asked.sum().clamp(min=1)
