"""Composed clips: of a small world drawn on the spot, and of the shared data where they are."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drawn_garments import SIDE_PX, draw_garment
from shopcue.data.clip_pairs import ClipPair
from shopcue.data.composed.articles import Article, colours_of, read_articles
from shopcue.data.composed.clip_sets import ClipFormat, places_of, shop_picture, write_clip_set
from shopcue.data.composed.clips import compose_clip, furnish, read_ware
from shopcue.data.composed.cloth import draw_cloth
from shopcue.data.composed.handheld import film
from shopcue.data.composed.layers import Label
from shopcue.data.composed.lives import ClipSetPlan, families_of, plan_lives, split_articles
from shopcue.data.composed.motion import Sway
from shopcue.data.composed.phrases import COLOURS, HOMOPHONES
from shopcue.data.composed.stock import flat
from shopcue.data.composed.words import HEARD, LANGUAGES, draw_heard, garment_title, goods_title, misheard, speak
from shopcue.data.composed_clips import read_composed_bench, read_composed_head, read_composed_pairs
from shopcue.errors import MediaError, OutputError, SettingsError
from shopcue.records import Image
from shopcue.sources.synthetic.designs import DESIGNS
from shopcue.sources.synthetic.packages import build, render

FOLDERS = {"T_Shirt": "t-shirt", "Skirt": "skirt", "Dress": "dress"}
PLAN = ClipSetPlan(train_clips=24, test_clips=8, gallery=14, held_out=0.34, goods=0.25, seed=3)
FORM = ClipFormat(frames=6, side_px=96)


# ---- a small world -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Garments, cartons with photos and produce, all drawn, in the layouts of the two data sets."""
    root = tmp_path_factory.mktemp("world")
    for number in range(30):
        garment = draw_garment(number)
        photo = _cloth_of_a_table(number)
        photo[20:-20, 20:-20][garment.mask > 0] = garment.pixels[garment.mask > 0]
        _save(root / "clothing" / "train" / FOLDERS[garment.cut] / f"g{number:02d}.jpg", photo)
    _write_groceries(root / "grocery")
    return root


def _cloth_of_a_table(seed: int) -> Image:
    """Return a ground of one colour in uneven light, with the grain of a camera: else there is nothing to segment."""
    side = SIDE_PX + 40
    light = np.linspace(170, 235, side)[:, None, None] + np.random.default_rng(seed).normal(0, 5, (side, side, 3))
    return np.asarray(np.clip(light, 0, 255), np.uint8)


def _write_groceries(root: Path) -> None:
    rows, lines = ["name,id,coarse,coarse id,picture,text"], []
    rng = np.random.default_rng(5)
    for number, design in enumerate(DESIGNS[:4]):
        pack = render(build(design), 300, 0.0, 0.0)
        white = np.full((340, 340, 3), 255, np.uint8)
        _lay(white, pack)
        _save(root / "icons" / "Packages" / f"{number}.jpg", white)
        rows.append(f"Brand-Thing-{number},{number},Juice,0,/icons/Packages/{number}.jpg,/none.txt")
        for index in range(3):
            shelf = np.asarray(cv2.resize(rng.integers(60, 200, (6, 6, 3), np.uint8), (340, 340)), np.uint8)
            _lay(shelf, pack)
            turned = cv2.getRotationMatrix2D((170, 170), float(rng.uniform(-15, 15)), float(rng.uniform(0.6, 0.9)))
            photo = cv2.warpAffine(shelf, turned, (340, 340), borderMode=cv2.BORDER_REFLECT)
            _save(root / "train" / f"{number}-{index}.jpg", np.asarray(photo, np.uint8))
            lines.append(f"train/{number}-{index}.jpg, {number}, 0")
    for number in (4, 5, 6):
        picture = np.full((200, 200, 3), 255, np.uint8)
        cv2.circle(picture, (100, 100), 70, (200, 40 * (number - 3), 30), -1)
        _save(root / "icons" / "Fruit" / f"{number}.jpg", picture)
        rows.append(f"Sort-{number},{number},Apple,1,/icons/Fruit/{number}.jpg,/none.txt")
        _save(root / "train" / f"{number}.jpg", np.tile(picture[20:180, 20:180], (2, 2, 1)))
        lines.append(f"train/{number}.jpg, {number}, 1")
    (root / "classes.csv").write_text("\n".join(rows) + "\n")
    (root / "train.txt").write_text("\n".join(lines) + "\n")
    for split in ("val", "test"):
        (root / f"{split}.txt").write_text("")


