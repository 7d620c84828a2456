"""Sound -> utterances: voice activity cuts out what is spoken, a recogniser writes it down.

Works on streams of any length: about a minute of sound is held at most. Sound in which nobody speaks never reaches
the recogniser, which would make words up. Pieces of speech are recognised together, since a recogniser of Whisper's
kind takes as long for two seconds as for thirty, and the times of the words are those of the stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np

from shopcue.errors import MediaError
from shopcue.models.recognition import RATE_HZ, Recogniser, find_recogniser
from shopcue.records import AudioChunk, Floats, Utterance
from shopcue.sources.files import VideoInfo, read_audio

PACK_S = 28.0  # of speech that is recognised at once; Whisper's window has 30
LONGEST_PIECE_S = 24.0
GUARD_S = 0.8  # speech that ends so near to the end of what is known may go on
SEAM_S = 0.1  # chunks that lie further apart are not one sound
REPEAT_S = 5.0  # the same text again within so many seconds is not a second utterance
STEP_S = 15.0  # of sound between two looks for voice, at most

_SENTENCE_ENDS = (".", "?", "!", "…", "。", "？", "！", "｡")
_CLOSING = "\"'”’»)]）】」』 "


class Voice(Protocol):
    """Finds where somebody speaks."""

    def spans(self, samples: Floats) -> list[tuple[int, int]]:
        """Return the spans of speech [start, end) in samples, in order. samples: float32 (n,) at 16 kHz."""


class SileroVoice:
    """Silero's voice activity model, as faster-whisper carries it; needs the extra `speech`."""

    def __init__(self) -> None:
        from faster_whisper.vad import VadOptions, get_speech_timestamps

        self._find = get_speech_timestamps
        self._options = VadOptions(
            min_speech_duration_ms=250,
            min_silence_duration_ms=400,
            speech_pad_ms=200,
            max_speech_duration_s=LONGEST_PIECE_S,
        )

    def spans(self, samples: Floats) -> list[tuple[int, int]]:
        """Return the spans of speech; see `Voice`."""
        return [(span["start"], span["end"]) for span in self._find(samples, self._options, sampling_rate=RATE_HZ)]


class SpeechCutter:
    """Cuts the pieces with speech out of a stream of sound, each once it has surely ended.

    step_s: how much sound comes in between two looks.
    """

    def __init__(self, voice: Voice, step_s: float = STEP_S) -> None:
        self._voice = voice
        self._step = max(1, round(step_s * RATE_HZ))
        self._start_s = 0.0
        self._samples = np.empty(0, np.float32)
        self._unseen = 0

    def update(self, chunk: AudioChunk) -> Iterator[AudioChunk]:
        """Take the next chunk and yield the pieces that have ended. Raises MediaError unless it has 16 kHz."""
        if chunk.rate_hz != RATE_HZ:
            raise MediaError(f"the sound has {chunk.rate_hz} samples a second, expected {RATE_HZ}; resample it")
        if abs(chunk.start_s - self._end_s) > SEAM_S:
            yield from self.flush()
            self._start_s = chunk.start_s
        for start in range(0, len(chunk.samples), self._step):
            part = chunk.samples[start : start + self._step]
            self._samples = np.concatenate([self._samples, part])
            self._unseen += len(part)
            if self._unseen >= self._step:
                yield from self._cut(len(self._samples) - round(GUARD_S * RATE_HZ))

    def flush(self) -> Iterator[AudioChunk]:
        """End the sound here and yield what was still open."""
        yield from self._cut(len(self._samples))
        self._drop(len(self._samples))

    @property
    def _end_s(self) -> float:
        return self._start_s + len(self._samples) / RATE_HZ

    def _cut(self, sure: int) -> Iterator[AudioChunk]:
        """Yield the pieces that end before the sample `sure`, and keep what comes after them."""
        self._unseen = 0
        if not len(self._samples):
            return
        done = 0
        open_at = max(0, sure)
        for start, end in self._voice.spans(self._samples):
            if end > sure:
                open_at = min(open_at, start)
                break
            done = end
            yield AudioChunk(self._start_s + start / RATE_HZ, self._samples[start:end].copy(), RATE_HZ)
        # A voice model without a limit of its own must not make the stretch grow for ever.
        longest = round((LONGEST_PIECE_S + GUARD_S) * RATE_HZ)
        if len(self._samples) - max(done, open_at) > longest:
            start = max(done, open_at)
            yield AudioChunk(self._start_s + start / RATE_HZ, self._samples[start:].copy(), RATE_HZ)
            open_at = len(self._samples)
        self._drop(max(done, open_at))

    def _drop(self, count: int) -> None:
        self._samples = self._samples[count:].copy()
        self._start_s += count / RATE_HZ


