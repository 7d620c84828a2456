"""The report, read by a parser and by a browser, neither of them ours."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pictures

from shopcue import report
from shopcue.errors import MediaError, OutputError
from shopcue.exports import FocusDocument
from shopcue.records import Alternative, Evidence, Focus, Frame, Product, Utterance
from shopcue.report import frame_times, render_report, write_report

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "\"><b onclick='alert(3)'>",
    "</script></style></title>{{ 7*7 }}{% raw %}",
    "日本語の商品 🥛 " * 20,
    "مرحبا",
)
UNSAFE_LINKS = (
    "javascript:alert(1)",
    " https://shop.example/leading-space",
    'https://shop.example/"onmouseover=alert(1)',
    "http://[broken",
    "https://",
    "data:text/html,x",
    "//shop.example/x",
    "https:\\\\shop.example",
    "https://shop.example/\nx",
    "file:///etc/passwd",
)


class Page(HTMLParser):
    """What a parser finds in a page: its elements with their attributes, and the text of each kind of element."""

    VOID = ("meta", "link", "img", "br", "hr", "input")

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text_in(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]

    @property
    def data(self) -> Any:
        (text,) = (text for text in self.text_in("script") if text.startswith("{"))
        return json.loads(text)


def focus(number: int, title: str = "Oat milk", product_id: str = "oat", **changes: Any) -> Focus:
    evidence = Evidence(2.5, 1.25, -0.5, 20.0 * number + 5, (10, 20, 110, 120), (Utterance(1, 2, f"this is {title}"),))
    made = Focus(product_id, title, 20.0 * number, 20.0 * number + 10, 0.9, evidence, (Alternative("soy", 0.07),))
    return replace(made, **changes)


def document(*focuses: Focus, video: str = "live.mp4", duration_s: float = 200) -> FocusDocument:
    return FocusDocument(video, duration_s, {"image": "sha256:ab<12>"}, focuses)


def shop() -> tuple[Product, ...]:
    return (
        Product("oat", "Oat milk", (), price="3.20 EUR", link="https://shop.example/oat?a=1&b=2"),
        Product("soy", "Soy milk", ()),
        Product("rye", "Rye bread", ()),
    )


def grey(width: int, height: int, level: int = 120) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.full((height, width, 3), level, np.uint8)


def rendered(written: FocusDocument, folder: str = "/out", **options: Any) -> Page:
    return Page(render_report(written, folder, **{"products": shop(), **options}))


# ---- what is on the page ---------------------------------------------------------------------------------------


def test_every_focus_is_on_the_page_and_in_its_data() -> None:
    found = [focus(n, product_id=name) for n, name in enumerate(["oat", "soy", "oat"])]
    page = rendered(document(*found))
    assert [it["id"] for it in page.all("li") if "card" in it.get("class", "")] == ["focus-0", "focus-1", "focus-2"]
    assert [(it["start_s"], it["end_s"], it["product"]) for it in page.data["focuses"]] == [
        (0, 10, 0),
        (20, 30, 1),
        (40, 50, 0),
    ]
    assert [it["title"] for it in page.data["products"]] == ["Oat milk", "Soy milk"]
    assert [text for text in page.text_in("summary") if "never shown" in text] == ["1 product of the shop never shown"]


def test_the_figures_are_those_of_a_plain_count() -> None:
    found = (
        focus(0, start_s=0.0, end_s=40.0, score=0.5),
        focus(1, start_s=20.0, end_s=60.0, score=0.7, product_id="soy"),
        focus(2, start_s=70.0, end_s=80.0, score=0.9),
        focus(3, start_s=71.0, end_s=75.0, score=1.0),
    )
    covered = sum(any(it.start_s <= second < it.end_s for it in found) for second in range(200))
    page = rendered(document(*found))
    values = [text for text in page.text_in("dd") if text.strip()][:8:2]
    assert values == ["3:20", "2 of 3", f"{covered / 200:.0%}", "80%"]


def test_a_page_without_focuses_says_why_and_what_to_do() -> None:
    page = rendered(document())
    text = " ".join(text for _, text in page.texts)
    assert "No product was found in this video" in text
    assert "additional_image_link" in text
    assert page.data["focuses"] == []
    assert "holds no product" not in text
    assert "holds no product" in " ".join(text for _, text in rendered(document(), products=()).texts)


def test_a_product_that_left_the_feed_is_shown_by_the_title_of_its_focus() -> None:
    assert rendered(document(focus(0, "Gone", "gone"))).data["products"][0]["title"] == "Gone"


def test_the_models_and_the_options_of_the_run_are_named() -> None:
    page = rendered(document(focus(0)), options={"method": "one-stage", "rate_hz": 2.0})
    assert {"sha256:ab<12>", "one-stage", "2.0"} <= set(page.text_in("code"))


# ---- pictures --------------------------------------------------------------------------------------------------


def opened(address: str) -> Pictures.Image:
    head, raw = address.split(",")
    assert head == "data:image/jpeg;base64"
    return Pictures.open(io.BytesIO(base64.b64decode(raw)))


def test_each_card_shows_its_own_frame_with_the_box_in_the_frames_pixels() -> None:
    found = (focus(0), focus(1, evidence=replace(focus(0).evidence, frame_s=2.0, box=(-50, 0, 4000, 100))))
    assert frame_times(document(*found)) == [2.0, 5.0]
    frames = (Frame(time_s, grey(640, 360, level), scale=2.0) for time_s, level in ((2.0, 200), (5.0, 40)))
    page = rendered(document(*found), frames=frames, pictures={"oat": grey(300, 900, 10)})
    shots = [opened(it["src"]) for it in page.all("img")]
    assert [shot.size for shot in shots] == [(384, 216), (384, 216)]
    assert [np.asarray(shot).mean().round() for shot in shots] == [40, 200]
    (shop_picture,) = (opened(it["href"]) for it in page.all("image"))
    assert shop_picture.size == (107, 320)
    boxes = [it for it in page.all("rect") if it.get("class") == "halo"]
    assert [[float(it[key]) for key in ("x", "y", "width", "height")] for it in boxes] == [
        [5, 10, 50, 50],
        [0, 0, 640, 50],
    ]


def test_a_video_that_breaks_off_leaves_the_frames_before_that() -> None:
    def broken() -> Any:
        yield Frame(5, grey(64, 64))
        raise MediaError("it broke off")

    assert len(rendered(document(focus(0), focus(1)), frames=broken()).all("img")) == 1


def test_a_long_document_has_a_bounded_number_of_pictures() -> None:
    count = report.PICTURE_LIMIT + 100
    found = [focus(n, score=0.2 if n < 100 else 0.8) for n in range(count)]
    written = document(*found, duration_s=20.0 * count)
    times = frame_times(written)
    assert times == [it.evidence.frame_s for it in found[100:]]
    many = [*shop(), *(Product(f"p{n}", "Bread", ()) for n in range(5000))]
    text = render_report(
        written,
        "/out",
        products=many,
        pictures={it.product_id: grey(8, 8) for it in many},
        frames=(Frame(time_s, grey(8, 8)) for time_s in times),
    )
    page = Page(text)
    assert len([it for it in page.all("img") if it["alt"]]) == report.PICTURE_LIMIT
    assert all(it["loading"] == "lazy" for it in page.all("img"))
    assert len([it for it in page.all("li") if "card" in it.get("class", "")]) == count
    assert not [it for it in page.all("details") if "open" in it]
    assert "and 4702 more" in " ".join(page.text_in("li"))
    assert len(text) < 3_000_000


# ---- strangers -------------------------------------------------------------------------------------------------


def hostile_page() -> tuple[str, Page]:
    products = [Product(f"p{n}<i>", title, (), price=title[:30], link=title) for n, title in enumerate(HOSTILE)]
    found = [focus(n, it.title, it.product_id) for n, it in enumerate(products)]
    text = render_report(
        replace(document(*found), video=f"/tmp/{HOSTILE[1]} #?%.mp4", models={HOSTILE[0]: HOSTILE[1]}),
        "/out",
        products=[*products, Product("never", HOSTILE[0], ())],
        options={HOSTILE[2]: HOSTILE[0]},
    )
    return text, Page(text)


def test_no_text_of_a_stranger_becomes_markup() -> None:
    text, page = hostile_page()
    plain = rendered(document(*(focus(n, product_id=f"p{n}") for n in range(5))), products=())
    # Whatever strangers wrote, the page has no elements and attributes that harmless words do not have as well.
    assert len(page.all("script")) == 2
    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in plain.elements} | {"li", "ul"}
    attributes = {name for _, attributes in page.elements for name in attributes}
    assert not [name for name in attributes if name.startswith("on")]
    assert "style" not in attributes
    assert "49" not in page.text_in("h3")
    assert "<b onclick" not in text
    assert page.open == []
    titles = [it["title"] for it in page.data["products"]]
    assert titles == [title.strip() for title in HOSTILE]
    for title in titles:
        assert title in page.text_in("h3")


@pytest.mark.parametrize("link", UNSAFE_LINKS)
def test_a_link_that_is_not_safe_is_left_out(link: str) -> None:
    page = rendered(document(focus(0)), products=[Product("oat", "Oat", (), link=link)])
    assert page.data["products"][0]["link"] == ""
    assert all(it["href"].startswith("#") for it in page.all("a"))


def test_a_safe_link_is_followed_without_telling_where_from() -> None:
    links = [it for it in rendered(document(focus(0))).all("a") if it.get("class") == "buy"]
    assert [it["href"] for it in links] == ["https://shop.example/oat?a=1&b=2"]
    assert set(links[0]["rel"].split()) >= {"noopener", "noreferrer"}


def test_the_page_loads_nothing_from_elsewhere_and_says_so_itself() -> None:
    text, page = hostile_page()
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset", "poster", "data", "action"):
            if name in attributes and tag not in ("a", "video"):
                assert attributes[name].startswith(("data:", "#")), (tag, attributes)
    assert not re.search(r"url\(|@import", "".join(page.text_in("style")))
    (policy,) = (it["content"] for it in page.all("meta") if it.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)
    assert style
    assert script
    for kind, inside in (("style", style[1]), ("script", script[1])):
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


@pytest.mark.parametrize(
    ("video", "folder", "address"),
    [
        ("/lives/a.mp4", "/lives/out", "../a.mp4"),
        ("/lives/a.mp4", "/lives", "a.mp4"),
        ('/lives/a b#1?%ä".mp4', "/lives", "a%20b%231%3F%25%C3%A4%22.mp4"),
        ("/lives/javascript:alert(1)", "/lives", "javascript%3Aalert%281%29"),
    ],
)
def test_the_page_finds_the_video_beside_it(video: str, folder: str, address: str) -> None:
    (element,) = rendered(document(video=video), folder).all("video")
    assert element["src"] == address


def test_a_stream_is_no_file_to_play() -> None:
    page = rendered(document(video="rtmp://live.example/x"))
    assert page.all("video") == []
    assert [it for it in page.all("div") if it.get("id") == "unplayable" and "hidden" not in it]


# ---- the file --------------------------------------------------------------------------------------------------


def test_the_report_is_written_whole_or_refused_in_one_line(tmp_path: Path) -> None:
    out = tmp_path / "new" / "report.html"
    assert write_report(document(focus(0)), out, products=shop()) == out
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]
    with pytest.raises(OutputError, match="results cannot be written"):
        write_report(document(), out / "below" / "report.html")


# ---- the look --------------------------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    """The relative luminance of `#rrggbb`, as WCAG 2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_the_colours_can_be_told_from_the_ground_in_both_themes(theme: int) -> None:
    style = "".join(rendered(document()).text_in("style"))
    pairs = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", style)
    colours = {name: (light, dark)[theme] for name, light, dark in pairs}
    for ground in ("paper", "surface", "raised"):
        assert contrast(colours["ink"], colours[ground]) >= 7
        assert contrast(colours["muted"], colours[ground]) >= 4.5
    assert contrast(colours["accent"], colours["surface"]) >= 4.5
    lanes = [colours[f"c{number}"] for number in range(report.COLOURS)]
    assert len(set(lanes)) == report.COLOURS
    assert all(contrast(colour, colours["surface"]) >= 3 for colour in lanes)


