"""The recording of a stream in the studio, the lab and the player: each moment shows the picture of that moment."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra `server`")
pytest.importorskip("playwright", reason="needs playwright")

from server.browser import recorded, storefront
from server.browser.recorded import STRETCHES, lay_recording, number_shown
from server.browser.storefront import COAT, HAT, MUG, PHONE, SHOP, OpenWindow, Shopfront
from server.browser.studio import OpenStudio, choose, drag_end, eventually, focuses_of
from server.matched import focus
from shopcue.database.focuses import close_focus, save_open
from shopcue.database.videos import change_video, get_video
from shopcue.sources.recordings import PLAYLIST, read_recording
from sources.servers import FPS

if TYPE_CHECKING:
    from playwright.sync_api import Page

HOLE = (STRETCHES[0][1], STRETCHES[1][0])
END_S = STRETCHES[-1][1]
SHOWN = ((COAT, 2.0, 6.0), (HAT, 7.0, 8.5), (MUG, 17.0, 21.0))
PLAYER, STUDIO, LAB = "shopcue-player video", ".screen video", ".picture video"
A_PICTURE_S = 1 / FPS
AFTER_A_SEAM_S = 0.12
"""hls.js may move the pictures right after a seam by one or two, to close it."""


def add_shown(front: Shopfront, video_id: str) -> None:
    with front.parts.database.write() as session:
        for product, start_s, end_s in SHOWN:
            opened = save_open(session, get_video(session, video_id), focus(product, start_s, end_s), media_s=end_s)
            close_focus(session, opened.focus_id, focus(product, start_s, end_s), media_s=end_s)


def change(front: Shopfront, video_id: str, health: dict[str, Any] | None = None, **fields: Any) -> None:
    """Change a stream as its worker does; health: what changes of how it fares."""
    with front.parts.database.write() as session:
        known = get_video(session, video_id).health or {}
        change_video(session, video_id, health=known | (health or {}), **fields)


@pytest.fixture(scope="module")
def live(front: Shopfront, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A published stream that is on, with a hole in its recording."""
    video_id = recorded.add_recorded(front, tmp_path_factory.mktemp("live"), published=True)
    add_shown(front, video_id)
    return video_id


