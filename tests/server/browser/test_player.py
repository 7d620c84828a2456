"""The shopper's page and the web component, in a real Chromium before a real server."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra `server`")
pytest.importorskip("playwright", reason="needs playwright")

from server.browser import storefront
from server.browser.storefront import COAT, DESKTOP, HAT, LENGTH_S, MUG, PHONE, SCHEDULE, SHOP, OpenWindow, Shopfront
from server.matched import focus
from shopcue.database.focuses import close_focus, list_focuses, save_open
from shopcue.database.reviews import review_focus
from shopcue.database.videos import add_video, change_video, get_video

if TYPE_CHECKING:
    from playwright.sync_api import Page

NOW = "article.card[data-when=now]"
VIDEO = "document.querySelector('shopcue-player').shadowRoot.querySelector('video')"


@pytest.fixture(scope="module")
def wide(front: Shopfront) -> str:
    return storefront.add_show(front)


@pytest.fixture(scope="module")
def tall(front: Shopfront) -> str:
    return storefront.add_show(front, width=180, height=320, title="Upright show")


def document(front: Shopfront, page: Page, video_id: str) -> dict[str, Any]:
    answer = page.request.get(f"{front.url}/api/public/videos/{video_id}")
    assert answer.ok
    found: dict[str, Any] = answer.json()
    return found


def player(page: Page, expression: str) -> Any:
    """Evaluate in the page; `root` is the player's shadow root, `video` its video."""
    return page.evaluate(
        "async () => { const root = document.querySelector('shopcue-player').shadowRoot;"
        f" const video = root.querySelector('video'); return ({expression}); }}"
    )


def ready(page: Page) -> None:
    """Wait until the video can be steered."""
    page.locator("shopcue-player video").wait_for()
    page.wait_for_function(
        "() => document.querySelector('shopcue-player').shadowRoot.querySelector('video').readyState >= 2"
    )


def seek(page: Page, time_s: float) -> None:
    player(page, f"new Promise((done) => {{ video.onseeked = () => done(1); video.currentTime = {time_s}; }})")


def shows(page: Page, product_id: str, when: str) -> None:
    """Wait until the card shows a product, that is on screen now, was before or comes next."""
    page.locator(f'shopcue-player article.card[data-when="{when}"][data-product="{product_id}"]').wait_for(timeout=3000)


# ---- a recording ------------------------------------------------------------------------------------------------


def test_the_card_is_that_of_the_product_on_screen(front: Shopfront, wide: str, open_window: OpenWindow) -> None:
    page = open_window().page
    page.goto(f"{front.url}/play/{wide}")
    ready(page)
    focuses = document(front, page, wide)["focuses"]
    assert [each["product_id"] for each in focuses] == [product.product_id for product, *_ in SCHEDULE]
    draw = random.Random(3)
    for time_s in (*(draw.uniform(0, LENGTH_S - 0.2) for _ in range(12)), focuses[1]["start_s"], focuses[1]["end_s"]):
        seek(page, time_s)
        now = [each["product_id"] for each in focuses if each["start_s"] <= time_s < each["end_s"]]
        before = [each["product_id"] for each in focuses if each["end_s"] <= time_s]
        shows(page, *((now[0], "now") if now else (before[-1], "past") if before else ("coat", "next")))


def test_the_card_changes_while_the_video_plays(front: Shopfront, wide: str, open_window: OpenWindow) -> None:
    page = open_window().page
    page.goto(f"{front.url}/play/{wide}?t=7")
    ready(page)
    page.locator("shopcue-player .big").click()
    page.locator(f'{NOW}[data-product="{HAT.product_id}"]').wait_for()
    time_s = player(page, "video.currentTime")
    assert SCHEDULE[1][1] <= time_s < SCHEDULE[1][1] + 0.5
    text = page.locator(NOW).inner_text()
    assert "Green hat" in text
    assert "25 EUR" in text
    link = page.locator(f"{NOW} a")
    assert link.get_attribute("href") == HAT.link
    assert set((link.get_attribute("rel") or "").split()) >= {"nofollow", "noopener"}
    picture = page.locator(f"{NOW} img")
    assert picture.evaluate("async (image) => { await image.decode(); return image.naturalWidth; }") > 0


