"""Feeds that are tables: CSV and TSV in the plain, Google Merchant, Shopify and Vision Product Search layouts.

Rows are read one by one. A cell may hold line breaks inside quotes; it ends, at the latest, at the 131,072 characters
that the csv module allows, so that a forgotten quote cannot swallow a large file.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TextIO

from shopcue.catalog.items import KNOWN, MAX_ROWS, Item, column, item_from_pairs, require_columns
from shopcue.errors import FeedError

DELIMITERS = ",;\t|"
MAX_LINE = 2_000_000
VISION_COLUMNS = (
    "image_uri", "image_id", "product_set_id", "product_id",
    "product_category", "product_display_name", "labels", "bounding_poly",
)  # fmt: skip
_SHOPIFY_ID = ("handle", "url_handle")
_SHOPIFY_IMAGE = ("image_src", "product_image_url")
_SHOPIFY_VARIANT_IMAGE = ("variant_image", "variant_image_url")
# Shopify's own name <- its columns, in the layout with `Handle` and in the newer one with `URL handle`.
_SHOPIFY_TEXTS = {
    "title": ("title",),
    "description": ("body_(html)", "description"),
    "category": ("type", "product_category"),
    "price": ("variant_price", "price"),
    "brand": ("vendor",),
}
_UNPUBLISHED = ("draft", "archived")
# What Excel writes above the header to remember its delimiter.
_SEPARATOR_LINE = re.compile(r"\"?sep=[,;|\t]\"?\s*", re.IGNORECASE)
_ADDRESS = re.compile(r"^(?:gs|https?)://|\.(?:jpe?g|png|webp|gif|bmp|tiff?|avif)$", re.IGNORECASE)


def read_table(path: Path, encoding: str) -> Iterator[Item]:
    """Yield the items of a delimited text, whose delimiter and layout are told by its first row.

    Raises FeedError for a table without the required columns or with an unclosed quote.
    """
    delimiter = _delimiter(path, encoding)
    with path.open(encoding=encoding, errors="replace", newline="") as file:
        records = _records(file, delimiter, path.name)
        first = next(records, None)
        if first is None:
            raise FeedError(f"{path.name} is empty, expected a header row with id, title and image_link")
        names = [column(cell) for cell in first[1]]
        if names[0] == "image_uri":
            yield from _vision(records, names)
        elif _is_vision_row(first[1], names):
            yield from _vision(chain([first], records), VISION_COLUMNS)
        elif _is_shopify(names):
            yield from _shopify(records, names, path.name)
        else:
            require_columns(path.name, names)
            yield from _plain(records, names)


def _delimiter(path: Path, encoding: str) -> str:
    """Return the delimiter under which the first row shows most known columns, or else most cells."""
    shopify = {*_SHOPIFY_ID, *_SHOPIFY_IMAGE, *_SHOPIFY_VARIANT_IMAGE, *chain(*_SHOPIFY_TEXTS.values())}
    known = KNOWN | shopify | set(VISION_COLUMNS)

    def fit(delimiter: str) -> tuple[int, int]:
        with path.open(encoding=encoding, errors="replace", newline="") as file:
            cells = next(_records(file, delimiter, path.name), (1, []))[1]
        return sum(column(cell) in known for cell in cells), len(cells)

    return max(DELIMITERS, key=fit)


def _records(file: TextIO, delimiter: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (row, cells) of every row that is not blank; row counts as a spreadsheet does.

    Raises FeedError for a row over several lines whose quotes do not match: it may have swallowed its neighbours.
    """
    raw: list[str] = []  # the lines of the row that is being read

    def lines() -> Iterator[str]:
        while line := file.readline(MAX_LINE):
            if len(line) == MAX_LINE:
                raise FeedError(f"{name} has a line longer than {MAX_LINE:,} characters, expected a table of products")
            if row == 0 and not raw and _SEPARATOR_LINE.fullmatch(line.lstrip("\ufeff")):
                continue
            raw.append(line)
            yield line

    row = 0
    reader = csv.reader(lines(), delimiter=delimiter)
    while True:
        raw.clear()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise FeedError(f"{name} cannot be read at row {row + 1}: {error}; is a quote left open there?") from None
        row += 1
        if len(raw) > 1 or not raw[-1].endswith(("\n", "\r")):
            _check_quotes(raw, delimiter, row, name)
        if row > MAX_ROWS:
            raise FeedError(f"{name} has more than {MAX_ROWS:,} rows; split the feed")
        if any(cell.strip() for cell in cells):
            yield row, cells


def _check_quotes(raw: list[str], delimiter: str, row: int, name: str) -> None:
    try:
        list(csv.reader(raw, delimiter=delimiter, strict=True))
    except csv.Error as error:
        if len(raw) == 1 and "end of data" not in str(error):
            return  # a stray quote inside one line swallows nothing
        lines = f", which runs over {len(raw)} lines" if len(raw) > 1 else ""
        raise FeedError(f"{name} has a quote in row {row}{lines}, that is never closed; close or double it") from None


