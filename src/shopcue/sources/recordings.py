"""Recordings on disk: segments, the playlist that says where each stands in the time of the stream, and their end.

The program date of a segment is the recording's `origin` plus its time in the stream. The playlist is all there is to
know: it is written anew with each segment, under another name first, and never names a file that is not there.
"""

from __future__ import annotations

import errno
import math
import os
import re
import shutil
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from shopcue.errors import MediaError, OutputError

PLAYLIST = "live.m3u8"

_NAME = re.compile(r"(\d{8})\.ts")
_ORIGIN = "# origin "
_ROUNDING_S = 1e-5  # dates have microseconds
_DATE = "#EXT-X-PROGRAM-DATE-TIME:"


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a recording.

    start_s, duration_s: in the time of the stream. follows: whether it goes on without a seam. size: bytes on disk.
    """

    number: int
    start_s: float
    duration_s: float
    follows: bool
    size: int = 0

    @property
    def name(self) -> str:
        """Its file, beside the playlist."""
        return f"{self.number:08d}.ts"

    @property
    def end_s(self) -> float:
        """When it ends."""
        return self.start_s + self.duration_s


@dataclass(frozen=True, slots=True)
class Recording:
    """What is there of a stream. origin: when its time was 0. segments: in order of time."""

    origin: datetime
    segments: tuple[Segment, ...]

    def find(self, time_s: float) -> tuple[Segment, float] | None:
        """Return the segment that holds time_s of the stream and how far into it that is, None if none does."""
        at = bisect_right(self.segments, time_s + _ROUNDING_S, key=lambda segment: segment.start_s) - 1
        if at < 0 or time_s >= self.segments[at].end_s:
            return None
        return self.segments[at], max(0.0, time_s - self.segments[at].start_s)

    def spans(self) -> list[tuple[float, float]]:
        """Return the stretches of the stream that are there, as seconds [start, end)."""
        spans: list[tuple[float, float]] = []
        for segment in self.segments:
            if spans and segment.follows:
                spans[-1] = (spans[-1][0], segment.end_s)
            else:
                spans.append((segment.start_s, segment.end_s))
        return spans


def read_recording(folder: Path) -> Recording:
    """Return the recording in `folder`; raises MediaError if there is none."""
    try:
        lines = (folder / PLAYLIST).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise MediaError(f"no recording in {folder}, expected a folder with {PLAYLIST}; record the stream") from None
    origin: datetime | None = None
    segments: list[Segment] = []
    start_s, duration_s, follows = 0.0, 0.0, True
    try:
        for line in lines:
            if line.startswith(_ORIGIN):
                origin = datetime.fromisoformat(line.removeprefix(_ORIGIN))
            elif line.startswith(_DATE) and origin is not None:
                start_s = (datetime.fromisoformat(line.removeprefix(_DATE)) - origin).total_seconds()
            elif line.startswith("#EXTINF:"):
                duration_s = float(line.removeprefix("#EXTINF:").rstrip(","))
            elif line == "#EXT-X-DISCONTINUITY":
                follows = False
            elif found := _NAME.fullmatch(line):
                segments.append(Segment(int(found.group(1)), start_s, duration_s, follows and bool(segments)))
                follows = True
    except (ValueError, TypeError):
        origin = None
    if origin is None:
        raise MediaError(f"{folder / PLAYLIST} was not written by Shopcue; record into an empty folder")
    return Recording(origin, tuple(segments))


class Shelf:
    """The folder with its segments and their playlist.

    origin: when the time of the stream was 0. keep_s, keep_bytes, spare_bytes: see `Recorder`. Raises OutputError if
    the folder cannot be made or holds something else.
    """

    def __init__(self, folder: Path, keep_s: float | None, keep_bytes: int | None, spare_bytes: int = 0) -> None:
        self._folder, self._keep_s, self._keep_bytes, self._spare_bytes = folder, keep_s, keep_bytes, spare_bytes
        self._segments: list[Segment] = []
        self._seams = 0  # that were deleted
        self.origin = datetime.now(UTC)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if (folder / PLAYLIST).exists():
                self._take_up(read_recording(folder))
        except (OSError, MediaError) as error:
            raise OutputError(f"nothing can be recorded into {folder}: {error}; give another folder") from error

    @property
    def end_s(self) -> float:
        """When the newest segment ends."""
        return self._segments[-1].end_s if self._segments else 0.0

    @property
    def next_number(self) -> int:
        """The number of the next segment."""
        return self._segments[-1].number + 1 if self._segments else 0

    def add(self, segment: Segment, content: bytes) -> None:
        """Write a segment, delete what is too old or too much, and write the playlist; raises OSError."""
        if self._spare_bytes and shutil.disk_usage(self._folder).free < self._spare_bytes + len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_whole(self._folder / segment.name, content)
        self._segments.append(segment)
        gone = self._outdated()
        self._seams += sum(not segment.follows for segment in self._segments[1 : gone + 1])
        outdated, self._segments = self._segments[:gone], self._segments[gone:]
        write_whole(self._folder / PLAYLIST, self._playlist().encode())
        for old in outdated:  # after the playlist, which must never name what is not there
            with suppress(OSError):
                (self._folder / old.name).unlink(missing_ok=True)

    def finish(self) -> None:
        """Write that nothing more will come."""
        if self._segments:
            write_whole(self._folder / PLAYLIST, (self._playlist() + "#EXT-X-ENDLIST\n").encode())

    def _take_up(self, recording: Recording) -> None:
        """Go on with what an earlier recorder left, without the files that are gone."""
        self.origin = recording.origin
        for segment in recording.segments:
            with suppress(OSError):
                size = (self._folder / segment.name).stat().st_size
                follows = segment.follows and self.next_number == segment.number
                self._segments.append(replace(segment, follows=follows, size=size))
        listed = {segment.name for segment in self._segments}
        for path in self._folder.iterdir():
            if path.name not in listed and (_NAME.fullmatch(path.name) or path.name.endswith(".ts.part")):
                path.unlink(missing_ok=True)  # written, but not yet listed, when a process died

    def _outdated(self) -> int:
        """Return how many of the oldest segments are to go; the newest stays."""
        newest = self._segments[-1]
        total, count = sum(segment.size for segment in self._segments), 0
        for segment in self._segments[:-1]:
            old = self._keep_s is not None and segment.end_s < newest.end_s - self._keep_s
            much = self._keep_bytes is not None and total > self._keep_bytes
            if not (old or much):
                break
            total, count = total - segment.size, count + 1
        return count

    def _playlist(self) -> str:
        return _playlist(self.origin, self._segments, self._seams)


def _playlist(origin: datetime, segments: Sequence[Segment], seams: int) -> str:
    longest_s = max(segment.duration_s for segment in segments)
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:3",
        f"{_ORIGIN}{origin.isoformat()}",
        f"#EXT-X-TARGETDURATION:{math.ceil(longest_s)}",
        f"#EXT-X-MEDIA-SEQUENCE:{segments[0].number}",
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{seams}",
    ]
    for at, segment in enumerate(segments):
        if at and not segment.follows:
            lines.append("#EXT-X-DISCONTINUITY")
        date = datetime.fromtimestamp(origin.timestamp() + segment.start_s, UTC)
        lines += [f"{_DATE}{date.isoformat()}", f"#EXTINF:{segment.duration_s:.6f},", segment.name]
    return "\n".join(lines) + "\n"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under another name and then give it its own; raises OSError and leaves nothing behind."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
