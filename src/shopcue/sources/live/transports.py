"""How each kind of stream is connected to: one class for each, and one dictionary of all."""

from __future__ import annotations

import re
import shutil
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

import av
from av.container import InputContainer

from shopcue.errors import MediaError, UnsafeAddress
from shopcue.sources.containers import MAX_PIXELS
from shopcue.sources.live.addresses import StreamAddress, connect, resolved
from shopcue.sources.live.door import Door
from shopcue.sources.live.hls import Hls
from shopcue.sources.live.pipes import Datagrams, Program
from shopcue.sources.live.relay import Guard, Relay
from shopcue.sources.live.transport import SILENCE_S, Transport
from shopcue.sources.live.web import Body, File, Web, is_playlist

_CONNECT_S = 5.0
_FORMATS = "flv,live_flv,mpegts,mov,mp4,matroska,webm,aac,mp3"
# A picture is wanted soon: so the rate of pictures is not measured first, nor sound waited for that may never come.
_SOON = {"fpsprobesize": "0", "analyzeduration": "2000000", "max_pixels": str(MAX_PIXELS)}
_TIMEOUT = (SILENCE_S + 2, SILENCE_S + 2)  # for a thread that nobody waits for any more
_REDIRECT = re.compile(rb"RTSP/\S*\s+[+]?0*3\d\d")
_MEMORY = 4096  # bytes, of the longest line of RTSP


@dataclass(slots=True)
class Request:
    """What a transport is made of: where to, whether to private addresses too, and how large pictures need be.

    door: where a publisher is waited for, kept open from one connection to the next.
    """

    address: StreamAddress
    private: bool
    max_side_px: int
    door: Door | None = None


class _Relayed:
    """A library that connects by itself, through a relay that connects to where it may."""

    silence_s = SILENCE_S
    waiting = False

    def __init__(self, request: Request) -> None:
        self.name = request.address.shown
        self._address, self._private = request.address, request.private
        self._relay = Relay(self._dial, self._guard())

    def open(self) -> InputContainer:
        """Connect."""
        resolved(self._address, private=self._private)
        try:
            return av.open(
                self._local(),
                container_options=self._options(),
                options=_SOON,
                timeout=_TIMEOUT,
                metadata_errors="replace",
            )
        except (av.FFmpegError, OSError, ValueError):
            if self._relay.problem is not None:
                raise self._relay.problem from None
            raise

    def cut(self) -> None:
        """Let go of the network."""
        self._relay.cut()

    close = cut

    def _dial(self) -> socket.socket:
        return connect(self._address, private=self._private, timeout_s=_CONNECT_S)

    def _guard(self) -> Callable[[], Guard] | None:
        return None

    def _local(self) -> str:
        scheme = self._address.scheme.removesuffix("s")  # the relay secures it
        return f"{scheme}://{self._address.login}127.0.0.1:{self._relay.port}{self._address.path}"

    def _options(self) -> dict[str, str]:
        raise NotImplementedError


class Rtmp(_Relayed):
    """RTMP and RTMPS, pulled."""

    def _options(self) -> dict[str, str]:
        # The server is to see its own name, not that of the relay.
        parts = self._address.path.partition("?")[0].strip("/").split("/")
        app = parts[: max(1, min(2, len(parts) - 1))]  # as the library parts it from the key
        place = f"{self._address.scheme}://{self._address.authority}/{'/'.join(app)}"
        return {"protocol_whitelist": "rtmp,tcp", "rtmp_live": "live", "rtmp_tcurl": place}


class Rtsp(_Relayed):
    """RTSP and RTSPS, all of it over the one connection."""

    def _options(self) -> dict[str, str]:
        return {"protocol_whitelist": "rtsp,tcp,rtp", "rtsp_transport": "tcp"}

    def _guard(self) -> Callable[[], Guard]:
        return lambda: _NoRedirects(self.name).check


class _NoRedirects:
    """Ends a connection whose server sends elsewhere: the library would follow, to wherever it is told."""

    def __init__(self, name: str) -> None:
        self._name, self._tail = name, b""

    def check(self, chunk: bytes) -> None:
        """Look at what the server sends."""
        seen = self._tail + chunk
        if _REDIRECT.search(seen):
            raise MediaError(f"{self._name} redirects to another address; give that address")
        self._tail = seen[-_MEMORY:]


class Http:
    """HLS, and whatever else comes over http(s) as one endless file."""

    waiting = False

    def __init__(self, request: Request) -> None:
        address = request.address
        self.name = address.shown
        self._url = f"{address.scheme}://{address.authority}{address.path or '/'}"
        self._web = Web(private=request.private, origin=self._url, login=address.user)
        self._hls = Hls(self._web, self.name, request.max_side_px)

    @property
    def silence_s(self) -> float:
        """How long no picture may come: segments come one at a time."""
        return max(SILENCE_S, self._hls.patience_s)

    def open(self) -> InputContainer:
        """Connect."""
        body = self._web.get(self._url)
        if body.status != 200:
            raise MediaError(f"{self.name} answered with status {body.status}; check that it is on air")
        if is_playlist(body.peek(10)):
            return self._hls.open(body, SILENCE_S, _SOON)
        # The index of an MP4 may be at its end; all else is read as it comes.
        in_parts = body.size > 0 and body.peek(12)[4:8] == b"ftyp"
        return _of_bytes(File(self._web, body) if in_parts else body)

    def cut(self) -> None:
        """Let go of the network."""
        self._web.cut()

    def close(self) -> None:
        """End what is still open."""
        self._web.close()


