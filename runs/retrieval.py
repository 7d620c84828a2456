"""Photo -> shop picture on products that the encoder has never seen, as `shopcue search` answers it.

    python runs/retrieval.py GROCERY LABEL=ENCODER.onnx ... --held-out NAME,NAME,... [--out FILE]

GROCERY is the folder of GroceryStoreDataset. Protocol: every hand-held photo of the held-out products, whole, is a
query; the gallery is every shop picture there is; R@k is the share of photos whose right product is among the first k
answers, ties broken against us. Each encoder is measured twice in the same run: nearest picture of the whole photo, and
the whole of `search` (five windows, ten candidates verified, the shipped weights of the score). No chance is in it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from shopcue.catalog.exact import similarities
from shopcue.catalog.pictures import read_picture, shrink
from shopcue.data.grocery import read_classes, read_photos
from shopcue.metrics.retrieval import first_hit_ranks, recall_at
from shopcue.models.calibration import TrainedCalibration, read_calibration
from shopcue.models.image import HouseEncoder, trim_margins
from shopcue.pipeline import Looker, detect
from shopcue.records import Catalog, Frame, Gallery, Product


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("grocery", type=Path)
    parser.add_argument("encoders", nargs="+", metavar="LABEL=FILE")
    parser.add_argument("--held-out", required=True)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    photos = 0
    for pair in arguments.encoders:
        label, file = pair.split("=")
        found, photos, pictures = measure(arguments.grocery, HouseEncoder(Path(file)), arguments.held_out.split(","))
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


def measure(root: Path, encoder: HouseEncoder, held_out: list[str]) -> tuple[dict[str, dict[str, float]], int, int]:
    """Return R@1 and R@5 of both ways, the number of photos and that of pictures."""
    classes = [c for c in read_classes(root) if c.picture.is_file()]
    pictures = tuple(np.ascontiguousarray(trim_margins(read_picture(c.picture).image)) for c in classes)
    catalog = Catalog(tuple(Product(c.name, c.name.replace("-", " "), (str(c.picture),)) for c in classes))
    gallery = Gallery(catalog, encoder.encode(pictures), np.arange(len(classes)), encoder.fingerprint, pictures)
    shipped = read_calibration()
    # The weights of the score are the shipped ones; the cohort is replaced by the gallery itself, since the shipped one
    # was embedded by the shipped encoder and cannot be compared with.
    trained = TrainedCalibration(encoder.fingerprint, shipped.calibration, gallery.vectors)
    looker = Looker(gallery, encoder, trained, verify=10)
    place = {c.class_id: i for i, c in enumerate(classes)}
    wanted = {c.class_id for c in classes if c.name in held_out}
    nearest, searched, truth = [], [], []
    for photo in read_photos(root):
        if photo.class_id not in wanted:
            continue
        image = shrink(read_picture(photo.path).image, 640)
        frame = Frame(0.0, image)
        detections = detect([frame], encoder)[0]
        nearest.append(similarities(gallery, detections.vectors[:1])[0])
        searched.append(looker.look(frame, detections).visual)
        truth.append({place[photo.class_id]})
    figures = {}
    for way, rows in (("nearest picture", nearest), ("search", searched)):
        ranks = first_hit_ranks(np.stack(rows), truth)
        figures[way] = {f"R@{k}": round(recall_at(ranks, k), 3) for k in (1, 5)}
    return figures, len(truth), len(classes)


if __name__ == "__main__":
    main()
