"""Addresses that clients give: refused at once where that can be seen; who connects to them checks them again."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from urllib.parse import urlsplit

from shopcue.catalog.web import is_public
from shopcue.errors import UnsafeAddress
from shopcue.sources.live.addresses import take_apart

WEB = ("http", "https")
RECORDING = "recording:"
"""What stands before the id of a recording of the same shop that is to be played as if it were live."""

_CAMERA = re.compile(r"/dev/video[0-9]{1,3}")
_UNWRITABLE = frozenset(map(chr, (*range(0x21), 0x7F, ord("\\"), ord('"'), ord("<"), ord(">"))))
_REMEDY = "the server has to run with --allow-private"


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
    if not allow_private:
        _check_public(host)
    return url


def check_stream(url: str, *, allow_private: bool) -> str:
    """Return where a live stream may come from: all that `sources.live.open_source` opens, but no file of this machine.

    Cameras, and addresses at which this machine listens, only with allow_private. Raises UnsafeAddress for any other,
    without its secrets; a name is not resolved here.
    """
    if _CAMERA.fullmatch(url):
        if not allow_private:
            raise UnsafeAddress(f"{url} is a camera of the server; {_REMEDY}")
        return url
    address = take_apart(url)
    if not allow_private and address.listens:
        raise UnsafeAddress(f"{address.shown} takes a port of the server, at which the stream is sent; {_REMEDY}")
    if not allow_private:
        _check_public(address.host)
    return url


def _check_public(host: str) -> None:
    if host == "localhost" or host.endswith(".localhost") or not _may_be_public(host):
        raise UnsafeAddress(f"{host[:80]} is not of the public internet; {_REMEDY}")


def _may_be_public(host: str) -> bool:
    try:
        return is_public(ipaddress.ip_address(host))
    except ValueError:
        return True
