"""The drawn shop and show: what is written is what is drawn, and the same arguments draw the same."""

from __future__ import annotations

import csv
import itertools
import json
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Picture

from shopcue.errors import FeedError, OutputError, SettingsError
from shopcue.sources.synthetic import DESIGNS, Design, Scene, Showing, Stream, make_shop, make_stream
from shopcue.sources.synthetic.designs import choose
from shopcue.sources.synthetic.labels import LAYOUTS
from shopcue.sources.synthetic.motifs import MOTIFS
from shopcue.sources.synthetic.packages import SHAPES, build, render
from shopcue.sources.synthetic.schedule import plan, spoken, written
from shopcue.sources.synthetic.shop import packshot

SIZE = (320, 180)
FPS = 10
DURATION_S = 6.0


@dataclass(frozen=True)
class Drawn:
    """A small shop and stream on disk."""

    feed: Path
    stream: Stream
    progress: tuple[float, ...]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    folder, progress = tmp_path_factory.mktemp("drawn"), list[float]()
    feed = make_shop(folder, count=3, seed=1)
    stream = make_stream(folder, feed, duration_s=DURATION_S, size=SIZE, fps=FPS, seed=1, progress=progress.append)
    return Drawn(feed, stream, tuple(progress))


def frames_of(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)]


# ---- designs ----------------------------------------------------------------------------------------------------


def test_designs_are_many_and_named_once() -> None:
    assert len(DESIGNS) >= 24
    assert len({design.product_id for design in DESIGNS}) == len(DESIGNS)
    assert len({design.shape for design in DESIGNS}) >= 15
    twins = [d for d in DESIGNS if sum(e.brand == d.brand for e in DESIGNS) > 1]
    assert len(twins) >= 6


def test_designs_use_every_drawing_and_no_other() -> None:
    assert {design.shape for design in DESIGNS} == set(SHAPES)
    assert {design.layout for design in DESIGNS} == set(LAYOUTS)
    assert {design.motif for design in DESIGNS} <= set(MOTIFS)


def test_product_ids_are_safe_file_names() -> None:
    assert all(re.fullmatch(r"[a-z0-9-]+", design.product_id) for design in DESIGNS)


def test_designs_look_different() -> None:
    shots = np.stack([packshot(design, side_px=96) for design in DESIGNS]).astype(np.float32)
    for a, b in itertools.combinations(range(len(DESIGNS)), 2):
        difference = float(np.abs(shots[a] - shots[b]).max(axis=-1).mean())
        assert difference > 4, f"{DESIGNS[a].product_id} and {DESIGNS[b].product_id} look alike"


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_package_turns_and_keeps_clear_of_the_border(shape: str) -> None:
    design = next(design for design in DESIGNS if design.shape == shape)
    solid = build(design)
    ahead, turned = render(solid, 160, 0.0), render(solid, 160, 0.5)
    for picture in (ahead, turned):
        assert picture.dtype == np.uint8
        assert picture.shape[0] == 160
        border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert not border[:, 3].any()
        assert (picture[..., 3] == 255).mean() > 0.12
    if ahead.shape == turned.shape:
        assert np.abs(ahead.astype(int) - turned).mean() > 1
    # lit and printed, not one flat colour
    ink = ahead[ahead[..., 3] == 255][:, :3]
    assert ink.std(axis=0).max() > 12


def test_fine_picture_is_the_coarse_one_with_smoother_edges() -> None:
    solid = build(DESIGNS[0])
    coarse, fine = render(solid, 200, -0.3), render(solid, 200, -0.3, oversample=2)
    assert abs(coarse.shape[1] - fine.shape[1]) <= 1
    wide = min(coarse.shape[1], fine.shape[1])
    assert np.abs(coarse[:, :wide, 3].astype(int) - fine[:, :wide, 3]).mean() < 6


