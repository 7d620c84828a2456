"""One running time for a recording whose time stamps start again.

When a publisher reconnects, or recordings are joined end to end, time stamps fall back in the middle of a file. What
follows is then moved to where the part before it ended, pictures and sound by the same amount.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

from av.packet import Packet

_FALL_BACK_S = 1  # pictures are stored out of order by less
_LONGEST_GAP_S = 3600  # where stamps may start again, a longer leap is a new start, not a silence


def splice(packets: Iterable[Packet[Any]], may_restart: bool) -> Iterator[Packet[Any]]:
    """Yield `packets` of several streams with time stamps that go on where they would start again.

    may_restart: whether the container is of a kind whose time stamps are those of a broadcast, which may leap ahead
    too when they start again.
    """
    shifts = [Fraction(0)]  # seconds, of each part of the recording
    part: dict[int, int] = {}  # stream -> the part that it is in: streams reach a new one not quite at once
    last_s: dict[int, Fraction] = {}  # stream -> when its last packet started, on the running time
    step_s: dict[int, Fraction] = {}  # stream -> how long that one lasts
    for packet in packets:
        stamp = packet.dts if packet.dts is not None else packet.pts
        if stamp is None:
            yield packet
            continue
        stream, raw_s = packet.stream_index, stamp * packet.time_base
        number = part.setdefault(stream, len(shifts) - 1)
        leap_s = raw_s + shifts[number] - last_s.get(stream, raw_s + shifts[number])
        if leap_s < -_FALL_BACK_S or (may_restart and leap_s > _LONGEST_GAP_S):
            number = part[stream] = number + 1
            if number == len(shifts):
                shifts.append(max(last_s[s] + step_s[s] for s in last_s) - raw_s)
        else:
            step_s[stream] = max(leap_s, Fraction(0))
        last_s[stream] = raw_s + shifts[number]
        shift = round(shifts[number] / packet.time_base)
        if shift:
            packet.pts = None if packet.pts is None else packet.pts + shift
            packet.dts = None if packet.dts is None else packet.dts + shift
        yield packet
