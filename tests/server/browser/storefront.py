"""A real server with a matched shop, and a real browser to look at it: what the tests of the pages stand on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from av.video.stream import VideoStream

from server.catalogue import stock
from server.matched import SCRIPT, focus
from shopcue.database.focuses import put_focuses
from shopcue.database.shops import put_shop
from shopcue.database.tokens import create_token
from shopcue.database.videos import add_video, change_video
from shopcue.records import Focus, Image, Product
from shopcue.server.media import poster_jpeg, write_whole
from shopcue.server.services import Services, open_services
from shopcue.server.settings import ServerSettings
from shopcue.sources.files import probe

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page

SHOP = "corner"
RATE_HZ = 10
LENGTH_S = 24.0
ROOT = Path(__file__).parents[3]
AXE = ROOT / ".venv" / "node" / "node_modules" / "axe-core" / "axe.min.js"

COAT = Product("coat", "Red coat", ("a.jpg",), price="120 EUR", link="https://shop.example/coat", category="Clothes")
HAT = Product("hat/1 é", "Green hat", ("a.jpg",), price="25 EUR", link="https://shop.example/hat?a=1&b=2")
MUG = Product(
    "mug", f"Mug {SCRIPT}<img src=x onerror=alert(2)>", ("a.jpg",), price="<b>9</b>", link="javascript:alert(3)"
)
OTHERS = [Product(f"other{n}", f"Other thing {n}", ("a.jpg",), price=f"{n} EUR") for n in range(5)]

SCHEDULE = ((COAT, 2.0, 6.0), (HAT, 8.0, 12.0), (MUG, 13.5, 17.0), (COAT, 19.0, 22.5))
"""What is on screen when; the pictures of the video have another colour for each."""


# ---- the server -------------------------------------------------------------------------------------------------


@dataclass
class Shopfront:
    """A running server. parts: its database and catalogues, as another process sees them; url: where it is."""

    parts: Services
    folder: Path
    url: str = ""
    process: subprocess.Popen[str] | None = None
    port: int = 0
    admin: str = ""
    stranger: str = ""

    def start(self) -> None:
        """Start the server, the second time at the same port."""
        command = [sys.executable, "-m", "shopcue", "serve", "--data", str(self.folder), "--workers", "0"]
        self.process = subprocess.Popen(  # stderr is left to pytest
            [*command, "--port", str(self.port)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if "listens at" in line:
                self.url = line.split()[-1]
                self.port = int(self.url.rsplit(":", 1)[1])
                return
        raise AssertionError("the server did not start")

    def stop(self) -> None:
        """Stop the server."""
        if self.process is not None:
            self.process.terminate()
            self.process.communicate(timeout=20)
            self.process = None


@contextmanager
def open_shopfront(folder: Path) -> Iterator[Shopfront]:
    """Run a server over a new folder with the shop `SHOP` and its products."""
    settings = ServerSettings(folder, workers=0)
    settings.make_folders()
    parts = open_services(settings)
    front = Shopfront(parts, folder)
    with parts.database.write() as session:
        put_shop(session, SHOP, "Corner shop")
        put_shop(session, "rival", "Another shop")
        front.admin = create_token(session, "Ada", "admin", ())[1]
        front.stranger = create_token(session, "Rae", "seller", ("rival",))[1]
    stock(parts, SHOP, [COAT, HAT, MUG, *OTHERS])
    try:
        front.start()
        yield front
    finally:
        front.stop()
        parts.database.close()


def on_screen(time_s: float) -> Product | None:
    """The product that the video of `add_show` shows at a time."""
    return next((product for product, start_s, end_s in SCHEDULE if start_s <= time_s < end_s), None)


def _picture(number: int, width: int, height: int) -> Image:
    colours = {None: 90, COAT: (200, 40, 40), HAT: (40, 160, 60), MUG: (60, 60, 200)}
    picture = np.full((height, width, 3), colours[on_screen(number / RATE_HZ)], np.uint8)
    at = number * 3 % (width - 20)
    picture[height // 2 : height // 2 + 20, at : at + 20] = 255
    return picture


def write_show(path: Path, width: int, height: int, **options: str) -> Path:
    """Write the show as a video of `LENGTH_S` seconds; the ending of `path` says in which form."""
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=RATE_HZ, options={"threads": "1", "preset": "ultrafast"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.gop_size = RATE_HZ
        for number in range(round(LENGTH_S * RATE_HZ)):
            frame = av.VideoFrame.from_ndarray(_picture(number, width, height), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def add_show(
    front: Shopfront,
    *,
    width: int = 320,
    height: int = 180,
    title: str = "Autumn show",
    published: bool = True,
    found: Sequence[Focus] | None = None,
) -> str:
    """Put the show into the shop as a matched recording; returns its id."""
    if found is None:
        found = [focus(product, start_s, end_s) for product, start_s, end_s in SCHEDULE]
    with front.parts.database.write() as session:
        video = add_video(session, SHOP, "recording", title, "show.mp4")
        change_video(session, video.video_id, duration_s=LENGTH_S, width=width, height=height, published=published)
        put_focuses(session, video, found, {"image": "house-test"})
    folder = front.parts.settings.video_folder(video.video_id)
    folder.mkdir(parents=True)
    media = write_show(folder / "media.mp4", width, height)
    write_whole(front.parts.settings.poster_file(video.video_id), poster_jpeg(probe(media)))
    return video.video_id


# ---- other sites ------------------------------------------------------------------------------------------------


class _Handler(SimpleHTTPRequestHandler):
    extra: Mapping[str, str] = {}

    def end_headers(self) -> None:
        for name, value in {"Access-Control-Allow-Origin": "*", **self.extra}.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def open_site(folder: Path, headers: Mapping[str, str] | None = None) -> Iterator[str]:
    """Serve a folder at an address of its own, on every answer with these headers."""
    handler = type("Handler", (_Handler,), {"extra": headers or {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# ---- the browser ------------------------------------------------------------------------------------------------

DESKTOP, PHONE = (1440, 900), (390, 844)
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
]


@contextmanager
def open_chromium() -> Iterator[Browser]:
    """Start the Chromium that is installed; skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs a Chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Window:
    """A page with what went wrong in it: errors and warnings of its console, its exceptions, its dialogs."""

    page: Page
    faults: list[str] = field(default_factory=list)

    def hear(self, said: ConsoleMessage) -> None:
        """Take what the console says."""
        if said.type in ("error", "warning"):
            self.faults.append(said.text)

    def dismiss(self, dialog: Dialog) -> None:
        """Close a dialog that no page of ours opens."""
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()


