"""The focuses of a video as files: for programs, players, video platforms and spreadsheets.

Each format is a function `(document, out) -> None` and a line in `FORMATS`. Titles, ids and speech come from strangers:
every writer escapes them for its own format. Text that UTF-8 cannot hold is written as `?`.
"""

from __future__ import annotations

import csv
import errno
import json
import math
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TextIO

from shopcue.errors import OutputError, RecordError, ScoreError
from shopcue.records import Alternative, Evidence, Focus, Utterance

SCHEMA: Final = "shopcue.focuses/1"
MAX_FILE_BYTES: Final = 256_000_000
CHAPTER_SHORTEST_S: Final = 10  # a video platform ignores all chapters when one is shorter
CHAPTER_TITLE_LENGTH: Final = 100


@dataclass(frozen=True)
class FocusDocument:
    """What one match run found in one video.

    video: its path as it was given. duration_s: seconds. models: what each model was, name -> fingerprint. focuses: in
    order of start; they are put in order on creation. Raises RecordError when a number is not finite.
    """

    video: str
    duration_s: float
    models: Mapping[str, str] = field(default_factory=dict)
    focuses: tuple[Focus, ...] = ()

    def __post_init__(self) -> None:
        if not (math.isfinite(self.duration_s) and self.duration_s >= 0):
            raise RecordError(f"duration_s is {self.duration_s}, expected a finite number of seconds from 0")
        for focus in self.focuses:
            _check_finite(focus)
        ordered = sorted(self.focuses, key=lambda focus: (focus.start_s, focus.end_s, focus.product_id))
        object.__setattr__(self, "focuses", tuple(ordered))


def _check_finite(focus: Focus) -> None:
    evidence = focus.evidence
    numbers = [evidence.visual, evidence.text, evidence.comments, evidence.frame_s, *evidence.box]
    numbers += [alternative.score for alternative in focus.alternatives]
    if len(evidence.box) != 4 or not all(math.isfinite(number) for number in numbers):
        raise RecordError(
            f"the focus of {focus.product_id!r} at {focus.start_s} s holds evidence {numbers}, "
            "expected finite numbers and a box of four"
        )


# ---- writing one format ----------------------------------------------------------------------------------------


def write_json(document: FocusDocument, out: TextIO) -> None:
    """Write `focuses.json`: everything that was found, times in seconds to the millisecond, log odds to 1e-6."""
    value = {
        "schema": SCHEMA,
        "video": {"path": document.video, "duration_s": _rounded(document.duration_s, 3)},
        "models": dict(document.models),
        "focuses": [focus_to_json(focus) for focus in document.focuses],
    }
    json.dump(value, out, ensure_ascii=False, allow_nan=False, indent=1)
    out.write("\n")


def focus_to_json(focus: Focus) -> dict[str, Any]:
    """Return a focus as it stands in `focuses.json` and in the events of a live stream."""
    evidence = focus.evidence
    return {
        "product_id": focus.product_id,
        "title": focus.title,
        "start_s": _rounded(focus.start_s, 3),
        "end_s": _rounded(focus.end_s, 3),
        "score": _rounded(focus.score, 6),
        "evidence": {
            "visual": _rounded(evidence.visual, 6),
            "text": _rounded(evidence.text, 6),
            "comments": _rounded(evidence.comments, 6),
            "frame_s": _rounded(evidence.frame_s, 3),
            "box": [_rounded(edge, 1) for edge in evidence.box],
            "utterances": [
                {"start_s": _rounded(said.start_s, 3), "end_s": _rounded(said.end_s, 3), "text": said.text}
                for said in evidence.utterances
            ],
        },
        "alternatives": [
            {"product_id": other.product_id, "score": _rounded(other.score, 6)} for other in focus.alternatives
        ],
    }


def _rounded(number: float, digits: int) -> float:
    return round(float(number), digits) + 0.0  # NumPy's floats become Python's, and -0.0 becomes 0.0


