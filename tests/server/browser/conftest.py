"""What all tests of the pages share: one server and one browser a module, and pages without any past."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("fastapi", reason="needs the extra `server`")
pytest.importorskip("playwright", reason="needs playwright")

from server.browser import storefront
from server.browser.storefront import OpenWindow, Shopfront
from server.browser.studio import OpenStudio, studio_opener

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shopfront]:
    """A running server, in whose database tests write what they need."""
    with storefront.open_shopfront(tmp_path_factory.mktemp("server")) as opened:
        yield opened


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser."""
    with storefront.open_chromium() as browser:
        yield browser


@pytest.fixture
def open_window(chromium: Browser) -> Iterator[OpenWindow]:
    """Opens pages; none of them may have had a fault in the end."""
    with storefront.windows(chromium) as opening:
        yield opening


@pytest.fixture
def open_studio(front: Shopfront, open_window: OpenWindow) -> OpenStudio:
    """Opens the studio for one who is signed in."""
    return studio_opener(front, open_window)
