"""AsymNet (Video2Shop, Cheng et al., CVPR 2017): many views of a thing against one picture of a product.

A recurrent net reads the views in order; after each, an expert says whether picture and views so far show the same
thing; a gate says which experts to believe; the answer is their mixture. The rival of picking one view.

Where the paper concatenates features, the experts here see products and differences of the two on top of their cosine:
with a cosine to start from, what is learnt on some products holds for others.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_COSINE_SCALE, _COSINE_BIAS = 12.0, -8.0  # an expert's first opinion: even odds at a cosine of 2/3


class AsymNet(nn.Module):
    """Embeddings of views and of pictures -> the probability of each pair to be one thing.

    dim: D, of the embeddings. hidden: of the recurrent net and of the experts.
    """

    def __init__(self, dim: int = 256, hidden: int = 128) -> None:
        super().__init__()
        self.recurrent = nn.LSTM(dim, hidden, batch_first=True)
        self.context = nn.Linear(hidden, dim)
        self.gate = nn.Linear(hidden, 1)
        self.experts = nn.Sequential(nn.Linear(2 * dim, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        self.scale = nn.Parameter(torch.tensor(_COSINE_SCALE))
        self.bias = nn.Parameter(torch.tensor(_COSINE_BIAS))
        for start_at_zero in (self.context, self.experts[-1]):
            nn.init.zeros_(start_at_zero.weight)
            nn.init.zeros_(start_at_zero.bias)

    def forward(self, views: Tensor, lengths: Tensor, pictures: Tensor) -> Tensor:
        """Return the probabilities, (N, G). views: (N, T, D), unit; lengths: (N,), of each in T; pictures: (G, D)."""
        said, weight = self.experts_and_gate(views, lengths, pictures)
        return (weight[:, :, None] * torch.sigmoid(said)).sum(dim=1)

    def experts_and_gate(self, views: Tensor, lengths: Tensor, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each view's expert says of each picture, log odds (N, T, G), and its weight, (N, T), of sum 1."""
        # What comes after a view cannot reach it, so padding at the end needs no packing.
        states, _ = self.recurrent(views)
        queries = F.normalize(views + self.context(states), dim=-1)
        cosine = queries @ pictures.T
        first, second = self.experts[0].weight.chunk(2, dim=1)
        both = queries[:, :, None, :], pictures[None, None, :, :]
        hidden = F.linear(both[0] * both[1], first, self.experts[0].bias) + F.linear((both[0] - both[1]).abs(), second)
        said = self.scale * cosine + self.bias + self.experts[1:](hidden)[..., 0]
        counts = torch.arange(views.shape[1], device=views.device)[None, :] < lengths[:, None]
        weight = self.gate(states)[..., 0].masked_fill(~counts, float("-inf")).softmax(dim=1)
        return said, weight


def mixture_loss(probability: Tensor, same: Tensor) -> Tensor:
    """Return the cross-entropy of probabilities (N, G) against `same`, bool (N, G); pairs and non-pairs weigh alike."""
    error = F.binary_cross_entropy(probability.clamp(1e-6, 1 - 1e-6), same.float(), reduction="none")
    return (error[same].mean() + error[~same].mean()) / 2
