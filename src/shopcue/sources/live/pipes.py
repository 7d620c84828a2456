"""Bytes of a stream that Python reads itself: datagrams, and what another program writes."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address

from shopcue.errors import MediaError

_LOOK_EVERY_S = 0.2
_ROOM = 4 << 20  # bytes that the system keeps between two reads
_DATAGRAM = 1 << 16
_FAREWELL_S = 1.0


class Datagrams:
    """What arrives by UDP at an address of this machine, or for a group that it joins."""

    name = "udp"

    def __init__(self, host: str, port: int) -> None:
        self._cut = threading.Event()
        self._rest = b""
        address = ip_address(host or "0.0.0.0")  # noqa: S104 - whoever listens to a port wants all that comes there
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        if address.is_multicast:  # a group has many members, even on one machine
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)
        self._socket.settimeout(_LOOK_EVERY_S)
        try:
            self._socket.bind((str(address), port))
        except OSError as error:
            self._socket.close()
            raise MediaError(
                f"port {port} cannot be listened to ({error.strerror}); end what uses it, or take another"
            ) from None
        if address.is_multicast:
            self._join(address.packed, family)

    def _join(self, group: bytes, family: socket.AddressFamily) -> None:
        if family == socket.AF_INET:
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group + bytes(4))
        else:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group + bytes(4))

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes, waiting for them; none once it is cut."""
        while not self._rest:
            if self._cut.is_set():
                self._socket.close()
                return b""
            with suppress(TimeoutError):
                self._rest = self._socket.recv(_DATAGRAM)
        out, self._rest = self._rest[:size], self._rest[size:]
        return out

    def cut(self) -> None:
        """Release whoever reads."""
        self._cut.set()

    def close(self) -> None:
        """Give the port back."""
        self._cut.set()
        self._socket.close()


class Program:
    """What another program writes to its standard output. started: whether it has written anything yet."""

    name = "program"

    def __init__(self, command: Sequence[str]) -> None:
        self.started = False
        self._cut = threading.Event()
        # Its messages may hold the address with its secrets: nobody reads them.
        self._process = subprocess.Popen(  # noqa: S603 - a fixed program; the address is one argument
            [*_mortal(), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes, waiting for them; none at the end or once it is cut."""
        assert self._process.stdout is not None
        output = self._process.stdout.fileno()
        ready = select.poll()  # select knows no more than 1,024 files
        ready.register(output, select.POLLIN)
        while not self._cut.is_set():
            if ready.poll(_LOOK_EVERY_S * 1000):
                chunk = os.read(output, size)
                self.started = self.started or bool(chunk)
                return chunk
        return b""

    def cut(self) -> None:
        """End the program and release whoever reads."""
        self._cut.set()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the program and wait for its end."""
        self.cut()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_FAREWELL_S)
        if self._process.stdout is not None:
            self._process.stdout.close()


def _mortal() -> list[str]:
    """Return what makes a command end with the thread that started it, however that ends, where Linux can do so."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