def test_the_strip_jumps_to_the_moments_of_a_product(front: Shopfront, wide: str, open_window: OpenWindow) -> None:
    page = open_window().page
    page.goto(f"{front.url}/play/{wide}")
    ready(page)
    tiles = page.locator("shopcue-player li.tile")
    assert tiles.count() == 3
    coat = page.locator('shopcue-player li.tile[data-product="coat"]')
    assert coat.locator(".moment").all_inner_texts() == ["0:02", "0:19"]
    player(page, "video.play = () => Promise.resolve()")  # so that it stays where it was sent
    for pressed, start_s in ((coat.locator(".moment").nth(1), 19.0), (coat.locator(".tile-main"), 2.0)):
        pressed.click()
        page.wait_for_timeout(150)
        assert player(page, "video.currentTime") == pytest.approx(start_s, abs=0.1)
        shows(page, "coat", "now")
    assert coat.get_attribute("aria-current") == "true"
    coat.locator(".tile-main").click()  # the next moment of the same product
    page.wait_for_timeout(150)
    assert player(page, "video.currentTime") == pytest.approx(19.0, abs=0.1)


def test_a_review_changes_the_open_page_at_once(front: Shopfront, open_window: OpenWindow) -> None:
    video_id = storefront.add_show(front)
    page = open_window().page
    page.goto(f"{front.url}/play/{video_id}?t=4")
    ready(page)
    shows(page, "coat", "now")
    database = front.parts.database
    with database.read() as session:
        focus_id = list_focuses(session, video_id)[0].focus_id
    with database.write() as session:
        review_focus(session, focus_id, "replace", "Ada", "admin", product_id="other3", title="Other thing 3")
    page.locator(f'{NOW}[data-product="other3"]').wait_for(timeout=3000)
    assert "Other thing 3" in page.locator(NOW).inner_text()
    assert page.locator("shopcue-player li.tile").count() == 4
    with database.write() as session:
        review_focus(session, focus_id, "move", "Ada", "admin", start_s=1.0, end_s=3.0)
    page.locator('article.card[data-when="past"]').wait_for(timeout=3000)
    with database.write() as session:
        review_focus(session, focus_id, "reject", "Ada", "admin")
    page.locator('article.card[data-when="next"]').wait_for(timeout=3000)
    assert page.locator("shopcue-player li.tile").count() == 3


def test_keys_steer_the_video(front: Shopfront, wide: str, open_window: OpenWindow) -> None:
    page = open_window().page
    page.goto(f"{front.url}/play/{wide}")
    ready(page)
    player(page, "video.play = () => { window.played = (window.played ?? 0) + 1; return Promise.resolve(); }")
    expected = [
        ("n", 2.0),
        ("n", 8.0),
        ("ArrowRight", 13.0),
        ("n", 13.5),
        ("p", 8.0),
        ("j", 0.0),
        ("l", 10.0),
        ("End", LENGTH_S),
    ]
    for key, time_s in expected:
        page.keyboard.press(key)
        page.wait_for_timeout(120)
        assert player(page, "video.currentTime") == pytest.approx(time_s, abs=0.15), key
    page.keyboard.press("m")
    assert player(page, "video.muted") is True
    played = page.evaluate("window.played")
    page.keyboard.press(" ")
    assert page.evaluate("window.played") == played + 1
    page.locator("shopcue-player .scrub").focus()
    page.keyboard.press("Home")
    page.wait_for_timeout(120)
    assert player(page, "video.currentTime") == 0


def test_the_link_is_shared_with_its_time(front: Shopfront, wide: str, open_window: OpenWindow) -> None:
    page = open_window(permissions=["clipboard-read", "clipboard-write"]).page
    page.goto(f"{front.url}/play/{wide}?t=9")
    ready(page)
    page.get_by_role("button", name="Share").click()
    page.get_by_label("Start at 0:09").check()
    page.get_by_role("button", name="Copy link").click()
    page.get_by_role("button", name="Link copied").wait_for()
    shared = page.evaluate("navigator.clipboard.readText()")
    assert shared == f"{front.url}/play/{wide}?t=9"
    page.keyboard.press("Escape")
    page.goto(shared)
    ready(page)
    page.wait_for_function(
        "() => document.querySelector('shopcue-player').shadowRoot.querySelector('video').currentTime === 9"
    )


