"""Webhooks: each event that one listens to becomes one delivery, once."""

from __future__ import annotations

import time

import pytest

pytest.importorskip("sqlalchemy")

from shopcue.database import Database
from shopcue.database.events import EVENT_TYPES, add_event
from shopcue.database.shops import put_shop
from shopcue.database.webhooks import (
    MAX_WEBHOOKS,
    add_webhook,
    delete_webhook,
    due_deliveries,
    get_webhook,
    list_deliveries,
    list_webhooks,
    queue_deliveries,
    send_test,
    settle_delivery,
)
from shopcue.errors import Conflict, Missing, RecordError

URL = "https://example.com/hook"


def test_each_event_goes_once_to_each_webhook_that_listens(database: Database) -> None:
    with database.write() as session:
        put_shop(session, "other", "Other")
        add_event(session, "job.update", "demo")  # before anybody listened
        hooks = {
            "jobs": add_webhook(session, "demo", URL, ["job.update"]),
            "all": add_webhook(session, "demo", URL, EVENT_TYPES),
            "theirs": add_webhook(session, "other", URL, ["job.update"]),
            "silent": add_webhook(session, "demo", URL, ["job.update"]),
        }
        hooks["silent"].active = False
        sent: dict[str, list[int]] = {name: [] for name in hooks}
        for turn in range(30):
            type, shop = EVENT_TYPES[turn % len(EVENT_TYPES)], ("demo", "other")[turn % 3 == 0]
            event_id = add_event(session, type, shop).event_id
            for name, hook in hooks.items():
                if name != "silent" and hook.shop == shop and type in hook.events:
                    sent[name].append(event_id)
            if turn % 7 == 0:
                queue_deliveries(session, limit=2)
    with database.write() as session:
        while queue_deliveries(session, limit=2):
            pass
        for name, hook in hooks.items():
            got = [event.event_id for _, event in list_deliveries(session, hook.webhook_id)]
            assert got == sent[name][::-1], name


def test_a_delivery_is_due_until_it_is_settled(database: Database) -> None:
    with database.write() as session:
        hook = add_webhook(session, "demo", URL, ["job.update"])
        for _ in range(3):
            add_event(session, "job.update", "demo")
        queue_deliveries(session)
        now = time.time() + 1
        first, second, third = (due.delivery for due in due_deliveries(session, now))
        settle_delivery(session, first.delivery_id, delivered=True, status_code=204)
        settle_delivery(session, second.delivery_id, delivered=False, retry_at=now + 60, error="busy")
        settle_delivery(session, third.delivery_id, delivered=False, status_code=410)
        assert due_deliveries(session, now) == []
        [due] = due_deliveries(session, now + 61)
        assert (due.delivery.delivery_id, due.webhook, due.event.type) == (second.delivery_id, hook, "job.update")
        assert [delivery.state for delivery in (first, second, third)] == ["delivered", "waiting", "failed"]
        assert [delivery.attempts for delivery in (first, second, third)] == [1, 1, 1]
        hook.active = False
        assert due_deliveries(session, now + 61) == []
    with database.write() as session:
        delete_webhook(session, hook.webhook_id)
    with database.write() as session:
        assert settle_delivery(session, second.delivery_id, delivered=True) is None
        with pytest.raises(Missing):
            get_webhook(session, hook.webhook_id)


def test_a_test_goes_to_one_webhook_alone(database: Database) -> None:
    with database.write() as session:
        asked, other = (add_webhook(session, "demo", URL, ["job.update"]) for _ in range(2))
        send_test(session, asked.webhook_id)
        assert queue_deliveries(session) == 0
        [(_, event)] = list_deliveries(session, asked.webhook_id)
        assert event.type == "webhook.test"
        assert list_deliveries(session, other.webhook_id) == []


def test_secrets_differ_and_webhooks_are_bounded(database: Database) -> None:
    with database.write() as session:
        hooks = [add_webhook(session, "demo", URL, ["job.update"]) for _ in range(MAX_WEBHOOKS)]
        assert len({hook.secret for hook in hooks}) == MAX_WEBHOOKS
        assert list_webhooks(session, "demo") == hooks
        with pytest.raises(Conflict, match="delete one"):
            add_webhook(session, "demo", URL, ["job.update"])


@pytest.mark.parametrize("events", [[], ["everything"], ["job.update", "webhook.test"]])
def test_an_event_that_there_is_not_is_refused(database: Database, events: list[str]) -> None:
    with database.write() as session, pytest.raises(RecordError, match="expected some of"):
        add_webhook(session, "demo", URL, events)
