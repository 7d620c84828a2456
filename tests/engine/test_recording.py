"""A stream that is kept: what the recording shows at a time of the stream is what was looked at then."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import av
import pytest

from clips import Image, picture_number
from engine.sinks import Fixed, Kept
from shopcue.catalog.exact import build_gallery
from shopcue.catalog.feeds import read_feed
from shopcue.engine import State, Stream
from shopcue.methods import Method
from shopcue.models.detector import Detector
from shopcue.records import Detections, Frame, Gallery
from shopcue.sources import recordings
from shopcue.sources.live import NetworkStream
from shopcue.sources.recorder import Recorder
from shopcue.sources.recordings import read_recording
from shopcue.sources.synthetic import make_shop
from sources.servers import FPS, Site, site, write_numbered

SECONDS = 9


@dataclass
class Told(Kept):
    """A sink that tells, besides, each time that a connection breaks."""

    broken: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def state(self, state: State, problem: str) -> None:
        super().state(state, problem)
        if state == "reconnecting":
            self.broken.release()


@dataclass
class Seeing:
    """A detector that notes the number of each picture, and when in the stream it was shown."""

    detector: Detector
    fingerprint: str = "seeing"
    seen: list[tuple[float, int]] = field(default_factory=list)

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        self.seen += [(frame.time_s, picture_number(frame.image)) for frame in frames]
        return self.detector.detect(frames)


@pytest.fixture(name="web_site")
def web_site_fixture() -> Iterator[Site]:
    with site() as it:
        yield it


@pytest.fixture(scope="module")
def gallery(method: Method, tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    return build_gallery(read_feed(make_shop(tmp_path_factory.mktemp("shop"), count=3, seed=1)), method.encoder)[0]


def watch_twice(
    method: Method, gallery: Gallery, web_site: Site, recorder: Recorder
) -> tuple[Stream, list[tuple[float, int]]]:
    """Watch a film that comes over two connections; return the stream, which has ended, and what was seen when."""
    eyes, told = Seeing(method.detector), Told()
    source = NetworkStream(f"{web_site.address}/live", private=True)
    stream = Stream(
        "s", source, Fixed(gallery), replace(method, detector=eyes), told, recorder=recorder, first_s=100.0, full="wait"
    )
    stream.start()
    assert told.broken.acquire(timeout=60)
    assert told.broken.acquire(timeout=60)
    stream.stop()
    assert not stream.alive
    assert told.states[-1][0] == "stopped"
    return stream, eyes.seen


def picture_at(folder: Path, time_s: float) -> int | None:
    """The number of the picture that a recording shows at a time of the stream, None where it has a hole."""
    found = read_recording(folder).find(time_s)
    if found is None:
        return None
    segment, offset_s = found
    with av.open(str(folder / segment.name)) as container:
        pictures = [cast(Image, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    return picture_number(pictures[min(int(offset_s * FPS + 0.1), len(pictures) - 1)])


def test_the_recording_shows_what_was_looked_at(
    method: Method, gallery: Gallery, web_site: Site, tmp_path: Path
) -> None:
    web_site.pages["/live"] = write_numbered(tmp_path / "live.ts", SECONDS).read_bytes()
    stream, seen = watch_twice(method, gallery, web_site, Recorder(tmp_path / "kept", segment_s=2.0))
    assert stream.recording == "on"
    assert [number for _, number in seen[: 2 * SECONDS]] == [-(-n * FPS // 2) for n in range(2 * SECONDS)]
    begun_s = seen[0][0]
    assert 100.0 <= begun_s < 130.0, "it was interrupted at 100 s, and has gone on while it was connected to"
    kept = [
        (time_s, number) for time_s, number in seen if time_s < read_recording(tmp_path / "kept").segments[-1].end_s
    ]
    assert len(kept) >= 4 * SECONDS
    assert picture_at(tmp_path / "kept", begun_s) == 0
    middle_s = 0.5 / FPS  # of a picture: its ends are rounded to microseconds
    assert [picture_at(tmp_path / "kept", time_s + middle_s) for time_s, _ in kept] == [number for _, number in kept]
    first, second = read_recording(tmp_path / "kept").spans()[:2]
    assert first == pytest.approx((begun_s, begun_s + SECONDS), abs=0.01)
    assert second[0] == pytest.approx(seen[2 * SECONDS][0], abs=0.01)


def test_a_disk_that_is_full_costs_the_recording_alone(
    method: Method, gallery: Gallery, web_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    web_site.pages["/live"] = write_numbered(tmp_path / "live.ts", SECONDS).read_bytes()
    monkeypatch.setattr(recordings, "write_whole", full)
    stream, seen = watch_twice(method, gallery, web_site, Recorder(tmp_path / "kept", segment_s=2.0))
    assert "No space left" in stream.recording
    assert stream.counts.dropped == 0
    assert len(seen) >= 4 * SECONDS
    deadline_s = time.monotonic() + 10
    while any(thread.name == "shopcue-recorder" for thread in threading.enumerate()):
        assert time.monotonic() < deadline_s, "the thread of the recorder was left over"
        time.sleep(0.05)
