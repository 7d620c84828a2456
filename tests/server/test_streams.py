"""A recording plays as a live stream: what the worker writes down, and what becomes of it when it is cut off."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra `server`")
pytest.importorskip("lancedb", reason="needs the extra `store`")

from shopcue.catalog.exact import build_gallery
from shopcue.catalog.feeds import read_feed
from shopcue.catalog.rows import Embedded
from shopcue.database import Database, focuses, videos, words
from shopcue.database.events import events_after, last_event_id
from shopcue.database.shops import put_shop
from shopcue.database.tables import Focus as FocusRow
from shopcue.database.tables import Video
from shopcue.listening import Listener
from shopcue.methods import Method, open_method
from shopcue.pipeline import Words
from shopcue.records import Comment, Floats, Focus, Gallery, Utterance
from shopcue.server.addresses import RECORDING
from shopcue.server.settings import ServerSettings
from shopcue.server.work import streams
from shopcue.server.work.place import Place
from shopcue.server.work.streams import follow_streams
from shopcue.settings import Models, Settings
from shopcue.sources.files import probe
from shopcue.sources.recordings import read_recording
from shopcue.sources.synthetic import Stream, make_shop, make_stream
from sources.servers import site, write_numbered

SHOP = "corner"
LENGTH_S = 11.0


@pytest.fixture(scope="module")
def method() -> Method:
    return open_method("auto", Settings(models=Models(threads=1)))


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Stream]:
    folder = tmp_path_factory.mktemp("onair")
    feed = make_shop(folder / "shop", count=3, seed=5)
    return feed, make_stream(folder, feed, duration_s=LENGTH_S, size=(480, 270), fps=8, seed=5)


@pytest.fixture(scope="module")
def gallery(show: tuple[Path, Stream], method: Method) -> Gallery:
    return build_gallery(read_feed(show[0]), method.encoder)[0]


@pytest.fixture
def place(tmp_path: Path, show: tuple[Path, Stream], gallery: Gallery, method: Method) -> Iterator[Place]:
    """A server's folder with one shop and one recording, whose worker has its networks loaded."""
    from shopcue.database import open_database

    settings = ServerSettings(tmp_path)
    settings.make_folders()
    database = open_database(settings.database_url)
    found = Place(settings, database)
    found._methods["auto"] = method
    with database.write() as session:
        put_shop(session, SHOP, "Corner shop")
        recording = videos.add_video(session, SHOP, "recording", "The show", "show.mp4")
    folder = settings.video_folder(recording.video_id)
    folder.mkdir(parents=True)
    shutil.copy(show[1].video, folder / "media.mp4")
    found.store.upsert(SHOP, [embedded(gallery, p) for p in range(len(gallery.catalog))], gallery.fingerprint)
    yield found
    database.close()


def embedded(gallery: Gallery, p: int) -> Embedded:
    rows = np.flatnonzero(gallery.owner == p)
    pictures = [cv2.imencode(".jpg", gallery.pictures[m][..., ::-1])[1].tobytes() for m in rows]
    product = gallery.catalog.products[p]
    contents = tuple(f"{product.product_id}-{m}" for m in rows)
    return Embedded(product, gallery.vectors[rows], tuple(pictures), contents)


@contextmanager
def worker(place: Place) -> Iterator[threading.Event]:
    leaving = threading.Event()
    thread = threading.Thread(target=follow_streams, args=(place, leaving))
    thread.start()
    yield leaving
    leaving.set()
    thread.join(30)
    assert not thread.is_alive()


def add_stream(place: Place, wanted: bool = True, listened: bool = False) -> str:
    with place.database.write() as session:
        recording = videos.list_videos(session, SHOP, kind="recording").rows[0]
        return videos.add_video(
            session, SHOP, "stream", "Live", RECORDING + recording.video_id, wanted=wanted, listened=listened
        ).video_id


def read(database: Database, video_id: str) -> Video:
    with database.read() as session:
        return videos.get_video(session, video_id)


def offline(place: Place, gallery: Gallery, method: Method) -> list[Focus]:
    """What the recording shows when it is not live."""
    with place.database.read() as session:
        recording = videos.list_videos(session, SHOP, kind="recording").rows[0]
    media = place.settings.media_file(recording.video_id)
    assert media is not None
    return method.find_focuses(probe(media), gallery, Words())


def shown(place: Place, video_id: str) -> list[FocusRow]:
    with place.database.read() as session:
        return focuses.list_focuses(session, video_id)


