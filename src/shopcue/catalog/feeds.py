"""A shop's product feed -> products: which format it is, which of its items can be used, and why the others cannot.

The format is decided by what a file holds; its ending is only a hint. Feeds come from strangers: files, rows and texts
are bounded, control characters go, XML may declare no entities, and nothing is opened beside the feed itself. Texts
are UTF-8, or UTF-16 with a byte order mark; what is neither is taken for GB 18030 if its bytes come in pairs as those
of Chinese do, and else for Windows-1252, the two in which spreadsheet programs still save.
"""

from __future__ import annotations

import codecs
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shopcue.catalog.documents import PICTURE_ENDINGS, read_folder, read_json, read_json_lines, read_xml
from shopcue.catalog.items import MAX_ROWS, SOURCES, Item
from shopcue.catalog.tables import read_table
from shopcue.errors import FeedError
from shopcue.records import Catalog, Product

MAX_FEED_BYTES = 512 << 20
MAX_IMAGES = 32
MAX_ID = 256
MAX_ADDRESS = 4_096
MAX_REASON = 500
MAX_TEXT = {"title": 1_000, "description": 10_000, "category": 1_000, "price": 100, "brand": 300, "availability": 100}
_HEAD = 64 << 10
_FIRST_LINE = 2_000_000

# Control characters and the halves of surrogate pairs, which no output could encode.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
# Characters that nobody sees: two ids must not differ by them, nor a text be turned around.
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+")
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]+")
_TAG = re.compile(r"</?[a-zA-Z!][^<>]*>")
_HIDDEN_ELEMENT = re.compile(r"</?(script|style)\b", re.IGNORECASE)
_WEB = re.compile(r"https?://", re.IGNORECASE)
_DAMAGED = "\ufffd"
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+://|(?:data|file):", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ItemReport:
    """What became of one item of a feed.

    row: where it stands: as a spreadsheet counts in tables (the header is row 1), the line in JSON lines, else the
    1-based item. status: `ok`, `partial` (used, but something of it was left out) or `refused`. reason: one line,
    empty when ok.
    """

    row: int
    product_id: str
    status: Literal["ok", "partial", "refused"]
    reason: str


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed that was read: its usable products in order, the folder of its paths, and a report line for each item."""

    products: tuple[Product, ...]
    folder: Path
    report: tuple[ItemReport, ...]

    @property
    def catalog(self) -> Catalog:
        """The products as a catalogue."""
        return Catalog(self.products)


def read_feed(path: Path) -> Feed:
    """Return the products of a feed file or of a folder of pictures.

    Reads CSV, TSV, JSON, JSON lines, Google Merchant (TSV, RSS, Atom), Shopify (CSV, JSON) and Vision Product Search
    CSV. Raises FeedError for a feed that is missing, of no known format, without the columns id, title and image_link,
    with an id on two rows, over 512 MB or a million rows, or without one usable product.
    """
    products: list[Product] = []
    report: list[ItemReport] = []
    first_row: dict[str, int] = {}
    try:
        for item in _read_items(path):
            if len(report) >= MAX_ROWS:
                raise FeedError(f"{path.name} has more than {MAX_ROWS:,} rows; split the feed")
            product, line = _judge(item)
            if line.product_id:
                _check_unique(path.name, line, first_row)
            report.append(line)
            if product:
                products.append(product)
    except OSError as error:
        raise FeedError(f"{path} cannot be read: {error.strerror or error}; check the path and its rights") from None
    if not products:
        raise FeedError(f"{path.name} has no usable product: {first_reasons(report) or 'it holds no rows'}")
    report.sort(key=lambda line: line.row)
    return Feed(tuple(products), path if path.is_dir() else path.parent, tuple(report))


def revised(product: Product, texts: Mapping[str, str]) -> Product:
    """Return a product with some of its texts changed, as if its feed had said so.

    texts: by the names of the fields of `Product`, its id and images not among them. Raises FeedError for a text that
    is too long, empty where it must not be, or no address.
    """
    if unknown := sorted(texts.keys() - SOURCES.keys() | texts.keys() & {"id"}):
        raise FeedError(f"a product has no text {shown(', '.join(unknown))}, expected {', '.join(list(SOURCES)[1:])}")
    before = {name: getattr(product, name) for name in SOURCES if name != "id"}
    item = Item(0, {**before, **texts, "id": product.product_id}, product.images)
    changed, line = _judge(item)
    if changed is None or line.reason:
        raise FeedError(f"{shown(product.product_id)} cannot be changed so: {line.reason}; give another text")
    return changed


def first_reasons(report: Iterable[ItemReport], count: int = 3) -> str:
    """Return the reasons of the first refused items as one line, empty if none was refused."""
    refused = [line for line in report if line.status == "refused"]
    named = [
        f"row {line.row} {shown(line.product_id) + ' ' if line.product_id else ''}{line.reason}" for line in refused
    ]
    rest = f"; and {len(named) - count} more" if len(named) > count else ""
    return "; ".join(named[:count]) + rest


def shown(text: str, length: int = 120) -> str:
    """Return a stranger's text as a message may show it: one line, printable, cut."""
    clean = _CONTROL.sub("?", text)
    return clean if len(clean) <= length else clean[: length - 3] + "..."


