"""Uploads count what is safe, tokens open what they may, shops end with all that is theirs."""

from __future__ import annotations

import time
from hashlib import sha256

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("sqlalchemy")

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from shopcue import records
from shopcue.catalog.feeds import ItemReport
from shopcue.database import Database
from shopcue.database.events import last_event_id
from shopcue.database.focuses import put_focuses
from shopcue.database.jobs import add_items, add_job
from shopcue.database.reviews import add_focus
from shopcue.database.shops import delete_shop, get_shop, list_shops, put_shop
from shopcue.database.tables import Row
from shopcue.database.tokens import create_token, find_token, list_tokens, revoke_token, touch_token
from shopcue.database.uploads import (
    add_upload,
    advance_upload,
    count_open_uploads,
    delete_upload,
    finish_upload,
    get_upload,
    list_uploads,
    stale_uploads,
    use_upload,
)
from shopcue.database.videos import add_video
from shopcue.database.webhooks import add_webhook, send_test
from shopcue.database.words import add_comments, put_utterances
from shopcue.errors import Conflict, Missing, RecordError

# ---- uploads ---------------------------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(size=st.integers(1, 50), chunks=st.lists(st.tuples(st.integers(-5, 55), st.integers(-5, 55)), max_size=12))
def test_only_chunks_that_go_on_where_the_upload_ends_count(
    database: Database, size: int, chunks: list[tuple[int, int]]
) -> None:
    with database.write() as session:
        upload_id = add_upload(session, "demo", "video", "v.mp4", size).upload_id
    offset = 0
    for start, end in chunks:
        with database.write() as session:
            if start != offset:
                with pytest.raises(Conflict, match=f"has {offset} bytes"):
                    advance_upload(session, upload_id, start, end)
            elif not start <= end <= size:
                with pytest.raises(RecordError):
                    advance_upload(session, upload_id, start, end)
            else:
                advance_upload(session, upload_id, start, end)
                offset = end
    with database.write() as session:
        upload = get_upload(session, upload_id)
        assert upload.offset == offset
        if offset < size:
            with pytest.raises(Conflict, match="send the others"):
                finish_upload(session, upload_id)
        else:
            assert finish_upload(session, upload_id).state == "complete"


def test_an_upload_is_taken_once_and_by_its_shop_and_kind_alone(database: Database) -> None:
    with database.write() as session:
        put_shop(session, "other", "Other")
        upload = add_upload(session, "demo", "feed", "f.csv", 3, sha256=sha256(b"abc").hexdigest().upper())
        assert upload.sha256 == sha256(b"abc").hexdigest()
        with pytest.raises(Conflict, match="is open"):
            use_upload(session, upload.upload_id, "demo", "feed")
        advance_upload(session, upload.upload_id, 0, 3)
        finish_upload(session, upload.upload_id)
        with pytest.raises(Missing):
            use_upload(session, upload.upload_id, "other", "feed")
        with pytest.raises(Conflict, match="expected video"):
            use_upload(session, upload.upload_id, "demo", "video")
        use_upload(session, upload.upload_id, "demo", "feed")
        with pytest.raises(Conflict, match="is used"):
            use_upload(session, upload.upload_id, "demo", "feed")
        with pytest.raises(Conflict, match="is used"):
            advance_upload(session, upload.upload_id, 3, 3)


def test_uploads_that_nobody_goes_on_with_are_stale(database: Database) -> None:
    with database.write() as session:
        old, new = (add_upload(session, "demo", "video", name, 10) for name in ("old", "new"))
        old.updated_at = time.time() - 1_000
        used = add_upload(session, "demo", "video", "used", 10)
        used.updated_at, used.state = old.updated_at, "used"
        assert [upload.name for upload in stale_uploads(session, time.time() - 500)] == ["old"]
        assert count_open_uploads(session, "demo") == 2
        delete_upload(session, old.upload_id)
        assert [upload.name for upload in list_uploads(session, "demo", "open")] == [new.name]
        with pytest.raises(Missing):
            get_upload(session, old.upload_id)


@pytest.mark.parametrize(
    ("kind", "size", "digest"),
    [("film", 1, None), ("video", 0, None), ("video", -1, None), ("video", 1, "abc"), ("video", 1, "g" * 64)],
)
def test_an_upload_that_cannot_be_is_refused(database: Database, kind: str, size: int, digest: str | None) -> None:
    with database.write() as session, pytest.raises(RecordError, match="expected"):
        add_upload(session, "demo", kind, "name", size, digest)


# ---- tokens ----------------------------------------------------------------------------------------------------


