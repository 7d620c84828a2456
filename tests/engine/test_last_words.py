"""What is said at the very end of a stream is heard too."""

from __future__ import annotations

import time

import numpy as np

from engine.recognisers import RATE_HZ, Always, Counting
from shopcue.engine.hearing import Ears
from shopcue.errors import MediaError
from shopcue.listening import Listener
from shopcue.records import AudioChunk, Utterance


def spoken(start_s: float, loud: int) -> AudioChunk:
    return AudioChunk(start_s, np.full(RATE_HZ // 2, loud / 10, np.float32), RATE_HZ)


def test_words_that_wait_for_more_sound_are_heard_at_the_end() -> None:
    ears = Ears(lambda name: Listener(Counting(0.0), voice=Always(), every_s=30.0), share=1.0)
    ears.hear("a", spoken(5.0, 3))
    ears.hear("b", spoken(7.0, 4))
    time.sleep(0.2)
    assert ears.said("a") == [], "it waits for thirty seconds of sound"
    assert ears.finish("a", 10.0) == [Utterance(5.0, 5.5, "3")]
    assert ears.finish("b", 10.0) == [Utterance(7.0, 7.5, "4")]
    assert ears.finish("nobody", 10.0) == []
    ears.close()


def test_the_end_is_not_waited_for_for_ever() -> None:
    ears = Ears(lambda name: Listener(Counting(1.0), voice=Always(), every_s=0.5), share=0.5)
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

    ears = Ears(lambda name: Failing(Counting(0.0), voice=Always(), every_s=30.0), share=1.0)
    ears.hear("a", spoken(0.0, 2))
    began_s = time.monotonic()
    assert ears.finish("a", 20.0) == []
    assert time.monotonic() - began_s < 10.0
    ears.close()
