"""Streams over http(s), and the playlists of HLS, read as if every address in them came from an attacker.

Nothing is opened but http(s) addresses, each resolved, checked and connected to as `catalog.web` does, each redirect
anew: what a playlist names (variants, segments, keys) goes the same way as the playlist itself. A login goes to the
place that it was given for and to no other.
"""

from __future__ import annotations

import math
import re
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urljoin

from urllib3 import BaseHTTPResponse
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError
from urllib3.util import make_headers

from shopcue.catalog.web import Target, connection_to, is_public, resolve_host, take_apart
from shopcue.errors import MediaError, UnsafeAddress
from shopcue.sources.live.addresses import without_secrets
from shopcue.sources.live.relay import hang_up

MAX_PLAYLIST = 4 << 20
_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_REDIRECTS = 5
_TRIES, _PAUSE_S = 3, 0.3
_CONNECT_S, _READ_S = 5.0, 10.0
_RATE_HZ, _BURST = 20.0, 100  # of what is asked for: a playlist must not make us a nuisance to others
_URI = re.compile(r'(URI=")([^"]*)(")')
_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^,]*)')


class Body:
    """What an address answered, read as it comes. url: where it was found in the end. status: of the answer.

    size: of the whole, where the server says so and gives any part of it, else 0.
    """

    def __init__(self, url: str, connection: HTTPConnection, sock: socket.socket, response: BaseHTTPResponse) -> None:
        self.url, self.status = url, response.status
        length = response.headers.get("Content-Length", "")
        in_parts = response.headers.get("Accept-Ranges", "").strip().lower() == "bytes"
        self.size = int(length[:18]) if in_parts and length.isascii() and length.isdigit() else 0
        self.closed = False
        # Kept beside its connection, which lets go of it as soon as the answer is the last one.
        self._connection, self._socket, self._response = connection, sock, response
        self._head = b""
        self._left: int | None = None

    def peek(self, count: int) -> bytes:
        """Return the first `count` bytes, fewer at the end, without taking them."""
        while len(self._head) < count and (chunk := self._more(count)):
            self._head += chunk
        return self._head[:count]

    def part(self, offset: int, count: int | None) -> None:
        """Leave out the first `offset` bytes, and give at most `count`."""
        while offset > 0 and (chunk := self.read(min(offset, 1 << 16))):
            offset -= len(chunk)
        self._left = count

    def read(self, size: int) -> bytes:
        """Return at least one byte and at most `size`, none at the end."""
        size = size if self._left is None else min(size, self._left)
        if size <= 0:
            return b""
        head, self._head = self._head[:size], self._head[size:]
        chunk = head or self._more(size)
        if self._left is not None:
            self._left -= len(chunk)
        return chunk

    def _more(self, size: int) -> bytes:
        return self._response.read1(size, decode_content=False) or b""

    def close(self) -> None:
        """Let go of the connection."""
        self.closed = True
        self._response.close()
        self._connection.close()

    def cut(self) -> None:
        """Release whoever reads, from another thread."""
        hang_up(self._socket)


