"""What tests do in the studio: sign in, choose and drag a focus, ask the API what has become of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from server.browser import storefront
from server.browser.storefront import SHOP, OpenWindow, Shopfront, Window

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

OpenStudio = Callable[..., Window]


def studio_opener(front: Shopfront, open_window: OpenWindow) -> OpenStudio:
    """Return `open(path, size, token=..., dark=..., deaf=...)`; deaf: to events."""

    def open(path: str = "", *size: tuple[int, int], token: str = "", deaf: bool = False, **options: Any) -> Window:
        window = open_window(*size, **options)
        window.page.set_default_timeout(20_000)
        if deaf:
            window.page.route("**/api/**/events*", lambda route: route.abort())
        storefront.sign_in(window, front, token or front.admin)
        window.page.add_init_script("localStorage.setItem('shopcue-signed-in', '1')")
        window.page.goto(f"{front.url}/studio/{SHOP}{path}")
        return window

    return open


def focuses_of(front: Shopfront, page: Page, video_id: str) -> list[dict[str, Any]]:
    """The focuses of a video as the API tells them, those that were rejected too."""
    answer = page.request.get(f"{front.url}/api/videos/{video_id}/focuses?include=rejected")
    assert answer.ok, answer.text()
    found: list[dict[str, Any]] = answer.json()["focuses"]
    return found


def eventually(check: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until `check` holds; what it says last is what the test fails with."""
    end = time.monotonic() + seconds
    while not check() and time.monotonic() < end:
        time.sleep(0.05)
    assert check()


def bars(page: Page) -> Locator:
    return page.locator(".tl-bar[data-focus]")


def choose(page: Page, focus_id: str) -> None:
    """Choose a focus by its bar on the timeline."""
    bar = page.locator(f'.tl-bar[data-focus="{focus_id}"]')
    bar.click()
    page.locator(f'.tl-bar[data-focus="{focus_id}"].is-chosen').wait_for()


def drag_end(page: Page, edge: str, to_s: float, duration_s: float, *, drop: bool = True) -> None:
    """Drag an end of the chosen focus to a moment, with the whole video in view."""
    track = page.locator(".tl-ruler .tl-track").bounding_box()
    grip = page.locator(f".tl-grip.{edge}")
    grip.scroll_into_view_if_needed()
    at = grip.bounding_box()
    assert track is not None
    assert at is not None
    from_s = float(grip.get_attribute("aria-valuenow") or 0)
    x, y = at["x"] + at["width"] / 2, at["y"] + at["height"] / 2
    across = (to_s - from_s) * track["width"] / duration_s
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 9):
        page.mouse.move(x + across * step / 8, y)
        page.wait_for_timeout(30)
    if drop:
        page.mouse.up()
