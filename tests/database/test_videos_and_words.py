"""Videos, what is said and written in them, when products are shown, and ingest reports."""

from __future__ import annotations

import random
import time
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("sqlalchemy")

from shopcue import records
from shopcue.catalog.feeds import ItemReport
from shopcue.database import Database, words
from shopcue.database.events import add_event, events_after, last_event_id
from shopcue.database.focuses import put_focuses, shown_at, shown_products, to_record
from shopcue.database.jobs import add_items, add_job, claim_job, count_items, finish_job, get_job, list_items
from shopcue.database.retention import Retention, prune
from shopcue.database.reviews import review_focus
from shopcue.database.tables import Delivery, Event, Job, Video
from shopcue.database.videos import (
    add_video,
    change_video,
    count_videos,
    delete_video,
    get_video,
    list_videos,
    video_fields,
    wanted_streams,
)
from shopcue.database.webhooks import add_webhook, list_deliveries, queue_deliveries, settle_delivery
from shopcue.errors import Conflict, Missing, RecordError

EVIDENCE = records.Evidence(1.0, 2.0, 0.5, 12.0, (1.0, 2.0, 30.0, 40.0), (records.Utterance(1, 2, "the mug"),))
SHARED_FIXTURE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)


def focus(product_id: str, start_s: float, end_s: float) -> records.Focus:
    return records.Focus(product_id, product_id, start_s, end_s, 0.5, EVIDENCE, (records.Alternative("q", 0.25),))


# ---- videos ----------------------------------------------------------------------------------------------------


def test_a_change_of_a_video_is_told_once_and_only_if_it_is_one(database: Database, video: Video) -> None:
    with database.write() as session:
        first = last_event_id(session)
        change_video(session, video.video_id, title="New", published=True)
        change_video(session, video.video_id, title="New")
        [event] = events_after(session, first)
    assert (event.type, event.video_id, event.data["title"], event.data["published"]) == (
        "video.update",
        video.video_id,
        "New",
        True,
    )


@pytest.mark.parametrize("fields", [{"video_id": "x"}, {"shop": "other"}, {"state": "live"}, {"nonsense": 1}])
def test_what_a_recording_cannot_become_is_refused(database: Database, video: Video, fields: dict[str, str]) -> None:
    with database.write() as session, pytest.raises(RecordError):
        change_video(session, video.video_id, **fields)


def test_streams_that_are_to_run_are_found_by_their_wish_and_counted_by_their_state(database: Database) -> None:
    with database.write() as session:
        wanted, idle, live = (
            add_video(session, "demo", "stream", name, "rtmp://127.0.0.1/x", wanted=name != "idle")
            for name in ("wanted", "idle", "live")
        )
        change_video(session, live.video_id, state="live")
        assert [stream.title for stream in wanted_streams(session)] == ["wanted", "live"]
        counts = count_videos(session, ["demo", "nowhere"])
        assert (counts["demo"].videos, counts["demo"].live_streams) == (3, 1)
        assert counts["nowhere"].videos == 0
        last = events_after(session, last_event_id(session) - 1)[0]
        assert (last.type, last.data["state"]) == ("stream.update", "live")
        assert idle.state == wanted.state == "stopped"


def test_how_a_stream_fares_is_kept_and_told(database: Database, video: Video) -> None:
    health = {"frames": 12, "behind_s": 0.5, "recording": "on"}
    with database.write() as session:
        stream = add_video(session, "demo", "stream", "S", "rtmp://127.0.0.1/x")
        other = add_video(session, "demo", "stream", "O", "rtmp://127.0.0.1/x", recorded=False)
        change_video(session, stream.video_id, health=health)
        told = last_event_id(session)
        change_video(session, stream.video_id, health=dict(health))  # nothing has changed
        assert last_event_id(session) == told
        [event] = events_after(session, told - 1)
    assert (event.type, event.data["health"], event.data["recorded"]) == ("stream.update", health, True)
    with database.read() as session:
        found = get_video(session, stream.video_id)
        assert (found.recorded, found.health) == (True, health)
        found = get_video(session, other.video_id)
        assert (found.recorded, found.health) == (False, None)
        fields = video_fields(get_video(session, video.video_id))
        assert (fields["recorded"], fields["health"]) == (False, None)  # a recording is no stream


