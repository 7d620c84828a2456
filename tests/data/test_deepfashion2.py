"""The reader on a small tree in the true layout, traps included."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopcue.data.deepfashion2 import (
    CATEGORIES,
    UNKNOWN,
    StreetPicture,
    crop_level,
    instance_classes,
    read_deepfashion2,
    street_to_shop,
    visible_boxes,
)
from shopcue.errors import MediaError
from shopcue.records import COARSE_CLASSES

SKIRT, TOP, DRESS = 9, 1, 12


def item(category_id: int, style: int, box: list[float], absent: int = 0, **values: Any) -> dict[str, Any]:
    """An item as the data set writes it, the last `absent` landmarks not labelled."""
    count = CATEGORIES[category_id - 1].landmarks
    labelled = [[box[0] + i, box[1] + i, 1 + i % 2] for i in range(count - absent)]
    document = {
        "segmentation": [[1, 2, 1, 17, 94, 58]],
        "scale": 2,
        "viewpoint": 2,
        "zoom_in": 1,
        "landmarks": [value for row in labelled + [[0, 0, 0]] * absent for value in row],
        "style": style,
        "bounding_box": box,
        "category_id": category_id,
        "occlusion": 1,
        "category_name": CATEGORIES[category_id - 1].name,
    }
    return document | values


PICTURES: dict[str, dict[str, Any] | None] = {
    # A number is missing, the order is not that of the numbers.
    "000001": {
        "item4": item(TOP, 0, [0, 0, 495, 179], absent=22),
        "source": "shop",
        "pair_id": 7,
        "item1": item(SKIRT, 1, [227, 86, 543, 455], occlusion=2),
    },
    "000002": {"source": "user", "pair_id": 7, "item1": item(SKIRT, 1, [-20, 10, 120, 300], absent=1, viewpoint=3)},
    "000003": {"source": "user", "pair_id": 7, "item2": item(TOP, 2, [5, 5, 90, 90], viewpoint=1, occlusion=3)},
    "000004": {"source": "user", "pair_id": 8},  # no items
    "000005": None,  # no annotation
    "000006": {"source": "shop", "pair_id": 8, "item1": item(DRESS, 1, [500, 10, 700, 400])},
    "000007": {"source": "shop", "pair_id": 9, "item1": item(SKIRT, 3, [1, 1, 50, 50])},
    "000008": {"source": "user", "pair_id": 9, "item1": item(SKIRT, 3, [1, 1, 50, 50])},
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("image", "annos"):
        (tmp_path / "train" / folder).mkdir(parents=True)
    for name, document in PICTURES.items():
        (tmp_path / "train" / "image" / f"{name}.jpg").write_bytes(b"jpeg")
        if document is not None:
            annotate(tmp_path, name, json.dumps(document))
    return tmp_path


def annotate(root: Path, name: str, text: str) -> None:
    (root / "train" / "annos" / f"{name}.json").write_text(text)


def read(root: Path) -> tuple[dict[str, StreetPicture], list[str]]:
    lines: list[str] = []
    pictures = {each.picture_id: each for each in read_deepfashion2(root, "train", lines.append)}
    assert all("\n" not in line for line in lines)
    return pictures, lines


def test_pictures_and_their_garments(root: Path) -> None:
    pictures, lines = read(root)
    assert list(pictures) == sorted(PICTURES.keys() - {"000005"})
    assert lines == [f"{root / 'train' / 'image' / '000005.jpg'} has no annotation"]
    first = pictures["000001"]
    assert (first.source, first.pair_id, first.path) == ("shop", 7, root / "train" / "image" / "000001.jpg")
    assert [(each.number, each.category, each.style) for each in first.garments] == [(1, SKIRT - 1, 1), (4, TOP - 1, 0)]
    skirt, top = first.garments
    assert skirt.box == (227, 86, 543, 455)
    assert (skirt.occlusion, skirt.viewpoint, skirt.zoom_in, skirt.scale) == (2, 2, 1, 2)
    np.testing.assert_array_equal(skirt.landmarks[:3], [[227, 86, 1], [228, 87, 2], [229, 88, 1]])
    assert (skirt.landmarks.shape, top.landmarks.shape) == ((8, 3), (25, 3))
    assert pictures["000004"].garments == ()


def test_categories_are_the_published_ones() -> None:
    assert len(CATEGORIES) == 13
    assert sum(each.landmarks for each in CATEGORIES) == 294
    coarse = {each.name: COARSE_CLASSES[each.coarse_class] for each in CATEGORIES}
    assert [coarse[name] for name in ("sling", "skirt", "trousers", "sling dress")] == [
        "upper",
        "lower",
        "lower",
        "full",
    ]


def test_quality_is_good_middling_or_bad(root: Path) -> None:
    pictures, _ = read(root)
    quality = {(name, each.number): each.quality for name, picture in pictures.items() for each in picture.garments}
    assert quality["000001", 1] == (0, 1, 0)  # frontal, medium, all landmarks labelled
    assert quality["000001", 4] == (0, 0, 2)  # 22 of 25 are not
    assert quality["000002", 1] == (2, 0, 1)  # side or back, slight, 1 of 8
    assert quality["000003", 2] == (1, 2, 0)  # not worn, heavy


@given(st.lists(st.sampled_from([0, 1, 2]), min_size=1, max_size=39))
def test_the_crop_follows_from_the_labelled_landmarks(visible: list[int]) -> None:
    landmarks = np.array([[5, 5, v] for v in visible], np.int64)
    absent = sum(v == 0 for v in visible)
    expected = 0 if absent == 0 else 1 if 2 * absent < len(visible) else 2
    assert crop_level(landmarks) == expected
    assert crop_level(landmarks[:0]) == UNKNOWN


def test_boxes_are_cut_at_the_picture(root: Path) -> None:
    pictures, _ = read(root)
    boxes, whose = visible_boxes(pictures["000002"], 100, 200)
    assert (boxes.tolist(), whose.tolist()) == ([[0, 10, 100, 200]], [0])
    boxes, whose = visible_boxes(pictures["000001"], 300, 100)
    assert (boxes.tolist(), whose.tolist()) == ([[227, 86, 300, 100], [0, 0, 300, 100]], [0, 1])
    for name in ("000006", "000004"):  # outside; none at all
        boxes, whose = visible_boxes(pictures[name], 300, 100)
        assert (boxes.shape, whose.shape) == ((0, 4), (0,))


def test_instances_are_pairs_with_a_style(root: Path) -> None:
    pictures, _ = read(root)
    assert instance_classes(pictures.values()) == {(7, 1): 0, (7, 2): 1, (8, 1): 2, (9, 3): 3}
    first = pictures["000001"]
    assert [first.instance(each) for each in first.garments] == [(7, 1), None]


def test_users_ask_and_shops_answer(root: Path) -> None:
    pictures, _ = read(root)
    protocol = street_to_shop(pictures.values())
    assert [(each.picture_id, each.number, each.instance) for each in protocol.queries] == [
        ("000002", 1, 0),
        ("000008", 1, 3),
    ]
    assert [(each.picture_id, each.number, each.instance) for each in protocol.gallery] == [
        ("000001", 1, 0),
        ("000001", 4, UNKNOWN),
        ("000006", 1, 2),
        ("000007", 1, 3),
    ]
    assert protocol.unanswered == 1  # style 2 of pair 7 is in no shop's picture


# ---- what is damaged ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '"shop"',
        "[" * 100_000,
        '{"source": "street", "pair_id": 1}',
        '{"source": "shop"}',
        '{"source": "shop", "pair_id": -1}',
        '{"source": "shop", "pair_id": "7\\n"}',
        '{"source": "shop", "pair_id": ' + "9" * 5000 + "}",
    ],
    ids=["empty", "cut", "list", "text", "deep", "source", "no pair", "negative", "text pair", "long number"],
)
def test_a_damaged_annotation_is_one_line(root: Path, text: str) -> None:
    annotate(root, "000002", text)
    pictures, lines = read(root)
    assert "000002" not in pictures
    assert len(pictures) == len(PICTURES) - 2
    assert len(lines) == 2
    assert lines[0].startswith(f"{root / 'train' / 'annos' / '000002.json'} is damaged (")


def test_an_annotation_that_is_no_text_or_too_large_is_one_line(root: Path) -> None:
    (root / "train" / "annos" / "000002.json").write_bytes(b"\xff\xfe\x00{")
    annotate(root, "000003", json.dumps(PICTURES["000003"]) + " " * (4 << 20))
    pictures, lines = read(root)
    assert not {"000002", "000003"} & pictures.keys()
    assert "000003.json is damaged (more than 4194304 bytes)" in lines[1]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"category_id": 14}, "its category_id is 14, expected 1 to 13"),
        ({"category_id": True}, "its category_id is True"),
        ({"occlusion": 0}, "its occlusion is 0, expected 1 to 3"),
        ({"viewpoint": "frontal"}, "its viewpoint is frontal"),
        ({"style": -1}, "its style is -1"),
        ({"bounding_box": [10, 10, 10, 40]}, "is empty"),
        ({"bounding_box": [10, 10, 40]}, "not four numbers"),
        ({"bounding_box": [10, 10, 40, float("nan")]}, "not four numbers"),
        ({"bounding_box": [10, 10, 40, 10**400]}, "not four numbers"),
        ({"bounding_box": None}, "not four numbers"),
    ],
)
def test_a_damaged_item_is_left_out_with_its_reason(root: Path, values: dict[str, Any], reason: str) -> None:
    document = {"source": "user", "pair_id": 7, "item1": item(SKIRT, 1, [0, 0, 9, 9]) | values}
    annotate(root, "000002", json.dumps(document | {"item3": item(TOP, 0, [0, 0, 9, 9])}))
    pictures, lines = read(root)
    assert [each.number for each in pictures["000002"].garments] == [3]
    assert lines[0].startswith("item1 of ")
    assert reason in lines[0]


@pytest.mark.parametrize("other", [None, 3, [], "item", {}])
def test_an_item_that_is_none_is_left_out(root: Path, other: object) -> None:
    annotate(root, "000002", json.dumps({"source": "user", "pair_id": 7, "item1": other}))
    pictures, lines = read(root)
    assert pictures["000002"].garments == ()
    assert "item1 of " in lines[0]


@pytest.mark.parametrize("landmarks", [[1, 2, 2], None, [0, 0, 3] * 8, ["1", 2, 2] * 8, [float("inf"), 2, 2] * 8])
def test_damaged_landmarks_leave_the_crop_unknown(root: Path, landmarks: object) -> None:
    document = {"source": "user", "pair_id": 7, "item1": item(SKIRT, 1, [0, 0, 9, 9], landmarks=landmarks)}
    annotate(root, "000002", json.dumps(document))
    pictures, lines = read(root)
    (garment,) = pictures["000002"].garments
    assert garment.quality == (0, 0, UNKNOWN)
    assert "keeps no landmarks" in lines[0]


def test_an_annotation_without_picture_is_named(root: Path) -> None:
    annotate(root, "000009", json.dumps(PICTURES["000004"]))
    assert read(root)[1][-1] == f"{root / 'train' / 'annos' / '000009.json'} has no picture"


@pytest.mark.parametrize("split", ["test", "validation", "../train"])
def test_another_folder_is_refused(root: Path, split: str) -> None:
    with pytest.raises(MediaError, match="is no split of DeepFashion2; expected train or validation"):
        list(read_deepfashion2(root, split, print))
