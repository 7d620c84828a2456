"""A door at which a publisher knocks by RTMP: whoever does not know the key is shown out.

The library that speaks RTMP lets everybody in. So it listens on the loopback only, the door stands before it, and looks
at what a publisher says until the key has been heard.
"""

from __future__ import annotations

import hmac
import re
import socket
import threading
import time
from contextlib import suppress

import av
from av.container import InputContainer

from shopcue.errors import MediaError, UnsafeAddress
from shopcue.sources.live.addresses import StreamAddress
from shopcue.sources.live.relay import hang_up, pass_on

_LOOK_EVERY_S = 0.2
_KNOCK_S = 5.0
_LONGEST_KEY = 64  # so that it stands in one piece in the smallest message of RTMP
_UNPROVEN = 1 << 17  # bytes that may come before the key
# What the command is called, its number, nothing, and the key with its length (AMF 0).
_PUBLISH = re.compile(rb"\x02\x00\x07publish\x00.{8}\x05\x02(..)", re.DOTALL)


class Door:
    """Listens for publishers from when it is first opened until it is closed for good.

    waiting: whether nobody is there. Raises UnsafeAddress for an address that names no key.
    """

    def __init__(self, address: StreamAddress) -> None:
        self.waiting = True
        self._address = address
        app, _, key = address.path.strip("/").rpartition("/")
        if not app or not 0 < len(key) <= _LONGEST_KEY:
            raise UnsafeAddress(
                f"{address.shown} names no key, expected listen:rtmp://host:port/app/key with at most {_LONGEST_KEY} "
                "characters in the key"
            )
        self._key = key.encode()
        self._socket: socket.socket | None = None
        self._publisher: socket.socket | None = None

    def open(self, cut: threading.Event, options: dict[str, str], timeout_s: tuple[float, float]) -> InputContainer:
        """Wait for a publisher who knows the key, and return what is sent; raises MediaError once `cut` is set."""
        self.waiting = True
        self._listen()
        while not cut.is_set():
            self._publisher = self._accept()
            if self._publisher is None:
                continue
            container = self._admit(self._publisher, cut, options, timeout_s)
            if container is not None:
                self.waiting = False
                return container
        raise MediaError(f"{self._address.shown} was closed")

    def hang_up(self) -> None:
        """Let go of the publisher."""
        if self._publisher is not None:
            hang_up(self._publisher)

    def close(self) -> None:
        """Give the port back."""
        self.hang_up()
        if self._socket is not None:
            self._socket.close()

    def _listen(self) -> None:
        if self._socket is not None:
            return
        family = socket.AF_INET6 if ":" in self._address.host else socket.AF_INET
        try:
            self._socket = socket.create_server((self._address.host, self._address.port), family=family, backlog=4)
        except OSError as error:
            raise MediaError(
                f"{self._address.shown} cannot be listened at ({error.strerror}); free the port or take another"
            ) from None
        self._socket.settimeout(_LOOK_EVERY_S)

    def _accept(self) -> socket.socket | None:
        assert self._socket is not None
        with suppress(TimeoutError):
            return self._socket.accept()[0]
        return None

    def _admit(
        self, publisher: socket.socket, cut: threading.Event, options: dict[str, str], timeout_s: tuple[float, float]
    ) -> InputContainer | None:
        """Return what a publisher sends, None if he does not know the key or sends nothing of use."""
        proof, port = _Proof(self._key), _free_port()
        lead_in = threading.Thread(
            target=_lead_in, args=(publisher, port, proof, cut), name="shopcue-door", daemon=True
        )
        lead_in.start()
        # Who says nothing must not stand in the way of who does.
        patience = threading.Timer(_KNOCK_S, _dismiss, (publisher, proof))
        patience.daemon = True
        patience.start()
        try:
            container = av.open(
                f"rtmp://127.0.0.1:{port}{self._address.path}",
                container_options={"protocol_whitelist": "rtmp,tcp", "listen": "1", "timeout": "5"},
                options=options,
                timeout=timeout_s,
                metadata_errors="replace",
            )
        except (av.FFmpegError, OSError, ValueError):
            hang_up(publisher)
            return None
        finally:
            patience.cancel()
        if proof.given:
            return container
        hang_up(publisher)
        container.close()
        return None


class _Proof:
    """Hears whether a publisher names the key."""

    def __init__(self, key: bytes) -> None:
        self.given = False
        self._key, self._heard = key, b""

    def check(self, chunk: bytes) -> None:
        """Listen to what he says next; raises MediaError if it is another key, or none for too long."""
        if self.given:
            return
        self._heard += chunk
        found = _PUBLISH.search(self._heard)
        if found is not None:
            named = self._heard[found.end() :][: int.from_bytes(found[1], "big")]
            if len(named) == int.from_bytes(found[1], "big"):
                self.given = hmac.compare_digest(named, self._key)
                if not self.given:
                    raise MediaError("a publisher named another key; give him the right one")
                self._heard = b""
        if len(self._heard) > _UNPROVEN:
            raise MediaError("a publisher named no key; expected one that speaks RTMP")


def _dismiss(publisher: socket.socket, proof: _Proof) -> None:
    if not proof.given:
        hang_up(publisher)


def _lead_in(publisher: socket.socket, port: int, proof: _Proof, cut: threading.Event) -> None:
    """Connect a publisher with the library that waits at `port` of the loopback, or will do so in a moment."""
    deadline_s = time.monotonic() + _KNOCK_S
    with publisher:
        while not cut.is_set() and time.monotonic() < deadline_s:
            try:
                inside = socket.create_connection(("127.0.0.1", port), timeout=1.0)
            except OSError:
                cut.wait(0.02)
                continue
            with inside, suppress(OSError, ValueError, MediaError):
                pass_on(inside, publisher, proof.check)
            return


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port
