"""Transcribing streams with a voice model and a recogniser whose answers are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest

from clips import MakeVideo, Sound
from shopcue.errors import MediaError
from shopcue.records import AudioChunk, Floats, Utterance
from shopcue.sources.files import probe
from shopcue.speech import LONGEST_PIECE_S, PACK_S, STEP_S, SpeechCutter, recognise_video, sentences, transcribe

RATE = 16_000


class Loud:
    """Voice is where the sound is not zero; notes how much sound it was shown."""

    def __init__(self) -> None:
        self.longest_s = 0.0

    def spans(self, samples: Floats) -> list[tuple[int, int]]:
        self.longest_s = max(self.longest_s, len(samples) / RATE)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], samples != 0, [0]])))
        return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


class Levels:
    """A recogniser that says the loudness of each stretch in hundredths, and notes how much sound it was given."""

    fingerprint = "levels"

    def __init__(self) -> None:
        self.lengths_s: list[float] = []

    def recognise(self, samples: Floats) -> list[Utterance]:
        self.lengths_s.append(len(samples) / RATE)
        edges = [0, *(np.flatnonzero(np.diff(samples)) + 1).tolist(), len(samples)]
        pairs = pairwise(edges)
        return [Utterance(a / RATE, b / RATE, f" {samples[a] * 100:.0f}") for a, b in pairs]


def stream(
    said: Sequence[tuple[float, float]], end_s: float, chunk_s: float, start_s: float = 0
) -> Iterator[AudioChunk]:
    """Sound from start_s to end_s with the k-th stretch [start, end) at the loudness (k + 1) / 100, in chunks."""
    at = np.arange(round((end_s - start_s) * RATE)) / RATE + start_s
    samples = np.zeros(len(at), np.float32)
    for k, (first, last) in enumerate(said):
        samples[(at >= first - 1e-6) & (at < last - 1e-6)] = (k + 1) / 100
    size = round(chunk_s * RATE)
    for i in range(0, len(samples), size):
        yield AudioChunk(start_s + i / RATE, samples[i : i + size], RATE)


SAID = [(1.0, 3.0), (4.0, 5.5), (20.0, 26.0), (26.5, 27.0), (59.5, 61.0), (80.0, 95.0), (99.0, 100.0)]


@pytest.mark.parametrize("chunk_s", [0.5, 7.0, 30.0, 200.0])
@pytest.mark.parametrize("wait_s", [2.0, 60.0])
def test_every_utterance_has_the_times_of_the_stream(chunk_s: float, wait_s: float) -> None:
    heard = list(transcribe(stream(SAID, 100, chunk_s), Levels(), voice=Loud(), wait_s=wait_s, longest_s=60))
    assert [(u.start_s, u.end_s) for u in heard] == [pytest.approx(span, abs=1e-3) for span in SAID]
    assert [u.text for u in heard] == [str(k + 1) for k in range(len(SAID))]


def test_pieces_are_recognised_together_when_there_is_time() -> None:
    patient, hasty = Levels(), Levels()
    for recogniser, wait_s in ((patient, 100.0), (hasty, 2.0)):
        list(transcribe(stream(SAID, 100, 1.0), recogniser, voice=Loud(), wait_s=wait_s))
    assert len(patient.lengths_s) == 1
    assert sum(patient.lengths_s) == pytest.approx(sum(end - start for start, end in SAID))
    assert len(hasty.lengths_s) >= 5


def test_a_live_utterance_comes_soon_after_it_ends() -> None:
    told_s = 0.0

    def live() -> Iterator[AudioChunk]:
        nonlocal told_s
        for chunk in stream(SAID, 100, 0.25):
            told_s = chunk.end_s
            yield chunk

    for utterance in transcribe(live(), Levels(), voice=Loud(), wait_s=3.0, longest_s=60):
        assert told_s - utterance.start_s <= 3.0 + 1.5 + 0.8 + (utterance.end_s - utterance.start_s)


def test_hours_of_sound_are_held_a_minute_at_a_time() -> None:
    class Counting(Levels):
        def recognise(self, samples: Floats) -> list[Utterance]:
            self.lengths_s.append(len(samples) / RATE)
            return [Utterance(0, self.lengths_s[-1], f" {len(self.lengths_s)}")]

    voice, recogniser = Loud(), Counting()

    def long() -> Iterator[AudioChunk]:
        for minute in range(120):
            talk = np.zeros(60 * RATE, np.float32)
            talk[RATE : 50 * RATE] = 0.01 + minute / 1000
            yield AudioChunk(minute * 60.0, talk, RATE)

    last = list(transcribe(long(), recogniser, voice=voice))[-1]
    assert last.end_s == pytest.approx(119 * 60 + 50, abs=0.01)
    assert voice.longest_s <= LONGEST_PIECE_S + 2 * STEP_S + 1
    assert max(recogniser.lengths_s) <= max(PACK_S, voice.longest_s)


def test_silence_never_reaches_the_recogniser() -> None:
    recogniser = Levels()
    assert list(transcribe(stream([], 100, 10), recogniser, voice=Loud())) == []
    assert list(transcribe([], recogniser, voice=Loud())) == []
    assert recogniser.lengths_s == []


def test_a_gap_in_the_sound_ends_what_was_open_and_sets_the_clock() -> None:
    before, after = stream([(8.0, 10.0)], 10, 2.5), stream([(0, 0), (100.0, 101.0)], 104, 2.0, start_s=100)
    heard = list(transcribe([*before, *after], Levels(), voice=Loud(), wait_s=5))
    assert [(round(u.start_s, 3), round(u.end_s, 3), u.text) for u in heard] == [(8, 10, "1"), (100, 101, "2")]


def test_text_that_repeats_itself_at_once_is_taken_once() -> None:
    class Stuck(Levels):
        def recognise(self, samples: Floats) -> list[Utterance]:
            return [Utterance(i, i + 0.5, " Thank you.") for i in range(2)]

    heard = list(transcribe(stream(SAID[:3], 100, 10), Stuck(), voice=Loud(), wait_s=2))
    assert [(u.start_s, u.text) for u in heard] == [(1, "Thank you."), (20, "Thank you.")]


def test_another_rate_is_refused() -> None:
    with pytest.raises(MediaError, match="44100 samples a second, expected 16000"):
        list(transcribe([AudioChunk(0, np.zeros(100, np.float32), 44_100)], Levels(), voice=Loud()))


@pytest.mark.parametrize("step_s", [0.3, 1.0, 15.0])
def test_pieces_hold_the_very_samples(step_s: float) -> None:
    cutter = SpeechCutter(Loud(), step_s)
    pieces = [piece for chunk in stream(SAID, 101, 0.7) for piece in cutter.update(chunk)]
    pieces += cutter.flush()
    for k, (start, end) in enumerate(SAID):
        mine = [p for p in pieces if p.samples[0] == np.float32((k + 1) / 100)]
        assert sum(len(p.samples) for p in mine) == round((end - start) * RATE)
        assert mine[0].start_s == pytest.approx(start, abs=1e-3)
        assert all((p.samples == p.samples[0]).all() for p in mine)


# ---- sentences -------------------------------------------------------------------------------------------------


def spoken(text: str, each_s: float = 0.5, pauses: Sequence[int] = ()) -> list[Utterance]:
    words, now = [], 0.0
    for i, word in enumerate(text.split()):
        now += 1.0 if i in pauses else 0.0
        words.append(Utterance(now, now + each_s, f" {word}"))
        now += each_s
    return words


def test_sentences_end_at_their_marks_at_pauses_and_after_so_long() -> None:
    assert [u.text for u in sentences(spoken("Is it? Yes. It is"))] == ["Is it?", "Yes.", "It is"]
    assert [u.text for u in sentences(spoken("one two three", pauses=[2]))] == ["one two", "three"]
    long = list(sentences(spoken("so " * 40), longest_s=8.0))
    assert max(u.end_s - u.start_s for u in long) <= 8.0
    assert sum(len(u.text.split()) for u in long) == 40


def test_sentences_of_scripts_without_spaces_are_joined_without() -> None:
    words = [Utterance(i, i + 0.9, c) for i, c in enumerate("很好看。买它")]
    assert [u.text for u in sentences(words)] == ["很好看。", "买它"]


def test_what_holds_no_letter_is_no_utterance() -> None:
    assert list(sentences([Utterance(0, 1, " ..."), Utterance(1, 2, " !")])) == []


# ---- a whole video -----------------------------------------------------------------------------------------------


def test_progress_is_told_also_where_nobody_speaks(make_video: MakeVideo, monkeypatch: pytest.MonkeyPatch) -> None:
    class Silence:
        def spans(self, samples: Floats) -> list[tuple[int, int]]:
            return []

    class Never:
        fingerprint = "of a test"

    monkeypatch.setattr("shopcue.speech.SileroVoice", Silence)
    monkeypatch.setattr("shopcue.speech.find_recogniser", lambda vocabulary: (Never(), f"speech: {vocabulary[0]}"))
    video = probe(make_video("long.mkv", [0.0, 70.0], sounds=[Sound(duration_s=70.0)]))
    told: list[tuple[str, float, float]] = []
    notes: list[str] = []
    heard = recognise_video(video, ["Milk"], update=lambda *step: told.append(step), note=notes.append)
    assert heard == ([], "of a test")
    assert notes == ["speech: Milk"]
    assert [stage for stage, _, _ in told] == ["speech"] * 3
    assert [round(done) for _, done, _ in told] == [30, 60, 70]
    assert all(done <= total == video.duration_s for _, done, total in told)
