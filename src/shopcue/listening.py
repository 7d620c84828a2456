"""Speech of a live stream -> utterances, soon and for good.

A recogniser wants whole sentences, and a live stream cannot wait for them. So what is still being said is recognised
again and again, and a word is given out when two recognitions in a row agree on it and on all before it (local
agreement, Liu et al., Interspeech 2020); what was given out is never taken back. Utterances end as offline: at the end
of a sentence, at a pause, or when they are long.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shopcue.errors import MediaError
from shopcue.models.recognition import RATE_HZ, Recogniser
from shopcue.records import AudioChunk, Floats, Utterance
from shopcue.speech import GUARD_S, SEAM_S, SileroVoice, Voice, sentences

LONGEST_S = 15.0  # of sound that is recognised again
_CONTEXT_S = 0.2  # before the first sample of a voice
_JITTER_S = 0.3  # by which the times of a word differ from one recognition to the next


class Listener:
    """The speech of one live stream.

    recogniser, voice: as in `speech.transcribe`. every_s: so much new sound comes in before it is listened to again.
    longest_s: an utterance ends after so long at the latest. Holds some seconds of sound, whatever comes.
    """

    def __init__(
        self, recogniser: Recogniser, *, voice: Voice | None = None, every_s: float = 3.0, longest_s: float = 8.0
    ) -> None:
        self._recogniser, self._voice = recogniser, voice or SileroVoice()
        self._every_n, self._longest_s = round(every_s * RATE_HZ), longest_s
        self._samples = np.empty(0, np.float32)
        self._start_s = 0.0
        self._unheard = 0
        self._guess: list[Utterance] = []  # the words of the last recognition that are not yet agreed on
        self._agreed: list[Utterance] = []  # words that are agreed on and wait for the end of their utterance
        self._said_s = -np.inf  # the end of the last word that was given out

    def update(self, chunk: AudioChunk) -> list[Utterance]:
        """Take the next sound and return what has been said for sure. Raises MediaError unless it has 16 kHz."""
        if chunk.rate_hz != RATE_HZ:
            raise MediaError(f"the sound has {chunk.rate_hz} samples a second, expected {RATE_HZ}; resample it")
        said: list[Utterance] = []
        if abs(chunk.start_s - self._end_s) > SEAM_S:
            said += self.finish()
            self._start_s = chunk.start_s
        for start in range(0, len(chunk.samples), self._every_n):
            part = chunk.samples[start : start + self._every_n]
            self._samples = np.concatenate([self._samples, part])
            self._unheard += len(part)
            if self._unheard >= self._every_n:
                said += self._listen(len(self._samples) - round(GUARD_S * RATE_HZ))
        return said

    def finish(self) -> list[Utterance]:
        """End the sound here and return what was still open."""
        said = self._listen(len(self._samples))
        self._drop(len(self._samples))
        return said

    @property
    def _end_s(self) -> float:
        return self._start_s + len(self._samples) / RATE_HZ

    def _listen(self, sure: int) -> list[Utterance]:
        """Listen to all sound that is held. sure: speech that ends before this sample has ended."""
        self._unheard = 0
        spans = self._voice.spans(self._samples) if len(self._samples) else []
        if not spans:
            said = self._close([])
            self._drop(max(0, sure))
            return said
        begin = max(0, spans[0][0] - round(_CONTEXT_S * RATE_HZ))
        words = self._recognise(self._samples[begin : spans[-1][1]], self._start_s + begin / RATE_HZ)
        if spans[-1][1] <= sure:
            said = self._close(words)
            self._drop(spans[-1][1])
            return said
        self._agree(words, self._start_s + spans[-1][0] / RATE_HZ)
        said = self._complete()
        self._drop(begin)
        self._shorten()
        return said

    def _recognise(self, samples: Floats, start_s: float) -> list[Utterance]:
        """Return the words after the last one that is agreed on, at their times in the stream."""
        known_s, last = self._agreed_s, _plain(self._agreed[-1].text) if self._agreed else ""
        words = [
            Utterance(start_s + word.start_s, start_s + word.end_s, word.text)
            for word in self._recogniser.recognise(samples)
        ]
        words = [word for word in words if (word.start_s + word.end_s) / 2 > known_s]
        # The same word may come back with slightly later times.
        again = bool(words) and words[0].start_s < known_s + _JITTER_S and _plain(words[0].text) == last
        return words[1:] if again else words

    @property
    def _agreed_s(self) -> float:
        """The time up to which all words have been agreed on."""
        return self._agreed[-1].end_s if self._agreed else self._said_s

    def _agree(self, words: Sequence[Utterance], open_s: float) -> None:
        """Take a recognition of sound that goes on: the words that the one before it had too are agreed on.

        open_s: where the speech that goes on began; words before it are as good as they get.
        """
        count = sum(word.end_s <= open_s for word in words)
        for before, now in zip(self._guess[count:], words[count:], strict=False):
            if _plain(before.text) != _plain(now.text):
                break
            count += 1
        self._agreed += words[:count]
        self._guess = list(words[count:])

    def _complete(self) -> list[Utterance]:
        """Return the utterances that have ended among the words that are agreed on."""
        joined = list(sentences(self._agreed, self._longest_s))
        whole = [said for said in joined if self._agreed and said.end_s < self._agreed[-1].end_s]
        if joined and len(whole) < len(joined) and _ends(joined[-1]):
            whole = joined
        if whole:
            self._said_s = whole[-1].end_s
            self._agreed = [word for word in self._agreed if word.end_s > self._said_s]
        return whole

    def _close(self, words: Sequence[Utterance]) -> list[Utterance]:
        """Take the last recognition of speech that has ended and return all that is left of it."""
        rest = [*self._agreed, *words]
        self._agreed, self._guess = [], []
        if rest:
            self._said_s = rest[-1].end_s
        return list(sentences(rest, self._longest_s))

    def _shorten(self) -> None:
        """Where somebody speaks without a pause, let go of sound whose words are agreed on, or of the oldest."""
        length_s = len(self._samples) / RATE_HZ
        if length_s <= LONGEST_S:
            return
        agreed_n = round((self._agreed_s - self._start_s) * RATE_HZ) if np.isfinite(self._agreed_s) else 0
        if agreed_n <= 0:
            self._agreed += self._guess  # they never agree: the last guess is the best that there is
            self._guess = []
            agreed_n = len(self._samples) - round(GUARD_S * RATE_HZ)
        self._drop(agreed_n)

    def _drop(self, count: int) -> None:
        count = min(max(count, 0), len(self._samples))
        self._samples = self._samples[count:].copy()
        self._start_s += count / RATE_HZ


def _plain(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def _ends(said: Utterance) -> bool:
    return said.text.rstrip("\"'”’»)]）】」』 ").endswith((".", "?", "!", "…", "。", "？", "！"))
