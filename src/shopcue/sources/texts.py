"""Text files from strangers -> text, bounded and in a known encoding."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from shopcue.errors import ShopcueError

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def read_text(path: str | Path, limit_mb: int, expected: str, error: type[ShopcueError]) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 with a byte order mark; line ends become `\\n`.

    expected: what the file should be, for messages. Raises `error` if it cannot be read, is larger than limit_mb
    megabytes or is in another encoding.
    """
    file = Path(path)
    if file.is_dir() or not file.exists():
        came = "is a folder" if file.is_dir() else "does not exist"
        raise error(f"{path} {came}, expected {expected}; check the path")
    if not file.is_file():
        raise error(f"{path} is a pipe or a device, expected {expected}; save its content to a file first")
    try:
        with file.open("rb") as opened:
            content = opened.read(limit_mb * 1_000_000 + 1)
    except OSError as problem:
        raise error(f"{path} cannot be read ({problem.strerror}), expected {expected}") from problem
    if len(content) > limit_mb * 1_000_000:
        raise error(f"{path} is larger than {limit_mb} MB, expected {expected} below that; split it")
    mark, encoding = next((b for b in _BOMS if content.startswith(b[0])), (b"", "utf-8"))
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        raise error(
            f"{path}, line {line}: not {encoding.upper()}, expected {expected} in UTF-8, or in UTF-16 with a byte "
            "order mark; save it in UTF-8"
        ) from problem
    return text.replace("\r\n", "\n").replace("\r", "\n")


def clean(text: str, max_length: int) -> str:
    """Return `text` on one line, without control characters and broken code points, cut to max_length characters."""
    # Cut first and again: a stranger's megabytes are not worth cleaning to the end.
    whole = text[: 4 * max_length].encode("utf-8", "replace").decode("utf-8")
    return " ".join(_CONTROLS.sub(" ", whole).split())[:max_length]