def test_an_unpublished_video_is_not_there(front: Shopfront, open_window: OpenWindow) -> None:
    video_id = storefront.add_show(front, published=False)
    window = open_window()
    page = window.page
    answer = page.goto(f"{front.url}/play/{video_id}")
    assert answer is not None
    assert answer.status == 404
    assert page.request.get(f"{front.url}/api/public/videos/{video_id}/media").status == 404
    assert "Autumn show" not in page.content()
    window.faults.clear()  # the console says that the page was a 404
    with front.parts.database.write() as session:
        change_video(session, video_id, published=True)
    page.goto(f"{front.url}/play/{video_id}")
    ready(page)
    with front.parts.database.write() as session:
        change_video(session, video_id, published=False)
    page.get_by_text("This video is not available").wait_for()
    assert page.locator("shopcue-player video").is_hidden()
    window.faults.clear()  # and so was the document, when it was asked for again


def test_what_strangers_wrote_does_nothing(front: Shopfront, open_window: OpenWindow) -> None:
    found = [focus(MUG, 1, 20)]
    video_id = storefront.add_show(front, title=MUG.title, found=found)
    window = open_window()
    window.page.goto(f"{front.url}/play/{video_id}?t=5")
    ready(window.page)
    window.page.locator(NOW).wait_for()
    assert window.page.locator(f"{NOW} h3").inner_text() == MUG.title
    assert window.page.locator(f"{NOW} .price").inner_text() == "<b>9</b>"
    assert window.page.locator("h1").inner_text() == MUG.title
    assert player(window.page, "root.querySelectorAll('a[href^=\"javascript\"], script, b, img[onerror]').length") == 0
    assert window.page.locator(f"{NOW} a").count() == 0
    window.page.wait_for_timeout(300)
    assert window.faults == []  # no dialog, nothing that the policy had to stop


# ---- how it stands ----------------------------------------------------------------------------------------------


def test_an_upright_picture_fits_a_phone(front: Shopfront, tall: str, open_window: OpenWindow) -> None:
    for size in (PHONE, (390, 664), (360, 640), (430, 932)):
        page = open_window(size, has_touch=True, is_mobile=True).page
        page.goto(f"{front.url}/play/{tall}?t=4")
        ready(page)
        page.locator(NOW).wait_for()
        box = page.locator("shopcue-player video").bounding_box()
        shown = page.locator(NOW).bounding_box()
        assert box is not None
        assert shown is not None
        width = min(box["width"], box["height"] * 9 / 16)  # the whole picture is shown inside the element
        assert width >= 0.9 * size[0]
        assert box["x"] >= 0
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= size[1] + 0.5
        assert shown["y"] + shown["height"] <= size[1], "the card is on the first screen"
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


@pytest.mark.parametrize("size", [DESKTOP, PHONE, (844, 390)])
def test_nothing_moves_when_the_card_changes(
    front: Shopfront, wide: str, tall: str, open_window: OpenWindow, size: tuple[int, int]
) -> None:
    for video_id in (wide, tall):
        page = open_window(size, reduced_motion="reduce").page
        page.add_init_script(
            """window.shift = 0;
            const add = (list) => { for (const entry of list.getEntries()) window.shift += entry.value; };
            new PerformanceObserver(add).observe({ type: "layout-shift", buffered: true });"""
        )
        page.goto(f"{front.url}/play/{video_id}")
        ready(page)
        page.wait_for_timeout(200)
        places = set()
        for time_s in (0.5, 3, 7, 9, 15, 18, 20, 23):
            seek(page, time_s)
            page.wait_for_timeout(60)
            box = page.locator("shopcue-player article.card").bounding_box()
            assert box is not None
            places.add(tuple(round(box[side], 1) for side in ("x", "y", "width", "height")))
        assert len(places) == 1
        assert page.evaluate("window.shift") < 0.005


