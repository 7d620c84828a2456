"""The focuses of a video through the API."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from server.conftest import SHOP
from server.matched import COAT, FOUND, HAT, MUG, SCRIPT, add_matched, add_stream, open_focus
from shopcue.database import Database
from shopcue.server.services import Services


@pytest.fixture
def video(parts: Services, database: Database) -> str:
    return add_matched(parts)


def test_lists_what_was_found_in_order_of_time(viewer: TestClient, video: str) -> None:
    answer = viewer.get(f"/api/videos/{video}/focuses").json()["focuses"]
    assert [(each["product_id"], each["start_s"], each["end_s"], each["score"]) for each in answer] == [
        (each.product_id, each.start_s, each.end_s, each.score) for each in FOUND
    ]
    mug = answer[1]
    assert mug["title"] == MUG.title
    assert mug["evidence"] == {
        "visual": 2.5,
        "text": -0.5,
        "comments": 0.25,
        "frame_s": pytest.approx(32.75),
        "box": [1, 2, 30, 40],
        "utterances": [{"start_s": 25, "end_s": 40.5, "text": f"look {SCRIPT}"}],
    }
    assert mug["alternatives"] == [
        {"product_id": "coat", "score": 0.4, "title": COAT.title},
        {"product_id": "hat", "score": 0.02, "title": HAT.title},
    ]
    assert answer[2]["alternatives"] == [{"product_id": "gone", "score": 0.2, "title": "gone"}]
    assert mug["status"] == "found"
    assert mug["found"] == {"product_id": MUG.product_id, "start_s": 25, "end_s": 40.5}
    assert viewer.get(mug["picture"]).headers["content-type"] == "image/jpeg"


def test_the_most_doubtful_come_first_if_asked_for(seller: TestClient, video: str) -> None:
    place = f"/api/videos/{video}/focuses"
    answer = seller.get(place, params={"order": "doubt"}).json()["focuses"]
    margins = {5: 0.95 - 0.03, 25: 0.55 - 0.4, 42: 0.7 - 0.2, 60: 0.99}
    assert [each["start_s"] for each in answer] == sorted(margins, key=lambda start_s: margins[start_s])
    assert all(0 <= each["doubt"] <= 1 for each in answer)
    seller.post(f"/api/focuses/{answer[0]['focus_id']}/review", json={"action": "confirm"}).raise_for_status()
    after = seller.get(place, params={"order": "doubt"}).json()["focuses"]
    assert after[-1]["focus_id"] == answer[0]["focus_id"]
    assert after[-1]["doubt"] == 0


def test_rejected_ones_are_listed_only_if_asked_for(seller: TestClient, video: str) -> None:
    place = f"/api/videos/{video}/focuses"
    first = seller.get(place).json()["focuses"][0]
    assert seller.post(f"/api/focuses/{first['focus_id']}/review", json={"action": "reject"}).status_code == 200
    assert len(seller.get(place).json()["focuses"]) == 3
    every = seller.get(place, params={"include": "rejected"}).json()["focuses"]
    assert [each["status"] for each in every] == ["rejected", "found", "found", "found"]


def test_one_that_was_missed_is_added(seller: TestClient, video: str) -> None:
    place = f"/api/videos/{video}/focuses"
    added = seller.post(place, json={"product_id": MUG.product_id, "start_s": 71, "end_s": 200})
    assert added.status_code == 201
    focus = added.json()
    assert (focus["title"], focus["status"], focus["found"]) == (MUG.title, "added", None)
    assert (focus["start_s"], focus["end_s"]) == (71, 80)  # cut at the end of the video
    assert seller.get(place).json()["focuses"][-1] == focus
    (review,) = seller.get(f"/api/focuses/{focus['focus_id']}/reviews").json()["reviews"]
    assert (review["action"], review["who"], review["undone"]) == ("add", "Sam", False)


def test_what_cannot_be_added_is_refused(seller: TestClient, video: str) -> None:
    for body, status in [
        ({"product_id": "gone", "start_s": 1, "end_s": 2}, 404),
        ({"product_id": "coat", "start_s": 3, "end_s": 2}, 400),
        ({"product_id": "coat", "start_s": 90, "end_s": 95}, 400),
        ({"product_id": "coat", "start_s": -1, "end_s": 2}, 422),
        ({"product_id": "coat", "start_s": "NaN", "end_s": 2}, 422),
        ({"product_id": "coat", "start_s": 1}, 422),
        ({"product_id": "coat", "start_s": 1, "end_s": 2, "who": "me"}, 422),
    ]:
        answer = seller.post(f"/api/videos/{video}/focuses", json=body)
        assert answer.status_code == status
        assert "\n" not in answer.json()["error"]
        assert len(seller.get(f"/api/videos/{video}/focuses").json()["focuses"]) == len(FOUND)


def test_only_those_of_the_shop_see_and_only_sellers_add(
    client: TestClient, viewer: TestClient, stranger: TestClient, video: str
) -> None:
    place, body = f"/api/videos/{video}/focuses", {"product_id": "coat", "start_s": 1, "end_s": 2}
    assert [each.get(place).status_code for each in (client, stranger, viewer)] == [401, 404, 200]
    assert [each.post(place, json=body).status_code for each in (client, stranger, viewer)] == [401, 404, 403]


def test_one_that_is_on_screen_has_no_end(viewer: TestClient, parts: Services, database: Database) -> None:
    video = add_stream(parts)
    open_focus(parts, video)
    (focus,) = viewer.get(f"/api/videos/{video}/focuses").json()["focuses"]
    assert (focus["status"], focus["start_s"], focus["end_s"]) == ("open", 5, None)
    assert SHOP in focus["picture"]
