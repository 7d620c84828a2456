"""The seller's page, in a real Chromium before a real server: from an upload to a correction that shoppers see."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra `server`")
pytest.importorskip("playwright", reason="needs playwright")

from server.browser import storefront
from server.browser.storefront import COAT, HAT, LENGTH_S, PHONE, SCHEDULE, SHOP, OpenWindow, Shopfront, Window
from server.browser.studio import OpenStudio, bars, choose, drag_end, eventually, focuses_of
from server.matched import SCRIPT, focus
from shopcue.database.focuses import close_focus, list_focuses, save_open
from shopcue.database.jobs import add_job
from shopcue.database.reviews import review_focus
from shopcue.database.tokens import create_token
from shopcue.database.videos import add_video, change_video, get_video
from shopcue.records import Alternative

if TYPE_CHECKING:
    from playwright.sync_api import Page

AREAS = ("videos", "catalogue", "streams", "settings")


@pytest.fixture
def show(front: Shopfront) -> str:
    """A matched recording of its own."""
    return storefront.add_show(front)


# ---- the whole way, with the workers of a real server -----------------------------------------------------------


@dataclass(frozen=True)
class Material:
    """What is uploaded: a video with its words, and a feed with its pictures as one file."""

    video: Path
    speech: Path
    comments: Path
    feed: Path


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """The live that is shared, where it is there; else a show that is drawn here."""
    folder = tmp_path_factory.mktemp("material")
    place = os.environ.get("SHOPCUE_SHARED")
    live = (Path(place) if place else storefront.ROOT.parent / "shared") / "bench" / "live-a"
    if live.is_dir():
        feed, parts = live / "catalog.csv", (live / "live.mp4", live / "speech.vtt", live / "comments.jsonl")
    else:
        from shopcue.commands import draw_demo

        drawn = draw_demo(folder / "drawn", duration_s=40, seed=4, size=(480, 270), fps=10)
        feed, parts = drawn.feed, (drawn.video, drawn.speech, drawn.comments)
    packed = folder / "feed.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(feed.parent.rglob("*")):
            if path == feed or path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"):
                archive.write(path, path.relative_to(feed.parent))
    return Material(*parts, packed)


@pytest.fixture(scope="module")
def manned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A server with a worker, just installed; its address and the token that it printed."""
    folder = tmp_path_factory.mktemp("manned")
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "shopcue", "serve", "--data", str(folder), "--port", "0", "--workers", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        said = {}
        for line in process.stdout:
            said["token" if "token" in line else "url"] = line.split()[-1]
            if "url" in said:
                break
        yield said["url"], said["token"]
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.mark.usefixtures("chromium")
def test_from_an_upload_to_a_correction_that_shoppers_see(
    manned: tuple[str, str], material: Material, open_window: OpenWindow
) -> None:
    url, token = manned
    window = open_window()
    page = window.page
    page.goto(url)
    refuse_a_wrong_token(window)
    sign_in_and_make_a_shop(page, token)
    import_the_feed(page, material)
    video_id = upload_the_video(page, url, material)

    # the focuses are on the timeline, each once
    api = f"{url}/api/videos/{video_id}"
    found = page.request.get(f"{api}/focuses").json()["focuses"]
    assert len(found) >= 3
    bars(page).first.wait_for()
    assert {bar.get_attribute("data-focus") for bar in bars(page).all()} == {each["focus_id"] for each in found}

    # shoppers see it once it is published
    page.get_by_role("switch", name="Published").check(force=True)
    eventually(lambda: page.request.get(api).json()["published"])
    shopper = open_window().page
    shopper.goto(f"{url}/play/{video_id}")
    tile = shopper.locator("shopcue-player li.tile")
    tile.first.wait_for()

    # one is corrected by dragging its start
    duration_s = page.request.get(api).json()["duration_s"]
    first = found[0]
    choose(page, first["focus_id"])
    to_s = (first["start_s"] + first["end_s"]) / 2
    drag_end(page, "start", to_s, duration_s)
    page.locator(".toast", has_text="Moved").wait_for()
    moved = next(
        each for each in page.request.get(f"{api}/focuses").json()["focuses"] if each["focus_id"] == first["focus_id"]
    )
    assert moved["status"] == "corrected"
    assert moved["start_s"] == pytest.approx(to_s, abs=0.5)
    assert moved["end_s"] == first["end_s"]
    assert moved["found"]["start_s"] == first["start_s"]

    # ... and the next one by the keyboard: another product, searched by its name
    second = found[1]
    choose(page, second["focus_id"])
    shown = {each["product_id"] for each in found}
    shop = page.request.get(f"{url}/api/videos/{video_id}").json()["shop"]
    products = page.request.get(f"{url}/api/shops/{shop}/products?limit=50").json()["products"]
    other = next(each for each in products if each["product_id"] not in shown)
    page.keyboard.press("r")
    page.keyboard.type(other["title"])
    page.locator(f".option.is-active:has-text({json.dumps(other['title'])})").wait_for()
    page.keyboard.press("Enter")
    page.locator(".toast", has_text="Replaced by").wait_for()

    # the open page of the shopper says so at once, without a reload
    shopper.locator(f"shopcue-player li.tile[data-product={json.dumps(other['product_id'])}]").wait_for(timeout=3000)
    minutes = f"{int(moved['start_s']) // 60}:{int(moved['start_s']) % 60:02}"
    eventually(
        lambda: (
            minutes
            in shopper.locator(f"shopcue-player li.tile[data-product={json.dumps(first['product_id'])}]").inner_text()
        ),
        3,
    )

    check_exports(page, api, moved, replace_with=other, replaced=second)

    # both are taken back, and so is what shoppers see
    page.keyboard.press("u")
    page.locator(".toast", has_text="Undone").wait_for()
    shopper.locator(f"shopcue-player li.tile[data-product={json.dumps(other['product_id'])}]").wait_for(
        state="detached", timeout=3000
    )
    page.keyboard.press("u")
    eventually(
        lambda: (
            [
                (each["product_id"], each["start_s"], each["end_s"], each["status"])
                for each in page.request.get(f"{api}/focuses").json()["focuses"]
            ]
            == [(each["product_id"], each["start_s"], each["end_s"], "found") for each in found]
        )
    )


