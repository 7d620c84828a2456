"""A decoded frame -> a small upright RGB picture, in one step of swscale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import numpy as np
from av.buffer import Buffer
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from shopcue.records import Frame, Image

_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED
_WIDEST_PIXEL = 8  # a pixel's sides beyond this ratio are a fault or a trap, not a picture's shape


@dataclass(frozen=True, slots=True)
class _Turn:
    """How to set a picture upright: swap its axes, then mirror it left-right, then top-bottom."""

    swapped: bool = False
    left_right: bool = False
    top_bottom: bool = False

    @classmethod
    def from_matrix(cls, matrix: bytes) -> _Turn:
        """Read a display matrix, which shows the pixel (x, y) at (a x + c y, b x + d y), as quarter turns."""
        a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].astype(np.int64).tolist()
        swapped = abs(b) + abs(c) > abs(a) + abs(d)
        return cls(swapped, (c if swapped else a) < 0, (b if swapped else d) < 0)

    def apply(self, image: Image) -> Image:
        """Return `image` set upright."""
        turned = image.swapaxes(0, 1) if self.swapped else image
        turned = turned[:: -1 if self.top_bottom else 1, :: -1 if self.left_right else 1]
        return np.ascontiguousarray(turned)


class Painter:
    """Makes the pictures of one stream; keeps the scaler from one frame to the next."""

    def __init__(self, stream: VideoStream, max_side_px: int | None = None) -> None:
        ratio = stream.sample_aspect_ratio or Fraction(1)
        self._pixel_ratio = ratio if Fraction(1, _WIDEST_PIXEL) <= ratio <= _WIDEST_PIXEL else Fraction(1)
        self._max_side_px = max_side_px
        self._scaler = VideoReformatter()
        self._turn = _Turn()
        self._rotation: int | None = None  # of the frame that `_turn` was read from

    def shown_size(self, frame: VideoFrame) -> tuple[int, int]:
        """Return the width and height in pixels at which a player shows `frame`."""
        width, height = self._square_size(frame)
        return (height, width) if self._turn_of(frame).swapped else (width, height)

    def paint(self, frame: VideoFrame, time_s: float) -> Frame:
        """Return `frame` as a record: upright, in RGB, its longer side at most max_side_px."""
        width, height = self._square_size(frame)
        scale = max(1.0, max(width, height) / (self._max_side_px or max(width, height)))
        small = self._scaler.reformat(
            frame,
            width=max(1, round(width / scale)),
            height=max(1, round(height / scale)),
            format="rgb24",
            src_colorspace=_guess_colorspace(frame),
            dst_color_range=ColorRange.JPEG,
            interpolation=Interpolation.AREA,
            threads=1,
        )
        return Frame(time_s, self._turn_of(frame).apply(cast(Image, small.to_ndarray())), scale)

    def _turn_of(self, frame: VideoFrame) -> _Turn:
        """Return how to set `frame` upright."""
        # A frame whose side data have been looked at is freed only by a garbage collection, and frames are large: so
        # look again only where the rotation, which costs nothing to see, says that the video was turned.
        if frame.rotation != self._rotation:
            self._rotation = frame.rotation
            matrix = cast("Mapping[Type, Buffer]", frame.side_data).get(Type.DISPLAYMATRIX)
            self._turn = _Turn() if matrix is None else _Turn.from_matrix(bytes(matrix))
        return self._turn

    def _square_size(self, frame: VideoFrame) -> tuple[int, int]:
        """Return the width and height of `frame` in square pixels, before it is turned; the longer way is stretched."""
        if self._pixel_ratio >= 1:
            return round(frame.width * self._pixel_ratio), frame.height
        return frame.width, round(frame.height / self._pixel_ratio)


def _guess_colorspace(frame: VideoFrame) -> Colorspace | None:
    """Return what players take for a video that does not name its colour matrix, None where it does."""
    if frame.colorspace != _UNSPECIFIED:
        return None
    return Colorspace.ITU709 if frame.width >= 1280 or frame.height > 576 else Colorspace.ITU601
