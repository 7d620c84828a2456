"""kill -9 while a show is on air by RTMP, of the media server and of `shopcue live`: what is found is what was shown.

Both runs are made at once, each with a server of its own; the show goes on meanwhile, as a live one does.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from engine.films import Film, drawn
from engine.on_air import KILLED_S, SECONDS, SHOWN_S, Show, check_again, slowness, write_film
from engine.sinks import Fixed, Kept, Span, applied, near, outside, spans
from shopcue.catalog.exact import build_gallery
from shopcue.catalog.feeds import read_feed
from shopcue.engine import Counts, Engine
from shopcue.exports import read_focuses
from shopcue.methods import open_method
from shopcue.settings import Models, Settings
from shopcue.sources.live import NetworkStream
from shopcue.sources.synthetic import make_shop
from sources.servers import Nginx, kill, needs

AWAY_S = 1.5
BLUR_S = 1.5


@dataclass(frozen=True)
class Premiere:
    """What is on air: a film, its file, and the shop that sells what it shows."""

    film: Film
    video: Path
    feed: Path


@dataclass(frozen=True)
class Outcome:
    """What was found.

    gap: of the show, that nobody saw. again_s: how long the stream took to be live again, once it could be. slow: how
    slow the machine was then. events: of `shopcue live`, and what it wrote in the end.
    """

    found: list[Span]
    gap: tuple[float, float]
    again_s: float
    slow: float
    counts: Counts | None = None
    states: list[str] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    written: list[Span] = field(default_factory=list)


# ---- the media server ------------------------------------------------------------------------------------------------


def kill_the_server(premiere: Premiere, folder: Path) -> Outcome:
    method = open_method("one-stage", Settings(models=Models(threads=1)))
    gallery = build_gallery(read_feed(premiere.feed), method.encoder)[0]
    nginx, show, sink = Nginx(folder), Show(premiere.video), Kept()
    url = nginx.rtmp("key")
    engine = Engine(method)
    with ExitStack() as stack:
        process = stack.enter_context(nginx.up())
        stream = engine.start("s", NetworkStream(url, private=True), Fixed(gallery), sink)
        time.sleep(1.5)
        stack.enter_context(show.pushed(url))
        show.wait(KILLED_S)
        kill(process)
        gone_s = show.second
        time.sleep(AWAY_S)
        stack.enter_context(nginx.up())
        back_s = time.monotonic()
        stack.enter_context(show.pushed(url))
        slow = slowness()
        show.wait(SECONDS + 1)
        engine.close()
    assert show.began_s is not None
    live_again_s = sink.live_s[-1]
    return Outcome(
        spans(sink.focuses()),
        (gone_s, live_again_s - show.began_s),
        live_again_s - back_s,
        slow,
        stream.counts,
        [state for state, _ in sink.states],
    )


# ---- `shopcue live` --------------------------------------------------------------------------------------------------


class Watcher:
    """`shopcue live` as a process. events: what it has told so far."""

    def __init__(self, url: str, premiere: Premiere, out: Path) -> None:
        # Who runs tests in the background has children to whom Ctrl-C says nothing.
        heeding = ["env", "--default-signal=INT", sys.executable]
        command = [*heeding, "-m", "shopcue", "live", url, "--catalog", str(premiere.feed), "--out", str(out)]
        self.events: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            [*command, "--speech", "none", "--method", "one-stage"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith("\n"):
                self.events.append(json.loads(line))

    def live_at(self) -> float | None:
        """When it said that the stream is live, by the clock on the wall."""
        return next((event["at"] for event in self.events if event["data"].get("state") == "live"), None)

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        code = self.process.wait(60)
        self._thread.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@contextmanager
def watching(url: str, premiere: Premiere, out: Path) -> Iterator[Watcher]:
    watcher = Watcher(url, premiere, out)
    try:
        yield watcher
    finally:
        if watcher.process.poll() is None:
            watcher.end(signal.SIGKILL)


def kill_the_watcher(premiere: Premiere, folder: Path) -> Outcome:
    nginx, show = Nginx(folder), Show(premiere.video)
    url, out = nginx.rtmp("key"), folder / "out"
    with ExitStack() as stack:
        stack.enter_context(nginx.up())
        first = stack.enter_context(watching(url, premiere, out))
        wait_for(lambda: first.events)
        time.sleep(1.5)
        stack.enter_context(show.pushed(url))
        show.wait(KILLED_S)
        first.end(signal.SIGKILL)
        gone_s, started_at = show.second, time.time()
        second = stack.enter_context(watching(url, premiere, out))
        slow = slowness()
        show.wait(SECONDS + 1)
        live_at = second.live_at()
        assert live_at is not None
        assert second.end(signal.SIGINT) == 0
    lines = (out / "events.jsonl").read_text(encoding="utf-8").splitlines()
    return Outcome(
        applied([json.loads(line) for line in lines]),
        (gone_s, gone_s + live_at - started_at),
        live_at - started_at,
        slow,
        events=[json.loads(line) for line in lines],
        written=spans(read_focuses(out / "focuses.json").focuses),
    )


# ---- both ------------------------------------------------------------------------------------------------------------


def wait_for(holds: Any, patience_s: float = 60.0) -> None:
    deadline_s = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < deadline_s, "it did not come to pass in time"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def premiere(tmp_path_factory: pytest.TempPathFactory) -> Premiere:
    folder = tmp_path_factory.mktemp("premiere")
    feed = make_shop(folder / "shop", count=4, seed=13)
    film = drawn(feed, SHOWN_S, SECONDS, (400, 224))
    return Premiere(film, write_film(film, folder / "film.mp4"), feed)


@pytest.fixture(scope="module")
def outcomes(premiere: Premiere, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    folder = tmp_path_factory.mktemp("runs")
    needs("ffmpeg", "ffmpeg")
    Nginx(folder / "none")  # skips here, not in a thread
    with ThreadPoolExecutor(2) as pool:
        runs = {"server": kill_the_server, "watcher": kill_the_watcher}
        made = {name: pool.submit(run, premiere, folder / name) for name, run in runs.items()}
        found = {name: run.result() for name, run in made.items()}
    print({name: f"{each.again_s:.2f} s at {each.slow:.1f}" for name, each in found.items()})
    for each in found.values():
        check_again(each.again_s, each.slow)
    return found


both = pytest.mark.parametrize("name", ["server", "watcher"])


@both
def test_outside_of_the_gap_all_is_found_once_and_when_it_was_shown(
    outcomes: dict[str, Outcome], premiere: Premiere, name: str
) -> None:
    outcome = outcomes[name]
    found, truth = outside(outcome.found, outcome.gap), outside(premiere.film.spans(), outcome.gap)
    assert near(found, truth, BLUR_S), (outcome.found, premiere.film.spans(), outcome.gap)


@both
def test_what_is_shown_before_and_after_the_gap_is_one_focus(
    outcomes: dict[str, Outcome], premiere: Premiere, name: str
) -> None:
    assert [product for product, *_ in outcomes[name].found] == [product for product, *_ in premiere.film.spans()]


def test_the_stream_says_that_its_server_was_away(outcomes: dict[str, Outcome]) -> None:
    server = outcomes["server"]
    assert server.states[0:3] == ["starting", "live", "reconnecting"]
    assert set(server.states[3:-2]) <= {"reconnecting", "live"}
    assert server.states[-1] == "stopped"
    assert server.counts is not None
    assert server.counts.faults == 0
    assert server.counts.dropped == 0 or server.slow > 2.0


def test_the_numbers_of_events_go_on_and_the_gap_is_told(outcomes: dict[str, Outcome]) -> None:
    watcher = outcomes["watcher"]
    assert [event["event_id"] for event in watcher.events] == list(range(1, len(watcher.events) + 1))
    times_s = [event["media_s"] for event in watcher.events]
    assert times_s == sorted(times_s)
    (missed,) = [event["data"]["missed"] for event in watcher.events if "missed" in event["data"]]
    gone_s, live_s = watcher.gap
    assert missed["start_s"] <= gone_s
    assert gone_s < missed["end_s"] <= live_s + BLUR_S
    assert watcher.written == watcher.found