def refuse_a_wrong_token(window: Window) -> None:
    window.page.get_by_label("Token").fill("sc_wrong_token")
    window.page.get_by_role("button", name="Sign in").click()
    window.page.get_by_text("This token is not known").wait_for()
    assert all("401" in each for each in window.faults)
    window.faults.clear()  # the console says that it was refused


def sign_in_and_make_a_shop(page: Page, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="New shop").click()
    page.get_by_label("Title").fill("Corner shop & sons")
    page.get_by_role("button", name="Make shop").click()
    page.wait_for_url("**/studio/corner-shop-sons?area=catalogue")


def import_the_feed(page: Page, material: Material) -> None:
    page.get_by_role("button", name="Import a feed").click()
    page.get_by_label("Choose a feed").set_input_files(material.feed)
    page.get_by_role("dialog").get_by_role("button", name="Import", exact=True).click()
    page.locator(".products tbody tr").first.wait_for(timeout=60_000)
    page.locator(".imports .badge", has_text="taken in").wait_for(timeout=60_000)
    page.get_by_role("button", name="Report").click()
    page.locator(".report tbody tr").first.wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")


def upload_the_video(page: Page, url: str, material: Material) -> str:
    """Upload by the dialog and wait until it is matched; leaves the view of the video open."""
    page.get_by_role("link", name="Videos").click()
    page.get_by_role("button", name="New video").first.click()
    page.get_by_label("Choose videos").set_input_files(material.video)
    page.get_by_label("Title", exact=True).fill("Friday live")
    page.get_by_text("What goes with it").click()
    page.get_by_label("Subtitles instead").set_input_files(material.speech)
    page.get_by_label("Viewers' comments").set_input_files(material.comments)
    page.get_by_role("button", name="Upload 1 video").click()
    card = page.locator(".video-card", has_text="Friday live")
    card.get_by_role("link", name="Friday live").click(timeout=30_000)
    page.locator(".view-head .badge", has_text="Ready").wait_for(timeout=240_000)
    return page.url.split("?")[0].rsplit("/", 1)[1]


def check_exports(
    page: Page, api: str, moved: dict[str, Any], replace_with: dict[str, Any], replaced: dict[str, Any]
) -> None:
    """Every export tells the corrected state."""
    texts = {}
    for name in ("focuses.json", "focuses.vtt", "chapters.txt", "focuses.csv", "report.html"):
        answer = page.request.get(f"{api}/exports/{name}")
        assert answer.ok, name
        texts[name] = answer.text()
    document = json.loads(texts["focuses.json"])["focuses"]
    told = {(each["product_id"], each["start_s"], each["end_s"]) for each in document}
    assert (moved["product_id"], moved["start_s"], moved["end_s"]) in told
    assert (replace_with["product_id"], replaced["start_s"], replaced["end_s"]) in told
    assert (replaced["product_id"], replaced["start_s"], replaced["end_s"]) not in told
    thousandths = round(moved["start_s"] * 1000)
    clock = f"{thousandths // 60_000:02}:{thousandths // 1000 % 60:02}.{thousandths % 1000:03}"
    assert clock in texts["focuses.vtt"]
    assert replace_with["product_id"] in texts["focuses.csv"]
    assert f"{moved['start_s']:g}" in texts["focuses.csv"]
    assert replace_with["title"] in texts["chapters.txt"]
    assert replace_with["product_id"] in texts["report.html"] or replace_with["title"] in texts["report.html"]


