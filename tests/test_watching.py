"""`shopcue live`: what it prints adds up to what `match` finds, and a run that was cut off is gone on with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from engine.sinks import applied
from shopcue.commands import match
from shopcue.errors import CommentError, OutputError, SettingsError, ShopcueError
from shopcue.exports import read_focuses
from shopcue.records import AudioChunk, Frame
from shopcue.sources.files import read_frames
from shopcue.sources.live import PacedFile
from shopcue.sources.live.reading import PacketSink
from shopcue.sources.recordings import read_recording
from shopcue.sources.synthetic import make_shop, make_stream
from shopcue.watching import EVENTS, RECORDING, Journal, live
from sources.servers import site, write_numbered


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("watched")
    feed = make_shop(folder / "shop", count=4, seed=3)
    return feed, make_stream(folder, feed, duration_s=16.0, size=(320, 180), fps=8, seed=3).video


def test_the_lines_add_up_to_what_match_finds(show: tuple[Path, Path], tmp_path: Path) -> None:
    feed, video = show
    command = [sys.executable, "-m", "shopcue", "live", str(video), "--catalog", str(feed), "--out", str(tmp_path)]
    done = subprocess.run(
        [*command, "--speech", "none", "--speed", "1000"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event_id"] for event in events] == list(range(1, len(events) + 1))
    assert (tmp_path / EVENTS).read_text(encoding="utf-8").splitlines() == done.stdout.splitlines()
    whole = match(video, feed, speech="none").focuses
    assert whole
    found = sorted(applied(events))
    assert [product_id for product_id, *_ in found] == sorted(f.product_id for f in whole)
    for ours, theirs in zip(found, sorted((f.product_id, f.start_s, f.end_s) for f in whole), strict=True):
        assert ours[1:] == pytest.approx(theirs[1:], abs=0.51)  # a live stream ends with its last frame
    written = read_focuses(tmp_path / "focuses.json").focuses
    assert [(f.product_id, f.start_s) for f in written] == [(f.product_id, f.start_s) for f in whole]


class Cut:
    """A stream that shows a file for ever, one connection after the other, as fast as it is looked at."""

    endless = True

    def __init__(self, video: Path, most: int) -> None:
        self._video, self._most = video, most
        self.done = threading.Event()

    def read(
        self, rate_hz: float, max_side_px: int, *, sound: bool = False, recorder: PacketSink | None = None
    ) -> Generator[Frame | AudioChunk, None, None]:
        for number, frame in enumerate(read_frames(self._video, rate_hz, max_side_px)):
            if number == self._most:
                break
            yield frame
            time.sleep(0.06)
        self.done.set()
        while not self.done.wait(1):
            pass

    def close(self) -> None:
        self.done.set()


def test_a_run_that_was_cut_off_is_gone_on_with(show: tuple[Path, Path], tmp_path: Path) -> None:
    feed, video = show
    whole = match(video, feed, speech="none").focuses
    # Cut in the middle of the first focus, and begin again with the same pictures: the same product is on screen.
    middle = int(whole[0].start_s + whole[0].end_s)
    lines: list[str] = []
    live(Cut(video, middle), feed, tmp_path, tell=lines.append, speech="none", stop=stop_after(6.0))
    told = [json.loads(line) for line in lines]
    opened = next(event for event in told if event["type"] == "focus.open")
    # What a kill leaves: the lines up to the first open focus, the last one cut in the middle.
    kept = lines[: opened["event_id"]]
    (tmp_path / EVENTS).write_text("\n".join([*kept, lines[0][:20]]), encoding="utf-8")
    again: list[str] = []
    live(Cut(video, 99), feed, tmp_path, tell=again.append, speech="none", stop=stop_after(6.0))
    events = [json.loads(line) for line in again]
    assert events[0]["event_id"] == opened["event_id"] + 1
    missed = [event["data"]["missed"] for event in events if "missed" in event["data"]]
    assert missed
    assert missed[0]["start_s"] == opened["media_s"]
    ids = [event["data"]["focus_id"] for event in events if event["type"] == "focus.open"]
    assert opened["data"]["focus_id"] not in ids
    applied([json.loads(line) for line in kept] + events)


def stop_after(seconds: float) -> threading.Event:
    event = threading.Event()
    threading.Timer(seconds, event.set).start()
    return event


@pytest.mark.parametrize(("out", "hours"), [(None, 1.0), ("out", 0.0), ("out", float("nan"))])
def test_hours_to_be_kept_want_a_folder(show: tuple[Path, Path], tmp_path: Path, out: str | None, hours: float) -> None:
    with pytest.raises(SettingsError, match="give --out"):
        live(str(show[1]), show[0], tmp_path / out if out else None, tell=print, keep_hours=hours)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / EVENTS).write_text("my diary\nday two\n", encoding="utf-8")
    with pytest.raises(OutputError, match="no file of events"):
        Journal(tmp_path, goes_on=True)
    assert (tmp_path / EVENTS).read_text(encoding="utf-8") == "my diary\nday two\n"


@pytest.mark.parametrize(
    ("url", "speech", "error"),
    [
        ("gopher://host/a", "none", ShopcueError),
        ("no-such-file.mp4", "none", ShopcueError),
        ("rtmp://", "none", ShopcueError),
        ("VIDEO", "words.vtt", SettingsError),
    ],
)
def test_bad_input_is_told_before_anything_is_written(
    show: tuple[Path, Path], tmp_path: Path, url: str, speech: str, error: type[Exception]
) -> None:
    feed, video = show
    out = tmp_path / "out"
    with pytest.raises(error) as refused:
        live(str(video) if url == "VIDEO" else url, feed, out, tell=print, speech=speech)
    assert "\n" not in str(refused.value)
    assert not out.exists()


def test_comments_come_through_a_pipe_while_the_stream_runs(show: tuple[Path, Path], tmp_path: Path) -> None:
    feed, video = show
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    notes: list[str] = []
    stop = threading.Event()

    def write() -> None:
        with pipe.open("w", encoding="utf-8") as out:
            out.write('{"user": "Mia", "text": "what is that?"}\nnot json\n{"text": 7}\n[1]\n')
        deadline_s = time.monotonic() + 60
        while not notes and time.monotonic() < deadline_s:
            time.sleep(0.05)
        stop.set()

    writer = threading.Thread(target=write)
    writer.start()
    live(PacedFile(video), feed, tell=lambda line: None, comments=pipe, speech="none", stop=stop, note=notes.append)
    writer.join()
    assert any("comment 2 is 'not json" in note for note in notes)
    with pytest.raises(CommentError, match="mkfifo"):
        live(PacedFile(video), feed, tell=print, comments=tmp_path / "none", speech="none")


def test_what_was_watched_can_be_kept(show: tuple[Path, Path], tmp_path: Path) -> None:
    ended = threading.Event()

    def tell(line: str) -> None:
        if json.loads(line)["data"].get("state") == "reconnecting":
            ended.set()

    with site() as web_site:
        web_site.pages["/live"] = write_numbered(tmp_path / "live.ts", 7).read_bytes()
        url, out = f"{web_site.address}/live", tmp_path / "out"
        live(url, show[0], out, tell=tell, speech="none", keep_hours=1.0, stop=ended)
    assert read_recording(out / RECORDING).spans()[0] == pytest.approx((0.0, 7.0), abs=0.01)
