"""The frames that are taken out of videos are those that the reader would take itself, and are read in their place."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

from clips import MakeVideo, picture_number
from shopcue.data.clip_pairs import Clip
from shopcue.data.movingfashion import read_movingfashion_pairs
from shopcue.sources.clip_frames import read_clip_frames

TIMES = [number / 7 for number in range(100)]  # 14.3 s


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    monkeypatch.setattr(sys, "argv", ["movingfashion_frames", *arguments])
    code: int = importlib.import_module("runs.movingfashion_frames").main()
    return code


@pytest.fixture
def root(tmp_path: Path, make_video: MakeVideo) -> Path:
    """Two videos, of which one is damaged, and one that is missing."""
    for folder in ("videos", "imgs"):
        (tmp_path / folder).mkdir()
    products = {}
    for number, video in enumerate(("whole", "damaged", "gone")):
        (tmp_path / "imgs" / f"{number}.jpg").touch()
        products[str(number)] = {
            "video_paths": [f"videos/{video}.mp4"],
            "img_path": f"imgs/{number}.jpg",
            "source": 1,
        }
    make_video("whole.mp4", TIMES).rename(tmp_path / "videos" / "whole.mp4")
    (tmp_path / "videos" / "damaged.mp4").write_bytes(b"no video")
    (tmp_path / "train.json").write_text(json.dumps(products))
    return tmp_path


def seen(root: Path) -> tuple[Clip, list[int]]:
    clip = read_movingfashion_pairs(root, lambda note: None)[0].clip
    return clip, [picture_number(picture) for picture in read_clip_frames(clip)]


def test_frames_are_those_of_the_video(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    decoded, numbers = seen(root)
    assert decoded.frames[0].path.suffix == ".mp4"
    command = (str(root), "--workers", "1", "--side-px", "120")
    assert run(monkeypatch, *command) == 0
    captured = capsys.readouterr()
    assert captured.out == f"frames of 1 videos lie below {root / 'frames'}; 2 cannot be read\n"
    assert len(captured.err.splitlines()) == 2
    taken, again = seen(root)
    assert [frame.path.suffix for frame in taken.frames] == [".jpg"] * 10
    assert again == numbers == [7 * second for second in (0, 1, 3, 4, 6, 7, 9, 10, 12, 13)], "ten of fifteen seconds"
    assert sorted(path.name for path in (root / "frames").iterdir()) == ["whole"], "nothing is left lying about"
    first = (root / "frames" / "whole" / "0000.jpg").stat().st_mtime_ns
    assert run(monkeypatch, *command) == 0
    assert (root / "frames" / "whole" / "0000.jpg").stat().st_mtime_ns == first, "it is not taken again"


def test_a_folder_of_something_else_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, str(tmp_path)) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path} holds no train.json or test.json; give")
