"""A relay on this machine between a library that connects where it likes and the one place that it may connect to.

The library is given the address of the relay. Each of its connections is made anew by `connect`, which checks, pins and
secures it; and when the relay is cut, whoever waits for the network inside of the library is released.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress

from shopcue.errors import ShopcueError

_CHUNK = 1 << 16

Guard = Callable[[bytes], None]
"""Looks at what the far side sends before it is passed on; raises MediaError to end the connection."""


class Relay:
    """Listens at a port of the loopback, and connects those who come there by `dial`.

    guard: makes what looks at the bytes of one connection. problem: what went wrong, for whoever sees only that the
    connection broke.
    """

    def __init__(self, dial: Callable[[], socket.socket], guard: Callable[[], Guard] | None = None) -> None:
        self.problem: ShopcueError | None = None
        self._dial, self._guard = dial, guard
        self._cut = threading.Event()
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        threading.Thread(target=self._serve, name="shopcue-relay", daemon=True).start()

    def cut(self) -> None:
        """End all connections, and take no more."""
        self._cut.set()
        hang_up(self._door)
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        for each in sockets:
            hang_up(each)

    def _serve(self) -> None:
        while not self._cut.is_set():
            try:
                near, _ = self._door.accept()
            except OSError:
                break
            threading.Thread(target=self._relay, args=(near,), name="shopcue-relay", daemon=True).start()
        self._door.close()

    def _relay(self, near: socket.socket) -> None:
        try:
            self._hold(near)
            with self._dial() as far:
                self._hold(far)
                pass_on(near, far, self._guard() if self._guard else None)
        except ShopcueError as error:
            self.problem = error
        except (OSError, ValueError):
            pass  # the side that is left sees that the connection broke
        finally:
            near.close()

    def _hold(self, each: socket.socket) -> None:
        with self._lock:
            self._sockets = {held for held in self._sockets if held.fileno() >= 0} | {each}
        if self._cut.is_set():
            hang_up(each)


def pass_on(near: socket.socket, far: socket.socket, guard: Guard | None = None) -> None:
    """Pass bytes on in both directions until one side ends. far: looked at by `guard`."""
    near.settimeout(None)
    far.settimeout(None)
    with selectors.DefaultSelector() as selector:
        selector.register(near, selectors.EVENT_READ)
        selector.register(far, selectors.EVENT_READ)
        while True:
            # What TLS has read already is not seen by the selector.
            pending = isinstance(far, ssl.SSLSocket) and far.pending() > 0
            for side in [far] if pending else [key.fileobj for key, _ in selector.select()]:
                source, target = (far, near) if side is far else (near, far)
                chunk = source.recv(_CHUNK)
                if not chunk:
                    return
                if source is far and guard is not None:
                    guard(chunk)
                target.sendall(chunk)


def hang_up(each: socket.socket) -> None:
    """End a connection from another thread than the one that waits for it."""
    with suppress(OSError):
        socket.socket.shutdown(each, socket.SHUT_RDWR)  # not that of TLS, which would wait for an answer
