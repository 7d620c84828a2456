"""Maps that are highest where something was planted, a page that no stranger's text breaks, and input that is none."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pictures

pytest.importorskip("onnx", reason="tiny test models are built with onnx, of the extra 'train'")

from clip_folder import MIDDLE, MIX, PLACES, WIDTH, write_clip_folder
from clips import MakeVideo
from shopcue import cli, errors, explanations
from shopcue.explaining import Heat, Moment, Winner, heat_over, said_within, window_around
from shopcue.models.clip import OnnxClipEncoder
from shopcue.models.clip_text import hashed_ngrams
from shopcue.models.image import Fit
from shopcue.records import Image, Product, Utterance

COLOURS = {"red": (230, 40, 40), "blue": (30, 60, 240), "green": (40, 230, 60)}
TITLES = {"red": "crimson velvet evening gown", "blue": "plain azure cotton shirt", "green": "lime rubber boots"}
WIDE, HIGH = 160, 96
PATCH = (3, 1)
"""Column and row, of the PLACES along each side, of the one that is red in a blue frame."""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    rows = ["id,title,image_link"]
    for name, colour in COLOURS.items():
        Pictures.new("RGB", (40, 40), colour).save(folder / f"{name}.png")
        rows.append(f"{name},{TITLES[name]},{name}.png")
    (folder / "feed.csv").write_text("\n".join(rows) + "\n")
    return folder / "feed.csv"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_clip_folder(tmp_path / "model", text_weight=3.0)


def patch_box(width: int, height: int) -> tuple[slice, slice]:
    column, row = PATCH
    return (
        slice(row * height // PLACES, (row + 1) * height // PLACES),
        slice(column * width // PLACES, (column + 1) * width // PLACES),
    )


def planted(_: int = 0, width: int = WIDE, height: int = HIGH) -> Image:
    """A blue frame with one red place."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = COLOURS["blue"]
    picture[patch_box(width, height)] = COLOURS["red"]
    return picture


@pytest.fixture
def video(make_video: MakeVideo) -> Path:
    return make_video("live.mp4", pts_s=tuple(i / 5 for i in range(100)), picture=planted)


def unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / np.linalg.norm(vector))


def expected_scores(said: str, weight: float) -> dict[str, tuple[float, float]]:
    """Pictures and words of each product, by plain loops over what the tiny model is."""
    mean = unit(planted().reshape(-1, 3).mean(axis=0) - MIDDLE)
    scores = {}
    for name, colour in COLOURS.items():
        title, speech = (unit(hashed_ngrams([text], WIDTH)[0] @ MIX) for text in (TITLES[name], said))
        scores[name] = float(mean @ unit(np.array(colour) - MIDDLE)), weight * float(title @ speech)
    return scores


# ---- what is planted is found -----------------------------------------------------------------------------------


def test_the_heat_is_highest_where_the_winner_is(video: Path, feed: Path, model: Path, tmp_path: Path) -> None:
    done = explanations.explain(video, feed, tmp_path / "out", model=model, at=[4, 12.5], text=TITLES["red"], threads=1)
    scores = expected_scores(TITLES["red"], 3.0)
    by_pictures = max(scores, key=lambda name: scores[name][0])
    by_both = max(scores, key=lambda name: sum(scores[name]))
    assert (by_pictures, by_both) == ("blue", "red")  # else the words would have nothing to change
    assert [moment.time_s for moment in done.moments] == [4, 12.5]
    inside = patch_box(WIDE, HIGH)
    for moment in done.moments:
        assert moment.without_text.product.product_id == "blue"
        assert moment.with_text.product.product_id == "red"
        for winner in (moment.without_text, moment.with_text):
            assert winner.visual == pytest.approx(scores[winner.product.product_id][0], abs=0.02)  # video is lossy
            assert winner.text == pytest.approx(scores[winner.product.product_id][1], abs=1e-4)
        red, blue = moment.with_text.heat.values, moment.without_text.heat.values
        assert red.shape == blue.shape == (HIGH, WIDE)
        y, x = np.unravel_index(np.argmax(red), red.shape)
        assert inside[0].start <= y < inside[0].stop
        assert inside[1].start <= x < inside[1].stop
        assert red[inside].mean() > 0.6 > 0.4 > blue[inside].mean()
        outside = np.ones_like(red, np.bool_)
        outside[inside] = False
        assert red[outside].mean() < 0.2 < 0.8 < blue[outside].mean()
        assert moment.with_text.heat.high == pytest.approx(1, abs=0.05)  # the place is the product's very colour


