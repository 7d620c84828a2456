"""The job that finds what a recording shows: its file, its words, its shop, its focuses.

Every step leaves what it made where the next attempt finds it, so that a job that was interrupted goes on where the
time went: a file is moved or downloaded once, speech is recognised once. The focuses are written with the job's end.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from shopcue.database import focuses, videos, words
from shopcue.database.tables import Job, Video
from shopcue.errors import Missing
from shopcue.pipeline import Words
from shopcue.records import Gallery, Utterance
from shopcue.server.media import poster_jpeg, write_whole
from shopcue.server.placing import media_ending
from shopcue.server.work.arrivals import download, take_upload
from shopcue.server.work.place import Outcome, Place, Update
from shopcue.sources.comments import read_comments
from shopcue.sources.files import VideoInfo, probe
from shopcue.sources.subtitles import read_subtitles
from shopcue.speech import recognise_video
from shopcue.trace import TraceFiles

_log = logging.getLogger(__name__)


def match(job: Job, place: Place, update: Update) -> Outcome:
    """Find which products of its shop a recording shows, and when. Raises a ShopcueError for what cannot be used."""
    with place.database.read() as session:
        video = videos.get_video(session, str(job.video_id))
    with _folder_of(video, place):
        return _match(video, job, place, update)


def _match(video: Video, job: Job, place: Place, update: Update) -> Outcome:
    info = _prepare(video, job, place, update)
    update("catalogue", 0, 1)
    method = place.method(job.payload.get("method") or "auto")
    gallery = place.store.gallery(video.shop, method.encoder.fingerprint)
    spoken, recogniser = _speech(video, info, gallery, job, place, update)
    with place.database.read() as session:
        written = words.list_comments(session, video.video_id)
    with _new_trace(place.settings.video_folder(video.video_id), job.job_id) as trace:
        found = method.find_focuses(info, gallery, Words(spoken, written), update, trace)
    models = {**method.fingerprints, "text": "lexical", "speech": recogniser}
    titles = {product.product_id: product.title for product in gallery.catalog}

    def settle(session: Session) -> None:
        row = videos.get_video(session, video.video_id)
        replace = bool(job.payload.get("replace"))
        focuses.put_focuses(session, row, found, models, titles, replace_reviewed=replace)

    return Outcome({"focuses": len(found), "method": method.name}, settle)


@contextmanager
def _folder_of(video: Video, place: Place) -> Iterator[None]:
    """Leave no files behind where the video was deleted while it was worked at."""
    try:
        yield
    except BaseException:
        try:
            with place.database.read() as session:
                videos.get_video(session, video.video_id)
        except Missing:
            shutil.rmtree(place.settings.video_folder(video.video_id), ignore_errors=True)
        raise


# ---- the file ----------------------------------------------------------------------------------------------------


def _prepare(video: Video, job: Job, place: Place, update: Update) -> VideoInfo:
    """Bring the file, its size and length, its poster and the given words to their places."""
    path = _media(video, job, place, update)
    info = probe(path)
    poster = place.settings.poster_file(video.video_id)
    if not poster.exists():
        write_whole(poster, poster_jpeg(info))
    uploads = (job.payload.get("comments_upload_id"), job.payload.get("speech_upload_id"))
    comments_file, speech_file = (place.settings.upload_file(upload) if upload else None for upload in uploads)
    written = read_comments(comments_file) if comments_file and comments_file.exists() else None
    spoken = read_subtitles(speech_file) if speech_file and speech_file.exists() else None
    with place.database.write() as session:
        size = {"duration_s": info.duration_s, "width": info.width, "height": info.height}
        videos.change_video(session, video.video_id, **size)
        if written is not None:
            words.put_comments(session, video.video_id, written)
        if spoken is not None:
            words.put_utterances(session, video.video_id, spoken)
    for file in (comments_file, speech_file):
        if file is not None:
            file.unlink(missing_ok=True)  # what it said is in the database now
    return info


def _media(video: Video, job: Job, place: Place, update: Update) -> Path:
    """Return the video's file; it is moved or downloaded to its place if it is not there."""
    there = place.settings.media_file(video.video_id)
    if there is not None:
        return there
    url = str(job.payload.get("url") or "")
    name = urlsplit(url).path if url else str(job.payload.get("name") or video.source)
    target = place.settings.video_folder(video.video_id) / f"media{media_ending(name)}"
    if url:
        download(url, target, "video", place, update)
    else:
        take_upload(str(job.payload.get("upload_id")), target, place)
    return target


@contextmanager
def _new_trace(folder: Path, job_id: str) -> Iterator[TraceFiles]:
    """Lend a trace that takes the place of the video's former one when it is complete."""
    draft, place = folder / f"trace.{job_id}", folder / "trace"
    try:
        trace = TraceFiles(draft)
        yield trace
        trace.finish()
        shutil.rmtree(place, ignore_errors=True)
        if draft.exists():
            draft.replace(place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


# ---- the words --------------------------------------------------------------------------------------


def _speech(
    video: Video, info: VideoInfo, gallery: Gallery, job: Job, place: Place, update: Update
) -> tuple[list[Utterance], str]:
    """Return what is said in the video and what recognised it; it is recognised once and then kept."""
    given = job.payload.get("speech_upload_id")
    if job.payload.get("speech") == "none" and not given:
        return [], "none"
    with place.database.read() as session:
        row = videos.get_video(session, video.video_id)
        kept = words.list_utterances(session, video.video_id)
    if row.heard:
        return kept, "given" if given else str(row.models.get("speech", "kept"))
    titles = [product.title for product in gallery.catalog]
    spoken, recogniser = recognise_video(info, titles, update=update, note=_log.info)
    if recogniser != "none":  # where nothing can recognise, something may be installed one day
        with place.database.write() as session:
            words.put_utterances(session, video.video_id, spoken)
    return spoken, recogniser
