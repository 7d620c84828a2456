"""Graph-based cross-domain interaction (GCI), eq. 6-16: a clip and its picture look at each other along graphs.

Training only: pairs are looked at together, and the last layer of relevance even mixes the pairs of a batch.

As printed, all L rows of S_I are one picture, stacked, and some of the graphs say little by construction: each column
of H_V2I is the same, H_I2I is constant, and what a frame takes from L equal rows is the same whichever it prefers. What
is left to learn is which frames a picture should look at, and which frames belong together. So the rows may also be L
places of the picture, its I_hid, which the paper computes and never uses: then every graph has something to tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shopcue.nets.sgmn.attention import Attention, FeedForward, unit_variance
from shopcue.nets.sgmn.losses import column_divergence


@dataclass(frozen=True, slots=True)
class Graph:
    """Which pairs are connected, bool (N, A, B), and how relevant each connection is, float (N, A, B), 0 without."""

    connected: Tensor
    relevance: Tensor

    @property
    def transposed(self) -> Graph:
        """The same pairs, asked for from the other side."""
        return Graph(self.connected.transpose(1, 2), self.relevance.transpose(1, 2))


def connections(similarity: Tensor, k: int, there: Tensor | None = None) -> Tensor:
    """Return which pairs of each column are at or above its k-th largest similarity: M of eq. 9. (N, A, B) -> bool.

    Decided: eq. 8 and 9 as printed would connect pairs below the mean; the text, and the code that it follows, connect
    the best k. there: bool (N, A), the rows that count; others are never connected.
    """
    if there is not None:
        similarity = similarity.masked_fill(~there[:, :, None], float("-inf"))
    kth = similarity.topk(min(k, similarity.shape[1]), dim=1).values[:, -1:]
    connected = similarity >= kth
    return connected if there is None else connected & there[:, :, None]


class Relevance(nn.Module):
    """How relevant each pair of a column is, eq. 10 and 11. similarities (N, L, B) -> (N, L, B).

    Decided: eq. 10 maps the K = L scores of a column in descending order, and its answers go back to the rows that the
    scores came from; kept in the order of rank, they would meet the mask of other rows in eq. 12. F_BLL lets pairs of a
    batch interact; linear layers over the batch axis would need one batch size for ever and give a pair weights by its
    place in it, so the hidden layer sees a pair's own column and the mean of that column over the pairs of the batch.

    length: L. hidden: inside both networks.
    """

    def __init__(self, length: int, hidden: int = 32) -> None:
        super().__init__()
        self.by_rank = nn.Sequential(nn.Linear(length, hidden), nn.ReLU(), nn.Linear(hidden, length))
        self.own, self.others = nn.Linear(length, hidden), nn.Linear(length, hidden, bias=False)
        self.out = nn.Linear(hidden, length)

    def forward(self, similarity: Tensor, there: Tensor | None = None, seen: Tensor | None = None) -> Tensor:
        """Return R. there: bool (N, L), the rows that count; others are as if their similarity were 0 and last.

        seen: bool (N,), the pairs that others learn of, all where it is None.
        """
        one = self.scores(similarity, there)
        heard = torch.ones_like(one[:, :1, :1]) if seen is None else seen[:, None, None].to(one.dtype)
        every = (one * heard).sum(dim=0, keepdim=True) / heard.sum().clamp(min=1)
        return self.out(F.relu(self.own(one) + self.others(every))).transpose(1, 2)

    def scores(self, similarity: Tensor, there: Tensor | None = None) -> Tensor:
        """Return A of eq. 10, turned: (N, B, L)."""
        columns = similarity.transpose(1, 2)
        if there is None:
            there = torch.ones_like(similarity[..., 0], dtype=torch.bool)
        counted = there[:, None, :].expand_as(columns)
        mean = (columns * counted).sum(dim=-1, keepdim=True) / counted.sum(dim=-1, keepdim=True).clamp(min=1)
        order = columns.masked_fill(~counted, float("-inf")).argsort(dim=-1, descending=True, stable=True)
        mapped = self.by_rank((columns * counted).gather(-1, order))
        return mean + torch.zeros_like(mapped).scatter(-1, order, mapped)


class Branch(nn.Module):
    """One side of the interaction: it looks at the other side, then at itself (eq. 13 and 14).

    Decided: F_MHA and F_FFN add their input, as they do in every transformer; as printed, a frame that no picture is
    connected to would become a constant.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.cross, self.within = Attention(dim, heads), Attention(dim, heads)
        self.after_cross, self.after_within = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.feed_forward = FeedForward(dim)

    def forward(
        self, own: Tensor, other: Tensor, across: tuple[Tensor, Tensor | None], inside: tuple[Tensor, Tensor | None]
    ) -> Tensor:
        """Return the enhanced rows. own, other: (N, L, D); across, inside: connected and relevance of each look."""
        met = self.after_cross(own + self.cross(own, other, *across))
        settled = met + self.within(met, met, *inside)
        return settled + self.feed_forward(self.after_within(settled))