def test_the_page_can_be_used_by_everyone(front: Shopfront, wide: str, tall: str, open_window: OpenWindow) -> None:
    for dark, size, video_id in (
        (False, DESKTOP, wide),
        (True, DESKTOP, tall),
        (False, PHONE, tall),
        (True, PHONE, wide),
    ):
        page = open_window(size, dark=dark, reduced_motion="reduce").page
        page.goto(f"{front.url}/play/{video_id}?t=4")
        ready(page)
        page.locator(NOW).wait_for()
        assert storefront.violations(page) == []
        page.get_by_role("button", name="Share").click()
        assert storefront.violations(page) == []
        page.keyboard.press("Escape")
        if (size, video_id) == (PHONE, tall):
            page.get_by_role("button", name="Products in this video").click()
            page.get_by_role("dialog", name="In this video").wait_for()
            assert storefront.violations(page) == []
            page.keyboard.press("Escape")
            assert page.get_by_role("dialog").count() == 0


# ---- live -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def playlist(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The show as HLS that is still going on, on another site."""
    folder = tmp_path_factory.mktemp("hls")
    options = {"hls_time": "2", "hls_list_size": "0", "hls_flags": "omit_endlist"}
    storefront.write_show(folder / "live.m3u8", 320, 180, **options)
    with storefront.open_site(folder) as site:
        yield f"{site}/live.m3u8"


def add_stream(front: Shopfront, playlist: str | None) -> str:
    with front.parts.database.write() as session:
        video = add_video(session, SHOP, "stream", "Live now", "rtmp://camera.example/live", playlist)
        change_video(session, video.video_id, state="live", published=True)
        return video.video_id


def test_the_card_of_a_live_stream_follows_its_events(front: Shopfront, playlist: str, open_window: OpenWindow) -> None:
    video_id = add_stream(front, playlist)
    page = open_window().page
    page.goto(f"{front.url}/play/{video_id}")
    ready(page)
    page.wait_for_function(
        "() => document.querySelector('shopcue-player').shadowRoot.querySelector('video').currentTime > 0"
    )
    assert page.locator("article.card.vacant").is_visible()
    assert page.locator("shopcue-player .badge").inner_text() == "Live"

    def tell(change: Any) -> float:
        with front.parts.database.write() as session:
            change(session)
        return time.monotonic()

    opened: list[str] = []
    told_s = tell(
        lambda s: opened.append(save_open(s, get_video(s, video_id), focus(COAT, 100, 101), media_s=103.0).focus_id)
    )
    page.locator(f'{NOW}[data-product="coat"]').wait_for(timeout=3000)
    assert time.monotonic() - told_s < 3
    told_s = tell(lambda s: close_focus(s, opened[0], focus(COAT, 100, 108), media_s=110.0))
    page.locator('article.card[data-when="past"][data-product="coat"]').wait_for(timeout=3000)
    tell(lambda s: opened.append(save_open(s, get_video(s, video_id), focus(HAT, 111, 112), media_s=113.0).focus_id))
    page.locator(f'{NOW}[data-product="{HAT.product_id}"]').wait_for(timeout=3000)
    assert [tile.get_attribute("data-product") for tile in page.locator("li.tile").all()] == [HAT.product_id, "coat"]
    tell(lambda s: review_focus(s, opened[1], "reject", "Ada", "admin"))
    page.locator('article.card[data-when="past"][data-product="coat"]').wait_for(timeout=3000)
    tell(lambda s: change_video(s, video_id, state="stopped"))
    page.get_by_text("The live stream has ended").wait_for()
    assert page.locator("li.tile").count() == 1
    assert storefront.violations(page) == []


