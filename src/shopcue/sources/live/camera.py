"""A camera of this machine as a live stream."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Generator
from typing import Protocol, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from shopcue.errors import MediaError
from shopcue.records import AudioChunk, Frame, Image
from shopcue.sources.live.reading import PacketSink
from shopcue.sources.live.transport import SILENCE_S


class Capture(Protocol):
    """What gives the pictures of a camera; cv2.VideoCapture is one."""

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        """Whether the camera is there."""

    def grab(self) -> bool:
        """Take the next picture; whether there was one."""

    def retrieve(self) -> tuple[bool, NDArray[np.uint8]]:
        """Return the picture taken, BGR."""

    def release(self) -> None:
        """Give the camera back."""


def _open_camera(device: str) -> Capture:
    return cast(Capture, cv2.VideoCapture(device, cv2.CAP_V4L2))


class Camera:
    """A camera of this machine, such as /dev/video0; it has no sound. open_capture: how a device is opened."""

    endless = True

    def __init__(self, device: str, open_capture: Callable[[str], Capture] = _open_camera) -> None:
        self._device, self._open_capture = device, open_capture
        self._closed = threading.Event()

    def read(
        self, rate_hz: float, max_side_px: int, *, sound: bool = False, recorder: PacketSink | None = None
    ) -> Generator[Frame | AudioChunk, None, None]:
        """Yield the first picture of each tick, at the time at which it was taken from the camera."""
        pictures: queue.Queue[tuple[float, Image] | MediaError] = queue.Queue(8)
        leaving = threading.Event()
        # A camera that hangs cannot be interrupted: it is waited for elsewhere.
        thread = threading.Thread(
            target=self._grab, args=(rate_hz, pictures, leaving), name="shopcue-camera", daemon=True
        )
        thread.start()
        heard_s = time.monotonic()
        try:
            while not self._closed.is_set():
                try:
                    item = pictures.get(timeout=0.2)
                except queue.Empty:
                    if time.monotonic() - heard_s > max(SILENCE_S, 3 / rate_hz):
                        raise MediaError(f"{self._device} gives no picture; check the camera") from None
                    continue
                if isinstance(item, MediaError):
                    raise item
                yield _smaller(*item, max_side_px)
                heard_s = time.monotonic()
        finally:
            leaving.set()
            thread.join(1.0)

    def close(self) -> None:
        """End the stream."""
        self._closed.set()

    def _grab(
        self, rate_hz: float, pictures: queue.Queue[tuple[float, Image] | MediaError], leaving: threading.Event
    ) -> None:
        capture = self._open_capture(self._device)
        try:
            if not capture.isOpened():
                pictures.put(MediaError(f"{self._device} cannot be opened; check that the camera is there and free"))
                return
            began_s, last_tick = math.nan, -1
            while not (leaving.is_set() or self._closed.is_set()):
                if not capture.grab():
                    pictures.put(MediaError(f"{self._device} gives no picture; check the camera"))
                    return
                now_s = time.monotonic()
                began_s = now_s if math.isnan(began_s) else began_s
                tick = math.floor((now_s - began_s) * rate_hz)
                if tick > last_tick:
                    last_tick = tick
                    there, picture = capture.retrieve()
                    if there and not pictures.full():
                        pictures.put((now_s - began_s, np.ascontiguousarray(picture[..., ::-1])))
        finally:
            capture.release()


def _smaller(time_s: float, image: Image, max_side_px: int) -> Frame:
    height, width = image.shape[:2]
    scale = max(1.0, max(width, height) / max_side_px)
    if scale > 1:
        size = (max(1, round(width / scale)), max(1, round(height / scale)))
        image = cast(Image, cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    return Frame(time_s, image, scale)