# ---- the review -------------------------------------------------------------------------------------------------


def test_the_doubtful_are_first_and_keys_decide(front: Shopfront, open_studio: OpenStudio) -> None:
    scores = (0.9, 0.3, 0.6, 0.8)
    found = [
        focus(product, start_s, end_s, score) for (product, start_s, end_s), score in zip(SCHEDULE, scores, strict=True)
    ]
    video_id = storefront.add_show(front, found=found)
    page = open_studio(f"/videos/{video_id}").page
    page.locator(".tl-bar.is-chosen").wait_for()
    rows = page.locator(".queue-row")
    ids = {each["start_s"]: each["focus_id"] for each in focuses_of(front, page, video_id)}
    by_doubt = [ids[start_s] for start_s in (8.0, 13.5, 19.0, 2.0)]
    assert [row.get_attribute("data-focus") for row in rows.all()] == by_doubt

    def is_chosen(rank: int) -> bool:
        return bool(page.locator(".tl-bar.is-chosen").get_attribute("data-focus") == by_doubt[rank])

    assert is_chosen(0)
    for key, expected in (("j", 1), ("ArrowDown", 2), ("k", 1), ("ArrowLeft", 0), ("n", 1)):
        page.keyboard.press(key)
        eventually(partial(is_chosen, expected), 2)
    page.keyboard.press("c")  # decides, and goes on to the next
    eventually(partial(is_chosen, 2), 2)
    page.keyboard.press("x")
    eventually(partial(is_chosen, 3), 2)
    page.locator(".toast", has_text="Rejected").wait_for()
    status = {each["focus_id"]: each["status"] for each in focuses_of(front, page, video_id)}
    assert [status[each] for each in by_doubt] == ["found", "confirmed", "rejected", "found"]
    assert page.locator(".queue").inner_text().startswith("Review\n2 of 4 reviewed")
    page.keyboard.press("u")
    page.keyboard.press("u")
    eventually(lambda: {each["status"] for each in focuses_of(front, page, video_id)} == {"found"})


def test_ends_are_set_at_the_playhead_and_by_text(front: Shopfront, open_studio: OpenStudio, show: str) -> None:
    page = open_studio(f"/videos/{show}").page
    page.locator(".tl-bar.is-chosen").wait_for()
    first = focuses_of(front, page, show)[0]
    choose(page, first["focus_id"])
    page.keyboard.press(".")
    page.keyboard.press("Shift+ArrowRight")  # five seconds on, from the start of the focus: 2 to 7
    page.wait_for_function("() => document.querySelector('.screen video').currentTime > 6.9")
    page.wait_for_timeout(200)
    page.keyboard.press("o")
    page.locator(".toast", has_text="Moved").wait_for()
    end_s = focuses_of(front, page, show)[0]["end_s"]
    assert end_s == pytest.approx(7.2, abs=0.11)
    assert abs(end_s * storefront.RATE_HZ - round(end_s * storefront.RATE_HZ)) < 1e-6  # at the border of a frame
    page.get_by_label("Start", exact=True).fill("0:03.50")
    page.get_by_label("Start", exact=True).press("Enter")
    eventually(lambda: focuses_of(front, page, show)[0]["start_s"] == 3.5)
    page.get_by_label("End", exact=True).fill("0:01")
    page.get_by_label("End", exact=True).press("Enter")
    page.get_by_text("The end must lie after the start").wait_for()
    assert focuses_of(front, page, show)[0]["end_s"] == end_s


def test_a_dragged_end_lands_on_a_frame_and_escape_lets_it_spring_back(
    front: Shopfront, open_studio: OpenStudio, show: str
) -> None:
    page = open_studio(f"/videos/{show}").page
    page.locator(".tl-bar.is-chosen").wait_for()
    first = focuses_of(front, page, show)[0]
    choose(page, first["focus_id"])
    drag_end(page, "end", 7.13, LENGTH_S, drop=False)
    assert page.locator(".tl-preview strong").inner_text().startswith("0:07.")
    lit = page.locator(".tl-preview canvas").evaluate(
        "(canvas) => canvas.getContext('2d').getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data"
    )
    assert max(lit[:3]) > 60  # the frame at the end is shown
    page.keyboard.press("Escape")
    page.mouse.up()
    page.locator(".tl-preview").wait_for(state="detached")
    assert focuses_of(front, page, show)[0] == first
    drag_end(page, "end", 7.13, LENGTH_S)
    page.locator(".toast", has_text="Moved").wait_for()
    end_s = focuses_of(front, page, show)[0]["end_s"]
    assert end_s == pytest.approx(7.13, abs=0.16)
    assert abs(end_s * storefront.RATE_HZ - round(end_s * storefront.RATE_HZ)) < 1e-6


