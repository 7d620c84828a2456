"""Addresses of the web that strangers give, taken apart, resolved, checked and connected to, each of it once.

A host is resolved once, every address that it has must be permitted, and the connection goes to exactly the address
that was checked, so that a name cannot change its mind in between.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import quote, urlsplit

from urllib3.connection import HTTPConnection, HTTPSConnection

from shopcue.catalog.feeds import shown
from shopcue.errors import UnsafeAddress

MAX_URL = 4_096
PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"(?=.{1,254}$)(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?", re.IGNORECASE)
_UNWRITABLE = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")  # also halves of surrogate pairs, which UTF-8 cannot say
# Of protocols, and of 6to4 relays (withdrawn, RFC 7526), which not every release of Python tells from global ones.
_SPECIAL_V4 = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))
_GLOBAL_V6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_RELAYS = tuple(IPv6Network(network) for network in ("2001::/23", "2001:db8::/32", "3fff::/20"))

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Sequence[str]]
"""Returns the addresses of a host, as text; raises OSError if it has none."""
Permit = Callable[[Address, int], bool]
"""Tells whether a connection may be made to an address and port."""


def is_public(address: Address) -> bool:
    """Tell whether an address belongs to the public internet, and so does the IPv4 address that it may carry."""
    if isinstance(address, IPv4Address):
        special = any(address in network for network in _SPECIAL_V4)
        return address.is_global and not (address.is_multicast or address.is_reserved or special)
    if address in _NAT64:
        return is_public(IPv4Address(address.packed[-4:]))
    carried = address.ipv4_mapped or address.sixtofour
    if carried is not None:
        return is_public(carried)
    return address.is_global and address in _GLOBAL_V6 and not any(address in relay for relay in _RELAYS)


def is_public_web(address: Address, port: int) -> bool:
    """Tell whether a connection to `address` may be made: a public one, on the ports of the web."""
    return port in PORTS.values() and is_public(address)


def resolve_host(host: str, port: int) -> list[str]:
    """Return the addresses that the system's resolver knows for a host; raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


@dataclass(frozen=True, slots=True)
class Target:
    """One address of the web, taken apart once so that nobody reads it another way."""

    url: str
    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """How the header `Host` names it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def take_apart(url: str) -> Target:
    """Take an address apart; raises UnsafeAddress for what is not plainly http(s)://host/path."""
    name = shown(url)
    if len(url) > MAX_URL or _UNWRITABLE.search(url):
        raise UnsafeAddress(f"{name!r} is too long or holds control characters or backslashes; expected http(s)://...")
    try:
        parts = urlsplit(url.strip())
        scheme, host, port = parts.scheme.lower(), parts.hostname or "", parts.port
        host = host if ":" in host else host.encode("idna").decode("ascii")
    except ValueError:  # covers UnicodeError, which a host that IDNA cannot write raises
        raise UnsafeAddress(f"{name!r} is no valid address, expected http(s)://host/path") from None
    if scheme not in PORTS:
        raise UnsafeAddress(f"{name!r} is neither http nor https; give an address of the web")
    if "@" in parts.netloc:
        raise UnsafeAddress("an address holds a user name or password; give one without")
    if not (_is_v6(host) or _HOST.fullmatch(host)):
        raise UnsafeAddress(f"{name!r} has no valid host, expected http(s)://host/path")
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
    query = "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~?") if parts.query else ""
    return Target(url, scheme, host, PORTS[scheme] if port is None else port, path + query)


def _is_v6(host: str) -> bool:
    try:
        return ":" in host and "%" not in host and bool(IPv6Address(host))
    except ValueError:
        return False


def connection_to(target: Target, address: str, timeout_s: float) -> HTTPConnection:
    """Return a connection to the address that was checked, which is to prove that it is the host that was asked for."""
    if target.scheme == "http":
        return HTTPConnection(address, target.port, timeout=timeout_s)
    return HTTPSConnection(
        address,
        target.port,
        timeout=timeout_s,
        cert_reqs="CERT_REQUIRED",
        server_hostname=target.host.rstrip("."),
        assert_hostname=target.host.rstrip("."),
    )


def permitted_addresses(target: Target, resolve: Resolve, permit: Permit) -> list[str]:
    """Return the addresses of a host, as text.

    Raises UnsafeAddress unless connections to all of them are permitted, OSError if the host has none.
    """
    try:
        found = list(resolve(target.host, target.port))
    except UnicodeError as error:
        raise OSError(str(error)) from None
    if not found:
        raise OSError("it has no address")
    for text in found:
        if not permit(ip_address(text.partition("%")[0]), target.port) or "%" in text:
            raise UnsafeAddress(
                f"{shown(target.url)} leads to {text} port {target.port}, which is not of the public web; "
                "expected public addresses and the ports 80 and 443"
            )
    return found


@contextmanager
def ended_at(sock: socket.socket, deadline_s: float) -> Iterator[None]:
    """Hang up at the deadline, whatever is waited for: a host may send one byte just before every time-out."""

    def hang_up() -> None:
        with suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not that of TLS, which would wait for an answer

    watch = threading.Timer(max(0.0, deadline_s - time.monotonic()), hang_up)
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()