def test_a_token_is_found_by_its_text_alone_and_only_a_hash_is_kept(database: Database) -> None:
    with database.write() as session:
        token, text = create_token(session, "Mei", "seller", ["demo", "demo"])
        other, other_text = create_token(session, "Ada", "admin")
    secret = text.rsplit("_", 1)[1]
    with database.read() as session:
        for row in list_tokens(session):
            assert secret not in repr(row)
        found = find_token(session, text)
        assert found is not None
        assert (found.token_id, found.role, found.shops) == (token.token_id, "seller", ["demo"])
        assert found.hash == sha256(text.encode()).hexdigest()
        mixed = f"sc_{other.token_id}_{secret}"
        for wrong in ("", "sc_", text[:-1], text + "a", text.upper(), mixed, other_text[:-1] + "!", "sc_\x00_\ud800"):
            assert find_token(session, wrong) is None


def test_a_token_ends_when_it_expires_or_is_revoked(database: Database) -> None:
    with database.write() as session:
        _, late = create_token(session, "a", "viewer", [], expires_at=time.time() - 1)
        _, early = create_token(session, "b", "viewer", [], expires_at=time.time() + 100)
        revoked, text = create_token(session, "c", "viewer", [])
        assert find_token(session, text) is revoked
        at = revoke_token(session, revoked.token_id).revoked_at
        assert revoke_token(session, revoked.token_id).revoked_at == at
        assert find_token(session, text) is None
        assert find_token(session, late) is None
        assert find_token(session, early) is not None
        with pytest.raises(Missing):
            revoke_token(session, "nobody")
        with pytest.raises(RecordError, match="expected one of admin"):
            create_token(session, "d", "owner", [])


def test_the_use_of_a_token_is_noted_once_a_minute(database: Database) -> None:
    with database.write() as session:
        token, _ = create_token(session, "a", "viewer", [])
        touch_token(session, token.token_id)
        first = token.used_at
        assert first is not None
        touch_token(session, token.token_id)
        assert token.used_at == first
        token.used_at = first - 61
        touch_token(session, token.token_id)
        assert token.used_at >= first


# ---- shops -----------------------------------------------------------------------------------------------------


def test_a_shop_ends_with_all_that_is_its_and_nothing_else(database: Database) -> None:
    with database.write() as session:
        put_shop(session, "other", "Other")
        tokens = [create_token(session, "t", "seller", shops)[0] for shops in (["demo"], ["demo", "other"], ["other"])]
        for shop in ("demo", "other"):
            fill(session, shop)
    before = counts(database)
    with database.write() as session:
        delete_shop(session, "demo")
    after = counts(database)
    assert all(after[name] * 2 == before[name] > 0 for name in before if name != "tokens"), (before, after)
    with database.read() as session:
        kept = {token.token_id: token.shops for token in list_tokens(session)}
        assert [kept[token.token_id] for token in tokens] == [[], ["other"], ["other"]]
        assert [shop.shop for shop in list_shops(session)] == ["other"]
        with pytest.raises(Missing):
            get_shop(session, "demo")


def fill(session: Session, shop: str) -> None:
    """Put something of a shop into every table."""
    video = add_video(session, shop, "recording", "v", "v.mp4")
    add_upload(session, shop, "video", "v", 1)
    job = add_job(session, "import", shop, {})
    add_items(session, job.job_id, [ItemReport(1, "p", "ok", "")])
    evidence = records.Evidence(0, 0, 0, 0, (0, 0, 1, 1))
    put_focuses(session, video, [records.Focus("p", "P", 0, 1, 1, evidence)])
    add_focus(session, video, "p", "P", 2, 3, "me", "seller")
    put_utterances(session, video.video_id, [records.Utterance(0, 1, "hello")])
    add_comments(session, video.video_id, [records.Comment(0, "u", "hi")])
    send_test(session, add_webhook(session, shop, "https://example.com", ["job.update"]).webhook_id)
    assert last_event_id(session) > 0


def counts(database: Database) -> dict[str, int]:
    with database.read() as session:
        return {
            table.name: session.scalar(select(func.count()).select_from(table)) or 0
            for table in Row.metadata.tables.values()
        }


@pytest.mark.parametrize("slug", ["", "-a", "A", "a b", "ä", "a" * 64, "a/b", "..", "a\x00", "a\n"])
def test_a_name_that_no_address_can_hold_is_refused(database: Database, slug: str) -> None:
    with database.write() as session, pytest.raises(RecordError, match="expected a-z"):
        put_shop(session, slug, "x")


def test_a_shop_gets_another_title_and_keeps_its_age(database: Database) -> None:
    with database.write() as session:
        first = put_shop(session, "a", "One").created_at
        assert put_shop(session, "a", "Two").created_at == first
        assert get_shop(session, "a").title == "Two"
        assert [shop.shop for shop in list_shops(session, only=["a", "nowhere"])] == ["a"]