def recognise_video(
    video: VideoInfo,
    titles: Sequence[str],
    *,
    update: Callable[[str, float, float], None] | None = None,
    note: Callable[[str], None] | None = None,
) -> tuple[list[Utterance], str]:
    """Return what is said in a video, in order of time, and the fingerprint of what recognised it, or `none`.

    titles: of the products, words that the recogniser should know. update: called with how far it is, in seconds of the
    video. note: called with one line that says what recognises, or why nothing does.
    """
    said = note or (lambda line: None)
    if not video.has_audio:
        said("speech: none (the video has no sound)")
        return [], "none"
    recogniser, line = find_recogniser(vocabulary=titles)
    said(line)
    if recogniser is None:
        return [], "none"
    sound = _reported(read_audio(video.path), video.duration_s, update)
    return list(transcribe(sound, recogniser)), recogniser.fingerprint


def _reported(
    chunks: Iterable[AudioChunk], duration_s: float, update: Callable[[str, float, float], None] | None
) -> Iterator[AudioChunk]:
    """Yield sound on, and say how far it is each time that more is asked for: silence counts too."""
    for chunk in chunks:
        yield chunk
        if update is not None:
            update("speech", min(chunk.end_s, duration_s), duration_s)


def transcribe(
    chunks: Iterable[AudioChunk],
    recogniser: Recogniser,
    *,
    voice: Voice | None = None,
    wait_s: float = 60.0,
    longest_s: float = 8.0,
) -> Iterator[Utterance]:
    """Yield what is said in a stream of sound, in order of time.

    chunks: mono sound at 16 kHz, in order. voice: where somebody speaks; None = `SileroVoice`. wait_s: how long speech
    may wait to be recognised together with more, which costs less; a live stream sets a few seconds. longest_s: an
    utterance ends at the end of a sentence, at a pause, or after so many seconds. Raises MediaError for another rate.
    """
    cutter = SpeechCutter(voice or SileroVoice(), min(STEP_S, max(1.0, wait_s / 2)))
    spoken = (
        utterance
        for pack in _packs(_pieces(chunks, cutter), wait_s)
        for utterance in _recognised(pack, recogniser, longest_s)
    )
    last: Utterance | None = None
    for utterance in spoken:
        # Text that repeats itself at once is what a recogniser makes of noise.
        if last is None or utterance.text != last.text or utterance.start_s > last.end_s + REPEAT_S:
            yield utterance
        last = utterance


def _packs(pieces: Iterable[tuple[AudioChunk | None, float]], wait_s: float) -> Iterator[list[AudioChunk]]:
    """Gather pieces until they fill what is recognised at once, or the first has waited for wait_s seconds."""
    pack: list[AudioChunk] = []
    for piece, now_s in pieces:
        full = piece is not None and sum(map(_length_s, [*pack, piece])) > PACK_S
        if pack and (full or now_s - pack[0].start_s >= wait_s):
            yield pack
            pack = []
        if piece is not None:
            pack.append(piece)
    if pack:
        yield pack


def _pieces(chunks: Iterable[AudioChunk], cutter: SpeechCutter) -> Iterator[tuple[AudioChunk | None, float]]:
    """Yield the pieces with speech with the time at which they are known, and None after each chunk."""
    now_s = 0.0
    for chunk in chunks:
        now_s = chunk.end_s
        for piece in cutter.update(chunk):
            yield piece, now_s
        yield None, now_s
    for piece in cutter.flush():
        yield piece, now_s


def _recognised(pack: Sequence[AudioChunk], recogniser: Recogniser, longest_s: float) -> Iterator[Utterance]:
    """Recognise pieces as one and yield their utterances at the pieces' own times."""
    ends = np.cumsum([_length_s(piece) for piece in pack])
    words: list[list[Utterance]] = [[] for _ in pack]
    for word in recogniser.recognise(np.concatenate([piece.samples for piece in pack])):
        k = min(int(np.searchsorted(ends, (word.start_s + word.end_s) / 2)), len(pack) - 1)
        piece = pack[k]
        shift_s = piece.start_s - (ends[k] - _length_s(piece))
        start_s, end_s = (min(max(t + shift_s, piece.start_s), piece.end_s) for t in (word.start_s, word.end_s))
        words[k].append(Utterance(float(start_s), float(end_s), word.text))
    for spoken in words:
        yield from sentences(spoken, longest_s)


def sentences(words: Iterable[Utterance], longest_s: float = 8.0, pause_s: float = 0.6) -> Iterator[Utterance]:
    """Join words into utterances: up to the end of a sentence, a pause, or longest_s seconds."""
    held: list[Utterance] = []
    for word in words:
        if held and (word.start_s - held[-1].end_s > pause_s or word.end_s - held[0].start_s > longest_s):
            yield from _joined(held)
            held = []
        held.append(word)
        if word.text.rstrip(_CLOSING).endswith(_SENTENCE_ENDS):
            yield from _joined(held)
            held = []
    yield from _joined(held)


def _joined(words: Sequence[Utterance]) -> Iterator[Utterance]:
    text = "".join(word.text for word in words).strip()
    if any(character.isalnum() for character in text):
        yield Utterance(words[0].start_s, max(word.end_s for word in words), text)


def _length_s(piece: AudioChunk) -> float:
    return piece.end_s - piece.start_s