COLOUR_SIGHT = {
    "usual": np.eye(3),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
    ),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "tritan": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]]
    ),
}
"""How linear RGB is seen (Machado, Oliveira and Fernandes 2009, severity 1)."""


def lab(colour: str, sight: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """CIE L*a*b* of `#rrggbb` (sRGB, D65) as somebody with that sight sees it."""
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(xyz @ np.clip(sight @ linear, 0, 1) / (0.9505, 1, 1.089))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", COLOUR_SIGHT)
@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_the_colours_of_the_lanes_stay_apart_for_the_colour_blind(theme: int, sight: str) -> None:
    style = "".join(rendered(document()).text_in("style"))
    colours = [pair[theme] for pair in re.findall(r"--c\d: light-dark\((#\w{6}), (#\w{6})\)", style)]
    seen = [lab(colour, COLOUR_SIGHT[sight]) for colour in colours]
    assert min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2)) >= 15


# ---- a browser -------------------------------------------------------------------------------------------------

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

VISITOR = """<!doctype html><iframe src="report.html" width="1200" height="900"></iframe><pre id="seen"></pre><script>
const frame = document.querySelector("iframe"), seen = {};
frame.onload = async () => {
  const page = frame.contentDocument, root = page.documentElement;
  const at = () => page.querySelector(".card.is-now")?.id ?? "none";
  const { KeyboardEvent } = frame.contentWindow;
  const press = (key) => page.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const click = (it) => page.querySelector(it).click();
  seen.ready = root.dataset.ready;
  seen.bars = [...page.querySelectorAll(".bar")].map((bar) => bar.getAttribute("aria-label"));
  seen.tabStops = page.querySelectorAll(".bar[tabindex='0']").length;
  seen.start = at();
  press("ArrowRight"); seen.right = at();
  click("#next"); seen.next = at();
  seen.title = page.querySelector("#now-title").textContent;
  press("ArrowLeft"); seen.left = at();
  page.querySelectorAll(".bar")[2].click(); seen.bar = at();
  click("#focus-0 a.go"); seen.go = at();
  const inner = page.querySelector(".inner"), before = inner.offsetWidth;
  click("#zoom-in"); seen.zoomed = inner.offsetWidth > before;
  click("#zoom-fit"); seen.fits = inner.offsetWidth === before;
  const filter = page.querySelector("#filter");
  filter.value = "1"; filter.dispatchEvent(new Event("change"));
  seen.filtered = [...page.querySelectorAll(".card:not([hidden])")].map((card) => card.id);
  click("#theme"); seen.theme = root.dataset.theme;
  seen.wide = root.scrollWidth > root.clientWidth;
  frame.width = 360; seen.wideOnAPhone = root.scrollWidth > root.clientWidth;
  const message = page.querySelector("#unplayable");
  for (let turns = 0; message.hidden && turns < 50; turns++) await new Promise((done) => setTimeout(done, 20));
  seen.message = !message.hidden;
  document.getElementById("seen").textContent = JSON.stringify(seen);
};
</script>"""


