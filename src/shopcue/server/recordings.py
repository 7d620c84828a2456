"""What is kept of live streams, as it is served: the playlist, its segments, and the pictures of a moment.

The folder of a recording is written by the worker while it is read here. What is asked for by a name has a name of the
one form that segments have; all else of a recording is found through its playlist.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shopcue.database.tables import Video
from shopcue.errors import MediaError, Missing
from shopcue.server.addresses import RECORDING
from shopcue.server.recent import Recent
from shopcue.server.schemas import StreamRecording
from shopcue.server.settings import ServerSettings
from shopcue.sources.recordings import PLAYLIST, Recording, read_recording

PLAYLIST_TYPE: Final = "application/vnd.apple.mpegurl"
SEGMENT_TYPE: Final = "video/mp2t"
SEGMENT_NAME: Final = r"^[0-9]{8}\.ts$"
RECORDED: Final = "on"
"""What the health of a stream says while all is well with its recording."""

_POSTER_EVERY: Final = 50  # segments, some minutes: each new one would be another picture to make
_REMEMBERED: Final = 50


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a moment is shown: so many seconds from the start of a file."""

    path: Path
    time_s: float


@dataclass(frozen=True, slots=True)
class Playlist:
    """A playlist; tag: another one when it has changed, as HTTP writes it."""

    content: bytes
    tag: str


class Recordings:
    """The recordings of a server's streams; remembers those that were read last until they change. For many threads."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._read_last: Recent[Recording] = Recent(_REMEMBERED)

    def exists(self, video_id: str) -> bool:
        """Tell whether anything is kept of a stream."""
        return self._playlist(video_id).is_file()

    def playlist(self, video: Video) -> Playlist:
        """Return the playlist of a stream as it is now; raises Missing."""
        path = self._playlist(video.video_id)
        try:
            status, content = path.stat(), path.read_bytes()
        except OSError:
            raise self._nothing(video) from None
        return Playlist(content, f'W/"{status.st_mtime_ns:x}-{len(content):x}"')

    def segment_file(self, video_id: str, name: str) -> Path:
        """Return a segment of a stream's recording by its name, which has the form of one; raises Missing."""
        path = self._settings.recording_folder(video_id) / name
        if not path.is_file():
            raise Missing(f"the recording of {video_id} has no segment {name} (any more); see its {PLAYLIST}")
        return path

    def describe(self, video: Video) -> StreamRecording:
        """Return what is kept of a stream; raises Missing."""
        recording, folder = self._read(video), self._settings.recording_folder(video.video_id)
        size = _size(folder / segment.name for segment in recording.segments)
        return StreamRecording(
            origin=recording.origin,
            spans=[list(span) for span in recording.spans()],
            bytes=size,
            problem=_problem(video),
        )

    def moment(self, video: Video, time_s: float) -> Moment:
        """Return where a moment of a video is shown: in its file, or in what is kept of the stream. Raises Missing."""
        if video.kind != "stream":
            return Moment(self._media_file(video), time_s)
        found = self._read(video).find(time_s)
        if found is None:
            raise Missing(f"the moment {time_s:.1f} s of the stream {video.video_id} is not in its recording (yet)")
        segment, offset_s = found
        return Moment(self.segment_file(video.video_id, segment.name), offset_s)

    def poster(self, video: Video) -> Moment:
        """Return where the picture is that stands for a stream: one of the last minutes. Raises Missing."""
        segments = self._read(video).segments
        segment = next((each for each in reversed(segments) if each.number % _POSTER_EVERY == 0), segments[0])
        return Moment(self.segment_file(video.video_id, segment.name), segment.duration_s / 2)

    def _media_file(self, video: Video) -> Path:
        path = self._settings.media_file(video.video_id)
        if path is None:
            raise Missing(f"the video {video.video_id} has no file here (yet)")
        return path

    def _playlist(self, video_id: str) -> Path:
        return self._settings.recording_folder(video_id) / PLAYLIST

    def _read(self, video: Video) -> Recording:
        """Return the recording of a stream, which has a segment at least; raises Missing."""
        path = self._playlist(video.video_id)
        try:
            status = path.stat()
            key = (video.video_id, status.st_mtime_ns, status.st_size)
            recording = self._read_last.get(key)
            if recording is None:
                recording = read_recording(path.parent)
                self._read_last.put(key, recording)
        except (OSError, MediaError):  # where it was looked for is nobody's business
            raise self._nothing(video) from None
        if not recording.segments:
            raise self._nothing(video)
        return recording

    def _nothing(self, video: Video) -> Missing:
        return Missing(_why_none(self._settings, video))


def _size(files: Iterable[Path]) -> int:
    total = 0
    for file in files:
        with suppress(OSError):  # it was too old a moment ago
            total += file.stat().st_size
    return total


def _problem(video: Video) -> str:
    """Return why a stream is not recorded now, "" if it is or is not to be."""
    health: dict[str, Any] = video.health or {}
    said = str(health.get("recording", ""))
    return "" if said == RECORDED else said


def _why_none(settings: ServerSettings, video: Video) -> str:
    """Say why there is no recording of a video."""
    name = f"the stream {video.video_id}"
    if video.kind != "stream":
        return f"the video {video.video_id} is no stream; its file is at /api/videos/{video.video_id}/media"
    if video.source.startswith(RECORDING):
        return f"{name} is not recorded: it plays the recording {video.source.removeprefix(RECORDING)}, which is here"
    if not video.recorded:
        return f"{name} is not recorded; add it with recording=true to keep what it shows"
    if not settings.records:
        return f"{name} is not recorded: this server keeps nothing of streams (--keep-hours, --keep-gib)"
    if problem := _problem(video):
        return f"nothing of {name} is recorded: {problem}"
    return f"nothing of {name} is recorded yet; the first segment comes some seconds after it has started"