def test_the_attention_is_the_encoders_own(video: Path, feed: Path, model: Path, tmp_path: Path) -> None:
    one, other = (
        explanations.explain(video, feed, tmp_path / name, model=model, at=[4], text=text, threads=1)
        .moments[0]
        .attention
        for name, text in (("one", ""), ("other", TITLES["red"]))
    )
    assert one is not None
    assert other is not None
    assert np.array_equal(one.values, other.values)
    distance = {name: float(np.linalg.norm(COLOURS[name] - MIDDLE)) for name in COLOURS}
    assert distance["red"] > distance["blue"]  # and the farther one takes the attention of this model
    y, x = np.unravel_index(np.argmax(one.values), one.values.shape)
    inside = patch_box(WIDE, HIGH)
    assert inside[0].start <= y < inside[0].stop
    assert inside[1].start <= x < inside[1].stop


def test_what_is_said_in_the_clip_counts_and_nothing_else(video: Path, feed: Path, model: Path, tmp_path: Path) -> None:
    speech = tmp_path / "said.vtt"
    speech.write_text(
        f"WEBVTT\n\n00:00:01.000 --> 00:00:03.000\n{TITLES['red']}\n\n00:00:15.000 --> 00:00:16.000\nhello\n"
    )
    done = explanations.explain(
        video, feed, tmp_path / "out", model=model, at=[2, 9, 15], speech=speech, span_s=4.0, threads=1
    )
    assert [moment.said for moment in done.moments] == [TITLES["red"], "", "hello"]
    assert [moment.with_text.product.product_id for moment in done.moments][:2] == ["red", "blue"]
    assert np.array_equal(done.moments[1].with_text.heat.values, done.moments[1].without_text.heat.values)


def test_the_house_clip_encoder_explains_where_no_other_is_named(video: Path, feed: Path, tmp_path: Path) -> None:
    moment = explanations.explain(video, feed, tmp_path / "out", at=[4], threads=1).moments[0]
    assert moment.attention is not None
    assert moment.attention.values.std() > 0


def test_a_clip_of_pictures_is_explained_by_its_middle_one(feed: Path, model: Path, tmp_path: Path) -> None:
    paths = []
    for number in range(5):
        shade = planted() if number == 2 else np.full((HIGH, WIDE, 3), COLOURS["blue"], np.uint8)
        paths.append(tmp_path / f"{number}.png")
        Pictures.fromarray(shade).save(paths[-1])
    done = explanations.explain(paths, feed, tmp_path / "out", model=model, text=TITLES["red"], threads=1)
    assert np.array_equal(done.moments[0].image, planted())
    assert done.moments[0].time_s is None
    assert {path.name for path in done.pictures} == {
        "01.png",
        "01-frame.png",
        "01-without-text.png",
        "01-with-text.png",
        "01-attention.png",
    }


@pytest.mark.parametrize("fit", ["squash", "letterbox"])
@pytest.mark.parametrize("size", [(320, 180), (180, 320), (200, 200)])
def test_cells_lie_where_the_frame_was_put_in_the_square(fit: Fit, size: tuple[int, int]) -> None:
    width, height = size
    side, count = 160, 5
    longest = max(size)
    for row in range(count):
        for column in range(count):
            # Where the middle of the cell lies in the frame, as shares of its sides.
            across, down = (column + 0.5) / count, (row + 0.5) / count
            if fit == "letterbox":
                across = 0.5 + (across - 0.5) * longest / width
                down = 0.5 + (down - 0.5) * longest / height
            if not (0 < across < 1 and 0 < down < 1):
                continue
            cells = np.zeros((count, count), np.float32)
            cells[row, column] = 7
            heat = heat_over(cells, width, height, side, fit)
            assert heat.values.shape == (height, width)
            assert heat.low == 0
            assert heat.high == pytest.approx(7, abs=0.3)
            y, x = np.unravel_index(np.argmax(heat.values), heat.values.shape)
            cell_px = (width if fit == "squash" else longest) / count, (height if fit == "squash" else longest) / count
            assert abs(x + 0.5 - across * width) <= cell_px[0] / 2 + 1
            assert abs(y + 0.5 - down * height) <= cell_px[1] / 2 + 1