def write_vtt(document: FocusDocument, out: TextIO) -> None:
    """Write `focuses.vtt`: WebVTT, one cue for each focus with its title; the cue's name is its place in the list."""
    out.write("WEBVTT\n")
    for number, focus in enumerate(document.focuses, start=1):
        start_ms = round(max(focus.start_s, 0) * 1000)
        end_ms = max(round(focus.end_s * 1000), start_ms + 1)  # a cue that does not end after its start is dropped
        text = _name(focus).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        out.write(f"\n{number}\n{_vtt_time(start_ms)} --> {_vtt_time(end_ms)}\n{text}\n")


def _vtt_time(time_ms: int) -> str:
    seconds, milliseconds = divmod(time_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03}"


def write_chapters(document: FocusDocument, out: TextIO) -> None:
    """Write `chapters.txt`: lines `M:SS title` (`H:MM:SS` from the first hour) to paste below an uploaded video.

    A platform takes chapters only if the first starts at 0:00 and none is shorter than ten seconds. So the time before
    the first focus is `Intro`, a stretch of ten seconds and more without a focus is `—`, shorter ones belong to the
    chapter before, and a focus that starts within ten seconds of a chapter's start joins it: `A + B`.
    """
    for start_s, names in _chapters(document):
        # Angle brackets are refused in a description.
        title = _shortened(" + ".join(names), CHAPTER_TITLE_LENGTH).replace("<", "‹").replace(">", "›")
        out.write(f"{clock(start_s)} {title}\n")


def _chapters(document: FocusDocument) -> list[tuple[int, list[str]]]:
    """Return (start in whole seconds, names) of each chapter, all at least `CHAPTER_SHORTEST_S` long."""
    chapters: list[tuple[int, list[str]]] = [(0, ["Intro"])]
    ended = 0
    for focus in document.focuses:
        start, name = max(int(focus.start_s), 0), _name(focus)
        _add_gap(chapters, ended, start)
        last_start, names = chapters[-1]
        if start - last_start >= CHAPTER_SHORTEST_S:
            if names != [name]:
                chapters.append((start, [name]))
        elif ended == 0:  # the first focus takes the place of an intro that is too short
            chapters = [(0, [name])]
        elif name not in names:
            names.append(name)
        ended = max(ended, math.ceil(focus.end_s), 1)
    end = max(ended, int(document.duration_s))
    _add_gap(chapters, ended, end)
    if len(chapters) > 1 and end - chapters[-1][0] < CHAPTER_SHORTEST_S:
        _, names = chapters.pop()
        chapters[-1][1].extend(name for name in names if name not in chapters[-1][1])
    return chapters


def _add_gap(chapters: list[tuple[int, list[str]]], ended: int, start: int) -> None:
    """Add a chapter for the time without a focus from `ended` to `start`, if it and the one before are long enough."""
    begin = max(ended, chapters[-1][0] + CHAPTER_SHORTEST_S)
    if ended and start - begin >= CHAPTER_SHORTEST_S:
        chapters.append((begin, ["—"]))


