"""Frames, crops and posters of videos, and the folder that keeps them."""

from __future__ import annotations

import os
import threading
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

pytest.importorskip("fastapi", reason="needs the extra `server`")

from clips import MakeVideo
from shopcue.errors import MediaError
from shopcue.server import media
from shopcue.server.media import FrameCache, frame_jpeg, poster_jpeg, write_whole
from shopcue.server.problems import TooMany
from shopcue.sources.files import probe

Image = NDArray[np.uint8]


def pixels(jpeg: bytes) -> Image:
    with PIL.Image.open(BytesIO(jpeg), formats=["JPEG"]) as picture:
        return np.asarray(picture.convert("RGB"), np.uint8)


def grey(number: int) -> Image:
    """A picture that says its number, up to 60, by its brightness."""
    return np.full((96, 160, 3), 4 * number, np.uint8)


def number_of(jpeg: bytes) -> int:
    """The number that a picture of a video of `grey` pictures says."""
    return round(float(pixels(jpeg).mean()) / 4)


def quarters(number: int) -> Image:
    """Red, green, blue and white quarters, 320 x 180."""
    picture = np.zeros((180, 320, 3), np.uint8)
    picture[:90, :160, 0] = picture[:90, 160:, 1] = picture[90:, :160, 2] = 255
    picture[90:, 160:] = 255
    return picture


@pytest.mark.parametrize(("time_s", "number"), [(0.0, 0), (0.55, 5), (0.599, 5), (0.9, 9), (100.0, 9)])
def test_the_frame_on_screen_at_a_time(make_video: MakeVideo, time_s: float, number: int) -> None:
    assert number_of(frame_jpeg(make_video(picture=grey), time_s)) == number


@pytest.mark.parametrize(
    ("box", "colour"),
    [
        ((0, 0, 160, 90), (255, 0, 0)),
        ((170, 5, 310, 80), (0, 255, 0)),
        ((-50, 100, 150, 999), (0, 0, 255)),
        ((200, 120, 1e5, 1e5), (255, 255, 255)),
    ],
)
def test_a_box_is_cut_out_in_pixels_of_the_video(
    make_video: MakeVideo, box: tuple[float, ...], colour: tuple[int, ...]
) -> None:
    crop = pixels(frame_jpeg(make_video(picture=quarters), 0.2, box))
    assert np.abs(np.median(crop.reshape(-1, 3), axis=0) - colour).max() < 40
    x0, y0, x1, y1 = (min(max(edge, 0), side) for edge, side in zip(box, (320, 180, 320, 180), strict=True))
    assert crop.shape[:2] == (y1 - y0, x1 - x0)