def test_videos_are_listed_newest_first_though_they_came_at_once(database: Database) -> None:
    now = time.time()
    with database.write() as session:
        for n in range(11):
            add_video(session, "demo", "recording", str(n), "v").created_at = now + n // 4  # four at each moment
    seen: list[Video] = []
    before = None
    with database.read() as session:
        while True:
            page = list_videos(session, "demo", state="new", kind="recording", limit=3, before=before)
            seen += page.rows
            before = page.next
            if before is None:
                break
        with pytest.raises(Missing):
            list_videos(session, before="nothing")
    assert len({video.video_id for video in seen}) == len(seen) == 11
    assert all((a.created_at, a.video_id) > (b.created_at, b.video_id) for a, b in pairwise(seen))


def test_a_deleted_video_says_so_and_takes_its_own_along(database: Database, video: Video) -> None:
    with database.write() as session:
        put_focuses(session, video, [focus("mug", 0, 5)])
        delete_video(session, video.video_id)
        [event] = events_after(session, last_event_id(session) - 1)
        assert (event.type, event.video_id, event.data["deleted"]) == ("video.update", video.video_id, True)
        assert shown_products(session, "demo") == set()
        with pytest.raises(Missing):
            get_video(session, video.video_id)


def test_a_focus_comes_back_as_it_was_found(database: Database, video: Video) -> None:
    with database.write() as session:
        put = put_focuses(session, video, [focus("mug", 1.25, 5.1)], {"encoder": "abc"})
    with database.read() as session:
        again = get_video(session, video.video_id)
    assert [to_record(row) for row in put] == [focus("mug", 1.25, 5.1)]
    assert (again.state, again.models) == ("ready", {"encoder": "abc"})


def test_when_products_are_shown_is_what_a_plain_loop_finds(database: Database) -> None:
    chance = random.Random(3)
    truth: dict[str, list[tuple[float, str, float, float]]] = {name: [] for name in "abcd"}
    with database.write() as session:
        for number in range(4):
            video = add_video(session, "demo", "recording", "v", "v")
            video.created_at = float(number)
            found = [focus(chance.choice("abc"), start, start + 1) for start in range(12)]
            for row in put_focuses(session, video, found):
                if chance.random() < 0.3:
                    review_focus(session, row.focus_id, "reject", "me", "seller")
                else:
                    truth[row.product_id].append((-video.created_at, video.video_id, row.start_s, row.end_s))
        got = shown_at(session, "demo", list("abcd"), limit=5)
        assert got == {name: [span[1:] for span in sorted(spans)[:5]] for name, spans in truth.items()}
        assert shown_products(session, "demo") == set("abc")
        assert shown_at(session, "other", ["a"]) == {"a": []}


# ---- words -----------------------------------------------------------------------------------------------------


@SHARED_FIXTURE
@given(
    spans=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5)), max_size=8),
    start=st.integers(0, 25),
    length=st.integers(0, 10),
)
def test_words_are_found_by_time_as_a_plain_loop_does(
    database: Database, video: Video, spans: list[tuple[int, int]], start: int, length: int
) -> None:
    said = [records.Utterance(at, at + long, f"{i}") for i, (at, long) in enumerate(spans)]
    written = [records.Comment(at, "u", f"{i}") for i, (at, _) in enumerate(spans)]
    end = start + length
    with database.write() as session:
        words.put_utterances(session, video.video_id, said)
        words.put_comments(session, video.video_id, written)
        assert get_video(session, video.video_id).heard
    with database.read() as session:
        assert words.list_utterances(session, video.video_id) == sorted(said, key=lambda one: one.start_s)
        in_span = [one for one in said if one.end_s > start and one.start_s < end]
        assert words.list_utterances(session, video.video_id, start, end) == sorted(in_span, key=lambda o: o.start_s)
        at_times = [one for one in written if start <= one.time_s < end]
        assert words.list_comments(session, video.video_id, start, end) == sorted(at_times, key=lambda o: o.time_s)


