"""How fast and how well speech is recognised: real-time factor, word errors, and product names of a live.

Run: python benchmarks/speech.py SPEECH [LIVE ...]
SPEECH: a folder with utterances (.wav, .flac) and, beside them, files `text` of lines "PATH-OF-THE-SOUND TRANSCRIPT".
LIVE: folders with live.mp4, catalog.csv (id, title, description) and speech.vtt, what was really said.
Prints one line of JSON per measurement. Errors are of words, or of characters where a script has no spaces; a name is
right where the text that was recognised at the time of a cue names the one product that the cue names.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from shopcue.models.recognition import WhisperRecogniser, find_recogniser
from shopcue.models.text import LexicalMatcher, is_unspaced, words
from shopcue.records import Catalog, Product, Utterance
from shopcue.sources.files import read_audio
from shopcue.sources.subtitles import read_subtitles
from shopcue.speech import transcribe


def edits(said: Sequence[str], heard: Sequence[str]) -> int:
    """Return the least number of insertions, deletions and replacements that turn one into the other."""
    row = list(range(len(heard) + 1))
    for i, one in enumerate(said, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (one != other))
    return row[-1]


def units(text: str) -> list[str]:
    return [unit for word in words(text) for unit in (list(word) if is_unspaced(word) else [word])]


def listen(path: Path, recogniser: WhisperRecogniser) -> tuple[list[Utterance], float, float]:
    """Return what was heard, the seconds of sound, and the seconds that it took."""
    chunks = list(read_audio(path))
    start = time.perf_counter()
    heard = list(transcribe(chunks, recogniser))
    return heard, sum(chunk.end_s - chunk.start_s for chunk in chunks), time.perf_counter() - start


def transcripts(folder: Path) -> Iterable[tuple[Path, str]]:
    for listing in sorted(folder.rglob("text")):
        for line in listing.read_text(encoding="utf-8").splitlines():
            name, _, text = line.partition(" ")
            for path in listing.parent.glob(f"*{Path(name).name}*"):
                yield path, text


def shop(path: Path) -> Catalog:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return Catalog(tuple(Product(r["id"], r["title"], (r["image_link"],), r["description"]) for r in rows))


def names(catalog: Catalog, said: Sequence[Utterance], heard: Sequence[Utterance]) -> tuple[int, int]:
    """Return in how many of the cues that hold one title what was heard names it, and how many those are."""
    matcher, right, total = LexicalMatcher(catalog), 0, 0
    for cue in said:
        titled = [i for i, product in enumerate(catalog) if product.title.casefold() in cue.text.casefold()]
        if len(titled) != 1:
            continue
        total += 1
        middles = [(u, (u.start_s + u.end_s) / 2) for u in heard]
        text = " ".join(u.text for u, middle in middles if cue.start_s <= middle < cue.end_s)
        score = matcher.score([text])[0]
        right += int(score[titled[0]] > 0.3 and score.argmax() == titled[0])
    return right, total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path)
    parser.add_argument("lives", type=Path, nargs="*")
    parser.add_argument("--model", type=Path, help="a folder with a Whisper model in CTranslate2's format")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-hint", action="store_true", help="do not tell the recogniser the words of the titles")
    given = parser.parse_args()
    recogniser, line = find_recogniser(given.model, threads=given.threads)
    if recogniser is None:
        raise SystemExit(line)
    for path, text in transcripts(given.speech):
        heard, sound_s, took_s = listen(path, recogniser)
        said = units(text)
        errors = edits(said, units(" ".join(u.text for u in heard))) / len(said)
        print(json.dumps({"sound": path.name, "errors": round(errors, 3), "times_real": round(sound_s / took_s, 1)}))
    for live in given.lives:
        catalog = shop(live / "catalog.csv")
        titles = [] if given.no_hint else [product.title for product in catalog]
        listener, line = find_recogniser(given.model, threads=given.threads, vocabulary=titles)
        assert listener is not None
        heard, sound_s, took_s = listen(live / "live.mp4", listener)
        right, total = names(catalog, read_subtitles(live / "speech.vtt"), heard)
        times = round(sound_s / took_s, 1)
        print(json.dumps({"live": live.name, "model": line, "names": right, "of": total, "times_real": times}))


if __name__ == "__main__":
    main()
