"""Photo -> shop picture on products that the encoder has never seen, as `shopcue search` answers it.

    python -m runs.retrieval DATA LABEL=ENCODER.onnx ... --held-out NAME,NAME,... [--out FILE]

DATA holds grocery/, clothing/ and video/. Protocol: every hand-held photo of the held-out products, whole, is a query;
the gallery is every shop picture there is; R@k is the share of photos whose right product is among the first k answers,
ties broken against us. Each encoder is measured twice in the same run: nearest picture of the whole photo, and the
whole of a search (five windows, ten candidates examined, `PHOTO_WEIGHTS`, which `runs/verification.py` learns on other
products). No chance is in it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from runs.calibration import embed_cohort
from runs.verification import CANDIDATES, SIDE_PX, make_gallery

from shopcue.catalog.exact import similarities
from shopcue.catalog.pictures import read_picture, shrink
from shopcue.data.grocery import read_classes, read_photos
from shopcue.matching import CohortNorm, candidates, see
from shopcue.metrics.retrieval import first_hit_ranks, recall_at
from shopcue.models.detector import WindowDetector
from shopcue.models.image import HouseEncoder
from shopcue.models.verification import GeometricVerifier, photo_features, photo_log_odds
from shopcue.records import Frame


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("encoders", nargs="+", metavar="LABEL=FILE")
    parser.add_argument("--held-out", required=True)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    photos = 0
    for pair in arguments.encoders:
        label, file = pair.split("=")
        found, photos, pictures = measure(arguments.data, HouseEncoder(Path(file)), arguments.held_out.split(","))
        rows += [{"encoder": f"{label}, {way}", **figures} for way, figures in found.items()]
        print(json.dumps(rows[-2:]), flush=True)
    result = {
        "title": "Retrieval of products that the encoder has never seen.",
        "protocol": f"{photos} whole hand-held photos of {len(arguments.held_out.split(','))} cartons against "
        f"{pictures} shop pictures (GroceryStoreDataset, split by product, `runs/retrieval.py`).",
        "rows": rows,
    }
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def measure(data: Path, encoder: HouseEncoder, held_out: list[str]) -> tuple[dict[str, dict[str, float]], int, int]:
    """Return R@1 and R@5 of both ways, the number of photos and that of pictures."""
    classes = [c for c in read_classes(data / "grocery") if c.picture.is_file()]
    gallery = make_gallery(classes, encoder)
    norm = CohortNorm.of(similarities(gallery, embed_cohort(data, encoder)))
    verifier, windows = GeometricVerifier(gallery), WindowDetector(encoder)
    wanted = {c.class_id: row for row, c in enumerate(classes) if c.name in held_out}
    nearest, searched, truth = [], [], []
    for photo in read_photos(data / "grocery"):
        if photo.class_id not in wanted:
            continue
        image = shrink(read_picture(photo.path).image, SIDE_PX)
        similarity = similarities(gallery, windows.detect([Frame(0.0, image)])[0].vectors)
        sight = see(similarity, norm)
        products = candidates(sight, CANDIDATES)
        signs = photo_features(sight.similarity, products, verifier.examine(image, products))
        nearest.append(similarity[0])
        searched.append(photo_log_odds(signs))
        truth.append({wanted[photo.class_id]})
    figures = {}
    for way, rows in (("nearest picture", nearest), ("search", searched)):
        ranks = first_hit_ranks(np.stack(rows), truth)
        figures[way] = {f"R@{k}": round(recall_at(ranks, k), 3) for k in (1, 5)}
    return figures, len(truth), len(classes)


if __name__ == "__main__":
    main()
