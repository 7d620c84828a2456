"""Published retrieval protocols, run on an image encoder: who asks, who answers, what counts as a hit.

Every query counts: one whose picture is missing, or in which nothing was detected, is a miss at every k. Vectors of
queries are made and forgotten a few hundred at a time, so that the gallery alone decides the memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shopcue.catalog.pictures import read_picture
from shopcue.data.deepfashion import ClothesPhoto, find_image, read_consumer_to_shop
from shopcue.data.deepfashion2 import UNKNOWN, StreetPicture, instance_classes, read_deepfashion2
from shopcue.errors import MediaError, ScoreError
from shopcue.geometry import crop
from shopcue.metrics.retrieval import assign_detections, first_hit_ranks_by_label, label_detections, recall_at
from shopcue.models.detector import Detector, HouseDetector
from shopcue.models.image import ImageEncoder, OnnxEncoder
from shopcue.records import Detections, Floats, Frame, Image, Indices

Update = Callable[[str, float, float], None]
Note = Callable[[str], None]
Mask = NDArray[np.bool_]

C2S_RANKS = (1, 20, 50)
DEEPFASHION2_RANKS = (1, 5, 10, 15, 20)
_CHUNK = 256  # pictures that are in memory at a time


@dataclass(frozen=True, slots=True)
class RetrievalReport:
    """What a protocol measured on one gallery.

    protocol: its name, the splits and where the boxes are from. recall: k -> recall@k. queries: all that count.
    missing: those among them without a picture or a detection, each a miss. gallery: how many rows were searched;
    gallery_missing: pictures of it that could not be read.
    """

    protocol: str
    recall: dict[int, float]
    queries: int
    missing: int
    gallery: int
    gallery_missing: int

    @property
    def document(self) -> dict[str, object]:
        """The same as JSON; every query searches the same gallery, so that its least, middle and most are one."""
        return {
            "protocol": self.protocol,
            **{f"R@{k}": round(value, 6) for k, value in self.recall.items()},
            "queries": self.queries,
            "missing": self.missing,
            "gallery": dict.fromkeys(("min", "median", "max"), self.gallery),
            "gallery_missing": self.gallery_missing,
        }


@dataclass(frozen=True, slots=True)
class Entry:
    """A query or a row of a gallery: a place in a picture, and which labels it asks for or answers to.

    path: None where the picture, or the thing in it, was not found. box: xyxy pixels, all of the picture where None.
    """

    path: Path | None
    box: Floats | None
    labels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pool:
    """A part of the queries and of the gallery that is scored by itself. Masks: (Q,) and (G,)."""

    name: str
    queries: Mask
    gallery: Mask


def evaluate(
    protocol: str,
    data: Path,
    model: Path,
    *,
    detector: Path | None = None,
    update: Update | None = None,
    note: Note | None = None,
) -> list[RetrievalReport]:
    """Run a protocol of `PROTOCOLS` with the encoder in the ONNX file `model`, one report for each gallery.

    detector: an ONNX file as of `models.detector`; without it the annotated boxes are used. note: told what of the data
    is left out. Raises ScoreError for an unknown protocol, MediaError and WeightsError for data and models.
    """
    if protocol not in PROTOCOLS:
        raise ScoreError(f"the protocol is {protocol!r}, expected one of {', '.join(PROTOCOLS)}")
    found = None if detector is None else HouseDetector(detector)
    return PROTOCOLS[protocol](data, OnnxEncoder(model), found, update, note or (lambda line: None))


# ---- DeepFashion consumer-to-shop --------------------------------------------------------------------------------


def consumer_to_shop(
    data: Path, encoder: ImageEncoder, detector: Detector | None, update: Update | None, note: Note
) -> list[RetrievalReport]:
    """Score consumers' photos against shops' photos of val + test, and of test alone, by item (R@1, 20, 50)."""
    if detector is not None:
        raise ScoreError("deepfashion-c2s is defined on the annotated boxes; leave the detector out")
    both, test = read_consumer_to_shop(data), read_consumer_to_shop(data, ("test",))
    labels = {item: i for i, item in enumerate(sorted({p.item_id for p in (*both.queries, *both.gallery)}))}

    def entries(photos: Sequence[ClothesPhoto]) -> list[Entry]:
        boxes = [None if photo.box is None else np.array(photo.box, np.float32) for photo in photos]
        paths = [find_image(data, photo.image) for photo in photos]
        return [Entry(p, b, (labels[photo.item_id],)) for p, b, photo in zip(paths, boxes, photos, strict=True)]

    in_test = {photo.image for photo in (*test.queries, *test.gallery)}
    masks = [np.array([photo.image in in_test for photo in side], bool) for side in (both.queries, both.gallery)]
    pools = [
        Pool("deepfashion-c2s/val+test", np.ones_like(masks[0]), np.ones_like(masks[1])),
        Pool("deepfashion-c2s/test", masks[0], masks[1]),
    ]
    return score(entries(both.queries), entries(both.gallery), pools, encoder, C2S_RANKS, update)


# ---- DeepFashion2 -----------------------------------------------------------------------------------------------


def deepfashion2(
    data: Path, encoder: ImageEncoder, detector: Detector | None, update: Update | None, note: Note
) -> list[RetrievalReport]:
    """Score users' garments of the validation split against shops' garments (R@1, 5, 10, 15, 20).

    A hit has the query's pair and style; with detected boxes its IoU with such a garment is 0.5 or more, and a query's
    garment that no detection stands for is a miss. Garments of users without any counterpart in a shop are no queries.
    """
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
    queries = [entry for entry in queries if entry.labels and sold[entry.labels[0]]]
    if not queries:
        raise MediaError(f"{data} holds no garment of a user that a shop sells; give the folder of DeepFashion2")
    boxes = "annotated" if detector is None else "detected"
    pool = Pool(f"deepfashion2/{boxes} boxes", np.ones(len(queries), bool), np.ones(len(gallery), bool))
    return score(queries, gallery, [pool], encoder, DEEPFASHION2_RANKS, update)


def _annotated(picture: StreetPicture, classes: dict[tuple[int, int], int]) -> list[Entry]:
    """Return an entry for each garment of a picture; one without a pair has no label."""
    return [
        Entry(picture.path, np.array(garment.box, np.float32), () if label == UNKNOWN else (label,))
        for garment, label in zip(picture.garments, _labels(picture, classes).tolist(), strict=True)
    ]


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
            (found,) = detector.detect([Frame(0.0, read_picture(picture.path).image)])
        except MediaError:
            found = None
        if picture.source == "user":
            queries += _queries(picture, found, truth, labels)
        elif found is not None:
            place = np.zeros(len(found), np.int64), np.zeros(len(truth), np.int64)
            answers = label_detections(found.boxes, place[0], truth, place[1], labels)
            gallery += [
                Entry(picture.path, box, tuple(label for label in row if label >= 0))
                for box, row in zip(found.boxes, answers.tolist(), strict=True)
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
    for detection, label in zip(chosen.tolist(), labels.tolist(), strict=True):
        if label == UNKNOWN:
            continue
        if found is None or detection < 0:
            entries.append(Entry(None, None, (label,)))
        else:
            entries.append(Entry(picture.path, found.boxes[detection], (label,)))
    return entries


def _labels(picture: StreetPicture, classes: dict[tuple[int, int], int]) -> Indices:
    names = [picture.instance(garment) for garment in picture.garments]
    return np.array([UNKNOWN if name is None else classes[name] for name in names], np.int64)


PROTOCOLS: dict[str, Callable[[Path, ImageEncoder, Detector | None, Update | None, Note], list[RetrievalReport]]] = {
    "deepfashion-c2s": consumer_to_shop,
    "deepfashion2": deepfashion2,
}


# ---- scoring ----------------------------------------------------------------------------------------------------


def score(
    queries: Sequence[Entry],
    gallery: Sequence[Entry],
    pools: Sequence[Pool],
    encoder: ImageEncoder,
    ranks: Sequence[int],
    update: Update | None = None,
) -> list[RetrievalReport]:
    """Return recall@k of each pool, k in `ranks`. A query has one label, a row of the gallery any number of them."""
    rows = _encode(gallery, encoder, "gallery", update)
    width = max((len(entry.labels) for entry in gallery), default=1) or 1
    labels = np.array([[*e.labels, *[-1] * (width - len(e.labels))] for e in gallery], np.int64).reshape(-1, width)
    read = ~np.isnan(rows[:, 0])
    asked = np.array([entry.labels[0] for entry in queries], np.int64)
    best = [np.full(len(queries), np.iinfo(np.int64).max) for _ in pools]  # a miss at every k
    missing = np.ones(len(queries), bool)
    for start in range(0, len(queries), _CHUNK):
        vectors = _encode(queries[start : start + _CHUNK], encoder, "", None)
        seen = start + np.flatnonzero(~np.isnan(vectors[:, 0]))
        missing[seen] = False
        for found, pool in zip(best, pools, strict=True):
            mine, shown = seen[pool.queries[seen]], pool.gallery & read
            place = first_hit_ranks_by_label(vectors[mine - start], asked[mine], rows[shown], labels[shown])
            right = np.isin(asked[mine], labels[shown])
            found[mine] = np.where(right, place, found[mine])
        if update is not None:
            update("queries", min(start + _CHUNK, len(queries)), len(queries))
    return [
        RetrievalReport(
            pool.name,
            {k: recall_at(found[pool.queries], k) for k in ranks},
            int(pool.queries.sum()),
            int((pool.queries & missing).sum()),
            int((pool.gallery & read).sum()),
            int((pool.gallery & ~read).sum()),
        )
        for found, pool in zip(best, pools, strict=True)
    ]


def _encode(entries: Sequence[Entry], encoder: ImageEncoder, what: str, update: Update | None) -> Floats:
    """Return the vectors of entries, not a number where there is no picture that can be read. -> (N, D)."""
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
        image = read_picture(entry.path).image
    except MediaError:
        return None
    return image if entry.box is None else crop(image, entry.box)
