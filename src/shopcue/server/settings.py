"""What `shopcue serve` is told, and where in its folder everything lies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from shopcue.errors import SettingsError

MIB = 1 << 20
GIB = 1 << 30
KEEP_HOURS, KEEP_GIB = 12.0, 20.0

UPLOAD_KINDS = ("video", "feed", "comments", "speech")


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """How much strangers may send.

    most_bytes: of one upload, by its kind. chunk_bytes: of one request of an upload. open_uploads: begun and unused
    ones of one shop. keep_s: how long one that nobody goes on with is kept. spare_bytes: what must stay free on disk.
    """

    most_bytes: tuple[int, int, int, int] = (20 * GIB, 4 * GIB, 256 * MIB, 16 * MIB)
    chunk_bytes: int = 8 * MIB
    open_uploads: int = 20
    keep_s: float = 2 * 86_400.0
    spare_bytes: int = GIB

    def most(self, kind: str) -> int:
        """Return how many bytes an upload of `kind` may have."""
        return self.most_bytes[UPLOAD_KINDS.index(kind)]


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How one server runs.

    data: the folder of everything that is kept. database, store: addresses, or "" for SQLite and a folder inside
    `data`. workers: how many jobs run at a time, 0 for none and no streams either. allow_private: whether videos,
    feeds, pictures, streams and webhooks may be at private addresses. proxies: addresses whose X-Forwarded-For is
    believed, separated by commas. body_bytes: the largest request. session_s: how long a browser stays signed in.
    keep_hours, keep_gib: how much of each stream's recording is kept; 0 of either for none: no stream is recorded.
    """

    data: Path
    host: str = "127.0.0.1"
    port: int = 8080
    database: str = ""
    store: str = ""
    workers: int = 1
    allow_private: bool = False
    proxies: str = "127.0.0.1"
    uploads: UploadLimits = UploadLimits()
    body_bytes: int = 32 * MIB
    session_s: float = 30 * 86_400.0
    keep_hours: float = KEEP_HOURS
    keep_gib: float = KEEP_GIB

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise SettingsError(f"the port is {self.port}, expected 0 (any free one) to 65535")
        if not 0 <= self.workers <= 64:
            raise SettingsError(f"{self.workers} workers were asked for, expected 0 (none here) to 64")
        for name, kept in (("hours", self.keep_hours), ("GiB", self.keep_gib)):
            if not (0 <= kept < math.inf):
                raise SettingsError(
                    f"{kept} {name} of each stream are to be kept, expected a number from 0 (nothing) on"
                )

    @property
    def records(self) -> bool:
        """Whether streams are recorded at all."""
        return self.keep_s > 0 and self.keep_bytes > 0

    @property
    def keep_s(self) -> float:
        """How many seconds of each stream's recording are kept."""
        return self.keep_hours * 3600

    @property
    def keep_bytes(self) -> int:
        """How many bytes of each stream's recording are kept."""
        return int(self.keep_gib * GIB)

    @property
    def database_url(self) -> str:
        """The address of the database, as SQLAlchemy writes it."""
        return self.database or f"sqlite:///{(self.data / 'shopcue.db').absolute()}"

    @property
    def store_uri(self) -> str:
        """Where the catalogues are: a folder or object storage."""
        return self.store or str((self.data / "store").absolute())

    @property
    def uploads_folder(self) -> Path:
        """Where unfinished and unused uploads lie."""
        return self.data / "uploads"

    @property
    def temporary_folder(self) -> Path:
        """Where files are written before they are renamed, on the same disk as their place."""
        return self.data / "tmp"

    def upload_file(self, upload_id: str) -> Path:
        """Return where the bytes of an upload are."""
        return self.uploads_folder / f"{upload_id}.part"

    def video_folder(self, video_id: str) -> Path:
        """Return the folder of a video: media.<ext>, poster.jpg, trace/, frames/, recording/."""
        return self.data / "videos" / video_id

    def recording_folder(self, video_id: str) -> Path:
        """Return where a stream is recorded: segments and their playlist."""
        return self.video_folder(video_id) / "recording"

    def media_file(self, video_id: str) -> Path | None:
        """Return the media file of a video, or None where it has none (yet)."""
        found = (path for path in self.video_folder(video_id).glob("media.*") if path.suffix != ".part")
        return min(found, default=None)

    def poster_file(self, video_id: str) -> Path:
        """Return where the poster of a video is."""
        return self.video_folder(video_id) / "poster.jpg"

    def feed_folder(self, upload_id: str) -> Path:
        """Return where a feed that was uploaded is unpacked."""
        return self.data / "feeds" / upload_id

    def make_folders(self) -> None:
        """Make the folders that are always there; raises SettingsError where that cannot be done."""
        try:
            self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self.uploads_folder, self.temporary_folder, self.data / "videos", self.data / "feeds"):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(
                f"cannot make {self.data}: {error.strerror}; give --data a folder that may be written to"
            ) from error
