"""Corrections: what persons decided becomes pairs to train with, whole in a file that any tool can read."""

from __future__ import annotations

import json
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit
from zipfile import ZipFile

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("lancedb")

from PIL import Image as PilImage
from starlette.testclient import TestClient

from server.catalogue import stock
from server.conftest import OTHER, SHOP
from shopcue import records
from shopcue.database import Database
from shopcue.database.focuses import put_focuses
from shopcue.database.reviews import add_focus, review_focus, review_histories, undo_review
from shopcue.database.tables import Focus, Video
from shopcue.database.videos import add_video
from shopcue.server import corrections
from shopcue.server.corrections import Pair, archive_pairs, correction_lines, correction_pairs
from shopcue.server.services import Services

if TYPE_CHECKING:
    from clips import MakeVideo

ME = ("Mei", "seller")
BOX = (10.0, 20.0, 110.0, 220.0)


@pytest.fixture
def video(database: Database) -> Video:
    with database.write() as session:
        video = add_video(session, SHOP, "recording", "A show", "show.mp4")
        video.width, video.height, video.duration_s = 640, 360, 100.0
    return video


def find(database: Database, video: Video, *product_ids: str) -> list[Focus]:
    evidence = records.Evidence(1.0, 0.0, 0.0, 12.5, BOX)
    found = [records.Focus(name, name, 10, 20, 0.8, evidence) for name in product_ids]
    with database.write() as session:
        return put_focuses(session, video, found, replace_reviewed=True)


def review(database: Database, focus: Focus, action: str, **wish: Any) -> None:
    with database.write() as session:
        review_focus(session, focus.focus_id, action, *ME, **wish)


def undo(database: Database, focus: Focus) -> None:
    with database.write() as session:
        undo_review(session, focus.focus_id, *ME)


def told(database: Database) -> set[tuple[str, int, str | None]]:
    return {(pair.product_id, pair.label, pair.instead_of) for pair in correction_pairs(database, SHOP)}


def test_each_decision_that_stands_is_a_pair(database: Database, video: Video) -> None:
    focuses = find(database, video, "right", "wrong", "taken", "moved", "undone", "back", "nobody", "both")
    right, wrong, taken, moved, undone, back, _, both = focuses
    review(database, right, "confirm")
    review(database, wrong, "reject")
    review(database, taken, "replace", product_id="true", title="True")
    review(database, moved, "move", end_s=15.0)
    review(database, undone, "reject")
    undo(database, undone)
    review(database, back, "reject")
    review(database, back, "restore")
    review(database, both, "replace", product_id="neither")
    review(database, both, "reject")
    assert told(database) == {
        ("right", 1, None),
        ("wrong", 0, None),
        ("true", 1, "taken"),
        ("taken", 0, None),
        ("moved", 1, None),
        ("neither", 0, None),
        ("both", 0, None),
    }


def test_what_was_added_is_shown_unless_that_was_undone(database: Database, video: Video) -> None:
    with database.write() as session:
        kept, undone, wrong = (add_focus(session, video, name, name, 30, 40, *ME) for name in ("kept", "un", "wrong"))
    undo(database, undone)
    review(database, undone, "confirm")  # of what is there no more
    review(database, wrong, "replace", product_id="better")
    assert told(database) == {("kept", 1, None), ("better", 1, None)}
    [pair] = [pair for pair in correction_pairs(database, SHOP) if pair.product_id == kept.product_id]
    assert (pair.time_s, pair.box) == (35, (0, 0, 640, 360))


def test_answers_stay_when_the_video_is_matched_again_and_go_with_undo(database: Database, video: Video) -> None:
    [focus] = find(database, video, "old")
    review(database, focus, "confirm")
    find(database, video, "new")
    assert told(database) == {("old", 1, None)}


def test_a_span_that_was_moved_away_from_its_picture_is_seen_in_its_middle(database: Database, video: Video) -> None:
    [focus] = find(database, video, "mug")
    review(database, focus, "confirm")
    [pair] = correction_pairs(database, SHOP)
    assert (pair.time_s, pair.box) == (12.5, BOX)
    review(database, focus, "move", start_s=16.0, end_s=18.0)
    [pair] = correction_pairs(database, SHOP)
    assert (pair.time_s, pair.box) == (17, None)


def test_a_line_says_all_and_where_to_look(database: Database, video: Video) -> None:
    [focus] = find(database, video, "ta\x00ken <&>")
    review(database, focus, "replace", product_id="true", title="True")
    lines = [json.loads(line) for line in correction_lines(database, SHOP)]
    assert [line["label"] for line in lines] == [1, 0]
    first = lines[0]
    place = urlsplit(first.pop("frame"))
    assert place.path == f"/api/videos/{video.video_id}/frame"
    assert parse_qs(place.query) == {"t": ["12.500"], "side": ["480"], "box": ["10.0,20.0,110.0,220.0"]}
    assert first.pop("at").endswith("Z")
    assert first == {
        "video_id": video.video_id,
        "time_s": 12.5,
        "box": list(BOX),
        "product_id": "true",
        "label": 1,
        "instead_of": "ta\ufffdken <&>",
        "who": "Mei",
    }


