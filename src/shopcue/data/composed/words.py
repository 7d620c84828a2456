"""Titles of products, and what a host says while one of them is shown: Chinese or English, made up, and misheard.

A title says what can be measured (kind, colour) and what cannot (a brand, the name of a line). Speech is chatter around
a keyword, a part of a title; a recogniser writes it down, with homophones where it errs. All follows from a generator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from shopcue.data.composed.motion import Rng
from shopcue.data.composed.phrases import (
    BRANDS,
    CHATTER,
    CUTS,
    HOMOPHONES,
    LINES,
    NAMING,
    NOUNS,
    PASSING,
    SOUND_ALIKE,
)

T = TypeVar("T")

Language = Literal["en", "zh"]
Heard = Literal["named", "misheard", "missing", "other"]

LANGUAGES: tuple[Language, ...] = ("en", "zh")
HEARD: Mapping[Heard, float] = {"named": 0.45, "misheard": 0.15, "missing": 0.3, "other": 0.1}
"""How often the intended product is named, named but misheard, not named, and another one named in its place."""

_TRIES = 64
_IN_PASSING = 0.15  # of the clips in which a product is named, those that name another one as well
_TWICE = 0.35
_KEYWORD_SHARES = (0.15, 0.35, 0.25, 0.25)
_VOWELS = "aeiou"


@dataclass(frozen=True, slots=True)
class Title:
    """A title and the parts of it that a host may say, from all of it to the vaguest."""

    text: str
    language: Language
    keywords: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Speech:
    """What is said in a clip, as a recogniser wrote it down, and how the intended product fares in it."""

    text: str
    heard: Heard

    @property
    def spoken_of(self) -> bool:
        """Whether the host speaks of the intended product, misheard or not."""
        return self.heard in ("named", "misheard")


def garment_title(
    key: str, kind: str, colours: Sequence[tuple[str, str]], language: Language, taken: Collection[str]
) -> Title:
    """Return a title that is not among `taken`, the same for the same garment.

    kind: a class of the clothing data set. colours: one or two, each its (English, Chinese) name.
    """
    for attempt in range(_TRIES):
        rng = _rng_of(f"{key}/{language}/{attempt}")
        at = LANGUAGES.index(language)
        brand, line, cut = (_one(words, rng)[at] for words in (BRANDS, LINES, CUTS))
        noun = _one(NOUNS[kind], rng)[at]
        if language == "en":
            colour = " and ".join(name for name, _ in colours)
            text, parts = f"{brand} {line} {cut} {noun} in {colour}", (f"{line} {noun}", f"{brand} {noun}")
            keywords = (f"{brand} {line} {cut} {noun}", *parts, f"{colour} {noun}")
        else:
            colour = "".join(name for _, name in colours)
            text, parts = f"{brand} {line}{colour}{cut}{noun}", (f"{line}{noun}", f"{brand}{noun}")
            keywords = (f"{line}{colour}{cut}{noun}", *parts, f"{colour}{noun}")
        if text not in taken:
            return Title(text, language, keywords)
    raise ValueError(f"no title is left for {key} among {len(taken)}; make smaller galleries")


def goods_title(name: str, coarse_name: str, language: Language) -> Title:
    """Return the title of a grocery by its published name; hosts of any language say it as it is printed."""
    words = name.replace("-", " ").split()
    kind = coarse_name.replace("-", " ")
    if not set(kind.lower().split()) & {word.lower() for word in words}:
        words.append(kind)
    text = " ".join(words)
    return Title(text, language, (text, text, " ".join(words[1:]) or text, " ".join(words[:2])))


def speak(shown: Title, others: Sequence[Title], heard: Heard, sentences: int, language: Language, rng: Rng) -> str:
    """Return what a recogniser made of the host's words.

    others: titles of products in view or of the same gallery; may be empty, and then none is named. sentences: of
    chatter, besides those that name something.
    """
    lines = [_one(CHATTER[language], rng) for _ in range(sentences)]
    if heard == "other" and others:
        lines = _with_keyword(lines, keyword(_one(others, rng), rng), language, rng)
    elif heard in ("named", "misheard"):
        said = keyword(shown, rng)
        said = misheard(said, language, rng) if heard == "misheard" else said
        lines = _with_keyword(lines, said, language, rng)
        if others and rng.random() < _IN_PASSING:
            passing = _one(PASSING[language], rng).format(keyword(_one(others, rng), rng))
            lines.insert(int(rng.integers(len(lines) + 1)), passing)
    return _written(lines, language, rng)


def draw_heard(rng: Rng) -> Heard:
    """Return how the intended product fares in the speech of a clip."""
    kinds = list(HEARD)
    return kinds[int(rng.choice(len(kinds), p=list(HEARD.values())))]


def keyword(title: Title, rng: Rng) -> str:
    """Return a part of a title that a host may say."""
    return title.keywords[int(rng.choice(len(title.keywords), p=_KEYWORD_SHARES))]


def misheard(said: str, language: Language, rng: Rng) -> str:
    """Return another spelling of what was said: words or characters that sound alike, never the same text."""
    for share in (0.5, 0.8, 1.0):
        wrong = _mistaken_zh(said, share, rng) if language == "zh" else _mistaken_en(said, share, rng)
        if wrong != said:
            return wrong
    return _mistaken_en(said, 1.0, rng)  # a name in Latin letters within Chinese speech


def _mistaken_zh(said: str, share: float, rng: Rng) -> str:
    heard = []
    for character in said:
        alike = HOMOPHONES.get(character, "")
        heard.append(_one(alike, rng) if alike and rng.random() < share else character)
    return "".join(heard)


def _mistaken_en(said: str, share: float, rng: Rng) -> str:
    heard = [_slipped(word, rng) if rng.random() < share else word for word in said.split(" ")]
    return " ".join(heard)


def _slipped(word: str, rng: Rng) -> str:
    """Return a word that sounds like another one, by the table, or by a vowel, a double or a lost letter."""
    known = SOUND_ALIKE.get(word.lower())
    if known:
        return _one(known, rng)
    vowels = [place for place, letter in enumerate(word) if letter.lower() in _VOWELS]
    if not vowels:
        return word + word[-1]
    place = vowels[int(rng.integers(len(vowels)))]
    kind = int(rng.integers(3))
    if kind == 0:
        others = [vowel for vowel in _VOWELS if vowel != word[place].lower()]
        return word[:place] + _one(others, rng) + word[place + 1 :]
    if kind == 1 and len(word) > 4:
        return word[:place] + word[place + 1 :]
    return word[: place + 1] + word[place] + word[place + 1 :]


def _with_keyword(lines: list[str], said: str, language: Language, rng: Rng) -> list[str]:
    """Return the lines with one or two among them that say a keyword."""
    lines = list(lines)
    for _ in range(2 if rng.random() < _TWICE else 1):
        lines.insert(int(rng.integers(len(lines) + 1)), _one(NAMING[language], rng).format(said))
    return lines


def _written(lines: Sequence[str], language: Language, rng: Rng) -> str:
    """Return the lines as one text; some recognisers write neither stops nor capitals."""
    plain = rng.random() < 0.5
    if language == "zh":
        return ("" if plain else "。").join(lines) + ("" if plain else "。")
    text = " ".join(line if plain else f"{line[0].upper()}{line[1:]}." for line in lines)
    return text.lower() if plain else text


def _one(choices: Sequence[T], rng: Rng) -> T:
    return choices[int(rng.integers(len(choices)))]


def _rng_of(key: str) -> Rng:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big"))
