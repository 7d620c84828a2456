"""Files of viewers' comments -> comments, whatever wrote them.

Three forms are told apart by their content: our own JSON lines `{"time_s", "user", "text"}`; what chat-downloader
(https://github.com/xenova/chat-downloader) writes for YouTube, Twitch and others, as one JSON list or as JSON lines of
`{"time_in_seconds", "message", "author": {"name"}}`; and bilibili's danmaku XML,
`<d p="time,mode,size,color,timestamp,pool,user,row">text</d>`.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn
from xml.sax import SAXParseException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl, Locator

import defusedxml.sax
from defusedxml import DefusedXmlException

from shopcue.errors import CommentError
from shopcue.records import Comment
from shopcue.sources.texts import clean, read_text

MAX_MB = 256
MAX_TEXT = 500  # characters of a comment
MAX_USER = 100
_FORMS = "JSON lines with time_s, user and text, a chat-downloader JSON file, or bilibili danmaku XML"
_SPOKEN_MODES = 6  # of danmaku: those above are placed or scripted, not said
# Danmaku files hold characters that XML forbids.
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def read_comments(path: str | Path) -> list[Comment]:
    """Return the comments of a file, sorted by time; texts are cut to MAX_TEXT characters, empty ones left out.

    Raises CommentError, with the line, if the file is missing, too large, in another encoding or malformed. Comments
    that chat-downloader dates before the start of the stream are left out.
    """
    text = read_text(path, MAX_MB, f"a file of comments ({_FORMS})", CommentError)
    start = text.lstrip()[:1]
    if start in ("{", ""):
        found = _from_lines(path, text)
    elif start == "[":
        found = _from_list(path, text)
    elif start == "<":
        found = iter(_from_xml(path, text))
    else:
        _fail(path, 1, f"starts with {text.lstrip()[:20]!r}", _FORMS)
    return sorted((comment for comment in found if comment.text), key=lambda comment: comment.time_s)


def _fail(path: str | Path, line: int, came: str, expected: str) -> NoReturn:
    raise CommentError(f"{path}, line {line}: {came}, expected {expected}; correct the line or export the file again")


def _comment(time_s: float, user: str, text: str) -> Comment:
    return Comment(time_s, clean(user, MAX_USER), clean(text, MAX_TEXT))


# ---- JSON ------------------------------------------------------------------------------------------------------


def _from_lines(path: str | Path, text: str) -> Iterator[Comment]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            record, _ = _decode(path, line, len(line) - len(line.lstrip()), number, whole=True)
            yield from _from_record(path, number, record)


def _from_list(path: str | Path, text: str) -> Iterator[Comment]:
    """Yield the comments of a JSON list, one item after the other so as never to hold all of them as objects."""
    line, counted = 1, 0
    at = _skip(text, text.index("[") + 1)
    while not text.startswith("]", at):
        line, counted = line + text.count("\n", counted, at), at
        record, at = _decode(path, text, at, line)
        yield from _from_record(path, line, record)
        at = _skip(text, at)
        if text.startswith(",", at):
            at = _skip(text, at + 1)
        elif not text.startswith("]", at):
            _fail(path, line, "the list does not go on after the item that starts here", "a comma or ]")
    if text[at + 1 :].strip():
        _fail(path, text.count("\n", 0, at) + 1, "something follows the list", "its end")


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\n":
        at += 1
    return at


def _decode(path: str | Path, text: str, at: int, line: int, whole: bool = False) -> tuple[Any, int]:
    """Return the JSON value at `at` and where it ends; whole: whether nothing but blanks may follow."""
    try:
        record, end = json.JSONDecoder().raw_decode(text, at)
    except (ValueError, RecursionError) as error:
        within = getattr(error, "lineno", 1) if whole else text.count("\n", at, getattr(error, "pos", at)) + 1
        _fail(path, line + within - 1, f"no JSON ({str(error)[:80]})", _FORMS)
    if whole and text[end:].strip():
        _fail(path, line, "more than one value on a line", _FORMS)
    return record, end


def _from_record(path: str | Path, line: int, record: object) -> Iterator[Comment]:
    """Yield the comment of one JSON object, nothing if there is none in it."""
    if not isinstance(record, dict) or not record.keys() & {"time_s", "time_in_seconds"}:
        _fail(path, line, "no object with a time", _FORMS)
    if "time_s" in record:
        time_s = _time(path, line, record["time_s"])
        if time_s < 0:
            _fail(path, line, f"time_s is {time_s}", "seconds from the start of the stream, 0 or more")
        yield _comment(time_s, _text(path, line, record, "user"), _text(path, line, record, "text"))
        return
    time_s = _time(path, line, record["time_in_seconds"])
    author = record.get("author")
    user = _text(path, line, author, "name") if isinstance(author, dict) else ""
    if time_s >= 0:  # before that the stream had not started
        yield _comment(time_s, user, _text(path, line, record, "message"))


def _time(path: str | Path, line: int, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_seconds(value):
        _fail(path, line, f"the time is {str(value)[:40]}", "a finite number of seconds")
    return float(value)


def _is_seconds(value: float) -> bool:
    # Not math.isfinite alone: it fails on an integer that no float holds.
    return abs(value) < 1e9 and math.isfinite(value)


def _text(path: str | Path, line: int, record: dict[str, Any], key: str) -> str:
    value = record.get(key) or ""  # stickers and gifts have no message
    if not isinstance(value, str):
        _fail(path, line, f"{key} is {str(value)[:40]!r}", "a text")
    return value


# ---- XML -------------------------------------------------------------------------------------------------------


def _from_xml(path: str | Path, text: str) -> list[Comment]:
    handler = _Danmaku(path)
    try:
        defusedxml.sax.parse(io.StringIO(_NOT_XML.sub("", text)), handler, forbid_dtd=True)
    except SAXParseException as error:
        _fail(path, error.getLineNumber() or 1, f"no XML ({error.getMessage()})", _FORMS)
    except DefusedXmlException:
        _fail(path, handler.line, "a document type or an entity of its own", "plain danmaku XML without them")
    return handler.comments


class _Danmaku(ContentHandler):
    """Collects the `d` elements of a danmaku file as the parser comes by them."""

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.comments: list[Comment] = []
        self._path = path
        self._locator: Locator | None = None
        self._depth = 0
        self._place: tuple[float, str] | None = None  # time and user of the element that is open
        self._text = ""

    @property
    def line(self) -> int:
        """Where the parser is."""
        return (self._locator.getLineNumber() if self._locator else None) or 1

    def setDocumentLocator(self, locator: Locator) -> None:  # noqa: N802 - the parser's name
        self._locator = locator

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802 - the parser's name
        if not self._depth and name != "i":
            _fail(self._path, self.line, f"the root is <{name[:40]}>", "<i>, as danmaku files have")
        self._depth += 1
        if name == "d":
            self._text = ""
            self._place = self._parse(attrs.get("p", ""))

    def _parse(self, attribute: str) -> tuple[float, str] | None:
        """Return time and user of a comment that is said, None for one that is placed or scripted."""
        fields = attribute.split(",")
        try:
            time_s, mode = float(fields[0]), int(fields[1])
        except (ValueError, IndexError):
            _fail(self._path, self.line, f"p is {attribute[:60]!r}", "time,mode,size,color,timestamp,pool,user,row")
        if not (_is_seconds(time_s) and time_s >= 0):
            _fail(self._path, self.line, f"the time is {fields[0][:40]}", "seconds from the start, 0 or more")
        return (time_s, fields[6] if len(fields) > 6 else "") if mode <= _SPOKEN_MODES else None

    def characters(self, content: str) -> None:
        if self._place is not None and len(self._text) < 4 * MAX_TEXT:
            self._text += content

    def endElement(self, name: str) -> None:  # noqa: N802 - the parser's name
        self._depth -= 1
        if name == "d" and self._place is not None:
            self.comments.append(_comment(self._place[0], self._place[1], self._text))
            self._place = None
