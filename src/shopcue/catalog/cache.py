"""What was paid for once and is kept on disk: embeddings by the pixels of a picture, downloads by their address.

A cache may be lost at any time and never fails a run: one that is damaged, locked or not writable is as good as none,
and its `trouble` says so. Several processes may share one.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path

import numpy as np

from shopcue.records import Floats

_SCHEMA = """
CREATE TABLE IF NOT EXISTS embeddings (
    content TEXT NOT NULL, encoder TEXT NOT NULL, vector BLOB NOT NULL, used_s INTEGER NOT NULL,
    PRIMARY KEY (content, encoder)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS embeddings_by_use ON embeddings (used_s);
CREATE TABLE IF NOT EXISTS downloads (
    address TEXT PRIMARY KEY, etag TEXT NOT NULL, modified TEXT NOT NULL, fresh_until_s REAL NOT NULL,
    bytes INTEGER NOT NULL, body BLOB NOT NULL, used_s INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS downloads_by_use ON downloads (used_s);
"""
_BUSY_S = 5.0
_AT_ONCE = 400
_BOUND_EVERY = 64  # writes: to count what is there reads a whole index
_DAY_S = 86_400

Key = tuple[str, str]
"""What a vector was made of and by: (name of the pixels that were embedded, fingerprint of the encoder)."""


def default_folder() -> Path:
    """Return where caches live: $XDG_CACHE_HOME/shopcue, or ~/.cache/shopcue."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if Path(home).is_absolute() else Path("~/.cache").expanduser()) / "shopcue"


class _Database:
    """One SQLite file, opened when first needed; after trouble it is left alone and answers nothing.

    path: the file, or None to keep nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self.trouble = ""

    def close(self) -> None:
        """Close the file; what is asked for later opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def run(self, statement: str, rows: Sequence[Sequence[object]]) -> list[tuple[object, ...]]:
        """Run a statement once for each of `rows` in one transaction and return what it selects."""
        found: list[tuple[object, ...]] = []
        with self._lock:
            if self._path is None or self.trouble:
                return found
            try:
                connection = self._connection = self._connection or _connect(self._path)
                with connection:
                    for row in rows:
                        found += connection.execute(statement, tuple(row)).fetchall()
            except (sqlite3.Error, OSError) as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:  # the rest tells its kind
                    return []  # another process writes for long: only this answer is missed
                self.trouble = f"the cache {self._path} is not used: {error}; delete it if it is damaged"
                return []
        return found


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    connection = sqlite3.connect(path, timeout=_BUSY_S, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


class EmbeddingCache:
    """Embeddings by picture and encoder, the least recently used leaving first.

    path: an SQLite file, or None to keep nothing. max_vectors, max_bytes: how far it may grow.
    """

    def __init__(self, path: Path | None, *, max_vectors: int = 2_000_000, max_bytes: int = 2 << 30) -> None:
        self._database = _Database(path)
        self._max_vectors = max_vectors
        self._puts = 0
        self._max_bytes = max_bytes

    @classmethod
    def default(cls) -> EmbeddingCache:
        """Return the cache of this user."""
        return cls(default_folder() / "embeddings.sqlite3")

    @property
    def trouble(self) -> str:
        """Why the cache is not used, in one line; empty while it is."""
        return self._database.trouble

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def get_many(self, keys: Iterable[Key]) -> dict[Key, Floats]:
        """Return the vectors that are there, float32 (D,); damaged ones are not."""
        found: dict[Key, Floats] = {}
        day = int(time.time() // _DAY_S) * _DAY_S
        for encoder, contents in _by_encoder(keys).items():
            for some in _chunks(contents, _AT_ONCE):
                marks = ",".join("?" * len(some))
                where = f"encoder = ? AND content IN ({marks})"
                rows = self._database.run(f"SELECT content, vector FROM embeddings WHERE {where}", [[encoder, *some]])  # noqa: S608
                found.update(
                    {(str(content), encoder): vector for content, blob in rows if (vector := _vector(blob)) is not None}
                )
                # By the day is enough for "least recently used", and most reads then write nothing.
                touch = f"UPDATE embeddings SET used_s = ? WHERE {where} AND used_s < ?"  # noqa: S608
                self._database.run(touch, [[day, encoder, *some, day]])
        return found

    def put_many(self, vectors: Mapping[Key, Floats]) -> None:
        """Keep vectors, float32 (D,)."""
        day = int(time.time() // _DAY_S) * _DAY_S
        rows = [(*key, np.ascontiguousarray(vector, "<f4").tobytes(), day) for key, vector in vectors.items()]
        if rows:
            self._database.run("INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?, ?)", rows)
            self._puts += 1
            if self._puts % _BOUND_EVERY == 1:
                self._bound(len(rows[0][2]))

    def _bound(self, vector_bytes: int) -> None:
        most = max(1, min(self._max_vectors, self._max_bytes // max(1, vector_bytes)))
        counted = self._database.run("SELECT COUNT(*) FROM embeddings", [()])
        excess = int(str(counted[0][0])) - most if counted else 0
        if excess > 0:
            # A tenth more than needed, so that a full cache is not cut at every write.
            oldest = "SELECT content, encoder FROM embeddings ORDER BY used_s LIMIT ?"
            cut = f"DELETE FROM embeddings WHERE (content, encoder) IN ({oldest})"  # noqa: S608
            self._database.run(cut, [(excess + most // 10,)])


@dataclass(frozen=True, slots=True)
class Download:
    """What an address answered: its bytes, its validators (empty if it gave none) and until when it is fresh."""

    body: bytes
    etag: str
    modified: str
    fresh_until_s: float


class DownloadCache:
    """Downloads by address, the least recently used leaving first.

    path: an SQLite file, or None to keep nothing. max_bytes: how far the bodies may grow.
    """

    def __init__(self, path: Path | None, *, max_bytes: int = 2 << 30) -> None:
        self._database = _Database(path)
        self._max_bytes = max_bytes
        self._puts = 0

    @classmethod
    def default(cls) -> DownloadCache:
        """Return the cache of this user."""
        return cls(default_folder() / "downloads.sqlite3")

    @property
    def trouble(self) -> str:
        """Why the cache is not used, in one line; empty while it is."""
        return self._database.trouble

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def get(self, url: str) -> Download | None:
        """Return what `url` answered last, or None."""
        key = _address(url)
        select = "SELECT body, etag, modified, fresh_until_s FROM downloads WHERE address = ?"
        rows = self._database.run(select, [(key,)])
        if not rows:
            return None
        self._database.run("UPDATE downloads SET used_s = ? WHERE address = ?", [(int(time.time()), key)])
        body, etag, modified, fresh_until_s = rows[0]
        if not isinstance(body, bytes) or not isinstance(fresh_until_s, float):
            return None
        return Download(body, str(etag), str(modified), fresh_until_s)

    def put(self, url: str, download: Download) -> None:
        """Keep what `url` answered."""
        row = (
            _address(url), download.etag, download.modified, download.fresh_until_s,
            len(download.body), download.body, int(time.time()),
        )  # fmt: skip
        self._database.run("INSERT OR REPLACE INTO downloads VALUES (?, ?, ?, ?, ?, ?, ?)", [row])
        self._puts += 1
        if self._puts % _BOUND_EVERY == 1:
            self._bound()

    def _bound(self) -> None:
        kept = "SELECT address, SUM(bytes) OVER (ORDER BY used_s DESC, address) AS size FROM downloads"
        total = self._database.run("SELECT SUM(bytes) FROM downloads", [()])
        if total and int(str(total[0][0] or 0)) > self._max_bytes:
            cut = f"DELETE FROM downloads WHERE address IN (SELECT address FROM ({kept}) WHERE size > ?)"  # noqa: S608
            self._database.run(cut, [(self._max_bytes - self._max_bytes // 10,)])


def _address(url: str) -> str:
    return sha256(url.encode("utf-8", "surrogatepass")).hexdigest()


def _by_encoder(keys: Iterable[Key]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for content, encoder in keys:
        grouped.setdefault(encoder, []).append(content)
    return grouped


def _chunks(values: Iterable[str], size: int) -> Iterator[list[str]]:
    rest = iter(values)
    while some := list(islice(rest, size)):
        yield some


def _vector(blob: object) -> Floats | None:
    """Return the vector of a blob, or None for what is no unit vector."""
    if not isinstance(blob, bytes) or not blob or len(blob) % 4:
        return None
    vector = np.frombuffer(blob, "<f4").astype(np.float32)
    return vector if abs(float(vector @ vector) - 1.0) < 1e-2 else None
