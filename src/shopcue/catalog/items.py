"""One item of a feed as it stands there, before anybody judged it, and the names that its columns go by."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from shopcue.errors import FeedError

MAX_ROWS = 1_000_000
REQUIRED = ("id", "title", "image_link")

# What a product needs <- the columns that may hold it, the best first (Google Merchant's names, and RSS's and Atom's).
SOURCES: Mapping[str, tuple[str, ...]] = {
    "id": ("id",),
    "title": ("title",),
    "description": ("description", "summary", "content"),
    "category": ("category", "product_type", "google_product_category"),
    "price": ("price",),
    "link": ("link",),
    "brand": ("brand",),
    "availability": ("availability",),
}
KNOWN = frozenset(("image_link", "additional_image_link", *(name for names in SOURCES.values() for name in names)))

# Never read as such, only proposed when a required column is missing.
_LOOKALIKES = {
    "id": ("sku", "product_id", "item_id", "offer_id", "item", "code"),
    "title": ("name", "product_name", "product", "product_title", "item_name"),
    "image_link": ("image", "image_url", "img", "image_src", "picture", "photo", "img_url", "images", "image_path"),
}
_URL_COMMA = re.compile(r",\s*(?=https?://)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a feed: its place, its texts by the names of `SOURCES`, and its pictures, the main one first.

    row: as a spreadsheet counts (the header is row 1), the line of a JSONL file, or else the 1-based item. refusal: why
    the reader could make nothing of it, or empty.
    """

    row: int
    texts: Mapping[str, str] = field(default_factory=dict)
    images: tuple[str, ...] = ()
    refusal: str = ""


def column(name: str) -> str:
    """Return the one name for all spellings of a column: `Image Link`, `g:image-link` -> `image_link`."""
    return re.sub(r"[\s_-]+", "_", name.strip().casefold().removeprefix("g:").strip())


def item_from_pairs(row: int, pairs: Iterable[tuple[str, str]]) -> Item:
    """Return the item that (column, text) pairs describe; of a repeated text column the first filled one counts."""
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        if value := value.strip():
            found.setdefault(name, []).append(value)
    images = list(found.get("image_link", ()))
    for cell in found.get("additional_image_link", ()):
        images += split_addresses(cell)
    texts = {wanted: next((found[name][0] for name in names if name in found), "") for wanted, names in SOURCES.items()}
    return Item(row, texts, tuple(dict.fromkeys(images)))


def split_addresses(cell: str) -> list[str]:
    """Split a cell of addresses at its commas, except at those inside an http(s) address."""
    pieces = _URL_COMMA.split(cell) if cell.lower().startswith(("http://", "https://")) else cell.split(",")
    return [piece.strip() for piece in pieces if piece.strip()]


def require_columns(name: str, seen: Iterable[str], required: tuple[str, ...] = REQUIRED) -> None:
    """Raise FeedError, naming the nearest columns that are there, unless all `required` ones are."""
    columns = list(dict.fromkeys(seen))
    missing = [want for want in required if want not in columns]
    if not missing:
        return
    listed = ", ".join(repr(have[:40]) for have in columns[:20]) + (", ..." if len(columns) > 20 else "")
    advice = [f"is {near[:40]!r} meant as {want}?" for want in missing if (near := _nearest(want, columns))]
    raise FeedError(
        f"{name} has no column {', '.join(missing)}: found {listed or 'no columns'}; expected {', '.join(required)}; "
        + (" ".join(advice) if advice else "add or rename the column")
    )


def _nearest(wanted: str, columns: list[str]) -> str:
    for lookalike in _LOOKALIKES.get(wanted, ()):
        if lookalike in columns:
            return lookalike
    free = [have for have in columns if have not in KNOWN]
    return next(iter(difflib.get_close_matches(wanted, free, n=1, cutoff=0.6)), "")
