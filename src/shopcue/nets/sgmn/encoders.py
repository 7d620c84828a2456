"""What sees and what reads: the encoders that SGMN is built on, by name.

A picture encoder is cut in two. `trunk` is what is not trained: its maps of a picture never change, so they may be
stored, and a training on a processor runs `upper` alone. `forward` is one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shopcue.errors import SettingsError
from shopcue.models.clip_text import WIDTH, hashed_ngrams
from shopcue.nets.backbones import FEATURES, EfficientNetLite0
from shopcue.nets.retrieval import HouseBackbone
from shopcue.nets.sgmn.attention import Attention, whisper

Tokens = dict[str, Tensor]

_HOUSE_FROZEN = 11  # blocks: all of the finer map


class PictureEncoder(nn.Module):
    """Pictures -> one vector each, and one for each of P places (SGMN eq. 1 and 2).

    dim: D. side_px: S, of the pictures that it is made for. tokens: P.
    """

    dim: int
    side_px: int
    tokens: int

    def prepare(self, pixels: Tensor) -> Tensor:
        """Return pixels as the net wants them. uint8 RGB (N, S, S, 3) -> float (N, 3, S, S)."""
        raise NotImplementedError

    def trunk(self, pictures: Tensor) -> Tensor:
        """Return the maps of the frozen part. (N, 3, S, S) -> (N, ...)."""
        raise NotImplementedError

    def upper(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Return (vectors (N, D), vectors of the places (N, P, D)) of the trunk's maps; not of unit length."""
        raise NotImplementedError

    def attention(self, maps: Tensor) -> Tensor:
        """Return how much of each place goes into the vector. Maps of the trunk -> (N, P), each row of sum 1."""
        raise NotImplementedError

    def freeze(self) -> None:
        """Stop training of the trunk; to be called again where its weights were replaced by other modules."""
        raise NotImplementedError

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return (vectors (N, D), vectors of the places (N, P, D)) of prepared pictures, (N, 3, S, S)."""
        return self.upper(self.trunk(pictures))


class TextEncoder(nn.Module):
    """Texts -> vectors, never trained (SGMN 3.1). width: Dt."""

    width: int

    def tokens(self, texts: Sequence[str]) -> Tokens:
        """Return the inputs of the net by name, each of N rows."""
        raise NotImplementedError

    def forward(self, tokens: Tokens) -> Tensor:
        """Return the vectors of the tokens, (N, Dt); not of unit length."""
        raise NotImplementedError

    def train(self, mode: bool = True) -> TextEncoder:
        """Stay in evaluation: what is frozen must not drop units at random either."""
        super().train(False)
        return self


class HousePictureEncoder(PictureEncoder):
    """EfficientNet-Lite0: the places are the cells of its last map, which one learnt query looks over.

    The vector is the mean of the places plus what attention finds in them, which starts out as nearly nothing, so that
    training starts at the mean.

    backbone: whose `net` carries the weights to start from. frozen_blocks: 0 to 16, besides the stem, and 17 for all of
    the backbone; the map of the trunk has 1 / 16 of the side from block 6 on, 1 / 32 from block 12 on.
    """

    def __init__(
        self,
        backbone: HouseBackbone | None = None,
        *,
        dim: int = 256,
        side_px: int = 160,
        frozen_blocks: int = _HOUSE_FROZEN,
        heads: int = 4,
    ) -> None:
        super().__init__()
        if side_px < 32 or side_px % 32:
            raise SettingsError(f"side_px is {side_px}, expected a multiple of 32 for the house encoder")
        self.backbone = HouseBackbone() if backbone is None else backbone
        layers = len(self._net.blocks) + 1
        if not 0 <= frozen_blocks <= layers:
            raise SettingsError(f"frozen is {frozen_blocks}, expected 0 to {layers} layers of the house encoder")
        self.dim, self.side_px, self.tokens = dim, side_px, (side_px // 32) ** 2
        self.frozen_blocks = frozen_blocks
        self.projection = nn.Linear(FEATURES, dim)
        self.before_looking = nn.LayerNorm(dim)
        self.look = Attention(dim, heads)
        whisper(self.look.out)
        self.freeze()

    def prepare(self, pixels: Tensor) -> Tensor:
        """Return (x - 127) / 128. uint8 RGB (N, S, S, 3) -> float32 (N, 3, S, S)."""
        return (pixels.permute(0, 3, 1, 2).float() - 127.0) * (1.0 / 128.0)

    def trunk(self, pictures: Tensor) -> Tensor:
        """Return the map after the frozen blocks. (N, 3, S, S) -> (N, C, h, w)."""
        x = F.relu6(self._net.stem(pictures))
        return self._through(x, 0, self.frozen_blocks)

    def features(self, maps: Tensor) -> Tensor:
        """Return what the backbone makes of pictures, without projection: the trunk's maps -> (N, 1280)."""
        return self._through(maps, self.frozen_blocks, None).mean(dim=(2, 3))

    def upper(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Return (vectors (N, D), vectors of the cells (N, P, D), row by row) of the trunk's map."""
        places = self._places(maps)
        mean = places.mean(dim=1)
        seen = self.before_looking(places)
        return mean + self.look(self.before_looking(mean)[:, None], seen)[:, 0], places

    def attention(self, maps: Tensor) -> Tensor:
        """Return how much of each cell goes into the vector: the learnt look, the mean over heads. (N, P)."""
        places = self._places(maps)
        query = self.before_looking(places.mean(dim=1))[:, None]
        return self.look.weights(query, self.before_looking(places)).mean(dim=1)[:, 0]

    def freeze(self) -> None:
        """Stop training of the stem and of the first `frozen_blocks` layers."""
        self._net.freeze(self.frozen_blocks)
        if self.frozen_blocks > len(self._net.blocks):
            self._net.head.requires_grad_(False)

    @property
    def _net(self) -> EfficientNetLite0:
        return self.backbone.net

    def _places(self, maps: Tensor) -> Tensor:
        return self.projection(self._through(maps, self.frozen_blocks, None).flatten(2).transpose(1, 2))

    def _through(self, x: Tensor, first: int, until: int | None) -> Tensor:
        """Return the map after layers `first` to `until`: the blocks, and the last convolution as one more."""
        blocks = len(self._net.blocks)
        for block in self._net.blocks[first:until]:
            x = block(x)
        return F.relu6(self._net.head(x)) if first <= blocks and (until is None or until > blocks) else x


class HouseTextEncoder(TextEncoder):
    """Hashed n-grams (`models.clip_text`): no weights, any language. The filter layer learns what of them tells."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.width = width

    def tokens(self, texts: Sequence[str]) -> Tokens:
        """Return {"ngrams": float32 (N, Dt)}."""
        return {"ngrams": torch.from_numpy(hashed_ngrams(texts, self.width))}

    def forward(self, tokens: Tokens) -> Tensor:
        """Return the n-grams as they are."""
        return tokens["ngrams"]


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """What an encoder is built with.

    weights: for those of transformers, a folder in the hub's format, or a name on the hub; '' is the published one.
    download: whether the hub may be asked for what is not in its local cache. side_px, dim: of the house encoder; those
    of others are in their folder. frozen: blocks or layers, from the pixels up, that are not trained; -1 is what suits
    the encoder: 11 of the house one, which a processor can train, and none of others, as in the paper.
    """

    weights: str = ""
    download: bool = False
    side_px: int = 160
    dim: int = 256
    frozen: int = -1


@dataclass(frozen=True, slots=True)
class Encoders:
    """The two sides of one name; either may be used with the other side of another name, as the paper does."""

    picture: Callable[[EncoderSettings], PictureEncoder]
    text: Callable[[EncoderSettings], TextEncoder]


def _house_picture(settings: EncoderSettings) -> PictureEncoder:
    frozen = _HOUSE_FROZEN if settings.frozen < 0 else settings.frozen
    return HousePictureEncoder(dim=settings.dim, side_px=settings.side_px, frozen_blocks=frozen)


def _house_text(settings: EncoderSettings) -> TextEncoder:
    return HouseTextEncoder()


def _of_transformers(published: str) -> Encoders:
    """Return the encoders of one published model; transformers is imported when the first one is built."""

    def picture(settings: EncoderSettings) -> PictureEncoder:
        from shopcue.nets.sgmn.transformer_encoders import VitPictureEncoder, load_clip

        model = load_clip(settings.weights or published, settings.download)
        return VitPictureEncoder(model, max(settings.frozen, 0))

    def text(settings: EncoderSettings) -> TextEncoder:
        from shopcue.nets.sgmn.transformer_encoders import ClipTextEncoder, load_clip, load_tokenizer

        where = settings.weights or published
        return ClipTextEncoder(load_clip(where, settings.download), load_tokenizer(where, settings.download))

    return Encoders(picture, text)


ENCODERS: dict[str, Encoders] = {
    "house": Encoders(_house_picture, _house_text),
    "clip-vit-b-32": _of_transformers("openai/clip-vit-base-patch32"),
    "chinese-clip": _of_transformers("OFA-Sys/chinese-clip-vit-base-patch16"),
}