def test_an_end_moves_by_the_keyboard_alone(front: Shopfront, open_studio: OpenStudio, show: str) -> None:
    page = open_studio(f"/videos/{show}").page
    page.locator(".tl-bar.is-chosen").wait_for()
    choose(page, focuses_of(front, page, show)[0]["focus_id"])
    grip = page.get_by_role("slider", name="End of Red coat")
    grip.focus()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    eventually(lambda: focuses_of(front, page, show)[0]["end_s"] == pytest.approx(7.0, abs=0.11))


def test_a_missed_product_is_added_at_the_playhead(front: Shopfront, open_studio: OpenStudio, show: str) -> None:
    page = open_studio(f"/videos/{show}?t=17.5").page
    page.locator(".tl-bar").first.wait_for()
    page.wait_for_function("() => Math.abs(document.querySelector('.screen video').currentTime - 17.5) < 0.1")
    page.keyboard.press("a")
    page.keyboard.type("Other thing 3")
    page.locator(".option.is-active:has-text('Other thing 3')").wait_for()
    page.keyboard.press("Enter")
    page.locator(".toast", has_text="Added").wait_for()
    added = next(each for each in focuses_of(front, page, show) if each["status"] == "added")
    assert added["product_id"] == "other3"
    assert added["start_s"] == pytest.approx(17.5, abs=0.11)
    assert page.locator(".tl-bar.is-added").count() == 1


def test_what_others_do_appears_without_a_reload(front: Shopfront, open_studio: OpenStudio, show: str) -> None:
    page = open_studio(f"/videos/{show}").page
    page.locator(".tl-bar.is-chosen").wait_for()
    first = focuses_of(front, page, show)[0]
    choose(page, first["focus_id"])
    with front.parts.database.write() as session:
        review_focus(session, first["focus_id"], "replace", "Rae", "seller", product_id="other1", title="Other thing 1")
    page.locator(f'.tl-bar.is-corrected[data-focus="{first["focus_id"]}"]').wait_for(timeout=3000)
    assert page.locator(".inspector h2").inner_text() == "Other thing 1"
    page.locator(".history", has_text="Rae chose another product").wait_for()


def test_two_persons_at_once_do_not_overwrite_each_other(front: Shopfront, open_studio: OpenStudio, show: str) -> None:
    window = open_studio(f"/videos/{show}", deaf=True)
    page = window.page
    page.locator(".tl-bar.is-chosen").wait_for()
    first = focuses_of(front, page, show)[0]
    choose(page, first["focus_id"])
    with front.parts.database.write() as session:
        review_focus(session, first["focus_id"], "move", "Rae", "seller", end_s=5.0)
    page.keyboard.press("x")
    page.get_by_text("Somebody else changed this one just now").wait_for()
    eventually(lambda: page.locator(f'.tl-bar.is-corrected[data-focus="{first["focus_id"]}"]').count() == 1)
    assert focuses_of(front, page, show)[0]["status"] == "corrected"
    window.faults.clear()  # the refusal and the events that were cut off


def test_a_refused_change_goes_back(front: Shopfront, open_studio: OpenStudio, show: str) -> None:
    window = open_studio(f"/videos/{show}")
    page = window.page
    page.locator(".tl-bar.is-chosen").wait_for()
    chosen = page.locator(".tl-bar.is-chosen").get_attribute("data-focus")
    page.route("**/review", lambda route: route.abort())
    # Keys are listened to after what was chosen has been painted, which takes a busy browser a while.
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 300)))")
    page.keyboard.press("x")
    page.get_by_text("the server cannot be reached").wait_for()
    assert page.locator(f'.tl-bar[data-focus="{chosen}"]:not(.is-rejected)').count() == 1
    window.faults.clear()


