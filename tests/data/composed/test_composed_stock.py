"""Stocks read from small folders in the true layout, and what they hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from shopcue.data.composed import Stock, compose_scene, drawn_stock, read_stock
from shopcue.data.composed.actors import Actor, Grip, hand_layer, shadow_of
from shopcue.data.composed.figures import Figure, draw_body, hung
from shopcue.data.composed.grounds import IGNORED, STRANGER, emptied, frames
from shopcue.data.composed.layers import Pose, assemble, item_layer
from shopcue.data.composed.motion import Stay, Sway
from shopcue.data.composed.stock import PALM_PX, flat, twin_of, view_of
from shopcue.errors import MediaError
from shopcue.records import COARSE_CLASSES
from shopcue.sources.synthetic.designs import DESIGNS

Image = NDArray[np.uint8]
GOODS = COARSE_CLASSES.index("goods")
STILL = Sway(np.zeros(5), np.zeros((5, 2)), np.zeros((5, 2)))


def save(path: Path, picture: Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 97])


def pack_picture() -> Image:
    picture = np.full((200, 160, 3), 255, np.uint8)
    picture[30:180, 50:110] = (180, 40, 40)
    return picture


def garment_photo() -> Image:
    rng = np.random.default_rng(2)
    photo = np.clip(rng.normal((160, 130, 90), 8, (240, 180, 3)), 0, 255)
    photo[50:200, 40:140] = np.clip(rng.normal((30, 50, 130), 8, (150, 100, 3)), 0, 255)
    return photo.astype(np.uint8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two packs with two photos each, a fruit with ten photos, two garments in train and one in test."""
    root = tmp_path_factory.mktemp("data")
    rows = ["Class Name (str),Class ID (int),Coarse,Coarse ID,Iconic,Description"]
    lists = []
    for class_id, (name, place) in enumerate((("Milk", "Packages"), ("Juice", "Packages"), ("Kiwi", "Fruit"))):
        save(root / "grocery/icons" / place / f"{name}.jpg", pack_picture())
        rows.append(f"{name},{class_id},{name},{class_id},/icons/{place}/{name}.jpg,/none.txt")
        for number in range(10 if place == "Fruit" else 2):
            photo = np.full((64, 64, 3), 20 + 10 * number, np.uint8)
            save(root / "grocery/train" / place / f"{name}_{number}.jpg", photo)
            lists.append(f"train/{place}/{name}_{number}.jpg, {class_id}, {class_id}")
    (root / "grocery/classes.csv").write_text("\n".join(rows))
    (root / "grocery/train.txt").write_text("\n".join(lists))
    (root / "grocery/val.txt").write_text("")
    (root / "grocery/test.txt").write_text("")
    for split, kind, name in (("train", "t-shirt", "a"), ("train", "pants", "b"), ("test", "dress", "c")):
        save(root / "clothing" / split / kind / f"{name}.jpg", garment_photo())
    save(root / "clothing/train/hat/plain.jpg", np.full((90, 90, 3), 128, np.uint8))  # cannot be cut out
    return root


def test_a_stock_holds_what_the_folders_hold(data: Path) -> None:
    stock = read_stock(data, designs=DESIGNS[:1], twins=False)
    names = [(item.name, COARSE_CLASSES[item.coarse_class]) for item in stock.items]
    assert names == [
        ("Milk", "goods"),
        ("Juice", "goods"),
        (DESIGNS[0].product_id, "goods"),
        ("pants/b", "lower"),
        ("t-shirt/a", "upper"),
    ]
    assert [item.instance for item in stock.items] == [0, 1, 2, 3, 4]
    assert [int(photo.instances[0]) for photo in stock.photos] == [3, 4]  # no photo of a pack without its box


def test_only_some_products_and_one_split_may_be_asked_for(data: Path) -> None:
    stock = read_stock(data, products=[1], garments="test", designs=(), twins=False)
    assert [item.name for item in stock.items] == ["Juice", "dress/c"]


def test_a_photo_of_a_garment_is_marked_where_the_garment_is(data: Path) -> None:
    photo = read_stock(data, designs=(), twins=False).photos[0]
    assert photo.boxes[0] == pytest.approx([40, 50, 140, 200], abs=4)


