"""Live streams: sampled pictures as they come, one connection at a time.

A source is opened anew for each connection; its frames count from 0 at the first picture of that connection, and
whoever connects again puts them behind what came before (`engine`). Time stamps that jump within a connection, as when
a publisher starts again, are spliced: time goes on, and never backwards.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Generator
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from shopcue.catalog.web import Resolve, is_public, resolve_host
from shopcue.errors import MediaError, UnsafeAddress
from shopcue.records import Frame
from shopcue.sources.containers import MAX_PIXELS
from shopcue.sources.files import read_frames
from shopcue.sources.pictures import Painter

SCHEMES = {"rtmp": 1935, "rtmps": 443, "rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
"""What a stream may be given as, and the port that each speaks on."""

SILENCE_S = 10.0
"""A connection that brings nothing for so long is given up."""

_PROTOCOLS = "rtmp,rtmpt,rtmps,rtsp,rtsps,rtp,udp,http,https,tcp,tls,crypto"
_FORMATS = "flv,live_flv,hls,rtsp,rtp,sdp,mpegts,mov,mp4,matroska,webm,aac,h264,hevc,webvtt"
_JUMP_S = 5.0  # a step of time stamps beyond this is a new start, not a gap


class Source(Protocol):
    """Where a live stream comes from."""

    endless: bool
    """Whether it should be connected to again when it ends; a file that is played once is not."""

    def frames(self, rate_hz: float, max_side_px: int) -> Generator[Frame, None, None]:
        """Connect and yield frames as they come, counted from 0. Raises MediaError where the connection fails."""


class PacedFile:
    """A video file as a live stream: each frame comes when its time has come. speed: how much faster than life."""

    endless = False

    def __init__(self, path: str | Path, speed: float = 1.0) -> None:
        self._path, self._speed = path, speed

    def frames(self, rate_hz: float, max_side_px: int) -> Generator[Frame, None, None]:
        """Yield the frames of the file, the same as offline."""
        began_s = time.monotonic()
        for frame in read_frames(self._path, rate_hz, max_side_px):
            time.sleep(max(0.0, began_s + frame.time_s / self._speed - time.monotonic()))
            yield frame


class NetworkStream:
    """A stream by its address. private: whether it may lead to addresses that are not public.

    Raises UnsafeAddress for a scheme that is not of `SCHEMES`, or a host without a public address.
    """

    endless = True

    def __init__(self, url: str, *, private: bool = False) -> None:
        self.name = without_secrets(url)
        self._url, self._private = url, private
        check_address(url, private=private)

    def frames(self, rate_hz: float, max_side_px: int) -> Generator[Frame, None, None]:
        """Connect and yield the first picture of each tick as it comes."""
        check_address(self._url, private=self._private)  # the host may lead elsewhere by now
        try:
            with self._open() as container:
                stream = _pictures(container, self.name)
                yield from _sampled(container, stream, rate_hz, Painter(stream, max_side_px))
        except (av.FFmpegError, OSError, ValueError) as error:
            # What ffmpeg says may hold the address with its key, which belongs in no log.
            raise MediaError(
                f"{self.name} cannot be read ({type(error).__name__}); check that it is on air and may be watched"
            ) from None

    def _open(self) -> InputContainer:
        options = {"protocol_whitelist": _PROTOCOLS, "format_whitelist": _FORMATS}
        if self._url.lower().startswith("rtsp"):
            options["rtsp_transport"] = "tcp"
        return av.open(
            self._url,
            container_options=options,
            options={"max_pixels": str(MAX_PIXELS)},
            timeout=(SILENCE_S, SILENCE_S),
            metadata_errors="replace",
        )


def check_address(url: str, *, private: bool = False, resolve: Resolve = resolve_host) -> None:
    """Raise UnsafeAddress unless a stream's address is of a known scheme and leads to public addresses alone."""
    name = without_secrets(url)
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise UnsafeAddress(f"{name} is no valid address, expected {_expected()}") from None
    if parts.scheme.lower() not in SCHEMES or not host:
        raise UnsafeAddress(f"{name} is no address of a stream, expected {_expected()}")
    if private:
        return
    try:
        found = resolve(host, port or SCHEMES[parts.scheme.lower()])
    except (OSError, UnicodeError):
        raise UnsafeAddress(f"{name} leads to a host that is not known; check the address") from None
    if not found or not all(is_public(ipaddress.ip_address(text.partition("%")[0])) for text in found):
        raise UnsafeAddress(
            f"{name} leads to a private address; streams come from public ones unless the server allows others"
        )


def without_secrets(url: str) -> str:
    """Return an address as a log or a page may show it: no user, password or query, and of the path only the start."""
    try:
        parts = urlsplit(url.strip())
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "the address"
    first = parts.path.split("/")[:2]
    path = "/".join(first) + ("/…" if parts.path.count("/") > 1 else "")
    return urlunsplit((parts.scheme, f"{host}{port}", path, "", ""))[:200]


def _expected() -> str:
    return f"{', '.join(SCHEMES)}://host/path"


def _pictures(container: InputContainer, name: str) -> VideoStream:
    if not container.streams.video:
        raise MediaError(f"{name} has no pictures, expected a stream with video; check the address")
    stream = container.streams.video[0]
    stream.thread_type = "SLICE"  # threads by frame would hold back as many frames as there are threads
    return stream


def _sampled(
    container: InputContainer, stream: VideoStream, rate_hz: float, painter: Painter
) -> Generator[Frame, None, None]:
    """Yield the first frame of each tick, on a time that starts at 0 and never goes back."""
    shift_s, last_s, last_tick = math.nan, 0.0, -1
    for frame in container.decode(stream):
        if frame.pts is None or frame.time_base is None:
            continue
        stamp_s = float(frame.pts * frame.time_base)
        if math.isnan(shift_s):
            shift_s = stamp_s
        elif not -0.001 <= stamp_s - shift_s - last_s <= _JUMP_S:
            shift_s = stamp_s - last_s - 1 / 25
        time_s = stamp_s - shift_s
        last_s = max(last_s, time_s)
        tick = math.floor(time_s * rate_hz + 1e-6)
        if tick > last_tick:
            last_tick = tick
            yield painter.paint(frame, time_s)
