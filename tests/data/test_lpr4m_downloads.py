"""Downloads as img2dataset leaves them, filed and then read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lpr4m_fixture import CLIP, COAT, LIVE, SKIRT, full_row, touch, write_rows, write_test_files
from shopcue.data.lpr4m import read_lpr4m_bench, read_lpr4m_pairs
from shopcue.data.lpr4m_downloads import file_downloads
from shopcue.errors import MediaError, OutputError

ADDRESS = "https://example.com/bs2/ad-material-video/"


def download(folder: Path, *names: str) -> None:
    """What img2dataset leaves of some pictures, two in a folder."""
    for number, name in enumerate(names):
        shard = folder / f"{number // 2:05d}"
        shard.mkdir(parents=True, exist_ok=True)
        (shard / f"{number:09d}.jpg").write_text(name)
        (shard / f"{number:09d}.json").write_text(json.dumps({"url": ADDRESS + name, "status": "success"}))
    (folder / "00000_stats.json").write_text("{}")


def refuse(note: str) -> None:
    pytest.fail(f"nothing was to be left out, but: {note}")


def test_training_pictures_lie_where_the_rows_say(tmp_path: Path) -> None:
    download(tmp_path / "down", f"{CLIP}-0000.jpg", f"{CLIP}-0004.jpg?x=1", f"{COAT}.jpg")
    assert file_downloads(tmp_path / "down", tmp_path, "training", refuse) == 3
    write_rows(tmp_path / "training_videoinfo_x.txt", [full_row()])
    (pair,) = read_lpr4m_pairs(tmp_path, refuse, frames=3)
    assert [frame.path.is_file() for frame in pair.clip.frames] == [True, True, False]
    assert pair.clip.frames[1].path.read_text() == f"{CLIP}-0004.jpg?x=1"
    assert pair.image.path is not None
    assert pair.image.path.read_text() == f"{COAT}.jpg"


def test_test_pictures_lie_where_the_galleries_say(tmp_path: Path) -> None:
    write_test_files(tmp_path)
    download(tmp_path / "down", f"{CLIP}-0099.jpg", f"{COAT}-1.jpg", f"{SKIRT}-0.jpg")
    (tmp_path / "gallery" / f"{SKIRT}.jpg").unlink()
    assert file_downloads(tmp_path / "down", tmp_path, "test", refuse) == 3
    bench = read_lpr4m_bench(tmp_path, lambda note: None, "all", frames=1000)
    assert bench.clips[0].frames[-1].path.name == f"{CLIP}-0099.jpg"
    assert bench.images[f"{COAT}-1"].path == tmp_path / "gallery" / f"{COAT}-1.jpg"
    assert bench.images[SKIRT].path == tmp_path / "gallery" / f"{SKIRT}-0.jpg"
    assert LIVE in bench.galleries


def test_it_may_be_done_again(tmp_path: Path) -> None:
    for names in ([f"{COAT}.jpg"], [f"{COAT}.jpg", f"{SKIRT}.jpg"]):
        download(tmp_path / "down", *names)
        assert file_downloads(tmp_path / "down", tmp_path, "training", refuse) == len(names)
    assert sorted(path.stem for path in (tmp_path / "training_image").iterdir()) == [COAT, SKIRT]


def test_what_cannot_be_filed_is_one_line(tmp_path: Path) -> None:
    download(tmp_path / "down", f"{COAT}.jpg", "a b.jpg", "..%2f..%2fx.jpg", f"{SKIRT}.jpg", "x.jpg")
    (tmp_path / "down" / "00001" / "000000003.jpg").unlink()
    (tmp_path / "down" / "00002" / "000000004.json").write_text("[")
    touch(tmp_path / "down" / "other" / "000000009.json")
    notes: list[str] = []
    assert file_downloads(tmp_path / "down", tmp_path / "root", "training", notes.append) == 1
    assert len(notes) == 4
    assert [path.name for path in (tmp_path / "root").rglob("*.jpg")] == [f"{COAT}.jpg"]


def test_what_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MediaError, match="holds no pictures"):
        file_downloads(tmp_path, tmp_path, "test", refuse)
    with pytest.raises(MediaError, match="no part 'all'"):
        file_downloads(tmp_path, tmp_path, "all", refuse)
    download(tmp_path / "down", f"{COAT}.jpg")

    def no_link(source: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", no_link)
    with pytest.raises(OutputError, match="on one disk"):
        file_downloads(tmp_path / "down", tmp_path, "test", refuse)
