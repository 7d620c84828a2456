"""The job that brings a feed into a shop's catalogue, and reports on each of its items.

Products are there for all to see batch by batch. What is in the catalogue unchanged is not embedded again, so a job
that was interrupted goes on where it was.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy.orm import Session

from shopcue.catalog.archives import is_archive, unpack
from shopcue.catalog.cache import DownloadCache, EmbeddingCache
from shopcue.catalog.feeds import ItemReport, read_feed
from shopcue.catalog.fetch import HttpFetcher
from shopcue.catalog.ingest import ingest
from shopcue.database import jobs, uploads
from shopcue.database.tables import Job
from shopcue.server.media import write_whole
from shopcue.server.work.arrivals import download, ending, take_upload
from shopcue.server.work.place import Outcome, Place, Update, catalog_change

_REPORT_EVERY_S = 2.0
_REPORT_ITEMS = 500
_CACHE_BYTES = 512 << 20


def import_products(job: Job, place: Place, update: Update) -> Outcome:
    """Bring the products of a feed into a shop. Raises a ShopcueError for a feed that cannot be used."""
    folder = place.settings.feed_folder(job.job_id)
    feed = read_feed(_feed_file(job, folder, place, update))
    report = Report(job, place)
    caches = place.settings.data / "cache"
    with (
        closing(EmbeddingCache(caches / "embeddings.sqlite3", max_bytes=_CACHE_BYTES)) as vectors,
        closing(DownloadCache(caches / "downloads.sqlite3", max_bytes=_CACHE_BYTES)) as downloads,
    ):
        items = ingest(
            place.store,
            job.shop,
            feed,
            place.encoder,
            delete_missing=bool(job.payload.get("delete_missing")),
            fetcher=HttpFetcher(cache=downloads, permit=place.permit),
            cache=vectors,
            progress=lambda done, total: update("products", done, total),
        )
        for item in items:
            report.add(item)
    return Outcome(dict(report.counts), report.finish(), lambda: shutil.rmtree(folder, ignore_errors=True))


class Report:
    """The report of an import as it grows, written now and then, and with it that the catalogue has changed."""

    def __init__(self, job: Job, place: Place) -> None:
        self.counts: Counter[str] = Counter(ok=0, partial=0, refused=0)
        self._job, self._place = job, place
        self._items: list[ItemReport] = []
        self._due_s = time.monotonic() + _REPORT_EVERY_S
        self._version = place.store.version(job.shop)

    def add(self, item: ItemReport) -> None:
        """Take what became of one item."""
        self.counts[item.status] += 1
        self._items.append(item)
        due = time.monotonic() > self._due_s
        if due or len(self._items) >= _REPORT_ITEMS:
            self._write(self._change() if due else None)

    def finish(self) -> Callable[[Session], None]:
        """Write what is left, and return what tells of the whole change."""
        self._write(None)
        return catalog_change(self._place.store, self._job.shop)

    def _change(self) -> Callable[[Session], None] | None:
        """Return what tells that the catalogue has changed since it was last told, None if it has not."""
        began_s = time.monotonic()
        version = self._place.store.version(self._job.shop)
        change = None if version == self._version else catalog_change(self._place.store, self._job.shop)
        now_s = time.monotonic()
        # To count the products of a huge shop takes a while: that must not become a part of the import that is felt.
        self._version, self._due_s = version, now_s + max(_REPORT_EVERY_S, 10 * (now_s - began_s))
        return change

    def _write(self, tell: Callable[[Session], None] | None) -> None:
        with self._place.database.write() as session:
            jobs.add_items(session, self._job.job_id, self._items)
            if tell is not None:
                tell(session)
        self._items = []


def _feed_file(job: Job, folder: Path, place: Place, update: Update) -> Path:
    """Bring what the job is given into `folder`, and return the feed in it: a file, or a folder of pictures."""
    payload = job.payload
    arrived = folder / "arrived"
    if payload.get("products") is not None:
        arrived = folder / "arrived" / "products.json"
        write_whole(arrived, json.dumps(payload["products"]).encode())
        return arrived
    if url := payload.get("url"):
        arrived = arrived / f"feed{ending(str(url), '.txt')}"
        if not arrived.exists():
            download(str(url), arrived, "feed", place, update)
    else:
        with place.database.read() as session:
            upload = uploads.get_upload(session, str(payload.get("upload_id")))
        arrived = arrived / f"feed{ending(upload.name, '.txt')}"
        take_upload(upload.upload_id, arrived, place)
    return _unpacked(arrived, folder / "unpacked")


def _unpacked(file: Path, folder: Path) -> Path:
    """Return the feed in an archive, or the file itself where it is none."""
    return unpack(file, folder) if is_archive(file) else file