OpenWindow = Callable[..., Window]


@contextmanager
def windows(browser: Browser) -> Iterator[OpenWindow]:
    """Lend `open(size, dark, **context)`, which opens pages without any past; they are closed in the end.

    In the end no page may have had a fault, but for those that the test has taken out of `faults`.
    """
    opened: list[Window] = []

    def open(size: tuple[int, int] = DESKTOP, *, dark: bool = False, **options: Any) -> Window:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light", **options
        )
        context.set_default_timeout(8000)
        window = Window(context.new_page())
        page = window.page
        page.on("console", window.hear)
        page.on("pageerror", lambda error: window.faults.append(str(error)))
        page.on("dialog", window.dismiss)
        opened.append(window)
        return window

    try:
        yield open
        if faults := [fault for window in opened for fault in window.faults]:
            pytest.fail(f"a page had faults: {faults}")
    finally:
        for window in opened:
            window.page.context.close()


def sign_in(window: Window, front: Shopfront, token: str) -> None:
    """Give the window the cookie of a token, as the sign-in of the studio does."""
    answer = window.page.request.post(f"{front.url}/api/session", data={"token": token})
    assert answer.ok, answer.text()


def violations(page: Page) -> list[str]:
    """What axe-core finds of serious or critical accessibility faults in a page as it is now; skips without axe."""
    if not AXE.is_file():
        pytest.skip("needs axe-core: npm install --prefix .venv/node axe-core")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("async () => (await axe.run(document, { resultTypes: ['violations'] })).violations")
    return [
        f"{each['id']} ({each['impact']}): {node['target']} {node.get('failureSummary', '')}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]
