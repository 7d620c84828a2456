"""Feeds that are documents: JSON, JSON lines, Shopify's JSON, Google Merchant's RSS and Atom, a folder of pictures.

Each is read product by product: memory holds one product of the text, whatever its size.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TextIO
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from shopcue.catalog.items import KNOWN, Item, column, item_from_pairs, require_columns
from shopcue.errors import FeedError

MAX_LINE = 2_000_000
MAX_DEPTH = 32
MAX_ITEM_BYTES = 8 << 20
MAX_COLUMNS = 1_000
PICTURE_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"})
FEED_ENDINGS = frozenset({".csv", ".tsv", ".txt", ".json", ".jsonl", ".xml", ".rss", ".atom"})
_SHOPIFY_KEYS = frozenset({"images", "variants", "body_html", "image"})
_MERCHANT = "http://base.google.com/ns/1.0"
_ADDRESSES = frozenset({"link", "image_link", "additional_image_link"})

# ---- JSON --------------------------------------------------------------------------------------------------------


def read_json(path: Path, encoding: str) -> Iterator[Item]:
    """Yield the items of one JSON list, or of the list under `products` or `items`.

    Raises FeedError for text that is no JSON, that is nested too deep, or that holds no such list.
    """
    with path.open(encoding=encoding, errors="replace") as file:
        yield from _items(path.name, enumerate(_list_entries(_JsonReader(file, path.name)), 1))


class _JsonReader:
    """A JSON text read value by value."""

    def __init__(self, file: TextIO, name: str) -> None:
        self.name = name
        self._file = file
        self._decoder = json.JSONDecoder()
        self._text = ""
        self._at = 0

    def peek(self) -> str:
        """Return the next character that is no white space, empty at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in " \t\r\n":
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._fill():
                return ""

    def take(self, sign: str) -> bool:
        """Step over the next character if it is `sign`."""
        found = self.peek() == sign
        self._at += found
        return found

    def expect(self, sign: str) -> None:
        if not self.take(sign):
            came = repr(self.peek()) if self.peek() else "the end of the file"
            raise FeedError(f"{self.name} is not JSON: {came} came where {sign!r} was expected; export the feed anew")

    def value(self) -> Any:
        """Return the next value, which must end within `MAX_LINE` characters."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except RecursionError:
                raise FeedError(f"{self.name} is JSON nested too deep, expected a list of flat products") from None
            except ValueError as error:
                # Perhaps the text read so far just ends inside the value.
                if len(self._text) - self._at < MAX_LINE and self._fill():
                    continue
                advice = f"expected products of at most {MAX_LINE:,} characters"
                raise FeedError(f"{self.name} is not JSON: {error}; {advice}") from None
            if end < len(self._text) or not self._fill():
                self._at = end
                return value

    def _fill(self) -> bool:
        chunk = self._file.read(MAX_LINE // 2)
        if chunk:
            self._text = self._text[self._at :] + chunk
            self._at = 0
        return bool(chunk)


def _list_entries(reader: _JsonReader) -> Iterator[Any]:
    wrapped = reader.take("{")
    if wrapped:
        _enter_products(reader)
    reader.expect("[")
    while reader.peek() != "]":
        yield reader.value()
        if reader.peek() != "]":
            reader.expect(",")
    reader.expect("]")
    if not wrapped and reader.peek():
        raise FeedError(f"{reader.name} goes on after its list of products, expected one list; join them")


def _enter_products(reader: _JsonReader) -> None:
    """Step to the list under `products` or `items`, over whatever stands before it."""
    while not reader.take("}") and reader.peek():
        key = reader.value()
        reader.expect(":")
        if key in ("products", "items") and reader.peek() == "[":
            return
        reader.value()
        reader.take(",")
    raise FeedError(f'{reader.name} holds no list of products, expected [...], {{"products": [...]}} or JSON lines')


def read_json_lines(path: Path, encoding: str) -> Iterator[Item]:
    """Yield the items of a text with one JSON object on each line; a line that is no JSON is an item refused."""
    yield from _items(path.name, _parsed_lines(path, encoding))


def _parsed_lines(path: Path, encoding: str) -> Iterator[tuple[int, Any]]:
    with path.open(encoding=encoding, errors="replace") as file:
        row = 0
        while line := file.readline(MAX_LINE):
            row += 1
            if len(line) == MAX_LINE:
                raise FeedError(f"{path.name} has a line longer than {MAX_LINE:,} characters, expected one product")
            if not line.strip():
                continue
            try:
                yield row, json.loads(line)
            except (ValueError, RecursionError) as error:
                yield row, error


def _items(name: str, entries: Iterator[tuple[int, Any]] | enumerate[Any]) -> Iterator[Item]:
    """Yield one item for each entry, and raise FeedError at the end if no entry had a required key."""
    seen: dict[str, None] = {}
    shopify = False
    for row, entry in entries:
        if not isinstance(entry, dict):
            broken = f"is not JSON: {entry}" if isinstance(entry, Exception) else f"is {_kind(entry)}"
            yield Item(row, refusal=f"{broken}; expected an object with id, title and image_link")
            continue
        keyed = {column(str(key)): value for key, value in entry.items()}
        if len(seen) < MAX_COLUMNS:
            seen.update(dict.fromkeys(keyed))
        if "image_link" not in keyed and _SHOPIFY_KEYS.intersection(keyed):
            shopify = True
            yield _shopify_item(row, keyed)
        else:
            yield _json_item(row, keyed)
    if seen and not shopify:
        require_columns(name, seen)


def _json_item(row: int, keyed: Mapping[str, Any]) -> Item:
    pairs: list[tuple[str, str]] = []
    refusal = ""
    for name, value in keyed.items():
        if name not in KNOWN:
            continue
        values = value if isinstance(value, list) else [value]
        if any(isinstance(each, (dict, list)) for each in values):
            refusal = refusal or f"its {name} is nested, expected a text or a list of texts"
            continue
        pairs += [(name, _scalar(each)) for each in values]
    item = item_from_pairs(row, pairs)
    return Item(row, item.texts, item.images, refusal)


def _shopify_item(row: int, keyed: Mapping[str, Any]) -> Item:
    """Return the item of one product of Shopify's JSON; its id is the numeric one, or else the handle."""
    images = [image for image in _sequence(keyed.get("images")) if isinstance(image, dict)]
    images.sort(key=lambda image: image["position"] if isinstance(image.get("position"), int) else 1 << 30)
    addresses = [_scalar(image.get("src")) for image in images]
    addresses += [image for image in _sequence(keyed.get("images")) if isinstance(image, str)]
    main = keyed.get("image")
    addresses.append(_scalar(main.get("src") if isinstance(main, dict) else main))
    variants = [variant for variant in _sequence(keyed.get("variants")) if isinstance(variant, dict)]
    status = _scalar(keyed.get("status")).casefold()
    texts = {
        "id": _scalar(keyed.get("id")) or _scalar(keyed.get("handle")),
        "title": _scalar(keyed.get("title")),
        "description": _scalar(keyed.get("body_html")) or _scalar(keyed.get("description")),
        "category": _scalar(keyed.get("product_type")),
        "brand": _scalar(keyed.get("vendor")),
        "price": next((price for variant in variants if (price := _scalar(variant.get("price")))), ""),
    }
    refusal = f"its status is {status}, only active products are used" if status in ("draft", "archived") else ""
    return Item(row, texts, tuple(dict.fromkeys(filter(None, addresses))), refusal)


