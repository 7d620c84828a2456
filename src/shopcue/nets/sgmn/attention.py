"""Attention whose mask is a graph: which pairs are connected, and how relevant each connection is.

There is no BatchNorm here, nor anything else by which a row of the batch would see another one.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head attention. queries (..., A, D), keys (..., B, D), whose leading sizes broadcast -> (..., A, D)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(dim, dim) for _ in range(4))

    def forward(
        self, queries: Tensor, keys: Tensor, connected: Tensor | None = None, relevance: Tensor | None = None
    ) -> Tensor:
        """Return what each query gathers from the keys; zero, up to the last bias, where it is connected to none.

        connected: bool (..., A, B), all where it is None. relevance: float (..., A, B), added to what the softmax sees.
        """
        gathered = self.weights(queries, keys, connected, relevance) @ self._split(self.value(keys))
        return self.out(gathered.transpose(-3, -2).flatten(-2))

    def weights(
        self, queries: Tensor, keys: Tensor, connected: Tensor | None = None, relevance: Tensor | None = None
    ) -> Tensor:
        """Return how much each query takes of each key, (..., heads, A, B); each row sums to 1, or to 0."""
        q, k = self._split(self.query(queries)), self._split(self.key(keys))
        logits = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
        if relevance is not None:
            logits = logits + relevance.unsqueeze(-3)
        if connected is None:
            return logits.softmax(dim=-1)
        open_ = connected.unsqueeze(-3)
        # Not minus infinity: a query that is connected to nothing would become NaN, and its gradient too.
        return logits.masked_fill(~open_, torch.finfo(logits.dtype).min).softmax(dim=-1) * open_

    def _split(self, rows: Tensor) -> Tensor:
        """(..., A, D) -> (..., heads, A, D / heads)."""
        return rows.unflatten(-1, (self.heads, -1)).transpose(-3, -2)


class FeedForward(nn.Module):
    """Two linear layers with a GELU between them, `growth` times as wide inside. (..., D) -> (..., D)."""

    def __init__(self, dim: int, growth: int = 2) -> None:
        super().__init__()
        self.widen, self.narrow = nn.Linear(dim, growth * dim), nn.Linear(growth * dim, dim)

    def forward(self, rows: Tensor) -> Tensor:
        """Return the transformed rows."""
        return self.narrow(F.gelu(self.widen(rows)))


class Block(nn.Module):
    """Self-attention and feed-forward, each behind a LayerNorm and added to its input. (..., A, D) -> (..., A, D)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.before_attention, self.before_forward = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention, self.feed_forward = Attention(dim, heads), FeedForward(dim)

    def forward(self, rows: Tensor, connected: Tensor | None = None) -> Tensor:
        """Return the rows after they have looked at each other. connected: bool (..., A, A)."""
        seen = self.before_attention(rows)
        rows = rows + self.attention(seen, seen, connected)
        return rows + self.feed_forward(self.before_forward(rows))


def whisper(layer: nn.Linear, std: float = 0.02) -> nn.Linear:
    """Return the layer with small weights and no bias: what is added to trained features must not drown them."""
    nn.init.normal_(layer.weight, std=std)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def unit_variance(rows: Tensor) -> Tensor:
    """Return unit vectors blown up to entries of variance 1, which is what attention's weights expect. (..., D)."""
    return rows * rows.shape[-1] ** 0.5
