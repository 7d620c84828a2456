"""The reader and the protocols on a small tree in the true layout, traps included."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clips import MakeVideo
from movingfashion_fixture import IMAGES, TEST, TRAIN, write_media, write_movingfashion
from shopcue.data.clip_pairs import ClipBench, FrameRef, ShopImage
from shopcue.data.movingfashion import clip_frames, read_movingfashion_bench, read_movingfashion_pairs, shown_at
from shopcue.data.movingfashion_products import FashionProduct, FashionVideo, joined_products, read_movingfashion
from shopcue.errors import MediaError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_movingfashion(tmp_path)
    return tmp_path


def at_25_fps(video: Path) -> list[float]:
    """Four seconds of video, whatever it is."""
    return [number / 25 for number in range(100)]


def bench(root: Path, protocol: str, **options: Any) -> tuple[ClipBench, list[str]]:
    notes: list[str] = []
    return read_movingfashion_bench(root, protocol, notes.append, times_of=at_25_fps, **options), notes


def no_notes(note: str) -> None:
    pytest.fail(f"nothing was to be left out, but: {note}")


# ---- products ------------------------------------------------------------------------------------------------------


def test_products_are_read_as_they_are(root: Path) -> None:
    products = read_movingfashion(root, "test", no_notes)
    assert [product.product_id for product in products] == list(TEST)
    boxes = {0: (1.0, 2.0, 30.0, 40.0), 100: (5.0, 6.0, 50.0, 60.0)}
    assert products[0] == FashionProduct("1001", "imgs/1001.jpg", "regular", (FashionVideo("videos/a.mp4", {}),))
    assert products[1] == FashionProduct("1002", "imgs/1002.png", "hard", (FashionVideo("videos/b.mp4", boxes),))


GOOD = TEST["1001"]
DAMAGED: dict[str, Any] = {
    "no object": [1],
    "no videos": {"img_path": "imgs/x.jpg", "source": 1},
    "videos that are none": GOOD | {"video_paths": "videos/a.mp4"},
    "a video that is a number": GOOD | {"video_paths": [3]},
    "a video that leaves": GOOD | {"video_paths": ["videos/../../x.mp4"]},
    "a video that is absolute": GOOD | {"video_paths": ["/etc/passwd"]},
    "a name with a line in it": GOOD | {"video_paths": ["videos/a\nb.mp4"]},
    "a name too long for a disk": GOOD | {"video_paths": ["videos/" + "a" * 300]},
    "a picture without a name": GOOD | {"img_path": ""},
    "a picture that leaves": GOOD | {"img_path": "..\\x.jpg"},
    "half a character": GOOD | {"img_path": "imgs/\ud800.jpg"},
    "a third source": GOOD | {"source": 2},
    "a source that is a word": GOOD | {"source": "hard"},
    "a source that is true": GOOD | {"source": True},
    "a source that is a list": GOOD | {"source": [1]},
}


@pytest.mark.parametrize("entry", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_product_is_one_line(tmp_path: Path, entry: Any) -> None:
    (tmp_path / "test.json").write_text(json.dumps({"bad\n1": entry, "1001": GOOD}))
    notes: list[str] = []
    products = read_movingfashion(tmp_path, "test", notes.append)
    assert [product.product_id for product in products] == ["1001"]
    assert len(notes) == 1
    assert notes[0].startswith("product bad 1 of test.json is left out: ")
    assert len(bench(tmp_path, "rice")[0].clips) == 1


TRACKLETS: dict[str, Any] = {
    "not as many as videos": ([{}, {}], {}),
    "no list": ({"0": [1, 2, 3, 4]}, {}),
    "no boxes": ([[1, 2, 3, 4]], {}),
    "three numbers": ([{"0": [1, 2, 3], "4": [1, 2, 3, 4]}], {4: (1.0, 2.0, 3.0, 4.0)}),
    "an empty box": ([{"0": [5, 2, 5, 4], "4": [1, 2, 3, 4]}], {4: (1.0, 2.0, 3.0, 4.0)}),
    "frames that are none": ([{"x": [1, 2, 3, 4], "-1": [1, 2, 3, 4], "٣": [1, 2, 3, 4], "9" * 30: [1, 2, 3, 4]}], {}),
}


@pytest.mark.parametrize(("tracklets", "boxes"), TRACKLETS.values(), ids=TRACKLETS)
def test_damaged_boxes_are_one_line(tmp_path: Path, tracklets: Any, boxes: Any) -> None:
    (tmp_path / "test.json").write_text(json.dumps({"1001": GOOD | {"tracklets": tracklets}}))
    notes: list[str] = []
    (product,) = read_movingfashion(tmp_path, "test", notes.append)
    assert product.videos == (FashionVideo("videos/a.mp4", boxes),)
    assert len(notes) == 1


@pytest.mark.parametrize("tracklets", [None, [], [None], [{}]])
def test_no_boxes_need_no_word(tmp_path: Path, tracklets: Any) -> None:
    (tmp_path / "test.json").write_text(json.dumps({"1001": GOOD | {"tracklets": tracklets}}))
    (product,) = read_movingfashion(tmp_path, "test", no_notes)
    assert product.videos[0].boxes == {}


def test_what_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"test\.json cannot be read"):
        bench(tmp_path, "mteb")
    (tmp_path / "test.json").write_text("{}")
    with pytest.raises(MediaError, match="holds no product"):
        bench(tmp_path, "mteb")
    with pytest.raises(MediaError, match="no protocol 'recall'; expected mteb, rice, seam"):
        bench(tmp_path, "recall")
    with pytest.raises(MediaError, match="no split 'val'"):
        read_movingfashion(tmp_path, "val", no_notes)
    write_movingfashion(tmp_path, train={"5": TRAIN["5"]})
    with pytest.raises(MediaError, match="holds no video together with its picture"):
        read_movingfashion_pairs(tmp_path, lambda note: None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["videos/a.mp4"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.just("0"), inner, max_size=3),
    max_leaves=10,
)
ENTRIES = st.fixed_dictionaries(
    {
        "video_paths": JSON | st.just(["videos/a.mp4"]),
        "img_path": JSON | st.just("imgs/1.jpg"),
        "source": JSON | st.just(1),
    },
    optional={
        "tracklets": JSON | st.lists(st.dictionaries(st.sampled_from(["0", "x"]), st.lists(st.floats())), max_size=2)
    },
)


@settings(max_examples=80)
@given(st.dictionaries(st.text(max_size=4), ENTRIES | JSON, max_size=4))
def test_whatever_the_file_holds_good_products_are_read(products: dict[str, Any]) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "test.json").write_text(json.dumps({"good": GOOD} | products))
        found, notes = bench(root, "rice")
    assert all("\n" not in note for note in notes)
    if products.get("good", GOOD) == GOOD:
        assert "videos/a.mp4" in [clip.clip_id for clip in found.clips]
    assert {image for clip in found.clips for image in clip.image_ids} <= set(found.images)


# ---- training ------------------------------------------------------------------------------------------------------


def test_pairs_leave_out_what_is_missing_and_say_so(root: Path) -> None:
    notes: list[str] = []
    pairs = read_movingfashion_pairs(root, notes.append, frames=2, times_of=at_25_fps)
    assert [(pair.clip.clip_id, pair.image.image_id) for pair in pairs] == [
        ("videos/t1.mp4", "imgs/1.jpg"),
        ("videos/t2.mp4", "imgs/1.jpg"),
        ("videos/t3.mp4", "imgs/2.jpg"),
        ("videos/t2.mp4", "imgs/3.jpg"),
        ("videos/t4.mp4", "imgs/3.jpg"),
    ]
    assert notes == [
        "1 of 6 videos are missing, such as videos/gone.mp4",
        "1 of 5 pictures are missing, such as imgs/gone.jpg",
    ]
    assert pairs[2].clip.frames == (FrameRef(root / "videos/t3.mp4", 0), FrameRef(root / "videos/t3.mp4", 50))
    assert pairs[2].image == ShopImage("imgs/2.jpg", root / "imgs/2.jpg", product_id="2")
    assert pairs[2].clip.subsets == (("source", "hard"),)


def test_products_that_share_media_are_one(root: Path) -> None:
    pairs = read_movingfashion_pairs(root, lambda note: None, times_of=at_25_fps)
    assert [pair.image.product_id for pair in pairs] == ["1", "1", "2", "1", "1"]


@given(st.lists(st.tuples(st.integers(0, 6), st.lists(st.integers(0, 6), max_size=3)), min_size=1, max_size=8))
def test_sharing_by_many_steps(shape: list[tuple[int, list[int]]]) -> None:
    products = [
        FashionProduct(f"p{number}", f"i{image}", "hard", tuple(FashionVideo(f"v{each}", {}) for each in videos))
        for number, (image, videos) in enumerate(shape)
    ]
    media = [{image, *(10 + each for each in videos)} for image, videos in shape]
    group = list(range(len(media)))
    for _ in media:  # the plain way: take the smallest number of whomever one shares with, until nothing changes
        group = [min(group[b] for b in range(len(media)) if media[a] & media[b]) for a in range(len(media))]
    assert joined_products(products) == {f"p{number}": f"p{smallest}" for number, smallest in enumerate(group)}


def test_pairs_are_looked_up_when_asked_for(root: Path) -> None:
    opened: list[Path] = []

    def times(video: Path) -> Sequence[float]:
        opened.append(video)
        return at_25_fps(video)

    pairs = read_movingfashion_pairs(root, lambda note: None, times_of=times)
    assert len(pairs) == 5
    assert opened == []
    assert [pair.clip.clip_id for pair in pairs[3:]] == ["videos/t2.mp4", "videos/t4.mp4"]
    assert opened == [root / "videos/t2.mp4", root / "videos/t4.mp4"]
    kept = read_movingfashion_pairs(root, lambda note: None, times_of=at_25_fps)
    assert pickle.loads(pickle.dumps(kept))[1] == kept[1]
    assert kept.fingerprint == pairs.fingerprint != pairs[1:].fingerprint


# ---- frames --------------------------------------------------------------------------------------------------------


def test_frames_of_a_video_are_those_of_full_seconds(tmp_path: Path) -> None:
    times = [number / 30 for number in range(600)]  # 20 s
    frames = clip_frames(tmp_path, FashionVideo("videos/a.mp4", {}), 10, lambda video: times)
    assert [frame.index for frame in frames] == [30 * int(second) for second in np.linspace(0, 20, 10, endpoint=False)]
    short = clip_frames(tmp_path, FashionVideo("videos/a.mp4", {}), 10, lambda video: times[:100])
    assert [frame.index for frame in short] == [0, 30, 60, 90], "one a second, and no more"
    assert clip_frames(tmp_path, FashionVideo("videos/a.mp4", {}), 10, lambda video: []) == ()


@given(st.lists(st.floats(0, 30), min_size=1, max_size=60).map(sorted), st.integers(1, 12))
def test_each_second_gives_its_first_frame(times: list[float], count: int) -> None:
    frames = clip_frames(Path("/nowhere"), FashionVideo("videos/a.mp4", {}), 1000, lambda video: times)
    expected: list[int] = []
    for tick in range(32):
        number = next((number for number, time_s in enumerate(times) if time_s + 1e-6 >= tick), None)
        if number is not None and number not in expected:
            expected.append(number)
    assert [frame.index for frame in frames] == expected
    few = clip_frames(Path("/nowhere"), FashionVideo("videos/a.mp4", {}), count, lambda video: times)
    assert len(few) == min(count, len(expected))


def test_a_box_holds_for_half_a_second(tmp_path: Path) -> None:
    boxes = {26: (1.0, 1.0, 2.0, 2.0), 62: (3.0, 3.0, 4.0, 4.0), 120: (5.0, 5.0, 6.0, 6.0)}
    frames = clip_frames(tmp_path, FashionVideo("videos/a.mp4", boxes), 10, at_25_fps)
    assert [(frame.index, frame.box) for frame in frames] == [
        (0, None),
        (25, (1.0, 1.0, 2.0, 2.0)),
        (50, (3.0, 3.0, 4.0, 4.0)),
        (75, None),
    ]


@pytest.mark.parametrize("folder", ["a", "a.mp4"])
def test_frames_that_somebody_has_taken_go_first(tmp_path: Path, folder: str) -> None:
    (tmp_path / "frames" / folder).mkdir(parents=True)
    for number in range(1, 21):
        (tmp_path / "frames" / folder / f"a.mp4_{number:04d}.png").touch()
    frames = clip_frames(tmp_path, FashionVideo("videos/a.mp4", {}), 10, lambda video: pytest.fail("not needed"))
    assert [frame.path.name for frame in frames] == [f"a.mp4_{number:04d}.png" for number in range(1, 21, 2)]
    assert {frame.index for frame in frames} == {None}


def test_times_of_a_real_video(make_video: MakeVideo, tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.2, 0.5, 1.05, 1.1, 2.0, 3.5]
    video = make_video("clip.mp4", times)
    assert shown_at(video) == pytest.approx(times, abs=0.002)
    frames = clip_frames(tmp_path, FashionVideo(video.name, {}), 10)
    assert [frame.index for frame in frames] == [0, 4, 6, 7]
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(MediaError):
        shown_at(tmp_path / "empty.mp4")


# ---- protocols -----------------------------------------------------------------------------------------------------


def test_mteb_asks_with_what_is_there(root: Path) -> None:
    found, notes = bench(root, "mteb", frames=0)
    assert found.name == "movingfashion, mteb"
    assert {clip.clip_id: clip.image_ids for clip in found.clips} == {
        "videos/a.mp4": ("imgs/1001.jpg",),
        "videos/b.mp4": ("imgs/1002.png", "imgs/1003.jpg"),
        "videos/c.mp4": ("imgs/1001.jpg",),
    }
    assert [clip.subsets for clip in found.clips] == [
        (("source", "regular"),),
        (("source", "hard"), ("source", "regular")),
        (("source", "regular"),),
    ]
    assert found.galleries == {"": IMAGES}, "the picture of the missing video stays"
    assert tuple(found.images) == IMAGES
    assert notes == ["1 of 4 videos are missing, such as videos/missing.mp4"]
    assert {clip.frames for clip in found.clips} == {()}


def test_mteb_without_media_lacks_what_the_archive_lacks(tmp_path: Path) -> None:
    lacking = "videos/bd6186ecf66d1a5c2d65ff3c891c7e44.mp4"
    products = {"1": GOOD, "2": GOOD | {"video_paths": [lacking], "img_path": "imgs/2.jpg"}}
    (tmp_path / "test.json").write_text(json.dumps(products))
    found, notes = bench(tmp_path, "mteb")
    assert [clip.clip_id for clip in found.clips] == ["videos/a.mp4"]
    assert found.galleries == {"": ("imgs/1001.jpg", "imgs/2.jpg")}
    assert [note.split(",")[0] for note in notes] == ["2 of 2 videos are missing", "2 of 2 pictures are missing"]


JUDGED = [("videos/c.mp4", "imgs/1001.jpg", 1), ("videos/a.mp4", "imgs/1005.png", 1), ("videos/a.mp4", IMAGES[0], 0)]


def write_judged(path: Path) -> None:
    path.parent.mkdir()
    rows = [dict(zip(("query-id", "corpus-id", "score"), row, strict=True)) for row in JUDGED]
    if path.suffix == ".tsv":
        lines = ["\t".join(map(str, values)) for values in (rows[0], *(row.values() for row in rows))]
        path.write_text("\n".join(lines))
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pa.Table.from_pylist(rows), path)


@pytest.mark.parametrize("name", ["test.tsv", "test.jsonl", "test-00000-of-00001.parquet"])
def test_frozen_judgements_go_first(root: Path, name: str) -> None:
    write_judged(root / "qrels" / name)
    found, _ = bench(root, "mteb")
    assert {clip.clip_id: clip.image_ids for clip in found.clips} == {
        "videos/c.mp4": ("imgs/1001.jpg",),
        "videos/a.mp4": ("imgs/1005.png",),
    }
    assert found.galleries == {"": IMAGES}
    assert len(bench(root, "rice")[0].clips) == 4, "they are MTEB's alone"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("test.tsv", "a\tb\n1\t2\n"),
        ("test.tsv", "query-id\tcorpus-id\tscore\nvideos/a.mp4\timgs/1001.jpg\tmuch\n"),
        ("test.tsv", "query-id\tcorpus-id\tscore\n../a.mp4\timgs/1001.jpg\t1\n"),
        ("test.jsonl", "[1]\n"),
        ("test.jsonl", "{\n"),
        ("test.jsonl", '{"query-id": "/a.mp4", "corpus-id": 3, "score": 1}\n'),
        ("test.jsonl", '{"query-id": "videos/a.mp4", "corpus-id": "imgs/1001.jpg", "score": null}\n'),
        ("test.parquet", "PAR1"),
    ],
)
def test_damaged_judgements_are_one_error(root: Path, name: str, text: str) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    (root / "qrels").mkdir()
    (root / "qrels" / name).write_text(text)
    with pytest.raises(MediaError, match=name):
        bench(root, "mteb")


def test_rice_counts_a_video_that_is_missing(root: Path) -> None:
    found, notes = bench(root, "rice")
    assert [clip.clip_id for clip in found.clips] == [
        "videos/a.mp4",
        "videos/b.mp4",
        "videos/c.mp4",
        "videos/missing.mp4",
    ]
    assert [len(clip.frames) for clip in found.clips] == [4, 4, 4, 0]
    assert found.clips[1].image_ids == ("imgs/1002.png", "imgs/1003.jpg")
    assert found.clips[1].frames[0].box == (1.0, 2.0, 30.0, 40.0)
    assert found.galleries == {"": IMAGES}
    assert len(notes) == 1


def test_a_damaged_video_is_one_line_and_a_query(root: Path) -> None:
    notes: list[str] = []
    found = read_movingfashion_bench(root, "rice", notes.append)  # the videos are empty files
    assert len(found.clips) == 4
    assert {clip.frames for clip in found.clips} == {()}
    assert [note.split(":")[0] for note in notes[1:]] == [f"videos/{name}.mp4 has no frames" for name in "abc"]


def test_seam_searches_what_was_detected(root: Path) -> None:
    found, _ = bench(root, "seam", detected={"imgs/1001.jpg", "imgs/1003.jpg", "imgs/other.jpg"})
    assert found.galleries == {"": ("imgs/1001.jpg", "imgs/1003.jpg")}
    assert {clip.clip_id for clip in found.clips} == {"videos/a.mp4", "videos/b.mp4", "videos/c.mp4"}
    drawn = [bench(root, "seam", products=2, seed=seed)[0].clips for seed in (3, 3, *range(30))]
    assert drawn[0] == drawn[1]
    assert {len(clips) for clips in drawn} == {1, 2}, "two products, which may share a video"
    assert len(set(drawn)) > 1
    assert len(bench(root, "seam", products=0)[0].clips) == 4


def test_seam_without_any_detection_asks_nothing(root: Path) -> None:
    found, _ = bench(root, "seam", detected=())
    assert found.clips == ()
    assert found.galleries == {"": ()}


def test_media_that_are_there_are_found(root: Path) -> None:
    write_media(root, "imgs/extra.jpg")
    found, _ = bench(root, "rice")
    assert all(image.path is not None and image.path.is_file() for image in found.images.values())
