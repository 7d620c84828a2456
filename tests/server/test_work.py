"""What the jobs do, on a small drawn shop and show: the same as the command line does, and what strangers get."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="needs the extra `server`")
pytest.importorskip("lancedb", reason="needs the extra `store`")

from shopcue import commands
from shopcue.catalog.feeds import read_feed
from shopcue.catalog.store import open_store
from shopcue.database import Database, focuses, jobs, open_database, uploads, videos, words
from shopcue.database.events import events_after
from shopcue.database.reviews import review_focus
from shopcue.database.shops import put_shop
from shopcue.database.tables import Job, Video
from shopcue.methods import Method, open_method
from shopcue.records import Utterance
from shopcue.server.settings import ServerSettings
from shopcue.server.work import match as matching
from shopcue.server.work.place import Place
from shopcue.server.worker import WORKS, Worker
from shopcue.settings import Settings
from shopcue.sources import synthetic
from shopcue.sources.files import probe

SHOP = "corner"


@dataclass
class Drawn:
    """A drawn shop and show, and what the command line finds in it."""

    feed: Path
    show: Any
    found: commands.Matched


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    folder = tmp_path_factory.mktemp("drawn")
    feed = synthetic.make_shop(folder / "shop", count=6, seed=2)
    show = synthetic.make_stream(folder / "show", feed, duration_s=14.0, size=(320, 180), fps=8, seed=2)
    return Drawn(feed, show, commands.match(show.video, feed, speech=str(show.speech), comments=show.comments))


@pytest.fixture(scope="module")
def shelf(drawn: Drawn, methods: dict[str, Method], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server's folder whose shop has been imported, to be copied."""
    settings = ServerSettings(tmp_path_factory.mktemp("shelf") / "data")
    settings.make_folders()
    database = open_database(settings.database_url)
    with database.write() as session:
        put_shop(session, SHOP, "Corner shop")
        put_shop(session, "rival", "Another shop")
    job = run(
        Place(settings, database), "import", payload=sent(settings, database, "feed", zipped(drawn, settings.data))
    )
    assert job.state == "done", job.error
    database.close()
    return settings.data


@pytest.fixture(scope="module")
def methods() -> dict[str, Method]:
    """The networks, loaded once for all tests."""
    return {}


@pytest.fixture
def place(shelf: Path, methods: dict[str, Method], tmp_path: Path) -> Iterator[Place]:
    shutil.copytree(shelf, tmp_path / "data")
    settings = ServerSettings(tmp_path / "data", allow_private=True)
    database = open_database(settings.database_url)
    yield Place(settings, database, methods)
    database.close()


def zipped(drawn: Drawn, folder: Path) -> Path:
    archive = folder / "shop.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for path in drawn.feed.parent.rglob("*.*"):
            out.write(path, path.relative_to(drawn.feed.parent))
    return archive


def sent(settings: ServerSettings, database: Database, kind: str, file: Path, key: str = "upload_id") -> dict[str, str]:
    """Upload a file as the API does, and return what a job's payload says of it."""
    data = file.read_bytes()
    with database.write() as session:
        upload = uploads.add_upload(session, SHOP, kind, file.name, len(data))
        uploads.advance_upload(session, upload.upload_id, 0, len(data))
        uploads.finish_upload(session, upload.upload_id)
        uploads.use_upload(session, upload.upload_id, SHOP, kind)
    settings.upload_file(upload.upload_id).write_bytes(data)
    return {key: upload.upload_id}


def run(place: Place, kind: str, payload: dict[str, Any], video_id: str | None = None, shop: str = SHOP) -> Job:
    """Queue a job, do it, and return it as it ended."""
    with place.database.write() as session:
        job_id = jobs.add_job(session, kind, shop, payload, video_id).job_id
    assert Worker(place, threading.Event(), {kind: WORKS[kind]}).work_once()
    with place.database.read() as session:
        return jobs.get_job(session, job_id)


def new_video(place: Place, source: str = "show.mp4", shop: str = SHOP) -> str:
    with place.database.write() as session:
        return videos.add_video(session, shop, "recording", "A show", source).video_id


def row_of(place: Place, video_id: str) -> Video:
    with place.database.read() as session:
        return videos.get_video(session, video_id)


