"""Where a frame resembles what its clip is taken for, with and without what is said meanwhile (SGMN, fig. 6 and 7).

How to read it. In eq. 5 and 23 no text reaches the visual vectors: what is said changes which product wins, not what
the encoder sees. So no map inside the network is "with text", and this is drawn instead:

without text   where the frame resembles the product that wins by pictures alone
with text      where it resembles the product that wins by eq. 23, with what is said
attention      how much of each place the encoder takes into the frame's vector: the same, whatever is said

How much a place resembles a product is the cosine of two unit vectors: that of the place, which is a cell of the
encoder's last map behind the same projection as the pooled vector, and that of the product's picture which is most like
the clip. Every map is stretched from the least to the greatest value in its frame, and tells both: a map that is nearly
flat would look as lively as any other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shopcue.catalog.exact import similarities
from shopcue.errors import SettingsError
from shopcue.models.clip import OnnxClipEncoder
from shopcue.models.image import Fit, letterbox_placing
from shopcue.records import Floats, Gallery, Image, Product, Utterance

_FLAT = 1e-6  # what differs by less does not differ


@dataclass(frozen=True, slots=True)
class Heat:
    """A map over a frame. values: float32 (H, W) from 0 to 1. low, high: what 0 and 1 stand for."""

    values: Floats
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Winner:
    """The product that a clip is taken for.

    picture: of the shop, the one most like the clip, None where the gallery keeps none. visual: its cosine with the
    clip. text: λ times the cosine of title and speech. heat: where the frame resembles that picture.
    """

    product: Product
    picture: Image | None
    visual: float
    text: float
    heat: Heat

    @property
    def score(self) -> float:
        """Eq. 23."""
        return self.visual + self.text


@dataclass(frozen=True, slots=True)
class Moment:
    """One frame explained. time_s: None for a clip of pictures. said: while the clip lasts, '' for nothing.

    without_text, with_text: who wins. attention: None where the encoder does not attend to places.
    """

    time_s: float | None
    image: Image
    said: str
    without_text: Winner
    with_text: Winner
    attention: Heat | None


class Explainer:
    """Explains clips against one shop. gallery: made by the encoder."""

    def __init__(self, encoder: OnnxClipEncoder, gallery: Gallery) -> None:
        self._encoder, self._gallery = encoder, gallery
        self._titles = encoder.encode_texts([product.title for product in gallery.catalog])

    def explain(self, clip: Sequence[Image], shown: Image, said: str, time_s: float | None = None) -> Moment:
        """Explain one frame of a clip.

        clip: RGB uint8 frames in order, at least one. shown: the frame to draw. said: while the clip lasts. Raises
        WeightsError where the encoder was exported without places.
        """
        vector = self._encoder.encode_clips([clip])[0]
        visual = similarities(self._gallery, vector[None])[0]
        text = self._encoder.text_weight * (self._titles @ self._encoder.encode_texts([said])[0])
        places = self._encoder.encode_places([shown])[0]
        without_text, with_text = (
            self._winner(int(np.argmax(score)), vector, visual, text, places, shown)
            for score in (visual, visual + text)
        )
        taken = self._encoder.attention([shown])
        attention = None if taken is None else self._heat(taken[0], shown)
        return Moment(time_s, shown, said, without_text, with_text, attention)

    def _winner(self, product: int, clip: Floats, visual: Floats, text: Floats, places: Floats, shown: Image) -> Winner:
        gallery = self._gallery
        own = np.flatnonzero(gallery.owner == product)
        best = int(own[np.argmax(gallery.vectors[own] @ clip)])
        picture = gallery.pictures[best] if gallery.pictures else None
        heat = self._heat(places @ gallery.vectors[best], shown)
        return Winner(gallery.catalog.products[product], picture, float(visual[product]), float(text[product]), heat)

    def _heat(self, cells: Floats, shown: Image) -> Heat:
        manifest = self._encoder.manifest
        return heat_over(cells, shown.shape[1], shown.shape[0], manifest.side_px, manifest.fit)


def heat_over(cells: Floats, width: int, height: int, side_px: int, fit: Fit) -> Heat:
    """Return the map of a frame of width x height pixels out of that of the square that it was fitted into.

    cells: float32 (h, w), of a square whose side has side_px pixels; between their middles values change evenly. The
    bars of a letterbox are no part of the frame. A flat map is 0 everywhere.
    """
    x, y, inner_width, inner_height = 0, 0, side_px, side_px
    if fit == "letterbox":
        scale, x, y = letterbox_placing(width, height, side_px)
        inner_width, inner_height = max(1, round(width * scale)), max(1, round(height * scale))
    down = _shares(height, y / side_px, inner_height / side_px, cells.shape[0])
    across = _shares(width, x / side_px, inner_width / side_px, cells.shape[1])
    values = down @ cells @ across.T
    low, high = float(values.min()), float(values.max())
    stretched = (values - low) / (high - low) if high - low > _FLAT else np.zeros_like(values)
    return Heat(np.asarray(stretched, np.float32), low, high)


def _shares(pixels: int, start: float, length: float, count: int) -> Floats:
    """Return how much each of `count` cells in a row counts at each pixel: float32 (pixels, count), rows of sum 1.

    start, length: which part of the row the pixels cover, as shares of it.
    """
    middles = (start + (np.arange(pixels) + 0.5) / pixels * length) * count - 0.5
    columns = [np.interp(middles, np.arange(count), cell) for cell in np.eye(count)]
    return np.asarray(np.stack(columns, axis=1), np.float32)


@dataclass(frozen=True, slots=True)
class Window:
    """The clip around a moment: [start_s, end_s), and the times of its even frames, in seconds."""

    start_s: float
    end_s: float
    times_s: tuple[float, ...]


def window_around(at_s: float, duration_s: float, span_s: float, count: int) -> Window:
    """Return the clip around a moment, of `count` even frames.

    It lasts span_s seconds, or as long as the video if that is shorter, and has the moment as near to its middle as the
    ends of the video allow. Raises SettingsError for a moment outside the video and for a span that is none.
    """
    if not 0 < span_s < math.inf:
        raise SettingsError(f"the clip is {span_s} s long, expected a number of seconds above 0")
    if not 0 <= at_s <= duration_s:
        raise SettingsError(f"the moment {at_s:g} s is outside the video; give seconds from 0 to {duration_s:g}")
    length_s = min(span_s, duration_s)
    start_s = min(max(at_s - length_s / 2, 0.0), duration_s - length_s)
    times = np.linspace(start_s, start_s + length_s, count, endpoint=False)
    return Window(start_s, start_s + length_s, tuple(float(time_s) for time_s in times))


def said_within(utterances: Sequence[Utterance], window: Window) -> str:
    """Return what is said while a clip lasts, also what began before it or ends after it, in order."""
    return " ".join(said.text for said in utterances if said.start_s < window.end_s and said.end_s > window.start_s)
