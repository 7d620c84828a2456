"""SGMN put together: what it is built from, what it sees of a batch, and what it minimises (eq. 22)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

from torch import Tensor, nn

from shopcue.errors import SettingsError
from shopcue.nets.sgmn.alignment import Alignment, pool, score
from shopcue.nets.sgmn.encoders import ENCODERS, EncoderSettings, PictureEncoder, TextEncoder
from shopcue.nets.sgmn.fusion import Fusion
from shopcue.nets.sgmn.graphs import Interaction
from shopcue.nets.sgmn.losses import triplet

Gather = Callable[[Tensor], Tensor]
IMAGE_ROWS = ("stacked", "places")


@dataclass(frozen=True, slots=True)
class SgmnConfig:
    """What makes an SGMN; the defaults are the paper's, the encoder apart.

    encoder, text_encoder: names of `ENCODERS`; '' reads with the same name that sees. weights, text_weights, download,
    side_px, dim, frozen: as in `EncoderSettings`. text_dim: length of a text vector, 0 as long as the text encoder's.
    frames: L. heads: of every attention. te, tmc, gci, smf: the components of table 7; i2i, v2v, cross: the graphs of
    table 6. image_rows: what the L rows of S_I in eq. 6 are: 'stacked', as printed, or 'places' of the picture (see
    `graphs`). margin: of the triplets; hardest: whether of the hardest negative. text_weight: lambda of eq. 5 and 23;
    fusion_weight: alpha of eq. 17, for which the paper gives no value. connected: K of eq. 8, 0 for L / 2; hard: K of
    eq. 17. beta1, beta2: of eq. 22.
    """

    encoder: str = "house"
    text_encoder: str = ""
    weights: str = ""
    text_weights: str = ""
    download: bool = False
    side_px: int = 160
    dim: int = 256
    frozen: int = -1
    text_dim: int = 0
    frames: int = 10
    heads: int = 4
    te: bool = True
    tmc: bool = True
    gci: bool = True
    smf: bool = True
    i2i: bool = True
    v2v: bool = True
    cross: bool = True
    image_rows: str = "stacked"
    margin: float = 0.2
    hardest: bool = True
    text_weight: float = 0.5
    fusion_weight: float = 0.5
    connected: int = 0
    hard: int = 4
    beta1: float = 0.7
    beta2: float = 0.3

    def __post_init__(self) -> None:
        for name in (self.encoder, self.reads_with):
            if name not in ENCODERS:
                raise SettingsError(f"the encoder is {name!r}, expected one of {', '.join(ENCODERS)}")
        if self.image_rows not in IMAGE_ROWS:
            raise SettingsError(f"image_rows is {self.image_rows!r}, expected one of {', '.join(IMAGE_ROWS)}")
        least = {"frames": 1, "heads": 1, "dim": 1, "hard": 2, "text_dim": 0, "connected": 0, "frozen": -1}
        for field in (*least, "margin", "text_weight", "fusion_weight", "beta1", "beta2"):
            value = getattr(self, field)
            if not least.get(field, 0) <= value < float("inf"):
                raise SettingsError(f"{field} is {value}, expected at least {least.get(field, 0)}")

    @property
    def reads_with(self) -> str:
        """The name of the text encoder."""
        return self.text_encoder or self.encoder


@dataclass(frozen=True, slots=True)
class SgmnBatch:
    """N pairs of a clip and a shop's picture of what it shows.

    frames: uint8 (N, L, S, S, 3), or the frozen trunk's maps of them, float (N, L, ...). frame_mask: bool (N, L), which
    frames are there. pictures: uint8 (N, S, S, 3), or maps. speech, titles: N texts, '' where there is none. products:
    int64 (N,), equal where pairs show one product.
    """

    frames: Tensor
    frame_mask: Tensor
    pictures: Tensor
    speech: Sequence[str]
    titles: Sequence[str]
    products: Tensor


@dataclass(frozen=True, slots=True)
class Encoded:
    """What GRA makes of a batch: all that the losses see.

    videos: unit (N, L, D). mask: bool (N, L). images: unit (N, D). speech, titles: unit or zero (N, Dt'), or None
    without text. products: int64 (N,). places: unit (N, L, D), or None where GCI stacks the images.
    """

    videos: Tensor
    mask: Tensor
    images: Tensor
    speech: Tensor | None
    titles: Tensor | None
    products: Tensor
    places: Tensor | None = None

    def gathered(self, gather: Gather) -> Encoded:
        """Return the rows of all processes: `gather` is applied to each tensor."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return Encoded(**{name: None if value is None else gather(value) for name, value in values.items()})


class Sgmn(nn.Module):
    """The network. GRA alone is in use; GCI and SMF are there to teach it.

    picture, text: encoders to use in place of those that `config` names, such as one with weights to start from.
    Raises SettingsError or WeightsError where an encoder cannot be built.
    """

    def __init__(
        self, config: SgmnConfig, picture: PictureEncoder | None = None, text: TextEncoder | None = None
    ) -> None:
        super().__init__()
        self.config = config
        picture = build_picture_encoder(config) if picture is None else picture
        if config.te and text is None:
            text = build_text_encoder(config)
        if picture.dim % config.heads:
            raise SettingsError(f"heads is {config.heads}, expected a divisor of the dim, {picture.dim}")
        text_dim = config.text_dim or (text.width if text is not None else 0)
        self.alignment = Alignment(
            picture,
            text if config.te else None,
            text_dim=text_dim,
            frames=config.frames,
            heads=config.heads,
            tmc=config.tmc,
        )
        self.interaction = (
            Interaction(
                picture.dim,
                config.frames,
                config.heads,
                i2i=config.i2i,
                v2v=config.v2v,
                cross=config.cross,
                k=config.connected,
            )
            if config.gci
            else None
        )
        self.fusion = (
            Fusion(picture.dim, text_dim if config.te else 0, config.heads, config.hard) if config.smf else None
        )

    def encode_pictures(self, pictures: Tensor) -> Tensor:
        """Return unit vectors (N, D) of uint8 (N, S, S, 3), or of the trunk's maps."""
        return self.alignment.encode_pictures(pictures)

    def encode_clips(self, frames: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return unit rows (N, L, D) and unit vectors (N, D) of clips, as `Alignment.encode_clips`."""
        return self.alignment.encode_clips(frames, mask)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit vectors (N, Dt'), zero for a blank text."""
        return self.alignment.encode_texts(texts)

    def encode(self, batch: SgmnBatch) -> Encoded:
        """Return what the losses see of a batch."""
        speech = titles = None
        if self.config.te:
            speech, titles = self.encode_texts([*batch.speech, *batch.titles]).chunk(2)
        videos, _ = self.encode_clips(batch.frames, batch.frame_mask)
        places = None
        if self.interaction is not None and self.config.image_rows == "places":
            images, places = self.alignment.encode_places(batch.pictures, self.config.frames)
        else:
            images = self.encode_pictures(batch.pictures)
        return Encoded(videos, batch.frame_mask, images, speech, titles, batch.products, places)

    def forward(self, batch: SgmnBatch, gather: Gather | None = None) -> dict[str, Tensor]:
        """Return the loss as `loss` does; `gather` brings the rows of all processes together first."""
        encoded = self.encode(batch)
        return self.terms(encoded if gather is None else encoded.gathered(gather))

    def loss(self, batch: SgmnBatch) -> dict[str, Tensor]:
        """Return the terms of eq. 22 by name, scalars: similarity, graph, match where they are on, and their total."""
        return self.forward(batch)

    def terms(self, encoded: Encoded) -> dict[str, Tensor]:
        """Return the loss of encoded pairs: L_s + beta1 * L_g + beta2 * L_m (eq. 22) as 'total', and its parts."""
        config = self.config
        terms = {"similarity": self._similarity_loss(encoded)}
        total = terms["similarity"]
        if self.interaction is not None:
            terms["graph"] = self._graph_loss(self.interaction, encoded)
            total = total + config.beta1 * terms["graph"]
        if self.fusion is not None:
            clips = pool(encoded.videos)
            similarity = score(clips, encoded.images, encoded.speech, encoded.titles, config.fusion_weight)
            terms["match"] = self.fusion(
                encoded.videos,
                encoded.images,
                encoded.speech,
                encoded.titles,
                similarity,
                encoded.products,
                encoded.mask,
            )
            total = total + config.beta2 * terms["match"]
        return {**terms, "total": total}

    def _similarity_loss(self, encoded: Encoded) -> Tensor:
        """Eq. 5. A pair without speech or title has no part in the second term, as MovingFashion has none at all."""
        loss = self._triplet(pool(encoded.videos), encoded.images, encoded)
        if encoded.speech is None or encoded.titles is None:
            return loss
        said = encoded.speech.ne(0).any(dim=1) & encoded.titles.ne(0).any(dim=1)
        text = triplet(
            encoded.speech @ encoded.titles.T,
            encoded.products,
            self.config.margin,
            counts=said,
            hardest=self.config.hardest,
        )
        return loss + self.config.text_weight * text

    def _graph_loss(self, interaction: Interaction, encoded: Encoded) -> Tensor:
        """Eq. 15 and 16."""
        rows = encoded.images if encoded.places is None else encoded.places
        met = interaction(encoded.videos, rows, encoded.mask)
        videos, images = pool(met.videos), pool(met.images)
        return (
            self._triplet(videos, images, encoded)
            + self._triplet(pool(encoded.videos), images, encoded)
            + self._triplet(videos, encoded.images, encoded)
            + met.divergence
        )

    def _triplet(self, clips: Tensor, images: Tensor, encoded: Encoded) -> Tensor:
        there = encoded.mask.any(dim=1)
        return triplet(
            clips @ images.T, encoded.products, self.config.margin, counts=there, hardest=self.config.hardest
        )


def build_picture_encoder(config: SgmnConfig) -> PictureEncoder:
    """Return the picture encoder that a config names."""
    return ENCODERS[config.encoder].picture(
        EncoderSettings(config.weights, config.download, config.side_px, config.dim, config.frozen)
    )


def build_text_encoder(config: SgmnConfig) -> TextEncoder:
    """Return the text encoder that a config names; of the same name, it is in the same folder as the picture's."""
    weights = config.text_weights or (config.weights if config.reads_with == config.encoder else "")
    return ENCODERS[config.reads_with].text(EncoderSettings(weights, config.download))


def inference_state(net: Sgmn) -> dict[str, Tensor]:
    """Return the weights that are in use: those of GRA, by name."""
    return {name: value for name, value in net.state_dict().items() if name.startswith("alignment.")}
