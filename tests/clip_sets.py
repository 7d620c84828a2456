"""Small sets of clips of drawn garments, with pixels, in the layouts of LPR4M, MovingFashion and composed clips.

Each writer says besides what a clip shows, where it searches and what is right, so that nobody has to ask a reader.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from clips import Image, VideoSpec, write_video
from drawn_garments import consumer_photo, draw_garment, shop_photo
from lpr4m_fixture import full_row, write_rows

PRODUCTS, LIVES = 6, 2
"""Products of a live, and lives of a split; MovingFashion has as many products in all."""

NOUNS = ("shirt", "skirt", "dress", "coat", "scarf", "hat")
COLOURS = ("red", "blue", "green", "black")


@dataclass(frozen=True)
class Asked:
    """A clip of the test split.

    frames: all that can be read, RGB. right: every true image. gallery: what is searched. subset: name and value.
    """

    clip_id: str
    frames: Sequence[Image]
    speech: str
    right: tuple[str, ...]
    gallery: tuple[str, ...]
    subset: tuple[str, str]


@dataclass(frozen=True)
class ClipSet:
    """What was written. shown: picture, None where it is not there, and title of each shop image of the test split."""

    asked: Sequence[Asked]
    shown: Mapping[str, tuple[Image | None, str]]


# ---- what they show --------------------------------------------------------------------------------------------------


def title_of(product: int) -> str:
    return f"{COLOURS[product % 4]} {NOUNS[product % 6]} number {product}"


def speech_of(product: int) -> str:
    return f"hello everybody look at this {title_of(product)} it is cheap" if product % 3 else "and now for the weather"


def write_shop(path: Path, product: int) -> Image:
    """Write the shop picture of a product, and return it as it is read again."""
    return _written(path, shop_photo(draw_garment(product), np.random.default_rng([1, product]))[0])


def write_frames(paths: Sequence[Path], product: int) -> list[Image]:
    rng = np.random.default_rng([2, product])
    return [_written(path, consumer_photo(draw_garment(product), rng)[0]) for path in paths]


def _written(path: Path, pixels: Image) -> Image:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels[..., ::-1])
    return np.asarray(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), np.uint8)  # type: ignore[arg-type]


# ---- LPR4M -----------------------------------------------------------------------------------------------------------


def write_lpr4m(root: Path) -> ClipSet:
    """Write rows of eleven columns, and test files with a clip and a shop image that lack their pictures."""
    rows = []
    for live in range(LIVES):
        for product in range(live * PRODUCTS, (live + 1) * PRODUCTS):
            clip_id, image_id = f"{_uuid(live)}-{1000 * product}-{1000 * product + 9000}", _uuid(100 + product)
            frames = [f"{clip_id}-{number:04d}" for number in range(5)]
            write_frames([root / "training_video" / clip_id / f"{frame}.jpg" for frame in frames], product)
            write_shop(root / "training_image" / f"{image_id}.jpg", product)
            rows.append(full_row(clip_id, image_id, frames=frames, title=title_of(product), speech=speech_of(product)))
    write_rows(root / "annotations" / "training_videoinfo_full_part_00.txt", rows)
    return _write_lpr4m_test(root)


def _write_lpr4m_test(root: Path) -> ClipSet:
    asked: list[Asked] = []
    shown: dict[str, tuple[Image | None, str]] = {}
    scales = ("small", "large")
    for live in range(LIVES):
        products = [1000 + live * PRODUCTS + number for number in range(PRODUCTS)]
        main = {product: f"{_uuid(product)}-0" for product in products}
        for place, product in enumerate(products):
            path = root / "gallery" / _uuid(50 + live) / f"{main[product]}.jpg"
            shown[main[product]] = (None if place == 5 else write_shop(path, product), title_of(product))
            clip_id = f"{_uuid(50 + live)}-{1000 * product}-{1000 * product + 36000}"
            paths = [root / "query" / clip_id / f"{clip_id}-{number:04d}.jpg" for number in range(13)]
            frames = [] if place == 4 else write_frames(paths, product)
            subset = ("scale", scales[place % 2])
            asked.append(Asked(clip_id, frames, speech_of(product), (main[product],), tuple(main.values()), subset))
    documents: dict[str, object] = {
        "test_videoid_to_gtimage_12.json": {each.clip_id: [each.right[0].removesuffix("-0")] for each in asked},
        "test_liveid_to_gallery_2.json": {
            _uuid(50 + live): [f"{image[:-2]}-{n}" for image in asked[live * PRODUCTS].gallery for n in (1, 0)]
            for live in range(LIVES)
        },
        "segid_to_scale.json": {each.clip_id: each.subset[1] for each in asked},
    }
    for name, document in documents.items():
        (root / "annotations" / name).write_text(json.dumps(document), encoding="utf-8")
    speech = "".join(f"{each.clip_id}\t{each.speech}\n" for each in asked)
    titles = "".join(f"{image}\t{title}\n" for image, (_, title) in shown.items())
    (root / "annotations" / "test_videoid_asr_12.txt").write_text(speech, encoding="utf-8")
    (root / "annotations" / "test_image_title_12.txt").write_text(titles, encoding="utf-8")
    return ClipSet(asked, shown)


def _uuid(number: int) -> str:
    return f"{number:08d}-2c63-11ee-bb6d-b8cef60c2fd0"


# ---- MovingFashion ---------------------------------------------------------------------------------------------------


def write_movingfashion(root: Path) -> ClipSet:
    """Write videos of three seconds; one of test is of two products, and one is missing."""
    asked: dict[str, Asked] = {}
    shown: dict[str, tuple[Image | None, str]] = {}
    for split, first in (("train", 0), ("test", 1000)):
        products: dict[str, dict[str, object]] = {}
        for product in range(first, first + PRODUCTS * LIVES):
            image, video = f"imgs/{product}.jpg", f"videos/{product - (product == 1001)}.mp4"
            picture = write_shop(root / image, product)
            products[str(product)] = {"video_paths": [video], "img_path": image, "source": product % 2}
            frames = [] if product in (1001, 1002) else _write_video(root / video, product)
            if split == "test":
                shown[image] = picture, ""
                known = asked.get(video)
                right = (image,) if known is None else (*known.right, image)
                subset = ("source", ("hard", "regular")[product % 2])
                asked[video] = Asked(video, frames if known is None else known.frames, "", right, (), subset)
        (root / f"{split}.json").write_text(json.dumps(products), encoding="utf-8")
    every = tuple(shown)
    return ClipSet([Asked(a.clip_id, a.frames, "", a.right, every, a.subset) for a in asked.values()], shown)


def _write_video(path: Path, product: int) -> list[Image]:
    """Write a video at five frames a second, and return the frames at its full seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([3, product])
    pictures = [consumer_photo(draw_garment(product), rng)[0] for _ in range(3)]
    with av.open(str(path), "w") as container:
        write_video(container, VideoSpec([n / 5 for n in range(15)], lambda n: pictures[n // 5], rate_hz=5))
    with av.open(str(path)) as container:
        decoded = [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)]
    return decoded[::5]


# ---- composed clips --------------------------------------------------------------------------------------------------


def write_composed(root: Path) -> ClipSet:
    """Write clips of five frames; a third of the products is not spoken of."""
    images: list[dict[str, object]] = []
    lives: list[dict[str, object]] = []
    clips: dict[str, list[dict[str, object]]] = {"train": [], "test": []}
    asked: list[Asked] = []
    shown: dict[str, tuple[Image | None, str]] = {}
    for number in range(2 * LIVES):
        split, live_id = ("train", "test")[number // LIVES], f"live {number}"
        products = range(number * PRODUCTS, (number + 1) * PRODUCTS)
        gallery = tuple(f"image-{product}" for product in products)
        lives.append({"live_id": live_id, "image_ids": gallery})
        for product, image_id in zip(products, gallery, strict=True):
            shop, names = f"images/{product}.png", [f"{split}/{product}/{frame}.png" for frame in range(5)]
            about = {"image_id": image_id, "product_id": f"product-{product}", "title": title_of(product)}
            spoken = "yes" if product % 3 else "no"
            picture, frames = write_shop(root / shop, product), write_frames([root / name for name in names], product)
            images.append({**about, "path": shop})
            clips[split].append(
                {
                    **about,
                    "clip_id": f"clip-{product}",
                    "live_id": live_id,
                    "speech": speech_of(product),
                    "image_path": shop,
                    "frames": names,
                    "boxes": [None] * len(names),
                    "subsets": {"spoken_of": spoken},
                }
            )
            if split == "test":
                shown[image_id] = picture, title_of(product)
                subset = ("spoken_of", spoken)
                asked.append(Asked(f"clip-{product}", frames, speech_of(product), (image_id,), gallery, subset))
    (root / "composed-clips.json").write_text(json.dumps({"schema": "shopcue.composed-clips/1"}))
    for name, rows in {"images": images, "lives": lives, **clips}.items():
        (root / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return ClipSet(asked, shown)


WRITERS: dict[str, Callable[[Path], ClipSet]] = {
    "lpr4m": write_lpr4m,
    "movingfashion": write_movingfashion,
    "composed-clips": write_composed,
}
"""What `shopcue eval` calls a set -> its writer."""
