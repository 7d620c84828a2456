"""The readers on small files in the true layouts, traps included, and on a file of many rows."""

from __future__ import annotations

import ast
import json
import string
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lpr4m_fixture import (
    CLIP,
    COAT,
    HOSTILE,
    LIVE,
    OTHER_CLIP,
    OTHER_LIVE,
    RING,
    SHARED_CLIP,
    SKIRT,
    UNSEEN,
    frames_of,
    full_row,
    sampled_row,
    touch,
    write_rows,
    write_test_files,
)
from shopcue.data.clip_pairs import Clip, ClipBench, ClipPair, FrameRef, ShopImage, box_px, even_frames
from shopcue.data.lpr4m import read_lpr4m_bench, read_lpr4m_pairs
from shopcue.data.lpr4m_rows import (
    ClipName,
    clip_of_frame,
    is_main_image,
    largest_box,
    product_of_image,
    read_boxes,
    read_clip_id,
    read_image_id,
    read_strings,
)
from shopcue.errors import MediaError, RecordError

BOX = (0.1, 0.2, 0.5, 0.75)


def no_notes(note: str) -> None:
    pytest.fail(f"nothing was to be left out, but: {note}")


# ---- training ------------------------------------------------------------------------------------------------------


def test_rows_of_eleven_columns(tmp_path: Path) -> None:
    write_rows(tmp_path / "training_videoinfo_full_part_00.txt", [full_row()])
    (pair,) = read_lpr4m_pairs(tmp_path, no_notes, frames=3)
    folder = tmp_path / "training_video" / CLIP
    assert pair == ClipPair(
        Clip(
            CLIP,
            tuple(FrameRef(folder / f"{CLIP}-{number:04d}.jpg", box=BOX) for number in (0, 4, 8)),
            "看这件大衣",
            (COAT,),
            LIVE,
            (("scale", "small"), ("duration", "long"), ("products", "few")),
        ),
        ShopImage(COAT, tmp_path / "training_image" / f"{COAT}.jpg", "羊毛 coat", COAT),
    )


def test_rows_of_ten_columns(tmp_path: Path) -> None:
    write_rows(tmp_path / "annotations" / "training_videoinfo_750k.txt", [sampled_row(spu="5"), sampled_row(spu="0")])
    write_rows(tmp_path / "annotations" / "training_videoinfo_val.txt", [sampled_row()])
    pairs = read_lpr4m_pairs(tmp_path, no_notes)
    assert len(pairs) == 2
    assert pairs[0].clip.frames[9] == FrameRef(
        tmp_path / "training_video_00" / CLIP / f"{CLIP}-0009.jpg", box=(10.0, 20.0, 200.0, 400.0)
    )
    assert pairs[0].clip.live_id == LIVE
    assert pairs[0].clip.subsets == ()
    assert pairs[0].image == ShopImage(COAT, tmp_path / "training_image" / f"{COAT}.jpg", "羊毛 coat", "5")
    assert pairs[1].image.product_id == COAT, "product 0 is none"


def test_the_parts_of_a_set_are_one(tmp_path: Path) -> None:
    parts = [[full_row(image_id=COAT), full_row(image_id=SKIRT)], [], [full_row(image_id=RING)]]
    for number, rows in enumerate(parts):
        write_rows(tmp_path / f"training_videoinfo_full_part_0{number}.txt", rows)
    pairs = read_lpr4m_pairs(tmp_path, no_notes)
    assert [pair.image.image_id for pair in pairs] == [COAT, SKIRT, RING]
    assert pairs[-1].image.image_id == RING
    assert [pair.image.image_id for pair in pairs[1:]] == [SKIRT, RING]
    assert [pair.image.image_id for pair in pairs.chosen(np.array([2, 0]))] == [RING, COAT]
    with pytest.raises(IndexError):
        pairs[3]