def found_in(place: Place, video_id: str) -> list[tuple[str, float, float]]:
    with place.database.read() as session:
        return [(row.product_id, row.start_s, row.end_s) for row in focuses.list_focuses(session, video_id)]


def upload_all(place: Place, drawn: Drawn) -> dict[str, Any]:
    give = partial(sent, place.settings, place.database)
    return {
        **give("video", drawn.show.video),
        **give("speech", drawn.show.speech, "speech_upload_id"),
        **give("comments", drawn.show.comments, "comments_upload_id"),
    }


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# ---- matching ----------------------------------------------------------------------------------------------------


def test_a_match_finds_what_the_command_line_finds(place: Place, drawn: Drawn) -> None:
    video_id = new_video(place)
    job = run(place, "match", upload_all(place, drawn), video_id)
    assert (job.state, job.error) == ("done", "")
    # A shop keeps smaller copies of its pictures than a feed has: a border may move by a moment or two.
    expected = drawn.found.focuses
    assert [product_id for product_id, _, _ in found_in(place, video_id)] == [f.product_id for f in expected]
    for (_, start_s, end_s), focus in zip(found_in(place, video_id), expected, strict=True):
        assert (start_s, end_s) == pytest.approx((focus.start_s, focus.end_s), abs=2.0)
    assert job.result == {"focuses": len(expected), "method": "two-stage"}
    video = row_of(place, video_id)
    assert (video.state, video.width, video.height) == ("ready", 320, 180)
    assert video.duration_s == pytest.approx(14.0, abs=0.1)
    assert video.models == {**drawn.found.models, "speech": "given"}
    with place.database.read() as session:
        assert len(words.list_utterances(session, video_id)) == drawn.show.speech.read_text().count("-->")
        assert len(words.list_comments(session, video_id)) == len(drawn.show.comments.read_text().splitlines())
        types = [event.type for event in events_after(session, 0, video_id=video_id)]
    assert types.count("focuses.put") == 1
    assert {"video.update", "job.update"} < set(types)


def test_a_match_leaves_the_file_its_poster_and_its_trace(place: Place, drawn: Drawn) -> None:
    video_id = new_video(place)
    run(place, "match", upload_all(place, drawn), video_id)
    folder = place.settings.video_folder(video_id)
    assert {path.name for path in folder.iterdir()} == {"media.mp4", "poster.jpg", "trace"}
    assert (folder / "media.mp4").read_bytes() == drawn.show.video.read_bytes()
    assert not list(place.settings.uploads_folder.iterdir())
    minute = json.loads(gzip.decompress((folder / "trace" / "0.json.gz").read_bytes()))
    assert len(minute["moments"]) == pytest.approx(28, abs=1)


def test_a_second_match_replaces_the_first_unless_somebody_reviewed_it(place: Place, drawn: Drawn) -> None:
    video_id = new_video(place)
    payload = upload_all(place, drawn)
    run(place, "match", payload, video_id)
    first = found_in(place, video_id)
    assert run(place, "match", payload, video_id).state == "done"
    assert found_in(place, video_id) == first
    with place.database.write() as session:
        focus_id = focuses.list_focuses(session, video_id)[0].focus_id
        review_focus(session, focus_id, "reject", "Sam", "seller")
    job = run(place, "match", payload, video_id)
    assert job.state == "failed"
    assert "reviewed" in job.error
    assert row_of(place, video_id).state == "ready"
    assert run(place, "match", payload | {"replace": True}, video_id).state == "done"
    assert found_in(place, video_id) == first


