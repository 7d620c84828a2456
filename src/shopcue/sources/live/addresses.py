"""Addresses of live streams: taken apart once, checked at every connection, and never shown with their secrets."""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit, urlunsplit

from shopcue.catalog.web import MAX_URL, Resolve, is_public, resolve_host
from shopcue.errors import MediaError, UnsafeAddress

SCHEMES = {"rtmp": 1935, "rtmps": 443, "rtsp": 554, "rtsps": 322, "http": 80, "https": 443, "srt": None, "udp": None}
"""What a stream may be given as, and the port that each speaks on where the address names none."""

LISTEN = "listen:"
"""Before an address of this machine, at which a publisher is waited for: `listen:rtmp://0.0.0.0:1935/app/key`."""

_SECURE = ("rtmps", "rtsps", "https")
_TRIES = 3
_UNWRITABLE = re.compile(r"[\x00-\x20\x7f\\\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class StreamAddress:
    """One address of a stream, taken apart. listens: whether it is of this machine, and others connect to it.

    login: `user:password@` as it was written, or empty. path: with its query.
    """

    scheme: str
    host: str
    port: int
    path: str
    login: str = ""
    listens: bool = False
    shown: str = ""

    @property
    def authority(self) -> str:
        """Host and port, as addresses write them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == SCHEMES[self.scheme] else f"{host}:{self.port}"

    @property
    def user(self) -> tuple[str, str]:
        """The name and the password, empty where there are none."""
        name, _, password = self.login.removesuffix("@").partition(":")
        return unquote(name), unquote(password)


def take_apart(text: str) -> StreamAddress:
    """Take the address of a stream apart; raises UnsafeAddress for one that is none."""
    name = without_secrets(text)
    url = text.strip().removeprefix(LISTEN)
    if len(url) > MAX_URL or _UNWRITABLE.search(url):
        raise UnsafeAddress(f"{name} is too long or holds blanks, backslashes or control characters; correct it")
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme.lower(), parts.hostname or "", parts.port
        host = host if ":" in host else host.encode("idna").decode("ascii")
    except ValueError:  # covers UnicodeError, which a host that IDNA cannot write raises
        raise UnsafeAddress(f"{name} is no valid address, expected {_expected()}") from None
    if scheme not in SCHEMES or not (host or scheme == "udp"):
        raise UnsafeAddress(f"{name} is no address of a stream, expected {_expected()}")
    port = port or SCHEMES[scheme]
    if port is None:
        raise UnsafeAddress(f"{name} names no port, expected {scheme}://host:port")
    login = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return StreamAddress(scheme, host, port, path, login, _listens(text, scheme, parts.query), name)


def _listens(text: str, scheme: str, query: str) -> bool:
    called = text.strip().startswith(LISTEN)
    if called and scheme not in ("rtmp", "srt"):
        raise UnsafeAddress(f"{without_secrets(text)} cannot be listened at; expected rtmp or srt after `{LISTEN}`")
    return called or scheme == "udp" or (scheme == "srt" and "mode=listener" in query.lower().split("&"))


def check_address(text: str, *, private: bool = False, resolve: Resolve = resolve_host) -> None:
    """Raise UnsafeAddress unless a stream's address is of a known scheme and leads to public addresses alone."""
    address = take_apart(text)
    if not private:
        resolved(address, private=False, resolve=resolve)


def resolved(address: StreamAddress, *, private: bool, resolve: Resolve = resolve_host) -> list[str]:
    """Return the addresses of a host, as text; raises UnsafeAddress unless all of them may be connected to.

    private: whether they need not be public. An address of this machine is one that is not.
    """
    if address.listens and not private:
        raise UnsafeAddress(f"{address.shown} takes a port of this machine, which the server must allow")
    try:
        found = list(resolve(address.host, address.port)) if address.host else [""]
    except (OSError, UnicodeError):
        found = []
    if not found:
        raise UnsafeAddress(f"{address.shown} leads to a host that is not known; check the address")
    if not private and not all(is_public(ipaddress.ip_address(text.partition("%")[0])) for text in found):
        raise UnsafeAddress(
            f"{address.shown} leads to a private address; streams come from public ones unless the server allows others"
        )
    return found


def connect(address: StreamAddress, *, private: bool, timeout_s: float) -> socket.socket:
    """Return a connection to exactly an address that was checked, secured where the scheme says so.

    Raises UnsafeAddress, or MediaError if nobody answers there or proves to be somebody else.
    """
    problem = ""
    for place in resolved(address, private=private)[:_TRIES]:
        raw = None
        try:
            raw = socket.create_connection((place, address.port), timeout=timeout_s)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if address.scheme not in _SECURE:
                return raw
            return ssl.create_default_context().wrap_socket(raw, server_hostname=address.host)
        except OSError as error:  # covers those of TLS
            problem = type(error).__name__
            if raw is not None:
                raw.close()
    raise MediaError(f"{address.shown} does not answer ({problem}); check that it is on air and may be watched")


def without_secrets(text: str) -> str:
    """Return an address as a log or a page may show it: no user, password or query, and of the path only the start."""
    listen = LISTEN if text.strip().startswith(LISTEN) else ""
    with suppress(ValueError):
        parts = urlsplit(text.strip().removeprefix(LISTEN))
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
        first = parts.path.split("/")[:2]
        path = "/".join(first) + ("/…" if parts.path.count("/") > 1 else "")
        shown = urlunsplit((parts.scheme, f"{host}{port}", path, "", ""))[:200]
        return listen + "".join(letter if letter.isprintable() else "·" for letter in shown)
    return "the address"


def _expected() -> str:
    return f"{', '.join(SCHEMES)}://host/path"