def visit(page: Path, profile: Path) -> tuple[str, list[str]]:
    """Return the page as a browser has it in the end, and what its console says."""
    assert CHROMIUM
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    flags += " --disable-component-update --disable-sync --allow-file-access-from-files --enable-logging=stderr"
    command = [CHROMIUM, *flags.split(), f"--user-data-dir={profile}", "--virtual-time-budget=3000", "--dump-dom"]
    done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium browser on the PATH")
def test_a_browser_shows_the_page_and_follows_the_visitor(tmp_path: Path) -> None:
    found = (focus(1), focus(2, HOSTILE[0], "evil"), focus(4), focus(6, product_id="soy"))
    write_report(document(*found, video=str(tmp_path / "gone.mp4")), tmp_path / "report.html", products=shop())
    (tmp_path / "visitor.html").write_text(VISITOR)
    text, console = visit(tmp_path / "visitor.html", tmp_path / "profile")
    assert console == []
    (raw,) = Page(text).text_in("pre")
    assert json.loads(raw) == {
        "ready": "1",
        "bars": [
            "Oat milk, 0:20 to 0:30, 90%",
            "Oat milk, 1:20 to 1:30, 90%",
            f"{HOSTILE[0]}, 0:40 to 0:50, 90%",
            "Soy milk, 2:00 to 2:10, 90%",
        ],
        "tabStops": 1,
        "start": "none",
        "right": "focus-0",
        "next": "focus-1",
        "title": HOSTILE[0],
        "left": "focus-0",
        "bar": "focus-1",
        "go": "focus-0",
        "zoomed": True,
        "fits": True,
        "filtered": ["focus-1"],
        "theme": "light",
        "wide": False,
        "wideOnAPhone": False,
        "message": True,
    }


@pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium browser on the PATH")
def test_a_browser_shows_the_page_of_a_video_without_focuses(tmp_path: Path) -> None:
    write_report(document(), tmp_path / "report.html", products=shop())
    text, console = visit(tmp_path / "report.html", tmp_path / "profile")
    assert 'data-ready="1"' in text
    assert [line for line in console if "ERR_FILE_NOT_FOUND" not in line] == []