BAD_ROWS = {
    "hostile frames": full_row(frames=HOSTILE),
    "hostile among frames": full_row(frames=f"['{CLIP}-0001', {HOSTILE}]"),
    "hostile boxes": full_row(boxes=HOSTILE),
    "boxes that call": full_row(boxes="[[0.1, 0.2, 0.5, open('x')]]"),
    "deep boxes": full_row(boxes="[" * 100_000 + "]" * 100_000),
    "a box of three": full_row(boxes=[[1, 2, 3]] * 12),
    "an endless box": full_row(frames=frames_of(CLIP, 1), boxes="[[0, 0, 1e999, 2]]"),
    "a box of huge numbers": full_row(frames=frames_of(CLIP, 1), boxes=f"[[0, 0, {'9' * 400}, 2]]"),
    "no frames": full_row(frames="[]"),
    "a frame of no clip": full_row(frames="['0001']"),
    "a frame that leaves": full_row(frames=f"['../../{CLIP}-0001']"),
    "a clip that leaves": full_row(clip_id=f"../{CLIP}", frames=frames_of(CLIP, 2)),
    "a clip that ends before it starts": full_row(clip_id=f"{LIVE}-20-10", frames=frames_of(CLIP, 2)),
    "an image that leaves": full_row(image_id="../../etc/passwd"),
    "a tab too many": full_row(title="wool\tcoat"),
    "columns that are missing": "\t".join(full_row().split("\t")[:9]),
    "labels that are texts": full_row(labels=("small", "long", "few" * 20)),
    "ten columns, frames that leave": sampled_row(frames=["../x.jpg"]),
    "ten columns, an absolute frame": sampled_row(frames=["/etc/passwd"]),
    "ten columns, an image that leaves": sampled_row(path="training_image/../../x.jpg"),
}


