"""`shopcue eval` on data sets in their own layout: what is printed, and one line for what cannot be."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import shopcue
from clip_sets import WRITERS, write_composed
from clips import MakeVideo
from drawn_garments import write_data_set
from lpr4m_fixture import CLIP, COAT, LIVE, OTHER_CLIP, RING, SHARED_CLIP, SKIRT, write_test_files
from shopcue.cli import main
from shopcue.records import Floats, Image

HOUSE = Path(shopcue.__file__).parent / "weights" / "house-encoder.onnx"


def save(path: Path, ids: Sequence[str], vectors: Any) -> str:
    np.savez(path, ids=np.array(ids), vectors=np.asarray(vectors, np.float32))
    return str(path)


def documents(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    assert main(["eval", *arguments, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line on stderr with which a command ends."""
    assert main(["eval", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    *_, line = captured.err.splitlines()  # before it, what of the data is left out
    assert line.startswith("error: ")
    return line


def eye(*rows: int) -> Floats:
    return np.eye(4, dtype=np.float32)[list(rows)]


# ---- LPR4M ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def lpr4m(tmp_path: Path) -> Path:
    write_test_files(tmp_path)
    return tmp_path


def test_lpr4m_by_given_vectors_on_both_galleries(lpr4m: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # A clip of the coat that is taken for the skirt, one of coat and skirt, and one of a live without a gallery.
    queries = save(lpr4m / "q.npz", [SHARED_CLIP, OTHER_CLIP, CLIP], [[0, 1, 0, 0], [1, 0, 0, 0], [0.5, 1, 0, 0]])
    gallery = save(lpr4m / "g.npz", [SKIRT, f"{COAT}-0", f"{COAT}-1", RING], eye(1, 0, 0, 2))
    vectors = ("--queries", queries, "--gallery", gallery)
    (every,) = documents(capsys, "lpr4m", "--data", str(lpr4m), *vectors, "--protocol", "all")
    assert every["protocol"] == "lpr4m, all images/given vectors"
    assert [every[f"R@{k}"] for k in (1, 3, 5, 10, "mean")] == pytest.approx(
        [1 / 3, 2 / 3, 2 / 3, 2 / 3, 5 / 9], abs=1e-6
    )
    assert (every["queries"], every["missing"]) == (3, 0)
    assert every["gallery"] == {"min": 0, "median": 2, "max": 4}
    assert every["subsets"]["scale"]["small"]["R@1"] == 0
    (main_only,) = documents(capsys, "lpr4m", "--data", str(lpr4m), *vectors)
    assert main_only["protocol"] == "lpr4m, main images/given vectors"
    assert main_only["gallery"]["max"] < 4


def test_a_query_that_is_left_out_is_a_miss(lpr4m: Path, capsys: pytest.CaptureFixture[str]) -> None:
    queries = save(lpr4m / "q.npz", [SHARED_CLIP], eye(1))
    gallery = save(lpr4m / "g.npz", [SKIRT, f"{COAT}-0"], eye(1, 0))
    (report,) = documents(
        capsys, "lpr4m", "--data", str(lpr4m), "--queries", queries, "--gallery", gallery, "--protocol", "all"
    )
    assert (report["queries"], report["missing"], report["gallery_missing"]) == (3, 2, 2)
    assert report["R@1"] == pytest.approx(1 / 3, abs=1e-6)


def test_what_cannot_be_judged_is_refused_in_one_line(lpr4m: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ("lpr4m", "--data", str(lpr4m))
    queries = save(lpr4m / "q.npz", [CLIP], eye(0))
    gallery = save(lpr4m / "g.npz", [SKIRT], eye(0))
    expected = "expected --model, or --queries and --gallery together"
    assert expected in refusal(capsys, *data)
    assert expected in refusal(capsys, *data, "--queries", queries)
    assert expected in refusal(capsys, *data, "--queries", queries, "--gallery", gallery, "--model", str(HOUSE))
    wide = save(lpr4m / "wide.npz", [SKIRT], np.ones((1, 7)))
    assert "queries have 4 values a vector" in refusal(capsys, *data, "--queries", queries, "--gallery", wide)
    other = save(lpr4m / "other.npz", [f"{LIVE}-1-2"], eye(0))
    assert "does not have, the first" in refusal(capsys, *data, "--queries", other, "--gallery", gallery)
    assert "sgmn.json: No such file" in refusal(capsys, *data, "--model", str(lpr4m / "query"))
    assert "no protocol 'rice'" in refusal(capsys, *data, "--model", str(HOUSE), "--protocol", "rice")
    assert "give the folder of LPR4M" in refusal(
        capsys, "lpr4m", "--data", str(lpr4m / "query"), "--queries", queries, "--gallery", gallery
    )


# ---- MovingFashion --------------------------------------------------------------------------------------------------

COLOURS = {"red": (220, 30, 30), "green": (20, 190, 40), "blue": (20, 40, 230)}


def plain(colour: str) -> Callable[[int], Image]:
    return lambda number: np.full((96, 64, 3), COLOURS[colour], np.uint8)


@pytest.fixture
def moving(tmp_path: Path, make_video: MakeVideo) -> Path:
    """Four products of three colours: two share a video, and one has none on disk."""
    (tmp_path / "imgs").mkdir()
    (tmp_path / "videos").mkdir()
    products = {}
    for number, (colour, video, source) in enumerate(
        (("red", "red", 0), ("green", "green", 1), ("red", "red", 0), ("blue", "gone", 1))
    ):
        picture = np.full((60, 40, 3), COLOURS[colour][::-1], np.uint8)
        picture[10 + 9 * number : 16 + 9 * number, 5:35] = 255  # what tells products of one colour apart
        cv2.imwrite(str(tmp_path / "imgs" / f"{number}.png"), picture)
        products[str(number)] = {
            "video_paths": [f"videos/{video}.mp4"],
            "img_path": f"imgs/{number}.png",
            "source": source,
        }
        if video != "gone":
            made = make_video(f"{number}.mp4", [i / 5 for i in range(12)], picture=plain(colour))
            made.rename(tmp_path / "videos" / f"{video}.mp4")
    (tmp_path / "test.json").write_text(json.dumps(products))
    return tmp_path


def test_movingfashion_by_a_model_that_pools_frames(moving: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (report,) = documents(capsys, "movingfashion", "--data", str(moving), "--model", str(HOUSE))
    assert report["protocol"] == "movingfashion, mteb/mean-pooled frames"
    assert (report["queries"], report["missing"], report["gallery"]["max"]) == (2, 0, 4)
    assert report["R@5"] == 1
    assert report["R@1"] <= 0.75, "of two right pictures one alone can be first"
    assert 0.5 < report["nDCG@10"] <= 1
    assert {*report["subsets"]["source"]} == {"hard", "regular"}
    (report,) = documents(capsys, "movingfashion", "--data", str(moving), "--model", str(HOUSE), "--protocol", "rice")
    assert (report["queries"], report["missing"]) == (3, 1)
    assert report["R@10"] == pytest.approx(2 / 3, abs=1e-6)


def test_movingfashion_by_given_vectors(moving: Path, capsys: pytest.CaptureFixture[str]) -> None:
    queries = save(moving / "q.npz", [f"videos/{each}.mp4" for each in ("red", "green", "gone")], eye(0, 1, 3))
    three = save(moving / "g.npz", [f"imgs/{number}.png" for number in (2, 1, 0)], eye(0, 1, 2))
    command = ("movingfashion", "--data", str(moving), "--queries", queries, "--gallery", three)
    (report,) = documents(capsys, *command)
    # Red finds one of its two pictures at once; the other ties with green, which goes first.
    assert report["R@1"] == (0.5 + 1) / 2
    assert report["nDCG@10"] == pytest.approx(((1 + 1 / 2) / (1 + 1 / np.log2(3)) + 1) / 2, abs=1e-6)
    (report,) = documents(capsys, *command, "--protocol", "seam")
    assert (report["queries"], report["gallery"]["max"], report["gallery_missing"]) == (2, 3, 0)
    assert report["R@1"] == 1
    (report,) = documents(capsys, *command, "--protocol", "rice")
    assert (report["queries"], report["gallery_missing"]) == (3, 1)
    assert report["R@10"] == pytest.approx(2 / 3, abs=1e-6)


def test_seam_searches_what_a_detector_finds(moving: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (report,) = documents(capsys, "movingfashion", "--data", str(moving), "--model", str(HOUSE), "--protocol", "seam")
    assert report["protocol"] == "movingfashion, seam/mean-pooled frames"
    assert 1 <= report["gallery"]["max"] <= 4
    command = ("movingfashion", "--data", str(moving), "--model", str(HOUSE), "--detector", str(HOUSE))
    assert "a detector is of use" in refusal(capsys, *command)


# ---- DeepFashion and composed clips ---------------------------------------------------------------------------------


def test_deepfashion_by_given_vectors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_data_set(tmp_path, {"train": 1, "test": 2}, consumers=2, shops=1)
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("img/*/*/id_*/*.jpg"))
    asking = [name for name in names if "comsumer" in name and "id_00000001" not in name]
    answering = [name for name in names if "shop" in name and "id_00000001" not in name]
    queries = save(tmp_path / "q.npz", asking, eye(*(int("id_00000002" in name) for name in asking)))
    gallery = save(tmp_path / "g.npz", answering, eye(*(int("id_00000002" in name) for name in answering)))
    reports = documents(capsys, "deepfashion-c2s", "--data", str(tmp_path), "--queries", queries, "--gallery", gallery)
    assert [report["protocol"] for report in reports] == ["deepfashion-c2s/val+test", "deepfashion-c2s/test"]
    assert [(report["R@1"], report["queries"], report["missing"]) for report in reports] == [(1, 4, 0)] * 2
    gallery = save(tmp_path / "g.npz", answering[::-1], eye(0, 0))
    assert main(["eval", "deepfashion-c2s", "--data", str(tmp_path), "--queries", queries, "--gallery", gallery]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "deepfashion-c2s/val+test: 4 queries (0 missing)",
        "gallery: min 2, median 2, max 2 (0 missing)",
    ]
    assert lines[3].split() == ["all", "4", "0.000", "1.000", "1.000"]


def test_composed_clips_are_judged_in_their_lives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = write_composed(tmp_path)
    first, *others = known.asked
    rivals = [image_id for image_id in first.gallery if image_id not in first.right]
    # The first clip is found, another of its live is not: all but its own image are as like it.
    queries = save(tmp_path / "q.npz", [first.clip_id, others[0].clip_id], eye(0, 1))
    gallery = save(tmp_path / "g.npz", [*first.right, *rivals], [eye(0)[0], *eye(*[1] * len(rivals))])
    command = ("composed-clips", "--data", str(tmp_path), "--queries", queries, "--gallery", gallery)
    (report,) = documents(capsys, *command)
    assert (report["queries"], report["missing"]) == (len(known.asked), len(known.asked) - 2)
    assert report["gallery"] == {"min": 0, "median": len(first.gallery) / 2, "max": len(first.gallery)}
    assert report["R@1"] == pytest.approx(1 / len(known.asked), abs=1e-6)
    assert report["R@5"] == pytest.approx(2 / len(known.asked), abs=1e-6)
    assert set(report["subsets"]) == {"spoken_of"}


def test_given_vectors_cannot_lose_their_speech(lpr4m: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vectors = ("--queries", save(lpr4m / "q.npz", [CLIP], eye(0)), "--gallery", save(lpr4m / "g.npz", [SKIRT], eye(0)))
    assert "given vectors are what they are" in refusal(capsys, "lpr4m", "--data", str(lpr4m), *vectors, "--no-speech")


def test_a_checkpoint_without_the_extra_that_reads_it_is_one_line(
    lpr4m: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "shopcue.learning", None)
    line = refusal(capsys, "lpr4m", "--data", str(lpr4m), "--model", "run/last.pt")
    assert "is not installed: pip install 'shopcue[train]'" in line


@pytest.mark.parametrize("name", ["lpr4m", "movingfashion", "composed-clips"])
def test_vectors_need_no_pictures_and_no_word_is_said_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "annotations").mkdir()
    known = WRITERS[name](tmp_path)
    for path in tmp_path.rglob("*.*"):
        if path.suffix in (".jpg", ".png", ".mp4"):
            path.unlink()
    ids = dict.fromkeys(image_id for asked in known.asked for image_id in asked.right)
    queries = save(tmp_path / "q.npz", [asked.clip_id for asked in known.asked], np.eye(len(known.asked)))
    gallery = save(tmp_path / "g.npz", list(ids), np.eye(len(ids), len(known.asked)))
    command = ["eval", name, "--data", str(tmp_path), "--queries", queries, "--gallery", gallery, "--json"]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["missing"] == 0
    assert "frame on disk" not in captured.err
