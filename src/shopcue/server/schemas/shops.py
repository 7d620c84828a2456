"""Shops, their products and their imports."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from shopcue.server.schemas.shapes import Address, Identity, Incoming, Instant, Outgoing, ProductName, Text, Title


class ShopChange(Incoming):
    """How a shop is called."""

    title: Title


class Shop(Outgoing):
    """A shop with how much it holds."""

    shop: str
    title: str
    products: int
    videos: int
    live_streams: int
    created_at: Instant


class Shops(Outgoing):
    """The shops that the token is for."""

    shops: list[Shop]


class Showing(Outgoing):
    """When a video shows a product."""

    video_id: str
    video_title: str
    start_s: float
    end_s: float | None


class Product(Outgoing):
    """A product; images: how many pictures it has, picture: the address of the first."""

    product_id: str
    title: str
    description: str
    category: str
    price: str
    link: str
    brand: str
    availability: str
    images: int
    picture: str | None
    shown_at: list[Showing]


class Products(Outgoing):
    """A page of products; next: what `after` is for the next page."""

    products: list[Product]
    total: int
    next: str | None


class ProductChange(Incoming):
    """New texts of a product; what is left out stays."""

    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=5_000)] | None = None
    description: Annotated[str, StringConstraints(max_length=50_000)] | None = None
    category: Text | None = None
    price: Text | None = None
    link: Text | None = None
    brand: Text | None = None
    availability: Text | None = None


class ProductNames(Incoming):
    """Products to be deleted."""

    product_ids: list[ProductName] = Field(min_length=1, max_length=10_000)


class Deleted(Outgoing):
    """How many were deleted."""

    deleted: int


class FeedRow(Incoming):
    """A product as a row of a feed."""

    id: ProductName
    title: Annotated[str, StringConstraints(min_length=1, max_length=5_000)]
    image_link: Address
    additional_image_link: list[Address] = Field(default=[], max_length=50)
    description: Annotated[str, StringConstraints(max_length=50_000)] = ""
    category: Text = ""
    price: Text = ""
    link: Text = ""
    brand: Text = ""
    availability: Text = ""


class NewImport(Incoming):
    """A feed to be taken in: exactly one of upload_id, url and products."""

    upload_id: Identity | None = None
    url: Address | None = None
    products: list[FeedRow] | None = Field(default=None, min_length=1, max_length=10_000)
    delete_missing: bool = False