def test_the_timeline_zooms_from_all_to_a_second_around_the_pointer(
    front: Shopfront, open_studio: OpenStudio, show: str
) -> None:
    page = open_studio(f"/videos/{show}").page
    page.locator(".tl-bar.is-chosen").wait_for()
    bar = page.locator(".tl-bar.is-chosen")
    before = bar.bounding_box()
    assert before is not None
    middle = before["x"] + before["width"] / 2
    pointer = round(middle)  # a wheel tells whole pixels
    page.mouse.move(pointer, before["y"] + 5)
    page.keyboard.down("Control")
    for _ in range(6):
        page.mouse.wheel(0, -40)
    page.keyboard.up("Control")
    page.wait_for_timeout(150)
    after = bar.bounding_box()
    assert after is not None
    assert after["width"] > 3 * before["width"]
    expected = pointer + (middle - pointer) * after["width"] / before["width"]
    assert after["x"] + after["width"] / 2 == pytest.approx(expected, abs=2)
    for _ in range(12):
        page.keyboard.press("+")
    page.get_by_text("1.0 s in view").wait_for()
    page.keyboard.press("0")
    page.get_by_text("24 s in view").wait_for()


def test_hundreds_of_products_and_thousands_of_focuses_draw_few_elements(
    front: Shopfront, open_studio: OpenStudio
) -> None:
    products = [replace(COAT, product_id=f"p{n}", title=f"Thing {n}") for n in range(300)]
    found = [focus(products[n % 300], 4.0 * n, 4.0 * n + 3, 0.2 + 0.7 * (n % 7) / 7) for n in range(3000)]
    video_id = storefront.add_show(front, found=found)
    with front.parts.database.write() as session:
        change_video(session, video_id, duration_s=4.0 * 3000)
    window = open_studio(f"/videos/{video_id}")
    page = window.page
    page.locator(".tl-bar.is-chosen").wait_for()
    assert page.evaluate("document.querySelectorAll('.tl-lane').length") < 30
    assert page.evaluate("document.querySelectorAll('.tl-bar').length") < 600
    assert page.evaluate("document.querySelectorAll('.queue-row').length") < 40
    scroll = page.locator(".tl-scroll")
    scroll.evaluate("(box) => { box.scrollTop = box.scrollHeight; }")
    page.locator(".tl-lane", has_text="Thing 299").wait_for()
    window.faults.clear()  # these products have no pictures


# ---- what comes from strangers ----------------------------------------------------------------------------------


def test_what_strangers_wrote_does_nothing(front: Shopfront, open_studio: OpenStudio) -> None:
    hostile = replace(storefront.MUG, title=SCRIPT + "<img src=x onerror=alert(4)>" + "long " * 80)
    found = [replace(focus(hostile, 1, 20), alternatives=(Alternative("coat", 0.2),))]
    video_id = storefront.add_show(front, title=hostile.title[:200], found=found)
    window = open_studio(f"/videos/{video_id}")
    page = window.page
    page.locator(".tl-bar.is-chosen").wait_for()
    page.locator(".quote", has_text=SCRIPT).wait_for()
    assert (
        page.evaluate("document.querySelectorAll('#app script, #app b, img[onerror], a[href^=\"javascript\"]').length")
        == 0
    )
    assert page.locator("h1").inner_text() == hostile.title[:200].strip()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for area in AREAS:
        page.goto(f"{front.url}/studio/{SHOP}?area={area}")
        page.get_by_role("heading", level=1).wait_for()
        page.wait_for_timeout(200)
        assert (
            page.evaluate("document.querySelectorAll('#app script, img[onerror], a[href^=\"javascript\"]').length") == 0
        )
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), area
    assert window.faults == []


# ---- catalogue, uploads, streams, settings ----------------------------------------------------------------------


def test_the_catalogue_filters_and_leads_to_the_moment(front: Shopfront, open_studio: OpenStudio, show: str) -> None:
    page = open_studio("?area=catalogue").page
    rows = page.locator(".products tbody tr")
    rows.first.wait_for()
    total = page.request.get(f"{front.url}/api/shops/{SHOP}/products").json()["total"]
    assert rows.count() == total
    page.get_by_role("button", name="Never shown").click()
    page.wait_for_url("**shown=never**")
    eventually(lambda: 0 < rows.count() < total and "Red coat" not in page.locator(".products").inner_text())
    page.get_by_role("button", name="All", exact=True).click()
    page.get_by_label("Search products").fill("Green")
    eventually(lambda: rows.count() == 1 and "Green hat" in rows.first.inner_text())
    rows.first.locator(".shown-at a").first.click()
    page.wait_for_url("**/videos/*?t=8")
    page.locator(".tl-bar.is-chosen").wait_for()
    page.wait_for_function("() => Math.abs(document.querySelector('.screen video').currentTime - 8) < 0.2")
    assert page.locator(".inspector h2").inner_text() == HAT.title


