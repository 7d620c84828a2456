"""Photo -> shop picture on products that the encoder has never seen, as `shopcue search` answers it.

    python -m runs.retrieval DATA LABEL=ENCODER.onnx ... --held-out NAME,NAME,... [--out FILE]

DATA holds grocery/, clothing/ and video/. Protocol: every hand-held photo of the held-out products, whole, is a query;
the gallery is every shop picture there is; R@k is the share of photos whose right product is among the first k answers,
ties broken against us. Each encoder is measured in the same run by the nearest picture of the whole photo, of its
middle, and of the shipped detector's most prominent box, which has not seen these products either; the last encoder
also by the whole of a search (windows and that box, ten candidates examined, `PHOTO_WEIGHTS`, which
`runs/verification.py` learns on other products). No chance is in it.
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
from shopcue.geometry import crop
from shopcue.looking import Examiner
from shopcue.looking.tracklets import prominence
from shopcue.metrics.retrieval import first_hit_ranks, recall_at
from shopcue.models.detector import HouseDetector
from shopcue.models.image import HouseEncoder
from shopcue.records import Floats, Frame

NEAREST = ("whole photo", "its middle", "detected box")


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
        last = pair == arguments.encoders[-1]
        found, photos, pictures = measure(
            arguments.data, HouseEncoder(Path(file)), arguments.held_out.split(","), search=last
        )
        rows += [{"encoder": f"{label}, {way}", **figures} for way, figures in found.items()]
        print(json.dumps(rows[-len(found) :]), flush=True)
    result = {
        "title": "Retrieval of products that the encoder has never seen.",
        "protocol": f"{photos} whole hand-held photos of {len(arguments.held_out.split(','))} cartons against "
        f"{pictures} shop pictures (GroceryStoreDataset, split by product, `runs/retrieval.py`).",
        "rows": rows,
    }
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def measure(
    data: Path, encoder: HouseEncoder, held_out: list[str], *, search: bool
) -> tuple[dict[str, dict[str, float]], int, int]:
    """Return R@1 and R@5 of each way, the number of photos and that of pictures."""
    classes = [c for c in read_classes(data / "grocery") if c.picture.is_file()]
    gallery = make_gallery(classes, encoder)
    detector = HouseDetector()
    examiner = Examiner(gallery, encoder, embed_cohort(data, encoder), verify=CANDIDATES)
    wanted = {c.class_id: row for row, c in enumerate(classes) if c.name in held_out}
    scores: dict[str, list[Floats]] = {}
    truth = []
    for photo in read_photos(data / "grocery"):
        if photo.class_id not in wanted:
            continue
        image = shrink(read_picture(photo.path).image, SIDE_PX)
        height, width = image.shape[:2]
        seen = detector.detect([Frame(0.0, image)])[0]
        most = int(np.argmax(prominence(seen, width, height))) if len(seen) else None
        box = np.array([0, 0, width, height], np.float32) if most is None else seen.boxes[most]
        middle = np.array([0.2 * width, 0.2 * height, 0.8 * width, 0.8 * height], np.float32)
        vectors = encoder.encode([image, crop(image, middle), crop(image, box)])
        for way, row in zip(NEAREST, similarities(gallery, vectors), strict=True):
            scores.setdefault(way, []).append(row)
        if search:
            scores.setdefault("search", []).append(examiner.examine(image, seen))
        truth.append({wanted[photo.class_id]})
    figures = {}
    for way, rows in scores.items():
        ranks = first_hit_ranks(np.stack(rows), truth)
        figures[way] = {f"R@{k}": round(recall_at(ranks, k), 3) for k in (1, 5)}
    return figures, len(truth), len(classes)


if __name__ == "__main__":
    main()
