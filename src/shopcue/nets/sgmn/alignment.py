"""Global representation alignment (GRA): the whole of SGMN that is in use, eq. 1-5 and 23.

One encoder sees pictures and frames, one reads speech and titles. How text reaches the pictures: not by attending to
them. The text encoder is frozen and the filter layer is its own, so eq. 5 teaches both sides next to each other, and
eq. 23 adds what they say; only through SMF (eq. 17 and 19), which picks the hard pairs by both and fuses them, does
text bend the visual vectors, and that in training alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shopcue.nets.sgmn.attention import Block, unit_variance, whisper
from shopcue.nets.sgmn.encoders import PictureEncoder, TextEncoder


def motions(frames: Tensor) -> Tensor:
    """Return f^t - f^(t-1) of adjacent frames (SGMN 3.1). (N, L, D) -> (N, L - 1, D).

    Decided: f is the vector of a frame, not its pixels, since differences of pixels would have to be seen by the
    encoder again, which the paper's time a clip (24.3 ms beside RICE's 24.0) leaves no room for.
    """
    return frames[:, 1:] - frames[:, :-1]


class MotionCompensation(nn.Module):
    """Temporal motion compensation (TMC), eq. 3: frames and what changed between them look at each other.

    Decided, where the paper is silent: a motion token is the linear image of a difference, and stands, by the learnt
    place that is added to it, at the later of its two frames; a transformer block reads both kinds; its answers at the
    frames are added to the frames, and those at the motions are dropped, so that V_visual keeps the L rows of eq. 6.

    dim: D. frames: most frames of a clip.
    """

    def __init__(self, dim: int, frames: int, heads: int) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.randn(frames, dim) * 0.02)
        self.kind = nn.Parameter(torch.randn(2, dim) * 0.02)  # of a frame, of a motion
        self.motion = nn.Linear(dim, dim)
        self.block = Block(dim, heads)
        self.answer = nn.Sequential(nn.LayerNorm(dim), whisper(nn.Linear(dim, dim), std=0.001))

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """Return the frames with their motion, not of unit length. unit (N, L, D); mask: bool (N, L), there or not.

        A frame that is not there is seen by none, nor is a motion from or to it.
        """
        length = frames.shape[1]
        still = unit_variance(frames) + self.place[:length] + self.kind[0]
        moving = self.motion(unit_variance(motions(frames))) + self.place[1:length] + self.kind[1]
        there = torch.cat([mask, mask[:, 1:] & mask[:, :-1]], dim=1)
        tokens = self.block(torch.cat([still, moving], dim=1), there[:, None, :])
        return frames + self.answer(tokens[:, :length])


class TextFilter(nn.Module):
    """The filter layer of eq. 4, the same for speech and titles: text vectors -> unit vectors. (N, Dt) -> (N, Dt').

    Decided: a gate in [0, 2] on each unit, told by the whole text, drops what is chatter; a layer of low rank is added
    and joins what means the same. Both start as nearly nothing, since what the text encoder finds alike is alike: on
    composed speech, a whole matrix drawn at random in their place needed 200 steps to be as good as no filter at all.
    What multiplies the text has no bias: a text that says nothing, a zero vector, stays zero.

    width: Dt. dim: Dt'; where it is less, a last layer, drawn orthogonal, narrows. narrow: inside gate and added layer.
    """

    def __init__(self, width: int, dim: int, narrow: int = 64) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(width, narrow), nn.ReLU(), whisper(nn.Linear(narrow, width)))
        self.down = nn.Linear(width, narrow, bias=False)
        nn.init.orthogonal_(self.down.weight)
        self.up = whisper(nn.Linear(narrow, width, bias=False), std=0.002)
        self.project = nn.Identity() if dim == width else nn.Linear(width, dim, bias=False)
        if isinstance(self.project, nn.Linear):
            nn.init.orthogonal_(self.project.weight)

    def forward(self, texts: Tensor) -> Tensor:
        """Return the filtered texts, of unit length or zero."""
        unit = F.normalize(texts, dim=-1)
        kept = unit * 2 * self.gate(unit).sigmoid()
        return F.normalize(self.project(kept + self.up(self.down(kept))).float(), dim=-1)


class Alignment(nn.Module):
    """Clips, pictures and texts -> unit vectors.

    picture: shared by pictures and frames. text: None where no text is used. text_dim: Dt'. frames: most of a clip.
    heads: of TMC, which `tmc` switches on.
    """

    def __init__(
        self, picture: PictureEncoder, text: TextEncoder | None, *, text_dim: int, frames: int, heads: int, tmc: bool
    ) -> None:
        super().__init__()
        self.picture = picture
        self.text = text
        self.text_filter = None if text is None else TextFilter(text.width, text_dim)
        self.motion = MotionCompensation(picture.dim, frames, heads) if tmc else None

    def encode_pictures(self, pictures: Tensor) -> Tensor:
        """Return I_visual, unit (N, D) (eq. 1). pictures: uint8 (N, S, S, 3), or the trunk's maps of them."""
        return F.normalize(self._see(pictures)[0].float(), dim=-1)

    def encode_places(self, pictures: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Return I_visual, unit (N, D), and so many places of each picture, unit (N, count, D): I_hid of eq. 1.

        Where the encoder tells more places apart, neighbours, row by row, are averaged.
        """
        vectors, places = self._see(pictures)
        joined = F.adaptive_avg_pool1d(places.float().transpose(1, 2), count).transpose(1, 2)
        return F.normalize(vectors.float(), dim=-1), F.normalize(joined, dim=-1)

    def encode_clips(self, frames: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return V_visual, unit rows (N, L, D) (eq. 2 and 3), and its mean over the frames, unit (N, D).

        frames: uint8 (N, L, S, S, 3), or the trunk's maps of them (N, L, ...). mask: bool (N, L), which frames are
        there, all where it is None. The row of a frame that is not there is zero, and so is a clip without frames.
        """
        seen = F.normalize(self._see(frames.flatten(0, 1))[0].float(), dim=-1).unflatten(0, frames.shape[:2])
        return self.join(seen, mask)

    def join(self, frames: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return what `encode_clips` returns, of frames that are encoded as pictures. unit (N, L, D)."""
        if mask is None:
            mask = torch.ones(frames.shape[:2], dtype=torch.bool, device=frames.device)
        if self.motion is not None:
            frames = F.normalize(self.motion(frames, mask).float(), dim=-1)
        rows = frames * mask[..., None]
        return rows, pool(rows)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit vectors of texts (eq. 4), (N, Dt'); zero where a text is blank."""
        if self.text is None or self.text_filter is None:
            raise ValueError("this network was built without text; build it with te = true")
        device = self.text_filter.up.weight.device
        tokens = {name: rows.to(device) for name, rows in self.text.tokens(texts).items()}
        with torch.no_grad():
            vectors = self.text(tokens)
        said = torch.tensor([bool(text.strip()) for text in texts], device=device)
        return self.text_filter(vectors) * said[:, None]

    def _see(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        maps = pictures if pictures.is_floating_point() else self.picture.trunk(self.picture.prepare(pictures))
        return self.picture.upper(maps)


def pool(rows: Tensor) -> Tensor:
    """Return the mean of a clip's rows, of unit length; rows of zeros do not count. (N, L, D) -> (N, D).

    Decided: eq. 5 and 23 compare clips by one vector though V_visual has L rows; it is their mean.
    """
    return F.normalize(rows.sum(dim=1), dim=-1)


def score(
    clips: Tensor, pictures: Tensor, speech: Tensor | None = None, titles: Tensor | None = None, weight: float = 0.5
) -> Tensor:
    """Return V_visual I_visual^T + weight * V_text I_text^T (eq. 23). (N, D), (M, D), (N, Dt'), (M, Dt') -> (N, M).

    Eq. 17 is the same with another weight, and without texts both are their first half. Unit vectors in.
    """
    visual = clips @ pictures.T
    return visual if speech is None or titles is None else visual + weight * speech @ titles.T
