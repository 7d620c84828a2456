"""GroceryStoreDataset (Klasson, Zhang, Kjellstrom, WACV 2019; MIT): photos taken in shops, one clean picture a class.

    grocery/
      classes.csv                      name, id, coarse name, coarse id, iconic picture, description
      {train,val,test}.txt             "path, fine id, coarse id" a line, the path from this folder
      {train,val,test}/<Kind>/.../*.jpg
      iconic-images-and-descriptions/  one shop picture and one text a class

81 classes. Only the packaged goods (Juice, Milk, Yoghurt, ...) are products: photo and picture show the same article.
A class of fruit or vegetables is a variety, not an article. The published subset here holds no photos for some classes.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shopcue.errors import MediaError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class GroceryClass:
    """A class: its id, name, coarse name, shop picture, and whether it is one packaged article."""

    class_id: int
    name: str
    coarse_name: str
    picture: Path
    packaged: bool


@dataclass(frozen=True, slots=True)
class GroceryPhoto:
    """A photo taken in a shop: which class it shows, where it lies, which published split it is of."""

    class_id: int
    path: Path
    split: str


def read_classes(root: Path) -> list[GroceryClass]:
    """Return the classes of `classes.csv` in its order; raises MediaError where it is missing or damaged."""
    table = root / "classes.csv"
    try:
        with table.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))[1:]
        return [
            GroceryClass(int(row[1]), row[0], row[2], root / row[4].lstrip("/"), "/Packages/" in row[4]) for row in rows
        ]
    except (OSError, IndexError, ValueError) as error:
        raise MediaError(
            f"{table} is no class table of GroceryStoreDataset ({error}); give the folder with it"
        ) from error


def read_photos(root: Path, splits: tuple[str, ...] = SPLITS) -> Iterator[GroceryPhoto]:
    """Yield the photos that the lists of `splits` name and that lie on disk, in the lists' order."""
    for split in splits:
        for line in (root / f"{split}.txt").read_text(encoding="utf-8").splitlines():
            if not line.strip():
                continue
            # The class is the last but one: a path may hold a comma.
            name, class_id, _ = (part.strip() for part in line.rsplit(",", 2))
            path = root / name
            if path.is_file():
                yield GroceryPhoto(int(class_id), path, split)
