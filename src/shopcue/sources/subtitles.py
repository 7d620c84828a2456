"""Subtitle files -> utterances: WebVTT (https://www.w3.org/TR/webvtt1/) and SubRip.

What a file is, its first line says, not its name. Cues become plain text: tags, voices, entities and positions go.
Captions that roll (each cue repeats the line before, as generated ones do) are said once.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from shopcue.errors import SubtitleError
from shopcue.records import Utterance
from shopcue.sources.texts import clean, read_text

MAX_MB = 50
_MAX_LENGTH = 5000  # characters of one cue
_ROLL_GAP_S = 0.1
_ARROW = "-->"
_TIME = r"(?:(\d{1,4}):)?([0-5]?\d):([0-5]?\d)[.,](\d{3})"
_TIMING = re.compile(rf"\s*{_TIME}\s*{_ARROW}\s*{_TIME}(?:\s.*)?", re.ASCII)
_TAG = re.compile(r"<(?:/?[A-Za-z][^<>]*|\d[\d:.]*)>|\{\\[^{}]*\}")
_ASIDE = re.compile(r"(?:NOTE|STYLE|REGION)(?:[ \t].*)?")


@dataclass(frozen=True, slots=True)
class _Cue:
    start_s: float
    end_s: float
    lines: tuple[str, ...]


def read_subtitles(path: str | Path) -> list[Utterance]:
    """Return what a WebVTT or SubRip file says, sorted by start; cues without text are left out.

    Raises SubtitleError, with the line, if the file is missing, too large, in another encoding or malformed.
    """
    text = read_text(path, MAX_MB, "a VTT or SRT file", SubtitleError)
    is_vtt = re.match(r"WEBVTT(?=[ \t\n]|$)", text) is not None
    if not is_vtt and Path(path).suffix.lower() == ".vtt":
        _fail(path, 0, "no WEBVTT header", "WEBVTT as the first line of a .vtt file")
    if not text.strip():
        _fail(path, 0, "the file is empty", "cues with times")
    cues = sorted(_Reader(path, text.split("\n"), is_vtt).cues(), key=lambda cue: (cue.start_s, cue.end_s))
    return list(_unroll(cues))


def _fail(path: str | Path, index: int, came: str, expected: str) -> NoReturn:
    raise SubtitleError(f"{path}, line {index + 1}: {came}, expected {expected}; correct the line or export it again")


class _Reader:
    """Goes through the lines of a file and yields its cues."""

    def __init__(self, path: str | Path, lines: list[str], is_vtt: bool) -> None:
        self._path = path
        self._lines = lines
        self._is_vtt = is_vtt
        self._at = 0

    def cues(self) -> Iterator[_Cue]:
        """Yield the cues in the order of the file."""
        if self._is_vtt:
            self._at = 1  # what follows the header up to a blank line describes the file
            self._skip_block()
        cue: _Cue | None = None
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if self._is_blank(line):
                self._at += 1
            elif self._is_vtt and _ASIDE.fullmatch(line) and not self._is_timing(self._at + 1):
                self._skip_block()
            elif self._is_timing(self._at) or self._is_timing(self._at + 1):
                if cue is not None:
                    yield cue
                cue = self._cue()
            elif cue is not None and not self._is_vtt and not line.strip().isdecimal():
                # SubRip has no rule against a blank line within a cue.
                cue = _Cue(cue.start_s, cue.end_s, cue.lines + self._text())
            else:
                _fail(self._path, self._at, f"{line[:60]!r} is followed by no time", f"'start {_ARROW} end'")
        if cue is not None:
            yield cue

    def _cue(self) -> _Cue:
        if not self._is_timing(self._at):
            self._at += 1  # the cue's name
        found = _TIMING.fullmatch(self._lines[self._at])
        if found is None:
            form = f"hh:mm:ss.mmm {_ARROW} hh:mm:ss.mmm"
            _fail(self._path, self._at, f"{self._lines[self._at][:60]!r} is no pair of times", form)
        start_s, end_s = _seconds(found.groups()[:4]), _seconds(found.groups()[4:])
        if end_s < start_s:
            _fail(self._path, self._at, f"the cue ends at {end_s} s, before it starts at {start_s} s", "start <= end")
        self._at += 1
        return _Cue(start_s, end_s, self._text())

    def _text(self) -> tuple[str, ...]:
        """Return the lines of text from here to the next blank line or cue."""
        start = self._at
        while self._at < len(self._lines) and not self._is_blank(self._lines[self._at]):
            following_name = self._lines[self._at].strip().isdecimal() and self._is_timing(self._at + 1)
            if self._is_timing(self._at) or following_name:
                break
            self._at += 1
        return tuple(self._lines[start : self._at])

    def _skip_block(self) -> None:
        while self._at < len(self._lines) and not self._is_blank(self._lines[self._at]):
            if self._is_timing(self._at):
                return
            self._at += 1

    def _is_timing(self, index: int) -> bool:
        return index < len(self._lines) and _ARROW in self._lines[index]

    def _is_blank(self, line: str) -> bool:
        # In WebVTT a space is text, and generated captions use it so.
        return not line if self._is_vtt else not line.strip()


def _seconds(parts: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, thousandths = (int(part or 0) for part in parts)
    return (((hours * 60 + minutes) * 60 + seconds) * 1000 + thousandths) / 1000


def _unroll(cues: list[_Cue]) -> Iterator[Utterance]:
    """Turn cues into utterances, leaving out of each what the one right before already showed."""
    last: Utterance | None = None
    shown: tuple[str, ...] = ()
    for cue in cues:
        lines = tuple(filter(None, (clean(html.unescape(_TAG.sub("", line)), _MAX_LENGTH) for line in cue.lines)))
        follows = last is not None and cue.start_s - last.end_s <= _ROLL_GAP_S
        repeated = _overlap(shown, lines) if follows else 0
        fresh = " ".join(lines[repeated:])[:_MAX_LENGTH]
        if fresh:
            if last is not None:
                yield last
            last = Utterance(cue.start_s, cue.end_s, fresh)
        elif lines and last is not None:
            last = Utterance(last.start_s, max(last.end_s, cue.end_s), last.text)
        if lines:
            shown = lines
    if last is not None:
        yield last


def _overlap(before: tuple[str, ...], after: tuple[str, ...]) -> int:
    """Return how many lines at the end of `before` come again at the start of `after`."""
    longest = min(len(before), len(after))
    return next((n for n in range(longest, 0, -1) if before[-n:] == after[:n]), 0)
