"""Garments that people wear in real footage: does an encoder find them among shop pictures of many others?

    python runs/garments.py DATA [LABEL=ENCODER.onnx ...] [--detector FILE] [--others 1891] [--seed 0] [--out FILE]

DATA holds clothing/, grocery/ and video/. Always measured beside the encoders given: the untrained ImageNet start, as
it is (1280-d) and with the whitening that training starts from (256-d), and the shipped house encoder.

Footage: 18 garments on 11 people in four real clips (runs/labels/worn-footage.json, labelled by eye). One frame of each
garment gives its picture, laid on white along its outline as a shop would show it ("cut-out"), or as the garment's box
in that frame ("box"). Queries are frames a second or more away: the whole frame, the best of its five windows, the
garment's labelled box, or the best of a detector's boxes and the whole frame. Other labelled garments that the frame
shows too are neither right nor wrong answers. The others are garment photos of the splits validation and train of
clothing-dataset-small, drawn by `--seed`; an encoder may have been trained on some of them.

Photos: the lower 60 % of each photo of the test split, strongly degraded, against the upper 60 % of all of them and the
others. No photo of the set shows a garment on a person (looked through: test, validation and a part of train), so this
part says nothing about worn garments. R@k as in `shopcue.metrics.retrieval`: ties are broken against us.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from encoder import imagenet_net
from numpy.typing import NDArray

from shopcue.catalog.pictures import read_picture, shrink
from shopcue.data.clothing import SPLITS, read_garments
from shopcue.data.grocery import read_photos
from shopcue.data.views import camera_view, crop_random, exposed, jpeg
from shopcue.geometry import crop, windows
from shopcue.metrics.retrieval import first_hit_ranks, recall_at
from shopcue.models.detector import HouseDetector
from shopcue.models.image import HouseEncoder, fit_square, trim_margins
from shopcue.nets.backbones import PictureEncoder, whiten
from shopcue.records import Floats, Frame, Image
from shopcue.sources.files import frames_at

LABELS = Path(__file__).parent / "labels" / "worn-footage.json"
KEPT_PX = 320  # pictures are kept in memory at this size: larger than any encoder's input
START_PX = 224  # what the ImageNet weights were trained at
PART = 0.6  # of a photo's height
MOST_BOXES = 10

Encode = Callable[[Sequence[Image]], Floats]


@dataclass(frozen=True)
class Query:
    """A frame that shows garment `right` in `box`; `also` are the other labelled garments that it shows."""

    frame: Frame
    box: Floats
    right: int
    also: tuple[int, ...]


@dataclass(frozen=True)
class Footage:
    """Worn garments: the picture of each in two kinds, and the frames that ask for them."""

    pictures: dict[str, list[Image]]
    queries: list[Query]


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
    footage = read_footage(arguments.data / "video")
    photos = [read_small(garment.path) for garment in read_garments(arguments.data / "clothing", "test")]
    others = draw_others(arguments.data / "clothing", arguments.others, arguments.seed)
    places = locate(footage.queries, arguments.detector)
    rows: list[dict[str, Any]] = []
    for label, encode in encoders(arguments.data, arguments.encoders).items():
        keys = encode([trim_margins(picture) for picture in others])
        for figures in (*measure_footage(encode, footage, keys, places), measure_photos(encode, photos, keys)):
            rows.append({"encoder": label, **figures})
            print(json.dumps(rows[-1]), flush=True)
    result = {
        "title": "Garments that people wear in real footage.",
        "protocol": f"{len(footage.queries)} frames of {len(footage.pictures['box'])} garments on people in four clips "
        f"(labelled by eye) against one picture of each and {len(others)} other garments; `runs/garments.py`.",
        "seed": arguments.seed,
        "rows": rows,
    }
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


# ---- what is measured ------------------------------------------------------------------------------------------


def encoders(data: Path, files: Sequence[str]) -> dict[str, Encode]:
    """Return the encoders to measure, the untrained start first."""
    net = imagenet_net()
    paths = [garment.path for garment in read_garments(data / "clothing", "train")][::6]
    paths += [photo.path for photo in read_photos(data / "grocery")][::9]
    whiten(net.projection, torch.from_numpy(features(net, [read_small(path) for path in paths])))
    found: dict[str, Encode] = {
        "ImageNet": lambda images: unit(features(net, images)),
        "ImageNet, whitened": lambda images: unit(net.projection(torch.from_numpy(features(net, images))).numpy()),
        "house, shipped": HouseEncoder(threads=1).encode,
    }
    for label, file in (pair.split("=", 1) for pair in files):
        found[label] = HouseEncoder(Path(file), threads=1).encode
    return found


def features(net: PictureEncoder, images: Sequence[Image]) -> Floats:
    """Return the pooled features of the net before its projection: float32 (N, 1280)."""
    parts = []
    for start in range(0, len(images), 32):
        pixels = np.stack([fit_square(image, START_PX, "letterbox") for image in images[start : start + 32]])
        parts.append(net.features(torch.from_numpy(pixels)).numpy())
    return np.concatenate(parts)


def unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def measure_footage(
    encode: Encode, footage: Footage, others: Floats, places: dict[str, list[Floats]]
) -> list[dict[str, Any]]:
    """Return R@k of each kind of picture and of each way to look at a frame."""
    views = {}
    for view, boxes in places.items():
        crops = [crop(q.frame.image, box) for q, each in zip(footage.queries, boxes, strict=True) for box in each]
        ends = np.cumsum([len(each) for each in boxes])[:-1]
        views[view] = np.split(encode(crops), ends)
    rows = []
    for kind, pictures in footage.pictures.items():
        gallery = np.concatenate([encode([trim_margins(picture) for picture in pictures]), others])
        for view, vectors in views.items():
            similarity = np.stack([(each @ gallery.T).max(axis=0) for each in vectors])
            for row, query in zip(similarity, footage.queries, strict=True):
                row[list(query.also)] = -np.inf
            ranks = first_hit_ranks(similarity, [{query.right} for query in footage.queries])
            rows.append({"exam": "footage", "picture": kind, "view": view, **summary(ranks, footage.queries)})
    return rows


def summary(ranks: NDArray[np.int64], queries: Sequence[Query]) -> dict[str, float]:
    """Return R@1 and R@5 of all queries, and R@1 as a mean over garments, each of which then counts once."""
    right = np.array([query.right for query in queries])
    of_each = [recall_at(ranks[right == garment], 1) for garment in np.unique(right)]
    figures = {f"R@{k}": round(recall_at(ranks, k), 3) for k in (1, 5)}
    return {**figures, "R@1 by garment": round(float(np.mean(of_each)), 3), "queries": len(queries)}


def measure_photos(encode: Encode, photos: Sequence[Image], others: Floats) -> dict[str, Any]:
    """Return R@k of the lower part of each photo, degraded, against the upper part of all."""
    rng = np.random.default_rng(1)
    lower = [camera_view(photo[round((1 - PART) * len(photo)) :], rng, 0.7) for photo in photos]
    upper = [jpeg(exposed(crop_random(p[: round(PART * len(p))], rng, 0.9), rng, 0.15), rng, 50) for p in photos]
    gallery = np.concatenate([encode(upper), others])
    ranks = first_hit_ranks(encode(lower) @ gallery.T, [{row} for row in range(len(photos))])
    return {
        "exam": "photos",
        **{f"R@{k}": round(recall_at(ranks, k), 3) for k in (1, 5)},
        "queries": len(photos),
        "gallery": len(gallery),
    }


# ---- what it is measured on ------------------------------------------------------------------------------------


def read_footage(videos: Path) -> Footage:
    """Read the labels and the frames that they are about."""
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
    return Footage(pictures, queries)


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


def read_small(path: Path) -> Image:
    return shrink(read_picture(path).image, KEPT_PX)


def draw_others(clothing: Path, count: int, seed: int) -> list[Image]:
    """Return pictures of other garments: of validation and train, `count` of them."""
    paths = [garment.path for split in SPLITS if split != "test" for garment in read_garments(clothing, split)]
    drawn = np.random.default_rng(seed).choice(len(paths), min(count, len(paths)), replace=False)
    return [read_small(paths[index]) for index in sorted(drawn.tolist())]


def locate(queries: Sequence[Query], detector: Path | None) -> dict[str, list[Floats]]:
    """Return where to look in each query's frame, by the name of the way."""
    sizes = [query.frame.image.shape[1::-1] for query in queries]
    places = {
        "whole frame": [np.array([[0, 0, *size]], np.float32) for size in sizes],
        "five windows": [windows(*size) for size in sizes],
        "labelled box": [query.box[None] for query in queries],
    }
    if detector is not None:
        seen = [HouseDetector(detector, threads=1).detect([query.frame])[0] for query in queries]
        whole = places["whole frame"]
        # The whole frame stays among the places: a detector may find nothing.
        places["detected boxes"] = [
            np.concatenate([frame, each.boxes[:MOST_BOXES]]) for frame, each in zip(whole, seen, strict=True)
        ]
    return places


if __name__ == "__main__":
    main()
