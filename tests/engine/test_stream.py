"""Live streams: what they tell adds up to what the same file gives offline, and what breaks one breaks no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from engine.sinks import Fixed, Kept, spans
from shopcue.announcing import Announcement
from shopcue.catalog.exact import build_gallery
from shopcue.catalog.feeds import read_feed
from shopcue.engine import Stream
from shopcue.errors import MediaError
from shopcue.methods import Method
from shopcue.pipeline import Words, find_focuses
from shopcue.records import AudioChunk, Catalog, Focus, Frame, Gallery
from shopcue.sources.files import read_frames
from shopcue.sources.live import PacedFile
from shopcue.sources.live.reading import PacketSink
from shopcue.sources.subtitles import read_subtitles
from shopcue.sources.synthetic import Stream as Show
from shopcue.sources.synthetic import make_shop, make_stream


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Show]:
    folder = tmp_path_factory.mktemp("live")
    feed = make_shop(folder / "shop", count=5, seed=7)
    return feed, make_stream(folder, feed, duration_s=24.0, size=(480, 270), fps=8, seed=7)


@pytest.fixture(scope="module")
def gallery(show: tuple[Path, Show], method: Method) -> Gallery:
    return build_gallery(read_feed(show[0]), method.encoder)[0]


@pytest.fixture(scope="module")
def offline(show: tuple[Path, Show], gallery: Gallery, method: Method) -> list[Focus]:
    words = Words(read_subtitles(show[1].speech))
    frames = read_frames(show[1].video)
    return find_focuses(method.session(gallery), frames, method.detector, words, 23.5)


@dataclass
class Broken:
    """A source whose connections break: after some frames, or before the first."""

    connections: list[Callable[[float, int], Generator[Frame, None, None]]]
    endless: bool = True

    def read(
        self, rate_hz: float, max_side_px: int, *, sound: bool = False, recorder: PacketSink | None = None
    ) -> Generator[Frame | AudioChunk, None, None]:
        if not self.connections:
            raise MediaError("nothing is on air")
        yield from self.connections.pop(0)(rate_hz, max_side_px)

    def close(self) -> None:
        """Nothing has to be let go of."""


def grey(count: int, then: str) -> Callable[[float, int], Generator[Frame, None, None]]:
    def frames(rate_hz: float, max_side_px: int) -> Generator[Frame, None, None]:
        for k in range(count):
            yield Frame(k / rate_hz, np.full((90, 160, 3), 127, np.uint8))
        raise MediaError(then)

    return frames


def test_a_live_run_without_drops_gives_what_the_file_gives(
    show: tuple[Path, Show], gallery: Gallery, method: Method, offline: list[Focus]
) -> None:
    sink = Kept(said=list(read_subtitles(show[1].speech)))
    stream = Stream("live", PacedFile(show[1].video, speed=1000.0), Fixed(gallery), method, sink, full="wait")
    stream.start()
    assert sink.ended.wait(120)
    stream.join()
    assert [state for state, _ in sink.states] == ["starting", "live", "stopped"]
    assert stream.counts.dropped == 0
    assert spans(sink.focuses()) == spans(offline)
    assert offline, "a show without a focus shows nothing"
    for now_s, each in sink.news:
        assert each.focus.start_s <= now_s


def test_a_catalogue_that_changes_is_on_air_at_once(show: tuple[Path, Show], gallery: Gallery, method: Method) -> None:
    """The shop starts with nothing that the show shows; then the real products come."""
    stranger = np.zeros((1, gallery.vectors.shape[1]), np.float32)
    stranger[0, 0] = 1.0
    other = read_feed(show[0]).products[0]
    empty = Gallery(
        Catalog((type(other)("stranger", "Nothing that is shown", ("x.jpg",)),)),
        stranger,
        np.zeros(1, np.int64),
        gallery.fingerprint,
    )
    shop, sink = Fixed(empty, gallery), Kept()
    stream = Stream("live", PacedFile(show[1].video, speed=6.0), shop, method, sink, full="wait")
    stream.start()
    assert sink.ended.wait(120)
    assert shop.coming is None
    assert {focus.product_id for focus in sink.focuses()} <= set(gallery.catalog.position)
    assert sink.focuses()


def test_a_connection_that_breaks_is_made_again_and_time_goes_on(gallery: Gallery, method: Method) -> None:
    source = Broken([grey(3, "the first broke"), grey(2, "the second broke"), grey(0, "no picture came")])
    sink = Kept()
    stream = Stream("live", source, Fixed(gallery), method, sink)
    stream.start()
    deadline_s = time.monotonic() + 60
    while len(sink.states) < 7 and time.monotonic() < deadline_s:
        time.sleep(0.05)
    stream.stop()
    assert not stream.alive
    assert sink.states[:6] == [
        ("starting", ""),
        ("live", ""),
        ("reconnecting", "the first broke"),
        ("live", ""),
        ("reconnecting", "the second broke"),
        ("reconnecting", "no picture came"),
    ]
    assert sink.states[-1] == ("stopped", "")
    assert stream.counts.frames == 5


@pytest.mark.parametrize("first_s", [0.0, 500.0])
def test_time_is_that_of_the_clock_from_the_first_picture_or_from_before_an_interruption(
    gallery: Gallery, method: Method, first_s: float
) -> None:
    """A new stream waits for its publisher, and its time with it; one that was cut off goes on without us."""
    given_s: list[float] = []

    def late(rate_hz: float, max_side_px: int) -> Generator[Frame, None, None]:
        time.sleep(1.5)
        given_s.append(time.monotonic())
        yield Frame(70.0, np.full((90, 160, 3), 127, np.uint8))
        raise MediaError("broke")

    class Clocked(Kept):
        def announce(self, news: Sequence[Announcement], now_s: float) -> None:
            seen_s.append(now_s)

    seen_s: list[float] = []
    began_s = time.monotonic()
    stream = Stream("live", Broken([late, late]), Fixed(gallery), method, Clocked(), first_s=first_s)
    stream.start()
    deadline_s = time.monotonic() + 60
    while len(seen_s) < 2 and time.monotonic() < deadline_s:
        time.sleep(0.02)
    stream.stop()
    expected_s = [first_s + at_s - (began_s if first_s else given_s[0]) for at_s in given_s]
    assert seen_s[:2] == pytest.approx(expected_s, abs=0.4)
    assert stream.counts.connections >= 2


def test_a_slow_looker_loses_old_frames_and_counts_them(
    gallery: Gallery, method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shopcue.engine.stream._WAITING_FRAMES", 8)
    release = threading.Semaphore(0)
    source = Broken([grey(40, "over")], endless=False)
    sink = Kept()
    stream = Stream("live", source, Fixed(gallery), method, sink, turns=release)
    stream.start()
    time.sleep(0.5)
    release.release()
    assert sink.ended.wait(60)
    assert stream.counts.frames + stream.counts.dropped == 40
    assert stream.counts.dropped >= 30
    assert sink.states[-1] == ("failed", "over"), "a file that breaks says so"


def test_a_fault_of_ours_ends_one_stream_and_says_so(
    gallery: Gallery, method: Method, caplog: pytest.LogCaptureFixture
) -> None:
    class Faulty(Kept):
        def announce(self, news: Sequence[Announcement], now_s: float) -> None:
            raise ZeroDivisionError("on purpose")

    sink, other = Faulty(), Kept()
    streams = [
        Stream("live", Broken([grey(4, "over")], endless=False), Fixed(gallery), method, each) for each in (sink, other)
    ]
    for stream in streams:
        stream.start()
    assert sink.ended.wait(60)
    assert other.ended.wait(60)
    assert sink.states[-1] == ("failed", "a fault of ours: ZeroDivisionError")
    assert other.states[-1] == ("failed", "over")
    assert "on purpose" in caplog.text


def test_a_paced_file_comes_in_its_time(show: tuple[Path, Show]) -> None:
    began_s = time.monotonic()
    with closing(PacedFile(show[1].video, speed=20.0).read(2.0, 160)) as frames:
        times = [(frame.time_s, time.monotonic() - began_s) for frame in frames if isinstance(frame, Frame)]
    assert len(times) == 48
    assert all(came_s >= time_s / 20 - 0.01 for time_s, came_s in times)
