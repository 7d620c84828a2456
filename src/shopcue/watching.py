"""`shopcue live`: watch one live stream, tell what it shows as JSON lines, and keep them for a restart.

Each event has the stable id of its focus and a number that counts on. With a folder, every event is in `events.jsonl`
before it is told; a run that was cut off is gone on with from there: focuses that are still shown go on, and what was
missed is said.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

from shopcue import exports, stores
from shopcue.announcing import Announcement
from shopcue.commands import Note, Shop, open_shop, settings_of
from shopcue.engine import Engine, State
from shopcue.engine import Shop as OnAir
from shopcue.errors import CommentError, MediaError, OutputError, SettingsError, ShopcueError, UnsafeAddress
from shopcue.exports import FocusDocument, focus_from_json, focus_to_json
from shopcue.listening import Listener
from shopcue.methods import open_method
from shopcue.models.image import ImageEncoder
from shopcue.models.recognition import find_recogniser
from shopcue.records import Comment, Focus, Gallery, Utterance
from shopcue.settings import Settings
from shopcue.sources.files import probe
from shopcue.sources.live import Source, open_source, without_secrets
from shopcue.sources.recorder import Recorder

EVENTS = "events.jsonl"
RECORDING = "recording"
_FEED_EVERY_S = 2.0
_MOST_COMMENTS = 10_000  # that wait to be read
_LONGEST_LINE = 10_000

Tell = Callable[[str], None]
"""Takes one event as a line of JSON."""


@dataclass
class FeedOnAir:
    """The gallery of a feed, which is read again when the feed's file has changed."""

    feed: Path
    encoder: ImageEncoder
    note: Note
    gallery: Gallery = field(init=False)
    _changed_at: float = 0.0
    _looked_s: float = 0.0

    def __post_init__(self) -> None:
        self._changed_at = _changed_at(self.feed)
        self.gallery = self._read().gallery

    def refresh(self) -> bool:
        """Read the feed again if its file has changed; a feed that cannot be read now leaves the shop as it was."""
        if time.monotonic() - self._looked_s < _FEED_EVERY_S:
            return False
        self._looked_s = time.monotonic()
        changed_at = _changed_at(self.feed)
        if changed_at == self._changed_at:
            return False
        self._changed_at = changed_at
        self.gallery = self._read().gallery
        return True

    def _read(self) -> Shop:
        return open_shop(self.feed, self.encoder, note=self.note)


def _changed_at(feed: Path) -> float:
    try:
        return feed.stat().st_mtime
    except OSError:
        return 0.0