def _lay(ground: Image, pack: Image) -> None:
    """Lay an RGBA picture on the middle of a ground, in place."""
    y, x = (ground.shape[0] - pack.shape[0]) // 2, (ground.shape[1] - pack.shape[1]) // 2
    part = ground[y : y + pack.shape[0], x : x + pack.shape[1]]
    alpha = pack[..., 3:] / 255
    part[...] = (pack[..., :3] * alpha + part * (1 - alpha)).astype(np.uint8)


def _save(path: Path, picture: Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])


@pytest.fixture(scope="module")
def articles(world: Path) -> list[Article]:
    return read_articles(world)


@pytest.fixture(scope="module")
def composed(world: Path, articles: list[Article], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("composed") / "set"
    write_clip_set(articles, world, out, PLAN, FORM)
    return out


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# ---- articles ----------------------------------------------------------------------------------------------------


def test_articles_are_cut_out_and_found_in_their_photos(articles: list[Article]) -> None:
    kinds = Counter(article.kind for article in articles)
    assert kinds["carton"] == 4
    assert kinds["produce"] == 3
    assert kinds["t-shirt"] + kinds["skirt"] + kinds["dress"] >= 24  # of 30
    cartons = [article for article in articles if article.kind == "carton"]
    found = [photo for article in cartons for photo in article.photos]
    assert len(found) >= 8  # of 12
    for photo in found:  # a pack of 300 px, 0.6 to 0.9 times as large, in the middle of 340 px
        tall = np.ptp(photo.outline[:, 1]) * 340
        assert 0.5 * 300 < tall < 1.15 * 300
        middle = (photo.outline.min(axis=0) + photo.outline.max(axis=0)) / 2
        assert np.abs(middle - 0.5).max() < 0.1


def test_a_garment_that_was_photographed_twice_counts_once(
    world: Path, articles: list[Article], tmp_path: Path
) -> None:
    """The same photo, and the same thing in a slightly other light; none of the others is lost."""
    first = next(article for article in articles if article.kind == "dress")
    photo = cv2.imread(str(first.picture))
    assert photo is not None
    (tmp_path / "grocery").symlink_to(world / "grocery")
    folder = tmp_path / "clothing" / "train" / "dress"
    for name, image in (("a", photo), ("b", photo), ("c", np.clip(photo * 1.02 + 1, 0, 255).astype(np.uint8))):
        _save(folder / f"{name}.jpg", np.asarray(image[..., ::-1], np.uint8))
    assert [article.key for article in read_articles(tmp_path) if article.is_garment] == ["garment/dress/a"]
    assert sum(article.is_garment for article in articles) >= 24


@pytest.mark.parametrize("name", ["Red", "Navy", "White", "Teal"])
def test_a_plain_thing_has_the_colour_it_was_painted_in(name: str) -> None:
    chinese, rgb = COLOURS[name]
    picture = np.zeros((40, 40, 3), np.uint8) + np.array(rgb, np.uint8)
    assert colours_of(picture, np.full((40, 40), 255, np.uint8)) == ((name, chinese),)


def test_a_thing_in_two_colours_has_both() -> None:
    picture = np.zeros((40, 40, 3), np.uint8) + np.array(COLOURS["Red"][1], np.uint8)
    picture[:16] = COLOURS["White"][1]
    names = [name for name, _ in colours_of(picture, np.full((40, 40), 255, np.uint8))]
    assert names == ["Red", "White"]


# ---- words -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_titles_differ_and_stay_and_leak_nothing(language: str) -> None:
    assert language in ("en", "zh")
    taken: set[str] = set()
    keys = [f"garment/dress/{hashlib.sha256(bytes([number])).hexdigest()}" for number in range(200)]
    for key in keys:
        title = garment_title(key, "dress", (("Navy", "藏青色"),), language, taken)  # type: ignore[arg-type]
        assert title == garment_title(key, "dress", (("Navy", "藏青色"),), language, taken)  # type: ignore[arg-type]
        taken.add(title.text)
        assert key.rsplit("/", 1)[1][:6] not in title.text
        letters = title.text.replace(" in Navy", "") if language == "en" else title.text
        for word in title.keywords[1].split() if language == "en" else title.keywords[:1]:
            assert word in letters
    assert len(taken) == len(keys)


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.sampled_from(LANGUAGES))
def test_what_is_misheard_is_another_text_of_the_same_length_or_so(seed: int, language: Any) -> None:
    rng = np.random.default_rng(seed)
    garment = garment_title(str(seed), "t-shirt", (("Red", "红色"),), language, ())
    for said in (*garment.keywords, *goods_title("Arla-Standard-Milk", "Milk", language).keywords):
        heard = misheard(said, language, rng)
        assert heard != said
        if language == "zh" and said in garment.keywords and len(heard) == len(said):
            changed = [(a, b) for a, b in zip(said, heard, strict=True) if a != b]
            assert all(b in HOMOPHONES.get(a, "") or a.isascii() for a, b in changed)


