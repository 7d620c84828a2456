"""DeepFashion consumer-to-shop (Liu, Luo, Qiu, Wang, Tang, CVPR 2016; non-commercial research only).

    <root>/
      Anno/list_bbox_consumer2shop.txt   count, header, then: image, clothes type (1 upper, 2 lower, 3 full),
                                         source (1 shop, 2 consumer), x1 y1 x2 y2
      Anno/list_item_consumer2shop.txt   count, header or none, then an item id a line; also seen as list_items_...
      Eval/list_eval_partition.txt       count, header, then: consumer image, shop image, item id, split
      img/<TYPE>/<Kind>/id_<8 digits>/   shop_01.jpg ..., comsumer_01.jpg ... (so spelt); or Img/img/...

239,557 images of 33,881 items: 195,540 lines of the partition, a consumer image each, and 44,017 shop images, which
many lines share. Splits train, val, test. Queries and gallery of val + test: 95,961 and 22,669; of test alone: 47,434
and 11,312. The counts at the head of the files cannot be trusted, and columns are parted by any run of spaces.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from shopcue.errors import MediaError

SPLITS = ("train", "val", "test")
CLOTHES = ("upper", "lower", "full")
SOURCES = ("shop", "consumer")

PARTITION = "Eval/list_eval_partition.txt"
BOXES = "Anno/list_bbox_consumer2shop.txt"
ITEMS = ("Anno/list_item_consumer2shop.txt", "Anno/list_items_consumer2shop.txt")

_LONGEST_LINE = 4096  # characters; what is longer is no list, and is not read into memory

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class ClothesPhoto:
    """A photo of an item: its path as the lists name it, its item, and which source it is of, if `SOURCES` says so.

    box: xyxy pixels of the picture, None where the lists give none. clothes: one of `CLOTHES`, '' where unknown.
    """

    image: str
    item_id: str
    source: str
    box: Box | None = None
    clothes: str = ""


@dataclass(frozen=True, slots=True)
class ConsumerToShop:
    """The photos of some splits, each once, in the order of the partition: consumers ask, shops answer."""

    queries: tuple[ClothesPhoto, ...]
    gallery: tuple[ClothesPhoto, ...]


def read_consumer_to_shop(root: Path, splits: Collection[str] = ("val", "test")) -> ConsumerToShop:
    """Return the photos of `splits`; raises MediaError where a list is missing, damaged or contradicts itself.

    Photos that are not on disk are listed all the same: whoever reads the pixels counts them (`find_image`).
    """
    unknown = sorted(set(splits) - set(SPLITS))
    if unknown:
        raise MediaError(f"DeepFashion consumer-to-shop has no split {unknown[0]!r}; expected {', '.join(SPLITS)}")
    annotations = _read_boxes(root)
    sides: tuple[dict[str, ClothesPhoto], dict[str, ClothesPhoto]] = ({}, {})
    for number, (consumer, shop, item_id, split) in _rows(root / PARTITION, 4):
        if split not in SPLITS:
            raise MediaError(f"{PARTITION}, line {number}: split {split!r}, expected {', '.join(SPLITS)}")
        if split not in splits:
            continue
        for photos, image, source in zip(sides, (consumer, shop), ("consumer", "shop"), strict=True):
            _inside(image, PARTITION, number)
            box, clothes = annotations.get(image, (None, ""))
            known = photos.setdefault(image, ClothesPhoto(image, item_id, source, box, clothes))
            if known.item_id != item_id:
                raise MediaError(
                    f"{PARTITION}, line {number}: {image} is of {item_id} and was of {known.item_id} before; "
                    "expected one item for each image"
                )
    if not sides[0]:
        raise MediaError(f"{root / PARTITION} names no photo of {' + '.join(splits)}; give the published partition")
    return ConsumerToShop(tuple(sides[0].values()), tuple(sides[1].values()))


def read_items(root: Path) -> list[str]:
    """Return all item ids in the order of the list, under either of its names; raises MediaError without one."""
    path = next((root / name for name in ITEMS if (root / name).is_file()), root / ITEMS[0])
    return [item_id for _, (item_id,) in _rows(path, 1, header=False) if item_id != "item_id"]


def find_image(root: Path, image: str) -> Path | None:
    """Return where an image of the lists lies, None where it is missing; the archive unpacks into img/ or Img/img/."""
    return next((path for path in (root / image, root / "Img" / image) if path.is_file()), None)


def image_lines(photos: Sequence[ClothesPhoto]) -> Iterator[str]:
    """Yield a line for each photo that says all about it: what a data set is fingerprinted by."""
    for photo in photos:
        yield f"{photo.image} {photo.item_id} {photo.source} {photo.box}"


def _read_boxes(root: Path) -> dict[str, tuple[Box | None, str]]:
    """Return image -> (box, clothes); a box that is empty or not in order is as good as none."""
    annotations: dict[str, tuple[Box | None, str]] = {}
    for number, (image, clothes, source, *corners) in _rows(root / BOXES, 7):
        try:
            kind = CLOTHES[_index(clothes, CLOTHES)]
            _index(source, SOURCES)  # checked, and not used: which side a photo is on is said by the partition
            x1, y1, x2, y2 = (float(value) for value in corners)
        except ValueError as error:
            raise MediaError(
                f"{BOXES}, line {number}: {error}; expected image, clothes type 1-3, source 1-2 and four numbers"
            ) from error
        proper = 0 <= x1 < x2 < float("inf") and 0 <= y1 < y2 < float("inf")
        annotations[image] = ((x1, y1, x2, y2) if proper else None, kind)
    return annotations


def _rows(path: Path, columns: int, *, header: bool = True) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) of a list with a count, a header if it has one, and so many columns."""
    try:
        with path.open(encoding="utf-8", errors="surrogateescape") as file:
            for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), ""), 1):
                cells = line.split()
                if number <= 1 + header or not cells:
                    continue
                if len(cells) != columns:
                    raise MediaError(f"{path}, line {number}: {len(cells)} columns came, expected {columns}")
                yield number, cells
    except OSError as error:
        raise MediaError(
            f"cannot read {path}: {error.strerror}; give the folder of DeepFashion consumer-to-shop, with Anno and Eval"
        ) from error


def _index(text: str, names: tuple[str, ...]) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= len(names):
        raise ValueError(f"{text!r} is none of 1-{len(names)}")
    return int(text) - 1


def _inside(image: str, path: str, number: int) -> None:
    """Raise where a list's path would leave the data set's folder."""
    parts = PurePosixPath(image)
    if parts.is_absolute() or ".." in parts.parts or "\x00" in image:
        raise MediaError(f"{path}, line {number}: {image!r} leaves the folder; expected a path relative to it")