@pytest.mark.parametrize("bad", BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_row_that_cannot_be_read_is_one_line(tmp_path: Path, bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_rows(tmp_path / "training_videoinfo_x.txt", [full_row(), bad, "", full_row(image_id=SKIRT)])
    notes: list[str] = []
    pairs = read_lpr4m_pairs(tmp_path, notes.append)
    assert [pair.image.image_id for pair in pairs] == [COAT, SKIRT]
    assert len(notes) == 1
    assert notes[0].startswith(f"{path}, line 2: ")
    assert "\n" not in notes[0]
    assert len(notes[0]) <= 300
    assert not (tmp_path / "pwned").exists()


def test_a_line_without_end_is_not_kept(tmp_path: Path) -> None:
    endless = full_row(speech="word " * 1_000_000)  # 5 MB
    write_rows(tmp_path / "training_videoinfo_x.txt", [endless, full_row(image_id=SKIRT)])
    notes: list[str] = []
    pairs = read_lpr4m_pairs(tmp_path, notes.append)
    assert [pair.image.image_id for pair in pairs] == [SKIRT]
    assert len(notes) == 1
    assert "line 1: longer than" in notes[0]


def test_boxes_that_are_not_parallel_are_left_out(tmp_path: Path) -> None:
    rows = [
        full_row(boxes="[]"),
        full_row(boxes=[[0, 0, 0, 0]] * 12),
        full_row(boxes=[[], [[1, 1, 2, 2], [0, 0, 9, 9]]] * 6),
    ]
    write_rows(tmp_path / "training_videoinfo_x.txt", rows)
    none, empty, several = read_lpr4m_pairs(tmp_path, no_notes, frames=2)
    assert [frame.box for frame in none.clip.frames] == [None, None]
    assert [frame.box for frame in empty.clip.frames] == [None, None]
    assert [frame.box for frame in several.clip.frames] == [None, None]
    (*_, several) = read_lpr4m_pairs(tmp_path, no_notes, frames=12)
    assert [frame.box for frame in several.clip.frames[:2]] == [None, (0.0, 0.0, 9.0, 9.0)], "the largest of a frame"


def test_what_says_that_there_is_no_text_is_none(tmp_path: Path) -> None:
    write_rows(
        tmp_path / "training_videoinfo_x.txt", [full_row(speech="null", title=" None ", labels=("", "nan", "few"))]
    )
    (pair,) = read_lpr4m_pairs(tmp_path, no_notes)
    assert (pair.clip.speech, pair.image.title, pair.clip.subsets) == ("", "", (("products", "few"),))


def test_files_that_may_repeat_each_other_are_not_chosen_from(tmp_path: Path) -> None:
    paths = [write_rows(tmp_path / f"training_videoinfo_{name}.txt", [sampled_row()]) for name in ("750k", "641821")]
    with pytest.raises(MediaError, match="may repeat each other"):
        read_lpr4m_pairs(tmp_path, no_notes)
    assert len(read_lpr4m_pairs(tmp_path, no_notes, files=paths)) == 2


def test_a_folder_without_rows(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="holds no training_videoinfo"):
        read_lpr4m_pairs(tmp_path, no_notes)
    write_rows(tmp_path / "training_videoinfo_x.txt", ["a\tb"])
    with pytest.raises(MediaError, match="holds no row that can be read"):
        read_lpr4m_pairs(tmp_path, lambda note: None)


def test_a_file_that_has_changed_since_is_said_to_have(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "training_videoinfo_x.txt", [full_row(), full_row(image_id=SKIRT)])
    pairs = read_lpr4m_pairs(tmp_path, no_notes)
    path.write_text("x" + path.read_text())
    with pytest.raises(MediaError, match="index it again"):
        pairs[1]


def test_the_fingerprint_tells_contents_and_choices_apart(tmp_path: Path) -> None:
    path = tmp_path / "training_videoinfo_x.txt"
    write_rows(path, [full_row(), full_row(image_id=SKIRT)])
    pairs, again = (read_lpr4m_pairs(tmp_path, no_notes) for _ in range(2))
    assert pairs.fingerprint == again.fingerprint
    assert pairs[:1].fingerprint != pairs[1:].fingerprint
    write_rows(path, [full_row(), full_row(image_id=RING)])
    assert read_lpr4m_pairs(tmp_path, no_notes).fingerprint != pairs.fingerprint


def test_the_index_of_large_files_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    write_rows(tmp_path / "training_videoinfo_x.txt", [full_row(), full_row(image_id=SKIRT)])
    pairs = read_lpr4m_pairs(tmp_path, no_notes)
    assert not cache.exists(), "of a small one it is not worth while"
    monkeypatch.setattr("shopcue.data.lpr4m.KEPT_FROM", 1)
    assert list(read_lpr4m_pairs(tmp_path, no_notes)) == list(pairs)
    (first,) = cache.rglob("*.npz")
    monkeypatch.setattr("shopcue.data.lpr4m.read_row", lambda *row: pytest.fail("it was read again"))
    again = read_lpr4m_pairs(tmp_path, no_notes)
    assert (len(again), again.fingerprint) == (2, pairs.fingerprint)
    assert [each.tolist() for each in again.groups()] == [[0, 1], [0, 0]]
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr("shopcue.data.lpr4m.KEPT_FROM", 1)
    read_lpr4m_pairs(tmp_path, no_notes, frames=3)
    assert len({first, *cache.rglob("*.npz")}) == 2, "other frames are read, which other rows may lack"


# ---- ids and lists -------------------------------------------------------------------------------------------------


def largest(text: str) -> list[tuple[float, float, float, float] | None]:
    return [largest_box(entry) for entry in read_boxes(text)]


FIELDS = st.text("0123456789abcdefABCDEF_", min_size=1, max_size=12)
LIVES = st.lists(FIELDS, min_size=1, max_size=6).map("-".join)
TIMES = st.tuples(st.integers(0, 10**13), st.integers(1, 10**7)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(LIVES, TIMES, st.integers(0, 99_999))
@example("7b601b02-2c63-11ee-bb6d-b8cef60c2fd0", (1667916122888, 1667916252390), 81)
@example("12345-1-2-3-4", (0, 1), 0)
def test_ids_are_read_from_the_right(live_id: str, times: tuple[int, int], number: int) -> None:
    start_ms, end_ms = times
    clip_id = f"{live_id}-{start_ms}-{end_ms}"
    assert read_clip_id(clip_id) == ClipName(live_id, start_ms, end_ms)
    assert read_clip_id(clip_id).duration_s == (end_ms - start_ms) / 1000
    assert clip_of_frame(f"{clip_id}-{number:04d}") == clip_id


@given(st.text() | st.text("0123456789abcdef-./\\", max_size=60))
@example(f"{CLIP}/..")
@example(f"{CLIP}\n")
@example("-".join("1" * 30))
@example("١-٢-٣")
def test_what_is_no_id_raises_nothing_else(text: str) -> None:
    for read in (read_clip_id, clip_of_frame, read_image_id):
        try:
            read(text)
        except ValueError:
            continue
        assert set(text) <= set(string.ascii_letters + string.digits + "_-")


def test_images_of_a_product_are_numbered() -> None:
    nil = "00000000-0000-0000-0000-000000000000"
    for image_id, product, main in (
        (COAT, COAT, True),
        (f"{COAT}-0", COAT, True),
        (f"{COAT}-00", COAT, True),
        (f"{COAT}-3", COAT, False),
        (nil, nil, True),
        ("abc-1", "abc-1", True),
        ("7", "7", True),
    ):
        assert (read_image_id(image_id), product_of_image(image_id), is_main_image(image_id)) == (
            image_id,
            product,
            main,
        )


PLAIN = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="'\"\\"), max_size=30)
NUMBERS = st.integers(-999_999, 999_999) | st.floats(-999_999, 999_999)


@given(st.lists(PLAIN))
def test_lists_of_strings_are_what_they_say(strings: list[str]) -> None:
    assert read_strings("[" + ", ".join(f"'{one}'" for one in strings) + "]") == strings
    assert read_strings(json.dumps(strings, ensure_ascii=False)) == strings
    assert read_strings(f"[{','.join(json.dumps(one, ensure_ascii=False) for one in strings)}]") == strings


@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS)))
def test_lists_of_boxes_are_what_they_say(corners: list[tuple[float, float, float, float]]) -> None:
    boxes = [
        (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)) if x1 != x2 and y1 != y2 else None
        for x1, y1, x2, y2 in corners
    ]
    expected = [None if box is None or min(box) < 0 else tuple(map(float, box)) for box in boxes]
    written = [[0, 0, 0, 0] if box is None else list(box) for box in boxes]
    assert largest(repr(written)) == expected
    assert largest(json.dumps(written)) == expected
    assert largest(repr([[box] for box in written])) == expected


