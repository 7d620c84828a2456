"""The reader on a three-class tree in the true layout, traps included."""

from __future__ import annotations

from pathlib import Path

import pytest

from shopcue.data.grocery import GroceryPhoto, read_classes, read_photos
from shopcue.errors import MediaError

HEADER = (
    "Class Name (str),Class ID (int),Coarse Class Name (str),Coarse Class ID (int),Iconic Image Path (str),Text (str)"
)
ICONIC = "/iconic-images-and-descriptions"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rows = [
        HEADER,
        f"Lime,9,Lime,5,{ICONIC}/Fruit/Lime/Lime_Iconic.jpg,{ICONIC}/Fruit/Lime/Lime.txt",
        f'"Milk, 3%",41,Milk,20,{ICONIC}/Packages/Milk/Milk.jpg,{ICONIC}/Packages/Milk/Milk.txt',
        f"Oatly,45,Oat-Milk,22,{ICONIC}/Packages/Oat-Milk/Oatly.jpg,{ICONIC}/Packages/Oat-Milk/Oatly.txt",
    ]
    (tmp_path / "classes.csv").write_text("\n".join(rows) + "\n")
    photos = {"train/Fruit/Lime/Lime_001.jpg": 9, "train/Packages/Milk, 3%/a.jpg": 41, "test/Packages/Oatly/b.jpg": 45}
    for split in ("train", "val", "test"):
        lines = [f"{name}, {class_id}, 1" for name, class_id in photos.items() if name.startswith(split)]
        lines += [f"{split}/gone.jpg, 41, 20"]
        (tmp_path / f"{split}.txt").write_text("\n".join(lines) + "\n\n")
    for name in photos:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"jpeg")
    return tmp_path


def test_classes_say_what_is_one_article(root: Path) -> None:
    classes = read_classes(root)
    assert [(each.class_id, each.name, each.packaged) for each in classes] == [
        (9, "Lime", False),
        (41, "Milk, 3%", True),
        (45, "Oatly", True),
    ]
    assert classes[2].picture == root / "iconic-images-and-descriptions/Packages/Oat-Milk/Oatly.jpg"


def test_photos_that_are_not_there_are_left_out(root: Path) -> None:
    assert list(read_photos(root)) == [
        GroceryPhoto(9, root / "train/Fruit/Lime/Lime_001.jpg", "train"),
        GroceryPhoto(41, root / "train/Packages/Milk, 3%/a.jpg", "train"),
        GroceryPhoto(45, root / "test/Packages/Oatly/b.jpg", "test"),
    ]
    assert [photo.class_id for photo in read_photos(root, ("test",))] == [45]


def test_another_folder_is_refused(tmp_path: Path, root: Path) -> None:
    with pytest.raises(MediaError, match="no class table"):
        read_classes(tmp_path / "elsewhere")
    (root / "classes.csv").write_text(HEADER + "\nLime,nine,Lime,5,x,y\n")
    with pytest.raises(MediaError, match="no class table"):
        read_classes(root)


def test_the_shared_set_has_the_counts_of_its_docstring(shared: Path) -> None:
    classes = read_classes(shared / "data" / "grocery")
    photos = list(read_photos(shared / "data" / "grocery"))
    assert sum(each.packaged for each in classes) == 21
    assert all(each.picture.is_file() for each in classes)
    assert {each.class_id for each in classes if each.packaged} <= {photo.class_id for photo in photos}
