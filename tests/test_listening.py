"""Live speech: nothing is taken back, nothing is lost, and sentences come soon."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopcue.errors import MediaError
from shopcue.listening import LONGEST_S, Listener
from shopcue.records import AudioChunk, Floats, Utterance

RATE = 16_000


class Loud:
    """Voice is where the sound is not zero; pauses below 0.4 s belong to it."""

    def __init__(self) -> None:
        self.longest_s = 0.0

    def spans(self, samples: Floats) -> list[tuple[int, int]]:
        self.longest_s = max(self.longest_s, len(samples) / RATE)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], samples != 0, [0]]))).reshape(-1, 2)
        spans: list[tuple[int, int]] = []
        for start, end in edges.tolist():
            if spans and start - spans[-1][1] < 0.4 * RATE:
                spans[-1] = (spans[-1][0], end)
            else:
                spans.append((start, end))
        return spans


class Reader:
    """Reads words out of the sound: each is a stretch of one loudness, its number; unsure of a word that is cut off.

    fickle: how often the last word of what it hears comes out wrong.
    """

    fingerprint = "reader"

    def __init__(self, fickle: float = 0.0, seed: int = 0) -> None:
        self._fickle, self._rng = fickle, np.random.default_rng(seed)

    def recognise(self, samples: Floats) -> list[Utterance]:
        edges = np.concatenate([[0], np.flatnonzero(np.diff(samples)) + 1, [len(samples)]])
        words = []
        for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            if samples[start] != 0:
                words.append(Utterance(start / RATE, end / RATE, f" w{round(float(samples[start]) * 1000)}"))
        if words and self._rng.random() < self._fickle:
            last = words[-1]
            words[-1] = Utterance(last.start_s, last.end_s, f" x{self._rng.integers(1000)}")
        return words


def speak(words: Sequence[tuple[float, float]], end_s: float) -> Floats:
    """Sound in which the k-th word [start, end) has the loudness (k + 1) / 1000."""
    samples = np.zeros(round(end_s * RATE), np.float32)
    for k, (start, end) in enumerate(words):
        samples[round(start * RATE) : round(end * RATE)] = (k + 1) / 1000
    return samples


def listen(
    samples: Floats, recogniser: Reader, chunk_s: float = 0.5, voice: Loud | None = None
) -> list[tuple[float, Utterance]]:
    """What is heard, with the time of the stream at which it came."""
    listener = Listener(recogniser, voice=voice or Loud(), every_s=2.0)
    heard = []
    size = round(chunk_s * RATE)
    for i in range(0, len(samples), size):
        chunk = AudioChunk(i / RATE, samples[i : i + size], RATE)
        heard += [(chunk.end_s, said) for said in listener.update(chunk)]
    return heard + [(len(samples) / RATE, said) for said in listener.finish()]


@st.composite
def talks(draw: st.DrawFn) -> list[tuple[float, float]]:
    """Words of 0.2 to 0.6 s, with short pauses between most of them and long ones between some."""
    words, now_s = [], draw(st.floats(0, 3))
    for _ in range(draw(st.integers(1, 60))):
        length_s = draw(st.floats(0.2, 0.6))
        words.append((round(now_s, 2), round(now_s + length_s, 2)))
        now_s += length_s + draw(st.sampled_from([0.1, 0.1, 0.1, 0.2, 0.9, 3.0]))
    return words


@settings(max_examples=25, deadline=None)
@given(talks(), st.sampled_from([0.02, 0.5, 3.0, 11.0]))
def test_every_word_is_heard_once_and_in_order(words: list[tuple[float, float]], chunk_s: float) -> None:
    heard = listen(speak(words, words[-1][1] + 2.0), Reader(), chunk_s)
    assert " ".join(said.text for _, said in heard).split() == [f"w{k + 1}" for k in range(len(words))]
    for (_, before), (_, after) in pairwise(heard):
        assert before.end_s <= after.start_s + 1e-6
    for came_s, said in heard:
        assert said.end_s <= came_s + 1e-6


@settings(max_examples=25, deadline=None)
@given(talks(), st.integers(0, 99))
def test_a_fickle_recogniser_is_believed_only_when_it_repeats_itself(
    words: list[tuple[float, float]], seed: int
) -> None:
    """The last word of what it hears is often wrong; only the very last of a stretch, heard once, can stay wrong."""
    heard = listen(speak(words, words[-1][1] + 2.0), Reader(0.5, seed))
    texts = " ".join(said.text for _, said in heard).split()
    assert len(texts) == len(words)
    ends = {k for k in range(len(words)) if k + 1 == len(words) or words[k + 1][0] - words[k][1] >= 0.4}
    assert all(text == f"w{k + 1}" or k in ends for k, text in enumerate(texts))


def test_a_talk_without_a_pause_is_heard_while_it_lasts_and_held_in_seconds() -> None:
    words = [(k * 0.5, k * 0.5 + 0.4) for k in range(240)]
    voice = Loud()
    heard = listen(speak(words, 121.0), Reader(), voice=voice)
    delays = [came_s - said.end_s for came_s, said in heard]
    assert max(delays) <= 6.0
    assert " ".join(said.text for _, said in heard).split() == [f"w{k + 1}" for k in range(240)]
    assert voice.longest_s <= LONGEST_S + 8.0


def test_sound_that_jumps_is_two_sounds() -> None:
    listener = Listener(Reader(), voice=Loud(), every_s=2.0)
    first = listener.update(AudioChunk(0.0, speak([(0.5, 1.0)], 1.5), RATE))
    second = listener.update(AudioChunk(60.0, speak([(0.5, 1.0)], 1.5), RATE))
    assert first == []
    for said, start_s in ((second, 0.5), (listener.finish(), 60.5)):
        assert [each.text for each in said] == ["w1"]
        assert said[0].start_s == pytest.approx(start_s)
    with pytest.raises(MediaError, match="16000"):
        listener.update(AudioChunk(62.0, np.zeros(10, np.float32), 8_000))


def test_silence_costs_nothing_and_holds_nothing() -> None:
    voice = Loud()
    assert listen(np.zeros(120 * RATE, np.float32), Reader(), voice=voice) == []
    assert voice.longest_s < 5.0
