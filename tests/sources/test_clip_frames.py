"""The pixels of clips: numbered videos and painted files, of which some are missing or damaged."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from clips import MakeVideo, picture_number
from shopcue.data.clip_pairs import Clip, FrameRef
from shopcue.errors import MediaError
from shopcue.records import Image
from shopcue.sources.clip_frames import frames_by_index, read_clip_frames


def clip(*refs: FrameRef) -> Clip:
    return Clip("clip", refs)


def grey(path: Path, value: int, side: int = 30) -> Path:
    cv2.imwrite(str(path), np.full((side, side * 2, 3), value, np.uint8))
    return path


def numbers(images: list[Image]) -> list[int]:
    return [picture_number(image) for image in images]


def test_picture_files_come_in_order_and_no_larger_than_asked_for(tmp_path: Path) -> None:
    files = [grey(tmp_path / f"{value}.png", value, side) for value, side in ((10, 30), (200, 30), (90, 400))]
    images = read_clip_frames(clip(*map(FrameRef, files)), max_side_px=100)
    assert [int(image[0, 0, 0]) for image in images] == [10, 200, 90]
    assert [image.shape for image in images] == [(30, 60, 3), (30, 60, 3), (50, 100, 3)]


def test_what_is_missing_or_damaged_is_left_out(tmp_path: Path, make_video: MakeVideo) -> None:
    whole, damaged = grey(tmp_path / "whole.png", 7), tmp_path / "damaged.jpg"
    damaged.write_bytes(b"\xff\xd8\xff and no more")
    video = tmp_path / "damaged.mp4"
    video.write_bytes(make_video().read_bytes()[:300])
    refs = [FrameRef(tmp_path / "gone.png"), FrameRef(damaged), FrameRef(whole), FrameRef(video, 3), FrameRef(video)]
    assert [int(image[0, 0, 0]) for image in read_clip_frames(clip(*refs))] == [7]
    assert read_clip_frames(clip(*refs[:2])) == []
    assert read_clip_frames(clip()) == []


def test_frames_of_a_video_are_those_with_the_numbers(make_video: MakeVideo) -> None:
    # Uneven times: a number is the place in the order of showing, not a time.
    path = make_video(pts_s=(0, 0.1, 0.5, 0.6, 2.0, 2.1, 2.2, 7.0))
    assert numbers(read_clip_frames(clip(*(FrameRef(path, index) for index in (1, 4, 7))))) == [1, 4, 7]
    assert numbers(read_clip_frames(clip(*(FrameRef(path, index) for index in (6, 2, 2, 99))))) == [6, 2, 2]
    assert list(frames_by_index(path, {5, 100})) == [5]
    with pytest.raises(MediaError):
        frames_by_index(path.parent / "none.mp4", {0})


def test_of_a_whole_video_ten_even_seconds_are_taken(make_video: MakeVideo) -> None:
    path = make_video(pts_s=[i / 2 for i in range(46)])  # 23 s
    expected = [2 * int(second) for second in np.linspace(0, 23, 10, endpoint=False)]
    assert numbers(read_clip_frames(clip(FrameRef(path)))) == expected
    short = make_video("short.mp4", pts_s=[i / 2 for i in range(8)])  # 4 s: some seconds are taken more than once
    assert numbers(read_clip_frames(clip(FrameRef(short)))) == [0, 0, 0, 2, 2, 4, 4, 4, 6, 6]
