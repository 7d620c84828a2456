"""The decoder against brute force over every sequence, and the online answer against the offline one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopcue.errors import SettingsError
from shopcue.focusing import NONE, Decoder, Focuser, probabilities
from shopcue.records import Catalog, Floats, Focus, Match, Product


def cost_of(path: tuple[int, ...], scores: Floats, switch: float) -> float:
    """What a whole sequence collects: its log odds less the price of each entering and leaving, said plainly."""
    total, before = 0.0, NONE
    for moment, state in enumerate(path):
        if state != before:
            total -= switch * ((state != NONE) + (before != NONE))
        if state != NONE:
            total += float(scores[moment, state])
        before = state
    return total


def decode(scores: Floats, *, max_delay_s: float = 1e9, switch: float = 2.0) -> list[int]:
    decoder = Decoder(scores.shape[1], switch_nats=switch, max_delay_s=max_delay_s)
    decided = [d for k, row in enumerate(scores) for d in decoder.update(k / 2, row)] + decoder.finish()
    assert [time_s for time_s, _ in decided] == [k / 2 for k in range(len(scores))]
    return [state for _, state in decided]


def scores_of(moments: int, products: int) -> st.SearchStrategy[Floats]:
    values = st.lists(st.floats(-4, 4, width=32), min_size=moments * products, max_size=moments * products)
    return values.map(lambda v: np.array(v, np.float32).reshape(moments, products))


@settings(max_examples=60, deadline=None)
@given(scores=scores_of(6, 2), switch=st.floats(0, 5))
def test_the_decoder_finds_the_best_of_all_sequences(scores: Floats, switch: float) -> None:
    best = max(cost_of(path, scores, switch) for path in itertools.product((NONE, 0, 1), repeat=6))
    assert cost_of(tuple(decode(scores, switch=switch)), scores, switch) == pytest.approx(best, abs=1e-3)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_deciding_online_gives_what_deciding_at_the_end_gives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = (rng.normal(-1, 2, (120, 5)) + np.repeat(rng.integers(0, 4, (12, 5)) == 0, 10, axis=0) * 3).astype(
        np.float32
    )
    online = Decoder(5, switch_nats=6.0, max_delay_s=1e9)
    early = [d for k, row in enumerate(scores) for d in online.update(k / 2, row)]
    late = Decoder(5, switch_nats=6.0, max_delay_s=1e9)
    late._agreed = list  # type: ignore[method-assign]  # never decides before the end
    for k, row in enumerate(scores):
        late.update(k / 2, row)
    assert early + online.finish() == late.finish()
    assert len(early) > 60, "an online decoder that decides nothing early is no online decoder"


def test_a_fixed_lag_bounds_the_delay_of_every_decision() -> None:
    rng = np.random.default_rng(3)
    decoder = Decoder(4, switch_nats=10.0, max_delay_s=4.0)
    decided = 0
    for k in range(400):
        decided += len(decoder.update(k / 2, rng.normal(0, 1, 4).astype(np.float32)))
        assert k + 1 - decided <= 9, "4 s at two moments a second hold nine moments at most"


def test_a_fixed_lag_finds_the_same_plain_schedule() -> None:
    truth = [NONE] * 20 + [0] * 30 + [NONE] * 10 + [1] * 30 + [2] * 30
    scores = np.full((len(truth), 3), -2.0, np.float32)
    for k, state in enumerate(truth):
        if state != NONE:
            scores[k, state] = 3.0
    assert decode(scores, max_delay_s=6.0, switch=10.0) == truth == decode(scores, switch=10.0)


def test_one_odd_frame_neither_makes_nor_breaks_a_focus() -> None:
    scores = np.full((60, 2), -3.0, np.float32)
    scores[5, 1] = 6.0
    scores[20:40, 0] = 3.0
    scores[30, 0] = -3.0
    assert decode(scores, switch=14.0) == [NONE] * 20 + [0] * 20 + [NONE] * 20


def test_the_rate_of_sampling_does_not_change_the_answer() -> None:
    def run(rate_hz: int) -> list[tuple[float, int]]:
        decoder = Decoder(1, switch_nats=14.0)
        out = []
        for k in range(40 * rate_hz):
            shown = 10 <= k / rate_hz < 30
            out += decoder.update(k / rate_hz, np.array([2.0 if shown else -2.0], np.float32))
        return [d for d in out + decoder.finish() if d[0] == int(d[0])]

    assert run(1) == run(2) == run(8)


def test_memory_stays_flat_over_hours() -> None:
    rng = np.random.default_rng(0)
    decoder = Decoder(30, max_delay_s=60.0)
    longest = 0
    for k in range(20_000):
        decoder.update(k / 2, rng.normal(-0.1, 2, 30).astype(np.float32))
        longest = max(longest, len(decoder._origins))
    assert longest <= 122


def test_a_decoder_without_products_says_none() -> None:
    assert decode(np.zeros((5, 0), np.float32)) == [NONE] * 5


def test_negative_costs_are_refused() -> None:
    with pytest.raises(SettingsError, match="switch_nats is -1"):
        Decoder(3, switch_nats=-1)


def moment(time_s: float, score: list[float], visual: list[float] | None = None) -> Match:
    count = len(score)
    box = np.tile(np.array([time_s, 0, time_s + 10, 10], np.float32), (count, 1))
    row = np.array(score, np.float32)
    zeros = np.zeros(count, np.float32)
    return Match(time_s, row if visual is None else np.array(visual, np.float32), zeros, zeros, row, box)


def run_focuser(matches: list[Match], end_s: float) -> list[Focus]:
    focuser = Focuser(Catalog((Product("a", "A", ("a.jpg",)), Product("b", "B", ("b.jpg",)))), switch_nats=5.0)
    return [f for m in matches for f in focuser.update(m)] + focuser.finish(end_s)


def test_a_focus_carries_its_span_its_best_frame_and_its_rivals() -> None:
    quiet, shown = [-4.0, -4.0], [4.0, 1.0]
    matches = [moment(k / 2, shown if 4 <= k < 14 else quiet) for k in range(20)]
    matches[9] = moment(4.5, [4.0, 1.0], visual=[9.0, 0.0])
    (focus,) = run_focuser(matches, 10.0)
    assert (focus.product_id, focus.start_s, focus.end_s) == ("a", 2.0, 7.0)
    assert focus.evidence.frame_s == 4.5
    assert focus.evidence.box == (4.5, 0.0, 14.5, 10.0)
    odds = np.exp([4.0, 1.0])
    assert focus.score == pytest.approx(odds[0] / (odds.sum() + 1), abs=1e-5)
    assert [(a.product_id, round(a.score, 4)) for a in focus.alternatives] == [
        ("b", round(float(odds[1] / (odds.sum() + 1)), 4))
    ]
    assert focus.evidence.visual == pytest.approx((4.0 * 9 + 9.0) / 10)


def test_a_focus_that_is_open_at_the_end_ends_with_the_stream() -> None:
    (focus,) = run_focuser([moment(k / 2, [-4.0, 4.0]) for k in range(10)], 5.0)
    assert (focus.product_id, focus.start_s, focus.end_s) == ("b", 0.0, 5.0)


def test_two_products_in_a_row_share_one_border() -> None:
    first, second = run_focuser([moment(k / 2, [4.0, -4.0] if k < 10 else [-4.0, 4.0]) for k in range(20)], 10.0)
    assert first.end_s == second.start_s == 5.0


@given(st.lists(st.floats(-80, 80, width=32), min_size=0, max_size=6))
def test_probabilities_are_a_softmax_with_none_at_zero(values: list[float]) -> None:
    score = np.array(values, np.float32)
    odds = np.exp(np.append(score.astype(np.float64), 0.0))
    np.testing.assert_allclose(probabilities(score), (odds / odds.sum())[:-1], rtol=1e-5, atol=1e-7)


def random_matches(seed: int, count: int, products: int) -> list[Match]:
    rng = np.random.default_rng(seed)
    shown = np.repeat(rng.integers(-1, products, count // 10 + 1), 10)[:count]
    rows = rng.normal(-6, 3, (count, products))
    rows[np.arange(count)[shown >= 0], shown[shown >= 0]] += 14
    return [moment(k / 2, row.tolist()) for k, row in enumerate(rows)]


CATALOG = Catalog(tuple(Product(name, name.upper(), ("x.jpg",)) for name in "abcd"))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), known=st.integers(0, 60), ahead=st.integers(0, 30))
def test_the_outlook_is_what_ending_now_would_give_and_leaves_no_trace(seed: int, known: int, ahead: int) -> None:
    matches = random_matches(seed, 100, 4)
    ours, plain = Focuser(CATALOG, switch_nats=4.0), Focuser(CATALOG, switch_nats=4.0)
    for match in matches[:known]:
        assert ours.update(match) == plain.update(match)
    coming = matches[known : known + ahead]
    now_s = (known + ahead) / 2
    looked = ours.outlook(coming, now_s)
    rest = Focuser(CATALOG, switch_nats=4.0)
    for match in matches[:known]:
        rest.update(match)
    assert looked == [f for m in coming for f in rest.update(m)] + rest.finish(now_s)
    for match in matches[known:]:
        assert ours.update(match) == plain.update(match)
    assert ours.finish(50.0) == plain.finish(50.0)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), order=st.permutations("abcd"))
def test_a_new_order_of_the_catalogue_changes_no_focus(seed: int, order: list[str]) -> None:
    """The catalogue changes where it is plain what is shown: the same focuses under the same names."""
    matches = random_matches(seed, 60, 4)
    other = Catalog(tuple(Product(name, name.upper(), ("x.jpg",)) for name in order))
    column = [CATALOG.position[name] for name in order]
    ours, plain = Focuser(CATALOG, switch_nats=4.0), Focuser(CATALOG, switch_nats=4.0)
    found = [f for m in matches[:25] for f in ours.update(m)] + ours.change(other)
    expected = [f for m in matches[:25] for f in plain.update(m)]
    for match in matches[25:]:
        found += ours.update(moment(match.time_s, match.score[column].tolist()))
        expected += plain.update(match)
    found += ours.finish(30.0)
    expected += plain.finish(30.0)
    assert [(f.product_id, f.start_s, f.end_s) for f in found] == [(f.product_id, f.start_s, f.end_s) for f in expected]
    assert [f.score for f in found] == pytest.approx([f.score for f in expected], abs=1e-5)


def test_a_product_that_leaves_the_shop_ends_its_focus_and_a_new_one_is_found() -> None:
    focuser = Focuser(CATALOG, switch_nats=4.0)
    for k in range(10):
        focuser.update(moment(k / 2, [9.0, -9.0, -9.0, -9.0]))
    (gone,) = focuser.change(Catalog(tuple(Product(name, name, ("x.jpg",)) for name in ("new", "b"))))
    assert (gone.product_id, gone.start_s, gone.end_s) == ("a", 0.0, 4.5)
    for k in range(10, 20):
        focuser.update(moment(k / 2, [9.0, -9.0]))
    (found,) = focuser.finish(10.0)
    assert (found.product_id, found.start_s, found.end_s) == ("new", 5.0, 10.0)