def test_photos_of_packs_are_used_where_their_box_is_found(data: Path) -> None:
    asked: list[str] = []

    def locate(path: Path, image: Image) -> NDArray[np.float32] | None:
        asked.append(path.name)
        assert image.shape == (64, 64, 3)
        if path.name.startswith("Juice"):
            return None
        return np.array([5, 6, 50, 60] if path.name.startswith("Milk") else [20, 20, 50, 50], np.float32)

    stock = read_stock(data, designs=(), twins=False, locate=locate)
    held = [photo for photo in stock.photos if photo.classes[0] == GOODS]
    assert [photo.instances.tolist() for photo in held] == [[0], [0]]
    assert held[0].boxes.tolist() == [[5, 6, 50, 60]]
    assert asked[:4] == ["Milk_0.jpg", "Milk_1.jpg", "Juice_0.jpg", "Juice_1.jpg"]
    # A fruit in a hand is neither an article nor nothing.
    fruit = [ground for ground in stock.scenery if ground.image.shape == (64, 64, 3)]
    assert len(fruit) == 8
    assert all(ground.classes.tolist() == [IGNORED] and ground.instances.tolist() == [STRANGER] for ground in fruit)


def test_splits_have_places_of_their_own(data: Path) -> None:
    seen = {
        split: {ground.image.tobytes() for ground in read_stock(data, garments=split, designs=(), twins=False).scenery}
        for split in ("train", "test")
    }
    assert not seen["train"] & seen["test"]


def test_twins_differ_in_hue_alone(data: Path) -> None:
    stock = read_stock(data, designs=(), twins=True)
    milk, twin = stock.items[0], stock.items[2]
    assert (twin.name, twin.instance, twin.depth) == ("Milk/twin", 2, milk.depth)
    before, after = milk.views[0].pictures[0].astype(int), twin.views[0].pictures[0].astype(int)
    assert np.array_equal(before[..., 3], after[..., 3])
    middle = (before.shape[0] // 2, before.shape[1] // 2)
    assert max(before[middle][:3]) == pytest.approx(max(after[middle][:3]), abs=3)
    assert np.abs(before[middle] - after[middle]).max() > 60


def test_a_missing_data_set_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"classes\.csv"):
        read_stock(tmp_path)


def test_scenes_of_a_stock_that_was_read_can_be_composed(data: Path) -> None:
    stock = read_stock(data, designs=DESIGNS[:1])
    found = {int(instance) for seed in range(60) for instance in compose_scene(stock, seed).instance}
    assert found == set(range(len(stock.items)))


def test_the_shared_data_can_be_read(shared: Path) -> None:
    stock = read_stock(shared / "data", garments="test", per_kind=2, designs=(), twins=False)
    assert sum(item.coarse_class == GOODS for item in stock.items) == 21
    assert any(COARSE_CLASSES.index("upper") in ground.classes for ground in stock.scenery)  # of a video
    assert len(stock.scenery) > 100


# ---- grounds -----------------------------------------------------------------------------------------------------


def test_frames_are_of_known_videos_alone(tmp_path: Path, make_video: Callable[..., Path]) -> None:
    for name in ("02_cups.mp4", "03_blocks.mp4", "person.mp4"):
        (tmp_path / "clips").mkdir(exist_ok=True)
        make_video(name, [i / 10 for i in range(20)]).rename(tmp_path / "clips" / name)
    grounds = list(frames(tmp_path))
    assert len(grounds) == 32
    assert [COARSE_CLASSES[c] if c >= 0 else c for c in grounds[0].classes] == ["upper", IGNORED]
    width, height = grounds[0].image.shape[1::-1]
    assert grounds[0].boxes[0] == pytest.approx([0.34 * width, -0.22 * height, 0.75 * width, 0.54 * height])
    assert len(grounds[-1].boxes) == 0


def test_where_a_garment_lay_its_surroundings_are() -> None:
    photo = garment_photo()
    mask = np.zeros(photo.shape[:2], np.uint8)
    mask[50:200, 40:140] = 255
    ground = emptied(photo, mask)
    assert ground.image.shape == photo.shape
    assert len(ground.boxes) == 0
    assert np.abs(ground.image[60:190, 50:130].mean(axis=(0, 1)) - (160, 130, 90)).max() < 15


# ---- views, hands, figures ---------------------------------------------------------------------------------------


def test_a_view_is_tight_and_weighted_by_alpha() -> None:
    mask = np.zeros((200, 160), np.uint8)
    mask[30:180, 50:110] = 255
    view = view_of(pack_picture(), mask)
    assert [picture.shape for picture in view.pictures] == [(150, 60, 4), (75, 30, 4)]
    largest = view.pictures[0].astype(int)
    assert np.all(largest[..., :3].max(axis=-1) <= largest[..., 3])
    assert largest[75, 30].tolist() == [180, 40, 40, 255]
    assert view.hull.min(axis=0) == pytest.approx([0, 0], abs=2)
    assert view.hull.max(axis=0) == pytest.approx([59, 149], abs=2)
    left, right = view.sides
    assert left[75, 3] == pytest.approx(np.array([180, 40, 40]) * 0.8, abs=4)
    assert right.shape[0] == 150


