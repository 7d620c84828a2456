"""What the routes work with: the settings, the database, the catalogues, and the counters, of one server."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from anyio import CapacityLimiter
from starlette.requests import HTTPConnection

from shopcue.database import Database, open_database
from shopcue.server.media import FrameCache
from shopcue.server.metrics import Metrics
from shopcue.server.rates import FailureLimit, KnownTokens
from shopcue.server.recordings import Recordings
from shopcue.server.settings import ServerSettings

if TYPE_CHECKING:
    from shopcue.catalog.store import CatalogStore

_log = logging.getLogger(__name__)

_MOST_DECODING = 8
_MOST_PROBED = 4


def _nobody() -> int:
    return 0


@dataclass
class Services:
    """The parts of one running server, made once and shared by its requests.

    alive: says how many workers are alive. addresses, tokens: count the failures to sign in, by where they come from
    and by which token they name; known: tokens that were good lately.
    probing: lets so many videos be looked into at a time.
    """

    settings: ServerSettings
    database: Database
    alive: Callable[[], int] = _nobody
    metrics: Metrics = field(default_factory=Metrics)
    addresses: FailureLimit = field(default_factory=lambda: FailureLimit(20, 300.0))
    tokens: FailureLimit = field(default_factory=lambda: FailureLimit(100, 300.0))
    known: KnownTokens = field(default_factory=KnownTokens)
    probing: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_MOST_PROBED))
    _opening: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def decoding(self) -> CapacityLimiter:
        """How many requests may wait for a picture of a video at a time."""
        return CapacityLimiter(_MOST_DECODING)

    @cached_property
    def frames(self) -> FrameCache:
        """Single pictures of videos, each made once."""
        return FrameCache(self.settings.data / "frames")

    @cached_property
    def recordings(self) -> Recordings:
        """What is kept of live streams."""
        return Recordings(self.settings)

    @cached_property
    def _opened_store(self) -> CatalogStore:
        from shopcue.catalog.store import open_store

        return open_store(self.settings.store_uri)

    @property
    def store(self) -> CatalogStore:
        """The catalogues, opened when they are first needed: that takes a second."""
        with self._opening:
            return self._opened_store

    def count_products(self, shops: Iterable[str]) -> dict[str, int]:
        """Return how many products each of some shops has."""
        return {shop: len(self.store.snapshot(shop)) for shop in shops}

    def trouble(self) -> tuple[str, str]:
        """Return what is wrong with the database and with the store; "" for nothing."""
        return _trouble(self.database.check), _trouble(lambda: self.store.shops())


def _trouble(check: Callable[[], object]) -> str:
    try:
        check()
    except Exception:  # whatever it is, the answer is that this part does not work; strangers learn no more
        _log.exception("a part of the server does not work")
        return "does not answer"
    return ""


def open_services(settings: ServerSettings, alive: Callable[[], int] = _nobody) -> Services:
    """Make the folders, open the database, and return the parts of a server."""
    settings.make_folders()
    return Services(settings, open_database(settings.database_url), alive)


def services(connection: HTTPConnection) -> Services:
    """Return the parts of the server that a request or web socket came to."""
    found = connection.app.state.services
    assert isinstance(found, Services)
    return found
