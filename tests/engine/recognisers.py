"""Recognisers that understand nothing and take their time, and a voice that is wherever there is sound."""

from __future__ import annotations

import time

import numpy as np

from shopcue.records import Floats, Utterance

RATE_HZ = 16_000


class Counting:
    """A recogniser that takes its time and says how loud the sound was that it was given, in tenths."""

    fingerprint = "counting"

    def __init__(self, work_s: float) -> None:
        self.work_s, self.heard_s = work_s, 0.0

    def recognise(self, samples: Floats) -> list[Utterance]:
        time.sleep(self.work_s)
        self.heard_s += len(samples) / RATE_HZ
        return [Utterance(0.0, len(samples) / RATE_HZ, f" {round(float(samples.mean()) * 10)}")]


class Seconds:
    """A recogniser that takes its time and hears a word in each tenth of a second."""

    fingerprint = "seconds"

    def __init__(self, work_s: float) -> None:
        self.work_s = work_s

    def recognise(self, samples: Floats) -> list[Utterance]:
        time.sleep(self.work_s)
        return [Utterance(n / 10, (n + 1) / 10, " la") for n in range(10 * len(samples) // RATE_HZ)]


class Always:
    """Voice is everywhere where the sound is not zero."""

    def spans(self, samples: Floats) -> list[tuple[int, int]]:
        loud = np.flatnonzero(np.abs(samples) > 1e-4)
        return [(int(loud[0]), int(loud[-1]) + 1)] if len(loud) else []
