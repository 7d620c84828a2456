"""Clips against shop images, by a plain loop over clips and galleries: misses, ties, several right images, subsets."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, median

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopcue.data.clip_pairs import Clip, ClipBench, FrameRef, ShopImage
from shopcue.errors import MediaError, ScoreError
from shopcue.protocols.clips import (
    ClipProtocol,
    MeanPooledFrames,
    clip_ids,
    detect_images,
    encode_bench,
    image_ids,
    judge_clips,
)
from shopcue.protocols.evaluation import choose_protocol, evaluate, judge_files
from shopcue.protocols.reports import RetrievalReport
from shopcue.protocols.vectors import VectorFiles
from shopcue.records import Detections, Floats, Frame, Image

LIVES = ("", "live one", "live-2")
KS = (1, 3, 5, 10)


def bench_of(clips: Sequence[Clip], galleries: dict[str, tuple[str, ...]]) -> ClipBench:
    images = {each: ShopImage(each, None) for gallery in galleries.values() for each in gallery}
    return ClipBench("drawn", tuple(clips), images, galleries)


def protocol_of(bench: ClipBench, *, share: bool = False) -> ClipProtocol:
    return ClipProtocol(lambda data, note, *, frames, detected: bench, KS, (10,) if share else (), share)


# ---- the figures, by a loop -----------------------------------------------------------------------------------------


def drawn(seed: int) -> tuple[ClipBench, Floats, Floats]:
    """A bench with every trap, and vectors of few values, so that many scores tie."""
    rng = np.random.default_rng(seed)
    stock = [f"image {number}" for number in range(9)]
    galleries = {
        live: tuple(rng.choice(stock, rng.integers(0, 8)).tolist())  # an image may be listed twice, or not at all
        for live in LIVES[: int(rng.integers(1, 4))]
    }
    clips = [
        Clip(
            f"clip {number}",
            (),
            image_ids=tuple(rng.choice([*stock, "nowhere"], rng.integers(0, 4), replace=False).tolist()),
            live_id=str(rng.choice([*galleries, "no gallery"])),
            subsets=tuple((name, str(rng.choice(values))) for name, values in SUBSETS if rng.random() < 0.7),
        )
        for number in range(int(rng.integers(1, 10)))
    ]
    bench = bench_of(clips, galleries)
    queries = rng.integers(-1, 2, (len(clips), 3)).astype(np.float32)
    gallery = rng.integers(-1, 2, (len(image_ids(bench)), 3)).astype(np.float32)
    queries[rng.random(len(queries)) < 0.15] = np.nan
    gallery[rng.random(len(gallery)) < 0.15] = np.nan
    return bench, queries, gallery


SUBSETS = (("scale", ("small", "medium", "large")), ("duration", ("long", "short")))


def answer(bench: ClipBench, clip: Clip, query: Floats, gallery: Floats) -> tuple[list[str], set[str]]:
    """What a clip finds, best first and the right ones last among equals, and all that is right."""
    row = dict(zip(image_ids(bench), gallery, strict=True))
    shown = [each for each in set(bench.galleries.get(clip.live_id, ())) if not np.isnan(row[each]).any()]
    right = set(clip.image_ids)
    if np.isnan(query).any():
        return [], right
    return sorted(shown, key=lambda each: (-sum(query * row[each]), each in right)), right


def hit(found: list[str], right: set[str], k: int) -> float:
    """Whether one right image is found before k wrong ones: right images do not push one another down."""
    first = next((place for place, each in enumerate(found) if each in right), None)
    return float(first is not None and first < k)  # before it there are wrong ones alone


def share(found: list[str], right: set[str], k: int) -> float:
    return len(right & set(found[:k])) / len(right) if right else 0.0


def ndcg(found: list[str], right: set[str], k: int) -> float:
    ideal = sum(1 / math.log2(place + 1) for place in range(1, min(k, len(right)) + 1))
    gained = sum(1 / math.log2(place + 1) for place, each in enumerate(found[:k], 1) if each in right)
    return gained / ideal if right else 0.0


@given(seed=st.integers(0, 3000))
def test_recall_equals_the_loop_in_each_gallery_and_subset(seed: int) -> None:
    bench, queries, gallery = drawn(seed)
    report = judge_clips(protocol_of(bench), bench, (queries, gallery), "given vectors")
    answers = [answer(bench, clip, query, gallery) for clip, query in zip(bench.clips, queries, strict=True)]
    assert report.protocol == "drawn/given vectors"
    assert report.recall == pytest.approx({k: mean(hit(*each, k) for each in answers) for k in KS})
    assert (report.queries, report.missing) == (len(queries), int(np.isnan(queries[:, 0]).sum()))
    for subset in report.subsets:
        chosen = [i for i, clip in enumerate(bench.clips) if (subset.name, subset.value) in clip.subsets]
        assert subset.figures.queries == len(chosen) > 0
        assert subset.figures.recall == pytest.approx({k: mean(hit(*answers[i], k) for i in chosen) for k in KS})
    assert {(s.name, s.value) for s in report.subsets} == {each for clip in bench.clips for each in clip.subsets}


@given(seed=st.integers(0, 3000))
def test_shares_and_ndcg_equal_the_loop(seed: int) -> None:
    bench, queries, gallery = drawn(seed)
    report = judge_clips(protocol_of(bench, share=True), bench, (queries, gallery), "x")
    answers = [answer(bench, clip, query, gallery) for clip, query in zip(bench.clips, queries, strict=True)]
    assert report.recall == pytest.approx({k: mean(share(*each, k) for each in answers) for k in KS})
    assert report.ndcg == pytest.approx({10: mean(ndcg(*each, 10) for each in answers)})


@given(seed=st.integers(0, 3000))
def test_sizes_are_those_of_the_galleries_that_are_searched(seed: int) -> None:
    bench, queries, gallery = drawn(seed)
    report = judge_clips(protocol_of(bench), bench, (queries, gallery), "x")
    there = dict(zip(image_ids(bench), ~np.isnan(gallery[:, 0]), strict=True))
    lives = {clip.live_id for clip in bench.clips}
    sizes = [sum(there[each] for each in set(bench.galleries.get(live, ()))) for live in lives]
    assert report.document["gallery"] == {"min": min(sizes), "median": median(sizes), "max": max(sizes)}
    searched = {each for live in lives for each in bench.galleries.get(live, ())}
    assert report.gallery_missing == sum(not there[each] for each in searched)


def test_a_model_that_says_the_same_of_everything_finds_nothing_first() -> None:
    names = tuple(f"image {number}" for number in range(50))
    bench = bench_of([Clip(f"{n}", (), image_ids=(names[n],)) for n in range(50)], {"": names})
    same = np.full((50, 7), 1 / math.sqrt(7), np.float32)
    report = judge_clips(protocol_of(bench), bench, (same, same), "x")
    assert report.recall == dict.fromkeys(KS, 0)


def test_vectors_of_two_models_do_not_compare() -> None:
    bench = bench_of([Clip("a", (), image_ids=("b",))], {"": ("b",)})
    with pytest.raises(ScoreError, match="queries have 3 values a vector and the gallery 4"):
        judge_clips(protocol_of(bench), bench, (np.ones((1, 3), np.float32), np.ones((1, 4), np.float32)), "x")


# ---- the report -----------------------------------------------------------------------------------------------------


@pytest.fixture
def report() -> RetrievalReport:
    clips = [
        Clip("a", (), image_ids=("x",), live_id="1", subsets=(("scale", "large"), ("products", "few"))),
        Clip("b", (), image_ids=("y",), live_id="1", subsets=(("scale", "small\x1b[2J"), ("products", "few"))),
        Clip("c", (), image_ids=("z",), live_id="2", subsets=(("scale", "small"),)),
    ]
    bench = bench_of(clips, {"1": ("x", "y", "w"), "2": ("z",), "3": ("x",)})
    gallery = np.eye(5, dtype=np.float32)[[image_ids(bench).index(each) for each in ("x", "y", "w", "z")]]
    rows = dict(zip(("x", "y", "w", "z"), gallery, strict=True))
    vectors = np.stack([rows["x"], rows["w"] + 0.5 * rows["y"], np.full(5, np.nan)]).astype(np.float32)
    ordered = np.stack([rows[each] for each in image_ids(bench)])
    return judge_clips(protocol_of(bench), bench, (vectors, ordered), "given vectors")


def test_the_document_says_who_asked_and_who_answered(report: RetrievalReport) -> None:
    document = json.loads(json.dumps(report.document))
    subsets = document.pop("subsets")
    assert document == {
        "protocol": "drawn/given vectors",
        "R@1": pytest.approx(1 / 3, abs=1e-6),
        "R@3": pytest.approx(2 / 3, abs=1e-6),
        "R@5": pytest.approx(2 / 3, abs=1e-6),
        "R@10": pytest.approx(2 / 3, abs=1e-6),
        "R@mean": pytest.approx((1 + 2 + 2) / 9, abs=1e-6),
        "queries": 3,
        "missing": 1,
        "gallery": {"min": 1, "median": 2, "max": 3},
        "gallery_missing": 0,
    }
    assert list(subsets) == ["products", "scale"]
    assert subsets["products"]["few"]["R@1"] == 0.5
    assert subsets["scale"]["small"] == {
        **dict.fromkeys(("R@1", "R@3", "R@5", "R@10", "R@mean"), 0),
        "queries": 1,
        "missing": 1,
    }


def test_the_table_has_a_row_for_all_and_for_each_subset(report: RetrievalReport) -> None:
    head, gallery, names, *rows = report.table
    assert head == "drawn/given vectors: 3 queries (1 missing)"
    assert gallery == "gallery: min 1, median 2, max 3 (0 missing)"
    assert names.split() == ["queries", "R@1", "R@3", "R@5", "R@10", "R@mean"]
    assert [row.split()[-6:] for row in rows] == [
        ["3", "0.333", "0.667", "0.667", "0.667", "0.556"],
        ["2", "0.500", "1.000", "1.000", "1.000", "0.833"],
        ["1", "0.000", "1.000", "1.000", "1.000", "0.667"],
        ["1", "0.000", "0.000", "0.000", "0.000", "0.000"],
        ["1", "1.000", "1.000", "1.000", "1.000", "1.000"],
    ]
    assert "\x1b" not in "".join(rows), "a subset's name comes out of a file"
    assert len({len(row) for row in (names, *rows)}) == 1, "columns stand below each other"


# ---- from pixels -----------------------------------------------------------------------------------------------------

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (20, 40, 230), "grey": (128, 128, 128)}


class Colours:
    """An image encoder that looks at the mean colour alone."""

    dim = 3
    fingerprint = "colours"

    def encode(self, images: Sequence[Image]) -> Floats:
        means = np.stack([image.reshape(-1, 3).mean(axis=0) + 1 for image in images])
        return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)


class Telling(MeanPooledFrames):
    """The same, with two words: what is said counts where the picture does not tell."""

    text_weight = 0.5

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        assert all(text.strip() for text in texts)
        return np.array([["first" in text, "second" in text] for text in texts], np.float32)


def paint(path: Path, colour: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((24, 20, 3), COLOURS[colour][::-1], np.uint8))
    return path


@pytest.fixture
def painted(tmp_path: Path) -> ClipBench:
    """Three products of one live, of which two look the same; a clip is damaged, another is not there."""

    def frames(clip_id: str, *colours: str) -> tuple[FrameRef, ...]:
        return tuple(FrameRef(paint(tmp_path / clip_id / f"{n}.png", each)) for n, each in enumerate(colours))

    damaged = frames("damaged", "green", "green")
    damaged[0].path.write_bytes(b"no picture")
    clips = (
        Clip("red one", frames("red one", "red", "grey", "red"), "the first one", ("red 1",)),
        Clip("red two", frames("red two", "red"), "and the second", ("red 2",)),
        Clip("green", damaged, "", ("green",)),
        Clip("gone", (FrameRef(tmp_path / "gone.png"),), "the first one", ("green",)),
    )
    titles = {"red 1": "first of all", "red 2": "second to none", "green": "", "blue": " ", "broken": "first"}
    images = {
        name: ShopImage(name, paint(tmp_path / f"{name}.png", name.split()[0]), title)
        for name, title in titles.items()
        if name != "broken"
    }
    images["broken"] = ShopImage("broken", tmp_path / "broken.png", "first")
    images["no file"] = ShopImage("no file", None)
    return ClipBench("painted", clips, images, {"": (*titles, "no file")})


def test_frames_are_pooled_and_texts_tell_twins_apart(painted: ClipBench) -> None:
    silent = judge_clips(protocol_of(painted), painted, encode_bench(painted, MeanPooledFrames(Colours())), "x")
    assert (silent.queries, silent.missing, silent.gallery_missing, silent.sizes) == (4, 1, 2, (4,))
    assert silent.recall[1] == 0.25, "twins tie, and only green stands alone"
    assert silent.recall[3] == 0.75
    spoken = judge_clips(protocol_of(painted), painted, encode_bench(painted, Telling(Colours())), "x")
    assert spoken.recall[1] == 0.75
    unheard = encode_bench(painted, Telling(Colours()), text_weight=0)
    assert judge_clips(protocol_of(painted), painted, unheard, "x").recall == silent.recall


def test_scores_are_those_of_equation_23(painted: ClipBench) -> None:
    queries, gallery = encode_bench(painted, Telling(Colours()))
    frames = Colours().encode([np.full((2, 2, 3), COLOURS[each], np.uint8) for each in ("red", "grey", "red")])
    visual = frames.sum(axis=0) / np.linalg.norm(frames.sum(axis=0))
    shop = Colours().encode([np.full((2, 2, 3), COLOURS["red"], np.uint8)])[0]
    rows = image_ids(painted)
    assert queries[0] @ gallery[rows.index("red 1")] == pytest.approx(visual @ shop + 0.5 * 1, abs=1e-3)
    assert queries[0] @ gallery[rows.index("red 2")] == pytest.approx(visual @ shop, abs=1e-3)


def test_a_clip_does_not_depend_on_the_clips_beside_it() -> None:
    rng = np.random.default_rng(0)
    clips = [[rng.integers(0, 255, (5, 5, 3), np.uint8) for _ in range(int(rng.integers(1, 5)))] for _ in range(6)]
    encoder = MeanPooledFrames(Colours())
    together = encoder.encode_clips(clips)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    for clip, vector in zip(clips, together, strict=True):
        np.testing.assert_allclose(encoder.encode_clips([clip])[0], vector, atol=1e-6)
    assert encoder.encode_clips([clips[0]]).dtype == np.float32
    assert encoder.encode_texts(["a", "b"]).shape == (2, 0)


class Blind:
    """A detector that finds something in pictures that are not red."""

    fingerprint = "blind"

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        counts = [int(frame.image[0, 0, 0] < 200) for frame in frames]
        return [
            Detections(
                0.0,
                np.zeros((n, 4), np.float32),
                np.ones(n, np.float32),
                np.zeros(n, np.int64),
                np.ones((n, 3), np.float32),
                np.ones((n, 1), np.float32),
            )
            for n in counts
        ]


def test_a_detector_tells_the_pictures_that_show_something(painted: ClipBench) -> None:
    seen: list[tuple[str, float, float]] = []
    found = detect_images(list(painted.images.values()), Blind(), lambda *each: seen.append(each))
    assert found == {"green", "blue"}
    assert seen[-1] == ("detecting", 6, 6)


def test_progress_is_told_to_the_end(painted: ClipBench) -> None:
    seen: dict[str, tuple[float, float]] = {}
    encode_bench(painted, MeanPooledFrames(Colours()), update=lambda what, *done: seen.update({what: done}))
    assert seen == {"gallery": (6, 6), "queries": (4, 4)}


def test_a_folder_without_pictures_is_refused(painted: ClipBench, tmp_path: Path) -> None:
    for path in tmp_path.rglob("*.png"):
        path.unlink()
    with pytest.raises(MediaError, match="none of the pictures of the gallery can be read"):
        encode_bench(painted, MeanPooledFrames(Colours()))


# ---- given vectors ---------------------------------------------------------------------------------------------------


def test_given_vectors_score_as_those_of_a_model(painted: ClipBench, tmp_path: Path) -> None:
    queries, gallery = encode_bench(painted, Telling(Colours()))
    there = ~np.isnan(queries[:, 0]), ~np.isnan(gallery[:, 0])
    order = np.random.default_rng(0).permutation(int(there[1].sum()))
    np.savez(tmp_path / "q.npz", ids=np.array(clip_ids(painted))[there[0]], vectors=queries[there[0]])
    np.savez(tmp_path / "g.npz", ids=np.array(image_ids(painted))[there[1]][order], vectors=gallery[there[1]][order])
    files = VectorFiles(tmp_path / "q.npz", tmp_path / "g.npz")
    given = judge_files(protocol_of(painted), [protocol_of(painted)], tmp_path, files, print)
    assert given.protocol == "painted/given vectors"
    assert given == judge_clips(protocol_of(painted), painted, (queries, gallery), "given vectors")


def test_ids_of_another_protocol_of_the_set_are_known(painted: ClipBench, tmp_path: Path) -> None:
    queries, gallery = encode_bench(painted, Telling(Colours()))
    some = replace(painted, clips=painted.clips[:1], galleries={"": ("red 1", "blue")})
    np.savez(tmp_path / "q.npz", ids=np.array(clip_ids(painted))[:3], vectors=queries[:3])
    np.savez(tmp_path / "g.npz", ids=np.array(image_ids(painted))[:4], vectors=gallery[:4])
    files = VectorFiles(tmp_path / "q.npz", tmp_path / "g.npz")
    report = judge_files(protocol_of(some), [protocol_of(some), protocol_of(painted)], tmp_path, files, print)
    assert (report.queries, report.missing, report.sizes, report.recall[1]) == (1, 0, (2,), 1)
    with pytest.raises(ScoreError, match="the data set"):
        judge_files(protocol_of(some), [protocol_of(some)], tmp_path, files, print)


def test_protocols_are_chosen_by_name(tmp_path: Path) -> None:
    assert choose_protocol("lpr4m").recall_at == (1, 3, 5, 10)
    assert choose_protocol("lpr4m", "all") is not choose_protocol("lpr4m") is choose_protocol("lpr4m", "main")
    with pytest.raises(ScoreError, match="lpr4m has no protocol 'rice', expected one of main, all"):
        choose_protocol("lpr4m", "rice")
    with pytest.raises(ScoreError, match="leave it out"):
        evaluate("lpr4m", tmp_path, tmp_path / "model.onnx", detector=tmp_path / "detector.onnx")
    nothing = protocol_of(bench_of([], {}))
    with pytest.raises(MediaError, match="holds no clip"):
        judge_files(nothing, [nothing], tmp_path, VectorFiles(tmp_path / "q.npz", tmp_path / "g.npz"), print)
