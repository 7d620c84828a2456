"""Selective multi-modal fusion (SMF), eq. 17-21: the pairs of a batch that are hard to tell apart, looked at closely.

Training only: every clip is compared with the pictures that come nearest to it, which no search could afford.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shopcue.nets.sgmn.attention import Attention, Block, unit_variance
from shopcue.nets.sgmn.losses import first_of

_FIRST_SCALE = math.log(1 / 0.07)  # Radford et al., 2021, 2.5
_LARGEST_SCALE = math.log(100.0)


@dataclass(frozen=True, slots=True)
class Candidates:
    """The hard examples of each row: int64 (N, K), its own pair first, and which of them are there, bool (N, K)."""

    indices: Tensor
    valid: Tensor


@torch.no_grad()
def hardest(similarity: Tensor, products: Tensor, k: int, there: Tensor) -> Candidates:
    """Return the top k of each row of a similarity, (N, N), as candidates (eq. 17 and 18).

    Decided: the row's own pair always is the first of the k, else the cross-entropy of eq. 21 would have no right
    answer; other pairs of its product are neither right nor wrong and are left out. products: int64 (N,). there: bool
    (N,), the pairs that are seen; another one is no candidate, not even its own.
    """
    others = min(k, len(products)) - 1
    rival = (products[:, None] != products[None, :]) & there[None, :]
    best = similarity.masked_fill(~rival, float("-inf")).topk(others, dim=1)
    own = torch.arange(len(products), device=products.device)[:, None]
    return Candidates(torch.cat([own, best.indices], dim=1), torch.cat([there[:, None], best.values.isfinite()], dim=1))


class Fusion(nn.Module):
    """SMF: visual rows and texts -> the loss of eq. 21.

    Decided, where the paper is silent: F_fusion is one linear layer over a visual row and the text side by side, and a
    LayerNorm; self-attention runs over the frames of a clip; eq. 20 has a picture ask the frames of a clip, and its
    answer, pooled, is compared with the picture that asked by cosine with a learnt scale, which gives E(.), the
    symmetric cross-entropy of CLIP2Video, the similarities that it is defined on: over the K candidates of each clip
    and over those of each picture.

    dim: D. text_dim: Dt', 0 without text. k: K of eq. 17.
    """

    def __init__(self, dim: int, text_dim: int, heads: int, k: int = 4) -> None:
        super().__init__()
        self.k = k
        self.visual = nn.Linear(dim, dim)
        self.text = nn.Linear(text_dim, dim, bias=False) if text_dim else None
        self.after_fusion = nn.LayerNorm(dim)
        self.block = Block(dim, heads)
        self.cross = Attention(dim, heads)
        self.scale = nn.Parameter(torch.tensor(_FIRST_SCALE))
        for start_as_is in (self.visual, self.cross.value, self.cross.out):  # what is compared starts out alike
            nn.init.eye_(start_as_is.weight)
            nn.init.zeros_(start_as_is.bias)

    def forward(
        self,
        videos: Tensor,
        images: Tensor,
        speech: Tensor | None,
        titles: Tensor | None,
        similarity: Tensor,
        products: Tensor,
        mask: Tensor,
    ) -> Tensor:
        """Return L_m. videos: unit (N, L, D); images: unit (N, D); texts: (N, Dt'); similarity: (N, N) of eq. 17.

        mask: bool (N, L), the frames that are there; a pair without any has no part in it.
        """
        there = mask.any(dim=1)
        clips = self.block(self.fuse(videos, speech), mask[:, None, :])
        asked = self.fuse(images[:, None], titles)
        of_clips, of_images = (hardest(each, products, self.k, there) for each in (similarity, similarity.T))
        toward = self.match(asked[of_clips.indices], clips[:, None], mask[:, None])
        back = self.match(asked[:, None], clips[of_images.indices], mask[of_images.indices])
        return (first_of(toward, of_clips.valid) + first_of(back, of_images.valid)) / 2

    def fuse(self, rows: Tensor, text: Tensor | None) -> Tensor:
        """Return rows with the text in each (eq. 19). (N, A, D), (N, Dt') -> (N, A, D)."""
        fused = self.visual(unit_variance(rows))
        if self.text is not None and text is not None:
            fused = fused + self.text(unit_variance(text))[:, None]
        return self.after_fusion(fused)

    def match(self, asked: Tensor, clips: Tensor, mask: Tensor) -> Tensor:
        """Return how well each picture finds itself in each clip (eq. 20). (N, K, 1, D), (N, K, L, D) -> (N, K).

        Either may have one in place of K. mask: bool (N, K, L).
        """
        found = self.cross(asked, clips, mask[..., None, :])
        scale = self.scale.clamp(max=_LARGEST_SCALE).exp()
        return scale * F.cosine_similarity(found.mean(dim=-2), asked.mean(dim=-2), dim=-1)
