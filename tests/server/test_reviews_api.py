"""Reviews through the API: what a decision does, who may make it, and how it is taken back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from server.conftest import SHOP
from server.matched import COAT, HAT, MUG, add_matched
from shopcue.database import Database
from shopcue.server.services import Services

KEPT = ("product_id", "title", "start_s", "end_s", "status")


@pytest.fixture
def video(parts: Services, database: Database) -> str:
    return add_matched(parts)


@pytest.fixture
def focus(seller: TestClient, video: str) -> dict[str, Any]:
    """The mug at 25 to 40.5 s."""
    found: dict[str, Any] = seller.get(f"/api/videos/{video}/focuses").json()["focuses"][1]
    return found


def kept(focus: dict[str, Any]) -> dict[str, Any]:
    return {name: focus[name] for name in KEPT}


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        ({"action": "confirm"}, {"status": "confirmed"}),
        ({"action": "reject"}, {"status": "rejected"}),
        (
            {"action": "replace", "product_id": "hat"},
            {"product_id": "hat", "title": HAT.title, "status": "corrected"},
        ),
        ({"action": "move", "start_s": 26.5}, {"start_s": 26.5, "status": "corrected"}),
        ({"action": "move", "end_s": 39}, {"end_s": 39, "status": "corrected"}),
        ({"action": "move", "start_s": 1, "end_s": 99}, {"start_s": 1, "end_s": 80, "status": "corrected"}),
    ],
)
def test_a_decision_changes_the_focus_and_is_remembered(
    seller: TestClient, focus: dict[str, Any], body: dict[str, Any], changed: dict[str, Any]
) -> None:
    place = f"/api/focuses/{focus['focus_id']}"
    after = seller.post(f"{place}/review", json={**body, "version": focus["version"]}).json()
    assert kept(after) == kept(focus) | changed
    assert after["version"] > focus["version"]
    assert after["found"] == focus["found"]
    (review,) = seller.get(f"{place}/reviews").json()["reviews"]
    assert (review["action"], review["who"], review["undone"]) == (body["action"], "Sam", False)
    assert {name: review["before"][name] for name in KEPT} == kept(focus)
    assert {name: review["after"][name] for name in KEPT} == kept(after)
    back = seller.post(f"{place}/undo").json()
    assert kept(back) == kept(focus)
    undo, undone = seller.get(f"/api/shops/{SHOP}/reviews").json()["reviews"]
    assert (undo["action"], undone["undone"]) == ("undo", True)


def test_what_makes_no_sense_is_refused_and_changes_nothing(
    seller: TestClient, focus: dict[str, Any], video: str
) -> None:
    for body, status in [
        ({"action": "replace"}, 422),
        ({"action": "replace", "product_id": "gone"}, 404),
        ({"action": "move"}, 400),
        ({"action": "move", "start_s": 70}, 400),
        ({"action": "move", "start_s": -1}, 422),
        ({"action": "restore"}, 409),
        ({"action": "undo"}, 422),
        ({"action": "confirm", "version": 999}, 409),
        ({}, 422),
    ]:
        answer = seller.post(f"/api/focuses/{focus['focus_id']}/review", json=body)
        assert answer.status_code == status, answer.text
        assert seller.get(f"/api/videos/{video}/focuses").json()["focuses"][1] == focus
        assert seller.get(f"/api/focuses/{focus['focus_id']}/reviews").json() == {"reviews": []}


def test_of_two_who_decide_at_once_the_second_is_told(
    seller: TestClient, admin: TestClient, focus: dict[str, Any]
) -> None:
    place = f"/api/focuses/{focus['focus_id']}/review"
    body = {"version": focus["version"]}
    assert seller.post(place, json={"action": "reject", **body}).status_code == 200
    late = admin.post(place, json={"action": "confirm", **body})
    assert late.status_code == 409
    assert "version" in late.json()["error"]


def test_nothing_to_undo_is_said(seller: TestClient, focus: dict[str, Any]) -> None:
    assert seller.post(f"/api/focuses/{focus['focus_id']}/undo").status_code == 409


def test_only_sellers_of_the_shop_decide(
    client: TestClient, viewer: TestClient, stranger: TestClient, focus: dict[str, Any]
) -> None:
    place = f"/api/focuses/{focus['focus_id']}"
    for method, path, body in (
        ("POST", "review", {"action": "confirm"}),
        ("POST", "undo", None),
        ("GET", "reviews", None),
    ):
        codes = [each.request(method, f"{place}/{path}", json=body).status_code for each in (client, stranger, viewer)]
        assert codes == [401, 404, 403 if method == "POST" else 200], path
    unknown, foreign = (stranger.get(f"/api/focuses/{each}/reviews") for each in ("nothere", focus["focus_id"]))
    assert unknown.status_code == foreign.status_code == 404
    assert unknown.json()["error"].replace("nothere", "X") == foreign.json()["error"].replace(focus["focus_id"], "X")
    assert stranger.get(f"/api/shops/{SHOP}/reviews").status_code == 404


def test_the_decisions_of_a_shop_come_page_by_page(seller: TestClient, video: str) -> None:
    for focus in seller.get(f"/api/videos/{video}/focuses").json()["focuses"]:
        seller.post(f"/api/focuses/{focus['focus_id']}/review", json={"action": "confirm"}).raise_for_status()
    every = seller.get(f"/api/shops/{SHOP}/reviews").json()["reviews"]
    ids = [each["review_id"] for each in every]
    assert len(ids) == 4
    assert ids == sorted(ids, reverse=True)
    page = seller.get(f"/api/shops/{SHOP}/reviews", params={"limit": 2, "before": ids[1]}).json()["reviews"]
    assert [each["review_id"] for each in page] == ids[2:]


ACTIONS = st.one_of(
    st.sampled_from([{"action": "confirm"}, {"action": "reject"}, {"action": "restore"}, {"action": "undo"}]),
    st.sampled_from([COAT, HAT, MUG]).map(lambda p: {"action": "replace", "product_id": p.product_id}),
    st.tuples(st.integers(0, 39), st.integers(40, 80)).map(
        lambda s: {"action": "move", "start_s": s[0], "end_s": s[1]}
    ),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=st.lists(ACTIONS, max_size=8))
def test_any_decisions_leave_what_a_plain_list_of_states_says(
    seller: TestClient, video: str, actions: list[dict[str, Any]]
) -> None:
    """The truth is a stack: a decision pushes what it changed, an undo pops it."""
    titles = {p.product_id: p.title for p in (COAT, HAT, MUG)}
    base = {"product_id": "coat", "start_s": 30.0, "end_s": 50.0}
    focus = seller.post(f"/api/videos/{video}/focuses", json=base).json()
    place = f"/api/focuses/{focus['focus_id']}"
    states = [{**base, "status": "rejected"}, {**base, "status": "added"}]  # added by a person: undone, it is rejected
    for body in actions:
        now = states[-1]
        answer = seller.post(f"{place}/undo") if body["action"] == "undo" else seller.post(f"{place}/review", json=body)
        if body["action"] == "undo":
            allowed = len(states) > 1
            states = states[:-1] if allowed else states
        elif body["action"] == "restore":
            allowed = now["status"] == "rejected"
            states += [{**now, "status": "added"}] if allowed else []
        elif answer.status_code == 409:
            allowed = False  # a rejected one has to be restored first, and what is so already needs no decision
            assert now["status"] == "rejected" or body["action"] == "confirm"
        else:
            allowed = True
            values = {name: value for name, value in body.items() if name != "action"}
            states.append({**now, **values, "status": "rejected" if body["action"] == "reject" else "added"})
        assert answer.status_code == (200 if allowed else 409), (body, answer.text)
        if allowed:
            got = answer.json()
            assert {name: got[name] for name in states[-1]} == states[-1]
            assert got["title"] == titles[got["product_id"]]