def wait_for(what: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline_s = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline_s, "it did not come"
        time.sleep(0.1)


def test_a_stream_tells_what_it_shows_and_ends_by_itself(place: Place, show: tuple[Path, Stream]) -> None:
    video_id = add_stream(place)
    with worker(place):
        wait_for(lambda: read(place.database, video_id).state == "live")
        with place.database.write() as session:
            words.add_comments(session, video_id, [Comment(1.0, "Mia <script>", "what is this?")])
        wait_for(
            lambda: read(place.database, video_id).state == "stopped" and not read(place.database, video_id).wanted
        )
    video = read(place.database, video_id)
    assert (video.width, video.height, video.error) == (480, 270, "")
    assert video.duration_s == pytest.approx(LENGTH_S, abs=3.0)
    with place.database.read() as session:
        found = focuses.list_focuses(session, video_id)
        events = events_after(session, 0, video_id=video_id)
    assert found
    assert all(focus.status == "found" and not focus.is_open for focus in found)
    told = [event for event in events if event.type.startswith("focus.")]
    opened = [event for event in told if event.type == "focus.open"]
    assert {event.data["focus_id"] for event in opened} >= {focus.focus_id for focus in found}
    assert all(event.media_s is not None and event.data["start_s"] <= event.media_s for event in opened)
    states = [event.data["state"] for event in events if event.type == "stream.update"]
    assert [state for k, state in enumerate(states) if k == 0 or states[k - 1] != state] == [
        "stopped",
        "starting",
        "live",
        "stopped",
    ]
    assert list(place.settings.video_folder(video_id).glob("trace/*.json.gz"))


def test_a_stream_that_nobody_wants_any_more_stops_and_can_go_on(place: Place) -> None:
    video_id = add_stream(place, wanted=False)
    with worker(place):
        time.sleep(1.0)
        assert read(place.database, video_id).state == "stopped"
        for _ in range(2):
            with place.database.write() as session:
                videos.change_video(session, video_id, wanted=True)
            wait_for(lambda: read(place.database, video_id).state == "live")
            with place.database.write() as session:
                videos.change_video(session, video_id, wanted=False)
            wait_for(lambda: read(place.database, video_id).state == "stopped")


def test_a_stream_goes_on_where_its_worker_was_cut_off(place: Place, gallery: Gallery, method: Method) -> None:
    """It died without a word ten seconds ago. What it left open goes on if it is still shown, and else ends."""
    video_id = add_stream(place)
    first = next(iter(offline(place, gallery, method)))
    stranger = next(p for p in gallery.catalog if p.product_id != first.product_id)
    with place.database.write() as session:
        reached = {"duration_s": 120.0, "reached_at": time.time() - 10.0}
        video = videos.change_video(session, video_id, state="reconnecting", **reached)
        still = focuses.save_open(session, video, replace(first, start_s=100.0, end_s=101.0)).focus_id
        gone = focuses.save_open(
            session, video, replace(first, product_id=stranger.product_id, start_s=90.0, end_s=95.0)
        ).focus_id
        before = last_event_id(session)
    with worker(place):
        wait_for(lambda: read(place.database, video_id).state == "stopped")
    with place.database.read() as session:
        rows = {row.focus_id: row for row in focuses.list_focuses(session, video_id)}
        events = events_after(session, before, video_id=video_id)
    assert (rows[gone].status, rows[gone].is_open, rows[gone].start_s) == ("found", False, 90.0)
    assert rows[still].start_s == 100.0
    assert rows[still].end_s == pytest.approx(130.0 + first.end_s, abs=1.5)
    assert [event.data["missed"] for event in events if "missed" in event.data] == [
        {"start_s": 120.0, "end_s": pytest.approx(130.0, abs=2.0)}
    ]
    assert not [e for e in events if e.type == "focus.open" and e.data["product_id"] == first.product_id]


def test_a_worker_that_leaves_takes_no_stream_off_the_air(place: Place) -> None:
    video_id = add_stream(place)
    with worker(place):
        wait_for(lambda: bool(shown(place, video_id)))
    video = read(place.database, video_id)
    assert (video.wanted, video.state) == (True, "live")
    assert [focus.is_open for focus in shown(place, video_id)][-1:] == [True]


class Whisperer:
    """A recogniser that hears one sentence in every sound, and is told the words of a shop."""

    fingerprint = "whisperer"
    known: ClassVar[list[str]] = []

    def knowing(self, vocabulary: Sequence[str]) -> Whisperer:
        self.known.extend(vocabulary)
        return self

    def recognise(self, samples: Floats) -> list[Utterance]:
        return [Utterance(0.0, len(samples) / 16_000, " hello there.")]

    def spans(self, samples: Floats) -> list[tuple[int, int]]:
        return [(0, len(samples))]


def test_a_stream_that_is_listened_to_keeps_what_is_said(
    place: Place, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    ear = Whisperer()
    monkeypatch.setattr(streams, "find_recogniser", lambda **_: (ear, "speech: whisperer"))
    monkeypatch.setattr(streams, "Listener", partial(Listener, voice=ear, every_s=1.0))
    deaf, listened = add_stream(place), add_stream(place, listened=True)

    def said(video_id: str) -> list[str]:
        with place.database.read() as session:
            return [each.text for each in words.list_utterances(session, video_id)]

    with worker(place):
        wait_for(lambda: bool(said(listened)))
    assert set(said(listened)) == {"hello there."}
    assert said(deaf) == []
    assert set(ear.known) == {product.title for product in gallery.catalog}


def test_a_stream_that_cannot_start_says_why_and_is_tried_again(place: Place) -> None:
    with place.database.write() as session:
        private = videos.add_video(session, SHOP, "stream", "Inside", "rtmp://127.0.0.1/a/key", wanted=True).video_id
        gone = videos.add_video(session, SHOP, "stream", "Gone", RECORDING + private, wanted=True).video_id
    with worker(place):
        wait_for(lambda: all(read(place.database, each).state == "failed" for each in (private, gone)))
    assert "private address" in read(place.database, private).error
    assert "key" not in read(place.database, private).error
    assert "no recording" in read(place.database, gone).error


def test_no_file_of_the_machine_is_a_stream(place: Place, show: tuple[Path, Stream]) -> None:
    open_place = replace(place, settings=replace(place.settings, allow_private=True))
    with place.database.write() as session:
        video_id = videos.add_video(session, SHOP, "stream", "File", str(show[1].video), wanted=True).video_id
    with worker(open_place):
        wait_for(lambda: read(place.database, video_id).state == "failed")
    assert "is of this machine" in read(place.database, video_id).error


@pytest.mark.parametrize("keep_hours", [1.0, 0.0])
def test_a_stream_is_kept_as_it_comes(place: Place, tmp_path: Path, keep_hours: float) -> None:
    open_place = replace(place, settings=replace(place.settings, allow_private=True, keep_hours=keep_hours))
    with site() as web_site:
        web_site.pages["/live"] = write_numbered(tmp_path / "live.ts", 7).read_bytes()
        with place.database.write() as session:
            source = f"{web_site.address}/live"
            kept = videos.add_video(session, SHOP, "stream", "Kept", source, wanted=True).video_id
            other = videos.add_video(session, SHOP, "stream", "Not", source, wanted=True, recorded=False).video_id
        with worker(open_place):
            wait_for(lambda: all(read(place.database, each).state == "reconnecting" for each in (kept, other)))
            health = [read(place.database, each).health or {} for each in (kept, other)]
    assert [each["recording"] for each in health] == ["on" if keep_hours else "", ""]
    # The film comes all at once: what does not fit into the queue is dropped, and counted.
    assert all(each["frames"] + each["dropped"] >= 14 and each["connections"] >= 1 for each in health)
    assert all(each["faults"] == 0 for each in health)
    assert not place.settings.recording_folder(other).exists()
    if keep_hours:
        assert read_recording(place.settings.recording_folder(kept)).spans()[0] == pytest.approx((0, 7), abs=0.01)
    else:
        assert not place.settings.recording_folder(kept).exists()


def test_a_folder_that_cannot_be_recorded_into_costs_the_recording_alone(place: Place, tmp_path: Path) -> None:
    open_place = replace(place, settings=replace(place.settings, allow_private=True))
    with site() as web_site:
        web_site.pages["/live"] = write_numbered(tmp_path / "live.ts", 3).read_bytes()
        with place.database.write() as session:
            video_id = videos.add_video(
                session, SHOP, "stream", "Live", f"{web_site.address}/live", wanted=True
            ).video_id
        folder = place.settings.recording_folder(video_id)
        folder.parent.mkdir(parents=True)
        folder.write_text("a file stands where the folder should be")
        with worker(open_place):
            wait_for(lambda: read(place.database, video_id).state == "reconnecting")
            health = read(place.database, video_id).health or {}
    assert "cannot be used" in health["recording"]


def test_a_stream_that_is_wanted_again_at_once_first_comes_to_its_end(place: Place) -> None:
    video_id = add_stream(place)
    with worker(place):
        wait_for(lambda: read(place.database, video_id).state == "live")
        with place.database.write() as session:
            videos.change_video(session, video_id, wanted=False)
        wait_for(lambda: read(place.database, video_id).state == "stopped")
        reached_s = read(place.database, video_id).duration_s or 0.0
        with place.database.write() as session:
            videos.change_video(session, video_id, wanted=True)
        wait_for(lambda: read(place.database, video_id).state == "live")
        time.sleep(2.5)
        video = read(place.database, video_id)
    assert video.state == "live", "the end of the run before is not told as the end of this one"
    assert (video.duration_s or 0.0) >= reached_s
    with place.database.read() as session:
        assert not [e for e in events_after(session, 0, video_id=video_id) if "missed" in e.data]


def test_a_stream_that_is_deleted_leaves_the_others_alone(place: Place) -> None:
    doomed, other = add_stream(place), add_stream(place)
    with worker(place):
        wait_for(lambda: all(read(place.database, each).state == "live" for each in (doomed, other)))
        with place.database.write() as session:
            videos.delete_video(session, doomed)
        wait_for(lambda: read(place.database, other).state == "stopped")
    with place.database.read() as session:
        assert focuses.list_focuses(session, other)
