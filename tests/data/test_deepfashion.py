"""The reader on a tiny data set in the true layout, with the traps of the real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from shopcue.data.deepfashion import (
    ClothesPhoto,
    find_image,
    image_lines,
    read_consumer_to_shop,
    read_items,
)
from shopcue.errors import MediaError

COAT = "img/CLOTHING/Coat/id_00000001"
SKIRT = "img/DRESSES/Skirt/id_00000002"
SHIRT = "img/TOPS/T_Shirt/id_00000003"

PARTITION = f"""\
999
image_pair_name_1                       image_pair_name_2                   item_id     evaluation_status
{COAT}/comsumer_01.jpg                               {COAT}/shop_01.jpg                               id_00000001 train
{COAT}/comsumer_02.jpg                               {COAT}/shop_01.jpg                               id_00000001 train
{SKIRT}/comsumer_01.jpg                              {SKIRT}/shop_01.jpg                              id_00000002 val
{SKIRT}/comsumer_02.jpg                              {SKIRT}/shop_01.jpg                              id_00000002 val
{SHIRT}/comsumer_01.jpg                              {SHIRT}/shop_02.jpg                              id_00000003 test
{SHIRT}/comsumer_02.jpg                              {SHIRT}/shop_01.jpg                              id_00000003 test
{SHIRT}/comsumer_03.jpg                              {SHIRT}/shop_01.jpg                              id_00000003 test
"""

BOXES = f"""\
3
image_name  clothes_type  source_type  x_1  y_1  x_2  y_2
{COAT}/comsumer_01.jpg      3  2  010  020  110  220
{COAT}/shop_01.jpg          3  1  001  002  101  202
{SKIRT}/comsumer_01.jpg     2  2  050  050  050  150
{SHIRT}/shop_02.jpg         1  1  005  006  055  066
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The true layout: a partition whose count is wrong, boxes for some photos alone, one of them empty."""
    for name, text in {
        "Eval/list_eval_partition.txt": PARTITION,
        "Anno/list_bbox_consumer2shop.txt": BOXES,
        "Anno/list_item_consumer2shop.txt": "7\nitem_id\nid_00000001\nid_00000002\nid_00000003\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_every_photo_comes_once_on_its_side(root: Path) -> None:
    both = read_consumer_to_shop(root)
    assert [photo.image for photo in both.queries] == [
        f"{SKIRT}/comsumer_01.jpg",
        f"{SKIRT}/comsumer_02.jpg",
        f"{SHIRT}/comsumer_01.jpg",
        f"{SHIRT}/comsumer_02.jpg",
        f"{SHIRT}/comsumer_03.jpg",
    ]
    assert [photo.image for photo in both.gallery] == [
        f"{SKIRT}/shop_01.jpg",
        f"{SHIRT}/shop_02.jpg",
        f"{SHIRT}/shop_01.jpg",
    ]
    assert [photo.item_id for photo in both.gallery] == ["id_00000002", "id_00000003", "id_00000003"]
    assert {photo.source for photo in both.queries} == {"consumer"}
    assert {photo.source for photo in both.gallery} == {"shop"}


def test_splits_are_kept_apart(root: Path) -> None:
    test, train = read_consumer_to_shop(root, ("test",)), read_consumer_to_shop(root, ("train",))
    assert (len(test.queries), len(test.gallery)) == (3, 2)
    assert (len(train.queries), len(train.gallery)) == (2, 1)
    assert train.queries[0] == ClothesPhoto(
        f"{COAT}/comsumer_01.jpg", "id_00000001", "consumer", (10.0, 20.0, 110.0, 220.0), "full"
    )


def test_a_photo_without_a_proper_box_has_none(root: Path) -> None:
    both = read_consumer_to_shop(root)
    boxes = {photo.image: (photo.box, photo.clothes) for photo in (*both.queries, *both.gallery)}
    assert boxes[f"{SKIRT}/comsumer_01.jpg"] == (None, "lower"), "its box is empty"
    assert boxes[f"{SKIRT}/comsumer_02.jpg"] == (None, ""), "it is not in the list"
    assert boxes[f"{SHIRT}/shop_02.jpg"] == ((5.0, 6.0, 55.0, 66.0), "upper")


@pytest.mark.parametrize("name", ["list_item_consumer2shop.txt", "list_items_consumer2shop.txt"])
@pytest.mark.parametrize("header", ["7\nitem_id\n", "7\n"])
def test_the_item_list_goes_by_two_names(root: Path, name: str, header: str) -> None:
    (root / "Anno/list_item_consumer2shop.txt").unlink()
    (root / "Anno" / name).write_text(header + "id_00000001\nid_00000002\n")
    assert read_items(root) == ["id_00000001", "id_00000002"]


def test_pictures_lie_in_one_of_two_folders_or_are_missing(root: Path) -> None:
    for folder, name in ((root, "shop_01.jpg"), (root / "Img", "shop_02.jpg")):
        (folder / SHIRT).mkdir(parents=True)
        (folder / SHIRT / name).touch()
    assert find_image(root, f"{SHIRT}/shop_01.jpg") == root / SHIRT / "shop_01.jpg"
    assert find_image(root, f"{SHIRT}/shop_02.jpg") == root / "Img" / SHIRT / "shop_02.jpg"
    assert find_image(root, f"{SHIRT}/shop_03.jpg") is None


def test_lines_tell_two_data_sets_apart(root: Path) -> None:
    before = list(image_lines(read_consumer_to_shop(root, ("test",)).gallery))
    path = root / "Anno/list_bbox_consumer2shop.txt"
    path.write_text(path.read_text().replace("005  006", "005  007"))
    after = list(image_lines(read_consumer_to_shop(root, ("test",)).gallery))
    assert len(before) == len(after) == 2
    assert before[0] != after[0]
    assert before[1] == after[1]


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("Eval/list_eval_partition.txt", " val\n", " vol\n", r"line 5: split 'vol', expected train, val, test"),
        ("Eval/list_eval_partition.txt", " val\n", "\n", r"line 5: 3 columns came, expected 4"),
        ("Eval/list_eval_partition.txt", "id_00000002 val", "id_00000009 val", r"line 6: .*expected one item"),
        ("Eval/list_eval_partition.txt", f"{SHIRT}/comsumer_01", "../../etc/shadow", r"line 7: .*leaves the folder"),
        ("Eval/list_eval_partition.txt", f"{SHIRT}/comsumer_01", "/etc/shadow", r"line 7: .*leaves the folder"),
        ("Anno/list_bbox_consumer2shop.txt", "3  2  010", "4  2  010", r"line 3: '4' is none of 1-3"),
        ("Anno/list_bbox_consumer2shop.txt", "3  2  010", "3  0  010", r"line 3: '0' is none of 1-2"),
        ("Anno/list_bbox_consumer2shop.txt", "010", "ten", r"line 3: could not convert string to float: 'ten'"),
        ("Anno/list_bbox_consumer2shop.txt", "010", "x" * 9999, r"line 3: .* columns came, expected 7"),
    ],
)
def test_a_damaged_list_is_one_line(root: Path, name: str, old: str, new: str, message: str) -> None:
    path = root / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(MediaError, match=message) as caught:
        read_consumer_to_shop(root)
    assert len(str(caught.value)) < 6000


def test_missing_lists_and_unknown_splits(tmp_path: Path, root: Path) -> None:
    with pytest.raises(MediaError, match="no split 'dev'"):
        read_consumer_to_shop(root, ("dev",))
    with pytest.raises(MediaError, match="give the folder of DeepFashion"):
        read_consumer_to_shop(tmp_path / "nowhere")
    with pytest.raises(MediaError, match="give the folder of DeepFashion"):
        read_items(tmp_path / "nowhere")
    (root / "Eval/list_eval_partition.txt").write_text("0\nheader\n")
    with pytest.raises(MediaError, match="names no photo of val \\+ test"):
        read_consumer_to_shop(root)
