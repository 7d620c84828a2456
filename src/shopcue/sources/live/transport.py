"""What every kind of stream is connected to by: the seam between connections and networks."""

from __future__ import annotations

from typing import Protocol

from av.container import InputContainer

SILENCE_S = 10.0
"""A connection that brings no picture for so long is given up."""


class Transport(Protocol):
    """How the packets of one kind of stream are come by, for one connection.

    name: the address without its secrets. silence_s: how long no picture may come. waiting: whether nobody can be
    expected to send yet, as at an address where a publisher is waited for.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - described by the class
    @property
    def silence_s(self) -> float: ...  # noqa: D102
    @property
    def waiting(self) -> bool: ...  # noqa: D102

    def open(self) -> InputContainer:
        """Connect; raises MediaError, UnsafeAddress, or what av.open raises."""

    def cut(self) -> None:
        """Release whoever waits for the network. Called from any thread, more than once, at any time."""

    def close(self) -> None:
        """Give back what it holds: the container is closed, and nobody reads any more."""