@given(st.text() | st.text("[]'\",()0123456789.e+- abc\\{}", max_size=40) | st.lists(PLAIN).map(repr))
@example(HOSTILE)
@example("['a', *['b']]")
@example("['a' 'b']")
@example("['a',]")
@example("['\\x41']")
@example("[b'a']")
@example("['a'] + ['b']")
def test_what_is_read_is_what_the_literal_says(text: str) -> None:
    try:
        strings = read_strings(text)
    except ValueError:
        return
    assert strings == ast.literal_eval(text)


@given(st.text("[]0123456789.e+-, ", max_size=60) | st.recursive(NUMBERS, st.lists).map(repr))
@example("[" * 200_000)
@example("[[1, 2, 3, 4]" + ", [1, 2, 3, 4]" * 3 + "]")
@example("[[0, 0, 1e999, 1]]")
@example(f"[[0, 0, {'9' * 5000}, 1]]")
@example("[[1, 2, 3, [4]]]")
def test_boxes_are_what_the_literal_says_or_a_value_error(text: str) -> None:
    try:
        boxes = largest(text)
    except ValueError:
        return
    entries = ast.literal_eval(text.strip())
    assert len(boxes) == len(entries)
    for box, entry in zip(boxes, entries, strict=True):
        rows = [entry] if entry and not isinstance(entry[0], list) else entry
        assert box is None or list(box) in rows


# ---- test ----------------------------------------------------------------------------------------------------------


def read(root: Path, gallery: str = "main", frames: int = 10) -> tuple[ClipBench, list[str]]:
    notes: list[str] = []
    return read_lpr4m_bench(root, notes.append, gallery, frames), notes


def test_a_clip_searches_the_main_images_of_its_own_live(tmp_path: Path) -> None:
    write_test_files(tmp_path)
    bench, notes = read(tmp_path)
    assert bench.name == "lpr4m, main images"
    assert bench.galleries == {LIVE: (f"{COAT}-0", SKIRT, RING), OTHER_LIVE: ()}
    assert [clip.image_ids for clip in bench.clips] == [(f"{COAT}-0",), (f"{COAT}-0", SKIRT), (UNSEEN,)]
    assert [clip.live_id for clip in bench.clips] == [LIVE, LIVE, OTHER_LIVE]
    assert [clip.speech for clip in bench.clips] == ["看这件大衣\tand a tab", "", ""]
    assert {key: image.title for key, image in bench.images.items()} == {
        f"{COAT}-0": "羊毛 coat",
        SKIRT: "skirt",
        RING: "",
        UNSEEN: "",
    }
    assert bench.images[f"{COAT}-0"].path == tmp_path / "gallery" / LIVE / f"{COAT}-0.jpg"
    assert bench.images[SKIRT].path == tmp_path / "gallery" / f"{SKIRT}.jpg"
    assert bench.images[RING].path is None
    assert [note for note in notes if "title_6076.txt, line 3" in note]
    assert f"2 of 4 shop images are not on disk, such as {RING}" in notes
    assert f"2 of 3 clips have no frame on disk, such as {SHARED_CLIP}" in notes
    assert f"1 of 3 clips have no true image in the gallery of their live, such as {OTHER_CLIP}" in notes
    assert len(notes) == 4