@pytest.mark.parametrize("count", [1, 2, 12, len(DESIGNS) - 6])
def test_shop_sells_twins_and_keeps_strangers(count: int) -> None:
    sold, unsold = choose(count, seed=5)
    assert len(set(sold)) == count
    assert unsold
    assert not set(sold) & set(unsold)
    if count >= 2:
        assert sold[0].brand == sold[1].brand
    assert not {design.brand for design in sold} & {design.brand for design in unsold}


@pytest.mark.parametrize("count", [0, -1, len(DESIGNS)])
def test_shop_of_impossible_size_is_refused(count: int, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="expected 1 to"):
        make_shop(tmp_path / "shop", count)
    assert not (tmp_path / "shop").exists()


# ---- the shop on disk -------------------------------------------------------------------------------------------


def test_feed_names_pictures_that_are_there(drawn: Drawn) -> None:
    with drawn.feed.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert list(rows[0]) == ["id", "title", "category", "price", "link", "image_link", "description", "brand"]
    assert len(rows) == 3
    for row in rows:
        assert all(row.values())
        with Picture.open(drawn.feed.parent / row["image_link"]) as picture:
            assert (picture.format, picture.size) == ("JPEG", (800, 800))
            pixels = np.asarray(picture)
        border = np.concatenate([pixels[:8].reshape(-1, 3), pixels[-8:].reshape(-1, 3)])
        assert border.mean() > 250
        assert (pixels.min(axis=-1) < 235).mean() > 0.1


def test_shop_is_the_same_again_and_another_with_another_seed(tmp_path: Path, drawn: Drawn) -> None:
    again, other = make_shop(tmp_path / "again", 3, seed=1), make_shop(tmp_path / "other", 3, seed=2)
    assert again.read_bytes() == drawn.feed.read_bytes()
    assert other.read_bytes() != drawn.feed.read_bytes()
    for picture in (tmp_path / "again" / "images").iterdir():
        assert picture.read_bytes() == (drawn.feed.parent / "images" / picture.name).read_bytes()


def test_folder_that_is_a_file_is_refused(tmp_path: Path, drawn: Drawn) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="writable"):
        make_shop(tmp_path / "file", 1)
    with pytest.raises(OutputError, match="writable"):
        make_stream(tmp_path / "file", drawn.feed, duration_s=4, size=(64, 64), fps=2)


# ---- the schedule -----------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 26), duration_s=st.floats(4, 1200))
def test_schedule_is_in_order_with_gaps(seed: int, count: int, duration_s: float) -> None:
    sold, unsold = choose(count, seed)
    showings = plan(sold, unsold, duration_s, seed)
    assert showings
    assert showings[0].sold
    assert showings[0].start_s > 0
    assert showings[-1].end_s <= duration_s - 0.49
    for showing in showings:
        assert showing.end_s - showing.start_s > 2
        assert showing.design in (sold if showing.sold else unsold)
    for before, after in itertools.pairwise(showings):
        assert after.start_s - before.end_s > 1.39
        assert before.sold or after.sold
    first = [showing.design for showing in showings if showing.sold][:count]
    assert len(set(first)) == len(first)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), duration_s=st.floats(4, 900))
def test_host_says_one_thing_at_a_time(seed: int, duration_s: float) -> None:
    showings = plan(*choose(8, seed), duration_s, seed)
    utterances = spoken(showings, duration_s, seed)
    assert utterances
    assert utterances[-1].end_s <= duration_s
    for before, after in itertools.pairwise(utterances):
        assert before.end_s < after.start_s
    assert not any("{" in utterance.text for utterance in utterances)


def test_host_names_most_products_while_they_are_shown_and_some_while_not() -> None:
    showings = plan(*choose(12, 4), 1800, 4)
    utterances = spoken(showings, 1800, 4)
    named, elsewhere = 0, 0
    sold = [showing for showing in showings if showing.sold]
    for showing in sold:
        name = f"{showing.design.brand} {showing.design.name}"
        said = [u for u in utterances if showing.start_s <= u.start_s < showing.end_s]
        named += any(name in u.text for u in said)
        others = {f"{s.design.brand} {s.design.name}" for s in sold} - {name}
        elsewhere += any(other in u.text for u in said for other in others)
    assert 0.6 < named / len(sold) < 0.97
    assert 0 < elsewhere / len(sold) < 0.4


