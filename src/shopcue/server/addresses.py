"""Addresses that clients give: refused at once where that can be seen; who connects to them checks them again."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from shopcue.catalog.web import is_public
from shopcue.errors import UnsafeAddress

WEB = ("http", "https")
RECORDING = "recording:"
"""What stands before the id of a recording of the same shop that is to be played as if it were live."""

STREAMS = ("rtmp", "rtmps", "rtsp", "rtsps", "http", "https")
_UNWRITABLE = frozenset(map(chr, (*range(0x21), 0x7F, ord("\\"), ord('"'), ord("<"), ord(">"))))


def check_address(url: str, schemes: Collection[str], *, allow_private: bool) -> str:
    """Return an address that may be asked for; raises UnsafeAddress for any other.

    A name is not resolved here: what it leads to is checked when it is connected to.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    expected = f"expected one like {next(iter(schemes))}://host/path"
    if not host or port == 0 or _UNWRITABLE & set(url) or not url.isprintable():
        raise UnsafeAddress(f"{url[:80]!r} is no valid address, {expected}")
    if parts.scheme.lower() not in schemes:
        raise UnsafeAddress(f"an address is of the kind {parts.scheme[:20]!r}, expected one of {', '.join(schemes)}")
    if not allow_private and (host == "localhost" or host.endswith(".localhost") or not _may_be_public(host)):
        raise UnsafeAddress(f"{host[:80]} is not of the public internet; the server has to run with --allow-private")
    return url


def _may_be_public(host: str) -> bool:
    try:
        return is_public(ipaddress.ip_address(host))
    except ValueError:
        return True
