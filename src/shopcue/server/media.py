"""Single pictures of a video as JPEG: frames, crops of them, and the poster, kept on disk once they were asked for."""

from __future__ import annotations

import math
import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL.Image import fromarray

from shopcue.catalog.pictures import shrink
from shopcue.errors import MediaError
from shopcue.geometry import crop
from shopcue.records import Floats, Image
from shopcue.server.problems import TooMany
from shopcue.sources.files import VideoInfo, frame_at, frames_at

MAX_SIDE_PX = 1920
POSTER_SIDE_PX = 960
_QUALITY = 85
_DECODES = 2  # at once: a large picture takes tens of megabytes while it is decoded
_BOUND_EVERY = 64  # writes: to count what is there reads the whole folder
_POSTER_SHARES = (0.05, 0.2, 0.4, 0.6)

Box = Sequence[float]
"""x0, y0, x1, y1 in pixels of the video."""


def frame_jpeg(path: str | Path, time_s: float, box: Box | None = None, side_px: int | None = None) -> bytes:
    """Return the picture that a video shows at time_s as JPEG.

    time_s: seconds; after the end it is the last picture. box: the part to cut out, xyxy pixels of the video. side_px:
    the longer side is shrunk to it, at most and by default to `MAX_SIDE_PX`. Raises MediaError for a video that cannot
    be read and for numbers that mean no place or size.
    """
    edges = _checked(time_s, box, side_px)
    try:
        frame = frame_at(path, time_s, MAX_SIDE_PX)
    except MediaError as error:  # where the file lies is nobody's business
        raise MediaError(str(error).replace(str(path), Path(path).name)) from None
    picture = frame.image if edges is None else crop(frame.image, edges / np.float32(frame.scale))
    return encode_jpeg(shrink(np.ascontiguousarray(picture), side_px or MAX_SIDE_PX))


def _checked(time_s: float, box: Box | None, side_px: int | None) -> Floats | None:
    """Return the box as an array; raise MediaError for a time, a box or a size that means nothing."""
    if not (math.isfinite(time_s) and time_s >= 0):
        raise MediaError(f"asked for the picture at {time_s} s, expected seconds from 0")
    if side_px is not None and not 1 <= side_px <= MAX_SIDE_PX:
        raise MediaError(f"asked for a side of {side_px} pixels, expected 1 to {MAX_SIDE_PX}")
    if box is None:
        return None
    within = len(box) == 4 and all(math.isfinite(edge) and abs(edge) < 1e6 for edge in box)
    if not within or box[0] >= box[2] or box[1] >= box[3]:
        raise MediaError(f"asked for the box {tuple(box)[:8]}, expected x0,y0,x1,y1 in pixels with x0 < x1 and y0 < y1")
    return np.array(box, np.float32)


def poster_jpeg(video: VideoInfo) -> bytes:
    """Return the picture that stands for a video: of a few of its moments the richest in contrast.

    The longer side has at most `POSTER_SIDE_PX` pixels. Raises MediaError.
    """
    times = [share * video.duration_s for share in _POSTER_SHARES]
    richest = max(frames_at(video.path, times, POSTER_SIDE_PX), key=lambda frame: float(frame.image.std()))
    return encode_jpeg(richest.image)


def encode_jpeg(picture: Image) -> bytes:
    """Return a picture as JPEG. RGB uint8 (H, W, 3)."""
    out = BytesIO()
    fromarray(picture).save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that appears complete or not at all; its folder is made where it lacks. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{secrets.token_hex(6)}.part")
    try:
        draft.write_bytes(data)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


class FrameCache:
    """Pictures of videos as `frame_jpeg` makes them, each made once and kept on disk, the longest unused leaving first.

    folder: where they lie; it may be lost at any time. max_bytes: how far it may grow. patience_s: how long one waits
    for others to be made. Threads and processes may share one folder.
    """

    def __init__(self, folder: Path, *, max_bytes: int = 256 << 20, patience_s: float = 10.0) -> None:
        self._folder, self._max_bytes, self._patience_s = folder, max_bytes, patience_s
        self._decoding = threading.Semaphore(_DECODES)
        self._puts = 0

    def frame_jpeg(self, path: str | Path, time_s: float, box: Box | None = None, side_px: int | None = None) -> bytes:
        """Return the picture that a video shows at time_s; see the function of this name. Raises TooMany too."""
        _checked(time_s, box, side_px)
        kept = self._folder / _name(Path(path), time_s, box, side_px)
        if (picture := _read(kept)) is not None:
            return picture
        with self._turn():
            if (picture := _read(kept)) is not None:  # the one who was waited for made it
                return picture
            picture = frame_jpeg(path, time_s, box, side_px)
            with suppress(OSError):  # a full disk costs the cache, not the answer
                self._put(kept, picture)
        return picture

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for one's turn, but not with all the threads of a server."""
        if not self._decoding.acquire(timeout=self._patience_s):
            raise TooMany("many pictures of videos are being made at the moment; ask again in a few seconds", 2.0)
        try:
            yield
        finally:
            self._decoding.release()

    def _put(self, kept: Path, picture: bytes) -> None:
        write_whole(kept, picture)
        self._puts += 1
        if self._puts % _BOUND_EVERY == 1:
            self._bound()

    def _bound(self) -> None:
        """Delete the longest unused pictures until a tenth of the room is free."""
        kept = []
        for entry in os.scandir(self._folder):
            with suppress(OSError):  # another process may have deleted it
                status = entry.stat()
                kept.append((status.st_mtime, status.st_size, entry.path))
        excess = sum(size for _, size, _ in kept) - self._max_bytes
        if excess <= 0:
            return
        excess += self._max_bytes // 10
        for _, size, path in sorted(kept):
            Path(path).unlink(missing_ok=True)
            excess -= size
            if excess <= 0:
                return


def _name(path: Path, time_s: float, box: Box | None, side_px: int | None) -> str:
    """Name a picture by the very file that it is of: one that was replaced has another name."""
    try:
        status = path.stat()
    except OSError as error:
        raise MediaError(f"{path.name} cannot be read: {error.strerror}; expected a video") from None
    edges = None if box is None else [round(edge, 1) for edge in box]
    asked = (str(path), status.st_mtime_ns, status.st_size, round(time_s, 3), edges, side_px)
    return f"{sha256(repr(asked).encode('utf-8', 'surrogatepass')).hexdigest()}.jpg"


def _read(path: Path) -> bytes | None:
    """Return what a kept picture holds, and note that it was used; None if it is not there."""
    with suppress(OSError):
        picture = path.read_bytes()
        os.utime(path)
        return picture
    return None