def test_a_video_comes_from_an_address(place: Place, drawn: Drawn, methods: dict[str, Method]) -> None:
    with serving(drawn.show.video.parent) as address:
        url = f"{address}/{drawn.show.video.name}?token=1"
        video_id = new_video(place, url)
        job = run(place, "match", {"url": url, "speech": "none"}, video_id)
        assert (job.state, job.error) == ("done", "")
        assert place.settings.media_file(video_id) == place.settings.video_folder(video_id) / "media.mp4"
        missing = new_video(place, f"{address}/absent.mp4")
        job = run(place, "match", {"url": f"{address}/absent.mp4"}, missing)
        assert "status 404" in job.error
        safe = Place(ServerSettings(place.settings.data), place.database, methods)
        job = run(safe, "match", {"url": url}, new_video(place, url))
        assert "not of the public web" in job.error
    assert not list(place.settings.data.glob("videos/*/*.part"))


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("garbage.mp4", bytes(range(256)) * 50, "cannot be opened"),
        ("list.mp4", b"#EXTM3U\nhttp://169.254.169.254/", "is a playlist or a text"),
        (
            "sound.wav",
            b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x44\xac\0\0\x88\x58\1\0\2\0\x10\0data\0\0\0\0",
            "pictures",
        ),
        ("../../etc/passwd", b"\0", "cannot be opened"),
    ],
)
def test_a_hostile_video_is_one_line(place: Place, tmp_path: Path, name: str, data: bytes, problem: str) -> None:
    (tmp_path / "hostile").write_bytes(data)
    payload = sent(place.settings, place.database, "video", tmp_path / "hostile") | {"name": name}
    video_id = new_video(place, name)
    job = run(place, "match", payload, video_id)
    assert job.state == "failed"
    assert problem in job.error
    assert "\n" not in job.error
    assert str(tmp_path) not in job.error
    assert (row_of(place, video_id).state, row_of(place, video_id).error) == ("failed", job.error)


@pytest.mark.parametrize(
    ("kind", "text", "problem"),
    [("speech", "WEBVTT\n\n00:99.000 --> x\nhi", "line 3"), ("comments", '{"time_s": "never"}', "line 1")],
)
def test_words_that_cannot_be_read_are_one_line(
    place: Place, drawn: Drawn, tmp_path: Path, kind: str, text: str, problem: str
) -> None:
    (tmp_path / "words").write_text(text)
    payload = sent(place.settings, place.database, "video", drawn.show.video)
    payload |= sent(place.settings, place.database, kind, tmp_path / "words", f"{kind}_upload_id")
    job = run(place, "match", payload, new_video(place))
    assert job.state == "failed"
    assert problem in job.error
    assert str(tmp_path) not in job.error


def test_a_shop_without_products_says_so(place: Place, drawn: Drawn) -> None:
    payload = sent(place.settings, place.database, "video", drawn.show.video)
    job = run(place, "match", payload, new_video(place, shop="rival"), shop="rival")
    assert job.state == "failed"
    assert "no products" in job.error


