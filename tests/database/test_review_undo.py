"""Reviews and their undoing, against a plain model of a focus with a stack of what was decided about it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

pytest.importorskip("sqlalchemy")

from shopcue import records
from shopcue.database import Database
from shopcue.database.events import events_after, last_event_id
from shopcue.database.focuses import (
    close_focus,
    focus_fields,
    get_focus,
    list_focuses,
    put_focuses,
    revise_focus,
    save_open,
    shown_at,
)
from shopcue.database.reviews import add_focus, count_reviewed, list_reviews, review_focus, undo_review
from shopcue.database.shops import delete_shop, put_shop
from shopcue.database.tables import Focus, Video
from shopcue.database.videos import add_video, count_focuses
from shopcue.errors import Conflict, Missing, RecordError, Stale

ME = ("Mei", "seller")
EVIDENCE = records.Evidence(1.0, 2.0, 0.5, 12.0, (1.0, 2.0, 30.0, 40.0))


def found(
    product_id: str = "mug",
    start_s: float = 10.0,
    end_s: float = 20.0,
    score: float = 0.9,
    others: tuple[records.Alternative, ...] = (),
) -> records.Focus:
    return records.Focus(product_id, f"The {product_id}", start_s, end_s, score, EVIDENCE, others)


# ---- against a model -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Decided:
    """What persons decide about a focus."""

    product_id: str
    start_s: float
    end_s: float
    status: str


@dataclass
class Expected:
    """A focus as it should be, with the states that undoing goes back to."""

    now: Decided
    origin: tuple[str, float, float] | None
    stack: list[Decided] = field(default_factory=list)
    version: int = 1
    reviews: int = 0

    def decide(self, now: Decided) -> None:
        self.stack.append(self.now)
        self.now = now
        self.version += 1
        self.reviews += 1

    def kept(self, state: Decided) -> Decided:
        if self.origin is None:
            return replace(state, status="added")
        same = self.origin == (state.product_id, state.start_s, state.end_s)
        return replace(state, status="confirmed" if same else "corrected")


class Reviewing(RuleBasedStateMachine):
    """Random decisions of persons; the database must agree with the model at every step."""

    database: Database  # of the test

    names = Bundle("names")

    @initialize(target=names)
    def find(self) -> str:
        with self.database.write() as session:
            put_shop(session, "a", "A")
            self.video = add_video(session, "a", "recording", "v", "v.mp4")
            self.video.duration_s = 60.0
            [row] = put_focuses(session, self.video, [found()])
        self.model = {row.focus_id: Expected(Decided("mug", 10.0, 20.0, "found"), ("mug", 10.0, 20.0))}
        return row.focus_id

    def teardown(self) -> None:
        if hasattr(self, "model"):
            with self.database.write() as session:
                delete_shop(session, "a")

    @rule(target=names, start_s=st.sampled_from([0.0, 30.0]))
    def add(self, start_s: float) -> str:
        with self.database.write() as session:
            name = add_focus(session, self.video, "cup", "Cup", start_s, start_s + 5, *ME).focus_id
        now = Decided("cup", start_s, start_s + 5, "added")
        self.model[name] = Expected(now, None, [replace(now, status="rejected")], reviews=1)
        return name

    @rule(name=names)
    def confirm(self, name: str) -> None:
        self.review(name, "confirm")
        focus = self.model[name]
        focus.decide(focus.kept(focus.now))

    @rule(name=names)
    def reject(self, name: str) -> None:
        focus = self.model[name]
        if focus.now.status == "rejected":
            with pytest.raises(Conflict):
                self.review(name, "reject")
            return
        self.review(name, "reject")
        focus.decide(replace(focus.now, status="rejected"))

    @rule(name=names)
    def restore(self, name: str) -> None:
        focus = self.model[name]
        if focus.now.status != "rejected":
            with pytest.raises(Conflict):
                self.review(name, "restore")
            return
        self.review(name, "restore")
        kept = focus.kept(focus.now)
        focus.decide(replace(kept, status="found") if kept.status == "confirmed" else kept)

    @rule(name=names, product_id=st.sampled_from(["mug", "cup", "vase"]))
    def replace_product(self, name: str, product_id: str) -> None:
        self.review(name, "replace", product_id=product_id, title=f"The {product_id}")
        focus = self.model[name]
        focus.decide(focus.kept(replace(focus.now, product_id=product_id)))

    @rule(
        name=names,
        start_s=st.none() | st.sampled_from([0.0, 10.0, 15.0, -1.0]),
        end_s=st.none() | st.sampled_from([5.0, 20.0, 60.0, 99.0, float("nan")]),
    )
    def move(self, name: str, start_s: float | None, end_s: float | None) -> None:
        focus = self.model[name]
        start = focus.now.start_s if start_s is None else start_s
        end = focus.now.end_s if end_s is None else min(end_s, 60.0)
        if (start_s is None and end_s is None) or not 0 <= start < end:
            with pytest.raises(RecordError):
                self.review(name, "move", start_s=start_s, end_s=end_s)
            return
        self.review(name, "move", start_s=start_s, end_s=end_s)
        focus.decide(focus.kept(replace(focus.now, start_s=start, end_s=end)))

    @rule(name=names)
    def undo(self, name: str) -> None:
        focus = self.model[name]
        with self.database.write() as session:
            if not focus.stack:
                with pytest.raises(Conflict):
                    undo_review(session, name, *ME)
                return
            undo_review(session, name, *ME)
        focus.now = focus.stack.pop()
        focus.version += 1
        focus.reviews += 1

    @rule(name=names)
    def who_saw_an_old_version_is_told(self, name: str) -> None:
        with pytest.raises(Stale):
            self.review(name, "confirm", version=self.model[name].version - 1)

    def review(
        self,
        name: str,
        action: str,
        product_id: str | None = None,
        title: str | None = None,
        start_s: float | None = None,
        end_s: float | None = None,
        version: int | None = None,
    ) -> None:
        with self.database.write() as session:
            review_focus(session, name, action, *ME, product_id, title, start_s, end_s, version)

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "model"):
            return
        with self.database.read() as session:
            for name, focus in self.model.items():
                row = get_focus(session, name)
                assert Decided(row.product_id, row.start_s, row.end_s, row.status) == focus.now
                assert row.version == focus.version
                assert focus_fields(row)["found"] == (
                    focus.origin and dict(zip(("product_id", "start_s", "end_s"), focus.origin, strict=True))
                )
                assert (row.doubt == 0) == (focus.now.status != "found")
                assert len(list_reviews(session, name)) == focus.reviews
            kept = {name for name, focus in self.model.items() if focus.now.status != "rejected"}
            assert {row.focus_id for row in list_focuses(session, self.video.video_id)} == kept
            shown = shown_at(session, "a", ["mug", "cup", "vase"], limit=100)
            assert sum(len(spans) for spans in shown.values()) == len(kept)
            counts = count_focuses(session, [self.video.video_id])[self.video.video_id]
            assert counts.total == len(self.model)
            assert counts.reviewed == sum(focus.now.status != "found" for focus in self.model.values())


def test_reviewing_agrees_with_a_plain_model(database: Database) -> None:
    class Here(Reviewing):
        pass

    Here.database = database
    checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    run_state_machine_as_test(
        Here, settings=settings(max_examples=10, stateful_step_count=25, suppress_health_check=checks)
    )


# ---- by example ------------------------------------------------------------------------------------------------


@pytest.fixture
def stream(database: Database) -> Video:
    with database.write() as session:
        return add_video(session, "demo", "stream", "Live", "rtmp://127.0.0.1/live", wanted=True)


@pytest.fixture
def focus(database: Database, video: Video) -> Focus:
    with database.write() as session:
        return put_focuses(session, video, [found()])[0]


def test_a_decision_is_remembered_with_who_when_and_what(database: Database, focus: Focus) -> None:
    with database.write() as session:
        first = last_event_id(session)
        review_focus(session, focus.focus_id, "replace", "Mei", "seller", product_id="cup", title="Cup")
        undo_review(session, focus.focus_id, "Ada", "admin")
        undone, done = list_reviews(session, focus.focus_id)
        events = events_after(session, first)
    assert (done.who, done.role, done.action) == ("Mei", "seller", "replace")
    assert (undone.who, undone.role, undone.action) == ("Ada", "admin", "undo")
    assert done.undone_by == undone.review_id
    assert (done.before["product_id"], done.after["product_id"]) == ("mug", "cup")
    assert (done.after["frame_s"], done.after["box"]) == (12.0, [1.0, 2.0, 30.0, 40.0])
    assert abs(done.at - undone.at) < 5
    assert [event.type for event in events] == ["focus.review", "focus.review"]
    assert [event.data["product_id"] for event in events] == ["cup", "mug"]


def test_the_answer_of_a_person_stays_when_a_video_is_matched_again(database: Database, focus: Focus) -> None:
    with database.write() as session:
        video = session.get_one(Video, focus.video_id)
        added = add_focus(session, video, "vase", "Vase", 50, 60, *ME)
        assert count_reviewed(session, video.video_id) == 0
        put_focuses(session, video, [found("cup")])  # nobody has reviewed what was found
        [now] = [row for row in list_focuses(session, video.video_id) if row.focus_id != added.focus_id]
        review_focus(session, now.focus_id, "confirm", *ME)
        assert count_reviewed(session, video.video_id) == 1
        with pytest.raises(Conflict, match="reviewed"):
            put_focuses(session, video, [found("mug")])
        put_focuses(session, video, [found("mug")], replace_reviewed=True)
        assert [row.product_id for row in list_focuses(session, video.video_id)] == ["mug", "vase"]
        assert [review.action for review in list_reviews(session, shop="demo")] == ["confirm", "add"]
        with pytest.raises(Missing):
            undo_review(session, now.focus_id, *ME)


def test_a_focus_of_a_stream_grows_except_for_what_a_person_changed(database: Database, stream: Video) -> None:
    with database.write() as session:
        row = save_open(session, stream, found(end_s=11), media_s=11)
        save_open(session, stream, found(end_s=12), row.focus_id, media_s=12)
        assert (row.status, row.is_open, row.end_s, row.version) == ("open", True, 12, 1)
        review_focus(session, row.focus_id, "move", *ME, start_s=9.0, version=1)
        save_open(session, stream, found(start_s=8, end_s=13), row.focus_id, media_s=13)
        assert (row.status, row.is_open, row.start_s, row.end_s) == ("corrected", True, 9, 13)
        review_focus(session, row.focus_id, "replace", *ME, product_id="cup", title="Cup")
        close_focus(session, row.focus_id, found("vase", end_s=14), media_s=15)
        assert (row.product_id, row.title, row.end_s, row.is_open) == ("cup", "Cup", 14, False)
        undo_review(session, row.focus_id, *ME)
        undo_review(session, row.focus_id, *ME)
        assert (row.product_id, row.title, row.start_s, row.status) == ("vase", "The vase", 10, "found")


SPANS = st.tuples(st.sampled_from(["mug", "cup"]), st.integers(0, 4), st.integers(5, 9))
SEEN = st.tuples(st.just("see"), SPANS)
WISHES = st.sampled_from(
    [
        ("confirm", {}),
        ("reject", {}),
        ("restore", {}),
        ("replace", {"product_id": "vase", "title": "Vase"}),
        ("replace", {"product_id": "mug", "title": "The mug"}),
        ("move", {"start_s": 2.0}),
        ("move", {"end_s": 7.5}),
        ("undo", {}),
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(steps=st.lists(SEEN | WISHES, max_size=14), ends=st.booleans())
def test_when_all_is_undone_a_focus_is_as_if_nobody_had_touched_it(
    database: Database, stream: Video, steps: list[tuple[str, Any]], ends: bool
) -> None:
    with database.write() as session:
        touched, untouched = (save_open(session, stream, found("mug", 1, 5)) for _ in range(2))
        for action, wish in steps:
            if action == "see":
                for row in (touched, untouched):
                    save_open(session, stream, found(*wish), row.focus_id)
            elif action == "undo":
                with suppress(Conflict):
                    undo_review(session, touched.focus_id, *ME)
            else:
                with suppress(Conflict):
                    review_focus(session, touched.focus_id, action, *ME, **wish)
        for row in (touched, untouched) if ends else ():
            close_focus(session, row.focus_id)
        with suppress(Conflict):  # that nothing is left to undo
            while True:
                undo_review(session, touched.focus_id, *ME)
        own = {"focus_id", "version"}
        fields = [{k: v for k, v in focus_fields(row).items() if k not in own} for row in (touched, untouched)]
        assert fields[0] == fields[1]


def test_what_a_stream_takes_back_goes_unless_a_person_has_reviewed_it(database: Database, stream: Video) -> None:
    with database.write() as session:
        gone, stays = (save_open(session, stream, found(name), media_s=1) for name in ("mug", "cup"))
        review_focus(session, stays.focus_id, "confirm", *ME)
        first = last_event_id(session)
        assert revise_focus(session, gone.focus_id, None) is None
        assert revise_focus(session, stays.focus_id, None) is stays
        assert [(row.product_id, row.status, row.is_open) for row in list_focuses(session, stream.video_id)] == [
            ("cup", "confirmed", False)
        ]
        events = events_after(session, first)
        assert [(event.type, event.data["status"]) for event in events] == [
            ("focus.revise", "withdrawn"),
            ("focus.close", "confirmed"),
        ]


def test_a_reviewer_is_told_when_the_stream_now_sees_another_product(database: Database, stream: Video) -> None:
    with database.write() as session:
        row = save_open(session, stream, found("mug"))
        save_open(session, stream, found("cup"), row.focus_id)
        assert (row.product_id, row.title) == ("cup", "The cup")
        with pytest.raises(Stale):
            review_focus(session, row.focus_id, "confirm", *ME, version=1)


@pytest.mark.parametrize(
    ("score", "others", "doubt"), [(1.0, (), 0.0), (0.9, (), 0.1), (0.6, (0.3, 0.1), 0.7), (0.2, (0.5,), 1.0)]
)
def test_a_focus_is_doubtful_when_it_hardly_beats_the_best_other(
    database: Database, video: Video, score: float, others: tuple[float, ...], doubt: float
) -> None:
    alternatives = tuple(records.Alternative(f"p{i}", other) for i, other in enumerate(others))
    with database.write() as session:
        [row] = put_focuses(session, video, [found(score=score, others=alternatives)], titles={"p0": "First"})
        assert row.doubt == pytest.approx(doubt)
        assert [other["title"] for other in row.alternatives] == ["First", ""][: len(others)]


def test_the_most_doubtful_come_first_and_reviewed_ones_last(database: Database, video: Video) -> None:
    with database.write() as session:
        rows = put_focuses(session, video, [found(str(n), 10 * n, 10 * n + 5, n / 10) for n in range(1, 6)])
        review_focus(session, rows[0].focus_id, "confirm", *ME)
        order = [row.product_id for row in list_focuses(session, video.video_id, order="doubt")]
    assert order == ["2", "3", "4", "5", "1"]


@pytest.mark.parametrize("action", ["", "undo", "drop table"])
def test_an_unknown_action_is_refused(database: Database, focus: Focus, action: str) -> None:
    with database.write() as session, pytest.raises(RecordError, match="expected one of confirm"):
        review_focus(session, focus.focus_id, action, *ME)


def test_reviews_of_a_shop_are_read_piece_by_piece(database: Database, focus: Focus) -> None:
    with database.write() as session:
        for product_id in "abcde":
            review_focus(session, focus.focus_id, "replace", *ME, product_id=product_id)
        first = list_reviews(session, shop="demo", limit=3)
        rest = list_reviews(session, shop="demo", limit=3, before=first[-1].review_id)
        assert [review.after["product_id"] for review in first + rest] == list("edcba")
        assert list_reviews(session, shop="nowhere") == []
