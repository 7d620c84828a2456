"""The drawn shop: a feed and a clean picture of each product."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Picture

from shopcue.errors import FeedError, OutputError
from shopcue.records import Floats, Image
from shopcue.sources.synthetic.designs import DESIGNS, Design, choose
from shopcue.sources.synthetic.packages import build, render, tall
from shopcue.sources.synthetic.solids import Loft

_COLUMNS = ("id", "title", "category", "price", "link", "image_link", "description", "brand")
_PACKSHOT_PX = 800
_WIDEST = 0.88
_PITCH = 0.18
_FEED_LIMIT_BYTES = 1 << 20


def make_shop(folder: Path, count: int = 12, seed: int = 0, progress: Callable[[float], None] | None = None) -> Path:
    """Draw a shop into `folder` and return its feed, catalog.csv, which names the pictures in images/.

    progress: called with the share that is done, up to 1. Raises SettingsError, OutputError.
    """
    sold, _ = choose(count, seed)
    try:
        (folder / "images").mkdir(parents=True, exist_ok=True)
        for i, design in enumerate(sold):
            _save_picture(folder / "images" / f"{design.product_id}.jpg", packshot(design))
            if progress:
                progress((i + 1) / len(sold))
        feed = folder / "catalog.csv"
        write_text(feed, _feed_text(sold))
    except OSError as error:
        raise OutputError(f"the shop cannot be written to {folder}: {error}; give a folder that is writable") from error
    return feed


def packshot(design: Design, side_px: int = _PACKSHOT_PX) -> Image:
    """Return the package on white with a soft shadow, RGB (side_px, side_px, 3)."""
    solid = build(design)
    # boxes show a side, as shops have it; the label of a round thing faces the viewer
    yaw = 0.0 if isinstance(solid, Loft) else -0.3
    rough = _cut_out(render(solid, 200, yaw, _PITCH))
    tallest = side_px * (0.62 + 0.22 * min(tall(design), 1))
    grow = min(tallest / rough.shape[0], _WIDEST * side_px / rough.shape[1])
    cut = _cut_out(render(solid, round(200 * grow), yaw, _PITCH, oversample=2))
    sheet = np.full((side_px, side_px, 3), 255, np.float32)
    y, x = (side_px - cut.shape[0]) // 2, (side_px - cut.shape[1]) // 2
    cover = np.zeros((side_px, side_px), np.float32)
    cover[y : y + cut.shape[0], x : x + cut.shape[1]] = cut[..., 3] / 255
    sheet *= 1 - _floor_shadow(cover)[..., None]
    part = sheet[y : y + cut.shape[0], x : x + cut.shape[1]]
    part += (cut[..., :3] - part) * (cut[..., 3:] / 255.0)
    return np.clip(sheet, 0, 255).astype(np.uint8)


def _cut_out(picture: Image) -> Image:
    x, y, wide, high = cv2.boundingRect(picture[..., 3])
    return picture[y : y + high, x : x + wide]


def read_designs(feed: Path) -> tuple[Design, ...]:
    """Return the designs that a feed of `make_shop` sells, in its order. Raises FeedError."""
    known = {design.product_id: design for design in DESIGNS}
    try:
        with feed.open(encoding="utf-8", newline="") as lines:
            text = lines.read(_FEED_LIMIT_BYTES)
        ids = [row.get("id") or "" for row in csv.DictReader(io.StringIO(text))]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FeedError(f"{feed} cannot be read: {error}; give the catalog.csv that make_shop wrote") from error
    strange = [product_id for product_id in ids if product_id not in known]
    if strange or not ids:
        came = f"lists {strange[0]!r}" if strange else "lists no product"
        raise FeedError(
            f"{feed} {came}; a drawn stream can only show the products of a drawn shop: use make_shop's feed"
        )
    return tuple(known[product_id] for product_id in dict.fromkeys(ids))


def write_text(path: Path, text: str) -> None:
    """Write a file under a temporary name and rename it."""
    draft = path.with_name(f".{path.name}.part")
    draft.write_text(text, encoding="utf-8", newline="")
    draft.replace(path)


def _floor_shadow(cover: Floats) -> Floats:
    """Return how dark the ground is: the foot of the package, pressed flat and blurred."""
    side = cover.shape[0]
    rows = np.flatnonzero(cover.max(1) > 0.5)
    foot = int(rows[-1])
    squeeze = np.array([[1, 0, 0.02 * side], [0, 0.1, foot - 0.012 * side - 0.1 * foot]], np.float32)
    flat = cv2.warpAffine(cover, squeeze, (side, side))
    wide, near = cv2.GaussianBlur(flat, (0, 0), side / 30), cv2.GaussianBlur(flat, (0, 0), side / 80)
    return np.asarray(0.3 * wide + 0.3 * near, np.float32)


def _feed_text(sold: tuple[Design, ...]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for design in sold:
        link, image = f"https://shop.example/{design.product_id}", f"images/{design.product_id}.jpg"
        row = (
            design.product_id,
            design.title,
            design.category,
            design.price,
            link,
            image,
            design.description,
            design.brand,
        )
        writer.writerow(row)
    return text.getvalue()


def _save_picture(path: Path, picture: Image) -> None:
    draft = path.with_name(f".{path.name}.part")
    Picture.fromarray(picture).save(draft, format="JPEG", quality=92)
    draft.replace(path)