class Journal:
    """The events of one stream in a file, as they happen; no folder keeps none.

    goes_on: whether what an earlier run left there is gone on with, or begun anew. Raises OutputError where it cannot
    be written or holds something else.
    """

    def __init__(self, folder: Path | None, *, goes_on: bool) -> None:
        self.number = 0
        self.reached_s = 0.0
        self.told_at = 0.0
        self.focuses: dict[str, tuple[bool, Focus]] = {}  # by id: whether it is on screen, and as it was last told
        self._last_id = 0
        self._file: TextIO | None = None
        if folder is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / EVENTS
            if goes_on and path.exists():
                self._recall(path)
            self._file = path.open("a" if goes_on else "w", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"cannot write {folder}: {error.strerror or error}; give --out another folder") from None

    def write(self, kind: str, media_s: float, data: dict[str, Any]) -> str:
        """Keep an event and return its line; after that it is on the disk."""
        self.number += 1
        event = {
            "event_id": self.number,
            "type": kind,
            "media_s": round(media_s, 3),
            "at": round(time.time(), 3),
            "data": data,
        }
        line = json.dumps(event, ensure_ascii=False, allow_nan=False)
        if self._file is not None:
            self._file.write(line + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        self._remember(event)
        return line

    def new_id(self) -> str:
        """Return an id that no focus of this stream has had."""
        self._last_id += 1
        return f"f{self._last_id}"

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def _recall(self, path: Path) -> None:
        """Read what an earlier run told. The last line may be cut: it was told to nobody."""
        whole = 0
        with path.open("rb") as file:
            for line in file:
                try:
                    self._remember(json.loads(line))
                except (ValueError, KeyError, TypeError, ShopcueError):
                    if line.endswith(b"\n"):
                        raise OutputError(f"{path} is no file of events; give --out another folder") from None
                    break
                whole += len(line)
        os.truncate(path, whole)

    def _remember(self, event: dict[str, Any]) -> None:
        self.number = int(event["event_id"])
        if not self.told_at or float(event["media_s"]) > self.reached_s:
            self.reached_s, self.told_at = float(event["media_s"]), float(event["at"])
        kind, data = event["type"], event["data"]
        if not kind.startswith("focus."):
            return
        self._last_id = max(self._last_id, int(data["focus_id"].removeprefix("f")))
        if data["status"] == "withdrawn":
            self.focuses.pop(data["focus_id"], None)
        else:
            self.focuses[data["focus_id"]] = (data["status"] == "open", focus_from_json(data, "data"))


@dataclass
class _Sink:
    """Tells what one stream says. comments: that have come; ids: of the focuses by their numbers."""

    journal: Journal
    tell: Tell
    note: Note
    comments: queue.Queue[Comment] | None = None
    ended: threading.Event = field(default_factory=threading.Event)
    problem: str = ""
    now_s: float = 0.0
    ids: dict[int, str] = field(default_factory=dict)
    _clock_s: float = 0.0
    _cut_off_s: float | None = None

    def announce(self, news: Sequence[Announcement], now_s: float) -> None:
        """Tell the news, one line each."""
        self.now_s = now_s
        if self._cut_off_s is not None:
            missed = {"start_s": self._cut_off_s, "end_s": now_s}
            self._cut_off_s = None
            self._say("stream.update", {"state": "live", "missed": missed})
        for each in news:
            focus_id = self.ids.get(each.number) or self.journal.new_id()
            self.ids[each.number] = focus_id
            kind = {"withdraw": "focus.revise", "settle": ""}.get(each.kind, f"focus.{each.kind}")
            known = self.journal.focuses.get(focus_id)
            if each.kind == "settle" and known is not None and focus_to_json(known[1]) != focus_to_json(each.focus):
                kind = "focus.revise"  # the last word on it, by a little
            if kind:
                still = each.kind in ("open", "update")
                status = "withdrawn" if each.kind == "withdraw" else "open" if still else "found"
                self._say(kind, {"focus_id": focus_id, "status": status, **focus_to_json(each.focus)})
        if time.monotonic() - self._clock_s > 10:
            self._clock_s = time.monotonic()
            self._say("stream.update", {"state": "live"})

    def state(self, state: State, problem: str) -> None:
        """Tell the state of the stream."""
        self._clock_s = time.monotonic()
        self._say("stream.update", {"state": state, **({"problem": problem} if problem else {})})
        if problem:
            self.note(problem)
        if state in ("stopped", "failed"):
            self.problem = problem
            self.ended.set()

    def words(self) -> Iterable[Utterance | Comment]:
        """Return the comments that came since the last call."""
        found: list[Comment] = []
        while self.comments is not None:
            try:
                comment = self.comments.get_nowait()
            except queue.Empty:
                break
            found.append(comment if comment.time_s >= 0 else Comment(self.now_s, comment.user, comment.text))
        return found

    def heard(self, utterances: Sequence[Utterance]) -> None:
        """Take what was heard; the focuses that it names say so themselves."""

    def go_on(self, reached_s: float) -> None:
        """Go on after a run that was cut off there; what nobody watched is told when the next picture is there."""
        self.now_s = self._cut_off_s = reached_s

    def _say(self, kind: str, data: dict[str, Any]) -> None:
        self.tell(self.journal.write(kind, self.now_s, data))


def live(
    url: str | Source,
    catalog: str | Path,
    out: str | Path | None = None,
    *,
    tell: Tell,
    speech: str = "auto",
    comments: str | Path | None = None,
    method: str = "auto",
    shop: str | None = None,
    config: Settings | str | Path | None = None,
    speed: float = 1.0,
    keep_hours: float | None = None,
    stop: threading.Event | None = None,
    note: Note = lambda line: None,
) -> tuple[Focus, ...]:
    """Watch a live stream until it ends or `stop` is set, and return its focuses in order of start.

    url: rtmp, rtsp, http (HLS), udp, srt, a camera, or a file, which is played in real time, or `speed` times as fast;
    or a source that a program made. A private address is watched if it is the one that was asked for. tell: called with
    every event as a line of JSON. speech: auto or none. comments: a pipe of JSON lines {"user", "text"}, each counted
    when it comes, or at its "time_s". shop: its name in the store `catalog`; None: that is a feed. out: a folder for
    the events and, in the end, for every export; a run that was cut off there is gone on with. keep_hours: so much of
    the stream is kept as it came, in `recording/` there; None keeps nothing. Raises a ShopcueError for bad input.
    """
    if speech not in ("auto", "none"):
        raise SettingsError(f"speech is {speech!r}, expected auto or none: a live stream has no subtitles yet")
    if keep_hours is not None and (out is None or not keep_hours > 0):
        raise SettingsError(
            f"{keep_hours} hours are to be kept; expected more than 0, and a folder for them: give --out"
        )
    source = _open(url, speed) if isinstance(url, str) else url
    if isinstance(url, str) and not source.endless:
        probe(url)  # a file can be checked before the long work
    written = _open_comments(comments)
    way = open_method(method, settings_of(config))
    on_air: OnAir
    if shop is not None:
        on_air = stores.on_air(str(catalog), shop, way.encoder)
    else:
        on_air = FeedOnAir(Path(catalog), way.encoder, note)
    if way.why:
        note(way.why)
    journal = Journal(Path(out) if out is not None else None, goes_on=source.endless)
    sink = _Sink(journal, tell, note, _read_comments(written, note) if written is not None else None)
    first_s, resumed = _go_on(journal, sink)
    engine = Engine(way, listener=_ears(on_air, note) if speech == "auto" else None)
    try:
        stream = engine.start(
            "live",
            source,
            on_air,
            sink,
            recorder=_recorder(source, out, keep_hours),
            first_s=first_s,
            resumed=resumed,
            full="drop" if source.endless else "wait",
        )
        with suppress(KeyboardInterrupt):  # Ctrl-C ends the watching, and what was found is kept
            while not (sink.ended.wait(0.2) or (stop is not None and stop.is_set())):
                pass
        stream.stop()
    finally:
        engine.close()
        journal.close()
    found = tuple(sorted((focus for _, focus in journal.focuses.values()), key=lambda focus: focus.start_s))
    if out is not None:
        document = FocusDocument(
            without_secrets(url) if isinstance(url, str) else "",
            sink.now_s,
            {**way.fingerprints, "text": "lexical"},
            found,
        )
        exports.write_all(document, Path(out))
    if sink.problem and not source.endless:
        raise MediaError(sink.problem)
    return found


def _open(url: str, speed: float) -> Source:
    """Open what was asked for. What a public stream leads to must be public too; a private one may lead anywhere."""
    try:
        return open_source(url, speed=speed)
    except UnsafeAddress:
        return open_source(url, private=True, speed=speed)


def _recorder(source: Source, out: str | Path | None, keep_hours: float | None) -> Recorder | None:
    """Return what keeps a stream; a file is kept already."""
    if out is None or keep_hours is None or not source.endless:
        return None
    return Recorder(Path(out) / RECORDING, keep_s=3600 * keep_hours)


def _go_on(journal: Journal, sink: _Sink) -> tuple[float, tuple[Focus, ...]]:
    """Return where the stream's time is after an earlier run that was cut off, and what was on screen then."""
    if not journal.number:
        return 0.0, ()
    cut = [(focus_id, focus) for focus_id, (still, focus) in journal.focuses.items() if still]
    sink.ids.update(enumerate(focus_id for focus_id, _ in cut))
    reached_s, first_s = journal.reached_s, journal.reached_s + max(0.0, time.time() - journal.told_at)
    sink.go_on(reached_s)
    return first_s, tuple(replace(focus, end_s=max(focus.end_s, reached_s)) for _, focus in cut)


def _ears(shop: OnAir, note: Note) -> Callable[[str], Listener] | None:
    recogniser, line = find_recogniser(threads=1, vocabulary=[product.title for product in shop.gallery.catalog])
    note(line)
    return None if recogniser is None else lambda name: Listener(recogniser)


def _open_comments(path: str | Path | None) -> TextIO | None:
    if path is None:
        return None
    if str(path) == "-":
        return sys.stdin
    try:
        # Read and write: a pipe that nobody writes to yet can be opened so, and does not end when its writer leaves.
        descriptor = os.open(path, os.O_RDWR if Path(path).is_fifo() else os.O_RDONLY)
    except OSError as error:
        raise CommentError(f"cannot read the comments {path}: {error.strerror}; make it with mkfifo") from None
    return os.fdopen(descriptor, encoding="utf-8", errors="replace")


def _read_comments(lines: TextIO, note: Note) -> queue.Queue[Comment]:
    """Return the comments of a pipe as they come; a line that is none is left out, and said once."""
    found: queue.Queue[Comment] = queue.Queue(_MOST_COMMENTS)

    def read() -> None:
        said = False
        for number, line in enumerate(lines, 1):
            try:
                found.put(_comment(line, number))
            except CommentError as error:
                if not said:
                    note(str(error))
                said = True

    threading.Thread(target=read, name="shopcue-comments", daemon=True).start()
    return found


def _comment(line: str, number: int) -> Comment:
    try:
        value = json.loads(line[:_LONGEST_LINE])
        return Comment(float(value.get("time_s", -1.0)), str(value.get("user", ""))[:100], str(value["text"])[:500])
    except (ValueError, KeyError, TypeError, AttributeError, ShopcueError):
        raise CommentError(
            f'comment {number} is {line[:60]!r}, expected {{"user": ..., "text": ...}} on a line of its own'
        ) from None
