"""Several streams at once: each as if it were alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from engine.recognisers import Always, Counting
from engine.sinks import Fixed, Kept, spans
from shopcue.catalog.exact import build_gallery
from shopcue.catalog.feeds import read_feed
from shopcue.engine import Engine
from shopcue.engine.hearing import Ears
from shopcue.listening import Listener
from shopcue.methods import Method
from shopcue.pipeline import Words, find_focuses
from shopcue.records import AudioChunk, Detections, Focus, Frame, Gallery
from shopcue.sources.files import probe, read_frames
from shopcue.sources.live import PacedFile
from shopcue.sources.synthetic import make_shop, make_stream


@dataclass(frozen=True)
class Show:
    """A drawn show with its shop."""

    video: Path
    gallery: Gallery


@pytest.fixture(scope="module")
def shows(tmp_path_factory: pytest.TempPathFactory, method: Method) -> list[Show]:
    found = []
    for seed in (3, 4, 5):
        folder = tmp_path_factory.mktemp(f"show{seed}")
        feed = make_shop(folder / "shop", count=4, seed=seed)
        stream = make_stream(folder, feed, duration_s=14.0, size=(320, 180), fps=8, seed=seed)
        found.append(Show(stream.video, build_gallery(read_feed(feed), method.encoder)[0]))
    return found


@pytest.fixture
def engine(method: Method) -> Iterator[Engine]:
    opened = Engine(method, cores=2)
    yield opened
    opened.close()
    deadline_s = time.monotonic() + 20
    while left := [t.name for t in threading.enumerate() if t.name in ("shopcue-stream", "shopcue-batcher")]:
        assert time.monotonic() < deadline_s, f"{left} were left over"
        time.sleep(0.05)


def alone(show: Show, method: Method) -> list[Focus]:
    frames = read_frames(show.video)
    end_s = max(frame.time_s for frame in read_frames(show.video))
    return find_focuses(method.session(show.gallery), frames, method.detector, Words(), end_s)


def test_streams_at_the_same_time_find_what_each_finds_alone(engine: Engine, shows: list[Show], method: Method) -> None:
    sinks = [Kept() for _ in shows]
    for n, (show, sink) in enumerate(zip(shows, sinks, strict=True)):
        engine.start(str(n), PacedFile(show.video, 1000.0), Fixed(show.gallery), sink, full="wait")
    assert all(sink.ended.wait(120) for sink in sinks)
    for show, sink in zip(shows, sinks, strict=True):
        assert spans(sink.focuses()) == spans(alone(show, method))
    assert any(sink.focuses() for sink in sinks)
    assert all(counts.frames == 28 and counts.dropped == 0 for counts in engine.counts.values())


def test_one_stream_stops_and_another_changes_its_shop_while_the_rest_go_on(engine: Engine, shows: list[Show]) -> None:
    sinks = [Kept() for _ in shows]
    streams = [
        engine.start(str(n), PacedFile(show.video, 4.0), Fixed(shows[0].gallery), sink, full="wait")
        for n, (show, sink) in enumerate(zip(shows, sinks, strict=True))
    ]
    engine.stop("0")
    assert sinks[0].states[-1] == ("stopped", "")
    assert all(stream.alive for stream in streams[1:])
    streams[1].change_shop(Fixed(shows[1].gallery))
    assert all(sink.ended.wait(120) for sink in sinks)
    assert streams[1].counts.frames == streams[2].counts.frames == 28
    assert set(streams[1].catalog.position) == set(shows[1].gallery.catalog.position)
    assert set(streams[2].catalog.position) == set(shows[0].gallery.catalog.position)


class Faulty:
    """A detector that fails at some frames of one stream: those whose pictures are 320 pixels wide and told of."""

    def __init__(self, method: Method, at: set[float]) -> None:
        self._detector, self._at, self.fingerprint = method.detector, at, method.detector.fingerprint

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        for frame in frames:
            if frame.time_s in self._at:
                self._at.remove(frame.time_s)
                raise ZeroDivisionError("on purpose")
        return self._detector.detect(frames)


def test_a_fault_in_a_session_costs_a_moment_and_no_focus(
    shows: list[Show], method: Method, caplog: pytest.LogCaptureFixture
) -> None:
    show = next(show for show in shows if alone(show, method))
    whole = alone(show, method)
    middle = round(2 * (whole[0].start_s + whole[0].end_s) / 2) / 2
    engine = Engine(method.sharing(Faulty(method, {middle, middle}), method.encoder))
    sink = Kept()
    stream = engine.start("s", PacedFile(show.video, 1000.0), Fixed(show.gallery), sink, full="wait")
    assert sink.ended.wait(120)
    engine.close()
    assert "on purpose" in caplog.text
    assert (stream.counts.faults, stream.counts.frames, sink.states[-1]) == (1, 27, ("stopped", ""))
    assert [focus.product_id for focus in sink.focuses()] == [focus.product_id for focus in whole]
    for ours, theirs in zip(sink.focuses(), whole, strict=True):
        assert abs(ours.start_s - theirs.start_s) <= 1.0
        assert abs(ours.end_s - theirs.end_s) <= 1.0


def test_ears_hear_every_stream_and_give_each_its_own() -> None:
    ears = Ears(lambda name: Listener(Counting(0.0), voice=Always(), every_s=1.0), share=1.0)
    for k in range(6):
        for n, name in enumerate(("a", "b")):
            loud = np.full(8_000, (n + 1) / 10, np.float32) if k % 3 != 2 else np.zeros(32_000, np.float32)
            ears.hear(name, AudioChunk(3.0 * (k // 3) + 0.5 * (k % 3), loud, 16_000))
    heard: dict[str, list[str]] = {"a": [], "b": []}
    deadline_s = time.monotonic() + 20
    while not all(len(texts) == 2 for texts in heard.values()) and time.monotonic() < deadline_s:
        for name, texts in heard.items():
            texts += [said.text for said in ears.said(name)]
        time.sleep(0.01)
    ears.close()
    assert heard == {"a": ["1", "1"], "b": ["2", "2"]}


def test_ears_that_cannot_keep_up_lose_the_oldest_and_say_how_much() -> None:
    recogniser = Counting(0.3)
    ears = Ears(lambda name: Listener(recogniser, voice=Always(), every_s=1.0), share=0.5, backlog_s=4.0)
    for k in range(60):
        began_s = time.monotonic()
        ears.hear("a", AudioChunk(float(k), np.full(16_000, 0.1, np.float32), 16_000))
        assert time.monotonic() - began_s < 0.5, "who speaks does not wait for who listens"
    assert ears.lost_s("a") >= 40.0
    ears.forget("a")
    ears.close()


def test_the_time_of_a_stream_is_that_of_its_file(shows: list[Show], engine: Engine) -> None:
    sink = Kept()
    stream = engine.start("s", PacedFile(shows[0].video, 50.0), Fixed(shows[0].gallery), sink, first_s=500.0)
    assert sink.ended.wait(60)
    assert stream._now_s == pytest.approx(500.0 + probe(shows[0].video).duration_s, abs=0.7)
