"""The protocols of DeepFashion: photos of consumers against photos of shops.

A query has one label, an item or a garment, and a row of the gallery answers to any number of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from shopcue.catalog.pictures import read_picture
from shopcue.data.deepfashion import ClothesPhoto, find_image, read_consumer_to_shop
from shopcue.data.deepfashion2 import UNKNOWN, StreetGarment, StreetPicture, instance_classes, read_deepfashion2
from shopcue.errors import MediaError, ScoreError
from shopcue.geometry import crop
from shopcue.metrics.retrieval import Answers, assign_detections, label_detections
from shopcue.models.detector import Detector
from shopcue.models.image import ImageEncoder
from shopcue.protocols.reports import RetrievalReport
from shopcue.protocols.tasks import Pool, Task, judge
from shopcue.protocols.vectors import Side, VectorFiles
from shopcue.records import Detections, Floats, Frame, Image, Indices

Update = Callable[[str, float, float], None]
Note = Callable[[str], None]
Encoder = ImageEncoder | VectorFiles

C2S_RANKS = (1, 20, 50)
DEEPFASHION2_RANKS = (1, 5, 10, 15, 20)
_CHUNK = 256  # pictures that are in memory at a time


@dataclass(frozen=True, slots=True)
class Entry:
    """A query or a row of a gallery: a place in a picture, and which labels it asks for or answers to.

    entry_id: what names it in files of vectors. path: None where the picture, or the thing in it, was not found. box:
    xyxy, in pixels of the file, all of the picture where None.
    """

    entry_id: str
    path: Path | None
    box: Floats | None
    labels: tuple[int, ...]


# ---- DeepFashion consumer-to-shop --------------------------------------------------------------------------------


def consumer_to_shop(
    data: Path, encoder: Encoder, detector: Detector | None, update: Update | None, note: Note
) -> list[RetrievalReport]:
    """Score consumers' photos against shops' photos of val + test, and of test alone, by item (R@1, 20, 50).

    In files of vectors a photo is named as the lists name it.
    """
    if detector is not None:
        raise ScoreError("deepfashion-c2s is defined on the annotated boxes; leave the detector out")
    both, test = read_consumer_to_shop(data), read_consumer_to_shop(data, ("test",))
    numbers = {item: i for i, item in enumerate(sorted({p.item_id for p in (*both.queries, *both.gallery)}))}

    def entries(photos: Sequence[ClothesPhoto]) -> list[Entry]:
        boxes = [None if photo.box is None else np.array(photo.box, np.float32) for photo in photos]
        paths = [find_image(data, photo.image) for photo in photos]
        return [
            Entry(photo.image, path, box, (numbers[photo.item_id],))
            for path, box, photo in zip(paths, boxes, photos, strict=True)
        ]

    in_test = {photo.image for photo in (*test.queries, *test.gallery)}
    of_test = [
        [row for row, photo in enumerate(side) if photo.image in in_test] for side in (both.queries, both.gallery)
    ]
    pools = {
        "deepfashion-c2s/val+test": Pool(np.arange(len(both.queries)), np.arange(len(both.gallery))),
        "deepfashion-c2s/test": Pool(np.array(of_test[0], np.int64), np.array(of_test[1], np.int64)),
    }
    return score(entries(both.queries), entries(both.gallery), pools, encoder, C2S_RANKS, update)


# ---- DeepFashion2 -----------------------------------------------------------------------------------------------


def deepfashion2(
    data: Path, encoder: Encoder, detector: Detector | None, update: Update | None, note: Note
) -> list[RetrievalReport]:
    """Score users' garments of the validation split against shops' garments (R@1, 5, 10, 15, 20).

    A hit has the query's pair and style; with detected boxes its IoU with such a garment is 0.5 or more, and a query's
    garment that no detection stands for is a miss. Garments of users without any counterpart in a shop are no queries.
    In files of vectors the first garment of picture 000001 is named 000001/1.
    """
    if detector is not None and isinstance(encoder, VectorFiles):
        raise ScoreError("vectors were made of the annotated boxes, and a detector finds others; leave one of them out")
    pictures = tuple(read_deepfashion2(data, "validation", note))
    classes = instance_classes(pictures)
    if detector is None:
        queries = [entry for picture in pictures if picture.source == "user" for entry in _annotated(picture, classes)]
        gallery = [entry for picture in pictures if picture.source == "shop" for entry in _annotated(picture, classes)]
    else:
        queries, gallery = _detected(pictures, classes, detector, update)
    sold = Counter(
        classes[name]
        for picture in pictures
        if picture.source == "shop"
        for garment in picture.garments
        if (name := picture.instance(garment)) is not None
    )
    others = [entry.entry_id for entry in queries if not (entry.labels and sold[entry.labels[0]])]
    queries = [entry for entry in queries if entry.labels and sold[entry.labels[0]]]
    if not queries:
        raise MediaError(f"{data} holds no garment of a user that a shop sells; give the folder of DeepFashion2")
    boxes = "annotated boxes" if detector is None else "detected boxes"
    way = "given vectors" if isinstance(encoder, VectorFiles) else boxes
    pools = {f"deepfashion2/{way}": Pool(np.arange(len(queries)), np.arange(len(gallery)))}
    return score(queries, gallery, pools, encoder, DEEPFASHION2_RANKS, update, others)


def _annotated(picture: StreetPicture, classes: dict[tuple[int, int], int]) -> list[Entry]:
    """Return an entry for each garment of a picture; one without a pair has no label."""
    return [
        Entry(_name(picture, garment), picture.path, np.array(garment.box, np.float32), () if label < 0 else (label,))
        for garment, label in zip(picture.garments, _labels(picture, classes).tolist(), strict=True)
    ]


def _name(picture: StreetPicture, garment: StreetGarment) -> str:
    return f"{picture.picture_id}/{garment.number}"


def _detected(
    pictures: Sequence[StreetPicture],
    classes: dict[tuple[int, int], int],
    detector: Detector,
    update: Update | None,
) -> tuple[list[Entry], list[Entry]]:
    """Return the users' garments with the detections that stand for them, and all that was detected in shops."""
    queries: list[Entry] = []
    gallery: list[Entry] = []
    for done, picture in enumerate(pictures):
        labels = _labels(picture, classes)
        truth = np.array([garment.box for garment in picture.garments], np.float32).reshape(-1, 4)
        try:
            read = read_picture(picture.path)
            (found,) = detector.detect([Frame(0.0, read.image)])
            found = replace(found, boxes=found.boxes / np.float32(read.scale))  # as they are annotated
        except MediaError:
            found = None
        if picture.source == "user":
            queries += _queries(picture, found, truth, labels)
        elif found is not None:
            place = np.zeros(len(found), np.int64), np.zeros(len(truth), np.int64)
            answers = label_detections(found.boxes, place[0], truth, place[1], labels)
            gallery += [
                Entry(
                    f"{picture.picture_id}/detection {i}", picture.path, box, tuple(each for each in row if each >= 0)
                )
                for i, (box, row) in enumerate(zip(found.boxes, answers.tolist(), strict=True))
            ]
        if update is not None:
            update("detecting", done + 1, len(pictures))
    return queries, gallery