class _Piped:
    """MPEG-TS in bytes that Python reads itself."""

    silence_s = SILENCE_S
    waiting = False

    def __init__(self, request: Request) -> None:
        self.name = request.address.shown
        self._request = request
        self._pipe: Datagrams | Program | None = None
        self._cut = threading.Event()

    def open(self) -> InputContainer:
        """Wait for the first bytes."""
        self._pipe = self._connect()
        if self._cut.is_set():
            self._pipe.cut()
        return _of_bytes(self._pipe, "mpegts")

    def cut(self) -> None:
        """Let go of the network."""
        self._cut.set()
        if self._pipe is not None:
            self._pipe.cut()

    def close(self) -> None:
        """Give back what it holds."""
        if self._pipe is not None:
            self._pipe.close()

    def _connect(self) -> Datagrams | Program:
        raise NotImplementedError


class Udp(_Piped):
    """MPEG-TS in datagrams, sent to a port of this machine or to a group."""

    def _connect(self) -> Datagrams:
        address = self._request.address
        return Datagrams(resolved(address, private=self._request.private)[0], address.port)


class Srt(_Piped):
    """SRT, which another program of this machine speaks for us."""

    @property
    def waiting(self) -> bool:  # type: ignore[override]
        """Whether no publisher has come yet."""
        program = self._pipe
        return self._request.address.listens and not (isinstance(program, Program) and program.started)

    def open(self) -> InputContainer:
        """Wait for the first bytes."""
        try:
            return super().open()
        except (av.FFmpegError, ValueError):
            if isinstance(self._pipe, Program) and self._pipe.started:
                raise
            raise MediaError(f"{self.name} does not answer; check that it is on air and may be watched") from None

    def _connect(self) -> Program:
        return Program(_srt_command(self._request))


def _srt_command(request: Request) -> list[str]:
    """Return the command that writes the bytes of a stream, as they are, to its standard output."""
    address = request.address
    place = resolved(address, private=request.private)[0]
    query = dict(parse_qsl(address.path.partition("?")[2], keep_blank_values=True))
    query["mode"] = "listener" if address.listens else "caller"
    if query.keys() - _SRT_OPTIONS:
        unknown = ", ".join(sorted(query.keys() - _SRT_OPTIONS))[:80]
        raise UnsafeAddress(f"{address.shown} asks for {unknown}, expected some of {', '.join(sorted(_SRT_OPTIONS))}")
    host = f"[{place}]" if ":" in place else place
    url = f"srt://{host}:{address.port}?{urlencode(query)}"
    if transmit := shutil.which("srt-live-transmit"):
        return [transmit, "-q", "-a:no", "-loglevel:fatal", url, "file://con"]
    if ffmpeg := shutil.which("ffmpeg"):
        return [
            ffmpeg,
            "-nostdin",
            "-loglevel",
            "quiet",
            "-f",
            "data",
            "-i",
            url,
            "-map",
            "0",
            "-c",
            "copy",
            "-f",
            "data",
            "pipe:1",
        ]
    raise MediaError(
        f"{address.shown} needs a program that speaks SRT; install srt-live-transmit (of srt-tools) or ffmpeg"
    )


# Of the transports; none that names files or other addresses.
_SRT_OPTIONS = {"mode", "streamid", "passphrase", "pbkeylen", "latency", "rcvlatency", "peerlatency", "conntimeo"}


class Listen:
    """RTMP, published to us."""

    silence_s = SILENCE_S

    def __init__(self, request: Request) -> None:
        assert request.door is not None
        self.name = request.address.shown
        self._door = request.door
        self._cut = threading.Event()

    @property
    def waiting(self) -> bool:
        """Whether no publisher has come yet."""
        return self._door.waiting

    def open(self) -> InputContainer:
        """Wait for a publisher who knows the key."""
        return self._door.open(self._cut, _SOON, _TIMEOUT)

    def cut(self) -> None:
        """Let go of the publisher, and of whoever waits for one."""
        self._cut.set()
        self._door.hang_up()

    close = cut


def _of_bytes(pipe: Body | File | Datagrams | Program, form: str | None = None) -> InputContainer:
    """Return the container of a stream of bytes."""
    return av.open(
        pipe,
        mode="r",
        format=form,
        container_options={"format_whitelist": _FORMATS},
        options=_SOON,
        timeout=_TIMEOUT,
        metadata_errors="replace",
    )


TRANSPORTS: dict[str, Callable[[Request], Transport]] = {
    "rtmp": Rtmp,
    "rtmps": Rtmp,
    "rtsp": Rtsp,
    "rtsps": Rtsp,
    "http": Http,
    "https": Http,
    "udp": Udp,
    "srt": Srt,
    "listen": Listen,
}
