"""The running time of a connection, against a publisher whose true times are known."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopcue.sources.live.timeline import Timeline

TICK = Fraction(1, 90_000)
WRAP = 2**33


@dataclass
class FakePacket:
    stream_index: int
    pts: int | None
    dts: int | None
    time_base: Fraction = TICK


def send(timeline: Timeline, stream: int, stamp: int | None, arrived_s: float, ahead: int = 0) -> FakePacket:
    """Pass a packet on; ahead: by how much it is shown later than decoded."""
    packet = FakePacket(stream, None if stamp is None else stamp + ahead, stamp)
    timeline.update(cast(Any, packet), arrived_s)
    return packet


def ticks(seconds: float) -> int:
    return round(seconds * 90_000)


@dataclass(frozen=True)
class Part:
    """What a publisher sends until it starts anew: silent for a while first, its stamps starting anywhere."""

    silence_s: float
    first_stamp: int
    seconds: float


PARTS = st.lists(
    st.builds(
        Part,
        st.sampled_from([0.0, 3.0, 20.0, 600.0]),
        # So far apart that no silence explains them; the last one wraps around in the course of its part.
        st.sampled_from([*range(0, ticks(95_000), ticks(1_000)), ticks(95_441)]),
        st.floats(4.0, 8.0),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=30)
@given(PARTS, st.floats(0.05, 2.0), st.booleans())
def test_time_goes_on_through_restarts_silences_and_wraps(parts: list[Part], late_s: float, bursts: bool) -> None:
    """Pictures at 25 a second and sound at 50, all parts one behind the other with their silences in between."""
    timeline = Timeline()
    last: dict[int, Fraction] = {}
    true_s, zero_s = 0.0, parts[0].first_stamp / 90_000
    for number, part in enumerate(parts):
        true_s += part.silence_s if number else 0.0
        for n in range(int(part.seconds * 50)):
            at_s = n / 50
            # Segments come by the second, all else as it is made.
            arrived_s = 1_000 + late_s + true_s + (int(at_s) + 1.0 if bursts else at_s)
            stamp = (part.first_stamp + ticks(at_s)) % WRAP
            for stream in (0, 1) if n % 2 == 0 else (1,):
                packet = send(timeline, stream, stamp, arrived_s)
                assert packet.dts is not None
                place_s = packet.dts * TICK
                assert stream not in last or place_s > last[stream]
                last[stream] = place_s
            # The last burst of a part may come early, which blurs when the next one starts.
            blur_s = (1.1 if bursts else 0.1) * number + 0.01
            assert abs(float(last[1]) - zero_s - true_s - at_s) <= blur_s
        assert abs(float(last[0] - last[1])) <= 0.05
        true_s += int(part.seconds * 50) / 50


@pytest.mark.parametrize("silence_s", [0.0, 2.0, 7.0, 90.0])
@pytest.mark.parametrize("new_stamp_s", [0.0, 12.0, 40_000.0])
def test_a_silence_counts_once(silence_s: float, new_stamp_s: float) -> None:
    """A publisher who sends for 60 s, is silent, and starts with other stamps."""
    timeline = Timeline()
    for n in range(60 * 25):
        send(timeline, 0, ticks(500 + n / 25), 100 + n / 25)
    first = send(timeline, 0, ticks(new_stamp_s), 160 + silence_s)
    assert first.dts is not None
    came_s = float(first.dts * TICK)
    expected_s = 560 + silence_s if silence_s > 1 else 560
    assert came_s == pytest.approx(expected_s, abs=0.05)
    after = send(timeline, 0, ticks(new_stamp_s + 0.04), 160.04 + silence_s)
    assert after.dts is not None
    assert after.dts - first.dts == ticks(0.04)
    assert timeline.restarts == 1


def test_a_gap_that_the_clock_on_the_wall_saw_is_kept() -> None:
    timeline = Timeline()
    send(timeline, 0, ticks(10), 0.0)
    send(timeline, 0, ticks(10.04), 0.04)
    packet = send(timeline, 0, ticks(310), 300.0)
    assert packet.dts == ticks(310)
    assert timeline.restarts == 0


def test_a_leap_that_the_clock_on_the_wall_did_not_see_is_closed() -> None:
    timeline = Timeline()
    for n in range(50):
        send(timeline, 0, ticks(10 + n / 25), n / 25)
    packet = send(timeline, 0, ticks(700), 2.0)
    assert packet.dts == pytest.approx(ticks(12), abs=2)
    assert timeline.restarts == 1


@pytest.mark.parametrize("wrap", [WRAP, 2**32 * 90])
def test_stamps_that_wrap_around_go_on_to_the_tick(wrap: int) -> None:
    timeline = Timeline()
    start = wrap - ticks(1)
    for n in range(100):
        stamp = start + ticks(n / 25)
        packet = send(timeline, 0, stamp % wrap, n / 25)
        assert packet.dts == stamp
        sound = send(timeline, 1, (stamp + 7) % wrap, n / 25)
        assert sound.dts == stamp + 7


def test_the_two_stamps_of_a_packet_may_stand_on_two_sides_of_a_wrap() -> None:
    timeline = Timeline()
    send(timeline, 0, WRAP - ticks(0.04), 0.0)
    packet = FakePacket(0, ticks(0.04), WRAP - 90)
    timeline.update(cast(Any, packet), 0.04)
    assert packet.pts == WRAP + ticks(0.04)
    assert packet.dts == WRAP - 90


def test_packets_without_stamps_pass() -> None:
    timeline = Timeline()
    assert send(timeline, 0, None, 0.0).dts is None
    assert send(timeline, 0, 5, 0.0).dts == 5


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.integers(1, 40), st.one_of(st.floats(1.5, 4.5), st.floats(-90.0, -1.5), st.integers(6, 90_000)), max_size=6
    ),
    st.booleans(),
)
def test_a_damaged_stamp_moves_no_other(damage: dict[int, float], sound: bool) -> None:
    """Pictures and sound in step; every fifth picture, or sound, may say something else."""
    timeline = Timeline()
    for n in range(250):
        true = ticks(100 + n / 25)
        wrong = ticks(damage[n // 5]) if n % 5 == 2 and n // 5 in damage else 0
        damaged = {1 if sound else 0} if wrong else set()
        for stream in (0, 1):
            packet = send(timeline, stream, true + wrong if stream in damaged else true, n / 25)
            assert packet.dts == true or stream in damaged
    assert timeline.restarts <= len(damage)


@pytest.mark.parametrize("apart_s", [11.0, 5_000.0, -700.0])
def test_two_stamps_of_a_packet_that_have_nothing_to_do_with_each_other(apart_s: float) -> None:
    timeline = Timeline()
    send(timeline, 0, ticks(10), 0.0)
    packet = FakePacket(0, ticks(10.04 + apart_s), ticks(10.04))
    timeline.update(cast(Any, packet), 0.04)
    assert packet.pts == packet.dts == ticks(10.04)


def test_a_stream_whose_first_stamp_is_damaged() -> None:
    timeline = Timeline()
    for n in range(50):
        send(timeline, 0, ticks(10 + n / 25), n / 25)
        packet = send(timeline, 1, ticks(9_000 if n == 20 else 10 + n / 25), n / 25) if n >= 20 else None
        assert packet is None or packet.dts == pytest.approx(ticks(10 + n / 25), abs=ticks(0.1))
