"""One running time for the packets of a connection, whatever its time stamps do.

Time stamps of live streams start again when a publisher does, wrap around (33 bits of 90 kHz in MPEG-TS, 32 bits of
milliseconds in FLV) and leap. The clock on the wall tells a leap from a silence: what the stream claims to be ahead of
all that it ever delivered is a leap, and is closed; what the wall agrees to is a gap, and stays. Pictures and sound are
moved by the same amount.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from typing import Any

from av.packet import Packet

_FALL_BACK_S = 1.0  # pictures and sound are stored out of order by less
_STEP_S = 1.0  # packets follow each other by less
_LEAP_S = 5.0  # a step ahead by less is a gap
_WRAPS_S = (Fraction(2**33, 90_000), Fraction(2**32, 1000))
_WINDOW_S = 30.0


class Timeline:
    """Moves the time stamps of packets, in place, so that they go on where they would start again.

    restarts: how often they were moved.
    """

    def __init__(self) -> None:
        self.restarts = 0
        self._shifts = [Fraction(0)]  # seconds, of each part of the connection
        self._part: dict[int, int] = {}  # stream -> the part that it is in: streams reach a new one not quite at once
        self._part_before: dict[int, int] = {}  # stream -> the part of the packet before its last one
        self._last_s: dict[int, Fraction] = {}  # stream -> when its last packet started, on the running time
        self._before_s: dict[int, Fraction] = {}  # stream -> when the one before that started
        self._step_s: dict[int, Fraction] = {}  # stream -> how long that one lasts
        self._delay = _Delay()

    def update(self, packet: Packet[Any], arrived_s: float) -> None:
        """Take the next packet, which came at arrived_s of the monotonic clock, and move it to where it belongs."""
        _unwrap(packet)
        stamp = packet.dts if packet.dts is not None else packet.pts
        if stamp is None:
            return
        stream, raw_s = packet.stream_index, stamp * packet.time_base
        shift_s = self._shift(stream, raw_s, arrived_s)
        place_s = raw_s + shift_s
        self._before_s[stream] = self._last_s.get(stream, place_s)
        self._step_s[stream] = max(place_s - self._before_s[stream], Fraction(0))
        self._last_s[stream] = place_s
        self._delay.update(arrived_s, arrived_s - float(place_s))
        _move(packet, round(shift_s / packet.time_base))

    def _shift(self, stream: int, raw_s: Fraction, arrived_s: float) -> Fraction:
        """Return by how many seconds a stamp is to be moved, opening a new part where no part makes sense of it."""
        if not self._last_s:
            self._part[stream] = 0
            return self._shifts[0]
        number = self._part.setdefault(stream, len(self._shifts) - 1)
        last_s = self._last_s.get(stream, max(self._last_s.values()))
        before, place_s = self._part_before.get(stream, number), raw_s + self._shifts[number]
        self._part_before[stream] = number
        if (number != before or abs(place_s - last_s) > _STEP_S) and self._goes_on(stream, before, raw_s):
            self._part[stream] = before
            return self._shifts[before]
        while not self._fits(raw_s + self._shifts[number], last_s, arrived_s):
            number += 1
            if number == len(self._shifts):
                self.restarts += 1
                self._shifts.append(self._new_shift(raw_s, raw_s + self._shifts[-1], last_s, arrived_s))
                break
        self._part[stream] = number
        return self._shifts[number]

    def _goes_on(self, stream: int, part: int, raw_s: Fraction) -> bool:
        """Whether a stamp goes on from the packet before the last one: then the last one's was damaged."""
        place_s = raw_s + self._shifts[part]
        return 0 < place_s - self._before_s.get(stream, place_s) <= _STEP_S

    def _fits(self, place_s: Fraction, last_s: Fraction, arrived_s: float) -> bool:
        leap_s = place_s - last_s
        if leap_s <= _LEAP_S:
            return leap_s >= -_FALL_BACK_S
        return float(place_s) <= arrived_s - self._delay.least_s + _LEAP_S

    def _new_shift(self, raw_s: Fraction, place_s: Fraction, last_s: Fraction, arrived_s: float) -> Fraction:
        for wrap_s in _WRAPS_S:
            if abs(place_s + wrap_s - last_s) < _LEAP_S:
                return place_s + wrap_s - raw_s
        end_s = max(self._last_s[s] + self._step_s[s] for s in self._last_s)
        # Where the stream was silent longer than it ever was late, so was the shop.
        silent_until_s = Fraction(arrived_s - self._delay.most_s)
        return (max(end_s, silent_until_s) if silent_until_s > end_s + 1 else end_s) - raw_s


class _Delay:
    """How late packets come, wall clock against time stamp: the least and the most of the last while."""

    def __init__(self) -> None:
        self._spans: deque[list[float]] = deque(maxlen=2)  # start, least, most

    @property
    def least_s(self) -> float:
        return min(span[1] for span in self._spans)

    @property
    def most_s(self) -> float:
        return max(span[2] for span in self._spans)

    def update(self, now_s: float, delay_s: float) -> None:
        if not self._spans or now_s - self._spans[-1][0] > _WINDOW_S:
            self._spans.append([now_s, delay_s, delay_s])
        span = self._spans[-1]
        span[1], span[2] = min(span[1], delay_s), max(span[2], delay_s)


def _unwrap(packet: Packet[Any]) -> None:
    """Bring the two stamps of a packet to the same side of a wrap-around."""
    if packet.pts is None or packet.dts is None:
        return
    apart_s = (packet.pts - packet.dts) * packet.time_base
    for wrap_s in _WRAPS_S:
        if abs(abs(apart_s) - wrap_s) < _LEAP_S * 2:
            packet.pts -= round((wrap_s if apart_s > 0 else -wrap_s) / packet.time_base)
            return
    if abs(apart_s) > _LEAP_S * 2:  # one of them is damaged
        packet.pts = packet.dts


def _move(packet: Packet[Any], shift: int) -> None:
    if shift:
        packet.pts = None if packet.pts is None else packet.pts + shift
        packet.dts = None if packet.dts is None else packet.dts + shift