def clock(time_s: float) -> str:
    """Return a time as people write it: `0:07`, `12:30`, and from the first hour `1:02:03`; fractions are cut."""
    minutes, seconds = divmod(max(int(time_s), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def write_csv(document: FocusDocument, out: TextIO) -> None:
    """Write `focuses.csv` for spreadsheets: a row for each focus; no cell of a stranger can start a formula.

    It begins with a byte order mark, without which a common spreadsheet reads the titles in a wrong alphabet.
    """
    out.write("\ufeff")
    rows = csv.writer(out)
    rows.writerow(CSV_COLUMNS)
    rows.writerows([cell(focus) for cell in CSV_COLUMNS.values()] for focus in document.focuses)


def _cell(text: str) -> str:
    """Return `text` for a spreadsheet: behind an apostrophe if it would be taken for a formula."""
    line = one_line(text)
    return f"'{line}" if line.startswith(tuple("=+-@＝＋－＠")) else line


def one_line(text: str) -> str:
    """Return `text` without line breaks and control characters, which would end a cue, a line or a cell."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", text).split())


def _name(focus: Focus) -> str:
    return one_line(focus.title) or one_line(focus.product_id) or "?"


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


CSV_COLUMNS: Final[Mapping[str, Callable[[Focus], str]]] = MappingProxyType(
    {
        "product_id": lambda focus: _cell(focus.product_id),
        "title": lambda focus: _cell(focus.title),
        "start": lambda focus: clock(focus.start_s),
        "end": lambda focus: clock(focus.end_s),
        "start_s": lambda focus: f"{focus.start_s:.3f}",
        "end_s": lambda focus: f"{focus.end_s:.3f}",
        "duration_s": lambda focus: f"{_rounded(focus.end_s, 3) - _rounded(focus.start_s, 3):.3f}",
        "score": lambda focus: f"{focus.score:.4f}",
        "visual": lambda focus: f"{_rounded(focus.evidence.visual, 4):.4f}",
        "text": lambda focus: f"{_rounded(focus.evidence.text, 4):.4f}",
        "comments": lambda focus: f"{_rounded(focus.evidence.comments, 4):.4f}",
        "said": lambda focus: _cell(" / ".join(said.text for said in focus.evidence.utterances)),
        "alternatives": lambda focus: _cell(" / ".join(f"{it.product_id} {it.score:.4f}" for it in focus.alternatives)),
    }
)

Export = Callable[[FocusDocument, TextIO], None]

FORMATS: Final[Mapping[str, Export]] = MappingProxyType(
    {
        "focuses.json": write_json,
        "focuses.vtt": write_vtt,
        "chapters.txt": write_chapters,
        "focuses.csv": write_csv,
    }
)


# ---- writing a folder ------------------------------------------------------------------------------------------


def check_writable(folder: str | os.PathLike[str]) -> None:
    """Raise OutputError unless results can be written to `folder`; leaves nothing behind.

    To be called before long work starts. The folder need not exist yet.
    """
    with _staging(Path(folder), FORMATS):
        pass


def write_all(
    document: FocusDocument, folder: str | os.PathLike[str], pages: Mapping[str, str] | None = None
) -> list[Path]:
    """Write every format, and `pages` (file name -> text, such as report.html), into `folder`; return their paths.

    All files are complete before the first is moved to its place. Files of a former run are replaced, others are left
    alone. Raises OutputError when something cannot be written.
    """
    target = Path(folder)
    pages = pages or {}
    names = [*FORMATS, *pages]
    with _staging(target, names) as staging:
        for name, export in FORMATS.items():
            with (staging / name).open("w", encoding="utf-8", errors="replace", newline="") as out:
                export(document, out)
        for name, text in pages.items():
            (staging / name).write_text(text, encoding="utf-8", errors="replace", newline="")
        target.mkdir(parents=True, exist_ok=True)
        return [(staging / name).replace(target / name) for name in names]


def write_page(path: Path, text: str) -> Path:
    """Write `text` to the file `path`, which appears whole or not at all; raise OutputError if it cannot."""
    with _staging(path.parent, [path.name]) as staging:
        (staging / path.name).write_text(text, encoding="utf-8", errors="replace", newline="")
        path.parent.mkdir(parents=True, exist_ok=True)
        return (staging / path.name).replace(path)


@contextmanager
def _staging(target: Path, names: Iterable[str]) -> Iterator[Path]:
    """Lend an empty folder on the disk of `target`, and remove it; raise OutputError when `target` cannot be written.

    It lies in `target`, or where that does not exist yet, in the nearest folder above that does.
    """
    try:
        above = target.absolute()
        while not above.exists() and above != above.parent:
            above = above.parent
        for name in names:
            if (target / name).is_dir():
                raise IsADirectoryError(errno.EISDIR, f"{name} is a folder there")
        if "\0" in str(target):
            raise OSError(errno.EINVAL, "its name holds a null character")
        staging = above / f".shopcue-{secrets.token_hex(6)}"
        staging.mkdir()
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"results cannot be written to {str(target)!r}: {error.strerror or error}; "
            "expected a folder with write access and space, give another one"
        ) from error


# ---- reading back ----------------------------------------------------------------------------------------------


def read_focuses(path: str | os.PathLike[str]) -> FocusDocument:
    """Read a `focuses.json` back; raise ScoreError with one line when it is missing, malformed or of another schema."""
    source = Path(path)
    try:
        with source.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
        if len(raw) > MAX_FILE_BYTES:
            raise ValueError(f"the file is larger than {MAX_FILE_BYTES} bytes")
        return _document_from_json(json.loads(raw, parse_constant=_refuse_constant))
    except (OSError, ValueError, OverflowError, RecursionError, RecordError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ScoreError(
            f"{str(source)!r} cannot be read as focuses: {reason}; expected {SCHEMA}, as `shopcue match` writes it"
        ) from error


def _refuse_constant(name: str) -> float:
    raise ValueError(f"it holds {name}, which is not a number of JSON")


def _document_from_json(value: Any) -> FocusDocument:
    document = _object(value, "$")
    if document.get("schema") != SCHEMA:
        raise ValueError(f"its schema is {document.get('schema')!r:.100}")
    video = _object(document.get("video"), "$.video")
    models = _object(document.get("models"), "$.models")
    return FocusDocument(
        video=_text(video, "path", "$.video"),
        duration_s=_number(video, "duration_s", "$.video"),
        models={name: _text(models, name, "$.models") for name in models},
        focuses=tuple(focus_from_json(item, place) for place, item in _objects(document, "focuses", "$")),
    )


def focus_from_json(value: Any, where: str) -> Focus:
    """Return the focus that `focus_to_json` wrote. where: what names its place; raises ValueError for anything else."""
    focus = _object(value, where)
    return Focus(
        product_id=_text(focus, "product_id", where),
        title=_text(focus, "title", where),
        start_s=_number(focus, "start_s", where),
        end_s=_number(focus, "end_s", where),
        score=_number(focus, "score", where),
        evidence=_evidence_from_json(focus.get("evidence"), f"{where}.evidence"),
        alternatives=tuple(
            Alternative(_text(other, "product_id", place), _number(other, "score", place))
            for place, other in _objects(focus, "alternatives", where)
        ),
    )


def _evidence_from_json(value: Any, where: str) -> Evidence:
    evidence = _object(value, where)
    box = evidence.get("box")
    if not isinstance(box, list) or len(box) != 4:
        raise ValueError(f"{where}.box is {box!r:.100}, not four numbers")
    x0, y0, x1, y1 = (_as_number(edge, f"{where}.box") for edge in box)
    return Evidence(
        visual=_number(evidence, "visual", where),
        text=_number(evidence, "text", where),
        comments=_number(evidence, "comments", where),
        frame_s=_number(evidence, "frame_s", where),
        box=(x0, y0, x1, y1),
        utterances=tuple(
            Utterance(_number(said, "start_s", place), _number(said, "end_s", place), _text(said, "text", place))
            for place, said in _objects(evidence, "utterances", where)
        ),
    )


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is {value!r:.100}, not an object")
    return value


def _objects(owner: dict[str, Any], key: str, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place and the value of each object in the list `owner[key]`."""
    items = owner.get(key)
    if not isinstance(items, list):
        raise ValueError(f"{where}.{key} is {items!r:.100}, not a list")
    for i, item in enumerate(items):
        yield f"{where}.{key}[{i}]", _object(item, f"{where}.{key}[{i}]")


def _text(owner: dict[str, Any], key: str, where: str) -> str:
    value = owner.get(key)
    if not isinstance(value, str):
        raise ValueError(f"{where}.{key} is {value!r:.100}, not a text")
    return value


def _number(owner: dict[str, Any], key: str, where: str) -> float:
    return _as_number(owner.get(key), f"{where}.{key}")


def _as_number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{where} is {value!r:.100}, not a number")
    return float(value)