def test_no_character_is_its_own_homophone() -> None:
    assert all(right not in wrong for right, wrong in HOMOPHONES.items())


@pytest.mark.parametrize("language", LANGUAGES)
def test_speech_names_what_it_says_it_names(language: Any) -> None:
    shown = garment_title("one", "skirt", (("Red", "红色"),), language, ())
    other = goods_title("Valio-Vanilla-Yoghurt", "Yoghurt", language)
    counts: Counter[str] = Counter()
    for seed in range(600):
        rng = np.random.default_rng(seed)
        heard = draw_heard(rng)
        counts[heard] += 1
        text = speak(shown, [other], heard, 2, language, rng).lower()
        says = any(keyword.lower() in text for keyword in shown.keywords)
        names_other = any(keyword.lower() in text for keyword in other.keywords)
        assert says == (heard == "named"), (heard, text)
        if heard == "missing":
            assert not names_other
        if heard == "other":
            assert names_other
    for heard, share in HEARD.items():
        assert abs(counts[heard] / 600 - share) < 0.07


# ---- lives -------------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), clips=st.integers(2, 90))
def test_no_article_is_in_two_lives_or_splits(articles: list[Article], seed: int, clips: int) -> None:
    lives = plan_lives(articles, ClipSetPlan(clips, clips, gallery=9, held_out=0.3, goods=0.2, seed=seed))
    shown = Counter(article.key for live in lives for article in live.articles)
    assert max(shown.values()) == 1
    assert set(shown) == {article.key for article in articles}
    for split in ("train", "test"):
        assert sum(len(live.clips) for live in lives if live.split == split) == clips
    for live in lives:
        assert len({title.text for title in live.titles}) == len(live.titles)
        ends = [clip.start_s + clip.duration_s for clip in live.clips]
        assert all(later.start_s > end for later, end in zip(live.clips[1:], ends, strict=False))
    assert lives == plan_lives(articles, ClipSetPlan(clips, clips, gallery=9, held_out=0.3, goods=0.2, seed=seed))


def test_similar_articles_share_a_live(articles: list[Article]) -> None:
    for family in families_of(articles):
        assert len({article.kind for article in family}) == 1
        if family[0].is_garment:
            assert len({article.colours[0] for article in family}) == 1
    family_of = {article.key: number for number, each in enumerate(families_of(articles)) for article in each}
    assert len(family_of) == len(articles)
    for live in plan_lives(articles, PLAN):
        for article, family_number in zip(live.articles, live.families, strict=True):
            mates = [a for a, f in zip(live.articles, live.families, strict=True) if f == family_number]
            assert {mate.kind for mate in mates} == {article.kind}


def test_each_kind_is_held_out(articles: list[Article]) -> None:
    kept, held_out = split_articles(articles, 0.3, 1)
    assert {article.kind for article in held_out} == {article.kind for article in articles}
    assert not {article.key for article in kept} & {article.key for article in held_out}
    assert len(kept) + len(held_out) == len(articles)


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), which=st.sets(st.integers(0, 30), max_size=6))
def test_articles_that_are_named_are_held_out(articles: list[Article], seed: int, which: set[int]) -> None:
    named = {articles[number % len(articles)].key for number in which}
    kept, held_out = split_articles(articles, 0.3, seed, named)
    assert named <= {article.key for article in held_out}
    assert sorted(a.key for a in [*kept, *held_out]) == sorted(article.key for article in articles)
    for kind in {article.kind for article in articles}:
        count, out = (sum(a.kind == kind for a in some) for some in (articles, held_out))
        forced = sum(a.kind == kind and a.key in named for a in articles)
        assert out == max(forced, max(1, round(0.3 * count)) if count > 1 else 0)


def test_an_article_to_hold_out_that_is_not_there_is_named(articles: list[Article]) -> None:
    with pytest.raises(SettingsError, match="grocery/999 is to be held out, expected the key of one of the articles"):
        split_articles(articles, 0.3, 1, ["grocery/999"])