def test_a_video_that_is_deleted_meanwhile_leaves_no_files(
    place: Place, drawn: Drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    video_id, payload = new_video(place), upload_all(place, drawn)

    def probe_and_delete(path: Path) -> Any:
        found = probe(path)
        with place.database.write() as session:
            videos.delete_video(session, video_id)
        return found

    monkeypatch.setattr(matching, "probe", probe_and_delete)
    with place.database.write() as session:
        jobs.add_job(session, "match", SHOP, payload, video_id)
    assert Worker(place, threading.Event(), {"match": WORKS["match"]}).work_once()
    assert not place.settings.video_folder(video_id).exists()


def test_speech_is_recognised_once(place: Place, drawn: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def recognise(video: Any, titles: Any, **more: Any) -> tuple[list[Utterance], str]:
        asked.append(video.path)
        return [Utterance(1.0, 2.0, "look at this")], "whisper-of-a-test"

    def fall(*_: object) -> None:
        raise RuntimeError("the power went out")

    monkeypatch.setattr(matching, "recognise_video", recognise)
    payload = sent(place.settings, place.database, "video", drawn.show.video) | {"speech": "auto"}
    video_id = new_video(place)
    with monkeypatch.context() as outage:
        outage.setattr("shopcue.trace.TraceFiles.followed", fall)
        assert "fault of ours (RuntimeError)" in run(place, "match", payload, video_id).error
    job = run(place, "match", payload, video_id)
    assert (job.state, len(asked)) == ("done", 1)
    with place.database.read() as session:
        assert words.list_utterances(session, video_id) == [Utterance(1.0, 2.0, "look at this")]
    run(place, "match", payload, video_id)
    assert len(asked) == 1


# ---- importing ---------------------------------------------------------------------------------------------------


def items_of(place: Place, job: Job) -> list[tuple[int, str, str]]:
    with place.database.read() as session:
        return [(item.row, item.product_id, item.status) for item in jobs.list_items(session, job.job_id)]


def on_shelf(place: Place) -> list[str]:
    return sorted(p.product_id for p in open_store(place.settings.store_uri).products(SHOP, limit=1000).products)


def test_an_import_brings_the_feed_and_reports_on_each_item(place: Place, drawn: Drawn) -> None:
    feed = read_feed(drawn.feed)
    assert on_shelf(place) == sorted(product.product_id for product in feed.products)
    with place.database.read() as session:
        (job,) = jobs.list_jobs(session, kind="import").rows
        changed = events_after(session, 0, types=["catalog.update"])[-1]
    assert sorted(items_of(place, job)) == [(line.row, line.product_id, "ok") for line in feed.report]
    assert job.result == {"ok": 6, "partial": 0, "refused": 0}
    assert changed.data["products"] == 6
    assert not list((place.settings.data / "feeds").iterdir())
    gallery = place.store.gallery(SHOP, place.encoder.fingerprint)
    assert (
        gallery.catalog.products[0].title == feed.products[gallery.catalog.position[feed.products[0].product_id]].title
    )


def product_line(drawn: Drawn, address: str, product_id: str) -> dict[str, Any]:
    with drawn.feed.open(newline="") as rows:
        row = next(iter(csv.DictReader(rows)))
    return {"id": product_id, "title": "Something new", "image_link": f"{address}/{row['image_link']}"}


def test_products_and_their_pictures_come_from_addresses(
    place: Place, drawn: Drawn, methods: dict[str, Method], tmp_path: Path
) -> None:
    with serving(drawn.feed.parent) as address:
        good = product_line(drawn, address, "new-1")
        bad = product_line(drawn, f"{address}/absent", "new-2")
        job = run(place, "import", {"products": [good, bad]})
        assert job.result == {"ok": 1, "partial": 0, "refused": 1}
        assert sorted(items_of(place, job)) == [(1, "new-1", "ok"), (2, "new-2", "refused")]
        assert len(on_shelf(place)) == 7
        (tmp_path / "web").mkdir()
        (tmp_path / "web" / "feed.jsonl").write_text(json.dumps(good))
        with serving(tmp_path / "web") as feeds:
            job = run(place, "import", {"url": f"{feeds}/feed.jsonl", "delete_missing": True})
        assert job.state == "done", job.error
        assert on_shelf(place) == ["new-1"]
        safe = Place(ServerSettings(place.settings.data), place.database, methods)
        job = run(safe, "import", {"products": [product_line(drawn, address, "new-3")]})
        assert job.result == {"ok": 0, "partial": 0, "refused": 1}


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("feed.csv", b"a,b\n1,2\n", "id"),
        ("feed.zip", b"PK\x03\x04garbage", "feed"),
        ("feed.xml", b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><rss>&e;</rss>', "feed"),
    ],
)
def test_a_hostile_feed_is_one_line(place: Place, tmp_path: Path, name: str, data: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(data)
    job = run(place, "import", sent(place.settings, place.database, "feed", tmp_path / name))
    assert job.state == "failed"
    assert problem in job.error
    assert "\n" not in job.error
    assert str(tmp_path) not in job.error
    assert len(on_shelf(place)) == 6


def test_an_import_that_changes_nothing_tells_of_it_once(place: Place, drawn: Drawn, tmp_path: Path) -> None:
    with place.database.read() as session:
        last = events_after(session, 0)[-1].event_id
    version = place.store.version(SHOP)
    job = run(place, "import", sent(place.settings, place.database, "feed", zipped(drawn, tmp_path)))
    assert job.result == {"ok": 6, "partial": 0, "refused": 0}
    with place.database.read() as session:
        (told,) = events_after(session, last, types=["catalog.update"])
    assert told.data == {"products": 6, "version": version}


def test_a_reindex_leaves_the_shop_as_this_encoder_makes_it(place: Place, drawn: Drawn) -> None:
    before = place.store.gallery(SHOP, place.encoder.fingerprint)
    job = run(place, "reindex", {})
    assert (job.state, job.error) == ("done", "")
    assert job.result == {"products": 6, "fingerprint": open_method("auto", Settings()).encoder.fingerprint}
    after = open_store(place.settings.store_uri).gallery(SHOP, place.encoder.fingerprint)
    assert after.catalog.products == before.catalog.products
    assert (after.vectors * before.vectors).sum(1).min() > 0.99
    with place.database.read() as session:
        assert events_after(session, 0, types=["catalog.update"])[-1].data["products"] == 6