def test_a_live_viewer_may_look_back(front: Shopfront, playlist: str, open_window: OpenWindow) -> None:
    video_id = add_stream(front, playlist)
    page = open_window().page
    page.goto(f"{front.url}/play/{video_id}")
    ready(page)
    page.wait_for_function(f"() => {VIDEO}.currentTime > 12")
    with front.parts.database.write() as session:
        row = get_video(session, video_id)
        coat = save_open(session, row, focus(COAT, 104, 105), media_s=106.0)
        close_focus(session, coat.focus_id, focus(COAT, 104, 108), media_s=110.0)
        save_open(session, row, focus(HAT, 122, 123), media_s=124.0)
    page.locator(f'{NOW}[data-product="{HAT.product_id}"]').wait_for()
    end_s = player(page, "video.seekable.end(0)")  # taken to be second 124 of the stream
    page.locator('li.tile[data-product="coat"] .moment').click()
    page.locator(f'{NOW}[data-product="coat"]').wait_for()
    assert player(page, "video.currentTime") == pytest.approx(end_s - 124 + 104, abs=1)
    page.get_by_role("button", name="Go live").click()
    page.locator(f'{NOW}[data-product="{HAT.product_id}"]').wait_for()


def test_a_picture_that_is_late_is_waited_for(front: Shopfront, open_window: OpenWindow, tmp_path: Path) -> None:
    with storefront.open_site(tmp_path) as site:
        window = open_window()
        window.page.goto(f"{front.url}/play/{add_stream(front, f'{site}/live.m3u8')}")
        window.page.get_by_text("The picture is interrupted, trying again").wait_for()
        storefront.write_show(tmp_path / "live.m3u8", 320, 180, hls_flags="omit_endlist", hls_list_size="0")
        ready(window.page)
        window.page.get_by_text("The picture is interrupted").wait_for(state="detached")
        window.faults.clear()  # the console tells of the playlist that was not there


def test_a_cut_line_is_taken_up_where_it_broke(front: Shopfront, open_window: OpenWindow) -> None:
    video_id = add_stream(front, None)
    window = open_window(PHONE)
    page = window.page
    page.goto(f"{front.url}/play/{video_id}")
    page.get_by_text("The live picture cannot be shown here").wait_for()
    front.stop()
    page.wait_for_timeout(700)
    with front.parts.database.write() as session:
        save_open(session, get_video(session, video_id), focus(COAT, 5, 6), media_s=8.0)
    front.start()
    page.locator(f'{NOW}[data-product="coat"]').wait_for(timeout=40_000)
    window.faults.clear()  # the console tells of the requests that failed


# ---- on the shop's own page -------------------------------------------------------------------------------------

