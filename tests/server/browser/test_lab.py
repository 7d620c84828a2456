"""The lab, in a real Chromium before a real server: what it draws and says is what the trace says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra `server`")
pytest.importorskip("playwright", reason="needs playwright")

from server.browser import storefront
from server.browser.storefront import COAT, DESKTOP, HAT, LENGTH_S, MUG, PHONE, OpenWindow, Shopfront
from server.matched import SCRIPT
from shopcue.database.videos import change_video
from shopcue.database.words import put_comments, put_utterances
from shopcue.records import Catalog, Comment, Detections, Frame, Match, Utterance
from shopcue.trace import Candidate, Stretch, TraceFiles, View

if TYPE_CHECKING:
    from playwright.sync_api import Page

WIDTH, HEIGHT = 320, 180
CATALOG = Catalog((COAT, HAT, MUG))
SETTLED = """() => new Promise((done) => {
  const video = document.querySelector("video");
  let since = performance.now();
  let last = NaN;
  const look = () => {
    if (video.seeking || !video.paused || video.currentTime !== last) since = performance.now();
    last = video.currentTime;
    if (performance.now() - since > 400) done(last); else requestAnimationFrame(look);
  };
  look();
})"""
"""Where the video is once it has come to rest."""

COLOURS = ((69, 236, 198), (255, 180, 84), (195, 181, 255))
"""Of the tracklets 0, 1 and 2; see static/lab/colours.js."""


@pytest.fixture(scope="module")
def traced(front: Shopfront) -> str:
    video_id = storefront.add_show(front)
    write_trace(front, video_id)
    with front.parts.database.write() as session:
        said = [Utterance(4.0, 6.0, "Here is the coat"), Utterance(60.0, 62.0, "Much later")]
        put_utterances(session, video_id, said)
        put_comments(session, video_id, [Comment(5.0, f"Eve{SCRIPT}", f"how much {SCRIPT}")])
    return video_id


# ---- a trace that is known --------------------------------------------------------------------------------------


def boxes_at(time_s: float) -> list[list[float]]:
    """Where the things are: one that stands, one that moves to the right, one that nobody follows."""
    return [[20, 20, 90, 120], [100 + 4 * time_s, 40, 160 + 4 * time_s, 110], [270, 130, 310, 170]]


def write_trace(front: Shopfront, video_id: str) -> None:
    """Write the trace of a session that looked twice a second, as such a session does."""
    trace = TraceFiles(front.parts.settings.video_folder(video_id) / "trace")
    blank = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for number in range(round(2 * LENGTH_S)):
        time_s = number / 2
        found = Detections(
            time_s,
            np.array(boxes_at(time_s), np.float32),
            np.array([0.9, 0.6, 0.2], np.float32),
            np.array([0, 5, 5], np.int64),
            np.tile(np.array([0.5, 0.75, 1.0], np.float32), (3, 1)),
            np.zeros((3, 4), np.float32),
        )
        trace.followed(Frame(time_s, blank), found, np.array([0, 1, 2], np.int64), [0, 1])
        trace.matched(match_at(time_s), CATALOG)
    for start_s in (2.0, 5.0, 8.0):
        views = tuple(view(start_s + n / 2, 0.3 + 0.1 * (n == 1), n) for n in range(4))
        coat, hat = Candidate(COAT, 7.25, 31), Candidate(HAT, 1.5, 0)
        trace.picked(Stretch(0, views, views[1], True, (coat, hat)))
    trace.finish()


def view(time_s: float, worth: float, number: int) -> View:
    quality = np.array([0.9 if number == 1 else 0.2, 0.8, 0.7], np.float32)
    return View(time_s, np.array(boxes_at(time_s)[0], np.float32), worth, 0, 0.9, quality)


def match_at(time_s: float) -> Match:
    visual = np.array([3.0, -1.0, -2.0], np.float32)
    text = np.array([1.0 if 4 <= time_s < 7 else 0.0, 0.0, 0.0], np.float32)
    comments = np.array([-0.5, 0.5, 0.0], np.float32)
    box = np.array(boxes_at(time_s), np.float32)
    return Match(time_s, visual, text, comments, visual + text + comments, box)


# ---- looking at it ----------------------------------------------------------------------------------------------


def enter(window: storefront.Window, front: Shopfront, video_id: str, time_s: float = 0.0) -> Page:
    """Open the lab of a video at a time, signed in, and wait until the trace is there and the frame is drawn."""
    storefront.sign_in(window, front, front.admin)
    page = window.page
    page.goto(f"{front.url}/lab/{video_id}?t={time_s}")
    page.locator(".timeline .bar").first.wait_for()
    page.wait_for_function(
        "() => document.querySelector('video').readyState >= 2 && !document.querySelector('video').seeking"
    )
    page.wait_for_timeout(150)
    return page


def colours_near(page: Page, x: float, y: float) -> list[tuple[int, int, int, int]]:
    """The colours of the canvas within three pixels of a place of the video: red, green, blue, alpha."""
    values = page.evaluate(
        """([x, y]) => { const canvas = document.querySelector("canvas");
        const pen = new OffscreenCanvas(7, 7).getContext("2d");
        pen.drawImage(canvas, 3 - Math.round(x * canvas.width), 3 - Math.round(y * canvas.height));
        return [...pen.getImageData(0, 0, 7, 7).data]; }""",
        [x / WIDTH, y / HEIGHT],
    )
    return list(zip(*(values[channel::4] for channel in range(4)), strict=True))


def drawn(page: Page, x: float, y: float, wanted: tuple[int, int, int]) -> bool:
    """Whether a line of a colour runs through a place."""
    return any(alpha > 200 and np.abs(np.subtract(rgb, wanted)).max() < 40 for *rgb, alpha in colours_near(page, x, y))


def empty(page: Page, x: float, y: float) -> bool:
    """Whether nothing is drawn at a place."""
    return all(alpha == 0 for *_, alpha in colours_near(page, x, y))


def test_boxes_are_drawn_where_the_trace_has_them(front: Shopfront, traced: str, open_window: OpenWindow) -> None:
    page = enter(open_window(), front, traced)
    page.get_by_role("button", name="Trails").click()
    for time_s in (0.0, 5.0, 5.25, 9.5):  # in the middle between two moments a thing is on its way
        page.evaluate(
            """(time) => new Promise((done) => {
              const video = document.querySelector("video"); video.onseeked = done; video.currentTime = time; })""",
            time_s,
        )
        page.wait_for_timeout(120)
        for number, (x0, y0, x1, y1) in enumerate(boxes_at(time_s)[:2]):
            for x, y in ((x0, (y0 + y1) / 2), (x1, (y0 + y1) / 2), ((x0 + x1) / 2, y1)):
                assert drawn(page, x, y, COLOURS[number]), (time_s, number, x, y)
            assert empty(page, (x0 + x1) / 2, (y0 + y1) / 2)
        assert empty(page, 270, 150), "what nobody follows is not drawn until it is asked for"
    page.get_by_role("button", name="All detections").click()
    page.wait_for_timeout(120)
    assert not all(empty(page, 270, 140 + n) for n in range(10))  # dashed
    page.locator(".filters .toggle", has_text="goods").click()
    page.wait_for_timeout(120)
    assert empty(page, boxes_at(9.5)[1][0], 75)
    assert drawn(page, 20, 70, COLOURS[0])


def test_keys_step_from_moment_to_moment_and_frame_to_frame(
    front: Shopfront, traced: str, open_window: OpenWindow
) -> None:
    page = enter(open_window(), front, traced, 5)

    def time_after(key: str) -> float:
        page.keyboard.press(key)
        time_s: float = page.evaluate(SETTLED)
        return time_s

    for key, time_s in (
        ("ArrowRight", 5.5),
        ("ArrowRight", 6.0),
        ("ArrowLeft", 5.5),
        ("Shift+ArrowRight", 10.5),
        ("Shift+ArrowLeft", 5.5),
    ):
        assert time_after(key) == pytest.approx(time_s, abs=0.02), key
    assert time_after("[") == pytest.approx(2.5, abs=0.02)
    assert time_after("]") == pytest.approx(5.5, abs=0.02)
    frame = int(time_after("]") * storefront.RATE_HZ)
    for key, step in ((".", 1), (".", 1), (".", 1), (",", -1), (",", -1)):
        frame += step
        found = int(time_after(key) * storefront.RATE_HZ)
        for _ in range(5):  # a busy machine may come to rest before it has looked whether a frame lies between
            found = found if found == frame else int(page.evaluate(SETTLED) * storefront.RATE_HZ)
        assert found == frame
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    page.keyboard.press("Escape")


def test_candidates_say_what_the_trace_says(front: Shopfront, traced: str, open_window: OpenWindow) -> None:
    page = enter(open_window(), front, traced, 5)
    rows = page.locator(".candidates li")
    assert [row.locator(".line").inner_text() for row in rows.all()[:3]] == [COAT.title, HAT.title, MUG.title]
    match = match_at(5.0)
    odds = np.exp(match.score.astype(float))
    chances = odds / (1 + odds.sum())
    assert [row.locator("b.num").inner_text() for row in rows.all()[:3]] == [
        f"{round(100 * each)}%" for each in chances
    ]
    assert rows.nth(3).locator("b.num").inner_text() == f"{round(100 / (1 + odds.sum()))}%"
    assert "showing" in (rows.first.get_attribute("class") or "")
    least, most = -2.0, 4.0  # of all bars: the mug's visual part, and the coat's visual and text parts
    bar = rows.first.locator(".stack-bar").bounding_box()
    assert bar is not None
    for name, start, end in (("visual", 0, 3), ("text", 3, 4), ("comments", -0.5, 0)):
        part = rows.first.locator(f".part-{name}").bounding_box()
        assert part is not None
        assert part["x"] - bar["x"] == pytest.approx(bar["width"] * (start - least) / (most - least), abs=1.5)
        assert part["width"] == pytest.approx(bar["width"] * (end - start) / (most - least), abs=1.5)


def test_a_pick_shows_what_was_found_and_why_others_were_dropped(
    front: Shopfront, traced: str, open_window: OpenWindow
) -> None:
    page = enter(open_window(), front, traced, 5.5)
    pick = page.locator(".pick")
    assert pick.count() == 1
    text = pick.inner_text()
    for expected in (
        "#0 upper",
        "picked at 0:05.5 of 0:05.0–0:06.5",
        COAT.title,
        "7.3 σ",
        "31 pts",
        HAT.title,
        "worse viewpoint",
    ):
        assert expected in text, expected
    assert pick.locator(".dropped li").count() == 3
    for image in pick.locator(".see img").all():
        assert image.evaluate("async (image) => { await image.decode(); return image.naturalWidth; }") > 0
    crop = pick.locator(".crop img")
    width, height = crop.evaluate("(image) => [image.naturalWidth, image.naturalHeight]")
    assert width / height == pytest.approx(70 / 100, abs=0.05)
    # Pointing at the pick points at its tracklet, and the other way round.
    pick.hover()
    assert page.locator(".timeline .bar.near").inner_text() == "#0"
    assert page.locator(".things tr.near").count() == 1
    page.locator(".timeline .bar").filter(has_text="#0").hover()
    assert "near" in (pick.get_attribute("class") or "")
    # The chosen tracklet has all its picks, and a click on one goes there.
    page.locator(".things button", has_text="#0").click()
    assert page.locator(".pick").count() == 3
    page.locator(".pick .crop").nth(2).click()
    page.wait_for_timeout(200)
    assert page.evaluate("document.querySelector('video').currentTime") == pytest.approx(8.5, abs=0.02)
    page.keyboard.press("Escape")
    assert page.locator(".pick").count() == 1


def test_what_was_said_and_written_stands_beside_the_moment(
    front: Shopfront, traced: str, open_window: OpenWindow
) -> None:
    window = open_window()
    page = enter(window, front, traced, 5)
    words = page.locator(".words li")
    words.first.wait_for()
    assert [each.inner_text().split("\n")[-1] for each in words.all()] == [
        "Here is the coat",
        f"Eve{SCRIPT} how much {SCRIPT}",
    ]
    assert page.locator(".words script, .words img").count() == 0
    assert page.locator(".words .now").count() == 2


def test_the_trace_is_loaded_by_the_minute(front: Shopfront, open_window: OpenWindow) -> None:
    video_id = storefront.add_show(front)
    write_trace(front, video_id)
    with front.parts.database.write() as session:
        change_video(session, video_id, duration_s=7200.0)
    window = open_window()
    asked: list[str] = []
    window.page.on(
        "request", lambda request: asked.append(request.url.split("?")[1]) if "/trace?" in request.url else None
    )
    page = enter(window, front, video_id)
    assert asked == ["start_s=0&end_s=60"]
    # Beyond the end of its video there is nothing to play, and nothing was looked at there.
    page.locator(".whole").evaluate(
        "(bar) => { bar.value = 3600; bar.dispatchEvent(new Event('input', { bubbles: true })); }"
    )
    page.wait_for_timeout(300)
    assert len(asked) <= 3


def test_the_lab_is_for_those_who_may_read_the_shop(front: Shopfront, traced: str, open_window: OpenWindow) -> None:
    window = open_window()
    window.page.goto(f"{front.url}/lab/{traced}")
    link = window.page.get_by_role("link", name="Sign in")
    link.wait_for()
    assert traced in (link.get_attribute("href") or "")
    storefront.sign_in(window, front, front.stranger)
    window.page.reload()
    window.page.get_by_text("There is no such video").wait_for()
    assert "Autumn show" not in window.page.content()
    window.faults.clear()  # the console says that the answers were 401 and 404


def test_a_video_without_a_trace_says_so(front: Shopfront, open_window: OpenWindow) -> None:
    window = open_window()
    storefront.sign_in(window, front, front.admin)
    window.page.goto(f"{front.url}/lab/{storefront.add_show(front)}")
    window.page.get_by_text("There is no trace of this stretch").wait_for()


@pytest.mark.parametrize(("dark", "size"), [(False, DESKTOP), (True, DESKTOP), (True, PHONE), (False, PHONE)])
def test_the_lab_can_be_used_by_everyone(
    front: Shopfront, traced: str, open_window: OpenWindow, dark: bool, size: Any
) -> None:
    page = enter(open_window(size, dark=dark, reduced_motion="reduce"), front, traced, 5.5)
    assert storefront.violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    if size == DESKTOP:
        page.keyboard.press("?")
        page.get_by_role("dialog", name="Keys").wait_for()
        assert storefront.violations(page) == []