def test_viewers_write_in_order_and_one_attacks() -> None:
    showings = plan(*choose(6, 0), 120, 0)
    comments = written(showings, 120, 0)
    assert [c.time_s for c in comments] == sorted(c.time_s for c in comments)
    assert sum("<script>" in c.text for c in comments) == 1
    assert any(ord(max(c.text)) > 0xFFFF for c in comments)
    assert any(s.design.name.lower() in c.text for s in showings for c in comments)


# ---- the pictures agree with the schedule -----------------------------------------------------------------------


def small_schedule(designs: Sequence[Design]) -> tuple[Showing, ...]:
    return (
        Showing(designs[0], 1.0, 4.0, True),
        Showing(designs[1], 6.0, 9.0, False),
        Showing(designs[2], 11, 14, True),
    )


def scene_of(showings: Sequence[Showing], seed: int = 3) -> Scene:
    return Scene(showings, (), DESIGNS[:4], SIZE, seed)


def test_product_at_is_the_schedule() -> None:
    showings = plan(*choose(6, 2), 60, 2)
    scene = scene_of(showings)
    for time_s in np.arange(0, 60, 0.1).tolist():
        shown = [s for s in showings if s.start_s <= time_s < s.end_s]
        assert scene.showing_at(time_s) == (shown[0] if shown else None)
        sold = shown and shown[0].sold
        assert scene.product_at(time_s) == (shown[0].design.product_id if sold else None)


@pytest.mark.parametrize("seed", [0, 7])
def test_held_package_is_drawn_in_its_span_and_nowhere_else(seed: int) -> None:
    """Put other goods into the same hands: the pictures change in the spans, under the mask, and only there."""
    showings = small_schedule(DESIGNS)
    swapped = [replace(s, design=d) for s, d in zip(showings, reversed(DESIGNS[5:8]), strict=True)]
    one, other = scene_of(showings, seed), scene_of(swapped, seed)
    hits = 0
    times = np.arange(0.05, 15, 0.21).tolist()
    for time_s in times:
        a, b = one.frame_at(time_s), other.frame_at(time_s)
        mask = one.mask_at(time_s)
        inside = any(s.start_s <= time_s < s.end_s for s in showings)
        if not inside:
            assert np.array_equal(a, b)
            assert not mask.any()
            continue
        changed = np.abs(a.astype(int) - b).max(axis=-1) > 12
        hits += bool(changed.mean() > 0.02 and (mask > 128).mean() > 0.02 and changed[mask > 128].mean() > 0.3)
    spans = sum(any(s.start_s <= t < s.end_s for s in showings) for t in times)
    assert hits / spans >= 0.9


def test_package_is_off_screen_when_its_span_begins_and_ends() -> None:
    showings = [Showing(design, 5.0 * i + 1, 5.0 * i + 4, True) for i, design in enumerate(DESIGNS)]
    scene = scene_of(showings)
    for showing in showings:
        for time_s in (showing.start_s, showing.end_s - 1e-4):
            assert (scene.mask_at(time_s) > 128).mean() < 0.004, showing.design.product_id
        middle = (scene.mask_at(showing.start_s + 1.5) > 128).mean()
        assert 0.03 < middle < 0.5, showing.design.product_id


def test_mask_is_where_the_package_is() -> None:
    """The picture under the mask is the package's own print: its colours are those of the rendered package."""
    design = next(design for design in DESIGNS if design.product_id == "krispello-paprika-crisps")
    scene = scene_of([Showing(design, 0.0, 6.0, True)])
    frame, mask = scene.frame_at(3.0), scene.mask_at(3.0) > 200
    red = (frame[..., 0] > 110) & (frame[..., 1] < 110) & (frame[..., 2] < 90)
    assert red[mask].mean() > 0.4
    near = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert red[~near].mean() < 0.1