class Web:
    """Opens addresses of the web for one connection to a stream.

    private: whether they need not be public. origin, login: the place that a name and a password are for.
    """

    def __init__(self, *, private: bool, origin: str = "", login: tuple[str, str] = ("", "")) -> None:
        self._private = private
        self._origin = _place(take_apart(origin)) if login[0] else None
        self._login = make_headers(basic_auth=":".join(login)) if login[0] else {}
        self._cut = threading.Event()
        self._open: set[Body] = set()
        self._due_s = -math.inf  # when the next may be asked for, but for a burst, of the monotonic clock
        self._lock = threading.Lock()

    def get(self, url: str, offset: int = 0, end: int | None = None) -> Body:
        """Return what `url` answers, from byte `offset` up to `end`, following redirects, whatever the status.

        Raises UnsafeAddress for an address that may not be opened, MediaError for one that does not answer.
        """
        for _ in range(_MAX_REDIRECTS + 1):
            target = take_apart(url)
            body, place = self._ask(target, offset, end)
            if place is None:
                if body.status == 200 and (offset or end is not None):
                    body.part(offset, None if end is None else end - offset)
                return body
            body.close()
            url = urljoin(url, place)
        raise MediaError(f"{without_secrets(url)} redirects more than {_MAX_REDIRECTS} times; check the address")

    def get_patiently(self, url: str, offset: int = 0, end: int | None = None) -> Body | None:
        """Return what `url` answers, asked again where the server has it not yet; None where that is no use."""
        for attempt in range(_TRIES):
            with suppress(MediaError):
                body = self.get(url, offset, end)
                if body.status in (200, 206):
                    return body
                body.close()
            if attempt + 1 < _TRIES and self._cut.wait(_PAUSE_S):
                break
        return None

    def cut(self) -> None:
        """Release whoever reads, and open nothing more."""
        self._cut.set()
        with self._lock:
            bodies = set(self._open)
        for body in bodies:
            body.cut()

    def close(self) -> None:
        """End all connections: nobody reads any more."""
        self.cut()
        for body in self._open:
            body.close()

    def _ask(self, target: Target, offset: int, end: int | None) -> tuple[Body, str | None]:
        """Return the answer, and where it redirects to."""
        self._wait_for_turn()
        for address in self._addresses(target)[:3]:
            connection = connection_to(target, address, _CONNECT_S)
            try:
                connection.connect()
                sock = connection.sock
                sock.settimeout(_READ_S)
                connection.request(
                    "GET", target.path, headers=self._headers(target, offset, end), preload_content=False
                )
                response = connection.getresponse()
            except (HTTPError, OSError, ValueError):
                connection.close()
                continue
            body = Body(target.url, connection, sock, response)
            self._hold(body)
            return body, response.headers.get("Location") if response.status in _REDIRECTS else None
        raise MediaError(f"{without_secrets(target.url)} does not answer; check that it is on air and may be watched")

    def _wait_for_turn(self) -> None:
        now_s = time.monotonic()
        with self._lock:
            self._due_s = max(self._due_s, now_s - _BURST / _RATE_HZ) + 1 / _RATE_HZ
            wait_s = self._due_s - now_s
        self._cut.wait(max(0.0, wait_s))

    def _addresses(self, target: Target) -> list[str]:
        name = without_secrets(target.url)
        if self._cut.is_set():
            raise MediaError(f"{name} is not asked for any more")
        try:
            found = list(resolve_host(target.host, target.port))
        except (OSError, UnicodeError):
            raise MediaError(f"{name} leads to a host that is not known; check the address") from None
        if not self._private and not all(is_public(ip_address(text.partition("%")[0])) for text in found):
            raise UnsafeAddress(f"{name} leads to a private address; streams come from public ones")
        return found

    def _headers(self, target: Target, offset: int, end: int | None) -> dict[str, str]:
        headers = {"Host": target.authority, "User-Agent": "shopcue", "Accept": "*/*", "Accept-Encoding": "identity"}
        if offset or end is not None:
            headers["Range"] = f"bytes={offset}-{'' if end is None else end - 1}"
        return headers | (self._login if _place(target) == self._origin else {})

    def _hold(self, body: Body) -> None:
        with self._lock:
            self._open = {held for held in self._open if not held.closed} | {body}
        if self._cut.is_set():
            body.cut()


def _place(target: Target) -> tuple[str, str, int]:
    return target.scheme, target.host, target.port