FOREIGN = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>A shop</title>
<script type="module" src="{url}/embed/player.js"></script></head>
<body><main><h1>Our evening</h1>
<shopcue-player src="{url}/play/{video_id}" start="4" ratio="16/9"></shopcue-player>
</main></body></html>"""


def test_the_component_works_on_a_strict_foreign_page(
    front: Shopfront, wide: str, open_window: OpenWindow, tmp_path: Path
) -> None:
    (tmp_path / "index.html").write_text(FOREIGN.format(url=front.url, video_id=wide), encoding="utf-8")
    policy = (
        f"default-src 'none'; script-src {front.url}; img-src {front.url}; media-src {front.url}; "
        f"connect-src {front.url}; require-trusted-types-for 'script'"
    )
    with storefront.open_site(tmp_path, {"Content-Security-Policy": policy}) as site:
        window = open_window()
        page = window.page
        page.add_init_script(
            """window.told = [];
            for (const name of ["shopcue-state", "shopcue-focus", "shopcue-click"]) {
              addEventListener(name, (event) => {
                told.push([name, event.detail]);
                if (name === "shopcue-click") event.preventDefault();
              });
            }"""
        )
        page.goto(site)
        ready(page)
        page.locator(f'{NOW}[data-product="coat"]').wait_for()
        assert player(page, "getComputedStyle(root.querySelector('.player')).display") == "grid"
        image = page.locator(f"{NOW} img")
        assert image.evaluate("async (image) => { await image.decode(); return image.naturalWidth; }") > 0
        page.locator(f"{NOW} a.buy").click()
        told = page.evaluate("window.told")
        assert ["shopcue-state", {"state": "ready"}] in told
        assert [detail["product_id"] for name, detail in told if name == "shopcue-focus"] == ["coat"]
        [clicked] = [detail for name, detail in told if name == "shopcue-click"]
        assert clicked["product_id"] == "coat"
        assert clicked["link"] == COAT.link
        assert clicked["where"] == "card"
        assert page.url.rstrip("/") == site  # the shop prevented that the link is followed
        assert len(page.context.pages) == 1
        # An element that is taken out lets go of everything, and starts again where it is put back.
        page.evaluate("() => { window.taken = document.querySelector('shopcue-player'); taken.remove(); }")
        page.wait_for_timeout(100)
        page.evaluate("document.querySelector('main').append(window.taken)")
        page.locator(f'{NOW}[data-product="coat"]').wait_for()


# ---- its rules, against plain loops -----------------------------------------------------------------------------


def test_what_is_on_screen_agrees_with_a_plain_loop(front: Shopfront, wide: str, open_window: OpenWindow) -> None:
    page = open_window().page
    page.goto(f"{front.url}/play/{wide}")
    draw = random.Random(11)
    cases = []
    for _ in range(60):
        starts = sorted(draw.randrange(0, 40) for _ in range(draw.randrange(0, 7)))
        spans = [(f"f{n}", start, start + draw.randrange(1, 12)) for n, start in enumerate(starts)]
        cases.append((spans, draw.randrange(0, 50)))
    answers = page.evaluate(
        """async (cases) => {
          const { cardAt, neighbour } = await import("/static/player/moments.js");
          return cases.map(([spans, time]) => {
            const focuses = spans.map(([focus_id, start_s, end_s]) => ({ focus_id, start_s, end_s }));
            const card = cardAt(focuses, time);
            const next = neighbour(focuses, time, 1);
            return [card.focus?.focus_id ?? null, card.when, next?.focus_id ?? null];
          }); }""",
        json.loads(json.dumps(cases)),
    )
    for (spans, time_s), (name, when, after) in zip(cases, answers, strict=True):
        now = [each for each in spans if each[1] <= time_s < each[2]]
        past = [each for each in spans if each[2] <= time_s]
        later = [each for each in spans if each[1] > time_s]
        if now:
            assert (name, when) == (now[-1][0], "now")
        elif past:
            latest = max(each[2] for each in past)
            assert when == "past"
            assert name in [each[0] for each in past if each[2] == latest]
        else:
            assert (name, when) == ((later[0][0], "next") if later else (None, "none"))
        assert after == (later[0][0] if later else None)


def test_only_addresses_that_are_safe_leave_the_document(front: Shopfront, wide: str, open_window: OpenWindow) -> None:
    page = open_window().page
    page.goto(f"{front.url}/play/{wide}")
    links = [
        "https://a.example/x",
        "javascript:alert(1)",
        "JaVaScript:alert(1)",
        "data:text/html,x",
        "//a.example/",
        "x",
        "",
        None,
        7,
        "ftp://a.example/",
    ]
    read = page.evaluate(
        """async (links) => {
          const { placeOf, readDocument } = await import("/static/player/document.js");
          const place = placeOf("https://host.example/shop/play/abc?t=3#x", location.href);
          const one = (link, i) => [i, { product_id: String(i), title: "t", link, picture: link }];
          const products = Object.fromEntries(links.map(one));
          const media = { media: "javascript:alert(1)", playback_url: "blob:x" };
          const show = readDocument({ video_id: "abc", products, focuses: [], related: [], ...media }, place);
          const refuses = (src) => { try { placeOf(src, location.href); return false; } catch { return true; } };
          const shown = [...show.products.values()];
          return {
            place, same: placeOf(place.document, location.href).page,
            links: shown.map((product) => product.link), pictures: shown.map((product) => product.picture),
            media: show.media, playback: show.playback,
            refused: ["javascript:alert(1)", "https://host.example/other/abc", "data:,/play/abc"].map(refuses),
          }; }""",
        links,
    )
    assert read["links"] == ["https://a.example/x"] + [""] * 9
    assert read["pictures"] == [
        "https://a.example/x",
        "",
        "",
        "",
        "https://a.example/",
        "https://host.example/shop/play/x",
        "",
        "",
        "",
        "",
    ]
    assert (read["media"], read["playback"]) == ("", "")
    assert read["place"]["document"] == "https://host.example/shop/api/public/videos/abc"
    assert read["place"]["page"] == read["same"] == "https://host.example/shop/play/abc"
    assert read["refused"] == [True, True, True]