def test_too_little_is_refused(articles: list[Article], world: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="expected two or more"):
        plan_lives(articles[:1], ClipSetPlan(1, 1))
    with pytest.raises(SettingsError, match="expected one or more"):
        ClipSetPlan(0, 0)
    with pytest.raises(SettingsError, match="shares between 0 and 1"):
        ClipSetPlan(held_out=1.5)
    (tmp_path / "there").mkdir()
    with pytest.raises(OutputError, match="remove it"):
        write_clip_set(articles, world, tmp_path / "there", PLAN, FORM)


# ---- pixels ------------------------------------------------------------------------------------------------------


def test_a_moving_camera_keeps_the_box_of_a_photo() -> None:
    """A bright rectangle is filmed; the brightest pixels of each frame lie in the box that is said, and fill it."""
    photo = np.full((200, 160, 3), 20, np.uint8)
    photo[60:140, 50:110] = 250
    outline = np.array([(50, 60), (110, 60), (110, 140), (50, 140)], np.float32) / (160, 200)
    for seed in range(12):
        rng = np.random.default_rng(seed)
        filmed = film(photo, outline.astype(np.float32), Label(0, 0, 0, 0), (150, 200), 0.5, rng)
        for time_s in (0.0, 1.7, 6.2):
            image, marks = filmed.seen(time_s, (150, 200))
            x0, y0, x1, y1 = np.clip(marks[0].box, 0, (150, 200, 150, 200))
            left, top, width, height = cv2.boundingRect((image[..., 0] > 128).astype(np.uint8))
            assert np.abs(np.array([left, top, left + width, top + height]) - (x0, y0, x1, y1)).max() <= 2.5


def test_cloth_moves_and_darkens_but_never_outshines_its_alpha() -> None:
    photo = np.full((120, 100, 3), 240, np.uint8)
    mask = np.zeros((120, 100), np.uint8)
    mask[15:105, 15:85] = 255
    item = flat("plain", 0, 0, photo, mask)
    cloth = draw_cloth(np.random.default_rng(2), 1.5)
    early, late = (cloth(item, time_s, 90).views[0].pictures[0] for time_s in (0.0, 1.3))
    assert (early != late).mean() > 0.01
    assert np.all(early[..., :3] <= early[..., 3:].astype(int) + 2)
    still = Sway(np.zeros(2), np.zeros((2, 2)), np.zeros((2, 2)))
    unmoved = type(cloth)(np.zeros_like(cloth.folds), still, np.eye(2, 3, dtype=np.float32), 0.0)(item, 0.0, 90)
    tight = item.views[0].pictures[0]
    border = (unmoved.views[0].pictures[0].shape[0] - tight.shape[0]) // 2
    middle = unmoved.views[0].pictures[0][border:-border, border:-border].astype(int)
    inner = np.abs(middle[8:-8, 8:-8] - tight[8:-8, 8 : middle.shape[1] - 8].astype(int)[: middle.shape[0] - 16])
    assert inner.max() <= 3


def test_a_shop_picture_shows_its_article_and_nothing_of_its_photo(articles: list[Article]) -> None:
    for article in [each for each in articles if each.is_garment][:6]:
        picture = shop_picture(article, 96, np.random.default_rng(1))
        assert picture.shape == (96, 96, 3)
        for corner in (picture[:4, :4], picture[:4, -4:], picture[-4:, :4], picture[-4:, -4:]):
            assert corner.min() > 200


def test_a_seed_fixes_a_clip_and_its_box_holds_the_product(articles: list[Article], world: Path) -> None:
    live = max(plan_lives(articles, PLAN), key=lambda live: len(live.articles))
    gallery = [read_ware(a, i, f) for i, (a, f) in enumerate(zip(live.articles, live.families, strict=True))]
    places = furnish(*places_of(world, [live], "train"))
    pictures = set()
    for seed in range(14):
        meant = seed % len(gallery)
        clip = compose_clip(gallery, meant, places, (seed,), frames=5, side_px=96)
        again = compose_clip(gallery, meant, places, (seed,), frames=5, side_px=96)
        assert all(np.array_equal(a, b) for a, b in zip(clip.images, again.images, strict=True))
        assert np.array_equal(clip.boxes, again.boxes, equal_nan=True)
        height, width = clip.images[0].shape[:2]
        assert max(height, width) == 96
        seen = clip.boxes[np.isfinite(clip.boxes[:, 0])]
        assert len(seen) >= 1
        assert np.all(seen[:, :2] >= 0)
        assert np.all(seen[:, :2] < seen[:, 2:])
        assert np.all(seen[:, 2:] <= (width, height))
        assert meant not in clip.others
        assert all(0 <= other < len(gallery) for other in clip.others)
        pictures.add(clip.images[0].tobytes())
    assert len(pictures) == 14