def test_every_image_of_a_true_product_is_true(tmp_path: Path) -> None:
    write_test_files(tmp_path)
    bench, _ = read(tmp_path, "all")
    assert bench.galleries[LIVE] == (f"{COAT}-0", f"{COAT}-1", SKIRT, RING)
    assert bench.clips[0].image_ids == (f"{COAT}-0", f"{COAT}-1")
    assert bench.images[f"{COAT}-1"].product_id == COAT
    assert bench.images[f"{COAT}-1"].title == "羊毛 coat", "the title of its product"


def test_frames_are_even_and_keep_their_boxes(tmp_path: Path) -> None:
    write_test_files(tmp_path)
    bench, _ = read(tmp_path)
    first, second, third = bench.clips
    numbers = np.linspace(0, 23, 10, endpoint=False, dtype=int)
    assert [frame.path.name for frame in first.frames] == [f"{CLIP}-{number:04d}.jpg" for number in numbers]
    boxed = {int(frame.path.stem[-4:]): frame.box for frame in first.frames if frame.box}
    assert boxed == {number: (0.0, 0.0, 0.5, 0.2) for number in (0, 6, 9, 18) if number in numbers}
    assert [frame.path.stem for frame in second.frames] == frames_of(SHARED_CLIP, 3, step=3), "none lies on disk"
    assert third.frames == ()


def test_subsets_are_measured_by_the_boxes(tmp_path: Path) -> None:
    write_test_files(tmp_path)
    bench, _ = read(tmp_path)
    assert bench.clips[0].subsets == (("scale", "small"), ("duration", "long"))
    assert bench.clips[1].subsets == (("scale", "large"), ("duration", "short"))
    assert bench.clips[2].subsets == (("duration", "short"),), "no box at all: never seen, of no scale"


def test_subsets_that_are_given_go_first(tmp_path: Path) -> None:
    given_files = {
        "segid_to_scale.json": {CLIP: "medium"},
        "segid_to_numproduct.json": {CLIP: "abundant", SHARED_CLIP: ["few"]},
    }
    write_test_files(tmp_path, **given_files)
    bench, _ = read(tmp_path)
    assert bench.clips[0].subsets == (("scale", "medium"), ("duration", "long"), ("products", "abundant"))
    assert bench.clips[1].subsets == (("scale", "large"), ("duration", "short"))


def test_boxes_in_pixels_tell_no_scale(tmp_path: Path) -> None:
    boxes = {frame: [0, 0, 200, 300] for frame in frames_of(CLIP, 8, step=3)}
    write_test_files(
        tmp_path, **{"test_frameid2gtbox_20079_426751.json": boxes | {"nonsense": [1], f"{CLIP}-0001": "x"}}
    )
    bench, notes = read(tmp_path)
    assert bench.clips[0].subsets == (("duration", "long"),)
    assert bench.clips[0].frames[0].box == (0.0, 0.0, 200.0, 300.0)
    assert sum("the boxes of frame" in note for note in notes) == 2


def test_the_layout_of_the_sample(tmp_path: Path) -> None:
    write_test_files(
        tmp_path,
        **{
            "query_tenframes.json": {
                CLIP: {"frames": [f"{CLIP}/0003.jpg", "../x"], "gt": [COAT]},
                SHARED_CLIP: {"frames": [f"{SHARED_CLIP}/0003.jpg"]},
            }
        },
    )
    (tmp_path / "annotations" / "gallery_main.txt").write_text(
        f"{LIVE}/{COAT}-0.jpg\n{LIVE}/{RING}-0.jpg\n{OTHER_LIVE}/{SKIRT}-0.jpg\n{SKIRT}-0.jpg\n{LIVE}/../x y.jpg\n"
    )
    (tmp_path / "annotations" / "test_liveid_to_gallery_110.json").unlink()
    touch(tmp_path / "gallery" / LIVE / f"{COAT}-1.jpg", tmp_path / "gallery" / OTHER_LIVE / f"{SKIRT}-0.jpg")
    bench, notes = read(tmp_path)
    assert bench.galleries == {LIVE: (f"{COAT}-0", f"{RING}-0"), OTHER_LIVE: (f"{SKIRT}-0",)}
    assert bench.clips[0].frames == (), "a path that leaves the folder spoils a clip, and nothing else"
    assert bench.clips[1].frames == (FrameRef(tmp_path / "query" / SHARED_CLIP / "0003.jpg", box=(0.0, 0.0, 1.0, 0.5)),)
    assert sum("gallery_main.txt, line" in note for note in notes) == 2
    bench, _ = read(tmp_path, "all")
    assert bench.galleries == {LIVE: (f"{COAT}-0", f"{COAT}-1"), OTHER_LIVE: (f"{SKIRT}-0",)}, "as they lie on disk"


