"""Texts of strangers, ids and times as every database keeps them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("sqlalchemy")

from shopcue.database import Database
from shopcue.database.events import add_event, events_after
from shopcue.database.shops import get_shop, put_shop
from shopcue.database.texts import clean, iso_time, new_id
from shopcue.errors import RecordError

ANY_TEXT = st.text(st.characters())  # with NUL and halves of surrogate pairs
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)
SHARED_FIXTURE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)


def expected(text: str) -> str:
    return "".join("\ufffd" if char == "\x00" or 0xD800 <= ord(char) <= 0xDFFF else char for char in text)


@given(ANY_TEXT)
def test_cleaning_replaces_what_cannot_be_kept_and_nothing_else(text: str) -> None:
    assert clean(text) == expected(text)
    clean(text).encode()


@SHARED_FIXTURE
@given(text=ANY_TEXT, data=st.dictionaries(ANY_TEXT, JSON, max_size=3))
def test_every_text_and_json_comes_back_as_it_was_when_it_was_set(
    database: Database, text: str, data: dict[str, Any]
) -> None:
    with database.write() as session:
        shop = put_shop(session, "demo", text)
        event = add_event(session, "catalog.update", "demo", data=data)
    with database.read() as session:
        assert get_shop(session, "demo").title == shop.title == expected(text)
        [kept] = events_after(session, event.event_id - 1)
        assert kept.data == event.data == clean(data)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_json_cannot_say_is_refused(database: Database, number: float) -> None:
    with database.write() as session, pytest.raises(RecordError):
        add_event(session, "catalog.update", "demo", data={"deep": [number]})


def test_ids_are_letters_and_digits_and_do_not_meet() -> None:
    ids = {new_id() for _ in range(2_000)}
    assert len(ids) == 2_000
    assert all(len(one) == 12 and one.isascii() and one.isalnum() for one in ids)


@given(st.floats(0, 4e9))
def test_times_are_iso_8601_to_the_millisecond(at: float) -> None:
    text = iso_time(at)
    assert text is not None
    assert text.endswith("Z")
    assert abs(datetime.fromisoformat(text).timestamp() - at) < 0.0011
    assert datetime.fromisoformat(text).tzinfo == UTC


def test_no_time_is_none() -> None:
    assert iso_time(None) is None
