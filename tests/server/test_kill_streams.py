"""kill -9 of the worker that follows the streams of a real server: what the API has in the end is what was shown."""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

pytest.importorskip("fastapi", reason="needs the extra `server`")
pytest.importorskip("lancedb", reason="needs the extra `store`")

from engine.films import Film, drawn
from engine.on_air import KILLED_S, SECONDS, SHOWN_S, Show, check_again, slowness, write_film
from engine.sinks import Span, near, outside
from server.process import SHOP, Json, Server
from shopcue.database import open_database
from shopcue.database.events import events_after
from shopcue.database.tables import Event
from shopcue.sources.synthetic import make_shop
from sources.servers import Nginx, needs

BLUR_S = 2.0  # looks hold for a stretch of a tracklet, which the gap breaks off


@dataclass(frozen=True)
class Outcome:
    """What was found. gap: of the show, that nobody saw. missed: the spans of the stream of which that was told."""

    film: Film
    focuses: list[Json]
    gap: tuple[float, float]
    missed: list[tuple[float, float]]

    @property
    def found(self) -> list[Span]:
        return [(each["product_id"], each["start_s"], each["end_s"]) for each in self.focuses]


@pytest.fixture(scope="module")
def outcome(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = tmp_path_factory.mktemp("premiere")
    needs("ffmpeg", "ffmpeg")
    nginx = Nginx(folder / "nginx")
    feed = make_shop(folder / "shop", count=4, seed=13)
    film = drawn(feed, SHOWN_S, SECONDS, (400, 224))
    show = Show(write_film(film, folder / "film.mp4"))
    server.stock(feed)
    with ExitStack() as stack:
        stack.enter_context(nginx.up())
        body = {"url": nginx.rtmp("key"), "title": "Premiere", "speech": "none", "recording": False}
        video_id = server.ask("POST", f"/api/shops/{SHOP}/streams", 201, json=body)["video_id"]
        wait_for(server, video_id, "starting")
        time.sleep(1.5)
        stack.enter_context(show.pushed(nginx.rtmp("key")))
        show.wait(KILLED_S)
        (worker,) = server.workers("streams")
        os.kill(worker, signal.SIGKILL)
        gone_s, killed_at = show.second, time.time()
        slow = slowness()
        show.wait(SECONDS + 1)
        server.ask("POST", f"/api/videos/{video_id}/stop")
        wait_for(server, video_id, "stopped")
    focuses = server.ask("GET", f"/api/videos/{video_id}/focuses")["focuses"]
    told = [event for event in events(server, video_id) if event.at > killed_at]
    missed = [event.data["missed"] for event in told if "missed" in event.data]
    starting = next((n for n, event in enumerate(told) if event.data["state"] == "starting"), len(told))
    live_at = next((event.at for event in told[starting:] if event.data["state"] == "live"), time.time())
    again_s = live_at - killed_at
    print(f"{again_s:.2f} s at {slow:.1f}")
    check_again(again_s, slow)
    spans = [(each["start_s"], each["end_s"]) for each in missed]
    return Outcome(film, focuses, (gone_s, gone_s + again_s), spans)


def wait_for(server: Server, video_id: str, state: str, patience_s: float = 60.0) -> None:
    deadline_s = time.monotonic() + patience_s
    while (now := server.ask("GET", f"/api/videos/{video_id}"))["state"] != state:
        assert time.monotonic() < deadline_s, now
        time.sleep(0.05)


def events(server: Server, video_id: str) -> list[Event]:
    """What was told about the state of a stream."""
    database = open_database(f"sqlite:///{server.data / 'shopcue.db'}")
    with database.read() as session:
        found = events_after(session, 0, video_id=video_id, types=["stream.update"])
        session.expunge_all()
    database.close()
    return found


def test_outside_of_the_gap_all_is_found_once_and_when_it_was_shown(outcome: Outcome) -> None:
    found, truth = (outside(each, outcome.gap) for each in (outcome.found, outcome.film.spans()))
    assert near(found, truth, BLUR_S), (outcome.found, outcome.film.spans(), outcome.gap)


def test_what_is_shown_before_and_after_the_gap_is_one_focus(outcome: Outcome) -> None:
    assert [product for product, *_ in outcome.found] == [product for product, *_ in outcome.film.spans()]
    assert {each["status"] for each in outcome.focuses} == {"found"}


def test_the_gap_is_told(outcome: Outcome) -> None:
    ((start_s, end_s),) = outcome.missed
    assert outcome.gap[0] - 5.0 <= start_s <= outcome.gap[0]
    assert start_s < end_s <= outcome.gap[1] + 0.5
