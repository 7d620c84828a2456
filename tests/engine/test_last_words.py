"""What is said at the very end of a stream is heard too."""

from __future__ import annotations

import time

import numpy as np

from shopcue.engine.hearing import Ears
from shopcue.errors import MediaError
from shopcue.listening import Listener
from shopcue.records import AudioChunk, Floats, Utterance


class Loud:
    """Voice is everywhere where the sound is not zero."""

    def spans(self, samples: Floats) -> list[tuple[int, int]]:
        loud = np.flatnonzero(samples)
        return [(int(loud[0]), int(loud[-1]) + 1)] if len(loud) else []


class Words:
    """A recogniser that says how loud it was. work_s: how long that takes it."""

    fingerprint = "words"

    def __init__(self, work_s: float = 0.0) -> None:
        self.work_s = work_s

    def recognise(self, samples: Floats) -> list[Utterance]:
        time.sleep(self.work_s)
        return [Utterance(0.0, len(samples) / 16_000, f" {round(float(samples.mean()) * 10)}")]


def spoken(start_s: float, loud: int) -> AudioChunk:
    return AudioChunk(start_s, np.full(8_000, loud / 10, np.float32), 16_000)


def test_words_that_wait_for_more_sound_are_heard_at_the_end() -> None:
    ears = Ears(lambda name: Listener(Words(), voice=Loud(), every_s=30.0), share=1.0)
    ears.hear("a", spoken(5.0, 3))
    ears.hear("b", spoken(7.0, 4))
    time.sleep(0.2)
    assert ears.said("a") == [], "it waits for thirty seconds of sound"
    assert ears.finish("a", 10.0) == [Utterance(5.0, 5.5, "3")]
    assert ears.finish("b", 10.0) == [Utterance(7.0, 7.5, "4")]
    assert ears.finish("nobody", 10.0) == []
    ears.close()


def test_the_end_is_not_waited_for_for_ever() -> None:
    ears = Ears(lambda name: Listener(Words(work_s=1.0), voice=Loud(), every_s=0.5), share=0.5)
    for k in range(20):
        ears.hear("a", spoken(k * 3.0, 1))
    began_s = time.monotonic()
    ears.finish("a", 0.5)
    assert time.monotonic() - began_s < 3.0
    ears.close()


def test_a_listener_that_fails_at_the_end_holds_up_nobody() -> None:
    class Failing(Listener):
        def finish(self) -> list[Utterance]:
            raise MediaError("the recogniser is gone")

    ears = Ears(lambda name: Failing(Words(), voice=Loud(), every_s=30.0), share=1.0)
    ears.hear("a", spoken(0.0, 2))
    began_s = time.monotonic()
    assert ears.finish("a", 20.0) == []
    assert time.monotonic() - began_s < 10.0
    ears.close()