# ---- the folder --------------------------------------------------------------------------------------------------


def test_the_folder_holds_what_its_tables_say(composed: Path) -> None:
    head = read_composed_head(composed)
    assert head["counts"]["train_clips"] == PLAN.train_clips
    assert head["counts"]["test_clips"] == PLAN.test_clips
    digest = hashlib.sha256()
    for name in ("images.jsonl", "lives.jsonl", "train.jsonl", "test.jsonl"):
        digest.update(f"{name}\n{(composed / name).read_text(encoding='utf-8')}".encode())
    assert head["fingerprint"] == digest.hexdigest()
    for row in (*rows_of(composed / "train.jsonl"), *rows_of(composed / "test.jsonl")):
        data = [(composed / name).read_bytes() for name in row["frames"]]
        assert hashlib.sha256(b"".join(data)).hexdigest() == row["sha256"]
        assert len(row["frames"]) == len(row["boxes"]) == FORM.frames
        assert row["subsets"]["spoken_of"] == ("yes" if row["subsets"]["speech"] in ("named", "misheard") else "no")
    for row in rows_of(composed / "images.jsonl"):
        assert hashlib.sha256((composed / row["path"]).read_bytes()).hexdigest() == row["sha256"]
    assert [path.name for path in composed.parent.iterdir()] == [composed.name]  # no draft is left


def test_the_splits_share_nothing(composed: Path) -> None:
    galleries = {row["live_id"]: set(row["image_ids"]) for row in rows_of(composed / "lives.jsonl")}
    split_of = {row["live_id"]: row["split"] for row in rows_of(composed / "lives.jsonl")}
    sold: Mapping[str, set[str]] = {"train": set(), "test": set()}
    for live_id, image_ids in galleries.items():
        sold[split_of[live_id]].update(image_ids)
    assert not sold["train"] & sold["test"]
    for split in ("train", "test"):
        for row in rows_of(composed / f"{split}.jsonl"):
            assert split_of[row["live_id"]] == split
            assert row["image_id"] in galleries[row["live_id"]]
            assert set(row["others"]) <= galleries[row["live_id"]] - {row["image_id"]}


def test_names_say_nothing_of_products(composed: Path, articles: list[Article]) -> None:
    stems = {Path(article.picture).stem for article in articles if article.is_garment}
    text = "".join((composed / name).read_text(encoding="utf-8") for name in ("images.jsonl", "test.jsonl"))
    assert not any(f"{stem}." in text or f"/{stem}" in text for stem in stems)
    for row in rows_of(composed / "test.jsonl"):
        assert row["product_id"] not in row["clip_id"]
        assert row["product_id"] not in row["speech"] + row["title"]