def _check_unique(name: str, line: ItemReport, first_row: dict[str, int]) -> None:
    if line.product_id in first_row:
        raise FeedError(
            f"{name} has the id {shown(line.product_id)!r} in row {first_row[line.product_id]} and in row {line.row}, "
            "expected every id once; give each product its own id"
        )
    first_row[line.product_id] = line.row


# ---- which format ------------------------------------------------------------------------------------------------


def _read_items(path: Path) -> Iterator[Item]:
    if path.is_dir():
        return read_folder(path)
    if not path.exists():
        raise FeedError(f"{path} does not exist, expected a product feed or a folder of pictures; check the path")
    if not path.is_file():
        raise FeedError(f"{path} is not a regular file, expected a product feed or a folder of pictures")
    size = path.stat().st_size
    if size > MAX_FEED_BYTES:
        raise FeedError(f"{path.name} has {size:,} bytes, at most {MAX_FEED_BYTES:,} are read; split the feed")
    with path.open("rb") as file:
        head = file.read(_HEAD)
    _check_text(path.name, head)
    encoding = _encoding(path, head)
    start = head.decode(encoding, errors="replace").lstrip("\ufeff \t\r\n")
    if start.startswith("<"):
        _check_not_page(path.name, start)
        return read_xml(path)
    if start.startswith("[") or (start.startswith("{") and not _is_json_lines(path, encoding)):
        return read_json(path, encoding)
    return read_json_lines(path, encoding) if start.startswith("{") else read_table(path, encoding)


def _check_text(name: str, head: bytes) -> None:
    """Raise FeedError for the binary files that people take for feeds."""
    if not head.strip():
        raise FeedError(f"{name} is empty, expected a product feed with id, title and image_link")
    if head.startswith(b"PK\x03\x04"):
        raise FeedError(f"{name} is a spreadsheet or a zip archive; save the table as CSV (UTF-8), or unpack it")
    if head.startswith(b"\x1f\x8b"):
        raise FeedError(f"{name} is compressed by gzip; unpack it first")
    if Path(name).suffix.lower() in PICTURE_ENDINGS:
        raise FeedError(f"{name} is a picture, expected a product feed; give the folder of the pictures instead")
    if b"\x00" in head and not head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise FeedError(f"{name} is a binary file, expected a text; save the feed as UTF-8")


def _check_not_page(name: str, start: str) -> None:
    if re.match(r"(?:<!doctype\s+html|<html)\b", start, re.IGNORECASE):
        raise FeedError(f"{name} is a web page, expected a product feed; download the feed itself")


def _is_json_lines(path: Path, encoding: str) -> bool:
    """Tell whether the first line is an object by itself and no wrapper around a list of products."""
    with path.open(encoding=encoding, errors="replace") as file:
        lines = iter(lambda: file.readline(_FIRST_LINE), "")
        line = next((line for line in lines if line.strip("\ufeff \t\r\n")), "")
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return path.suffix.lower() in (".jsonl", ".ndjson")
    return not any(isinstance(entry.get(key), list) for key in ("products", "items"))