def _sequence(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _scalar(value: Any) -> str:
    return str(value).strip() if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""


def _kind(value: Any) -> str:
    return {list: "a list", str: "a text", bool: "true or false", type(None): "null"}.get(type(value), "a number")


# ---- XML ---------------------------------------------------------------------------------------------------------


def read_xml(path: Path) -> Iterator[Item]:
    """Yield the items of a Google Merchant feed: RSS with `item`, or Atom with `entry` elements.

    Raises FeedError for XML that is not well-formed, declares entities, is nested too deep or holds no items.
    """
    seen: dict[str, None] = {}
    row = 0
    try:
        for row, element in enumerate(_item_elements(path), 1):
            pairs = _element_pairs(element)
            if len(seen) < MAX_COLUMNS:
                seen.update(dict.fromkeys(name for name, _ in pairs))
            yield item_from_pairs(row, pairs)
    except DefusedXmlException:
        raise FeedError(f"{path.name} declares XML entities, which a feed must not; write the characters") from None
    except (ParseError, LookupError, ValueError) as error:
        raise FeedError(f"{path.name} is not well-formed XML: {error}; expected an RSS or Atom product feed") from None
    if row == 0:
        raise FeedError(f"{path.name} is XML without <item> or <entry>, expected a Google Merchant RSS or Atom feed")
    require_columns(path.name, seen)


class _BoundedFile:
    """A file that refuses to go on for more than `MAX_ITEM_BYTES` without a complete item."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self.pending_bytes = 0

    def read(self, size: int) -> bytes:
        chunk = self._file.read(size)
        self.pending_bytes += len(chunk)
        if self.pending_bytes > MAX_ITEM_BYTES:
            raise FeedError(f"{self._name} has over {MAX_ITEM_BYTES:,} bytes without a complete <item> or <entry>")
        return chunk


def _item_elements(path: Path) -> Iterator[Element]:
    """Yield every item once it is complete, and forget it then; items inside an item are part of it."""
    open_elements: list[Element] = []
    item: Element | None = None
    with path.open("rb") as file:
        source = _BoundedFile(file, path.name)
        for event, element in iterparse(source, events=("start", "end")):
            if event == "start":
                open_elements.append(element)
                if len(open_elements) > MAX_DEPTH:
                    raise FeedError(f"{path.name} is XML nested deeper than {MAX_DEPTH}, expected a product feed")
                if item is None and _local(element) in ("item", "entry"):
                    item = element
                continue
            open_elements.pop()
            if item is not None and element is item:
                yield element
                item, source.pending_bytes = None, 0
            if item is None and open_elements:
                open_elements[-1].clear()


def _element_pairs(element: Element) -> list[tuple[str, str]]:
    """Return (column, text) of an item's children, Merchant's own before those of RSS and Atom with the same name."""
    children = sorted(element, key=lambda child: not str(child.tag).startswith(f"{{{_MERCHANT}}}"))
    pairs = []
    for child in children:
        name = column(_local(child))
        text = child.text or child.get("href") or ""
        # Texts in CDATA often keep their entities. In an address only &amp; is one: `&copy=1` is a parameter.
        pairs.append((name, text.replace("&amp;", "&") if name in _ADDRESSES else html.unescape(text)))
    return pairs


def _local(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


# ---- a folder ----------------------------------------------------------------------------------------------------


def read_folder(folder: Path) -> Iterator[Item]:
    """Yield one item for each picture of a folder, and one for each subfolder with its pictures, by name.

    The id is the name without ending; the title is the id with - and _ as spaces.
    """
    entries = sorted((entry for entry in folder.iterdir() if not entry.name.startswith(".")), key=_natural)
    has_pictures = any(_is_picture(entry) for entry in entries)
    feeds = [entry.name for entry in entries if entry.suffix.lower() in FEED_ENDINGS and entry.is_file()]
    if feeds and not has_pictures:
        raise FeedError(f"{folder.name} is a folder with the file {feeds[0]}; give the path of that file as the feed")
    row = 0
    for entry in entries:
        images: tuple[str, ...] = ()
        if _is_picture(entry):
            images = (entry.name,)
        elif entry.is_dir():
            inside = sorted((each for each in entry.iterdir() if _is_picture(each)), key=_natural)
            images = tuple(f"{entry.name}/{each.name}" for each in inside)
        if not images:
            continue
        row += 1
        product_id = entry.name if entry.is_dir() else entry.stem
        yield Item(row, {"id": product_id, "title": re.sub(r"[-_\s]+", " ", product_id)}, images)
    if row == 0:
        raise FeedError(f"the folder {folder.name} holds no pictures, expected {', '.join(sorted(PICTURE_ENDINGS))}")


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_ENDINGS and not path.name.startswith(".") and path.is_file()


def _natural(path: Path) -> list[tuple[int, str]]:
    """Order 2.jpg before 10.jpg."""
    parts = re.split(r"([0-9]+)", path.name.casefold())
    return [(int(part[:18]), "") if part.isdecimal() else (0, part) for part in parts] + [(0, path.name)]
