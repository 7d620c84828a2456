"""The trace through the API, beside the files that it is put together from."""

from __future__ import annotations

import gzip
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.testclient import TestClient

from server.matched import add_matched, add_stream, open_focus
from shopcue.database import Database
from shopcue.server.services import Services

QUALITY = {"viewpoint": 0.5, "occlusion": 1.0, "crop": 0.25}
BOX = [1.5, 2.0, 30.0, 40.25]


def moment(time_s: float) -> dict[str, Any]:
    thing = {"tracklet_id": 3, "box": BOX, "coarse_class": "goods", "score": 0.9, "quality": QUALITY, "followed": True}
    return {
        "time_s": time_s,
        "things": [thing, {**thing, "tracklet_id": None, "followed": False}],
        "candidates": [
            {"product_id": "coat", "title": "Red coat", "score": 3.5, "probability": 0.9, "box": BOX}
            | {"visual": 3.0, "text": 0.5, "comments": 0.0}
        ],
    }


def pick(time_s: float) -> dict[str, Any]:
    return {
        "tracklet_id": 3,
        "time_s": time_s,
        "start_s": time_s - 1,
        "end_s": time_s + 0.5,
        "box": BOX,
        "coarse_class": "goods",
        "score": 0.8,
        "quality": QUALITY,
        "worth": 0.7,
        "verified": True,
        "candidates": [{"product_id": "coat", "title": "Red coat", "similarity": 4.2, "inliers": 17}],
        "dropped": [{"time_s": time_s - 1, "box": BOX, "worth": 0.2, "reason": "worse crop"}],
    }


MOMENTS_S = [n / 2 for n in range(2 * 200)]
PICKS_S = [0.25 + 1.5 * n for n in range(130)]


def write_trace(parts: Services, video: str) -> None:
    """Half a second a moment for 200 s, a minute a file; the third minute is missing."""
    folder = parts.settings.video_folder(video) / "trace"
    folder.mkdir(parents=True)
    for minute in (0, 1, 3):
        inside = [time_s for time_s in MOMENTS_S if time_s // 60 == minute]
        content = {
            "start_s": 60.0 * minute,
            "end_s": 60.0 * (minute + 1),
            "width": 640,
            "height": 360,
            "moments": [moment(time_s) for time_s in reversed(inside)],
            "picks": [pick(time_s) for time_s in PICKS_S if time_s // 60 == minute],
        }
        (folder / f"{minute}.json.gz").write_bytes(gzip.compress(json.dumps(content).encode()))


@pytest.fixture
def video(parts: Services, database: Database) -> str:
    found = add_matched(parts)
    write_trace(parts, found)
    return found


STRETCHES: list[tuple[dict[str, float], float, float]] = [
    ({}, 0, 60),
    ({"start_s": 30}, 30, 90),
    ({"start_s": 59.75, "end_s": 60.5}, 59.75, 60.5),
    ({"start_s": 10, "end_s": 500}, 10, 130),
    ({"start_s": 100, "end_s": 200}, 100, 200),
    ({"start_s": 50, "end_s": 20}, 50, 50),
    ({"start_s": 5000}, 5000, 5060),
]
"""What is asked for, and from when to when the answer is."""


def test_a_stretch_is_what_its_files_say(viewer: TestClient, video: str) -> None:
    for query, start_s, end_s in STRETCHES:
        answer = viewer.get(f"/api/videos/{video}/trace", params=query).json()
        assert (answer["start_s"], answer["end_s"]) == (start_s, end_s)
        assert (answer["width"], answer["height"]) == (640, 360)
        for name, times_s in (("moments", MOMENTS_S), ("picks", PICKS_S)):
            there = [time_s for time_s in times_s if start_s <= time_s < end_s and time_s // 60 in (0, 1, 3)]
            assert [each["time_s"] for each in answer[name]] == there


def test_everything_that_was_written_is_there_and_what_is_shown(viewer: TestClient, video: str) -> None:
    answer = viewer.get(f"/api/videos/{video}/trace", params={"start_s": 4, "end_s": 43}).json()
    for each in answer["moments"]:
        focuses = {"coat": (5, 20), "mug/1 é": (25, 40.5), "hat": (42, 55)}
        showing = [name for name, (start_s, end_s) in focuses.items() if start_s <= each["time_s"] < end_s]
        assert each == {**moment(each["time_s"]), "showing": showing[0] if showing else None}
    for each in answer["picks"]:
        address = urlsplit(each.pop("crop"))
        assert each == pick(each["time_s"])
        assert address.path == f"/api/videos/{video}/frame"
        query = {name: value for name, (value,) in parse_qs(address.query).items()}
        assert float(query["t"]) == each["time_s"]
        assert [float(edge) for edge in query["box"].split(",")] == BOX


def test_what_is_rejected_is_not_shown_and_what_is_open_is(
    seller: TestClient, parts: Services, database: Database, video: str
) -> None:
    focus = seller.get(f"/api/videos/{video}/focuses").json()["focuses"][0]
    seller.post(f"/api/focuses/{focus['focus_id']}/review", json={"action": "reject"}).raise_for_status()
    moments = seller.get(f"/api/videos/{video}/trace", params={"end_s": 21}).json()["moments"]
    assert {each["showing"] for each in moments} == {None}
    stream = add_stream(parts)
    write_trace(parts, stream)
    open_focus(parts, stream, start_s=10)
    moments = seller.get(f"/api/videos/{stream}/trace", params={"end_s": 60}).json()["moments"]
    assert [each["time_s"] for each in moments if each["showing"] == "coat"] == [t for t in MOMENTS_S if 10 <= t < 60]


def test_a_damaged_minute_is_left_out(viewer: TestClient, parts: Services, video: str) -> None:
    folder = parts.settings.video_folder(video) / "trace"
    for broken in (b"", b"\x1f\x8b\x08garbage", gzip.compress(b"{"), (folder / "1.json.gz").read_bytes()[:200]):
        (folder / "0.json.gz").write_bytes(broken)
        answer = viewer.get(f"/api/videos/{video}/trace", params={"end_s": 120})
        assert answer.status_code == 200
        assert {each["time_s"] // 60 for each in answer.json()["moments"]} == {1}


def test_a_video_without_a_trace_has_an_empty_one(viewer: TestClient, parts: Services, database: Database) -> None:
    answer = viewer.get(f"/api/videos/{add_matched(parts)}/trace").json()
    assert answer == {"start_s": 0, "end_s": 60, "width": 640, "height": 360, "moments": [], "picks": []}


def test_only_those_of_the_shop_see_it(
    client: TestClient, stranger: TestClient, viewer: TestClient, video: str
) -> None:
    place = f"/api/videos/{video}/trace"
    assert [each.get(place).status_code for each in (client, stranger, viewer)] == [401, 404, 200]
    for query in ({"start_s": -1}, {"start_s": "nan"}, {"end_s": "inf"}, {"start_s": 1e30}):
        assert viewer.get(place, params=query).status_code == 422
