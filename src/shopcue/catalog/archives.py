"""A zip archive of a feed and its pictures -> a folder, as if every archive came from an attacker.

Only feeds and pictures are unpacked, under the names that they have inside, never outside the folder, and never more
than is allowed, whatever the archive says about itself.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile, ZipInfo

from shopcue.catalog.documents import FEED_ENDINGS, PICTURE_ENDINGS
from shopcue.catalog.feeds import MAX_FEED_BYTES, shown
from shopcue.catalog.pictures import MAX_BYTES
from shopcue.errors import FeedError

MAX_FILES = 500_000
MAX_TOTAL_BYTES = 32 << 30
_MAX_DEPTH = 16
_MAX_NAME = 200
_CHUNK = 1 << 20
_SPARE_BYTES = 512 << 20  # what is left free on the disk
_INDEX_BYTES = 64 << 20  # of an archive's list of files, which is read as a whole
_SIGNATURE = b"PK\x03\x04"
_END, _END_64, _LOCATOR_64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_END_BYTES, _COMMENT_BYTES = 22, 1 << 16
_DAMAGES = (BadZipFile, zlib.error, LZMAError, EOFError, RuntimeError, ValueError)
_UTF8 = 0x800  # the flag of a name that says its encoding


def is_archive(path: Path) -> bool:
    """Tell whether a file is a zip archive, by its first bytes."""
    with path.open("rb") as file:
        return file.read(len(_SIGNATURE)) == _SIGNATURE


def unpack(archive: Path, folder: Path, *, max_bytes: int = MAX_TOTAL_BYTES, max_files: int = MAX_FILES) -> Path:
    """Unpack a zip archive into `folder` and return the feed in it: a file, or a folder of pictures if it holds none.

    The folder appears when it is complete; one that is there already was unpacked before, and is used as it is.
    max_bytes: how much may be written in all. Raises FeedError for an archive that is damaged, encrypted or too large,
    that holds names that lead out of it, or several feeds.
    """
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            _unpack_all(archive, draft, max_bytes, max_files)
            draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return _find_feed(archive.name, folder)


def _unpack_all(archive: Path, folder: Path, max_bytes: int, max_files: int) -> None:
    name = shown(archive.name)
    try:
        if _index_bytes(archive) > _INDEX_BYTES:
            raise FeedError(f"{name} holds more files than can be listed; split it")
        with ZipFile(archive) as opened:
            members = opened.infolist()
            if len(members) > max_files:
                raise FeedError(f"{name} holds {len(members):,} files, at most {max_files:,} are unpacked; split it")
            left = min(max_bytes, shutil.disk_usage(folder).free - _SPARE_BYTES)
            for member, place in _wanted(name, members):
                left -= _unpack(opened, member, folder / place, left, name)
    except OSError as error:
        raise FeedError(f"{name} cannot be unpacked: {error.strerror or error}; check the disk") from None
    except _DAMAGES as error:
        reason = shown(str(error)) or type(error).__name__
        raise FeedError(f"{name} cannot be unpacked: {reason}; pack it anew as a plain zip archive") from None


def _index_bytes(archive: Path) -> int:
    """Return how long an archive's list of files is, by its last record; 0 where there is none."""
    with archive.open("rb") as file:
        start = max(0, file.seek(0, os.SEEK_END) - _END_BYTES - _COMMENT_BYTES - 20)
        file.seek(start)
        tail = file.read()
        end = tail.rfind(_END)
        if end < 0 or end + _END_BYTES > len(tail):
            return 0
        size = int.from_bytes(tail[end + 12 : end + 16], "little")
        if tail[end - 20 : end - 16] != _LOCATOR_64 or end < 20:
            return size
        file.seek(int.from_bytes(tail[end - 12 : end - 4], "little"))
        record = file.read(56)
        return int.from_bytes(record[40:48], "little") if record.startswith(_END_64) else size


def _wanted(archive: str, members: list[ZipInfo]) -> Iterator[tuple[ZipInfo, PurePosixPath]]:
    """Yield the feeds and pictures of an archive with their places below its folder."""
    for member in members:
        place = PurePosixPath(_name(member).replace("\\", "/"))
        if member.is_dir() or place.suffix.lower() not in FEED_ENDINGS | PICTURE_ENDINGS or _hidden(place):
            continue
        if place.is_absolute() or ".." in place.parts or ":" in place.parts[0] or "\x00" in member.filename:
            raise FeedError(f"{archive} holds {shown(member.filename)!r}, which leads out of it; pack it anew")
        if stat.S_ISLNK(member.external_attr >> 16):
            continue  # the picture will be missing in the report; what it leads to is nobody's business
        if member.flag_bits & 1:
            raise FeedError(f"{archive} is encrypted, expected a plain zip archive; pack it without a password")
        if len(place.parts) > _MAX_DEPTH or any(len(part.encode()) > _MAX_NAME for part in place.parts):
            raise FeedError(f"{archive} holds {shown(member.filename)!r}, a name too long or too deep; shorten it")
        yield member, place


def _name(member: ZipInfo) -> str:
    """Return the name of a file as whoever packed it saw it: many programs do not say how they encode names."""
    if member.flag_bits & _UTF8 or member.filename.isascii():
        return member.filename
    written = member.filename.encode("cp437")  # as zipfile has read it
    for encoding in ("utf-8", "gb18030"):
        with suppress(UnicodeDecodeError):
            return written.decode(encoding)
    return member.filename


def _unpack(opened: ZipFile, member: ZipInfo, target: Path, left: int, archive: str) -> int:
    """Write one file, counting what really comes out, and return its bytes; of a damaged picture nothing stays."""
    is_feed = target.suffix.lower() in FEED_ENDINGS
    if target.exists():
        raise FeedError(f"{archive} holds {shown(target.name)!r} twice; pack it anew")
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    try:
        with opened.open(member) as source, target.open("xb") as file:
            while written <= (MAX_FEED_BYTES if is_feed else MAX_BYTES) and (chunk := source.read(_CHUNK)):
                written += len(chunk)
                if written > left:
                    raise FeedError(f"{archive} holds more than can be unpacked here; split it")
                file.write(chunk)  # one that is too large is cut just above the limit: whoever reads it says so
    except _DAMAGES:
        if is_feed:
            raise
        target.unlink(missing_ok=True)  # one picture less, and a line of the report
    return written


def _hidden(place: PurePosixPath) -> bool:
    """Tell the files that systems leave in archives: `__MACOSX/._a.jpg`, `.thumbs/b.png`."""
    return any(part.startswith((".", "__MACOSX")) and part != ".." for part in place.parts)


def _find_feed(archive: str, folder: Path) -> Path:
    """Return the one feed that lies highest, or the folder of pictures below which all of them lie."""
    feeds = [path for path in folder.rglob("*") if path.suffix.lower() in FEED_ENDINGS]
    feeds = [path for path in feeds if path.suffix.lower() != ".txt"] or feeds  # rather a table than a read-me
    highest = min((len(path.parts) for path in feeds), default=0)
    found = sorted(path for path in feeds if len(path.parts) == highest)
    if len(found) > 1:
        names = ", ".join(shown(path.name, 40) for path in found[:5])
        raise FeedError(f"{shown(archive)} holds {len(found)} feeds ({names}), expected one beside its pictures")
    if found:
        return found[0]
    while len(entries := list(folder.iterdir())) == 1 and entries[0].is_dir():
        folder = entries[0]
    if not entries:
        raise FeedError(f"{shown(archive)} holds neither a feed nor pictures; expected a feed, or a folder of pictures")
    return folder
