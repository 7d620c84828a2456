"""What geometric verification adds to the search of a photo, step by step, and what it costs.

    python -m runs.verification DATA --encoder FILE --held-out NAME,NAME,... [--boxes FILE] [--out FILE] [--keep FILE]

DATA holds grocery/, clothing/ and video/. FILE is the encoder of the product split, which has not seen the held-out
products. --boxes: JSON of what a detector finds, from a photo's path in DATA to its boxes, the surest first, as shares
of the sides; the surest one is looked at besides the windows, and says where a photo is examined. --keep: the signs of
all photos, as .npz, for a closer look.

Protocol: queries are all hand-held photos of the packaged products; the gallery is every shop picture there is. The
weights of each row are a conditional logit learnt on every second photo of the products that are not held out, and on
photos that show no packaged product (every tenth of the others, against the packaged pictures alone) for 'none'. R@1
and R@5 are those of the photos of the held-out products, ties broken against us; ten candidates are verified.
Milliseconds are one thread's processor time for verification alone, the encoder not counted.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from runs.calibration import embed_cohort
from threadpoolctl import threadpool_limits

from shopcue.catalog.exact import similarities
from shopcue.catalog.pictures import read_picture, shrink
from shopcue.data.grocery import GroceryClass, read_classes, read_photos
from shopcue.geometry import crop
from shopcue.matching import CohortNorm, candidates, fit_logit, see
from shopcue.metrics.retrieval import first_hit_ranks, recall_at
from shopcue.models.detector import WindowDetector
from shopcue.models.image import HouseEncoder, trim_margins
from shopcue.models.verification import GeometricVerifier, photo_features
from shopcue.records import Catalog, Floats, Frame, Gallery, Indices, Product

SIDE_PX = 640
CANDIDATES = 10
EVERY_LEARNT, EVERY_LOOSE = 2, 10  # of the photos of goods that are not held out, and of loose goods
NEVER = -1e3  # log odds of a product that is not in the shop

WAYS = ("verify", "examine", "examine in box")
ONE, SIMILARITY, INLIERS, LUMA, CHROMA = range(5)
STEPS: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    ("embedding of five windows", "verify", (ONE, SIMILARITY)),
    ("+ points, affine (as in a live)", "verify", (ONE, SIMILARITY, INLIERS)),
    ("+ finer points, homography", "examine", (ONE, SIMILARITY, INLIERS)),
    ("+ agreement of the print", "examine", (ONE, SIMILARITY, INLIERS, LUMA)),
    ("+ agreement of the colours", "examine", (ONE, SIMILARITY, INLIERS, LUMA, CHROMA)),
    ("the same, and a detector's box", "examine in box", (ONE, SIMILARITY, INLIERS, LUMA, CHROMA)),
)

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Query:
    """A photo and what it shows: the row of the gallery, -1 for nothing that the shop sells."""

    path: Path
    shown: int
    box: Floats | None  # (4,), shares of the sides


@dataclass(frozen=True)
class Signs:
    """What M photos look like to P products: features (M, P, 5) and milliseconds (M,) of each way of looking."""

    features: dict[str, Floats]
    cost_ms: dict[str, Floats]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--held-out", required=True)
    parser.add_argument("--boxes", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    encoder = HouseEncoder(arguments.encoder, threads=1)
    classes = [c for c in read_classes(arguments.data / "grocery") if c.picture.is_file()]
    held_out = np.isin([c.name for c in classes], arguments.held_out.split(","))
    boxes = json.loads(arguments.boxes.read_text(encoding="utf-8")) if arguments.boxes else {}
    queries = read_queries(arguments.data, classes, held_out, boxes)
    with threadpool_limits(1, "blas"):
        signs = look(queries, make_gallery(classes, encoder), embed_cohort(arguments.data, encoder), encoder)
    if arguments.keep:
        shown = np.array([query.shown for query in queries])
        arrays: dict[str, Any] = {way.replace(" ", "_"): values for way, values in signs.features.items()}
        np.savez_compressed(arguments.keep, shown=shown, **arrays)
    result = report(queries, signs, held_out, np.array([c.packaged for c in classes]))
    print(json.dumps(result, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def read_queries(
    data: Path, classes: list[GroceryClass], held_out: Mask, boxes: dict[str, list[list[float]]]
) -> list[Query]:
    """Return the photos of the held-out products, some of the other packaged ones, and some of loose goods."""
    row = {c.class_id: i for i, c in enumerate(classes) if c.packaged}
    photos = list(read_photos(data / "grocery"))
    judged = [photo for photo in photos if photo.class_id in row and held_out[row[photo.class_id]]]
    learnt = [photo for photo in photos if photo.class_id in row and not held_out[row[photo.class_id]]]
    loose = [photo for photo in photos if photo.class_id not in row]
    queries = []
    for photo in [*judged, *learnt[::EVERY_LEARNT], *loose[::EVERY_LOOSE]]:
        found = boxes.get(str(photo.path.relative_to(data)))
        box = np.array(found[0][:4], np.float32) if found else None
        queries.append(Query(photo.path, row.get(photo.class_id, -1), box))
    return queries


def make_gallery(classes: list[GroceryClass], encoder: HouseEncoder) -> Gallery:
    pictures = tuple(np.ascontiguousarray(trim_margins(read_picture(c.picture).image)) for c in classes)
    catalog = Catalog(tuple(Product(c.name, c.name.replace("-", " "), (str(c.picture),)) for c in classes))
    return Gallery(catalog, encoder.encode(pictures), np.arange(len(classes)), encoder.fingerprint, pictures)


def look(queries: list[Query], gallery: Gallery, cohort: Floats, encoder: HouseEncoder) -> Signs:
    """Look at every photo in every way."""
    verifier, windows = GeometricVerifier(gallery), WindowDetector(encoder)
    norm = CohortNorm.of(similarities(gallery, cohort))
    verifier.verify(gallery.pictures[0], range(len(gallery.catalog)))  # prepared once: not what a query costs
    features: dict[str, list[Floats]] = {way: [] for way in WAYS}
    cost_ms: dict[str, list[float]] = {way: [] for way in WAYS}
    for query in queries:
        image = shrink(read_picture(query.path).image, SIDE_PX)
        similarity = similarities(gallery, windows.detect([Frame(0.0, image)])[0].vectors)
        box = None
        for way in WAYS:
            if way == "examine in box" and query.box is not None:
                box = query.box * np.tile(image.shape[1::-1], 2).astype(np.float32)
                similarity = np.concatenate([similarity, similarities(gallery, encoder.encode([crop(image, box)]))])
            sight = see(similarity, norm)
            products = candidates(sight, CANDIDATES)
            begun = time.thread_time()
            found = verifier.verify(image, products) if way == "verify" else verifier.examine(image, products, box)
            cost_ms[way].append(1000 * (time.thread_time() - begun))
            features[way].append(photo_features(sight.similarity, products, found))
    return Signs({k: np.stack(v) for k, v in features.items()}, {k: np.array(v) for k, v in cost_ms.items()})


def report(queries: list[Query], signs: Signs, held_out: Mask, packaged: Mask) -> dict[str, object]:
    """Learn the weights of each step, and measure it on what is held out."""
    shown = np.array([query.shown for query in queries])
    judged = (shown >= 0) & held_out[shown]
    absent = np.where((shown < 0)[:, None] & ~packaged, NEVER, 0.0).astype(np.float32)
    rows = []
    for label, way, columns in STEPS:
        features = signs.features[way][..., list(columns)]
        weights = fit_logit(features[~judged], shown[~judged], offset=absent[~judged], decay=1e-3)
        figures = measure(features[judged] @ weights, shown[judged])
        learnt = measure(features[~judged & (shown >= 0)] @ weights, shown[~judged & (shown >= 0)])
        cost_ms = 0.0 if INLIERS not in columns else float(np.median(signs.cost_ms[way][judged]))
        rows.append(
            {"search": label, **figures, "R@1 where learnt": learnt["R@1"], "ms a query": round(cost_ms, 1)}
            | {"weights": [round(float(weight), 2) for weight in weights]}
        )
    return {
        "title": "What verification adds to the search of a photo.",
        "protocol": f"{int(judged.sum())} whole hand-held photos of {int(held_out.sum())} cartons that the encoder has "
        f"never seen, against {len(packaged)} shop pictures; weights learnt on {int((~judged & (shown >= 0)).sum())} "
        f"photos of other cartons and {int((shown < 0).sum())} of none (`runs/verification.py`).",
        "rows": rows,
    }


def measure(scores: Floats, shown: Indices) -> dict[str, float]:
    ranks = first_hit_ranks(scores, [{int(row)} for row in shown])
    return {f"R@{k}": round(recall_at(ranks, k), 3) for k in (1, 5)}


if __name__ == "__main__":
    main()
