"""clothing-dataset-small (Grigorev, 2020, CC0): 3,781 photos of garments in ten classes, one photo a garment, no pairs.

clothing/
  {train,validation,test}/<class>/*.jpg      dress hat longsleeve outwear pants shirt shoes shorts skirt t-shirt

A garment has one photo, so two views of it must be made by the training (`shopcue.data.views`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shopcue.errors import MediaError

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Garment:
    """A garment: its id (the file's stem), its class, and its only photo."""

    garment_id: str
    kind: str
    path: Path


def read_garments(root: Path, split: str) -> Iterator[Garment]:
    """Yield the garments of one split, sorted by path; raises MediaError where the split is not there."""
    folder = root / split
    if split not in SPLITS or not folder.is_dir():
        raise MediaError(f"{folder} is no split of clothing-dataset-small; expected one of {', '.join(SPLITS)} in it")
    for path in sorted(folder.glob("*/*.jpg")):
        yield Garment(path.stem, path.parent.name, path)