def test_workers_change_nothing(world: Path, articles: list[Article], composed: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    whole = PLAN.train_clips + PLAN.test_clips
    head = write_clip_set(
        articles, world, tmp_path / "two", PLAN, FORM, workers=2, progress=lambda a, b: told.append((a, b))
    )
    assert json.loads(json.dumps(head)) == read_composed_head(composed)
    assert told[-1] == (whole, whole)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_what_fails_leaves_nothing(world: Path, articles: list[Article], tmp_path: Path) -> None:
    def broken(done: int, whole: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="make room"):
        write_clip_set(articles, world, tmp_path / "set", ClipSetPlan(4, 0, gallery=9), FORM, progress=broken)
    assert not list(tmp_path.iterdir())


# ---- reading -----------------------------------------------------------------------------------------------------


def test_pairs_are_read_one_by_one(composed: Path) -> None:
    skipped: list[str] = []
    pairs = read_composed_pairs(composed, skipped.append, frames=4)
    rows = rows_of(composed / "train.jsonl")
    assert not skipped
    assert len(pairs) == len(rows) == PLAN.train_clips
    assert pairs.fingerprint != read_composed_pairs(composed, skipped.append, split="test").fingerprint
    for pair, row in zip(pairs, rows, strict=True):
        assert isinstance(pair, ClipPair)
        assert pair.clip.image_ids == (pair.image.image_id,) == (row["image_id"],)
        assert len(pair.clip.frames) == 4
        assert pair.image.path is not None
        assert pair.image.path.is_file()
        for frame in pair.clip.frames:
            height, width = cv2.imread(str(frame.path)).shape[:2]  # type: ignore[union-attr]
            assert max(height, width) == FORM.side_px
            assert frame.box is None or (frame.box[2] <= width and frame.box[3] <= height)


def test_the_bench_searches_the_gallery_of_each_live(composed: Path) -> None:
    bench = read_composed_bench(composed, pytest.fail)
    assert len(bench.clips) == PLAN.test_clips
    for clip in bench.clips:
        assert set(clip.image_ids) <= set(bench.galleries[clip.live_id])
        assert {name for name, _ in clip.subsets} == {"scale", "duration", "products", "spoken_of", "speech"}
    assert set(bench.images) == {image_id for gallery in bench.galleries.values() for image_id in gallery}
    titles = [[bench.images[image_id].title for image_id in gallery] for gallery in bench.galleries.values()]
    assert all(len(set(gallery)) == len(gallery) for gallery in titles)


HOSTILE = (
    '{"clip_id": "c"}',
    "[]",
    "not json",
    "[" * 100_000,
    '{"clip_id": "c", "live_id": "l", "image_id": "i", "product_id": "p", "title": "t", "speech": "", '
    '"image_path": "a.jpg", "frames": ["../../etc/passwd"], "boxes": [null]}',
    '{"clip_id": "c", "live_id": "l", "image_id": "i", "product_id": "p", "title": "t", "speech": "", '
    '"image_path": "/etc/passwd", "frames": [], "boxes": []}',
    '{"clip_id": "c", "live_id": "l", "image_id": "i", "product_id": "p", "title": "t", "speech": "", '
    '"image_path": "a.jpg", "frames": ["a.jpg"], "boxes": [[5, 5, 1, NaN]]}',
    '{"clip_id": "c", "live_id": "l", "image_id": "i", "product_id": "p", "title": "t", "speech": "", '
    '"image_path": "a.jpg", "frames": ["a.jpg"], "boxes": []}',
    '{"clip_id": "c", "live_id": "l", "image_id": "i", "product_id": "p", "title": "t", "speech": "", '
    '"image_path": "a.jpg", "frames": [], "boxes": [], "subsets": {"scale": 3}}',
)


def test_rows_of_strangers_are_skipped_and_told_of(composed: Path, tmp_path: Path) -> None:
    good = (composed / "test.jsonl").read_text(encoding="utf-8").splitlines()
    for name in ("composed-clips.json", "images.jsonl", "lives.jsonl"):
        (tmp_path / name).write_bytes((composed / name).read_bytes())
    for split in ("train", "test"):
        (tmp_path / f"{split}.jsonl").write_text("\n".join([*HOSTILE, good[0]]) + "\n", encoding="utf-8")
    for read in (read_composed_pairs, read_composed_bench):
        skipped: list[str] = []
        found = read(tmp_path, skipped.append)
        assert len(found if read is read_composed_pairs else found.clips) == 1  # type: ignore[union-attr, arg-type]
        assert len(skipped) == len(HOSTILE)
        assert all("line " in line and "\n" not in line and len(line) < 500 for line in skipped)


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"composed-clips\.json"):
        read_composed_pairs(tmp_path, pytest.fail)
    (tmp_path / "composed-clips.json").write_text('{"schema": "another/1"}')
    with pytest.raises(MediaError, match="compose anew"):
        read_composed_bench(tmp_path, pytest.fail)
    (tmp_path / "composed-clips.json").write_text('{"schema": "shopcue.composed-clips/1"}')
    for name in ("images", "lives", "train", "test"):
        (tmp_path / f"{name}.jsonl").write_text("")
    with pytest.raises(MediaError, match="holds no clip"):
        read_composed_pairs(tmp_path, pytest.fail)
    with pytest.raises(MediaError, match="holds no clip"):
        read_composed_bench(tmp_path, pytest.fail)


def test_real_articles_make_clips(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shopcue.data.composed.articles._PHOTOS", 6)  # of a carton: looking at all takes long
    found = [each for each in read_articles(shared / "data", garments=2, workers=2) if each.is_garment or each.photos]
    assert sum(article.kind == "carton" for article in found) >= 19  # of 21
    plan = ClipSetPlan(8, 4, gallery=40, held_out=0.3)
    head = write_clip_set(found, shared / "data", tmp_path / "set", plan, ClipFormat(4, 128))
    assert head["counts"]["test_clips"] == 4
    assert len(read_composed_pairs(tmp_path / "set", pytest.fail)) == 8
