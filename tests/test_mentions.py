"""Evidence over time against plain loops, and the rules on small talks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopcue.mentions import MOST_KEPT, Mentions, named
from shopcue.records import Comment, Floats, Utterance

P = 4
LEAD, TAIL, CONTEXT, BACK, CROWD = 1.5, 8.0, 8.0, 10.0, 2.0


class Digits:
    """A text of P digits says how surely it names each product, in tenths."""

    def score(self, texts: Sequence[str]) -> Floats:
        rows = [[int(digit) / 10 for digit in text] for text in texts]
        return np.array(rows, np.float32).reshape(len(texts), P)


A, B, NOTHING = "9000", "0900", "1111"


def mentions(**options: float) -> Mentions:
    return Mentions(Digits(), lead_s=LEAD, tail_s=TAIL, context_s=CONTEXT, back_s=BACK, crowd=CROWD, **options)


def say(*said: tuple[float, float, str]) -> Mentions:
    talk = mentions()
    for start_s, end_s, text in said:
        talk.update(Utterance(start_s, end_s, text))
    return talk


# ---- what is named ---------------------------------------------------------------------------------------------


def naming(*score: float) -> list[float]:
    products, weights = named(np.array(score, np.float32), floor=0.3, sure=0.6, margin=0.15)
    row = np.zeros(len(score))
    row[products] = weights
    return [round(weight, 3) for weight in row.tolist()]


def test_a_clear_name_is_full_and_an_unclear_one_less() -> None:
    assert naming(0.8, 0.2, 0.1) == [1, 0, 0]
    assert naming(0.45, 0.2, 0.1) == [0.5, 0, 0]
    assert naming(0.3, 0.2, 0.1) == [0, 0, 0]


def test_twins_share_and_a_category_names_nobody() -> None:
    assert naming(0.8, 0.8, 0.1) == [0.5, 0.5, 0]
    assert naming(0.8, 0.725, 0.1) == [0.667, 0.333, 0]
    assert naming(0.8, 0.8, 0.8, 0.8, 0.8) == [0] * 5


# ---- speech ----------------------------------------------------------------------------------------------------


def plain_utterances_at(said: Sequence[Utterance], time_s: float) -> list[float]:
    """The same evidence, written as loops over everything that was ever said."""
    rows = []
    for words in sorted(set(said), key=lambda u: (u.start_s, u.end_s, u.text)):
        weights = naming_exact(words.text)
        if sum(weights) > 0:
            rows.append((words, weights))
    standing = []
    for own, mine in rows:
        support, rivals, challenged = sum(mine), 0.0, 0.0
        for other, theirs in rows:
            gap = max(other.start_s - own.end_s, own.start_s - other.end_s)
            if other is own or gap > CONTEXT:
                continue
            dot = sum(x * y for x, y in zip(mine, theirs, strict=True))
            alike = dot / math.sqrt(sum(x * x for x in mine) * sum(x * x for x in theirs))
            support += alike * sum(theirs)
            rivals += (1 - alike) * sum(theirs)
            challenged += (1 - alike) * sum(theirs) * (other.start_s < own.start_s)
        standing.append(support / (support + min(1, challenged) * rivals))
    missing = [1.0] * P
    for i, (own, mine) in enumerate(rows):
        present = max(0, 1 - max(0, own.start_s - time_s) / LEAD) * max(0, 1 - max(0, time_s - own.end_s) / TAIL)
        for j, (other, theirs) in enumerate(rows):
            if own.start_s < other.start_s <= time_s:
                dot = sum(x * y for x, y in zip(mine, theirs, strict=True))
                alike = dot / math.sqrt(sum(x * x for x in mine) * sum(x * x for x in theirs))
                present *= 1 - (1 - alike) * min(1, sum(theirs) * standing[j])
        for product in range(P):
            missing[product] *= 1 - mine[product] * standing[i] * present
    return [1 - m for m in missing]


def naming_exact(text: str) -> list[float]:
    products, weights = named(Digits().score([text])[0], floor=0.3, sure=0.6, margin=0.15)
    row = np.zeros(P)
    row[products] = weights
    return [float(weight) for weight in row]


utterances = st.builds(
    lambda start, length, text: Utterance(start / 2, start / 2 + length / 2, text),
    st.integers(0, 80),
    st.integers(0, 12),
    st.text("01234589", min_size=P, max_size=P),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(utterances, max_size=9), st.randoms(), st.floats(-2, 55))
def test_evidence_is_that_of_a_plain_loop_in_any_order(said: list[Utterance], random: object, time_s: float) -> None:
    random.shuffle(said)  # type: ignore[attr-defined]
    talk = mentions()
    for words in [*said, *said[:2]]:  # some come twice
        talk.update(words)
    found = talk.utterances_at(time_s)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, plain_utterances_at(said, time_s), atol=1e-5)


def test_evidence_rises_before_and_falls_after() -> None:
    talk = say((10, 12, A))
    at = [float(talk.utterances_at(t)[0]) for t in (8.4, 9.25, 10, 12, 16, 20)]
    assert at == pytest.approx([0, 0.5, 1, 1, 0.5, 0])


def test_silence_and_chatter_say_nothing() -> None:
    assert not mentions().utterances_at(3).any()
    assert not say((10, 12, NOTHING), (13, 14, "8888")).utterances_at(11).any()


def test_a_later_product_takes_over() -> None:
    alone, followed = say((0, 4, A)), say((0, 4, A), (6, 8, B), (8.5, 10, B))
    np.testing.assert_array_equal(alone.utterances_at(4), followed.utterances_at(4))
    after = followed.utterances_at(6)
    assert after[1] > 2 * after[0]
    assert after[0] < 0.5 * alone.utterances_at(6)[0]


def test_a_product_named_in_passing_counts_for_less_than_the_topic() -> None:
    passing = say((0, 3, A), (3.5, 7, B), (7.5, 10, A))
    for time_s in (1, 5, 9, 12):
        evidence = passing.utterances_at(time_s)
        assert evidence[0] > evidence[1], time_s
    # The same name, first after a pause and taken up again, is the topic.
    topic = say((0, 3, A), (13, 16, B), (16.5, 19, B))
    assert topic.utterances_at(14)[1] > 2 * passing.utterances_at(5)[1]


def test_repeating_makes_a_new_topic_stronger() -> None:
    once, twice = say((0, 3, A), (4, 6, B)), say((0, 3, A), (4, 6, B), (7, 9, B))
    assert twice.utterances_at(5)[1] > once.utterances_at(5)[1]


def test_late_utterances_count_for_moments_that_have_been_asked() -> None:
    talk = mentions()
    assert not talk.utterances_at(20).any()
    talk.update(Utterance(18, 20, A))
    assert talk.utterances_at(20)[0] == 1


def test_what_is_old_is_forgotten_and_memory_is_bounded() -> None:
    talk = mentions(horizon_s=60.0)
    for second in range(0, 1000, 10):
        talk.update(Utterance(second, second + 2, A))
        talk.update(Comment(second, "someone", A))
        talk.utterances_at(second)
    assert talk.naming(0, 0, 900) == ()
    assert len(talk.naming(0, 935, 1000, most=100)) == 6
    talk.update(Utterance(5, 6, A))
    assert talk.naming(0, 0, 900) == ()


def test_what_never_ends_does_not_fill_the_memory() -> None:
    talk = mentions()
    for i in range(MOST_KEPT + 50):
        talk.update(Utterance(i / 1000, i / 1000 + 1, A))
    kept = talk.naming(0, 0, MOST_KEPT, most=10 * MOST_KEPT)
    assert len(kept) == MOST_KEPT
    assert kept[0].start_s == pytest.approx(0.05)


def test_naming_returns_the_surest_in_order_of_time() -> None:
    talk = say((1, 2, A), (3, 4, "5000"), (5, 6, B), (7, 8, "8000"), (30, 31, A))
    assert [u.start_s for u in talk.naming(0, 1.5, 20)] == [1, 3, 7]
    assert [u.start_s for u in talk.naming(0, 1.5, 20, most=2)] == [1, 7]


# ---- comments --------------------------------------------------------------------------------------------------


def write(*written: tuple[float, str, str]) -> Mentions:
    chat = mentions()
    for time_s, user, text in written:
        chat.update(Comment(time_s, user, text))
    return chat


def test_comments_count_backwards_in_time() -> None:
    chat = write((20, "ann", A))
    assert [bool(chat.comments_at(t)[0]) for t in (9, 10, 15, 20, 21)] == [False, True, True, True, False]
    assert not chat.utterances_at(20).any()


def test_many_users_count_more_and_the_sum_is_capped() -> None:
    one = write((20, "ann", A)).comments_at(15)[0]
    three = write(*[(20, f"user{i}", A) for i in range(3)]).comments_at(15)[0]
    many = write(*[(20, f"user{i}", A) for i in range(500)]).comments_at(15)[0]
    assert one == pytest.approx(1 / (1 + CROWD))
    assert three == pytest.approx(3 / (3 + CROWD))
    assert 0.99 < many < 1


def test_one_user_counts_once_however_much_they_write() -> None:
    spam = write(*[(15 + i / 100, "bot", A) for i in range(200)], (16, "ann", B), (17, "bob", B))
    evidence = spam.comments_at(14)
    assert evidence[0] == pytest.approx(1 / (1 + CROWD))
    assert evidence[1] > evidence[0]
    spread = write(*[(15, "bot", text) for text in (A, B, "0090", "0009")]).comments_at(14)
    assert spread == pytest.approx([0.25 / (0.25 + CROWD)] * 4)
