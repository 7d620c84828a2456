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
