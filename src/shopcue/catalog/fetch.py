"""Remote pictures, feeds and videos, fetched as if every address came from an attacker.

A host is resolved once, every address that it has must be public, and the connection goes to exactly the address that
was checked, so that a name cannot change its mind in between. Redirects are followed by hand, each checked anew.
Ports other than 80 and 443, users in addresses, proxies and compressed answers are not used. Size and time are bounded.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http.client import HTTPException
from typing import BinaryIO, Protocol
from urllib.parse import urljoin

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from shopcue.catalog.cache import Download, DownloadCache
from shopcue.catalog.feeds import shown
from shopcue.catalog.web import (
    Permit,
    Resolve,
    Target,
    connection_to,
    ended_at,
    is_public_web,
    permitted_addresses,
    resolve_host,
    take_apart,
)
from shopcue.errors import MediaError, OutputError

MAX_BYTES = 20 << 20
MAX_REDIRECTS = 3
_REDIRECTS = (301, 302, 303, 307, 308)
_WEEK_S = 7 * 86_400
_PATIENCE = 5  # how often in a row a host may be silent
_PAUSE_S = 60.0  # how long it is then left alone
_MAX_SILENT_HOSTS = 10_000
_AGENT = "shopcue"
_MAX_AGE = re.compile(r"\bmax-age=([0-9]{1,10})")

Progress = Callable[[int, int], None]
_Take = Callable[[str, BaseHTTPResponse, float], bytes]


class Fetcher(Protocol):
    """Gets the bytes behind an http(s) address."""

    def fetch(self, url: str) -> bytes:
        """Return the bytes; raises UnsafeAddress or MediaError."""


class HttpFetcher:
    """Fetches pictures, or another kind of file, from the public web, and only from there.

    cache: keeps downloads and asks again only whether they changed. timeout_s: how long a host may be silent; total_s:
    how long one file may take, redirects included. resolve, permit: how names become addresses, and to which of them
    connections may be made; the defaults are the safe ones. what: what messages call one file.
    """

    def __init__(
        self,
        *,
        cache: DownloadCache | None = None,
        timeout_s: float = 10.0,
        total_s: float = 30.0,
        max_bytes: int = MAX_BYTES,
        resolve: Resolve = resolve_host,
        permit: Permit = is_public_web,
        what: str = "picture",
    ) -> None:
        self._cache = cache or DownloadCache(None)
        self._timeout_s = timeout_s
        self._total_s = total_s
        self._max_bytes = max_bytes
        self._resolve = resolve
        self._permit = permit
        self._what = what
        self._silent: dict[str, _Silence] = {}

    def fetch(self, url: str) -> bytes:
        """Return the bytes behind `url`, from the cache while they are fresh or unchanged.

        Raises UnsafeAddress for an address that is not of the public web, MediaError for one that does not answer with
        a body of at most `max_bytes` in time. A host out of reach leaves the last download in use.
        """
        kept = self._cache.get(url)
        if kept is not None and kept.fresh_until_s > time.time():
            return kept.body
        try:
            download = self._follow(url, kept, self._in_memory)
        except Unreachable:
            if kept is None:
                raise
            return kept.body
        self._cache.put(url, download)
        return download.body

    def save(self, url: str, file: BinaryIO, progress: Progress | None = None) -> None:
        """Write the bytes behind `url` into an empty file, past the cache and without holding them in memory.

        progress: told after each piece how many bytes are there and of how many, 0 where the host does not say; what it
        raises ends the download. Raises as `fetch` does, and OutputError where the file cannot be written.
        """

        def to_file(name: str, response: BaseHTTPResponse, deadline_s: float) -> bytes:
            file.seek(0)
            file.truncate()  # another address of the host may have broken off
            for chunk in self._chunks(name, response, deadline_s):
                _write(file, chunk)
                if progress is not None:
                    progress(file.tell(), _length(response))
            return b""

        self._follow(url, None, to_file)
        if not file.tell():
            raise MediaError(f"{shown(url)} answered with an empty body, expected a {self._what}; check the address")

    def _in_memory(self, name: str, response: BaseHTTPResponse, deadline_s: float) -> bytes:
        body = b"".join(self._chunks(name, response, deadline_s))
        if not body:
            raise MediaError(f"{name} answered with an empty body, expected a {self._what}; check the address")
        return body

    def _follow(self, url: str, kept: Download | None, take: _Take) -> Download:
        deadline_s = time.monotonic() + self._total_s
        place = url
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._ask_patiently(take_apart(place), kept, take, deadline_s)
            if isinstance(answer, Download):
                return answer
            place = answer
        raise MediaError(f"{shown(url)} redirects more than {MAX_REDIRECTS} times; give the {self._what}'s own address")

    def _ask_patiently(self, target: Target, kept: Download | None, take: _Take, deadline_s: float) -> Download | str:
        """Ask, unless the host was silent so often that a feed full of its pictures would take hours to refuse."""
        silence = self._silent.get(target.host, _Silence())
        if silence.times >= _PATIENCE and time.monotonic() < silence.until_s:
            raise Unreachable(
                f"{shown(target.url)} was not asked for: its host was silent {silence.times} times in a row; try later"
            )
        try:
            answer = self._ask(target, kept, take, deadline_s)
        except _Silent:
            if len(self._silent) >= _MAX_SILENT_HOSTS:
                self._silent.clear()
            self._silent[target.host] = _Silence(silence.times + 1, time.monotonic() + _PAUSE_S)
            raise
        except MediaError:  # it refused, so it is there
            self._silent.pop(target.host, None)
            raise
        self._silent.pop(target.host, None)
        return answer

    def _ask(self, target: Target, kept: Download | None, take: _Take, deadline_s: float) -> Download | str:
        """Return the download, or the address that the host redirects to."""
        problem: Exception | None = None
        for address in self._addresses(target)[:3]:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                break
            connection = connection_to(target, address, min(self._timeout_s, left_s))
            try:
                connection.connect()  # its time-out is one for the whole, the handshake of TLS included
                with ended_at(connection.sock, deadline_s):
                    connection.request("GET", target.path, headers=_headers(target, kept), preload_content=False)
                    with connection.getresponse() as response:
                        return self._read(target, response, kept, take, deadline_s)
            except (HTTPError, HTTPException, OSError, ValueError) as error:
                problem = error
            finally:
                connection.close()
        if problem is None or time.monotonic() >= deadline_s:
            raise _Silent(f"{shown(target.url)} took longer than {self._total_s:g} s; try again, or host it elsewhere")
        reason = shown(str(problem)) or type(problem).__name__
        raise _Silent(f"{shown(target.url)} cannot be fetched: {reason}; check the address")

    def _addresses(self, target: Target) -> list[str]:
        try:
            return permitted_addresses(target, self._resolve, self._permit)
        except OSError as error:
            raise _Silent(f"the host of {shown(target.url)} is not known ({error}); check the address") from None

    def _read(
        self, target: Target, response: BaseHTTPResponse, kept: Download | None, take: _Take, deadline_s: float
    ) -> Download | str:
        name = shown(target.url)
        if response.status in _REDIRECTS and (place := response.headers.get("Location")):
            return urljoin(target.url, place)
        if response.status == 304 and kept is not None:
            return replace(kept, fresh_until_s=_fresh_until_s(response))
        if response.status >= 500 or response.status == 429:
            raise Unreachable(f"{name} answered with status {response.status}; try again later")
        if response.status != 200:
            raise MediaError(f"{name} answered with status {response.status}, expected 200; check the address")
        if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
            raise MediaError(f"{name} answered with a compressed body, expected the {self._what} as it is")
        if _length(response) > self._max_bytes:
            raise MediaError(f"{name} has {_length(response)} bytes, at most {self._max_bytes:,} are read")
        body = take(name, response, deadline_s)
        validators = (response.headers.get("ETag", ""), response.headers.get("Last-Modified", ""))
        return Download(body, *validators, _fresh_until_s(response))

    def _chunks(self, name: str, response: BaseHTTPResponse, deadline_s: float) -> Iterator[bytes]:
        size = 0
        while chunk := response.read(1 << 16, decode_content=False):
            size += len(chunk)
            if size > self._max_bytes:
                raise MediaError(f"{name} has more than {self._max_bytes:,} bytes; make the {self._what} smaller")
            yield chunk
        _check_time(deadline_s)  # the end of the body may be our own hanging up


class Unreachable(MediaError):
    """A host that does not answer now: a picture fetched earlier may still be used."""


class _Silent(Unreachable):
    """A host that says nothing at all, or nothing to the end."""


@dataclass(frozen=True, slots=True)
class _Silence:
    """How often in a row a host was silent, and until when, in seconds of the monotonic clock, it is left alone."""

    times: int = 0
    until_s: float = 0.0


def _write(file: BinaryIO, chunk: bytes) -> None:
    try:
        file.write(chunk)
    except OSError as error:  # not to be taken for one of the network
        raise OutputError(f"a download cannot be written: {error.strerror}; make room on the disk") from error


def _length(response: BaseHTTPResponse) -> int:
    """Return how many bytes an answer says that it has, 0 where it does not."""
    length = response.headers.get("Content-Length", "")
    return int(length[:20]) if length.isascii() and length.isdigit() else 0


def _check_time(deadline_s: float) -> None:
    if time.monotonic() >= deadline_s:
        raise TimeoutError("out of time")


def _headers(target: Target, kept: Download | None) -> dict[str, str]:
    headers = {
        "Host": target.authority,
        "User-Agent": _AGENT,
        "Accept": "image/*,*/*;q=0.5",
        "Accept-Encoding": "identity",
    }
    if kept is not None and kept.etag:
        headers["If-None-Match"] = kept.etag
    elif kept is not None and kept.modified:
        headers["If-Modified-Since"] = kept.modified
    return headers


def _fresh_until_s(response: BaseHTTPResponse) -> float:
    """Return until when, in seconds of the wall clock, an answer needs no asking again: a week at most."""
    control = response.headers.get("Cache-Control", "").lower()
    age = _MAX_AGE.search(control)
    if age is None or "no-store" in control or "no-cache" in control:
        return 0.0
    return time.time() + min(int(age.group(1)), _WEEK_S)
