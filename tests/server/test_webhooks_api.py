"""Webhooks through the API: made, listed, tested, deleted, by those who may."""

from __future__ import annotations

import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from server.conftest import SHOP
from shopcue.database import Database
from shopcue.database.events import add_event
from shopcue.database.webhooks import due_deliveries, queue_deliveries, settle_delivery
from shopcue.server.delivery import signature

URL = "https://hooks.example/shopcue?key=1"
BODY = {"url": URL, "events": ["focus.review", "job.update"]}
PLACE = f"/api/shops/{SHOP}/webhooks"


@pytest.fixture
def webhook(seller: TestClient) -> dict[str, Any]:
    answer = seller.post(PLACE, json=BODY)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_the_secret_is_shown_once(seller: TestClient, webhook: dict[str, Any]) -> None:
    assert webhook["secret"]
    (listed,) = seller.get(PLACE).json()["webhooks"]
    assert listed == {name: value for name, value in webhook.items() if name != "secret"}
    assert (listed["url"], listed["events"], listed["active"]) == (URL, BODY["events"], True)
    assert webhook["secret"] not in seller.get(PLACE).text


def test_deliveries_say_how_it_went(seller: TestClient, database: Database, webhook: dict[str, Any]) -> None:
    place = f"/api/webhooks/{webhook['webhook_id']}"
    sent = seller.post(f"{place}/test")
    assert sent.status_code == 202
    assert (sent.json()["state"], sent.json()["attempts"]) == ("waiting", 0)
    with database.write() as session:
        add_event(session, "focus.review", SHOP)
        add_event(session, "catalog.update", SHOP)
        queue_deliveries(session)
        first, second = sorted(due_deliveries(session, 1e12), key=lambda due: due.event.event_id)
        settle_delivery(session, first.delivery.delivery_id, delivered=True, status_code=204)
        settle_delivery(session, second.delivery.delivery_id, delivered=False, status_code=500, error="no\nthanks")
    newest, test = seller.get(f"{place}/deliveries").json()["deliveries"]
    assert test["event_id"] == sent.json()["event_id"] < newest["event_id"]
    assert (test["state"], test["status_code"], test["attempts"], test["next_at"]) == ("delivered", 204, 1, None)
    assert (newest["state"], newest["status_code"]) == ("failed", 500)
    assert len(seller.get(f"{place}/deliveries", params={"limit": 1}).json()["deliveries"]) == 1


def test_addresses_and_events_that_are_none_are_refused(seller: TestClient) -> None:
    for body, status in [
        ({"url": "ftp://hooks.example/", "events": ["focus.open"]}, 400),
        ({"url": "javascript:alert(1)", "events": ["focus.open"]}, 400),
        ({"url": "http://127.0.0.1/x", "events": ["focus.open"]}, 400),
        ({"url": "http://[::1]/x", "events": ["focus.open"]}, 400),
        ({"url": "http://localhost:1/x", "events": ["focus.open"]}, 400),
        ({"url": "http://169.254.169.254/latest", "events": ["focus.open"]}, 400),
        ({"url": "https://me:secret@hooks.example/", "events": ["focus.open"]}, 422),
        ({"url": URL, "events": ["focus.everything"]}, 422),
        ({"url": URL, "events": []}, 422),
        ({"url": URL}, 422),
    ]:
        answer = seller.post(PLACE, json=body)
        assert answer.status_code == status, answer.text
        assert "\n" not in answer.json()["error"]
        assert seller.get(PLACE).json() == {"webhooks": []}


def test_only_sellers_of_the_shop_have_to_do_with_them(
    client: TestClient, viewer: TestClient, stranger: TestClient, seller: TestClient, webhook: dict[str, Any]
) -> None:
    place = f"/api/webhooks/{webhook['webhook_id']}"
    for method, path, body in (
        ("GET", PLACE, None),
        ("POST", PLACE, BODY),
        ("GET", f"{place}/deliveries", None),
        ("POST", f"{place}/test", None),
        ("DELETE", place, None),
    ):
        codes = [each.request(method, path, json=body).status_code for each in (client, stranger, viewer)]
        assert codes == [401, 404, 403], (method, path)
    assert seller.delete(place).status_code == 204
    assert seller.delete(place).status_code == 404
    assert seller.get(PLACE).json() == {"webhooks": []}


def test_the_check_of_a_signature_in_the_documentation_works() -> None:
    page = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")
    code = page[page.index("    import hashlib") : page.index("**An event may come twice")]
    said: dict[str, Any] = {}
    exec(textwrap.dedent(code), said)
    body, now = b'{"event_id":1}', int(time.time())
    is_ours = said["is_ours"]
    assert is_ours(signature("whsec_1", body, now), body, "whsec_1")
    assert not is_ours(signature("whsec_2", body, now), body, "whsec_1")
    assert not is_ours(signature("whsec_1", body, now), body + b" ", "whsec_1")
    assert not is_ours(signature("whsec_1", body, now - 1000), body, "whsec_1")
    assert not is_ours(signature("whsec_1", body, now).replace(f"t={now}", f"t={now + 1}"), body, "whsec_1")
