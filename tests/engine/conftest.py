"""What the tests of the engine share: the networks, and a check that no thread is left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from shopcue.methods import Method, open_method
from shopcue.settings import Models, Settings

_FAREWELL_S = 20.0


@pytest.fixture(scope="session")
def method() -> Method:
    return open_method("two-stage", Settings(models=Models(threads=1)))


def threads() -> list[str]:
    """The names of the threads of ours that run."""
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("shopcue"))


@pytest.fixture(scope="module", autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Fail the module that leaves a thread behind."""
    before = threads()
    yield
    deadline_s = time.monotonic() + _FAREWELL_S
    while (left := threads()) != before:
        assert time.monotonic() < deadline_s, f"{left} were left over"
        time.sleep(0.05)