def test_a_product_is_renamed_and_deleted(front: Shopfront, open_studio: OpenStudio) -> None:
    page = open_studio("?area=catalogue&q=Other%20thing%204").page
    page.get_by_role("button", name="Other thing 4").first.click()
    page.get_by_role("button", name="Edit texts").click()
    page.get_by_label("Title").fill("A better name")
    page.get_by_role("button", name="Save").click()
    page.locator("dialog h2", has_text="A better name").wait_for()
    product = page.request.get(f"{front.url}/api/shops/{SHOP}/products/other4").json()
    assert product["title"] == "A better name"
    assert product["price"] == "4 EUR"
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog", name="Delete this product?").get_by_role("button", name="Delete").click()
    page.locator(".toast", has_text="Deleted").wait_for()
    assert page.request.get(f"{front.url}/api/shops/{SHOP}/products/other4").status == 404


def test_an_upload_goes_on_after_a_pause_and_a_reload(
    front: Shopfront, open_studio: OpenStudio, tmp_path: Path
) -> None:
    media = storefront.write_show(tmp_path / "Evening show.mp4", 320, 180)
    size = media.stat().st_size
    page = open_studio().page
    sent: list[int] = []

    def smaller(route: Any) -> None:  # the server's answer, with pieces that are small enough to be cut between two
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "chunk_bytes": size // 5 + 1})

    page.route("**/uploads", smaller)
    page.on(
        "request", lambda asked: sent.append(int(asked.headers["upload-offset"])) if asked.method == "PATCH" else None
    )
    page.get_by_role("button", name="New video").first.click()
    page.get_by_label("Choose videos").set_input_files(media)
    blocked: list[Any] = []

    def hold_third(route: Any) -> None:
        if route.request.method == "PATCH" and int(route.request.headers["upload-offset"]) >= 2 * (size // 5 + 1):
            blocked.append(route)
        else:
            route.continue_()

    page.route("**/api/uploads/*", hold_third)
    page.get_by_role("button", name="Upload 1 video").click()
    for _ in range(100):
        page.wait_for_timeout(50)  # while this waits, the routes above are asked
        if blocked:
            break
    page.get_by_role("button", name="Pause").click()
    page.locator(".upload", has_text="paused").wait_for()
    page.unroute("**/api/uploads/*")
    page.reload()
    lost = page.locator(".upload", has_text="choose the file again to go on")
    lost.wait_for()
    sent.clear()
    wrong = tmp_path / "Another.mp4"
    wrong.write_bytes(b"0" * 100)
    lost.locator("input[type=file]").set_input_files(wrong)
    page.get_by_text("that is another file").wait_for()
    lost.locator("input[type=file]").set_input_files(media)
    page.locator(".video-card", has_text="Evening show").first.wait_for()
    assert sent[0] == 2 * (size // 5 + 1)  # what was there already is not sent again
    video = page.request.get(f"{front.url}/api/shops/{SHOP}/videos").json()["videos"][0]
    assert video["title"].startswith("Evening show")
    kept = front.parts.settings.video_folder(video["video_id"])
    assert next(kept.glob("media.*")).read_bytes() == media.read_bytes()


def test_a_job_can_be_cancelled_and_retried(front: Shopfront, open_studio: OpenStudio) -> None:
    with front.parts.database.write() as session:
        video = add_video(session, SHOP, "recording", "Waiting to be matched", "show.mp4")
        add_job(session, "match", SHOP, {}, video_id=video.video_id)
    page = open_studio().page
    card = page.locator(".video-card", has_text="Waiting to be matched")
    card.get_by_role("button", name="Cancel").click()
    card.get_by_role("button", name="Retry").click()
    card.get_by_role("button", name="Cancel").wait_for()


def test_a_live_focus_appears_grows_and_ends(front: Shopfront, open_studio: OpenStudio) -> None:
    database = front.parts.database
    with database.write() as session:
        video = add_video(session, SHOP, "stream", "Evening live", "rtmp://127.0.0.1:9/live")
        change_video(session, video.video_id, state="live", wanted=True, width=320, height=180)
    page = open_studio(f"/videos/{video.video_id}").page
    page.locator(".view-head .badge", has_text="Live").wait_for()
    page.wait_for_timeout(300)
    with database.write() as session:
        row = save_open(session, get_video(session, video.video_id), focus(COAT, 10, 12), media_s=12.0)
    bar = page.locator(f'.tl-bar.is-open[data-focus="{row.focus_id}"]')
    bar.wait_for(timeout=3000)
    with database.write() as session:
        close_focus(session, row.focus_id, focus(COAT, 10, 15), media_s=16.0)
    page.locator(f'.tl-bar.is-found[data-focus="{row.focus_id}"]').wait_for(timeout=3000)
    assert page.locator(".queue-row").count() == 1


def test_streams_are_added_and_stopped(front: Shopfront, open_studio: OpenStudio) -> None:
    window = open_studio("?area=streams")
    page = window.page
    page.get_by_role("button", name="New stream").first.click()
    page.get_by_label("Address of the stream").fill("file:///etc/passwd")
    page.get_by_role("button", name="Add stream").click()
    page.locator("dialog .notice.bad, dialog .fault").first.wait_for()
    page.get_by_label("Address of the stream").fill("rtmp://live.example/show")
    window.faults.clear()  # the refusal
    page.get_by_label("Title").fill("Morning live")
    page.get_by_role("button", name="Add stream").click()
    page.wait_for_url("**/videos/*")
    page.get_by_role("button", name="Stop").click()
    page.locator(".view-head .badge", has_text="Stopped").wait_for()


def test_tokens_and_webhooks_show_their_secret_once(
    front: Shopfront, open_studio: OpenStudio, open_window: OpenWindow
) -> None:
    window = open_studio("?area=settings")
    page = window.page
    page.get_by_role("button", name="New token").click()
    page.get_by_label("For whom").fill("Till")
    page.get_by_label("Role").select_option("viewer")
    page.get_by_role("checkbox", name="Corner shop").check()
    page.get_by_role("button", name="Make token").click()
    text = page.get_by_label("Token", exact=True).inner_text()
    page.get_by_role("button", name="Done").click()
    assert text not in page.content()
    page.get_by_role("button", name="New webhook").click()
    page.get_by_label("Address that is called").fill("https://shop.example/hook")
    page.get_by_role("button", name="Add webhook").click()
    page.get_by_label("Secret", exact=True).wait_for()
    page.get_by_role("button", name="Done").click()
    page.locator(".webhook", has_text="shop.example/hook").wait_for()

    other = open_window()
    storefront.sign_in(other, front, text)
    other.page.add_init_script("localStorage.setItem('shopcue-signed-in', '1')")
    other.page.goto(f"{front.url}/studio/{SHOP}?area=settings")
    other.page.get_by_role("heading", name="Webhooks").wait_for()
    assert other.page.get_by_role("button", name="New webhook").count() == 0  # a viewer only looks
    assert other.page.get_by_role("heading", name="Tokens").count() == 0
    page.get_by_role("button", name="Revoke Till").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    page.locator("tr", has_text="Till").get_by_text("Revoked").wait_for()
    other.page.get_by_role("link", name="Videos").click()
    other.page.get_by_role("heading", name="Sign in").wait_for()  # the next question is refused
    other.faults.clear()


# ---- how it stands ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_area_is_accessible(
    front: Shopfront, open_studio: OpenStudio, open_window: OpenWindow, show: str, dark: bool
) -> None:
    page = open_studio(f"/videos/{show}", dark=dark).page
    page.locator(".tl-bar.is-chosen").wait_for()
    page.wait_for_timeout(300)
    faults = {"video": storefront.violations(page)}
    for key, name in (("?", "help"), ("r", "palette")):
        page.keyboard.press(key)
        page.get_by_role("dialog").wait_for()
        page.wait_for_timeout(300)
        faults[name] = storefront.violations(page)
        page.keyboard.press("Escape")
        page.get_by_role("dialog").wait_for(state="detached")
    opened = {"videos": "New video", "catalogue": "Import", "streams": "New stream", "settings": "New token"}
    for area in AREAS:
        page.goto(f"{front.url}/studio/{SHOP}?area={area}")
        page.get_by_role("heading", level=1).wait_for()
        page.wait_for_timeout(400)
        faults[area] = storefront.violations(page)
        page.get_by_role("button", name=opened[area], exact=True).first.click()
        page.get_by_role("dialog").wait_for()
        page.wait_for_timeout(300)
        faults[opened[area]] = storefront.violations(page)
    outside = open_window(dark=dark).page
    outside.goto(f"{front.url}/studio")
    outside.get_by_label("Token").wait_for()
    faults["sign in"] = storefront.violations(outside)
    assert {name: found for name, found in faults.items() if found} == {}


def test_a_phone_shows_it_all_without_scrolling_sideways(front: Shopfront, open_studio: OpenStudio, show: str) -> None:
    page = open_studio(f"/videos/{show}", PHONE, has_touch=True).page
    page.locator(".tl-bar.is-chosen").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    page.get_by_role("button", name="Details").click()
    page.get_by_role("button", name="Confirm").tap()
    page.locator(".toast", has_text="Confirmed").wait_for()
    page.wait_for_timeout(300)
    assert storefront.violations(page) == []
    for area in AREAS:
        page.goto(f"{front.url}/studio/{SHOP}?area={area}")
        page.get_by_role("heading", level=1).wait_for()
        page.wait_for_timeout(200)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0], area
        assert storefront.violations(page) == [], area


