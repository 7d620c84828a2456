"""Live streams: sampled pictures and sound as they come, one connection at a time.

A source is opened anew for each connection; its time counts from 0 at the first picture of that connection, and whoever
connects again puts it behind what came before (`engine`). Time stamps that jump within a connection, as when a
publisher starts again, are put right: time goes on, and never backwards (`timeline`).
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Generator
from functools import partial
from typing import Protocol

from shopcue.errors import MediaError, UnsafeAddress
from shopcue.records import AudioChunk, Frame
from shopcue.sources.live.addresses import (
    LISTEN,
    SCHEMES,
    StreamAddress,
    check_address,
    resolved,
    take_apart,
    without_secrets,
)
from shopcue.sources.live.camera import Camera
from shopcue.sources.live.connection import Connection, Reception
from shopcue.sources.live.door import Door
from shopcue.sources.live.paced import PacedFile
from shopcue.sources.live.reading import PacketSink
from shopcue.sources.live.transport import SILENCE_S
from shopcue.sources.live.transports import TRANSPORTS, Request

__all__ = [
    "SCHEMES",
    "SILENCE_S",
    "Camera",
    "NetworkStream",
    "PacedFile",
    "PacketSink",
    "Reception",
    "Source",
    "check_address",
    "open_source",
    "without_secrets",
]


_GROWING = ("rtmp", "rtmps", "http", "https")  # sound may begin in the midst of such a stream


class Source(Protocol):
    """Where a live stream comes from."""

    endless: bool
    """Whether it should be connected to again when it ends; a file that is played once is not."""

    def read(
        self, rate_hz: float, max_side_px: int, *, sound: bool = False, recorder: PacketSink | None = None
    ) -> Generator[Frame | AudioChunk, None, None]:
        """Connect, and yield the first frame of each tick k / rate_hz and the sound, counted from the first picture.

        max_side_px: of the frames' longer side. sound: whether to yield it, mono at 16 kHz, at most half a second at
        once. recorder: takes the packets as they come. Ends when the source has ended. Raises MediaError where the
        connection fails or brings no picture, UnsafeAddress where it would lead to a place that is not public.
        """

    def close(self) -> None:
        """End the stream for good: whoever reads it returns. May be called from another thread."""


class NetworkStream:
    """A stream by its address. private: whether it may lead to addresses that are not public, this machine's included.

    name: the address without its secrets. reception: what came so far.
    Raises UnsafeAddress for an address that is none, or one that may not be connected to.
    """

    endless = True

    def __init__(self, url: str, *, private: bool = False) -> None:
        self.reception = Reception()
        self._address: StreamAddress = take_apart(url)
        self.name = self._address.shown
        self._private = private
        resolved(self._address, private=private)
        listens = self._address.listens and self._address.scheme == "rtmp"
        self._door = Door(self._address) if listens else None
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._closed = False

    def read(
        self, rate_hz: float, max_side_px: int, *, sound: bool = False, recorder: PacketSink | None = None
    ) -> Generator[Frame | AudioChunk, None, None]:
        """Connect and yield frames and sound as they come; see `Source.read`."""
        if not 0 < rate_hz < math.inf or max_side_px < 1:
            raise MediaError(f"rate_hz={rate_hz} and max_side_px={max_side_px}: expected finite numbers above 0")
        request = Request(self._address, self._private, max_side_px, self._door)
        make = TRANSPORTS["listen" if self._door is not None else self._address.scheme]
        transport = make(request)
        with self._lock:
            if self._closed:
                transport.close()
                return
            again = partial(make, request) if self._address.scheme in _GROWING and self._door is None else None
            self._connection = connection = Connection(transport, self.reception, again)
        yield from connection.read(rate_hz, max_side_px, sound=sound, sink=recorder)

    def close(self) -> None:
        """End the stream; whoever reads it returns."""
        with self._lock:
            self._closed = True
            connection = self._connection
        if connection is not None:
            connection.close()
        if self._door is not None:
            self._door.close()


def open_source(text: str, *, private: bool = False, files: bool = True, speed: float = 1.0) -> Source:
    """Return the source that `text` names: an address, a camera such as /dev/video0, or a video file.

    private: whether it may be of this machine or a private network: without it only streams from public addresses are
    opened. files: whether it may be a file then. speed: at which that is played. Raises UnsafeAddress, MediaError.
    """
    kind = _kind(text)
    if (kind in ("file", "camera") and not private) or (kind == "file" and not files):
        raise UnsafeAddress(f"{text[:200]!r} is of this machine, expected an address: {', '.join(SCHEMES)}://host/path")
    return SOURCES[kind](text, private, speed)


def _kind(text: str) -> str:
    if re.match(r"/dev/video\d+$", text):
        return "camera"
    if text.startswith(LISTEN):
        return "listen"
    scheme = re.match(r"([a-z][a-z0-9+.-]+):", text, re.IGNORECASE)
    if scheme is None:
        return "file"
    name = scheme.group(1).lower()
    if name not in SCHEMES:
        raise UnsafeAddress(f"{without_secrets(text)} is no address of a stream, expected one of {', '.join(SCHEMES)}")
    return name


SOURCES: dict[str, Callable[[str, bool, float], Source]] = {
    "file": lambda text, private, speed: PacedFile(text, speed),
    "camera": lambda text, private, speed: Camera(text),
    "listen": lambda text, private, speed: NetworkStream(text, private=private),
    **{scheme: lambda text, private, speed: NetworkStream(text, private=private) for scheme in SCHEMES},
}