def _encoding(path: Path, head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        try:
            while chunk := file.read(1 << 20):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return _legacy_encoding(chunk)
    return "utf-8-sig"


def _legacy_encoding(chunk: bytes) -> str:
    """Return the likeliest encoding of bytes that are not all UTF-8."""
    text = chunk.decode("utf-8", errors="replace")
    if sum(char > "\x7f" for char in text) > 2 * text.count(_DAMAGED):
        return "utf-8-sig"  # some damaged characters, often texts that were cut in the middle of one
    # The characters of Chinese are two high bytes each; accented letters stand alone among plain ones.
    runs = [len(run) for run in re.findall(rb"[\x80-\xff]+", chunk)]
    even = sum(length % 2 == 0 for length in runs)
    return "gb18030" if even > 0.75 * len(runs) else "cp1252"


# ---- which items -------------------------------------------------------------------------------------------------


def _judge(item: Item) -> tuple[Product | None, ItemReport]:
    """Return the product of an item, or None, and the line that says why."""
    product_id = _clean_id(item.texts.get("id", ""))
    notes: list[str] = []
    texts = {name: _clean_text(name, item.texts.get(name, ""), notes) for name in MAX_TEXT}
    if any(_DAMAGED in text for text in texts.values()):
        notes.append("some of its bytes are not text in the feed's encoding and were replaced; save the feed as UTF-8")
    images = _usable_images(item.images, notes)
    if refusal := item.refusal or _refusal(product_id, texts["title"], images, notes):
        return None, ItemReport(item.row, product_id[:MAX_ID], "refused", shown(refusal, MAX_REASON))
    if len(images) > MAX_IMAGES:
        notes.append(f"has {len(images)} pictures, the first {MAX_IMAGES} are used")
    link = item.texts.get("link", "").strip()
    if link and not _is_web_link(link):
        notes.append("its link is no http(s) address and was left out")
        link = ""
    product = Product(product_id=product_id, images=tuple(images[:MAX_IMAGES]), link=link, **texts)
    return product, ItemReport(item.row, product_id, "partial" if notes else "ok", shown("; ".join(notes), MAX_REASON))


def _usable_images(raw_images: Iterable[str], notes: list[str]) -> list[str]:
    """Return the addresses and paths that could lead to a picture, with a note on each other one."""
    images = []
    for image in filter(None, (raw.strip() for raw in raw_images)):
        if len(image) > MAX_ADDRESS:
            notes.append(f"a picture's address has {len(image):,} characters, at most {MAX_ADDRESS:,} are read")
        elif _CONTROL.search(image) or _DAMAGED in image:
            notes.append(f"the picture {shown(image)!r} has characters that no address may hold")
        elif image.lower().startswith("gs://"):
            notes.append(f"the picture {shown(image)!r} is in a bucket; give its https address or a copy by the feed")
        elif _SCHEME.match(image) and not _WEB.match(image):
            notes.append(f"the picture {shown(image)!r} is neither http(s) nor a path relative to the feed")
        else:
            images.append(image)
    return images


def _refusal(product_id: str, title: str, images: list[str], notes: list[str]) -> str:
    if not product_id:
        return "has no id"
    if _DAMAGED in product_id:
        return "has an id with bytes that are not text in the feed's encoding; save the feed as UTF-8"
    if len(product_id) > MAX_ID:
        return f"has an id of {len(product_id):,} characters, at most {MAX_ID} are read"
    if not title:
        return "has no title"
    if images:
        return ""
    return next((note for note in notes if "picture" in note), "has no image_link")


def _clean_id(text: str) -> str:
    return _CONTROL.sub("", _INVISIBLE.sub("", text)).strip()


def _clean_text(name: str, text: str, notes: list[str]) -> str:
    """Return a text as one line without mark-up and control characters, cut to its limit with a note."""
    limit = MAX_TEXT[name]
    text = text[: 4 * limit]  # before the patterns, whose time grows with the text
    if name == "description" and _TAG.search(text):
        text = _without_tags(text)
    text = " ".join(_CONTROL.sub(" ", _BIDI.sub("", text)).split())
    if len(text) > limit:
        notes.append(f"its {name} was cut to {limit:,} characters")
    return text[:limit]


def _without_tags(text: str) -> str:
    """Return what a browser would show of an HTML text, in time linear in its length."""
    pieces: list[str] = []
    hidden, end = "", 0  # the element whose content nobody sees, and where the last tag ended
    for tag in _TAG.finditer(text):
        pieces.append(" " if hidden else text[end : tag.start()])
        end = tag.end()
        if found := _HIDDEN_ELEMENT.match(tag.group()):
            name = found.group(1).casefold()
            if not hidden and not tag.group().startswith("</"):
                hidden = name
            elif hidden == name and tag.group().startswith("</"):
                hidden = ""
    pieces.append("" if hidden else text[end:])
    return html.unescape(" ".join(pieces))


def _is_web_link(link: str) -> bool:
    # A report makes it clickable: no other scheme may pass, and no character that needs escaping.
    return bool(re.fullmatch(r"https?://[^\s\"'<>\\\x00-\x20\x7f]{1,4000}", link, re.IGNORECASE))
