"""Garments that people wear in real footage: does an encoder find them among shop pictures of many others?

    python -m runs.garments DATA [LABEL=ENCODER.onnx ...] [--detector FILE] [--others 1891] [--seed 0] [--out FILE]

DATA holds clothing/, grocery/ and video/. Always measured beside the encoders given: the untrained ImageNet start, as
it is (1280-d) and with a PCA whitening (256-d), the shipped house encoder, and each encoder's similarity averaged with
that of the whitened start.

Footage: 18 garments on 11 people in four real clips (runs/labels/worn-footage.json, labelled by eye). One frame of each
garment gives its picture, laid on white along its outline as a shop would show it ("cut-out"), or as the garment's box
in that frame ("box"). Queries are frames a second or more away: the whole frame, the best of its five windows, the
garment's labelled box, the same a tenth wider on each side ("loose"), or the best of a detector's boxes and the whole
frame. Other labelled garments that the frame shows too are neither right nor wrong answers. The others are garment
photos of the splits validation and train of clothing-dataset-small, drawn by `--seed`; an encoder may have been trained
on some of them.

Photos: the lower 60 % of each photo of the test split, strongly degraded, against the upper 60 % of all of them and the
others. No photo of the set shows a garment on a person (looked through: test, validation and a part of train), so this
part says nothing about worn garments. R@k as in `shopcue.metrics.retrieval`: ties are broken against us.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from runs.encoder import imagenet_net

from shopcue.catalog.pictures import read_picture, shrink
from shopcue.data.clothing import SPLITS, read_garments
from shopcue.data.grocery import read_photos
from shopcue.data.views import camera_view, crop_random, exposed, jpeg
from shopcue.geometry import crop, windows
from shopcue.metrics.retrieval import first_hit_ranks, recall_at
from shopcue.models.detector import HouseDetector
from shopcue.models.image import HouseEncoder, fit_square, trim_margins
from shopcue.nets.backbones import PictureEncoder, whiten
from shopcue.records import Floats, Frame, Image, Indices
from shopcue.sources.files import frames_at

LABELS = Path(__file__).parent / "labels" / "worn-footage.json"
KEPT_PX = 320  # pictures are kept in memory at this size: larger than any encoder's input
START_PX = 224  # what the ImageNet weights were trained at
PART = 0.6  # of a photo's height
LOOSE = 0.1  # of a box's sides
MOST_BOXES = 10

Pictures = dict[str, Sequence[Image]]  # what an encoder is to look at, by the name of its part in the exam
Vectors = dict[str, Floats]  # unit rows, one for each of `Pictures`


@dataclass(frozen=True)
class Query:
    """A frame that shows garment `right` in `box`; `also` are the other labelled garments that it shows."""

    frame: Frame
    box: Floats
    right: int
    also: tuple[int, ...]


@dataclass(frozen=True)
class Footage:
    """Worn garments: the picture of each in two kinds, the frames that ask for them, and where to look in those."""

    pictures: dict[str, list[Image]]
    queries: list[Query]
    places: dict[str, list[Floats]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("encoders", nargs="*", metavar="LABEL=FILE")
    parser.add_argument("--detector", type=Path)
    parser.add_argument("--others", type=int, default=1891)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    cv2.setNumThreads(1)
    footage = read_footage(arguments.data / "video", arguments.detector)
    pictures = read_pictures(arguments, footage)
    rows: list[dict[str, Any]] = []
    for label, vectors in encoded(arguments, pictures):
        for figures in (*score_footage(vectors, footage), score_photos(vectors)):
            rows.append({"encoder": label, **figures})
            print(json.dumps(rows[-1]), flush=True)
    result = {
        "title": "Garments that people wear in real footage.",
        "protocol": f"{len(footage.queries)} frames of {len(footage.pictures['box'])} garments on people in four clips "
        f"(labelled by eye) against one picture of each and {len(pictures['others'])} other garments; "
        "`runs/garments.py`.",
        "seed": arguments.seed,
        "rows": rows,
    }
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


# ---- encoders --------------------------------------------------------------------------------------------------


def encoded(arguments: argparse.Namespace, pictures: Pictures) -> Iterator[tuple[str, Vectors]]:
    """Yield what each encoder makes of all the pictures, the untrained start first."""
    net = imagenet_net()
    whiten(net.projection, torch.from_numpy(features(net, read_calibration_pictures(arguments.data))))
    start = {name: features(net, images) for name, images in pictures.items()}
    yield "ImageNet", {name: unit(rows) for name, rows in start.items()}
    whitened = {name: unit(net.projection(torch.from_numpy(rows)).numpy()) for name, rows in start.items()}
    yield "ImageNet, whitened", whitened
    encoders = {"house, shipped": HouseEncoder(threads=1)}
    for label, file in (pair.split("=", 1) for pair in arguments.encoders):
        encoders[label] = HouseEncoder(Path(file), threads=1)
    for label, encoder in encoders.items():
        vectors = {name: encoder.encode(images) for name, images in pictures.items()}
        yield label, vectors
        # Side by side, so that the similarity is the mean of both.
        yield f"{label} + ImageNet, whitened", {n: unit(np.hstack([vectors[n], whitened[n]])) for n in vectors}


def features(net: PictureEncoder, images: Sequence[Image]) -> Floats:
    """Return the pooled features of the net before its projection: float32 (N, 1280)."""
    parts = []
    for start in range(0, len(images), 32):
        pixels = np.stack([fit_square(image, START_PX, "letterbox") for image in images[start : start + 32]])
        parts.append(net.features(torch.from_numpy(pixels)).numpy())
    return np.concatenate(parts)


def unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


# ---- scores ----------------------------------------------------------------------------------------------------


def score_footage(vectors: Vectors, footage: Footage) -> list[dict[str, Any]]:
    """Return R@k of each kind of picture and of each way to look at a frame."""
    rows = []
    for kind in footage.pictures:
        gallery = np.concatenate([vectors[kind], vectors["others"]])
        for view, places in footage.places.items():
            starts = np.cumsum([0, *(len(boxes) for boxes in places)])[:-1]
            similarity = np.maximum.reduceat(vectors[view] @ gallery.T, starts)  # of a frame's places the best
            for row, query in zip(similarity, footage.queries, strict=True):
                row[list(query.also)] = -np.inf
            ranks = first_hit_ranks(similarity, [{query.right} for query in footage.queries])
            rows.append({"exam": "footage", "picture": kind, "view": view, **summary(ranks, footage.queries)})
    return rows


def summary(ranks: Indices, queries: Sequence[Query]) -> dict[str, float]:
    """Return R@1 and R@5 of all queries, and R@1 as a mean over garments, each of which then counts once."""
    right = np.array([query.right for query in queries])
    of_each = [recall_at(ranks[right == garment], 1) for garment in np.unique(right)]
    figures = {f"R@{k}": round(recall_at(ranks, k), 3) for k in (1, 5)}
    return {**figures, "R@1 by garment": round(float(np.mean(of_each)), 3), "queries": len(queries)}


def score_photos(vectors: Vectors) -> dict[str, Any]:
    """Return R@k of the lower part of each photo, degraded, against the upper part of all and the others."""
    gallery = np.concatenate([vectors["upper parts"], vectors["others"]])
    count = len(vectors["lower parts"])
    ranks = first_hit_ranks(vectors["lower parts"] @ gallery.T, [{row} for row in range(count)])
    figures = {f"R@{k}": round(recall_at(ranks, k), 3) for k in (1, 5)}
    return {"exam": "photos", **figures, "queries": count, "gallery": len(gallery)}


# ---- what it is measured on ------------------------------------------------------------------------------------


def read_footage(videos: Path, detector: Path | None) -> Footage:
    """Read the labels and the frames that they are about; with a detector, also look where it says."""
    garments = json.loads(LABELS.read_text(encoding="utf-8"))["garments"]
    frames = read_frames(videos, garments)
    pictures: dict[str, list[Image]] = {"cut-out": [], "box": []}
    queries = []
    for right, garment in enumerate(garments):
        shown = garment["gallery"]
        image = frames[garment["video"], shown["time_s"]].image
        pictures["cut-out"].append(cut_out(image, shown["outline"]))
        pictures["box"].append(crop(image, np.array(shown["box"], np.float32)))
        for query in garment["queries"]:
            frame = frames[garment["video"], query["time_s"]]
            also = tuple(i for i, other in enumerate(garments) if i != right and is_seen(other, garment, query))
            queries.append(Query(frame, np.array(query["box"], np.float32), right, also))
    return Footage(pictures, queries, locate(queries, detector))


def read_frames(videos: Path, garments: Sequence[dict[str, Any]]) -> dict[tuple[str, float], Frame]:
    """Return every labelled frame by its video and time, each video read once."""
    wanted: dict[str, set[float]] = {}
    for garment in garments:
        times = [garment["gallery"]["time_s"], *(query["time_s"] for query in garment["queries"])]
        wanted.setdefault(garment["video"], set()).update(times)
    return {
        (video, time_s): frame
        for video, times in wanted.items()
        for time_s, frame in zip(sorted(times), frames_at(videos / video, sorted(times)), strict=True)
    }


def is_seen(other: dict[str, Any], garment: dict[str, Any], query: dict[str, Any]) -> bool:
    """Return whether the frame of a query shows another labelled garment too."""
    start_s, end_s = other["seen_s"]
    return bool(other["video"] == garment["video"] and start_s <= query["time_s"] <= end_s)


def cut_out(image: Image, outline: Sequence[tuple[int, int]]) -> Image:
    """Return the part of the picture inside a polygon on white, as a shop shows it."""
    corners = np.array(outline, np.int32)
    mask = cv2.fillPoly(np.zeros(image.shape[:2], np.uint8), [corners], 1)
    laid = np.where(mask[..., None] > 0, image, np.uint8(255))
    part = crop(laid, np.array([*corners.min(axis=0), *(corners.max(axis=0) + 1)], np.float32))
    border = max(part.shape[:2]) // 10
    return np.asarray(cv2.copyMakeBorder(part, *(border,) * 4, cv2.BORDER_CONSTANT, value=(255,) * 3), np.uint8)


def read_pictures(arguments: argparse.Namespace, footage: Footage) -> Pictures:
    """Return all that an encoder is to look at."""
    clothing = arguments.data / "clothing"
    pictures: Pictures = {"others": [trim_margins(each) for each in draw_others(clothing, arguments)]}
    for kind, images in footage.pictures.items():
        pictures[kind] = [trim_margins(image) for image in images]
    for view, places in footage.places.items():
        pairs = zip(footage.queries, places, strict=True)
        pictures[view] = [crop(query.frame.image, box) for query, boxes in pairs for box in boxes]
    rng = np.random.default_rng(1)
    photos = [read_small(garment.path) for garment in read_garments(clothing, "test")]
    pictures["lower parts"] = [camera_view(p[round((1 - PART) * len(p)) :], rng, 0.7) for p in photos]
    upper = [crop_random(p[: round(PART * len(p))], rng, 0.9) for p in photos]
    pictures["upper parts"] = [jpeg(exposed(part, rng, 0.15), rng, 50) for part in upper]
    return pictures


def read_calibration_pictures(data: Path) -> list[Image]:
    """Return the pictures whose features are made white: garments of the train split and photos of goods."""
    paths = [garment.path for garment in read_garments(data / "clothing", "train")][::6]
    paths += [photo.path for photo in read_photos(data / "grocery")][::9]
    return [read_small(path) for path in paths]


def read_small(path: Path) -> Image:
    return shrink(read_picture(path).image, KEPT_PX)


def draw_others(clothing: Path, arguments: argparse.Namespace) -> list[Image]:
    """Return pictures of other garments, of validation and train."""
    paths = [garment.path for split in SPLITS if split != "test" for garment in read_garments(clothing, split)]
    drawn = np.random.default_rng(arguments.seed).choice(len(paths), min(arguments.others, len(paths)), replace=False)
    return [read_small(paths[index]) for index in sorted(drawn.tolist())]


def locate(queries: Sequence[Query], detector: Path | None) -> dict[str, list[Floats]]:
    """Return where to look in each query's frame, by the name of the way."""
    sizes = [query.frame.image.shape[1::-1] for query in queries]
    places = {
        "whole frame": [np.array([[0, 0, *size]], np.float32) for size in sizes],
        "five windows": [windows(*size) for size in sizes],
        "labelled box": [query.box[None] for query in queries],
        "loose box": [grown(query.box, LOOSE)[None] for query in queries],
    }
    if detector is not None:
        seen = [HouseDetector(detector, threads=1).detect([query.frame])[0] for query in queries]
        whole = places["whole frame"]
        # The whole frame stays among the places: a detector may find nothing.
        places["detected boxes"] = [
            np.concatenate([frame, each.boxes[:MOST_BOXES]]) for frame, each in zip(whole, seen, strict=True)
        ]
    return places


def grown(box: Floats, share: float) -> Floats:
    """Return the box with `share` of its sides more on each side, as a detector that is a little off gives it."""
    border = share * (box[2:] - box[:2])
    return np.concatenate([box[:2] - border, box[2:] + border])


if __name__ == "__main__":
    main()
