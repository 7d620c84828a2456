"""Drawn garments in the layout of DeepFashion consumer-to-shop: what the retrieval tests are trained and judged on.

An item is a cut, two colours and a pattern. Its shop photos show it flat on white; its consumer photos show it turned,
smaller, in another light and before some ground, partly covered.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]

SIDE_PX = 128
CUTS = {
    "T_Shirt": [(20, 25), (45, 15), (83, 15), (108, 25), (120, 60), (98, 66), (95, 115), (33, 115), (30, 66), (8, 60)],
    "Skirt": [(45, 15), (83, 15), (108, 115), (20, 115)],
    "Dress": [(45, 8), (83, 8), (80, 50), (105, 122), (23, 122), (48, 50)],
}
CLOTHES_TYPE = {"T_Shirt": 1, "Skirt": 2, "Dress": 3}


@dataclass(frozen=True)
class Garment:
    """An item as it is, without light or ground: RGB (S, S, 3), its mask, and the name of its cut."""

    pixels: Pixels
    mask: Pixels
    cut: str


def draw_garment(seed: int) -> Garment:
    rng = np.random.default_rng([7, seed])
    cut = list(CUTS)[seed % len(CUTS)]
    one, two = rng.integers(20, 236, (2, 3))
    pixels = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8) + one.astype(np.uint8)
    period, pattern = int(rng.integers(8, 28)), int(rng.integers(4))
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX]
    cells = {
        0: (y // period) % 2 == 1,
        1: (x // period) % 2 == 1,
        2: ((x // period) + (y // period)) % 2 == 1,
        3: np.hypot(x % period - period / 2, y % period - period / 2) < period / 3,
    }[pattern]
    pixels[cells] = two
    mask = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    cv2.fillPoly(mask, [np.array(CUTS[cut], np.int32)], 255)
    return Garment(pixels, mask, cut)


def shop_photo(garment: Garment, rng: np.random.Generator) -> tuple[Pixels, Box]:
    return _painted(garment, np.full((SIDE_PX, SIDE_PX, 3), 255, np.uint8), rng.uniform(0.85, 1), 0, rng)


def consumer_photo(garment: Garment, rng: np.random.Generator) -> tuple[Pixels, Box]:
    ground = cv2.resize(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8), (SIDE_PX, SIDE_PX))
    photo, box = _painted(garment, np.asarray(ground, np.uint8), rng.uniform(0.55, 0.9), rng.uniform(-25, 25), rng)
    photo = np.clip(photo * rng.uniform(0.6, 1.3) + rng.normal(0, 6, photo.shape), 0, 255).astype(np.uint8)
    x, y = rng.integers(0, SIDE_PX, 2)
    cv2.circle(photo, (int(x), int(y)), 16, [int(v) for v in rng.integers(0, 256, 3)], -1)
    return photo, box


def _painted(
    garment: Garment, ground: Pixels, scale: float, degrees: float, rng: np.random.Generator
) -> tuple[Pixels, Box]:
    matrix = np.array(cv2.getRotationMatrix2D((SIDE_PX / 2, SIDE_PX / 2), degrees, scale), np.float64)
    matrix[:, 2] += rng.uniform(-8, 8, 2)
    pixels = cv2.warpAffine(garment.pixels, matrix, (SIDE_PX, SIDE_PX))
    mask = cv2.warpAffine(garment.mask, matrix, (SIDE_PX, SIDE_PX)) > 127
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return np.where(mask[..., None], pixels, ground).astype(np.uint8), box


def write_data_set(root: Path, items: dict[str, int], consumers: int = 3, shops: int = 2) -> None:
    """Write so many items of each split, each with so many photos of either kind, in the true layout.

    Every consumer photo has a line with one of the shop photos, which several lines share; the counts are wrong.
    """
    pairs, boxes, number = [], [], 0
    for split, count in items.items():
        for _ in range(count):
            number += 1
            garment, rng = draw_garment(number), np.random.default_rng([8, number])
            item_id = f"id_{number:08d}"
            folder = f"img/DRAWN/{garment.cut}/{item_id}"
            (root / folder).mkdir(parents=True)
            names = []
            for kind, source, photos in (("shop", 1, shops), ("comsumer", 2, consumers)):
                for index in range(photos):
                    photo, box = (shop_photo if source == 1 else consumer_photo)(garment, rng)
                    name = f"{folder}/{kind}_{index + 1:02d}.jpg"
                    cv2.imwrite(str(root / name), photo[..., ::-1])
                    corners = " ".join(f"{value:03d}" for value in box)
                    boxes.append(f"{name}    {CLOTHES_TYPE[garment.cut]} {source} {corners}")
                    names.append(name)
            for index in range(consumers):
                pairs.append(f"{names[shops + index]}   {names[index % shops]}   {item_id} {split}")
    for path, header, lines in (
        ("Eval/list_eval_partition.txt", "image_pair_name_1 image_pair_name_2 item_id evaluation_status", pairs),
        ("Anno/list_bbox_consumer2shop.txt", "image_name clothes_type source_type x_1 y_1 x_2 y_2", boxes),
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("\n".join(["195540", header, *lines]) + "\n")
