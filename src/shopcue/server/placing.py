"""Videos as they are taken in: an upload that is a video gets its place at once, so that it can be seen at once."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from contextlib import suppress
from pathlib import PurePosixPath

from shopcue.database import uploads
from shopcue.database.tables import Upload
from shopcue.server.probing import probe_apart
from shopcue.server.problems import TooMany
from shopcue.server.receiving import sync_folder
from shopcue.server.services import Services

MEDIA_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".mkv": "video/x-matroska",
    ".webm": "video/webm",
    ".ts": "video/mp2t",
    ".flv": "video/x-flv",
    ".avi": "video/x-msvideo",
    ".ogv": "video/ogg",
    ".mpg": "video/mpeg",
}
"""What a media file may be called by its ending; anything else is called .mp4, and told by what is in it."""

_PATIENCE_S = 20.0
_PLAIN = re.compile(r"[^\w .,()&+'-]+")


def media_ending(name: str) -> str:
    """Return the ending of the media file that is made of a file with a stranger's name."""
    ending = PurePosixPath(name.replace("\\", "/")).suffix.lower()
    return ending if ending in MEDIA_TYPES else ".mp4"


def title_of(name: str) -> str:
    """Return a title for a video that is known by the name of its file alone."""
    stem = PurePosixPath(name.replace("\\", "/")).stem
    return " ".join(_PLAIN.sub(" ", stem).replace("_", " ").split()) or "Untitled"


def look_into(parts: Services, shop: str, upload_id: str) -> tuple[Upload, dict[str, float]]:
    """Return a complete upload with what it holds as a video.

    Raises Missing, Conflict or MediaError, and TooMany while several others are looked into.
    """
    with parts.database.read() as session:  # which forgets that it was used: only to know that it may be
        upload = uploads.use_upload(session, upload_id, shop, "video")
    if not parts.probing.acquire(timeout=_PATIENCE_S):
        raise TooMany("several videos are being looked into already; try again in a moment", _PATIENCE_S)
    try:
        return upload, probe_apart(parts.settings.upload_file(upload_id), upload.name)
    finally:
        parts.probing.release()


def place_media(parts: Services, upload: Upload, video_id: str) -> None:
    """Give the bytes of an upload a second name, as the media of a video, which lasts when the first one goes."""
    folder = parts.settings.video_folder(video_id)
    folder.mkdir(parents=True)
    os.link(parts.settings.upload_file(upload.upload_id), folder / f"media{media_ending(upload.name)}")
    sync_folder(folder)
    sync_folder(folder.parent)


def forget_video(parts: Services, video_id: str) -> None:
    """Delete all files of a video, also while a worker still writes some."""
    folder = parts.settings.video_folder(video_id)
    with suppress(OSError):  # under another name nobody finds it to write there
        folder = folder.rename(parts.settings.temporary_folder / f"{video_id}.{secrets.token_hex(6)}")
    shutil.rmtree(folder, ignore_errors=True)


def forget_bytes(parts: Services, upload_id: str) -> None:
    """Drop the first name of bytes that have a second one."""
    with suppress(OSError):
        parts.settings.upload_file(upload_id).unlink(missing_ok=True)