class File:
    """A file of the web that can be read from any place on, as an MP4 must be whose index is at its end."""

    def __init__(self, web: Web, body: Body) -> None:
        self._web, self._body, self._at = web, body, 0
        self._size = body.size

    def read(self, size: int) -> bytes:
        """Return at least one byte and at most `size`, none at the end."""
        chunk = self._body.read(size)
        self._at += len(chunk)
        return chunk

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place; returns where that is."""
        place = offset + {0: 0, 1: self._at, 2: self._size}[whence]
        if place != self._at:
            url = self._body.url
            self._body.close()
            self._body = self._web.get(url, place)
            if self._body.status not in (200, 206):
                raise MediaError(f"{without_secrets(url)} gives no part of itself; check that it is on air")
            self._at = place
        return place

    def tell(self) -> int:
        """Return the place."""
        return self._at


# ---- playlists -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Variant:
    attributes: dict[str, str]
    lines: tuple[str, str]  # the tag, and the address that follows it

    @property
    def side_px(self) -> int:
        """The longer side of its pictures, 0 where it does not say."""
        numbers = [int(n) for n in re.findall(r"\d{1,5}", self.attributes.get("RESOLUTION", ""))]
        return max(numbers, default=0)

    @property
    def bits(self) -> int:
        return int(re.sub(r"\D", "", self.attributes.get("BANDWIDTH", ""))[:12] or 0)


def is_playlist(head: bytes) -> bool:
    """Tell whether what starts so is a playlist."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()[:7] == b"#EXTM3U"


def prepared(text: str, url: str, max_side_px: int) -> str:
    """Return a playlist found at `url` with whole addresses, and of several variants only the one that serves best.

    That is the smallest whose longer side has max_side_px pixels, else the largest: all variants would be read.
    """
    lines = [_whole(line.strip(), url) for line in text.removeprefix("\ufeff").splitlines()]
    variants = [
        _Variant(_attributes(line), (line, next((x for x in lines[at + 1 :] if x and not x.startswith("#")), "")))
        for at, line in enumerate(lines)
        if line.startswith("#EXT-X-STREAM-INF:")
    ]
    if not variants:
        return "\n".join(lines) + "\n"
    best = _best(variants, max_side_px)
    group = best.attributes.get("AUDIO")
    sound = [line for line in lines if line.startswith("#EXT-X-MEDIA:") and _is_of(_attributes(line), group)]
    sound.sort(key=lambda line: _attributes(line).get("DEFAULT") != "YES")
    head = [line for line in lines if line.startswith(("#EXTM3U", "#EXT-X-VERSION", "#EXT-X-INDEPENDENT"))]
    return "\n".join([*head, *sound[:1], *best.lines]) + "\n"


def target_duration_s(text: str) -> float:
    """Return how long the segments of a playlist are at most, 0 where it does not say."""
    found = re.search(r"#EXT-X-TARGETDURATION:\s*(\d{1,4})", text)
    return float(found.group(1)) if found else 0.0


def _best(variants: list[_Variant], max_side_px: int) -> _Variant:
    with_pictures = [v for v in variants if v.side_px or "RESOLUTION" not in v.attributes] or variants
    sized = [v for v in with_pictures if v.side_px] or with_pictures
    enough = [v for v in sized if v.side_px >= max_side_px]
    if enough:
        return min(enough, key=lambda v: (v.side_px, v.bits))
    return max(sized, key=lambda v: (v.side_px, v.bits))


def _is_of(attributes: dict[str, str], group: str | None) -> bool:
    return attributes.get("TYPE") == "AUDIO" and group is not None and attributes.get("GROUP-ID") == group


def _attributes(line: str) -> dict[str, str]:
    return {key: value.strip('"') for key, value in _ATTRIBUTE.findall(line.partition(":")[2])}


def _whole(line: str, url: str) -> str:
    """Return a line of a playlist with its addresses relative to nothing."""
    if not line or (line.startswith("#") and 'URI="' not in line):
        return line
    with suppress(ValueError):
        if line.startswith("#"):
            return _URI.sub(lambda found: found[1] + urljoin(url, found[2]) + found[3], line)
        return urljoin(url, line)
    return "#"  # an address that is none