@dataclass(frozen=True, slots=True)
class Interacted:
    """What came out: V_g and I_g, (N, L, D), and L_kl of eq. 16, a scalar."""

    videos: Tensor
    images: Tensor
    divergence: Tensor


class Interaction(nn.Module):
    """GCI. Switches as in table 6: i2i and v2v within each side, cross for both directions between them.

    A graph that is off leaves its attention plain: everything is connected, nothing preferred.

    dim: D. frames: L. k: connections of a column in eq. 8; 0 is L / 2.
    """

    def __init__(
        self, dim: int, frames: int, heads: int, *, i2i: bool = True, v2v: bool = True, cross: bool = True, k: int = 0
    ) -> None:
        super().__init__()
        self.frames, self.k = frames, k or max(1, frames // 2)
        self.image_branch, self.video_branch = Branch(dim, heads), Branch(dim, heads)
        # All are drawn and some are dropped, so that what is not switched starts alike in all rows of table 6.
        graphs = [(Relevance(frames), wanted) for wanted in (i2i, v2v, cross)]
        self.i2i, self.v2v, self.v2i = (graph if wanted else None for graph, wanted in graphs)

    def forward(self, videos: Tensor, images: Tensor, mask: Tensor | None = None) -> Interacted:
        """Return what clip n and picture n make of each other.

        videos: unit (N, L, D). images: unit (N, D), which is stacked, or the places of each picture, unit (N, L, D).
        mask: bool (N, L), the frames that are there; of a pair without any, the others do not learn.
        """
        if videos.shape[1] != self.frames:
            raise ValueError(
                f"clips have {videos.shape[1]} frames, expected {self.frames} as the graphs were built for"
            )
        stacked = images if images.ndim == 3 else images[:, None].expand_as(videos)
        everyone = torch.ones(videos.shape[:2], dtype=torch.bool, device=videos.device)
        there = everyone if mask is None else mask
        similarity = videos @ stacked.transpose(1, 2)  # eq. 6
        seen = there.any(dim=1)
        v2i = self._graph(self.v2i, similarity, there, seen)
        v2v = self._graph(self.v2v, videos @ videos.transpose(1, 2), there, seen)
        i2i = self._graph(self.i2i, stacked @ stacked.transpose(1, 2), everyone, seen)
        # Of the whole graph of eq. 7 attention needs the blocks, not the block matrix. A pair matches whoever asks.
        i2v = None if v2i is None else v2i.transposed
        v, i = unit_variance(videos), unit_variance(stacked)
        images_g = self.image_branch(i, v, _mask(i2v, everyone, there), _mask(i2i, everyone, everyone))
        videos_g = self.video_branch(v, i, _mask(v2i, there, everyone), _mask(v2v, there, there))
        divergence = videos.new_zeros(())
        if v2i is not None and i2v is not None:  # eq. 16
            divergence = column_divergence(v2i.relevance, v2i.connected, similarity) + column_divergence(
                i2v.relevance, i2v.connected, similarity.transpose(1, 2)
            )
        return Interacted(videos_g * there[..., None], images_g, divergence)

    def _graph(self, relevance: Relevance | None, similarity: Tensor, there: Tensor, seen: Tensor) -> Graph | None:
        """Return connection and relevance together (eq. 12): R where M connects, 0 elsewhere."""
        if relevance is None:
            return None
        connected = connections(similarity, self.k, there)
        return Graph(connected, relevance(similarity, there, seen) * connected)


def _mask(graph: Graph | None, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return what attention is given: pairs of rows and columns that are there and, by the graph, connected."""
    there = rows[:, :, None] & columns[:, None, :]
    return (there, None) if graph is None else (there & graph.connected, graph.relevance)
