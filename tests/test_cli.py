"""The command line as a user meets it: exit codes, one-line errors, and nothing half-written."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from shopcue import cli

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process: exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code = cli.main([str(a) for a in arguments])
        out, err = capfd.readouterr()
        return code, out, err

    return call


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    lines = ["id,title,image_link"]
    for name in ("red", "blue"):
        cv2.imwrite(str(folder / "images" / f"{name}.png"), rng.integers(0, 255, (60, 40, 3)).astype(np.uint8))
        lines.append(f"{name},The {name} one,images/{name}.png")
    file = folder / "catalog.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def refused(result: tuple[int, str, str], *words: str) -> None:
    """Assert exit 2 and exactly one line `error: ...` that holds all words."""
    code, out, err = result
    assert code == 2, err
    assert out == ""
    lines = [line for line in err.splitlines() if not line.startswith("speech:")]
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    assert "Traceback" not in err
    for word in words:
        assert word in lines[0]


def with_feed(feed: Path, text: str) -> Path:
    feed.write_text(text)
    return feed


@pytest.fixture
def video(make_video: Callable[..., Path]) -> Path:
    return make_video("clip.mp4")


@pytest.mark.parametrize("content", [b"", b"this is a text and no video\n" * 100])
def test_a_file_that_is_no_video(run: Run, feed: Path, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "broken.mp4"
    file.write_bytes(content)
    refused(run("match", file, "--catalog", feed, "--out", tmp_path / "out"), "broken.mp4")
    assert not (tmp_path / "out").exists()


def test_a_missing_video_and_a_folder_as_video(run: Run, feed: Path, tmp_path: Path) -> None:
    refused(run("match", tmp_path / "absent.mp4", "--catalog", feed, "--out", tmp_path / "out"), "absent.mp4")
    refused(run("match", tmp_path, "--catalog", feed, "--out", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_truncated_video(run: Run, feed: Path, video: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(video.read_bytes()[: video.stat().st_size // 3])
    refused(run("match", cut, "--catalog", feed, "--out", tmp_path / "out"), "cut.mp4")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("title,image_link\nA,images/red.png\n", ["id"]),
        ("id,title\n1,A\n", ["image_link"]),
        ("id,title,image_link\n1,A,images/red.png\n1,B,images/blue.png\n", ["1"]),
        ("id,title,image_link\n1,A,images/absent.png\n", ["absent.png"]),
        ("id,title,image_link\n1,A,../../etc/passwd\n", []),
        ("id,title,image_link\n1,A,http://127.0.0.1:9/a.png\n", []),
        ("", []),
    ],
)
def test_a_feed_that_cannot_be_used(
    run: Run, feed: Path, video: Path, tmp_path: Path, text: str, words: list[str]
) -> None:
    out = tmp_path / "out"
    refused(run("match", video, "--catalog", with_feed(feed, text), "--out", out, "--speech", "none"), *words)
    assert not out.exists()
    refused(run("live", video, "--catalog", feed, "--out", out, "--speech", "none"), *words)


def test_one_broken_picture_is_one_line_of_the_report(run: Run, feed: Path, tmp_path: Path) -> None:
    (feed.parent / "images" / "bad.png").write_bytes(b"no picture")
    with_feed(feed, feed.read_text() + "bad,A broken one,images/bad.png\n")
    code, out, _ = run("catalog", "check", feed)
    assert code == 0
    assert "refused" in out
    assert "bad" in out
    assert "2 ok" in out


def test_options_that_cannot_be_used(run: Run, feed: Path, video: Path, tmp_path: Path) -> None:
    base = ("match", video, "--catalog", feed, "--out", tmp_path / "out")
    config = tmp_path / "c.toml"
    config.write_text("[focusing]\nswitch_nat = 3\n")
    refused(run(*base, "--config", config), "switch_nats")
    bad = tmp_path / "bad.vtt"
    bad.write_text("WEBVTT\n\n00:00:05.000 --> 00:00:99.000 x\nhello\n\nnonsense --> 3\nhi\n")
    refused(run(*base, "--speech", bad), "bad.vtt")
    refused(run(*base, "--speech", tmp_path / "absent.vtt"), "absent.vtt")
    refused(run(*base, "--comments", tmp_path / "absent.jsonl"), "absent.jsonl")
    refused(run(*base, "--method", "magic"), "magic", "one-stage")
    refused(run(*base, "--colour", "red"), "--colour")
    refused(run("match", video), "--catalog")
    refused(run("find", video), "find")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written(run: Run, feed: Path, video: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    refused(run("match", video, "--catalog", feed, "--out", file / "out"), "file")
    refused(run("match", video, "--catalog", feed, "--out", file), "file")
    assert file.read_text() == ""


def test_audio_without_pictures(run: Run, feed: Path, tmp_path: Path) -> None:
    import av

    path = tmp_path / "sound.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    refused(run("match", path, "--catalog", feed, "--out", tmp_path / "out"), "sound.m4a")


def test_search_answers_one_line_of_json_a_query(run: Run, feed: Path) -> None:
    red = feed.parent / "images" / "red.png"
    code, out, _ = run("search", red, red, "--catalog", feed, "-k", 2, "--json")
    assert code == 0
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["query"] for line in lines] == [str(red)] * 2
    assert lines[0]["results"][0]["product_id"] == "red"
    scores = [r["score"] for r in lines[0]["results"]]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 2


def test_search_refuses_what_is_no_picture(run: Run, feed: Path, tmp_path: Path) -> None:
    refused(run("search", tmp_path / "absent.jpg", "--catalog", feed), "absent.jpg")
    refused(run("search", feed, "--catalog", feed), "catalog.csv")


def test_eval_wants_pairs_and_readable_files(run: Run, tmp_path: Path) -> None:
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps({"duration_s": 10, "focuses": [{"product_id": "a", "start_s": 1, "end_s": 5}]}))
    predicted = tmp_path / "focuses.json"
    predicted.write_text("{}")
    refused(run("eval", "focuses", truth), "pairs")
    refused(run("eval", "focuses", truth, predicted), "focuses.json")
    refused(run("eval", "focuses", predicted, truth), "focuses.json")
    refused(run("eval", "focuses", tmp_path / "absent", predicted), "absent")


def test_the_version_and_the_help(run: Run) -> None:
    code, out, _ = run("--version")
    assert code == 0
    assert re.fullmatch(r"shopcue \d+\.\d+\.\d+\n", out)
    code, out, _ = run("--help")
    assert code == 0
    assert "match" in out


def test_as_a_module_and_with_a_reader_that_leaves(feed: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shopcue", "match"], capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"}
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
