"""News of a live stream: whoever applies all of it has what the session settled on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shopcue.announcing import Announcement, Announcer
from shopcue.records import Evidence, Focus

EVIDENCE = Evidence(1.0, 0.0, 0.0, 0.0, (0.0, 0.0, 1.0, 1.0))


def focus(product: str, start_s: float, end_s: float, score: float = 0.9) -> Focus:
    return Focus(product, product, start_s, end_s, score, EVIDENCE)


def kinds(news: list[Announcement]) -> list[tuple[str, int]]:
    return [(each.kind, each.number) for each in news]


def apply(news: list[Announcement], shown: dict[int, Focus]) -> None:
    """What a program that listens does."""
    for each in news:
        if each.kind == "withdraw":
            del shown[each.number]
        else:
            assert (each.kind == "open") == (each.number not in shown)
            shown[each.number] = each.focus


def test_the_life_of_a_focus_is_told_once() -> None:
    announcer = Announcer()
    assert announcer.update([], [], 1.0) == []
    assert kinds(announcer.update([], [focus("a", 1, 2)], 2.0)) == [("open", 0)]
    assert announcer.update([], [focus("a", 1, 2.5)], 2.5) == []
    assert kinds(announcer.update([], [focus("a", 1, 2.5)], 3.0)) == [("close", 0)]
    assert announcer.update([], [focus("a", 1, 2.5), focus("b", 3, 3.5)], 3.5)[0].kind == "open"
    last = announcer.update([focus("a", 1, 2.5)], [focus("b", 3, 4)], 4.0)
    assert kinds(last) == [("settle", 0)]
    assert kinds(announcer.update([focus("b", 3, 4)], [], 4.0)) == [("close", 1), ("settle", 1)]


def test_second_thoughts_are_told() -> None:
    announcer = Announcer()
    announcer.update([], [focus("a", 1, 4)], 4.0)
    moved = announcer.update([], [focus("a", 2, 4.5)], 4.5)
    assert kinds(moved) == [("update", 0)]
    renamed = announcer.update([], [focus("b", 2, 5)], 5.0)
    assert kinds(renamed) == [("update", 0)]
    assert renamed[0].focus.product_id == "b"
    announcer.update([], [focus("b", 2, 5)], 6.0)
    assert kinds(announcer.update([], [focus("b", 2, 5.5)], 6.5)) == [("revise", 0)]
    assert kinds(announcer.update([], [], 7.0)) == [("withdraw", 0)]


def test_one_that_is_found_afterwards_is_opened_and_closed_at_once() -> None:
    announcer = Announcer()
    announcer.update([], [focus("a", 0, 9)], 9.0)
    split = announcer.update([], [focus("a", 0, 4), focus("b", 4, 6), focus("a", 6, 9.5)], 9.5)
    assert ("open", 1) in kinds(split)
    assert ("close", 1) in kinds(split)
    shown: dict[int, Focus] = {0: focus("a", 0, 9)}
    apply(split, shown)
    assert sorted((f.product_id, f.start_s) for f in shown.values()) == [("a", 0), ("a", 6), ("b", 4)]


SPANS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 8), st.integers(0, 4)), max_size=6)


@given(st.lists(SPANS, min_size=1, max_size=8))
def test_all_news_together_is_what_was_settled(steps: list[list[tuple[str, int, int]]]) -> None:
    """Whatever a session thinks in between, however wrong, the sum of the news is its final answer."""
    announcer, shown, settled = Announcer(), dict[int, Focus](), []
    begin_s = 0.0
    for number, spans in enumerate(steps):
        views, at_s = [], begin_s
        for product, length, gap in spans:
            views.append(focus(product, at_s + gap, at_s + gap + length, 0.5))
            at_s += gap + length
        final = len(views) if number == len(steps) - 1 else min(len(views), 1)
        apply(announcer.update(views[:final], views[final:], at_s), shown)
        settled += views[:final]
        begin_s = settled[-1].end_s if settled else 0.0
    assert sorted(shown.values(), key=lambda f: f.start_s) == settled


def test_a_small_change_is_no_news_but_is_kept_in_the_end() -> None:
    announcer = Announcer()
    announcer.update([], [focus("a", 1, 4)], 4.0)
    announcer.update([], [focus("a", 1, 4)], 5.0)
    assert announcer.update([], [focus("a", 1.1, 4.1, 0.95)], 5.5) == []
    final = focus("a", 1.1, 4.1, 0.95)
    assert announcer.update([final], [], 6.0) == [Announcement("settle", 0, final)]


def test_what_was_on_screen_when_the_stream_was_cut_off_goes_on() -> None:
    announcer = Announcer(resumed=[focus("a", 3, 20), focus("b", 5, 20)])
    assert announcer.update([], [], 25.0) == []
    assert announcer.update([], [focus("a", 26, 27)], 27.0) == []
    closed = announcer.update([], [focus("a", 26, 41)], 41.0)
    assert kinds(closed) == [("close", 1), ("settle", 1)], "what is not seen again has ended where it was last seen"
    assert closed[0].focus == focus("b", 5, 20)
    over = announcer.update([focus("a", 26, 50)], [focus("a", 60, 62)], 62.0)
    assert kinds(over) == [("close", 0), ("settle", 0), ("open", 2)]
    assert over[0].focus == focus("a", 3, 50)


def test_a_stream_that_ends_before_anything_is_seen_again_closes_what_was_left() -> None:
    announcer = Announcer(resumed=[focus("a", 3, 20)])
    announcer.update([], [], 25.0)
    last = kinds(announcer.finish([focus("c", 26, 30)], 30.0))
    assert last == [("open", 1), ("close", 1), ("settle", 1), ("close", 0), ("settle", 0)]


@given(SPANS, st.integers(0, 60))
def test_a_session_that_is_begun_anew_loses_and_doubles_nothing(spans: list[tuple[str, int, int]], cut: int) -> None:
    """All is known at once, the session breaks at `cut`, and the new one sees what comes after it."""
    whole: list[Focus] = []
    at_s = 0.0
    for product, length, gap in spans:
        before = whole[-1] if whole else None
        gap += before is not None and before.product_id == product and gap == 0  # two in a row are two only if apart
        whole.append(focus(product, at_s + gap, at_s + gap + length, 0.5))
        at_s += gap + length
    cut_s = min(float(cut), at_s) + 0.5
    shown: dict[int, Focus] = {}

    def seen(start_s: float, now_s: float) -> list[Focus]:
        cuts = [(max(f.start_s, start_s), min(f.end_s, now_s), f) for f in whole]
        return [focus(f.product_id, start, end, 0.5) for start, end, f in cuts if end > start]

    announcer = Announcer()
    for now in range(int(cut_s) + 1):
        apply(announcer.update([], seen(0.0, float(now)), float(now)), shown)
    apply(announcer.update([], seen(0.0, cut_s), cut_s), shown)
    other = announcer.resume(cut_s)
    for now in range(int(cut_s) + 1, int(at_s) + 2):
        apply(other.update([], seen(cut_s, float(now)), float(now)), shown)
    apply(other.finish(seen(cut_s, at_s + 2), at_s + 2), shown)
    assert sorted(shown.values(), key=lambda f: f.start_s) == whole


def test_what_was_interrupted_is_not_announced_anew_by_its_first_moment() -> None:
    announcer = Announcer(resumed=[focus("a", 3, 20)])
    assert announcer.update([], [focus("a", 26, 26)], 26.0) == []
    told = announcer.update([], [focus("a", 26, 27), focus("b", 27, 27)], 27.0)
    assert ("open", 1) in kinds(told)
    assert [each.focus.product_id for each in told if each.kind == "open"] == ["b"]
