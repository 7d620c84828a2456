"""Streams of real servers: every protocol brings the right pictures at the right times, and faults are survived."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from clips import picture_number
from shopcue.errors import MediaError
from shopcue.records import AudioChunk, Frame
from shopcue.sources.live import NetworkStream, Source, open_source
from shopcue.sources.recorder import Recorder
from shopcue.sources.recordings import PLAYLIST, read_recording
from sources.servers import FPS, Nginx, free_port, kill, listening, needs, pushed, rtsp_server, running, write_numbered

RATE_HZ = 2.0
WATCH_S = 4.5


@dataclass
class Watched:
    """What a source brought. arrived_s: when, since the connection was asked for."""

    frames: list[Frame] = field(default_factory=list)
    sound: list[AudioChunk] = field(default_factory=list)
    arrived_s: list[float] = field(default_factory=list)
    closed_s: float = 0.0  # how long it took to end once it was closed
    problem: Exception | None = None

    @property
    def numbers(self) -> list[int]:
        return [picture_number(frame.image) for frame in self.frames]


def watch(source: Source, seconds: float, recorder: Recorder | None = None, enough: int = 1_000) -> Watched:
    """Read one connection for a while, then close it from another thread. enough: frames that end it before."""
    watched, began_s, closed = Watched(), time.monotonic(), [0.0]

    def close() -> None:
        closed[0] = time.monotonic()
        source.close()

    timer = threading.Timer(seconds, close)
    timer.start()
    try:
        for item in source.read(RATE_HZ, 320, sound=True, recorder=recorder):
            if isinstance(item, Frame):
                watched.frames.append(item)
                watched.arrived_s.append(time.monotonic() - began_s)
                if len(watched.frames) == enough:
                    source.close()
            else:
                watched.sound.append(item)
        watched.closed_s = time.monotonic() - closed[0] if closed[0] else 0.0
    except MediaError as error:
        watched.problem = error
    timer.cancel()
    return watched


def watch_all(folder: Path) -> dict[str, Watched]:
    """Watch one stream by every protocol, all at once."""
    video = write_numbered(folder / "live.mp4", 30)
    nginx = Nginx(folder / "nginx")
    needs("ffmpeg", "ffmpeg")
    udp, listen, srt = free_port(), free_port(), free_port()
    results: dict[str, Watched] = {}
    with ExitStack() as stack:
        addresses = {
            "rtmp": nginx.rtmp("one"),
            "hls": nginx.hls("one"),
            "udp": f"udp://127.0.0.1:{udp}",
            "srt": f"srt://127.0.0.1:{srt}",
            "rtsp": stack.enter_context(rtsp_server(video)),
            "listen": f"listen:rtmp://127.0.0.1:{listen}/app/key",
        }
        stack.enter_context(nginx.up())
        stack.enter_context(pushed(video, nginx.rtmp("one"), "flv"))
        stack.enter_context(pushed(video, f"udp://127.0.0.1:{udp}?pkt_size=1316", "mpegts"))
        stack.enter_context(pushed(video, f"srt://127.0.0.1:{srt}?mode=listener", "mpegts"))
        deadline_s = time.monotonic() + 15
        while not nginx.has_hls("one") and time.monotonic() < deadline_s:
            time.sleep(0.1)
        time.sleep(2.0)  # three segments are there

        def run(kind: str) -> None:
            results[kind] = watch(open_source(addresses[kind], private=True), WATCH_S)

        threads = [threading.Thread(target=run, args=(kind,)) for kind in addresses]
        for thread in threads:
            thread.start()
        stack.enter_context(pushed(video, f"rtmp://127.0.0.1:{listen}/app/key", "flv"))
        for thread in threads:
            thread.join()
    return results


def check_pictures(kind: str, watched: Watched) -> None:
    """The pictures say when they were made: the first at or after each tick of half a second."""
    times_s = [frame.time_s for frame in watched.frames]
    assert times_s[0] == 0
    assert len(times_s) >= 5
    ticks = [int(time_s * RATE_HZ + 1e-6) for time_s in times_s]
    assert ticks == list(range(ticks[0], ticks[0] + len(ticks)))
    numbers = [number - watched.numbers[0] for number in watched.numbers]
    # Milliseconds are all that FLV has; RTSP sets its clocks right when their first report comes.
    assert times_s == pytest.approx([number / FPS for number in numbers], abs=0.1 if kind == "rtsp" else 0.0011)
    if kind != "rtsp":
        assert numbers == [-(-tick * FPS // int(RATE_HZ)) for tick in ticks]


def check_delay(kind: str, watched: Watched) -> None:
    """Pictures come soon, and from then on in step with the clock on the wall; segments bring theirs by the second."""
    assert watched.arrived_s[0] < 5.0
    late_s = np.array(watched.arrived_s) - [frame.time_s for frame in watched.frames]
    assert late_s[-1] - late_s[0] < (1.5 if kind != "hls" else 2.5)
    assert watched.closed_s < 2.0


def check_sound(kind: str, watched: Watched) -> None:
    """Sound stands beside its pictures, without holes, and is what was sent."""
    chunks = watched.sound
    assert sum(len(chunk.samples) for chunk in chunks) > 1.5 * 16_000
    for chunk in chunks:
        assert chunk.rate_hz == 16_000
        assert 0 < len(chunk.samples) <= 8_000
        assert chunk.start_s >= 0
    for before, after in pairwise(chunks):
        assert before.end_s - 1e-6 <= after.start_s < before.end_s + 0.1
    middle = chunks[len(chunks) // 2].samples
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert spectrum.argmax() * 16_000 / len(middle) == pytest.approx(440, abs=5)
    # As far along as the pictures, give or take what is still on its way.
    assert chunks[-1].end_s == pytest.approx(watched.frames[-1].time_s, abs=1.2)


def test_every_protocol_brings_pictures_and_sound_at_their_times(tmp_path: Path) -> None:
    results = watch_all(tmp_path)
    assert sorted(results) == ["hls", "listen", "rtmp", "rtsp", "srt", "udp"]
    wrong: list[str] = []
    for kind, watched in results.items():
        for check in (check_pictures, check_delay, check_sound):
            try:
                assert watched.problem is None
                check(kind, watched)
            except AssertionError as error:  # one run of six streams, all of whose faults are wanted
                wrong.append(f"{kind}, {check.__name__}: {error}")
    assert not wrong, "\n".join(wrong)


def test_a_server_that_was_killed_is_found_again(tmp_path: Path) -> None:
    video = write_numbered(tmp_path / "live.mp4", 20)
    nginx = Nginx(tmp_path / "nginx")
    source = NetworkStream(nginx.rtmp("key?token=abc"), private=True)
    ended: list[object] = []
    with nginx.up() as process, pushed(video, nginx.rtmp("key"), "flv"):
        frames = source.read(RATE_HZ, 320)
        assert isinstance(next(frames), Frame)
        assert isinstance(next(frames), Frame)
        kill(process)
        killed_s = time.monotonic()
        problem = ""
        try:
            ended = list(frames)
        except MediaError as error:
            problem = str(error)
        assert "abc" not in problem
        assert time.monotonic() - killed_s < 3.0
        assert len(ended) < 10
    with pytest.raises(MediaError) as refused:
        list(source.read(RATE_HZ, 320))
    assert "abc" not in str(refused.value)
    with nginx.up(), pushed(video, nginx.rtmp("key"), "flv"):
        asked_s = time.monotonic()
        again = source.read(RATE_HZ, 320)
        first = next(again)
        assert isinstance(first, Frame)
        assert first.time_s == 0
        assert time.monotonic() - asked_s < 10.0
        again.close()
    assert source.reception.connections == 3


def test_a_publisher_who_comes_back_goes_on_where_the_clock_is(tmp_path: Path) -> None:
    video = write_numbered(tmp_path / "live.mp4", 12)
    nginx = Nginx(tmp_path / "nginx")
    source = NetworkStream(nginx.rtmp("key"), private=True)
    recorder = Recorder(tmp_path / "recording", segment_s=1.0)
    with nginx.up(), ExitStack() as publishers:
        first = publishers.enter_context(pushed(video, nginx.rtmp("key"), "flv"))
        watched: list[Watched] = []
        thread = threading.Thread(target=lambda: watched.append(watch(source, 8.0, recorder)))
        thread.start()
        time.sleep(2.5)
        kill(first)
        time.sleep(2.0)
        publishers.enter_context(pushed(video, nginx.rtmp("key"), "flv"))
        thread.join()
    recorder.close()
    result = watched[0]
    assert result.problem is None
    times_s = [frame.time_s for frame in result.frames]
    assert times_s == sorted(set(times_s))
    # The second publisher starts with picture 0 again.
    seam = next(n for n in range(1, len(result.frames)) if result.numbers[n] < result.numbers[n - 1])
    assert times_s[seam] - times_s[seam - 1] > 1.5
    # As far along as the clock on the wall: the silence counts, and counts once.
    late_s = [arrived_s - time_s for arrived_s, time_s in zip(result.arrived_s, times_s, strict=True)]
    assert late_s[-1] == pytest.approx(late_s[0], abs=1.5)
    after = [frame.time_s - times_s[seam] for frame in result.frames[seam:]]
    numbers = [(number - result.numbers[seam]) / FPS for number in result.numbers[seam:]]
    assert after == pytest.approx(numbers, abs=0.0011)
    assert source.reception.restarts == 1
    assert read_recording(tmp_path / "recording").spans()
    assert (tmp_path / "recording" / PLAYLIST).exists()


def test_a_publisher_without_the_key_is_shown_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shopcue.sources.live.door._KNOCK_S", 0.7)
    video = write_numbered(tmp_path / "live.mp4", 8)
    port = free_port()
    source = open_source(f"listen:rtmp://127.0.0.1:{port}/app/sesame", private=True)
    watched: list[Watched] = []
    thread = threading.Thread(target=lambda: watched.append(watch(source, 12.0, enough=3)))
    thread.start()
    deadline_s = time.monotonic() + 5
    while not listening(port):  # the first stranger: he says nothing, and leaves
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    with socket.create_connection(("127.0.0.1", port)) as silent, socket.create_connection(("127.0.0.1", port)) as rude:
        rude.sendall(bytes(range(256)) * 100)
        assert _is_hung_up(silent)
        assert _is_hung_up(rude)
    with pushed(video, f"rtmp://127.0.0.1:{port}/app/sesam", "flv") as wrong:
        wrong.wait(5.0)
    with pushed(video, f"rtmp://127.0.0.1:{port}/app/sesame", "flv"):
        thread.join()
    assert watched[0].problem is None
    assert watched[0].numbers[:3] == [0, 13, 25]


def test_ffmpeg_speaks_srt_where_nothing_else_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ffmpeg = needs("ffmpeg", "ffmpeg")
    video, port = write_numbered(tmp_path / "live.mp4", 8), free_port()
    monkeypatch.setattr(
        "shopcue.sources.live.transports.shutil.which", lambda program: ffmpeg if program == "ffmpeg" else None
    )
    with pushed(video, f"srt://127.0.0.1:{port}?mode=listener", "mpegts"):
        time.sleep(0.5)
        watched = watch(open_source(f"srt://127.0.0.1:{port}", private=True), 3.0)
    assert watched.problem is None
    times_s = [frame.time_s for frame in watched.frames]
    assert times_s == pytest.approx([(number - watched.numbers[0]) / FPS for number in watched.numbers], abs=1e-3)
    assert len(times_s) >= 2
    monkeypatch.setattr("shopcue.sources.live.transports.shutil.which", lambda program: None)
    with pytest.raises(MediaError, match="srt-tools"):
        list(open_source(f"srt://127.0.0.1:{port}", private=True).read(2.0, 320))


def test_the_program_that_speaks_srt_dies_with_its_reader(tmp_path: Path) -> None:
    needs("srt-live-transmit", "srt-tools")
    needs("setpriv", "util-linux")
    port = free_port()
    code = (
        "from shopcue.sources.live import open_source\n"
        f"list(open_source('srt://127.0.0.1:{port}?mode=listener', private=True).read(2.0, 320))"
    )
    with running([sys.executable, "-c", code], lambda: taken(port)) as reader:
        os.kill(reader.pid, signal.SIGKILL)
        reader.wait()
        deadline_s = time.monotonic() + 5
        while taken(port):
            assert time.monotonic() < deadline_s
            time.sleep(0.05)


def _is_hung_up(connection: socket.socket) -> bool:
    connection.settimeout(5.0)
    with suppress(ConnectionResetError):
        while connection.recv(4096):
            pass
    return True


def taken(port: int) -> bool:
    """Whether somebody listens to a port of UDP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
