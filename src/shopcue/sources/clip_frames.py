"""The pixels of a clip: picture files, chosen frames of a video, or a whole video.

A whole video, a `FrameRef` of a video without an index, is seen once a second, and of that ten frames are taken, evenly
from its start: numpy.linspace(0, seconds, 10, endpoint=False) in whole seconds, as RICE does. Files that are missing or
damaged are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from math import ceil
from pathlib import Path

import numpy as np

from shopcue.catalog.pictures import read_picture, shrink
from shopcue.data.clip_pairs import Clip, FrameRef
from shopcue.errors import MediaError
from shopcue.records import Image
from shopcue.sources.containers import open_media, packets, video_stream
from shopcue.sources.decoding import Choice, decode
from shopcue.sources.files import frames_at, probe
from shopcue.sources.pictures import Painter

WHOLE_VIDEO_FRAMES = 10
VIDEO_SUFFIXES = {".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".flv", ".ts"}
"""By which a file of a video is told from one of a picture."""


def read_clip_frames(clip: Clip, max_side_px: int = 640) -> list[Image]:
    """Return the pictures of a clip in order, those that can be read. -> RGB uint8 (H, W, 3), sides <= max_side_px."""
    found: list[Image] = []
    for path, refs in groupby(clip.frames, lambda ref: ref.path):
        try:
            found += _of_file(path, list(refs), max_side_px)
        except MediaError:
            continue
    return found


def _of_file(path: Path, refs: Sequence[FrameRef], max_side_px: int) -> Iterator[Image]:
    indices = [ref.index for ref in refs if ref.index is not None]
    if indices:
        shown = frames_by_index(path, set(indices), max_side_px)
        return (shown[index] for index in indices if index in shown)
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return (frame.image for frame in frames_at(path, _seconds(path), max_side_px))
    return iter([shrink(read_picture(path).image, max_side_px)] * len(refs))


def _seconds(path: Path) -> list[float]:
    seconds = max(1, ceil(probe(path).duration_s))
    return [float(int(each)) for each in np.linspace(0, seconds, WHOLE_VIDEO_FRAMES, endpoint=False)]


def frames_by_index(path: Path, indices: set[int], max_side_px: int | None = None) -> Mapping[int, Image]:
    """Return the frames of a video that are shown as number `indices`, counted from 0, those that there are.

    Everything up to the last of them is decoded. Raises MediaError if the file is no video.
    """
    found: dict[int, Image] = {}
    with open_media(path) as container:
        stream = video_stream(container, path)
        painter = Painter(stream, max_side_px)
        for number, frame in enumerate(decode(packets(container, stream), stream, Choice.every())):
            if number in indices:
                found[number] = painter.paint(frame, 0.0).image
            if len(found) == len(indices):
                break
    return found