def test_frame_is_a_pure_function_of_time() -> None:
    times = [0.3, 1.4, 2.2, 5.0, 7.3, 12.0]
    one, other = scene_of(small_schedule(DESIGNS)), scene_of(small_schedule(DESIGNS))
    forward = {time_s: one.frame_at(time_s) for time_s in times}
    for time_s in reversed(times):
        assert np.array_equal(forward[time_s], other.frame_at(time_s))


def test_scene_moves_and_is_neither_flat_nor_clipped() -> None:
    scene = scene_of(())
    early, late = scene.frame_at(0.0), scene.frame_at(3.0)
    assert early.shape == (SIZE[1], SIZE[0], 3)
    assert early.dtype == np.uint8
    assert np.abs(early.astype(int) - late).mean() > 2
    assert early.std() > 25
    assert (early >= 254).all(axis=-1).mean() < 0.05


def test_rigs_do_not_pile_up() -> None:
    scene = Scene([Showing(DESIGNS[6], 0, 3600, True)], (), (), (128, 72), 0)
    for time_s in np.linspace(1, 3000, 300).tolist():
        scene.mask_at(time_s)
    assert len(scene._rigs) <= 48


# ---- the stream on disk -----------------------------------------------------------------------------------------


def test_video_is_h264_with_aac_sound(drawn: Drawn) -> None:
    with av.open(str(drawn.stream.video)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (video.width, video.height) == SIZE
        assert video.average_rate is not None
        assert float(video.average_rate) == FPS
        assert audio.codec_context.name == "aac"
        times = [frame.time for frame in container.decode(video)]
        assert times == pytest.approx([i / FPS for i in range(round(DURATION_S * FPS))])
        assert audio.duration is not None
        assert audio.time_base is not None
        assert float(audio.duration * audio.time_base) == pytest.approx(DURATION_S, abs=0.1)


def test_sound_is_quiet_but_there(drawn: Drawn) -> None:
    with av.open(str(drawn.stream.video)) as container:
        samples = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    loud = float(np.sqrt((samples**2).mean()))
    assert 0.005 < loud < 0.1
    assert np.abs(samples).max() < 0.5
    assert not np.allclose(samples[0], samples[1])


def test_index_comes_before_the_pictures(drawn: Drawn) -> None:
    """A browser can begin to play before it has the whole file."""
    data, at, boxes = drawn.stream.video.read_bytes(), 0, list[bytes]()
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        boxes.append(kind)
        at += size
    assert boxes.index(b"moov") < boxes.index(b"mdat")


def test_decoded_frames_are_those_of_the_scene(drawn: Drawn) -> None:
    """Coding loses little: right colours (the matrix that is signalled is the one that was used), right time."""
    sold = [next(d for d in DESIGNS if d.product_id == row) for row in feed_ids(drawn.feed)]
    comments = written(drawn.stream.showings, DURATION_S, 1)
    scene = Scene(drawn.stream.showings, comments, sold, SIZE, 1)
    frames = frames_of(drawn.stream.video)
    for i in (0, 17, 40, 59):
        assert np.abs(frames[i].astype(int) - scene.frame_at(i / FPS)).mean() < 5


def feed_ids(feed: Path) -> list[str]:
    with feed.open(encoding="utf-8", newline="") as lines:
        return [row["id"] for row in csv.DictReader(lines)]


def test_truth_is_the_sold_showings(drawn: Drawn) -> None:
    truth = json.loads(drawn.stream.truth.read_text(encoding="utf-8"))
    assert truth["duration_s"] == DURATION_S
    assert truth["focuses"] == [
        {"product_id": s.design.product_id, "start_s": s.start_s, "end_s": s.end_s}
        for s in drawn.stream.showings
        if s.sold
    ]
    assert truth["focuses"]
    assert {focus["product_id"] for focus in truth["focuses"]} <= set(feed_ids(drawn.feed))


def test_speech_is_webvtt(drawn: Drawn) -> None:
    text = drawn.stream.speech.read_text(encoding="utf-8")
    assert text.startswith("WEBVTT\n\n")
    stamp = r"(\d\d):(\d\d):(\d\d\.\d\d\d)"
    cues = re.findall(rf"^{stamp} --> {stamp}\n(.+)$", text, re.MULTILINE)
    said = spoken(drawn.stream.showings, DURATION_S, 1)
    assert len(cues) == len(said)
    for (h0, m0, s0, h1, m1, s1, words), utterance in zip(cues, said, strict=True):
        assert 3600 * int(h0) + 60 * int(m0) + float(s0) == pytest.approx(utterance.start_s)
        assert 3600 * int(h1) + 60 * int(m1) + float(s1) == pytest.approx(utterance.end_s)
        assert words == utterance.text


def test_comments_are_json_lines(drawn: Drawn) -> None:
    lines = drawn.stream.comments.read_text(encoding="utf-8").splitlines()
    comments = [json.loads(line) for line in lines]
    assert all(set(comment) == {"time_s", "user", "text"} for comment in comments)
    assert any("<script>" in comment["text"] for comment in comments)


def test_nothing_half_written_is_left(drawn: Drawn) -> None:
    names = {path.name for path in drawn.stream.video.parent.iterdir()}
    assert names == {"catalog.csv", "images", "live.mp4", "speech.vtt", "comments.jsonl", "truth.json"}


def test_interrupted_stream_leaves_nothing(tmp_path: Path, drawn: Drawn) -> None:
    def stop(share: float) -> None:
        if share > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_stream(tmp_path, drawn.feed, duration_s=4, size=(64, 64), fps=5, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_progress_grows_to_one(drawn: Drawn) -> None:
    assert list(drawn.progress) == sorted(drawn.progress)
    assert drawn.progress[-1] == 1


def test_stream_is_the_same_again_and_another_with_another_seed(tmp_path: Path, drawn: Drawn) -> None:
    again = make_stream(tmp_path / "again", drawn.feed, duration_s=DURATION_S, size=SIZE, fps=FPS, seed=1)
    for one, other in zip(frames_of(drawn.stream.video), frames_of(again.video), strict=True):
        assert np.abs(one.astype(int) - other).mean() < 1
    for name in ("speech", "comments", "truth"):
        assert getattr(again, name).read_bytes() == getattr(drawn.stream, name).read_bytes()
    other_plan = plan(*choose(3, 1), DURATION_S, 2)
    assert other_plan != drawn.stream.showings


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": (321, 180)}, "even"),
        ({"size": (32, 32)}, "64x64"),
        ({"size": (8000, 4000)}, "3840x2160"),
        ({"fps": 0}, "frame rate"),
        ({"fps": 1000}, "frame rate"),
        ({"duration_s": 1.0}, "expected 4 s"),
        ({"duration_s": float("nan")}, "expected 4 s"),
        ({"duration_s": 1e9}, "24 h"),
    ],
)
def test_impossible_streams_are_refused(
    wrong: dict[str, tuple[int, int]], message: str, tmp_path: Path, drawn: Drawn
) -> None:
    with pytest.raises(SettingsError, match=message):
        make_stream(tmp_path / "out", drawn.feed, **wrong)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["id,title\nstranger,A stranger\n", "id,title\n", "", "name\nx\n", "\x00\xff"])
def test_feed_of_another_shop_is_refused(text: str, tmp_path: Path) -> None:
    feed = tmp_path / "catalog.csv"
    feed.write_text(text, encoding="latin-1")
    with pytest.raises(FeedError):
        make_stream(tmp_path / "out", feed, duration_s=4)
    with pytest.raises(FeedError, match="cannot be read"):
        make_stream(tmp_path / "out", tmp_path / "missing.csv", duration_s=4)
    assert not (tmp_path / "out").exists()