def test_on_a_phone_a_menu_lies_above_the_video(front: Shopfront, open_studio: OpenStudio, show: str) -> None:
    page = open_studio(f"/videos/{show}", PHONE, has_touch=True).page
    page.locator(".screen video").wait_for()
    for menu in ("Export", "More"):
        page.get_by_role("button", name=menu, exact=True).click()
        for item in page.get_by_role("menuitem").all():
            item.click(trial=True)  # fails where something else would take it
        page.keyboard.press("Escape")


def test_a_dialog_keeps_the_focus_and_gives_it_back(open_studio: OpenStudio) -> None:
    page = open_studio("?area=streams").page
    opener = page.get_by_role("button", name="New stream").first
    opener.focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    assert page.evaluate("document.activeElement.closest('dialog') !== null")
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    assert opener.evaluate("(button) => document.activeElement === button")


def test_a_viewer_may_look_and_no_more(front: Shopfront, open_studio: OpenStudio, show: str) -> None:
    with front.parts.database.write() as session:
        token = create_token(session, "Vic", "viewer", (SHOP,))[1]
        first = list_focuses(session, show)[0].focus_id
    page = open_studio(f"/videos/{show}", token=token).page
    page.locator(".tl-bar.is-chosen").wait_for()
    choose(page, first)
    assert page.locator(".tl-grip").count() == 0
    for name in ("Confirm", "Reject", "Replace", "Add a focus", "Rename"):
        assert page.get_by_role("button", name=name, exact=True).count() == 0
    page.keyboard.press("c")
    page.wait_for_timeout(200)
    assert {each["status"] for each in focuses_of(front, page, show)} == {"found"}