@pytest.fixture(scope="module")
def ended(front: Shopfront, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same, stopped."""
    video_id = recorded.add_recorded(front, tmp_path_factory.mktemp("ended"), live=False, published=True)
    add_shown(front, video_id)
    return video_id


def playing(page: Page, video: str) -> None:
    """Wait until a page's video has a picture."""
    page.locator(video).wait_for()
    eventually(lambda: page.locator(video).evaluate("(video) => video.readyState >= 2 && !video.seeking"), 8)


def settled_number(page: Page, video: str) -> int:
    """Return the number of the picture that is shown once a paused video has come to rest."""
    playing(page, video)
    numbers = [-1, -2]
    while numbers[-1] != numbers[-2]:
        page.wait_for_timeout(120)
        numbers.append(number_shown(page, video))
    return numbers[-1]


def assert_shows(page: Page, video: str, time_s: float) -> None:
    """Assert that a paused video shows the picture of a moment of the stream."""
    shown_s = settled_number(page, video) / FPS
    slack_s = AFTER_A_SEAM_S if 0 <= time_s - HOLE[1] < 1 else 0.0
    assert time_s - A_PICTURE_S - slack_s - 0.012 <= shown_s <= time_s + slack_s + 0.012, (time_s, shown_s)


# ---- the studio -------------------------------------------------------------------------------------------------


def scrub_to(page: Page, time_s: float) -> None:
    """Click the ruler at a moment, with all of the stream in view."""
    ruler = page.locator(".tl-ruler .tl-track").bounding_box()
    assert ruler is not None
    whole_s = page.evaluate("Number(document.querySelector('.stage-time .muted').textContent.split(':').at(-1))")
    page.mouse.click(ruler["x"] + ruler["width"] * time_s / max(whole_s, END_S), ruler["y"] + 6)


def told_time(page: Page) -> float:
    """Return the moment that the studio says it shows."""
    minutes, seconds = page.locator(".stage-time > span").first.inner_text().split(":")
    return 60 * int(minutes) + float(seconds)


def test_the_studio_shows_the_picture_of_each_moment(front: Shopfront, ended: str, open_studio: OpenStudio) -> None:
    page = open_studio(f"/videos/{ended}?t=1").page
    playing(page, STUDIO)
    draw = random.Random(5)
    for _ in range(8):
        scrub_to(page, draw.choice((draw.uniform(0.1, 8.8), draw.uniform(16.1, 24.5))))
        settled_number(page, STUDIO)
        assert_shows(page, STUDIO, told_time(page))
    # A focus leads to its first picture, and a step goes from picture to picture.
    for product, start_s, _ in SHOWN:
        name = product.title[:6]
        page.locator(".queue-row", has_text=name).click()
        page.locator(".tl-bar.is-chosen").wait_for()
        assert_shows(page, STUDIO, start_s + 0.01)
    number = settled_number(page, STUDIO)
    for key, step in ((".", 1), (".", 1), (",", -1)):
        page.keyboard.press(key)
        number += step
        page.wait_for_timeout(150)
        assert settled_number(page, STUDIO) == number, key
    # Who plays on and stops stays there, whatever is loaded meanwhile.
    page.keyboard.press(" ")
    eventually(lambda: number_shown(page, STUDIO) > number + FPS // 2)
    page.keyboard.press(" ")
    stopped = settled_number(page, STUDIO)
    page.wait_for_timeout(600)
    assert settled_number(page, STUDIO) == stopped > number + FPS // 2


def test_what_was_not_recorded_is_hatched_and_skipped(front: Shopfront, ended: str, open_studio: OpenStudio) -> None:
    page = open_studio(f"/videos/{ended}").page
    playing(page, STUDIO)
    hole = page.locator(".tl-holes .tl-hole")
    hole.wait_for()
    track = page.locator(".tl-ruler .tl-track").bounding_box()
    drawn = hole.bounding_box()
    assert track is not None
    assert drawn is not None
    scale = track["width"] / END_S
    assert drawn["x"] - track["x"] == pytest.approx(HOLE[0] * scale, abs=2)
    assert drawn["width"] == pytest.approx((HOLE[1] - HOLE[0]) * scale, abs=2)
    assert page.get_by_text("Not recorded: 0:09 to 0:16").count() == 1
    scrub_to(page, 12)
    page.get_by_text("0:09 to 0:16 was not recorded").wait_for()
    assert_shows(page, STUDIO, HOLE[1] + 0.01)
    assert told_time(page) == pytest.approx(HOLE[1], abs=AFTER_A_SEAM_S)
    scrub_to(page, 5)
    page.get_by_text("was not recorded").wait_for(state="detached")


def test_an_end_is_dragged_in_a_past_stretch(front: Shopfront, open_studio: OpenStudio, tmp_path: Path) -> None:
    video_id = recorded.add_recorded(front, tmp_path, live=False)
    add_shown(front, video_id)
    page = open_studio(f"/videos/{video_id}").page
    playing(page, STUDIO)
    first = focuses_of(front, page, video_id)[0]
    choose(page, first["focus_id"])
    drag_end(page, "end", 7.3, END_S, drop=False)
    page.wait_for_timeout(400)
    said = page.locator(".tl-preview strong").inner_text()
    shown_s = number_shown(page, ".tl-preview canvas") / FPS
    assert shown_s == pytest.approx(float(said.split(":")[1]) - A_PICTURE_S, abs=A_PICTURE_S)  # the last of the focus
    page.mouse.up()
    page.locator(".toast", has_text="Moved").wait_for()
    end_s = focuses_of(front, page, video_id)[0]["end_s"]
    assert end_s == pytest.approx(7.3, abs=0.1)
    assert end_s * FPS == pytest.approx(round(end_s * FPS), abs=0.05)  # at the border of a picture


def test_the_playhead_stays_in_the_past_until_one_returns_to_live(
    front: Shopfront, live: str, open_studio: OpenStudio, tmp_path: Path
) -> None:
    page = open_studio(f"/videos/{live}").page
    button = page.locator(".go-live")
    page.locator(".go-live.is-there").wait_for()
    page.get_by_role("button", name="Pause").click()
    scrub_to(page, 4)
    eventually(lambda: button.get_attribute("aria-pressed") == "false")
    page.locator("h2", has_text="Timeline").click()
    before_s = settled_number(page, STUDIO) / FPS
    window = page.locator(".tl-window")
    whole_s = int(window.get_attribute("aria-valuemax") or 0)
    folder = front.parts.settings.recording_folder(live)
    grow(folder, tmp_path, 25, 29)
    change(front, live, duration_s=29.0, health={"frames": 70})
    eventually(lambda: int(window.get_attribute("aria-valuemax") or 0) > max(whole_s, 28), 8)
    assert settled_number(page, STUDIO) / FPS == before_s
    page.wait_for_timeout(2500)  # until the playlist is asked for again
    button.click()
    page.locator(".go-live.is-there").wait_for()
    eventually(lambda: number_shown(page, STUDIO) / FPS > 24.5, 8)
    assert page.locator(".tl-holes .tl-hole").count() == 1  # what comes next is not missing


def grow(folder: Path, scratch: Path, start_s: int, end_s: int) -> None:
    """Let the recorder go on with a recording, as after a reconnection; it stays open."""
    lay_recording(folder, scratch, ((start_s, end_s),), ended=False)


def test_a_stream_that_goes_on_is_loaded_again_where_one_is(
    front: Shopfront, open_studio: OpenStudio, tmp_path: Path
) -> None:
    video_id = recorded.add_recorded(front, tmp_path, live=False)
    page = open_studio(f"/videos/{video_id}?t=3").page
    assert_shows(page, STUDIO, 3)
    assert page.locator(".go-live").count() == 0
    change(front, video_id, state="live", wanted=True, duration_s=27.0, health={"recording": "on"})
    page.locator(".go-live").wait_for()
    thread = threading.Thread(
        target=grow, args=(front.parts.settings.recording_folder(video_id), tmp_path, 30, 34)
    )  # while the page plays on
    thread.start()
    thread.join()
    page.locator(".tl-holes .tl-hole").nth(1).wait_for()
    assert_shows(page, STUDIO, 3)
    page.keyboard.press("l")
    eventually(lambda: number_shown(page, STUDIO) / FPS >= 30, 8)


def test_a_sick_stream_says_so_and_a_sound_one_is_quiet(
    front: Shopfront, open_studio: OpenStudio, tmp_path: Path
) -> None:
    video_id = recorded.add_recorded(front, tmp_path)
    page = open_studio(f"/videos/{video_id}").page
    page.get_by_role("button", name="Recording").click()
    facts = page.get_by_role("group", name="How the stream fares")
    facts.get_by_text("18 s,").wait_for()  # is kept
    assert facts.locator("div", has_text="Left out").inner_text().split("\n")[-1] == "none"
    assert storefront.violations(page) == []
    page.keyboard.press("Escape")
    assert page.locator(".troubles").inner_text() == ""
    problem = "a segment cannot be written (No space left on device)"
    bad: dict[str, Any] = {"dropped": 20, "behind_s": 8.2, "deaf_s": 31.0, "recording": problem}
    change(front, video_id, state="reconnecting", error="the server does not answer <b>", health=bad)
    told = page.locator(".troubles li")
    told.nth(4).wait_for()
    assert told.all_inner_texts() == [
        "The stream was lost and is tried again: the server does not answer <b>.",
        f"Nothing is recorded: {problem}.",
        "What is found comes 8.2 s late: this machine does not keep up.",
        "25% of the pictures were left out: this machine does not keep up.",
        "31 s of speech could not be listened to.",
    ]
    assert storefront.violations(page) == []
    page.goto(f"{front.url}/studio/{SHOP}?area=streams")
    page.locator(".health-line.warn", has_text="The stream was lost").wait_for()
    change(front, video_id, state="live", error="", health={**bad, "dropped": 0, "behind_s": 0.1} | {"deaf_s": 0.0})
    page.locator(".health-line.warn", has_text="Nothing is recorded").wait_for()
    change(front, video_id, health={"recording": "on"})
    page.locator(".health-line.warn").wait_for(state="detached")


def test_a_stream_is_recorded_unless_one_says_no(front: Shopfront, open_studio: OpenStudio) -> None:
    page = open_studio("?area=streams").page
    for name, wished in (("With", True), ("Without", False)):
        page.get_by_role("button", name="New stream").first.click()
        page.get_by_label("Address of the stream").fill("rtmp://live.example/show")
        page.get_by_label("Title").fill(f"{name} a recording")
        page.get_by_label("Start at once").uncheck()
        assert page.get_by_label("Record").is_checked()
        page.get_by_label("Record").set_checked(wished)
        page.get_by_role("button", name="Add stream").click()
        page.wait_for_url("**/videos/*")
        video_id = page.url.split("?")[0].rsplit("/", 1)[1]
        assert page.request.get(f"{front.url}/api/videos/{video_id}").json()["recorded"] is wished
        page.goto(f"{front.url}/studio/{SHOP}?area=streams")


# ---- the player -------------------------------------------------------------------------------------------------


def test_shoppers_see_a_live_stream_from_its_recording(front: Shopfront, live: str, open_window: OpenWindow) -> None:
    page = open_window(PHONE).page
    page.goto(f"{front.url}/play/{live}")
    playing(page, PLAYER)
    eventually(lambda: page.locator(PLAYER).evaluate("(video) => video.currentTime > 0 && !video.paused"))
    assert page.locator("shopcue-player .badge").inner_text() == "Live"
    eventually(lambda: number_shown(page, PLAYER) / FPS > 20)
    page.locator(PLAYER).evaluate("(video) => { video.play = () => Promise.resolve(); video.pause(); }")  # it stays
    for product, start_s, _ in SHOWN:
        page.locator(f'li.tile[data-product="{product.product_id}"] .moment').first.click()
        page.locator(f'article.card[data-when=now][data-product="{product.product_id}"]').wait_for()
        assert_shows(page, PLAYER, start_s + 0.02)
    assert storefront.violations(page) == []
    page.get_by_role("button", name="Go live").click()
    eventually(lambda: number_shown(page, PLAYER) / FPS > 20)


def test_the_card_of_a_recorded_stream_comes_with_its_picture(
    front: Shopfront, open_window: OpenWindow, tmp_path: Path
) -> None:
    video_id = recorded.add_recorded(front, tmp_path, published=True)
    add_shown(front, video_id)
    page = open_window().page
    page.goto(f"{front.url}/play/{video_id}")
    playing(page, PLAYER)
    eventually(lambda: number_shown(page, PLAYER) / FPS > 20)
    page.locator(PLAYER).evaluate("(video) => { video.play = () => Promise.resolve(); video.pause(); }")  # it stays
    shown_s = settled_number(page, PLAYER) / FPS
    with front.parts.database.write() as session:  # found at once, which is some seconds before a viewer sees it
        save_open(session, get_video(session, video_id), focus(HAT, 23.5, 25.0), media_s=25.0)
    page.locator('li.tile[data-product="hat/1 é"] .moment').nth(1).wait_for()
    assert shown_s < 23.5
    expected = ("now" if shown_s < SHOWN[2][2] else "past", "mug")
    card = page.locator("article.card")
    assert (card.get_attribute("data-when"), card.get_attribute("data-product")) == expected
    page.locator('li.tile[data-product="hat/1 é"] .moment').nth(1).click()
    page.locator('article.card[data-when=now][data-product="hat/1 é"]').wait_for()


def test_shoppers_see_an_ended_stream_again(front: Shopfront, ended: str, open_window: OpenWindow) -> None:
    page = open_window().page
    page.goto(f"{front.url}/play/{ended}?t=4.5")
    assert_shows(page, PLAYER, 4.5)
    page.locator('article.card[data-when=now][data-product="coat"]').wait_for()
    assert page.locator("shopcue-player .badge").count() == 0
    assert page.locator(".scrub .hole").count() == 1
    scrub = page.locator(".scrub").bounding_box()
    assert scrub is not None
    page.mouse.click(scrub["x"] + scrub["width"] * 12 / END_S, scrub["y"] + 10)
    page.locator(".missing", has_text="This part was not recorded").wait_for()
    assert_shows(page, PLAYER, HOLE[1] + 0.01)
    page.locator('article.card[data-when=past][data-product="hat/1 é"]').wait_for()


# ---- the lab ----------------------------------------------------------------------------------------------------


def test_the_lab_shows_the_picture_of_each_moment(front: Shopfront, ended: str, open_window: OpenWindow) -> None:
    window = open_window()
    storefront.sign_in(window, front, front.admin)
    page = window.page
    page.goto(f"{front.url}/lab/{ended}?t=4.3")
    assert_shows(page, LAB, 4.3)
    number = settled_number(page, LAB)
    for key, step in ((".", 1), (".", 1), (",", -1)):
        page.keyboard.press(key)
        page.wait_for_timeout(600)
        number += step
        assert settled_number(page, LAB) == number, key
    whole = page.locator(".transport .whole")
    for time_s in (19.7, 12.0):
        whole.evaluate(
            "(bar, t) => { bar.value = t; bar.dispatchEvent(new Event('input', { bubbles: true })); }", time_s
        )
        page.wait_for_timeout(150)
        assert_shows(page, LAB, time_s if time_s > HOLE[1] else HOLE[1] + 0.01)
    page.get_by_text("0:09 to 0:16 was not recorded").wait_for()
    assert storefront.violations(page) == []


# ---- its rules, against those of the recorder -------------------------------------------------------------------


def test_the_playlist_is_read_as_the_recorder_reads_it(front: Shopfront, ended: str, open_window: OpenWindow) -> None:
    page = open_window().page
    page.goto(f"{front.url}/play/{ended}")
    folder = front.parts.settings.recording_folder(ended)
    recording = read_recording(folder)
    draw = random.Random(7)
    times = [draw.uniform(0, 27) for _ in range(60)] + [segment.start_s for segment in recording.segments]
    told = page.evaluate(
        """async ([text, times]) => {
          const { holesOf, landing, readPlaylist, spansOf } = await import("/static/js/recorded.js");
          const { ended, segments } = readPlaylist(text);
          const spans = spansOf(segments);
          return { ended, segments, spans, holes: holesOf(spans, 0, 30), found: times.map((t) => landing(segments, t)),
            none: [readPlaylist("#EXTM3U"), landing([], 3)] }; }""",
        [(folder / PLAYLIST).read_text(), times],
    )
    assert told["ended"] is True
    assert told["none"] == [None, None]
    assert [(each["number"], each["follows"]) for each in told["segments"]] == [
        (segment.number, segment.follows) for segment in recording.segments
    ]
    assert [each["start_s"] for each in told["segments"]] == pytest.approx(
        [segment.start_s for segment in recording.segments], abs=1e-5
    )
    for mine, theirs in zip(told["spans"], recording.spans(), strict=True):
        assert mine == pytest.approx(list(theirs), abs=1e-5)
    assert [value for hole in told["holes"] for value in hole] == pytest.approx([9, 16, 25, 30], abs=0.01)
    for time_s, found in zip(times, told["found"], strict=True):
        expected = recording.find(time_s + 1e-6)  # a border is that of the segment after it
        later = [segment for segment in recording.segments if segment.start_s > time_s]
        if expected is not None:
            assert recording.segments[found["index"]] == expected[0]
            assert (found["time_s"], found["hole"]) == (pytest.approx(time_s, abs=1e-5), None)
        elif later:
            assert recording.segments[found["index"]] == later[0]
            assert found["time_s"] == pytest.approx(later[0].start_s)
            assert found["hole"] == pytest.approx(HOLE, abs=0.01)
        else:
            assert found["index"] == len(recording.segments) - 1