def test_comments_of_a_stream_are_followed_by_number_and_bounded(
    database: Database, video: Video, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words, "MAX_COMMENTS", 3)
    with database.write() as session:
        words.add_comments(session, video.video_id, [records.Comment(5, "a", "late"), records.Comment(1, "b", "early")])
        followed = words.comments_after(session, video.video_id, 0)
        assert [comment.text for _, comment in followed] == ["late", "early"]
        words.add_comments(session, video.video_id, [records.Comment(2, "<b>", "<script>alert(1)</script>")])
        [(_, last)] = words.comments_after(session, video.video_id, followed[-1][0])
        assert (last.user, last.text) == ("<b>", "<script>alert(1)</script>")
        with pytest.raises(Conflict, match="more than 3 comments"):
            words.add_comments(session, video.video_id, [records.Comment(2, "c", "too much")])
        with pytest.raises(Missing):
            words.add_comments(session, "nowhere", [])


# ---- reports ---------------------------------------------------------------------------------------------------


def test_a_report_is_read_piece_by_piece_and_starts_anew_with_the_job(database: Database) -> None:
    items = [ItemReport(n, f"p{n}", ("ok", "partial", "refused")[n % 3], "why") for n in range(2_500)]
    with database.write() as session:
        job = add_job(session, "import", "demo", {})
        claim_job(session, "first", ["import"], 10, at=0)
        add_items(session, job.job_id, items[:1_234])
        add_items(session, job.job_id, items[1_234:])
        add_items(session, job.job_id, [])
    with database.read() as session:
        refused = list_items(session, job.job_id, status="refused", after=0, limit=500)
        more = list_items(session, job.job_id, status="refused", after=refused[-1].n, limit=500)
        assert [item.row for item in refused + more] == [item.row for item in items if item.status == "refused"]
        counts = count_items(session, job.job_id)
        assert (counts.ok, counts.partial, counts.refused) == (834, 833, 833)
    with database.write() as session:
        assert claim_job(session, "second", ["import"], 10, at=100) is not None
        assert list_items(session, job.job_id) == []


# ---- retention -------------------------------------------------------------------------------------------------


def test_nothing_that_is_old_is_kept_and_nothing_that_is_not_goes(database: Database) -> None:
    with database.write() as session:
        webhook = add_webhook(session, "demo", "https://example.com", ["catalog.update"])
        for _ in range(3):
            add_event(session, "catalog.update", "demo")
        assert queue_deliveries(session) == 3
        first, second, waiting = (delivery for delivery, _ in list_deliveries(session, webhook.webhook_id))
        settle_delivery(session, first.delivery_id, delivered=True)
        settle_delivery(session, second.delivery_id, delivered=True)
        first.updated_at -= 5_000
        jobs = [add_job(session, "import", "demo", {}) for _ in range(4)]
        for job, age in zip(jobs, (50_000, 5_000, 0, None), strict=True):
            add_items(session, job.job_id, [ItemReport(1, "p", "ok", "")])
            if age is not None:
                claim_job(session, "w", ["import"], 10)
                finish_job(session, job.job_id, "w", "done")
                job.finished_at = time.time() - age
    with database.write() as session:
        old = [event.event_id for event in events_after(session, 0, types=["job.update"])][:5]
        for event_id in old:
            session.get_one(Event, event_id).at -= 5_000
    prune(database, Retention(events_s=1_000, deliveries_s=1_000, items_s=1_000, jobs_s=10_000))
    with database.read() as session:
        assert not set(old) & {event.event_id for event in events_after(session, 0)}
        assert len(events_after(session, 0, types=["catalog.update"])) == 3
        kept = {delivery.delivery_id for delivery, _ in list_deliveries(session, webhook.webhook_id)}
        assert kept == {second.delivery_id, waiting.delivery_id}
        assert session.get(Job, jobs[0].job_id) is None
        assert [len(list_items(session, job.job_id)) for job in jobs] == [0, 0, 1, 1]
        assert get_job(session, jobs[3].job_id).state == "queued"
        assert session.get(Delivery, first.delivery_id) is None
