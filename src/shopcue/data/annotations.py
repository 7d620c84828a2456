"""Reading the files of a data set that says what its media show: they come from strangers, and may be of any size."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shopcue.errors import MediaError

_MOST_BYTES = 1 << 30  # of a JSON file; the largest real one, of LPR4M's boxes, has some ten million
_LONGEST_LINE = 1 << 20
_LONGEST_PATH, _LONGEST_NAME = 1000, 200  # bytes
_NUMBER = re.compile(r"([0-9]{1,18})")
_PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


def read_object(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file; raises MediaError for what is none."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES} bytes")
        document = json.loads(path.read_bytes())
        if not isinstance(document, dict):
            raise ValueError(f"a {type(document).__name__} at its top")
    except (OSError, ValueError, RecursionError) as error:
        raise MediaError(
            f"{path} cannot be read ({error}); expected a JSON object, as published: copy it again"
        ) from error
    return document


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number, line) of the lines that are not empty, of one that is too long its pieces.

    Lines end in a line feed alone, whatever else a text holds. Raises MediaError where the file cannot be read.
    """
    try:
        with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
            for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), ""), 1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except OSError as error:
        raise MediaError(f"cannot read {path}: {error.strerror}; give a folder whose files can be read") from error


def pictures_in(folder: Path) -> list[Path]:
    """Return the picture files of a folder by name, 9.jpg before 10.jpg, none where it is missing."""
    if not folder.is_dir():
        return []
    found = (path for path in folder.iterdir() if path.suffix.lower() in _PICTURES)
    return sorted(found, key=lambda path: ([*map(_counted, _NUMBER.split(path.name))], path.name))


def _counted(part: str) -> tuple[int, str]:
    """Return what orders a part of a name: by its value where it is a number."""
    return (int(part), "") if _NUMBER.fullmatch(part) else (0, part)


def path_inside(root: Path, name: str) -> Path:
    """Return where a file lies that annotations name; raises ValueError for a name that leaves root."""
    parts = name.split("/")  # not by pathlib, which takes ten times as long: there are millions of names
    proper = name.isprintable() and "\\" not in name and len(name.encode()) <= _LONGEST_PATH
    # A name that is too long would not be missing, but an error of the system.
    if not proper or not set(parts) - {"", "."} or max(len(part.encode()) for part in parts) > _LONGEST_NAME:
        raise ValueError(f"{name[:80]!r} is no path")
    if name.startswith("/") or ".." in parts:
        raise ValueError(f"{name[:80]!r} leaves the data set's folder")
    return root / name


def one_line(text: str) -> str:
    """Return a text on one line, and not a long one."""
    return " ".join(text.split())[:300]