def test_a_flat_map_is_cold() -> None:
    heat = heat_over(np.full((5, 5), 0.25, np.float32), 64, 32, 160, "letterbox")
    assert not heat.values.any()
    assert heat.low == heat.high == pytest.approx(0.25)


def test_the_clip_around_a_moment_stays_in_the_video() -> None:
    assert window_around(30, 100, 10, 4).times_s == (25, 27.5, 30, 32.5)
    assert window_around(2, 100, 10, 2).times_s == (0, 5)
    assert (window_around(100, 100, 10, 2).start_s, window_around(100, 100, 10, 2).end_s) == (90, 100)
    assert window_around(1, 4, 10, 4).times_s == (0, 1, 2, 3)
    said = [Utterance(0, 25, "before"), Utterance(20, 26, "from"), Utterance(34, 40, "to"), Utterance(35, 36, "after")]
    assert said_within(said, window_around(30, 100, 10, 4)) == "from to"


# ---- pictures -----------------------------------------------------------------------------------------------------


def test_the_colours_tell_high_from_low_in_grey_too() -> None:
    grey = cv2.cvtColor(explanations.colours()[None], cv2.COLOR_RGB2GRAY)[0].astype(int)
    assert (np.diff(grey) >= 0).all()
    assert grey[-1] - grey[0] > 180
    ramp = Heat(np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1)), 0, 1)
    painted = explanations.paint(np.full((64, 64, 3), 128, np.uint8), ramp)
    columns = cv2.cvtColor(painted, cv2.COLOR_RGB2GRAY)[32]
    assert columns[:20].max() < columns[40:60].min()  # the line lies elsewhere


def test_the_line_runs_around_the_upper_half() -> None:
    values = np.zeros((60, 60), np.float32)
    values[20:40, 20:40] = 1
    plain = explanations.paint(np.zeros((60, 60, 3), np.uint8), Heat(np.zeros((60, 60), np.float32), 0, 0))
    assert len(np.unique(plain.reshape(-1, 3), axis=0)) == 1
    painted = explanations.paint(np.zeros((60, 60, 3), np.uint8), Heat(values, 0, 1))
    white = np.argwhere((painted == 255).all(axis=-1))
    assert len(white)
    assert all(min(abs(y - 20), abs(y - 39), abs(x - 20), abs(x - 39)) <= 1 for y, x in white)


