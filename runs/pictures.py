"""The pictures of the pages in docs/images: of a real server with a drawn shop, its show, and a stream that is on.

    python -m runs.pictures [--out docs/images] [--data DIR] [--only NAME,...]

A shop of twelve products, a show, an upright one and a stream are drawn. `shopcue serve` takes in the shop, matches the
shows, follows and records the stream, which is sent to it as fast as it was filmed; some focuses are reviewed. Then a
Chromium that is installed opens each page, and the report that `shopcue match` writes. --data keeps all of that, so
that a second time only the stream is followed anew; --only takes some of the pictures. Needs the extras `server` and
`dev`, and some eight minutes of two cores the first time, three after that. A machine that is busy with other things
may not keep up with the stream, and studio-live.png will say so.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from playwright.sync_api import sync_playwright
from runs.airing import (
    SHOP,
    STREAM,
    Api,
    Json,
    begun_stream,
    draw,
    eventually,
    focuses,
    on_air,
    serving,
    shows,
    video_of,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserType, Page

STREAM_SEEN_S = 72.0  # how far the stream is when it is looked at
PAGE_MS = 30_000
_ARGUMENTS = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
DESKTOP, PHONE = (1440, 900), (390, 844)

_LOADED = """() => {
  const within = (root) => [...root.querySelectorAll("*")]
    .flatMap((one) => one.shadowRoot ? [one, ...within(one.shadowRoot)] : [one]);
  const seen = (one) => {
    const { left, right, top, bottom } = one.getBoundingClientRect();
    return left < Math.min(right, innerWidth) && top < Math.min(bottom, innerHeight) && right > 0 && bottom > 0;
  };
  const ready = (one) => one.tagName === "VIDEO" ? one.readyState >= 2 && !one.seeking : one.complete;
  return document.fonts.status === "loaded" && document.querySelector("[aria-busy=true]") === null
    && within(document).filter((one) => ["IMG", "VIDEO"].includes(one.tagName) && seen(one)).every(ready);
}"""
"""Whether a page has everything that one would see of it."""


@dataclass(frozen=True)
class Picture:
    """A picture of a page. path: its address on the server. size: width and height, CSS pixels. scale: of its pixels.

    prepare: what is done on the page before. signed_in: whether by somebody who has a token.
    """

    path: str
    size: tuple[int, int]
    scale: float = 1.0
    prepare: Callable[[Page], None] = lambda page: None
    signed_in: bool = True

    def take(self, browser: Browser, api: Api | None, out: Path) -> None:
        """Open the page, wait until all of it is there, and write what it looks like as PNG."""
        width, height = self.size
        context = browser.new_context(
            viewport={"width": width, "height": height}, device_scale_factor=self.scale, color_scheme="light"
        )
        context.set_default_timeout(PAGE_MS)
        try:
            page = context.new_page()
            if api is not None and self.signed_in:
                context.request.post(f"{api.client.base_url}/api/session", data={"token": api.token})
                page.add_init_script("localStorage.setItem('shopcue-signed-in', '1')")
            page.goto(self.path if api is None else f"{api.client.base_url}{self.path}")
            settle(page)
            self.prepare(page)
            settle(page)
            write_png(page.screenshot(), out)
        finally:
            context.close()


def settle(page: Page) -> None:
    """Wait until a page is loaded, and has moved as far as it moves by itself."""
    page.wait_for_timeout(500)
    page.wait_for_function(_LOADED)
    page.wait_for_timeout(700)


def write_png(picture: bytes, path: Path) -> None:
    """Write a screenshot as small as PNG can be without loss."""
    part = path.with_name(f".{path.name}.part")
    with Image.open(io.BytesIO(picture)) as image:
        image.convert("RGB").save(part, "PNG", optimize=True)
    part.replace(path)


def _all_by_time(page: Page) -> None:
    page.get_by_role("button", name="All", exact=True).click()
    page.get_by_role("button", name="Doubtful first").click()


def _play_on(page: Page) -> None:
    page.locator("shopcue-player video").evaluate("(video) => video.play()")
    page.wait_for_timeout(1500)
    page.mouse.move(200, 200)  # the controls are seen by whoever moves


def _at(time_s: float, page: Page) -> None:
    page.locator("#video").evaluate("(video, time_s) => { video.currentTime = time_s; }", time_s)


def pictures_of(show: str, upright: str, found: list[Json]) -> dict[str, Picture]:
    """Return what pictures there are of the two shows. found: the focuses of the wide one, in order of time."""
    lab = f"/lab/{show}?t={found[4]['evidence']['frame_s']:.2f}"
    chosen = f"/studio/{SHOP}/videos/{show}?t={found[1]['evidence']['frame_s']:.2f}"
    return {
        "player-desktop": Picture(f"/play/{show}?t=4", DESKTOP, prepare=_play_on, signed_in=False),
        "player-phone": Picture(f"/play/{upright}?t=4", PHONE, prepare=_play_on, signed_in=False),
        "studio-desktop": Picture(chosen, DESKTOP, prepare=_all_by_time),
        "studio-phone": Picture(chosen, PHONE, 2.0),
        "lab-desktop": Picture(lab, (1440, 1250)),
        "lab-phone": Picture(lab, (390, 1250)),
    }


# ---- one run ------------------------------------------------------------------------------------------------------


def take_pictures(data: Path, out: Path, wanted: Callable[[str], bool]) -> Iterator[Path]:
    """Take the pictures that are wanted; yields each when it is written."""
    out.mkdir(parents=True, exist_ok=True)
    draw(data)
    with sync_playwright() as driver, opened(driver.chromium) as browser:
        if wanted("report"):
            results = data / "results"
            first = json.loads((results / "focuses.json").read_text())["focuses"][0]
            page = (results / "report.html").resolve().as_uri()
            report = Picture(page, (1280, 1500), prepare=partial(_at, first["evidence"]["frame_s"]))
            report.take(browser, None, out / "report.png")
            yield out / "report.png"
        with on_air(data / STREAM.name / "live.mp4") as address, serving(data / "server") as api:
            show, upright = shows(api, data)
            for name, picture in pictures_of(show, upright, focuses(api, show)).items():
                if wanted(name):
                    picture.take(browser, api, out / f"{name}.png")
                    yield out / f"{name}.png"
            if wanted("studio-live"):  # the last one, so that nothing keeps the machine from keeping up
                stream = begun_stream(api, address)
                eventually(partial(_is_far, api, stream), STREAM.duration_s, "the stream")
                Picture(f"/studio/{SHOP}/videos/{stream}", DESKTOP).take(browser, api, out / "studio-live.png")
                yield out / "studio-live.png"


def _is_far(api: Api, stream: str) -> bool:
    """Whether a stream has shown enough to be looked at, and shows a product."""
    found = video_of(api, stream)
    return (found["duration_s"] or 0.0) > STREAM_SEEN_S and any(each["end_s"] is None for each in focuses(api, stream))


@contextmanager
def opened(chromium: BrowserType) -> Iterator[Browser]:
    """Start the Chromium that is installed."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise SystemExit("no Chromium was found; install it (Debian: chromium)")
    browser = chromium.launch(executable_path=program, args=_ARGUMENTS)
    try:
        yield browser
    finally:
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    only = set(filter(None, given.only.split(",")))
    with tempfile.TemporaryDirectory() as scratch:
        for path in take_pictures(given.data or Path(scratch), given.out, lambda name: not only or name in only):
            print(path)


if __name__ == "__main__":
    main()