def test_where_nothing_tells_main_images_all_that_are_listed_are_searched(tmp_path: Path) -> None:
    write_test_files(tmp_path, **{"test_liveid_to_gallery_110.json": {LIVE: [COAT, SKIRT, RING]}})
    bench, notes = read(tmp_path)
    assert bench.galleries[LIVE] == read(tmp_path, "all")[0].galleries[LIVE] == (COAT, SKIRT, RING)
    assert bench.name == "lpr4m, listed images"
    assert sum("main ones" in note for note in notes) == 1
    titled, _ = read(tmp_path, "titled")
    assert titled.galleries[LIVE] == (COAT, SKIRT)
    assert titled.name == "lpr4m, titled images"


def test_hostile_ids_are_misses(tmp_path: Path) -> None:
    truth = {"../../etc": [COAT], CLIP: ["../x", {"a": 1}], f"{LIVE}-9-1": COAT}
    write_test_files(tmp_path, **{"test_videoid_to_gtimage_20079.json": truth})
    bench, notes = read(tmp_path)
    assert [clip.clip_id for clip in bench.clips] == list(truth)
    assert [clip.live_id for clip in bench.clips] == ["", LIVE, ""]
    assert [clip.frames == () for clip in bench.clips] == [True, False, True]
    assert bench.clips[1].image_ids == ()
    assert bench.galleries[""] == ()
    assert all("\n" not in note and len(note) <= 300 for note in notes)


@pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 100_000, "\x00"])
@pytest.mark.parametrize("name", ["test_videoid_to_gtimage_20079.json", "test_frameid2gtbox_20079_426751.json"])
def test_a_damaged_file_is_one_error(tmp_path: Path, name: str, text: str) -> None:
    write_test_files(tmp_path)
    (tmp_path / "annotations" / name).write_text(text)
    with pytest.raises(MediaError, match="expected a JSON object"):
        read(tmp_path)


def test_what_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="test_videoid_to_gtimage"):
        read(tmp_path)
    with pytest.raises(MediaError, match="no gallery 'half'"):
        read(tmp_path, "half")
    write_test_files(tmp_path)
    (tmp_path / "test_videoid_to_gtimage_5.json").write_text("{}")
    with pytest.raises(MediaError, match="keep the one that is meant"):
        read(tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from([CLIP, COAT, LIVE]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=8) | st.sampled_from([CLIP, LIVE, f"{CLIP}-0000", "frames"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)
FILES = (
    "test_videoid_to_gtimage_1.json",
    "test_liveid_to_gallery_1.json",
    "test_frameid2gtbox_1.json",
    "query_tenframes.json",
    "segid_to_scale.json",
)


@settings(max_examples=40)
@given(st.tuples(*[st.dictionaries(st.sampled_from([CLIP, LIVE, f"{CLIP}-0000"]) | st.text(max_size=8), JSON)] * 5))
def test_whatever_the_files_hold_every_clip_is_a_query(documents: tuple[dict[str, object], ...]) -> None:
    with TemporaryDirectory() as folder:
        for name, document in zip(FILES, documents, strict=True):
            (Path(folder) / name).write_text(json.dumps(document))
        found, notes = read(Path(folder), "all")
    assert [clip.clip_id for clip in found.clips] == list(json.loads(json.dumps(documents[0])))
    assert all(clip.live_id in found.galleries for clip in found.clips)
    assert all(image in found.images for images in found.galleries.values() for image in images)
    assert all("\n" not in note for note in notes)


# ---- pairs ---------------------------------------------------------------------------------------------------------


@given(st.integers(0, 3_000), st.integers(1, 40))
def test_even_frames_are_those_of_the_published_code(count: int, wanted: int) -> None:
    frames = even_frames(range(count), wanted)
    steps = np.linspace(0, count, wanted, endpoint=False, dtype=int) if count > wanted else range(count)
    assert frames == tuple(int(step) for step in steps)


def test_boxes_in_pixels_and_in_shares() -> None:
    assert box_px((0.25, 0.5, 1.0, 1.0), 200, 400) == (50.0, 200.0, 200.0, 400.0)
    assert box_px((0.25, 0.5, 100.0, 1.0), 200, 400) == (0.25, 0.5, 100.0, 1.0)


def test_a_pair_holds_one_image_of_its_clip() -> None:
    with pytest.raises(RecordError, match="expected a pair"):
        ClipPair(Clip("c", (), image_ids=("a", "b")), ShopImage("a", None))
