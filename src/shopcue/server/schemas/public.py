"""What everyone may see of a published video."""

from __future__ import annotations

from typing import Literal

from shopcue.server.schemas.shapes import Outgoing, VideoState


class PublicProduct(Outgoing):
    """A product as a shopper sees it; link: an http(s) address or empty, picture: the address of its first picture."""

    product_id: str
    title: str
    price: str
    link: str
    brand: str
    availability: str
    picture: str


class PublicFocus(Outgoing):
    """A product is on screen from start_s to end_s (null while that goes on); rejected: it is not, after all."""

    focus_id: str
    product_id: str
    start_s: float
    end_s: float | None
    status: Literal["open", "found", "rejected"]


class PublicVideo(Outgoing):
    """A published video with the products that it shows, by id, and others of the shop.

    live: whether it is a stream that is on. media, playback_url: where it plays, from here or from elsewhere.
    last_event_id: of the events that this already knows.
    """

    video_id: str
    shop: str
    title: str
    live: bool
    state: VideoState
    duration_s: float | None
    width: int | None
    height: int | None
    media: str | None
    playback_url: str | None
    poster: str | None
    page: str
    products: dict[str, PublicProduct]
    focuses: list[PublicFocus]
    related: list[PublicProduct]
    last_event_id: int
