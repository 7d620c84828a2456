"""Recordings: what was sent is there, at its time, and a full disk ends nothing but the recording."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, cast

import av
import pytest
from av.packet import Packet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clips import Image, Sound, picture_number
from shopcue.errors import MediaError, OutputError
from shopcue.records import Frame
from shopcue.sources import recordings
from shopcue.sources.live import NetworkStream
from shopcue.sources.recorder import Recorder
from shopcue.sources.recordings import PLAYLIST, read_recording
from sources.servers import FPS, Site, needs, site, write_numbered


@pytest.fixture(name="web_site")
def web_site_fixture() -> Iterator[Site]:
    with site() as it:
        yield it


def record(web_site: Site, video: Path, recorder: Recorder, shift_s: float | None = None) -> int:
    """Record one connection that brings all of `video`; returns how many frames were read beside."""
    web_site.pages["/live"] = video.read_bytes()
    count = 0
    for item in NetworkStream(f"{web_site.address}/live", private=True).read(2.0, 320, recorder=recorder):
        if isinstance(item, Frame):
            if shift_s is not None and not count:
                recorder.place(shift_s)
            count += 1
    return count


def numbers_in(path: Path) -> list[int]:
    """The numbers of all pictures of a segment, in the order in which they are shown."""
    with av.open(str(path)) as container:
        pictures = (cast(Image, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0))
        return [picture_number(picture) for picture in pictures]


@pytest.mark.parametrize("name", ["live.ts", "live.mkv", "live.flv"])
def test_what_was_sent_is_there_at_its_time(web_site: Site, tmp_path: Path, name: str) -> None:
    video = write_numbered(tmp_path / name, 9, sounds=[] if name == "live.mkv" else None)
    recorder = Recorder(tmp_path / "recording", segment_s=2.0)
    assert record(web_site, video, recorder, shift_s=100.0) == 18
    recorder.close()
    assert recorder.problem == ""
    recording = read_recording(tmp_path / "recording")
    assert [segment.duration_s for segment in recording.segments[:4]] == pytest.approx([2.0] * 4, abs=2e-3)
    shown = [numbers_in(tmp_path / "recording" / segment.name) for segment in recording.segments]
    assert [number for numbers in shown for number in numbers] == list(range(9 * FPS))
    for segment, numbers in zip(recording.segments, shown, strict=True):
        assert segment.start_s == pytest.approx(100 + numbers[0] / FPS, abs=2e-3)
    assert recording.spans() == [pytest.approx((100, 109), abs=0.01)]
    for time_s in (100.0, 101.99, 104.5, 108.5):
        found = recording.find(time_s)
        assert found is not None
        segment, offset_s = found
        number = numbers_in(tmp_path / "recording" / segment.name)[int(offset_s * FPS + 0.1)]
        assert number == int((time_s - 100) * FPS + 0.1)
    assert recording.find(99.9) is None
    assert recording.find(110.0) is None
    assert not list((tmp_path / "recording").glob("*.part"))


def test_sound_that_was_announced_and_comes_late_costs_no_pictures(web_site: Site, tmp_path: Path) -> None:
    video = write_numbered(tmp_path / "live.ts", 9, sounds=[Sound(6.0, 3.0)])
    web_site.pages["/live"] = video.read_bytes()
    recorder = Recorder(tmp_path / "recording", segment_s=2.0)
    for _ in NetworkStream(f"{web_site.address}/live", private=True).read(2.0, 320, sound=True, recorder=recorder):
        pass
    recorder.close()
    assert recorder.problem == ""
    files = [tmp_path / "recording" / segment.name for segment in read_recording(tmp_path / "recording").segments]
    assert [number for path in files for number in numbers_in(path)] == list(range(9 * FPS))
    with av.open(str(files[0])) as first, av.open(str(files[-1])) as last:
        assert (len(first.streams.audio), len(last.streams.audio)) == (0, 1)


def test_players_play_it_and_its_sound(web_site: Site, tmp_path: Path) -> None:
    ffprobe = needs("ffprobe", "ffmpeg")
    recorder = Recorder(tmp_path / "recording", segment_s=1.0)
    record(web_site, write_numbered(tmp_path / "a.flv", 4), recorder)
    record(web_site, write_numbered(tmp_path / "b.flv", 3), recorder)
    recorder.close()
    playlist = (tmp_path / "recording" / PLAYLIST).read_text()
    assert playlist.count("#EXT-X-DISCONTINUITY\n") == 1
    assert playlist.endswith("#EXT-X-ENDLIST\n")
    command = f"{ffprobe} -v warning -count_frames -show_entries stream=codec_type,nb_read_frames -of csv=p=0".split()
    command.append(str(tmp_path / "recording" / PLAYLIST))
    counted = subprocess.run(command, capture_output=True, text=True, check=True)
    assert counted.stderr == ""
    read = dict(line.split(",")[:2] for line in counted.stdout.split())
    assert int(read["video"]) == 7 * FPS
    assert int(read["audio"]) >= 7 * 15


def test_the_playlist_can_be_played_while_it_grows(web_site: Site, tmp_path: Path) -> None:
    """Our own reader of HLS follows the recording of another source, from the first segment to the end."""
    folder = tmp_path / "recording"
    recorder = Recorder(folder, segment_s=1.0)
    video = write_numbered(tmp_path / "live.ts", 5)
    web_site.pages["/live"] = video.read_bytes()
    items = NetworkStream(f"{web_site.address}/live", private=True).read(FPS, 320, recorder=recorder)
    numbers: list[int] = []
    for item in items:
        if isinstance(item, Frame) and (folder / PLAYLIST).exists():
            listed = read_recording(folder).segments
            assert all((folder / segment.name).exists() for segment in listed)
            assert [segment.number for segment in listed] == list(range(len(listed)))
            assert "ENDLIST" not in (folder / PLAYLIST).read_text()
            numbers.append(len(listed))
        time.sleep(0.01)
    recorder.close()
    assert numbers == sorted(numbers)
    assert len(set(numbers)) >= 3
    for file in folder.iterdir():
        web_site.pages[f"/{file.name}"] = file.read_bytes()
    frames = NetworkStream(f"{web_site.address}/{PLAYLIST}", private=True).read(FPS, 320)
    assert [picture_number(frame.image) for frame in frames if isinstance(frame, Frame)] == list(range(5 * FPS))


def test_a_gap_between_connections_is_a_gap_in_the_recording(web_site: Site, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "recording", segment_s=1.0)
    video = write_numbered(tmp_path / "live.ts", 3)
    record(web_site, video, recorder, shift_s=0.0)
    record(web_site, video, recorder, shift_s=60.0)
    recorder.close()
    recording = read_recording(tmp_path / "recording")
    assert recording.spans() == [pytest.approx((0, 3), abs=0.01), pytest.approx((60, 63), abs=0.01)]
    assert recording.find(30.0) is None
    # The date of a picture tells its time in the stream.
    dates = [
        datetime.fromisoformat(line.partition(":")[2])
        for line in (tmp_path / "recording" / PLAYLIST).read_text().splitlines()
        if line.startswith("#EXT-X-PROGRAM-DATE-TIME:")
    ]
    assert [(date - recording.origin).total_seconds() for date in dates] == pytest.approx(
        [0, 1, 2, 60, 61, 62], abs=2e-3
    )


def test_a_recorder_goes_on_with_what_an_earlier_one_left(web_site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "recording"
    video = write_numbered(tmp_path / "live.ts", 3)
    first = Recorder(folder, segment_s=1.0)
    record(web_site, video, first, shift_s=0.0)
    first.close()
    origin = read_recording(folder).origin
    (folder / "00000001.ts").unlink()  # somebody tidied up
    (folder / "00000099.ts").write_bytes(b"not listed")
    (folder / "00000003.ts.part").write_bytes(b"half")
    second = Recorder(folder, segment_s=1.0)
    record(web_site, video, second)  # nobody says where it stands: the clock on the wall does
    second.close()
    recording = read_recording(folder)
    assert recording.origin == origin
    assert [segment.number for segment in recording.segments] == [0, 2, 3, 4, 5]
    assert sorted(path.name for path in folder.iterdir()) == [
        "00000000.ts", "00000002.ts", "00000003.ts", "00000004.ts", "00000005.ts", PLAYLIST
    ]  # fmt: skip
    assert recording.segments[2].start_s >= 3.0 - 0.1
    assert [segment.follows for segment in recording.segments] == [False, False, False, True, True]


def test_what_is_old_or_too_much_is_deleted(web_site: Site, tmp_path: Path) -> None:
    video = write_numbered(tmp_path / "live.ts", 8)
    by_age = Recorder(tmp_path / "age", segment_s=1.0, keep_s=3.0)
    record(web_site, video, by_age, shift_s=0.0)
    record(web_site, video, by_age, shift_s=10.0)
    by_age.close()
    recording = read_recording(tmp_path / "age")
    assert [segment.number for segment in recording.segments] == [12, 13, 14, 15]
    assert len(list((tmp_path / "age").glob("*.ts"))) == 4
    playlist = (tmp_path / "age" / PLAYLIST).read_text()
    assert "#EXT-X-MEDIA-SEQUENCE:12\n" in playlist
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:1\n" in playlist
    by_size = Recorder(tmp_path / "size", segment_s=1.0, keep_bytes=60_000)
    record(web_site, video, by_size)
    by_size.close()
    sizes = [path.stat().st_size for path in (tmp_path / "size").glob("*.ts")]
    assert 2 <= len(sizes) < 8
    assert sum(sizes) <= 60_000


def test_a_full_disk_ends_nothing_but_the_recording(
    web_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "recording"
    recorder = Recorder(folder, segment_s=1.0)
    written = recordings.write_whole
    tries: list[str] = []

    def full(path: Path, content: bytes) -> None:
        tries.append(path.name)
        if path.name in ("00000002.ts", "00000003.ts", "00000004.ts"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written(path, content)

    monkeypatch.setattr(recordings, "write_whole", full)
    assert record(web_site, write_numbered(tmp_path / "live.ts", 8), recorder, shift_s=0.0) == 16
    recorder.close()
    assert {"00000002.ts", "00000003.ts", "00000004.ts"} <= set(tries)
    assert recorder.problem == ""  # it goes on
    notes = [note.getMessage() for note in caplog.records]
    assert [note for note in notes if "No space left" in note] == [
        "no recording: a segment cannot be written (No space left on device)"
    ]
    recording = read_recording(folder)
    assert [segment.number for segment in recording.segments] == [0, 1, 5, 6, 7]
    assert [segment.follows for segment in recording.segments] == [False, True, False, True, True]
    assert recording.spans() == [pytest.approx((0, 2), abs=0.01), pytest.approx((5, 8), abs=0.01)]


def test_what_others_need_of_the_disk_stays_free(web_site: Site, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "recording", segment_s=1.0, spare_bytes=1 << 62)
    record(web_site, write_numbered(tmp_path / "live.ts", 3), recorder)
    recorder.close()
    assert "No space left" in recorder.problem
    assert list((tmp_path / "recording").iterdir()) == []


def test_a_really_full_disk(web_site: Site, tmp_path: Path) -> None:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a small disk can be mounted by root alone")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)], capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        recorder = Recorder(disk / "recording", segment_s=2.0)
        assert record(web_site, write_numbered(tmp_path / "live.ts", 8, (640, 360)), recorder) == 16
        recorder.close()
        assert "No space left" in recorder.problem
        assert not list(disk.rglob("*.part"))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_folder_that_vanishes_ends_nothing(web_site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "recording"
    recorder = Recorder(folder, segment_s=1.0)
    shutil.rmtree(folder)
    assert record(web_site, write_numbered(tmp_path / "live.ts", 3), recorder) == 6
    recorder.close()
    assert "cannot be written" in recorder.problem


def test_pictures_that_cannot_be_recorded_are_said_so(web_site: Site, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "live.mkv"), "w") as container:
        stream = container.add_stream("libvpx", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for n in range(10):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts = n
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    recorder = Recorder(tmp_path / "recording")
    assert record(web_site, tmp_path / "live.mkv", recorder) >= 1
    recorder.close()
    assert "vp8" in recorder.problem
    with pytest.raises(MediaError, match="no recording"):
        read_recording(tmp_path / "recording")


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / PLAYLIST).write_text("#EXTM3U\n00000000.ts\n")
    with pytest.raises(OutputError, match="another folder"):
        Recorder(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="another folder"):
        Recorder(tmp_path / "file")
    with pytest.raises(OutputError, match="above 0"):
        Recorder(tmp_path / "new", segment_s=0)


@given(
    st.lists(st.tuples(st.floats(0, 20), st.floats(0.1, 10), st.booleans()), min_size=1, max_size=30),
    st.lists(st.floats(-5, 700), max_size=20),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_finding_is_a_plain_search(pieces: list[tuple[float, float, bool]], times_s: list[float]) -> None:
    segments, at_s = [], 0.0
    for number, (gap_s, duration_s, follows) in enumerate(pieces):
        at_s += 0.0 if follows and number else gap_s
        segments.append(recordings.Segment(number, at_s, duration_s, follows and number > 0))
        at_s += duration_s
    recording = recordings.Recording(datetime.now().astimezone(), tuple(segments))
    for time_s in times_s + [segment.start_s for segment in segments]:
        # Dates are rounded to microseconds: what is a hundredth of a millisecond early is meant to be in.
        holding = [segment for segment in segments if segment.start_s <= time_s + 1e-5 and time_s < segment.end_s]
        found = recording.find(time_s)
        assert (found is None) == (not holding)
        if found is not None:
            assert found == (holding[-1], max(0.0, time_s - holding[-1].start_s))
    spans = recording.spans()
    assert sum(end - start for start, end in spans) == pytest.approx(sum(segment.duration_s for segment in segments))


def test_stamps_for_decoding_are_made_where_none_come(tmp_path: Path) -> None:
    """RTSP says when pictures are shown, and not when they are to be decoded."""
    video = write_numbered(tmp_path / "live.ts", 4, b_frames=3, sounds=[])
    recorder = Recorder(tmp_path / "recording", segment_s=1.0)
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        recorder.begin(stream, None)
        zero = min(_shown(container))
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        recorder.begin(stream, None)
        for packet in container.demux(stream):
            if packet.size and packet.pts is not None:
                packet.dts = None
                recorder.update(packet, float((packet.pts - zero) * packet.time_base))
        recorder.end()
    recorder.close()
    assert recorder.problem == ""
    recording = read_recording(tmp_path / "recording")
    shown = [number for segment in recording.segments for number in numbers_in(tmp_path / "recording" / segment.name)]
    assert shown == list(range(4 * FPS))


def _shown(container: av.container.InputContainer) -> list[int]:
    packets: list[Packet[Any]] = list(container.demux(video=0))
    return [packet.pts for packet in packets if packet.pts is not None]


_PAGE = """<!doctype html><video muted></video><script type="module">
import Hls from "/hls.js";
const video = document.querySelector("video"), canvas = document.createElement("canvas");
window.failed = "";
const hls = new Hls({ enableWorker: false });
hls.on(Hls.Events.ERROR, (_, fault) => { if (fault.fatal) window.failed = fault.details; });
hls.loadSource("/live.m3u8");
hls.attachMedia(video);
window.ready = () => video.duration > 7.5 && video.readyState >= 2 && !video.seeking;
// The number of the picture that is shown at a place, and the date of that place.
window.look = (place) => new Promise((resolve) => {
  const shown = (_, frame) => {
    if (Math.abs(frame.mediaTime - place) > 0.3) { video.requestVideoFrameCallback(shown); return; }
    canvas.width = video.videoWidth; canvas.height = video.videoHeight;
    const pen = canvas.getContext("2d");
    pen.drawImage(video, 0, 0);
    let number = 0;
    for (let bit = 0; bit < 10; bit++) {
      const x = Math.floor((bit + 0.5) * canvas.width / 10);
      if (pen.getImageData(x, canvas.height / 2, 1, 1).data[0] > 127) number += 1 << bit;
    }
    // The date follows a little later.
    setTimeout(() => resolve([number, hls.playingDate.getTime() / 1000]), 400);
  };
  video.requestVideoFrameCallback(shown);
  video.currentTime = place;
});
</script>"""


def test_a_browser_goes_back_in_it_while_it_grows(web_site: Site, tmp_path: Path) -> None:
    """Each picture that hls.js shows has the date that its time in the stream says."""
    storefront = pytest.importorskip("server.browser.storefront")
    script = (Path(recordings.__file__).parents[1] / "server/static/vendor/hls.light.js").read_bytes()

    def javascript(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/javascript")
        handler.end_headers()
        handler.wfile.write(script)

    folder = tmp_path / "recording"
    recorder = Recorder(folder, segment_s=1.0)
    record(web_site, write_numbered(tmp_path / "a.flv", 4), recorder, shift_s=0.0)
    record(web_site, write_numbered(tmp_path / "b.flv", 4, first=250), recorder, shift_s=10.0)
    deadline_s = time.monotonic() + 5
    while len(read_recording(folder).segments) < 8:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    origin_s = read_recording(folder).origin.timestamp()
    for file in folder.iterdir():
        web_site.pages[f"/{file.name}"] = file.read_bytes()
    web_site.pages |= {"/hls.js": javascript, "/page": _PAGE.encode()}
    with storefront.open_chromium() as browser:
        page = browser.new_page()
        page.goto(f"{web_site.address}/page")
        page.wait_for_function("window.ready && window.ready() || window.failed")
        # Within the first segment after a seam hls.js itself is a picture or two off.
        for place in (0.5, 6.5, 2.5, 5.5):
            number, date_s = page.evaluate("(place) => window.look(place)", place)
            assert number / FPS == pytest.approx(place if place < 4 else place + 6, abs=0.2)
            assert date_s - origin_s == pytest.approx(number / FPS + 0.5 / FPS, abs=0.5 / FPS + 0.01)
        assert page.evaluate("window.failed") == ""
    recorder.close()
