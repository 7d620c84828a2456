"""Throws away what nobody needs any more: stale uploads, files that lead nowhere, and what piles up in the database."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from shopcue.database import uploads
from shopcue.database.jobs import FINAL_STATES
from shopcue.database.retention import prune
from shopcue.database.tables import Job, Upload
from shopcue.server.rounds import Rounds
from shopcue.server.services import Services

_log = logging.getLogger(__name__)

EVERY_S = 600.0
_YOUNG_S = 86_400.0  # what is younger may be on its way: a download, or a file whose row is yet to come
_USED_S = 30 * 86_400.0  # how long it is remembered that an upload was used


def housekeeping(parts: Services, every_s: float = EVERY_S) -> Rounds:
    """Return what tidies a server every ten minutes."""
    return Rounds(lambda: tidy(parts), every_s, "shopcue-housekeeping")


def tidy(parts: Services, now: float | None = None) -> None:
    """Do one round. now: the time, seconds since 1970."""
    now = time.time() if now is None else now
    prune(parts.database)
    _drop_stale_uploads(parts, now)
    _drop_orphans(parts, now)


def _drop_stale_uploads(parts: Services, now: float) -> None:
    """Forget uploads that nobody goes on with, and after a long time those that were used."""
    with parts.database.write() as session:
        stale = uploads.stale_uploads(session, now - parts.settings.uploads.keep_s)
        used = [row for row in uploads.list_uploads(session, state="used") if row.updated_at < now - _USED_S]
        for row in (*stale, *used):
            uploads.delete_upload(session, row.upload_id)
    for row in (*stale, *used):
        parts.settings.upload_file(row.upload_id).unlink(missing_ok=True)


def _drop_orphans(parts: Services, now: float) -> None:
    """Delete what no row leads to and a process left when it was killed at the wrong moment; videos never.

    Whoever starts the server on another database by mistake must find the videos again.
    """
    settings = parts.settings
    with parts.database.read() as session:
        needed = {
            settings.uploads_folder: set(session.scalars(select(Upload.upload_id))),
            settings.data / "feeds": _unfinished(session, now - settings.uploads.keep_s),
            settings.temporary_folder: set(),
        }
    for folder, ids in needed.items():
        for path in _old(folder, now - _YOUNG_S):
            if path.name.removesuffix(".part") not in ids:
                _log.info("%s leads nowhere and is deleted", path)
                _delete(path)


def _unfinished(session: Session, ended_after: float) -> set[str]:
    """Return the ids of the jobs that may go on, or be tried again soon."""
    query = select(Job.job_id).where(Job.state.not_in(FINAL_STATES) | (Job.finished_at >= ended_after))
    return set(session.scalars(query))


def _old(folder: Path, before: float) -> Iterator[Path]:
    """Yield what lies in a folder and was not changed since a time."""
    for path in list(folder.iterdir()) if folder.is_dir() else []:
        with suppress(OSError):
            if path.stat().st_mtime < before:
                yield path


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