def _pairs(names: Sequence[str], cells: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip(names, cells, strict=False))


def _plain(records: Iterator[tuple[int, list[str]]], names: Sequence[str]) -> Iterator[Item]:
    for row, cells in records:
        item = item_from_pairs(row, _pairs(names, cells))
        if any(cell.strip() for cell in cells[len(names) :]):
            # Cells after the last column mean that all after some unquoted delimiter stand in the wrong column.
            reason = f"has {len(cells)} cells where the header has {len(names)}; quote the cell that holds a delimiter"
            item = Item(row, {"id": item.texts["id"]}, refusal=reason)
        yield item


# ---- Shopify -----------------------------------------------------------------------------------------------------


def _is_shopify(names: Sequence[str]) -> bool:
    shopify_only = (*_SHOPIFY_IMAGE, *_SHOPIFY_VARIANT_IMAGE, "body_(html)", "variant_price")
    return any(name in names for name in _SHOPIFY_ID) and any(name in names for name in shopify_only)


@dataclass(slots=True)
class _ShopifyProduct:
    """The rows of one handle, as far as they were read."""

    row: int
    texts: dict[str, str] = field(default_factory=dict)
    images: list[tuple[float, str]] = field(default_factory=list)
    variant_images: list[str] = field(default_factory=list)
    status: str = ""

    def add(self, cells: dict[str, str]) -> None:
        for wanted, names in _SHOPIFY_TEXTS.items():
            if not self.texts.get(wanted):
                self.texts[wanted] = _first(cells, names)
        if address := _first(cells, _SHOPIFY_IMAGE):
            place = cells.get("image_position", "")
            self.images.append((int(place) if place.isascii() and place.isdigit() else float("inf"), address))
        if address := _first(cells, _SHOPIFY_VARIANT_IMAGE):
            self.variant_images.append(address)
        self.status = self.status or cells.get("status", "").casefold()

    def item(self, handle: str) -> Item:
        in_place = [address for _, address in sorted(self.images, key=lambda image: image[0])]
        refusal = f"its status is {self.status}, only active products are used" if self.status in _UNPUBLISHED else ""
        images = tuple(dict.fromkeys(in_place + self.variant_images))
        return Item(self.row, {**self.texts, "id": handle}, images, refusal)


def _first(cells: dict[str, str], names: Sequence[str]) -> str:
    return next((cells[name] for name in names if cells.get(name)), "")


def _shopify(records: Iterator[tuple[int, list[str]]], names: Sequence[str], name: str) -> Iterator[Item]:
    """Yield one item for each handle: its title stands on its first row, its pictures on any."""
    handle_column = next(have for have in _SHOPIFY_ID if have in names)
    if not any(have in names for have in (*_SHOPIFY_IMAGE, *_SHOPIFY_VARIANT_IMAGE)):
        require_columns(name, names, (handle_column, "title", "image_src"))
    require_columns(name, names, (handle_column, "title"))
    products: dict[str, _ShopifyProduct] = {}
    for row, cells in records:
        found = {have: cell.strip() for have, cell in _pairs(names, cells)}
        handle = found[handle_column]
        if not handle:
            yield Item(row, refusal="has no handle")
            continue
        products.setdefault(handle, _ShopifyProduct(row)).add(found)
    yield from (product.item(handle) for handle, product in products.items())


# ---- Vision Product Search ---------------------------------------------------------------------------------------


def _is_vision_row(cells: Sequence[str], names: Sequence[str]) -> bool:
    """Tell whether a first row is already data: the layout has no header, and starts with the address of a picture."""
    enough = 5 <= len(cells) <= len(VISION_COLUMNS)
    return enough and not KNOWN.intersection(names) and bool(_ADDRESS.search(cells[0].strip()))


def _vision(records: Iterator[tuple[int, list[str]]], names: Sequence[str]) -> Iterator[Item]:
    """Yield one item for each product-id; the title is its display name, or else the id, as the API has it."""
    rows: dict[str, int] = {}
    texts: dict[str, dict[str, str]] = {}
    images: dict[str, dict[str, None]] = {}
    for row, cells in records:
        found = {have: cell.strip() for have, cell in _pairs(names, cells)}
        product_id = found.get("product_id", "")
        if not product_id:
            yield Item(row, refusal="has no product-id")
            continue
        rows.setdefault(product_id, row)
        known = texts.setdefault(product_id, {"id": product_id})
        known["title"] = known.get("title") or found.get("product_display_name", "")
        known["category"] = known.get("category") or found.get("product_category", "")
        known["description"] = known.get("description") or found.get("labels", "").replace("=", " ")
        if address := found.get("image_uri", ""):
            images.setdefault(product_id, {})[address] = None
    for product_id, row in rows.items():
        known = texts[product_id]
        known["title"] = known["title"] or product_id
        yield Item(row, known, tuple(images.get(product_id, ())))