# ---- the mathematics of the timeline, against plain loops -------------------------------------------------------


def in_module(page: Page, front: Shopfront, expression: str, *values: object) -> Any:
    """Evaluate in a page; `t` is timescale.js, `v` the values."""
    page.goto(f"{front.url}/studio")
    return page.evaluate(
        f"async (v) => {{ const t = await import('/static/studio/timescale.js'); return ({expression}); }}",
        list(values),
    )


def test_bars_hold_every_focus_in_view_once(front: Shopfront, open_window: OpenWindow) -> None:
    window = open_window()
    spans = sorted((0.37 * n * n % 900, 1 + n % 40) for n in range(400))
    focuses: list[dict[str, Any]] = [
        {"focus_id": str(n), "product_id": "p", "start_s": start, "end_s": start + length}
        for n, (start, length) in enumerate(spans)
    ]
    for from_s, span_s, width in ((0, 940, 300), (100, 50, 1200), (333, 2, 800), (0, 940, 2000)):
        drawn = in_module(
            window.page,
            front,
            "t.barsOf(v[0], {from: v[1], span: v[2]}, v[3], {longest: 40, keep: '7'})",
            focuses,
            from_s,
            span_s,
            width,
        )
        told = [each["focus_id"] for bar in drawn for each in bar["focuses"]]
        expected = [
            each["focus_id"] for each in focuses if each["start_s"] < from_s + span_s and each["end_s"] > from_s
        ]
        assert told == expected
        for bar in drawn:
            start = min((each["start_s"] - from_s) * width / span_s for each in bar["focuses"])
            end = max((each["end_s"] - from_s) * width / span_s for each in bar["focuses"])
            assert bar["left"] == pytest.approx(start)
            assert bar["left"] + bar["width"] >= end - 1e-6
            assert len(bar["focuses"]) == 1 or "7" not in [each["focus_id"] for each in bar["focuses"]]
    window.faults.clear()


def test_zoom_keeps_the_moment_under_the_pointer(front: Shopfront, open_window: OpenWindow) -> None:
    window = open_window()
    view = {"from": 100.0, "span": 200.0}
    for factor in (0.5, 0.1, 1.5):
        for anchor in (120.0, 200.0, 299.0):
            after = in_module(window.page, front, "t.zoomView(v[0], v[1], v[2], 1000)", view, factor, anchor)
            assert (anchor - after["from"]) / after["span"] == pytest.approx((anchor - 100) / 200)
            assert after["span"] == pytest.approx(200 * factor)
    assert in_module(window.page, front, "t.zoomView(v[0], 99, 150, 1000)", view) == {"from": 0, "span": 1000}
    window.faults.clear()