def test_large_pictures_are_shrunk_and_their_boxes_with_them(
    make_video: MakeVideo, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = make_video(picture=quarters)
    assert pixels(frame_jpeg(video, 0, side_px=64)).shape == (36, 64, 3)
    assert pixels(frame_jpeg(video, 0, (0, 0, 160, 90), side_px=32)).shape == (18, 32, 3)
    monkeypatch.setattr(media, "MAX_SIDE_PX", 160)  # as if the video were an 8K one
    crop = pixels(frame_jpeg(video, 0, (160, 0, 320, 90)))
    assert crop.shape == (45, 80, 3)
    assert np.abs(np.median(crop.reshape(-1, 3), axis=0) - (0, 255, 0)).max() < 40


@pytest.mark.parametrize(
    ("time_s", "box", "side_px"),
    [
        (float("nan"), None, None),
        (-1.0, None, None),
        (0.0, None, 0),
        (0.0, None, 100_000),
        (0.0, (0, 0, 10), None),
        (0.0, (10, 0, 10, 10), None),
        (0.0, (0, 0, float("inf"), 10), None),
        (0.0, (0, 0, 1e300, 10), None),
    ],
)
def test_what_means_no_picture_is_refused(
    make_video: MakeVideo, tmp_path: Path, time_s: float, box: tuple[float, ...] | None, side_px: int | None
) -> None:
    for ask in (frame_jpeg, FrameCache(tmp_path / "cache").frame_jpeg):
        with pytest.raises(MediaError, match="expected"):
            ask(make_video(), time_s, box, side_px)


def test_no_video_no_picture(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.mp4"
    garbage.write_bytes(bytes(range(256)) * 40)
    cache = FrameCache(tmp_path / "cache")
    for path in (garbage, tmp_path / "absent.mp4"):
        with pytest.raises(MediaError, match=path.name) as refusal:
            cache.frame_jpeg(path, 0.0)
        assert str(tmp_path) not in str(refusal.value)
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").iterdir())


def test_the_poster_is_not_a_black_frame(make_video: MakeVideo) -> None:
    def late(number: int) -> Image:
        return quarters(number) if number >= 30 else np.zeros((180, 320, 3), np.uint8)

    video = make_video(pts_s=tuple(i / 10 for i in range(100)), picture=late)
    assert pixels(poster_jpeg(probe(video))).std() > 100


def test_a_kept_picture_is_the_same_and_is_not_decoded_again(
    make_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = make_video(picture=quarters)
    cache = FrameCache(tmp_path / "cache")
    asked: list[tuple[float, tuple[float, ...] | None, int | None]] = [
        (0.1, None, None),
        (0.2, None, None),
        (0.2, (0, 0, 80, 80), None),
        (0.2, (0, 0, 80, 80), 32),
    ]
    first = [cache.frame_jpeg(video, *which) for which in asked]
    assert first == [frame_jpeg(video, *which) for which in asked]
    assert len(set(first[1:])) == 3

    def never(*_: object) -> bytes:
        raise AssertionError("decoded again")

    monkeypatch.setattr(media, "frame_jpeg", never)
    assert [FrameCache(tmp_path / "cache").frame_jpeg(video, *which) for which in asked] == first


def test_a_video_that_was_replaced_is_read_anew(make_video: MakeVideo, tmp_path: Path) -> None:
    cache = FrameCache(tmp_path / "cache")
    video = make_video(picture=quarters)
    cache.frame_jpeg(video, 0.0)
    changed = make_video("other.mp4", picture=grey)
    os.utime(changed, ns=(1, 1))
    changed.replace(video)
    assert number_of(cache.frame_jpeg(video, 0.3)) == 3


def test_the_cache_stays_within_its_bound_and_keeps_what_is_used(
    make_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media, "_BOUND_EVERY", 2)
    video = make_video(pts_s=tuple(i / 10 for i in range(60)))
    one = len(frame_jpeg(video, 0.0))
    folder = tmp_path / "cache"
    cache = FrameCache(folder, max_bytes=10 * one)
    cache.frame_jpeg(video, 0.0)
    favourite = next(folder.iterdir())
    for i in range(1, 60):
        for entry in folder.iterdir():  # as if a second had passed
            status = entry.stat()
            os.utime(entry, (status.st_atime, status.st_mtime - 1))
        cache.frame_jpeg(video, 0.0)
        cache.frame_jpeg(video, i / 10)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 13 * one
    assert favourite.exists()


def test_many_threads_decode_one_picture_a_few_times_at_most(
    make_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[float] = []
    real = media.frame_jpeg

    def counted(path: str | Path, time_s: float, *rest: object) -> bytes:
        decoded.append(time_s)
        return real(path, time_s)

    monkeypatch.setattr(media, "frame_jpeg", counted)
    video, cache = make_video(), FrameCache(tmp_path / "cache")
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(cache.frame_jpeg(video, 0.5))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 8
    assert len(decoded) <= 2


def test_a_cache_that_cannot_be_written_costs_nothing(make_video: MakeVideo, tmp_path: Path) -> None:
    blocked = tmp_path / "cache"
    blocked.write_text("a file")
    assert number_of(FrameCache(blocked).frame_jpeg(make_video(picture=grey), 0.4)) == 4


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_whole(tmp_path / "new" / "file", b"one")
    write_whole(tmp_path / "new" / "file", b"two")
    assert (tmp_path / "new" / "file").read_bytes() == b"two"
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_whole(tmp_path / "folder", b"three")
    assert {path.name for path in tmp_path.rglob("*")} == {"new", "file", "folder"}


def test_who_comes_while_many_wait_is_sent_away(
    make_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    begun: list[float] = []

    def slow(path: str | Path, time_s: float, *rest: object) -> bytes:
        begun.append(time_s)
        go_on.wait(20)
        return b"picture"

    monkeypatch.setattr(media, "frame_jpeg", slow)
    video, cache = make_video(), FrameCache(tmp_path / "cache", patience_s=0.2)
    threads = [threading.Thread(target=cache.frame_jpeg, args=(video, float(i))) for i in range(2)]
    for thread in threads:
        thread.start()
    while len(begun) < 2:
        time.sleep(0.01)
    with pytest.raises(TooMany, match="ask again"):
        cache.frame_jpeg(video, 5.0)
    go_on.set()
    for thread in threads:
        thread.join()
    assert cache.frame_jpeg(video, 5.0) == b"picture"
