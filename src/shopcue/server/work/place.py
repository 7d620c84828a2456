"""What the workers share: where they work, what they work with, and what they hand back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from shopcue.catalog.fetch import HttpFetcher
from shopcue.catalog.web import Address, is_public_web
from shopcue.database import Database, events
from shopcue.methods import Method, open_method
from shopcue.models.image import ImageEncoder
from shopcue.server.settings import ServerSettings
from shopcue.settings import Settings

if TYPE_CHECKING:
    from shopcue.catalog.store import CatalogStore

DOWNLOAD_S = 6 * 3600.0
"""How long one video or feed may take to come in."""

Update = Callable[[str, float, float], None]
"""Takes what is being done, how much of it is done, and of how much. Raises what ends the work when it is to end."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What finished work leaves.

    result: what the job says about it, for JSON. settle: writes it, in the transaction that marks the job as done: so
    neither is there without the other. tidy: called after that.
    """

    result: dict[str, Any]
    settle: Callable[[Session], None] = lambda session: None
    tidy: Callable[[], None] = lambda: None


@dataclass
class Place:
    """Where a worker works. Catalogues and networks are opened when they are first needed, and kept."""

    settings: ServerSettings
    database: Database
    _methods: dict[str, Method] = field(default_factory=dict)

    @cached_property
    def store(self) -> CatalogStore:
        """The catalogues."""
        from shopcue.catalog.store import open_store

        return open_store(self.settings.store_uri)

    def method(self, name: str) -> Method:
        """Return a method by its name, loaded; raises SettingsError or WeightsError."""
        if name not in self._methods:
            method = open_method(name, Settings())
            # `auto` is one of the others, under another name: its networks are loaded once.
            self._methods[name] = self._methods.setdefault(method.name, method)
        return self._methods[name]

    @property
    def encoder(self) -> ImageEncoder:
        """What embeds the pictures of products, as every method does."""
        return self.method("auto").encoder

    def permit(self, address: Address, port: int) -> bool:
        """Tell whether files may be fetched from an address."""
        return self.settings.allow_private or is_public_web(address, port)

    def fetcher(self, kind: str) -> HttpFetcher:
        """Return what gets files of a kind of upload (video, feed) from addresses that they may come from."""
        return HttpFetcher(
            timeout_s=30.0,
            total_s=DOWNLOAD_S,
            max_bytes=self.settings.uploads.most(kind),
            permit=self.permit,
            what=kind,
        )


def catalog_change(store: CatalogStore, shop: str) -> Callable[[Session], None]:
    """Look at a shop's catalogue as it is now, and return what tells the pages of it in a transaction."""
    data = {"products": store.products(shop, limit=1).total, "version": store.version(shop)}

    def tell(session: Session) -> None:
        events.add_event(session, "catalog.update", shop, data=data)

    return tell