def test_hands_stand_in_pairs_and_hold_the_edge_that_they_should() -> None:
    stock = drawn_stock(1)
    assert len(stock.grips) == len(stock.palms) == 10
    right, left = stock.grips[0].behind, stock.grips[1].behind
    assert np.array_equal(right, left[:, ::-1])


@pytest.mark.parametrize("side", [-1, 1])
def test_a_grip_covers_the_edge_that_it_holds(side: int) -> None:
    stock = drawn_stock(1)
    grip = Grip(stock.grips[0 if side > 0 else 1], side, 0.5, 0.35, before=True, tilt_deg=0)
    actor = Actor(stock.items[0], 0, Pose(150, 150, 200), STILL, Stay(), grip=grip)
    bare = Actor(stock.items[0], 0, Pose(150, 150, 200), STILL, Stay())
    ground = np.zeros((300, 300, 3), np.uint8)
    held, alone = (assemble(ground, player.layers(0, (300, 300))) for player in (actor, bare))
    assert alone.occlusion.tolist() == [0]
    assert 0.02 < held.occlusion[0] < 0.5
    changed = np.abs(held.image.astype(int) - alone.image).max(axis=-1)
    x0, _, x1, _ = alone.boxes[0]
    inside = changed[:, int(x0) : int(x1)]
    near, far = (inside[:, : inside.shape[1] // 4], inside[:, -inside.shape[1] // 4 :])[::-side]
    assert (near > 30).sum() > 4 * (far > 30).sum()


def test_a_thumb_before_covers_less_than_a_hand_before() -> None:
    stock = drawn_stock(1)
    shares = []
    for before in (False, True):
        grip = Grip(stock.grips[0], 1, 0.5, 0.35, before, 0)
        actor = Actor(stock.items[0], 0, Pose(150, 150, 200), STILL, Stay(), grip=grip)
        shares.append(float(assemble(np.zeros((300, 300, 3), np.uint8), actor.layers(0, (300, 300))).occlusion[0]))
    assert 0 < shares[0] < shares[1]


def test_a_hand_is_scaled_about_its_origin() -> None:
    hand = drawn_stock(1).grips[0]
    layer = hand_layer(hand.behind, hand.origin, (100.0, 80.0), 0.5, 0.0)
    assert layer.x == pytest.approx(100 - hand.origin[0] / 2, abs=1)
    assert layer.y == pytest.approx(80 - hand.origin[1] / 2, abs=1)
    solid = (layer.pixels[..., 3] >= 128).sum()
    assert solid == pytest.approx((hand.behind[..., 3] >= 128).sum() / 4, rel=0.02)
    assert PALM_PX > 0


def test_a_shadow_is_never_solid() -> None:
    thing = item_layer(drawn_stock(1).items[0], Pose(0, 0, 120))
    assert 0 < shadow_of(thing, 5.0).pixels[..., 3].max() < 128


def garment(kind: str) -> Image:
    return np.full((120, 90, 3), (30, 30, 30 + 30 * COARSE_CLASSES.index(kind)), np.uint8)


@pytest.mark.parametrize("kind", ["upper", "lower", "full", "footwear", "headwear"])
def test_garments_hang_where_they_are_worn(kind: str) -> None:
    mask = np.zeros((120, 90), np.uint8)
    mask[10:110, 15:75] = 255
    item = flat(kind, 0, COARSE_CLASSES.index(kind), garment(kind), mask)
    bones, head = draw_body(np.random.default_rng(0))
    worn = hung(item, 3, np.random.default_rng(0))
    still = Sway(np.zeros(4), np.zeros((4, 2)), np.zeros((4, 2)))
    figure = Figure(200, 20, 400, 0.0, bones, head, (worn,), still, (1, 1, 1))
    scene = assemble(np.zeros((460, 400, 3), np.uint8), figure.layers(0, (400, 460)))
    assert scene.track.tolist() == [3]
    x0, y0, x1, y1 = scene.boxes[0]
    assert (x0 + x1) / 2 == pytest.approx(200, abs=3)
    low, high = {
        "upper": (0.12, 0.56),
        "lower": (0.42, 1.0),
        "full": (0.12, 1.0),
        "footwear": (0.75, 1.02),
        "headwear": (-0.05, 0.1),
    }[kind]
    assert 20 + 400 * low <= y0 < y1 <= 20 + 400 * high
    # A head stands before collars; a hat stands before the head.
    assert (scene.occlusion[0] > 0) == (kind in ("upper", "full")) or scene.occlusion[0] < 0.05


def test_stocks_are_plain_values() -> None:
    first, second = drawn_stock(2, seed=1), drawn_stock(2, seed=1)
    assert isinstance(first, Stock)
    assert all(
        np.array_equal(a.views[0].pictures[0], b.views[0].pictures[0])
        for a, b in zip(first.items, second.items, strict=True)
    )
    twin = twin_of(first.items[0], 9)
    assert twin.instance == 9