def _queries(picture: StreetPicture, found: Detections | None, truth: Floats, labels: Indices) -> list[Entry]:
    """Return an entry for each garment of a user that has a pair, without a path where no detection stands for it."""
    chosen = np.full(len(truth), -1, np.int64)
    if found is not None:
        coarse = np.array([garment.coarse_class for garment in picture.garments], np.int64)
        chosen = assign_detections(found.boxes, found.scores, truth, found.classes[:, None] == coarse)
    entries = []
    for garment, detection, label in zip(picture.garments, chosen.tolist(), labels.tolist(), strict=True):
        name = _name(picture, garment)
        if label == UNKNOWN:
            continue
        if found is None or detection < 0:
            entries.append(Entry(name, None, None, (label,)))
        else:
            entries.append(Entry(name, picture.path, found.boxes[detection], (label,)))
    return entries


def _labels(picture: StreetPicture, classes: dict[tuple[int, int], int]) -> Indices:
    names = [picture.instance(garment) for garment in picture.garments]
    return np.array([UNKNOWN if name is None else classes[name] for name in names], np.int64)


# ---- scoring ----------------------------------------------------------------------------------------------------


def score(
    queries: Sequence[Entry],
    gallery: Sequence[Entry],
    pools: Mapping[str, Pool],
    encoder: Encoder,
    ranks: Sequence[int],
    update: Update | None = None,
    others: Collection[str] = (),
) -> list[RetrievalReport]:
    """Return recall@k of each named pool, k in `ranks`; others: things of the set that ask nothing, by name."""
    width = max((len(entry.labels) for entry in gallery), default=1) or 1
    labels = np.array([[*e.labels, *[-1] * (width - len(e.labels))] for e in gallery], np.int64).reshape(-1, width)
    answers = Answers.of_labels(np.array([entry.labels[0] for entry in queries], np.int64), labels)
    rows = encode_entries(gallery, encoder, "gallery", update)
    asked = encode_entries(queries, encoder, "queries", update, others)
    return [judge(Task(name, answers, (pool,), tuple(ranks)), asked, rows) for name, pool in pools.items()]


# ---- vectors -----------------------------------------------------------------------------------------------------


def encode_entries(
    entries: Sequence[Entry], encoder: Encoder, what: Side, update: Update | None, others: Collection[str] = ()
) -> Floats:
    """Return the vectors of entries, not a number where there is no picture that can be read. -> (N, D)."""
    if isinstance(encoder, VectorFiles):
        return encoder.read(what, [entry.entry_id for entry in entries], others)
    vectors = np.full((len(entries), encoder.dim), np.nan, np.float32)
    for start in range(0, len(entries), _CHUNK):
        images: list[Image] = []
        places: list[int] = []
        for place in range(start, min(start + _CHUNK, len(entries))):
            image = _read(entries[place])
            if image is not None:
                images.append(image)
                places.append(place)
        if images:
            vectors[places] = encoder.encode(images)
        if update is not None:
            update(what, min(start + _CHUNK, len(entries)), len(entries))
    return vectors


def _read(entry: Entry) -> Image | None:
    if entry.path is None:
        return None
    try:
        read = read_picture(entry.path)
    except MediaError:
        return None
    return read.image if entry.box is None else crop(read.image, entry.box * np.float32(read.scale))
