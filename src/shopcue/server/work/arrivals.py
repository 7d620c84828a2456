"""Files that work begins with: uploads that are complete, and what is behind an address."""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path
from urllib.parse import urlsplit

from shopcue.catalog.fetch import Unreachable
from shopcue.errors import OutputError
from shopcue.server.work.place import Place, Update

_TRIES = 3
_PAUSE_S = 2.0
_ENDING = re.compile(r"\.[a-z0-9]{1,5}")


def download(url: str, target: Path, kind: str, place: Place, update: Update) -> None:
    """Save what is behind `url` as `target`, which appears complete or not at all; a host that stumbles is asked again.

    kind: video or feed, which bounds its size. Raises UnsafeAddress, MediaError, OutputError.
    """
    draft = target.with_name(f".{target.name}.part")
    spare = place.settings.uploads.spare_bytes

    def progress(done: int, total: int) -> None:
        if shutil.disk_usage(draft.parent).free - max(0, total - done) < spare:
            raise OutputError("the disk has no room for the download; make room on the server")
        update("download", done, total)

    draft.parent.mkdir(parents=True, exist_ok=True)
    try:
        for attempt in range(1, _TRIES + 1):
            try:
                with draft.open("wb") as file:
                    place.fetcher(kind).save(url, file, progress)
                    os.fsync(file.fileno())
                break
            except Unreachable:
                if attempt == _TRIES:
                    raise
                _wait(_PAUSE_S * attempt, update)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _wait(pause_s: float, update: Update) -> None:
    """Wait, and listen meanwhile."""
    until_s = time.monotonic() + pause_s
    while time.monotonic() < until_s:
        update("download", 0, 0)
        time.sleep(0.2)


def take_upload(upload_id: str, target: Path, place: Place) -> None:
    """Move the bytes of an upload to `target`; nothing happens where a former attempt has done so."""
    source = place.settings.upload_file(upload_id)
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.replace(target)
    except FileNotFoundError:
        raise OutputError(f"the bytes of the upload {upload_id} are gone; upload it again") from None


def ending(name: str, otherwise: str) -> str:
    """Return the ending of a stranger's file name or address, such as `.mp4`; `otherwise` where it has no plain one."""
    path = urlsplit(name).path if "://" in name else name
    found = Path(path).suffix.lower()
    return found if _ENDING.fullmatch(found) and found != ".part" else otherwise
