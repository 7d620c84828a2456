"""The protocols against a plain loop over what lies on disk, with missing pictures, and boxes that are detected."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from drawn_garments import consumer_photo, draw_garment, write_data_set
from shopcue.catalog.pictures import read_picture
from shopcue.data.deepfashion2 import CATEGORIES
from shopcue.errors import MediaError, ScoreError, WeightsError
from shopcue.protocols import RetrievalReport, consumer_to_shop, deepfashion2, evaluate
from shopcue.records import Detections, Floats, Frame, Image


class Colours:
    """An encoder that looks at coarse colours alone."""

    dim = 12
    fingerprint = "colours"

    def encode(self, images: Sequence[Image]) -> Floats:
        small = [cv2.resize(image, (2, 2), interpolation=cv2.INTER_AREA).reshape(-1) for image in images]
        vectors = np.asarray(small, np.float32) + 1
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def quiet(line: str) -> None:
    """Take a line that the test does not look at."""


# ---- DeepFashion consumer-to-shop ---------------------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    write_data_set(tmp_path, {"train": 2, "val": 4, "test": 6})
    return tmp_path


def by_loop(root: Path, items: range, ks: tuple[int, ...]) -> dict[int, float]:
    """Recall of consumers' photos against shops' photos of some items, from the files alone."""
    boxes = {}
    for line in (root / "Anno/list_bbox_consumer2shop.txt").read_text().splitlines()[2:]:
        name, _, _, *corners = line.split()
        boxes[name] = [int(value) for value in corners]

    def vector(path: Path) -> Floats | None:
        try:
            image = read_picture(path).image
        except MediaError:
            return None
        x0, y0, x1, y1 = boxes[str(path.relative_to(root))]
        encoded: Floats = Colours().encode([image[y0:y1, x0:x1]])[0]
        return encoded

    gallery, hits, asked = [], dict.fromkeys(ks, 0), 0
    for item in items:
        for path in (root / "img").glob(f"*/*/id_{item:08d}/shop_*.jpg"):
            found = vector(path)
            if found is not None:
                gallery.append((item, found))
    for item in items:
        for number in (1, 2, 3):  # a photo that is missing on disk is asked for as well
            asked += 1
            folder = next((root / "img").glob(f"*/*/id_{item:08d}"))
            query = vector(folder / f"comsumer_{number:02d}.jpg")
            if query is None:
                continue
            order = sorted(gallery, key=lambda row: (-float(query @ row[1]), row[0] == item))
            for k in ks:
                hits[k] += any(owner == item for owner, _ in order[:k])
    return {k: hits[k] / asked for k in ks}


def test_consumer_to_shop_equals_the_loop_on_both_galleries(shop: Path) -> None:
    both, test = consumer_to_shop(shop, Colours(), None, None, quiet)
    assert both.recall == pytest.approx(by_loop(shop, range(3, 13), (1, 20, 50)))
    assert test.recall == pytest.approx(by_loop(shop, range(7, 13), (1, 20, 50)))
    assert (both.protocol, both.queries, both.gallery, both.missing) == ("deepfashion-c2s/val+test", 30, 20, 0)
    assert (test.protocol, test.queries, test.gallery, test.missing) == ("deepfashion-c2s/test", 18, 12, 0)
    assert 0 < both.recall[1] < test.recall[20] == 1, "the task is neither trivial nor hopeless"


def test_missing_and_damaged_pictures_are_counted_and_cost_recall(shop: Path) -> None:
    queries = sorted((shop / "img").glob("*/*/id_00000007/comsumer_*.jpg"))
    queries[0].unlink()
    queries[1].write_bytes(b"no picture")
    for path in (shop / "img").glob("*/*/id_00000008/shop_*.jpg"):
        path.unlink()
    both, test = consumer_to_shop(shop, Colours(), None, None, quiet)
    for report in (both, test):
        assert (report.missing, report.gallery_missing) == (2, 2)
    assert test.gallery == 10
    assert test.recall == pytest.approx(by_loop(shop, range(7, 13), (1, 20, 50)))
    assert test.recall[50] == pytest.approx((18 - 2 - 3) / 18), "what has no answer in the gallery is a miss at every k"


def test_a_report_as_json() -> None:
    report = RetrievalReport(
        protocol="p", recall={1: 0.5, 20: 1.0}, queries=4, missing=1, sizes=(9,), gallery_missing=2
    )
    assert json.loads(json.dumps(report.document)) == {
        "protocol": "p",
        "R@1": 0.5,
        "R@20": 1.0,
        "queries": 4,
        "missing": 1,
        "gallery": {"min": 9, "median": 9, "max": 9},
        "gallery_missing": 2,
    }


# ---- DeepFashion2 ---------------------------------------------------------------------------------------------------

SPOTS = ((10, 10, 90, 110), (130, 40, 230, 160))
"""Where the garments of a picture are: two at the most."""


def write_street(root: Path, pictures: Sequence[tuple[str, int, Sequence[tuple[int, int]]]]) -> None:
    """Write pictures as (source, pair, garments as (garment to draw, style)) in the layout of DeepFashion2."""
    for folder in ("image", "annos"):
        (root / "validation" / folder).mkdir(parents=True)
    for number, (source, pair, garments) in enumerate(pictures, 1):
        canvas = np.full((170, 240, 3), 200, np.uint8)
        document: dict[str, object] = {"source": source, "pair_id": pair}
        for place, (drawn, style) in enumerate(garments):
            photo, box = consumer_photo(draw_garment(drawn), np.random.default_rng([number, place]))
            x0, y0, x1, y1 = SPOTS[place]
            canvas[y0:y1, x0:x1] = cv2.resize(photo[box[1] : box[3], box[0] : box[2]], (x1 - x0, y1 - y0))
            document[f"item{place + 1}"] = {
                "category_id": 1,
                "style": style,
                "bounding_box": list(SPOTS[place]),
                "landmarks": [0] * (3 * CATEGORIES[0].landmarks),
                "occlusion": 1,
                "viewpoint": 2,
                "zoom_in": 1,
                "scale": 2,
            }
        cv2.imwrite(str(root / "validation" / "image" / f"{number:06d}.jpg"), canvas[..., ::-1])
        (root / "validation" / "annos" / f"{number:06d}.json").write_text(json.dumps(document))


@pytest.fixture
def street(tmp_path: Path) -> Path:
    write_street(
        tmp_path,
        [
            ("user", 1, [(1, 1), (2, 2)]),
            ("user", 1, [(1, 1), (9, 0)]),  # the second has no pair and asks nothing
            ("user", 2, [(4, 1)]),
            ("user", 2, [(5, 7)]),  # no shop sells it
            ("shop", 1, [(1, 1)]),
            ("shop", 1, [(2, 2), (8, 0)]),
            ("shop", 2, [(4, 1)]),
        ],
    )
    return tmp_path


class Finder:
    """A detector that finds the spots, but for those that it is told to overlook or to misplace."""

    fingerprint = "finder"

    def __init__(self, overlooked: Sequence[int] = (), shifted: Sequence[int] = ()) -> None:
        self._overlooked, self._shifted = overlooked, shifted
        self._calls = 0

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        self._calls += 1
        boxes = [] if self._calls in self._overlooked else [SPOTS[0], SPOTS[1]]
        found = np.array(boxes, np.float32).reshape(-1, 4)
        if self._calls in self._shifted:
            found = found + np.array([60, 0, 60, 0], np.float32)
        found *= np.float32(frames[0].image.shape[1] / 240)
        count = len(found)
        return [
            Detections(
                0.0,
                found,
                np.full(count, 0.9, np.float32),
                np.zeros(count, np.int64),
                np.ones((count, 3), np.float32),
                np.ones((count, 1), np.float32),
            )
        ]


def test_street_to_shop_with_annotated_boxes(street: Path) -> None:
    (report,) = deepfashion2(street, Colours(), None, None, quiet)
    assert (report.protocol, report.queries, report.gallery) == ("deepfashion2/annotated boxes", 4, 4)
    assert list(report.recall) == [1, 5, 10, 15, 20]
    assert report.recall[5] == 1, "the gallery has four rows"
    assert report.missing == 0


def test_street_to_shop_with_detected_boxes(street: Path) -> None:
    (report,) = deepfashion2(street, Colours(), Finder(), None, quiet)
    assert (report.protocol, report.queries, report.gallery) == ("deepfashion2/detected boxes", 4, 6)
    assert (report.missing, report.recall[10]) == (0, 1)


def test_what_is_not_detected_is_a_miss(street: Path) -> None:
    (report,) = deepfashion2(street, Colours(), Finder(overlooked=(1,)), None, quiet)
    assert (report.queries, report.missing, report.recall[20]) == (4, 2, 0.5)


def test_a_hit_must_lie_where_the_garment_is(street: Path) -> None:
    (report,) = deepfashion2(street, Colours(), Finder(shifted=(7,)), None, quiet)
    assert (report.queries, report.missing, report.gallery) == (4, 0, 6)
    assert report.recall[20] == 0.75, "the only picture of the fourth query's garment is found beside it"


@pytest.mark.parametrize("detector", [None, Finder], ids=["annotated", "detected"])
def test_boxes_of_large_pictures_are_those_of_the_file(street: Path, detector: type[Finder] | None) -> None:
    """Pictures of more than 1024 pixels are shrunk as they are read, and their annotations are not."""

    def judged() -> RetrievalReport:
        finder = None if detector is None else detector(shifted=(7,))
        (report,) = deepfashion2(street, Colours(), finder, None, quiet)
        return report

    small = judged()
    for path in street.rglob("*.jpg"):
        cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), None, fx=8, fy=8))  # type: ignore[arg-type]
    for path in street.rglob("*.json"):
        document = json.loads(path.read_text())
        for item in document.values():
            if isinstance(item, dict):
                item["bounding_box"] = [8 * side for side in item["bounding_box"]]
        path.write_text(json.dumps(document))
    large = judged()
    assert large == small


def test_a_split_without_pairs_is_refused(tmp_path: Path) -> None:
    write_street(tmp_path, [("user", 1, [(1, 0)]), ("shop", 1, [(1, 0)])])
    with pytest.raises(MediaError, match="no garment of a user that a shop sells"):
        deepfashion2(tmp_path, Colours(), None, None, quiet)


# ---- by name -----------------------------------------------------------------------------------------------------


def test_protocols_by_name_with_the_shipped_encoder(shop: Path) -> None:
    import shopcue

    model = Path(shopcue.__file__).parent / "weights" / "house-encoder.onnx"
    seen = set()
    reports = evaluate("deepfashion-c2s", shop, model, update=lambda what, done, total: seen.add((what, done == total)))
    assert [report.protocol for report in reports] == ["deepfashion-c2s/val+test", "deepfashion-c2s/test"]
    assert reports[1].recall[1] > 1 / 6, "better than chance"
    assert {("gallery", True), ("queries", True)} <= seen
    with pytest.raises(ScoreError, match="expected one of deepfashion-c2s, deepfashion2"):
        evaluate("deepfashion3", shop, model)
    with pytest.raises(WeightsError):
        evaluate("deepfashion-c2s", shop, shop / "none.onnx")
    with pytest.raises(MediaError, match="give the folder of DeepFashion"):
        evaluate("deepfashion-c2s", shop / "nowhere", model)