def test_every_picture_is_on_the_disk_and_nothing_else(video: Path, feed: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = explanations.explain(video, feed, out, model=model, at=[4], text="x", threads=1)
    assert {path.name for path in out.iterdir()} == {path.name for path in done.pictures} | {"explain.html"}
    for path in done.pictures:
        with Pictures.open(path) as picture:
            assert picture.format == "PNG"
            assert path.name == "01-4.00s.png" or picture.size == (WIDE, HIGH)


# ---- the page -----------------------------------------------------------------------------------------------------

HOSTILE = "</style></title><script>alert(1)</script><img src=x onerror='alert(2)'>\"'>{{ 7*7 }}\n日本語 مرحبا"


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data


def hostile_page(folder: Path, said: str = HOSTILE) -> str:
    encoder = OnnxClipEncoder(write_clip_folder(folder / "hostile", made={"data": HOSTILE}), threads=1)
    heat = Heat(np.zeros((HIGH, WIDE), np.float32), 0.1, 0.2)
    one, two = (
        Winner(Product(name, f"{HOSTILE} {name} " * 8, ()), picture, 0.4, 0.3, heat)
        for name, picture in (("one", planted(0, 40, 90)), ("two", None))
    )
    moments = [Moment(3725.5, planted(), said, one, two, None), Moment(None, planted(1), "", one, one, heat)]
    return explanations.render(moments, encoder)


def test_no_text_of_a_stranger_becomes_an_element(tmp_path: Path) -> None:
    text = hostile_page(tmp_path)
    page = Page(text)
    tags = [tag for tag, _ in page.elements]
    assert "script" not in tags
    assert tags.count("style") == tags.count("title") == 1
    assert all(not name.startswith("on") and name != "style" for _, attributes in page.elements for name in attributes)
    addresses = [attributes["src"] for tag, attributes in page.elements if tag == "img"]
    assert addresses
    assert all(address.startswith("data:image/jpeg;base64,") for address in addresses)
    assert page.text.count("<script>alert(1)</script>") >= 4
    assert "{{ 7*7 }} 日本語 مرحبا" in page.text
    assert "1:02:05 (3725.50 s)" in page.text


def test_the_page_allows_its_own_style_alone(tmp_path: Path) -> None:
    text = hostile_page(tmp_path)
    style = text.split("<style>")[1].split("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = next(each["content"] for tag, each in Page(text).elements if "Content-Security-Policy" in each.values())
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


def test_a_page_fits_a_phone_and_shows_its_pictures(tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs a Chromium")
    path = tmp_path / "explain.html"
    path.write_text(hostile_page(tmp_path, said=HOSTILE * 30), encoding="utf-8")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 360, "height": 740})
        faults: list[str] = []
        page.on("console", lambda said: faults.append(said.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(path.as_uri())
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        shown = page.evaluate("[...document.images].every(it => it.naturalWidth > 0 && it.width > 0)")
        browser.close()
    assert (wide, shown, faults) == (0, True, [])


# ---- what is no input -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"at": []}, errors.SettingsError, "0 moments came, expected 1 to"),
        ({"at": [1] * 1000}, errors.SettingsError, "1000 moments came"),
        ({"at": [4, 21]}, errors.SettingsError, "21 s is outside the video; give seconds from 0 to"),
        ({"at": [-1]}, errors.SettingsError, "outside the video"),
        ({"at": [float("nan")]}, errors.SettingsError, "outside the video"),
        ({"span_s": 0}, errors.SettingsError, "the clip is 0 s long"),
        ({"span_s": float("inf")}, errors.SettingsError, "the clip is inf s long"),
        ({"text": "a", "speech": "said.vtt"}, errors.SettingsError, "give one of --speech and --text"),
        ({"speech": "nowhere.vtt"}, errors.SubtitleError, "nowhere.vtt"),
        ({"video": "nowhere.mp4"}, errors.MediaError, "nowhere.mp4"),
        ({"video": []}, errors.SettingsError, "0 pictures and 1 moments came"),
        ({"video": ["one.png"]}, errors.SettingsError, "1 pictures and 1 moments came"),
        ({"catalog": "nowhere.csv"}, errors.ShopcueError, "nowhere.csv"),
        ({"model": "nowhere"}, errors.WeightsError, "give a folder that shopcue export wrote"),
        ({"model": "older"}, errors.WeightsError, "was exported without the places of a picture; export it anew"),
        ({"out": "file"}, errors.OutputError, "file"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line_and_leaves_nothing(
    video: Path,
    feed: Path,
    model: Path,
    tmp_path: Path,
    options: dict[str, object],
    error: type[errors.ShopcueError],
    told: str,
) -> None:
    write_clip_folder(tmp_path / "older", places=False)
    (tmp_path / "file").write_text("")
    given: dict[str, object] = {"video": video, "catalog": feed, "model": model, "out": tmp_path / "out", "at": [4]}
    for name, value in options.items():
        is_path = isinstance(value, str) and name != "text"
        given[name] = tmp_path / str(value) if is_path else value
    before = sorted(tmp_path.iterdir())
    with pytest.raises(error) as caught:
        explanations.explain(**given, threads=1)  # type: ignore[arg-type]
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path for path in sorted(tmp_path.iterdir()) if path.name != "cache"] == before


# ---- the command ----------------------------------------------------------------------------------------------------


def test_the_command_says_who_wins_and_where_the_page_is(
    video: Path, feed: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["explain", video, "--catalog", feed, "--model", model, "--out", tmp_path / "out"]
    code = cli.main([str(each) for each in [*arguments, "--at", "4,8", "--at", "12.5", "--text", TITLES["red"]]])
    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert len(lines) == 4
    assert TITLES["blue"] in lines[0]
    assert TITLES["red"] in lines[0]
    assert lines[-1] == f"page: {tmp_path / 'out' / 'explain.html'}"
    assert len(list((tmp_path / "out").glob("*-with-text.png"))) == 3


@pytest.mark.parametrize("at", ["soon", "nan", "-3", "4,", "1e999"])
def test_a_moment_that_is_none_is_refused(
    video: Path, feed: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], at: str
) -> None:
    arguments = ["explain", video, "--catalog", feed, "--model", model, "--out", tmp_path / "out", f"--at={at}"]
    assert cli.main([str(each) for each in arguments]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: the moment is ")
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_explaining_needs_no_torch() -> None:
    code = "import sys, shopcue.explanations; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