def test_only_the_shops_own_and_all_of_them_are_told(
    database: Database, video: Video, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corrections, "_FOCUSES_AT_ONCE", 3)
    names = [f"p{n}" for n in range(10)]
    for focus in find(database, video, *names):
        review(database, focus, "confirm")
        review(database, focus, "reject")
    assert told(database) == {(name, 0, None) for name in names}
    assert list(correction_pairs(database, OTHER)) == []
    with database.read() as session:
        histories = review_histories(session, SHOP, limit=4)
    assert [[row.action for row in history] for history in histories] == [["confirm", "reject"]] * 4


def test_the_archive_holds_what_is_there_under_names_of_its_own(database: Database) -> None:
    pairs = [
        Pair("v", 1.0, BOX, "../../etc/passwd", 1, None, "me", 0.0),
        Pair("v", 2.0, None, "mug", 0, None, "me", 0.0),
        Pair("gone", 3.0, BOX, "mug", 1, "cup", "me", 0.0),
        Pair("v", 4.0, BOX, "sold out", 1, None, "me", 0.0),
    ]
    crops = {"v": b"crop"}
    pictures = {"../../etc/passwd": b"evil", "mug": b"mug" * 1000}
    pieces = list(archive_pairs(iter(pairs), lambda pair: crops.get(pair.video_id), pictures.get))
    assert len(pieces) == 4  # one of the pairs has nothing new to show
    assert all(pieces)
    with ZipFile(BytesIO(b"".join(pieces))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [
            "products/000000.jpg",
            "crops/000000.jpg",
            "products/000001.jpg",
            "crops/000001.jpg",
            "crops/000003.jpg",
            "pairs.jsonl",
        ]
        assert archive.read("products/000001.jpg") == b"mug" * 1000
        lines = [json.loads(line) for line in archive.read("pairs.jsonl").splitlines()]
    assert [(line["product_id"], line["crop"], line["picture"]) for line in lines] == [
        ("../../etc/passwd", "crops/000000.jpg", "products/000000.jpg"),
        ("mug", "crops/000001.jpg", "products/000001.jpg"),
        ("mug", None, "products/000001.jpg"),
        ("sold out", "crops/000003.jpg", None),
    ]


def test_nothing_to_learn_is_an_empty_archive() -> None:
    with ZipFile(BytesIO(b"".join(archive_pairs(iter(()), lambda pair: None, lambda name: None)))) as archive:
        assert archive.read("pairs.jsonl") == b""


def test_the_api_gives_both_files_to_those_of_the_shop_alone(
    parts: Services,
    database: Database,
    video: Video,
    make_video: MakeVideo,
    seller: TestClient,
    stranger: TestClient,
    client: TestClient,
) -> None:
    folder = parts.settings.video_folder(video.video_id)
    folder.mkdir(parents=True)
    make_video(pts_s=[n / 2 for n in range(40)]).rename(folder / "media.mp4")
    stock(parts, SHOP, [records.Product("mug", "Mug", ("mug.png",))])
    mug, gone = find(database, video, "mug", "gone")
    review(database, mug, "confirm")
    review(database, gone, "reject")

    lines = seller.get(f"/api/shops/{SHOP}/corrections.jsonl")
    assert lines.status_code == 200
    told = [json.loads(line) for line in lines.text.splitlines()]
    assert {(line["product_id"], line["label"]) for line in told} == {("mug", 1), ("gone", 0)}
    shown = seller.get(told[0]["frame"])
    assert shown.status_code == 200, shown.text
    with ZipFile(BytesIO(seller.get(f"/api/shops/{SHOP}/corrections.zip").content)) as archive:
        pairs = {line["product_id"]: line for line in map(json.loads, archive.read("pairs.jsonl").splitlines())}
        assert pairs["gone"]["picture"] is None
        assert archive.read(pairs["mug"]["picture"]) == parts.store.picture(SHOP, "mug")
        crop = archive.read(pairs["mug"]["crop"])
        assert PilImage.open(BytesIO(crop)).format == "JPEG"
        assert crop in {shown.content, seller.get(pairs["mug"]["frame"]).content}
    for name in ("corrections.jsonl", "corrections.zip"):
        assert client.get(f"/api/shops/{SHOP}/{name}").status_code == 401
        assert stranger.get(f"/api/shops/{SHOP}/{name}").status_code in (403, 404)
