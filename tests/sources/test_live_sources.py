"""Live sources against servers that misbehave, each in its own way, and against files whose frames are known."""

from __future__ import annotations

import logging
import math
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from urllib3.connection import HTTPConnection

from clips import MakeVideo, Sound, numbered_picture, picture_number
from shopcue.catalog.web import Target
from shopcue.errors import MediaError, ShopcueError, UnsafeAddress
from shopcue.records import AudioChunk, Frame
from shopcue.sources.files import read_audio, read_frames
from shopcue.sources.live import (
    Camera,
    NetworkStream,
    PacedFile,
    check_address,
    open_source,
    transports,
    web,
    without_secrets,
)
from shopcue.sources.live.addresses import connect, take_apart
from shopcue.sources.live.reading import Reading
from shopcue.sources.live.relay import Relay
from shopcue.sources.live.scout import Scout
from shopcue.sources.live.web import prepared
from shopcue.sources.sound import SoundTrack
from sources.servers import FPS, Site, free_port, needs, site, speaker, write_numbered


@pytest.fixture(name="web_site")
def web_site_fixture() -> Iterator[Site]:
    with site() as it:
        yield it


@pytest.fixture(scope="module")
def two_seconds(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A transport stream with the pictures 0 to 49."""
    return write_numbered(tmp_path_factory.mktemp("clips") / "clip.ts", 2).read_bytes()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of five seconds: with pictures stored out of order, with many key frames, with few."""
    folder = tmp_path_factory.mktemp("files")
    kinds = {"bframes.ts": (3, 50), "dense.mp4": (0, 5), "open.mkv": (2, 12)}
    return {
        name: write_numbered(folder / name, 5, b_frames=b_frames, key_frames_every=keys, sounds=[])
        for name, (b_frames, keys) in kinds.items()
    }


def frames_of(url: str, rate_hz: float = 2.0, side_px: int = 320) -> list[Frame]:
    items = NetworkStream(url, private=True).read(rate_hz, side_px)
    return [item for item in items if isinstance(item, Frame)]


def drawn_s(frames: list[Frame]) -> list[float]:
    """When the pictures say that they were drawn."""
    return [picture_number(frame.image) / FPS for frame in frames]


def impatient(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let silence be noticed sooner than users would like."""
    for kind in (transports._Relayed, transports._Piped, transports.Listen):
        monkeypatch.setattr(kind, "silence_s", seconds)
    monkeypatch.setattr(transports, "SILENCE_S", seconds)


# ---- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "/etc/passwd",
        "concat:a|b",
        "ftp://example.com/a",
        "rtmp:///live",
        "http://[::1",
        "rtmp://127.0.0.1/live/key",
        "https://[::1]/a.m3u8",
        "rtsp://10.0.0.7/cam",
        "http://169.254.169.254/latest",
        "http://[64:ff9b::7f00:1]/",
        "udp://239.0.0.1:1234",
        "udp://:1234",
        "srt://93.184.216.34?mode=caller",
        "srt://93.184.216.34:9000?mode=listener",
        "listen:rtmp://0.0.0.0:1935/app/key",
        "listen:http://0.0.0.0:80/",
        "rtmp://host\\@127.0.0.1/a",
        "rtmp://host/a b",
        "",
    ],
)
def test_addresses_that_are_no_public_streams_are_refused(url: str) -> None:
    with pytest.raises(UnsafeAddress) as refused:
        check_address(url)
    assert "\n" not in str(refused.value)
    with pytest.raises(UnsafeAddress):
        open_source(url)


def test_a_host_that_leads_inside_is_refused_whatever_it_is_called() -> None:
    with pytest.raises(UnsafeAddress, match="private"):
        check_address("rtmp://live.example.com/app/key", resolve=lambda host, port: ["93.184.216.34", "10.1.2.3"])
    check_address("rtmp://live.example.com/app/key", resolve=lambda host, port: ["93.184.216.34"])
    check_address("rtmp://127.0.0.1/app/key", private=True)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtmp://user:secret@live.example.com:1935/app/streamkey?token=abc", "rtmp://live.example.com:1935/app/…"),
        ("listen:rtmp://0.0.0.0:1935/app/streamkey", "listen:rtmp://0.0.0.0:1935/app/…"),
        ("srt://host:9000?passphrase=secret&streamid=key", "srt://host:9000"),
        ("gopher://user:secret@host/app/streamkey?token=abc", "gopher://host/app/…"),
    ],
)
def test_what_is_shown_of_an_address_holds_no_key(url: str, shown: str) -> None:
    assert without_secrets(url) == shown
    with pytest.raises(ShopcueError) as refused:
        open_source(url)
    for secret in ("secret", "key", "token", "abc"):
        assert secret not in str(refused.value)


def test_a_source_is_chosen_by_its_address(tmp_path: Path) -> None:
    assert isinstance(open_source(str(tmp_path / "a.mp4"), private=True), PacedFile)
    assert isinstance(open_source("/dev/video0", private=True), Camera)
    for url in (
        "rtmp://127.0.0.1/a/b",
        "RTSP://127.0.0.1/a",
        "srt://127.0.0.1:9",
        "udp://@239.0.0.1:9",
        "http://[::1]/",
    ):
        assert isinstance(open_source(url, private=True), NetworkStream)
    with pytest.raises(UnsafeAddress, match="key"):
        open_source("listen:rtmp://0.0.0.0:1935/app", private=True)


# ---- the frames of a file, come over a connection --------------------------------------------------------------------


@pytest.mark.parametrize("rate_hz", [0.7, 2.0, 3.3, 12.5, 25.0])
@pytest.mark.parametrize("name", ["bframes.ts", "dense.mp4", "open.mkv"])
def test_a_connection_brings_the_frames_of_a_file(
    web_site: Site, files: dict[str, Path], name: str, rate_hz: float
) -> None:
    web_site.pages["/live"] = files[name].read_bytes()
    frames, expected = frames_of(f"{web_site.address}/live", rate_hz), list(read_frames(files[name], rate_hz, 320))
    # A connection counts from its first picture, and so does a file without sound.
    assert [frame.time_s for frame in frames] == pytest.approx([frame.time_s for frame in expected], abs=1e-6)
    assert [picture_number(frame.image) for frame in frames] == [picture_number(frame.image) for frame in expected]
    assert all((a.image == b.image).all() for a, b in zip(frames, expected, strict=True))


def test_pictures_that_are_not_asked_for_are_hardly_decoded(web_site: Site, tmp_path: Path) -> None:
    video = write_numbered(tmp_path / "live.ts", 10, b_frames=0, sounds=[])
    web_site.pages["/live"] = video.read_bytes()
    decoded = {}
    for rate_hz in (1.0, 25.0):
        counts: list[int] = []

        class Counting(Reading):
            def close(self) -> None:
                counts.append(self.sampler.pictures)  # noqa: B023 - read in the same turn of the loop
                super().close()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("shopcue.sources.live.connection.Reading", Counting)
            frames_of(f"{web_site.address}/live", rate_hz)
        decoded[rate_hz] = counts[0]
    assert decoded[25.0] == 250
    assert decoded[1.0] < 60  # with a key frame each second, the pictures between are needless


def splice(*parts: Path) -> bytes:
    return b"".join(part.read_bytes() for part in parts)


@pytest.mark.parametrize("second_s", [0.0, 5_000.0, 95_440.0])
def test_time_goes_on_where_time_stamps_start_again(web_site: Site, tmp_path: Path, second_s: float) -> None:
    first = write_numbered(tmp_path / "a.ts", 3, start_s=1_000.0)
    second = write_numbered(tmp_path / "b.ts", 4, first=75, start_s=second_s)  # the last one wraps around in its course
    web_site.pages["/live"] = splice(first, second)
    source = NetworkStream(f"{web_site.address}/live", private=True)
    items = list(source.read(2.0, 320, sound=True))
    frames = [item for item in items if isinstance(item, Frame)]
    numbers = [picture_number(frame.image) for frame in frames]
    assert numbers[0] == 0
    assert numbers[-1] >= 160
    # The seam is where pictures and sound of the first part have ended: the sound ends a little later.
    assert [frame.time_s for frame in frames] == pytest.approx([number / FPS for number in numbers], abs=0.12)
    assert source.reception.restarts == 1
    sound = [item for item in items if isinstance(item, AudioChunk)]
    assert sound[-1].end_s == pytest.approx(7.0, abs=0.3)


def test_pictures_may_change_their_size(web_site: Site, tmp_path: Path) -> None:
    small = write_numbered(tmp_path / "a.ts", 2, (320, 180), start_s=100.0, sounds=[])
    large = write_numbered(tmp_path / "b.ts", 2, (640, 360), first=50, start_s=102.0, sounds=[])
    web_site.pages["/live"] = splice(small, large)
    frames = frames_of(f"{web_site.address}/live")
    assert {(frame.image.shape[1], frame.scale) for frame in frames if frame.time_s < 1.9} == {(320, 1.0)}
    assert {(frame.image.shape[1], frame.scale) for frame in frames if frame.time_s > 2.1} == {(320, 2.0)}
    assert [frame.time_s for frame in frames] == pytest.approx(drawn_s(frames), abs=1e-3)


def test_sound_may_come_late_and_go_early(web_site: Site, tmp_path: Path) -> None:
    video = write_numbered(tmp_path / "live.ts", 9, sounds=[Sound(2.0, 1.3), Sound(6.0, 1.0)])
    web_site.pages["/live"] = video.read_bytes()
    source = NetworkStream(f"{web_site.address}/live", private=True)
    items = list(source.read(2.0, 320, sound=True))
    sound = [item for item in items if isinstance(item, AudioChunk)]
    loud = [chunk.start_s + np.flatnonzero(np.abs(chunk.samples) > 0.2) / 16_000 for chunk in sound]
    times_s = np.concatenate([times for times in loud if len(times)])
    assert times_s[0] == pytest.approx(2.0, abs=0.1)
    assert times_s[-1] == pytest.approx(7.0, abs=0.15)
    assert not np.any((times_s > 3.5) & (times_s < 5.9))
    # What was held of the first tone did not wait for the second.
    late = next(n for n, item in enumerate(items) if isinstance(item, Frame) and item.time_s > 5.4)
    assert any(isinstance(item, AudioChunk) and len(item.samples) < 8_000 for item in items[:late])
    assert all(len(chunk.samples) <= 8_000 for chunk in sound)


def test_damage_is_stepped_over_and_counted(web_site: Site, tmp_path: Path) -> None:
    video = write_numbered(tmp_path / "live.ts", 8, b_frames=0, sounds=[])
    content = bytearray(video.read_bytes())
    noise = np.random.default_rng(0)
    for at in range(len(content) // 3, len(content) // 2, 188):
        content[at + 20 : at + 120] = noise.integers(0, 256, 100, dtype=np.uint8).tobytes()
    web_site.pages["/live"] = bytes(content)
    source = NetworkStream(f"{web_site.address}/live", private=True)
    frames = [item for item in source.read(2.0, 320) if isinstance(item, Frame)]
    assert source.reception.damaged > 0
    whole = [frame for frame in frames if frame.time_s < 2.4 or frame.time_s > 5.0]
    assert len(whole) >= 10
    assert [frame.time_s for frame in whole] == pytest.approx(drawn_s(whole), abs=1e-3)


@pytest.mark.parametrize("picture", ["black", "frozen"])
def test_pictures_that_show_nothing_new_are_pictures(web_site: Site, make_video: MakeVideo, picture: str) -> None:
    shown = {"black": lambda n: np.zeros((90, 160, 3), np.uint8), "frozen": lambda n: numbered_picture(7, 160, 90)}
    video = make_video("live.ts", [n / FPS for n in range(4 * FPS)], picture=shown[picture])
    web_site.pages["/live"] = video.read_bytes()
    assert [frame.time_s for frame in frames_of(f"{web_site.address}/live")] == pytest.approx(
        [0, 0.52, 1, 1.52, 2, 2.52, 3, 3.52], abs=1e-3
    )


def test_a_stall_of_three_seconds_loses_nothing(web_site: Site, tmp_path: Path) -> None:
    video = write_numbered(tmp_path / "live.ts", 6, sounds=[])
    content = video.read_bytes()

    def stall(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(content[: len(content) // 2])
        handler.wfile.flush()
        time.sleep(3.0)
        handler.wfile.write(content[len(content) // 2 :])

    web_site.pages["/live"] = stall
    frames = frames_of(f"{web_site.address}/live")
    assert [picture_number(frame.image) for frame in frames] == [0, 13, 25, 38, 50, 63, 75, 88, 100, 113, 125, 138]


def drip(content: bytes, seconds: float) -> Callable[[BaseHTTPRequestHandler], None]:
    """Answer with a stream that comes evenly over so many seconds."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        steps = round(seconds * 20)
        for n in range(steps):
            handler.wfile.write(content[len(content) * n // steps : len(content) * (n + 1) // steps])
            time.sleep(0.05)

    return answer


def test_sound_that_begins_later_is_looked_for(web_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scout.__init__, "__defaults__", ((0.5, 0.5, 0.5),))
    silent = write_numbered(tmp_path / "silent.ts", 8, sounds=[])
    web_site.pages["/live"] = drip(silent.read_bytes(), 8)
    source = NetworkStream(f"{web_site.address}/live", private=True)
    items = source.read(2.0, 320, sound=True)
    assert isinstance(next(items), Frame)
    time.sleep(1.0)  # it has looked once, and found none
    web_site.pages["/live"] = write_numbered(tmp_path / "loud.ts", 3).read_bytes()
    began_s = time.monotonic()
    assert all(isinstance(item, Frame) for item in items)
    assert time.monotonic() - began_s < 4  # it ended before the stream did
    assert any(isinstance(item, AudioChunk) for item in source.read(2.0, 320, sound=True))


def test_a_reader_that_comes_too_late_goes_on_at_a_key_frame(
    web_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shopcue.sources.live.connection._LATE_S", 1.0)
    video = write_numbered(tmp_path / "live.ts", 6, b_frames=0, sounds=[])
    web_site.pages["/live"] = drip(video.read_bytes(), 5)
    source = NetworkStream(f"{web_site.address}/live", private=True)
    frames: list[Frame] = []
    for item in source.read(5.0, 320):
        assert isinstance(item, Frame)
        frames.append(item)
        if len(frames) == 5:
            time.sleep(2.5)
    assert source.reception.skipped > 0
    assert 10 < len(frames) < 28
    assert [frame.time_s for frame in frames] == pytest.approx(drawn_s(frames), abs=1e-3)


# ---- secured connections ---------------------------------------------------------------------------------------------


def _certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate of `localhost` that nobody vouches for, and its key."""
    needs("openssl", "openssl")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout {key} -out {certificate}"
    subprocess.run([*command.split(), "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    return key, certificate


@pytest.mark.parametrize("trusted", [True, False])
def test_a_secured_stream_must_prove_who_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool) -> None:
    key, certificate = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    heard: list[bytes] = []

    def shout(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            while chunk := secured.recv(1 << 16):
                heard.append(chunk)
                secured.sendall(chunk.upper())

    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with speaker(shout) as port:
        address = take_apart(f"rtmps://localhost:{port}/live/key")
        relay = Relay(lambda: connect(address, private=True, timeout_s=5))
        with socket.create_connection(("127.0.0.1", relay.port), timeout=5) as near:
            message = bytes(range(97, 123)) * 10_000
            sender = threading.Thread(target=near.sendall, args=(message,))
            sender.start()
            answer = b""
            with suppress(OSError):
                while len(answer) < len(message) and (chunk := near.recv(1 << 16)):
                    answer += chunk
            if not trusted:
                near.close()
            with suppress(OSError):
                sender.join()
        relay.cut()
    if trusted:
        assert answer == message.upper()
    else:
        assert (answer, heard) == (b"", [])
        assert "does not answer" in str(relay.problem)


# ---- silence, and the end --------------------------------------------------------------------------------------------


def _say_nothing(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def _send_padding(connection: socket.socket) -> None:
    """Send a transport stream that consists of nothing but padding."""
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall((b"\x47\x1f\xff\x10" + b"\xff" * 184) * 7)
        time.sleep(0.01)


@pytest.mark.parametrize("scheme", ["rtmp", "rtsp", "http"])
def test_silence_is_noticed(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    impatient(monkeypatch, 1.0)
    with speaker(_say_nothing) as port:
        began_s = time.monotonic()
        with pytest.raises(MediaError, match="no picture for") as silent:
            frames_of(f"{scheme}://user:secret@127.0.0.1:{port}/live/streamkey", 5.0)
        assert time.monotonic() - began_s < 4
        assert "secret" not in str(silent.value)
        assert "streamkey" not in str(silent.value)


def test_packets_without_a_picture_are_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    impatient(monkeypatch, 1.0)
    with speaker(_send_padding) as port, pytest.raises(MediaError):
        frames_of(f"http://127.0.0.1:{port}/live", 5.0)


def test_pictures_that_stop_while_sound_goes_on_are_silence(
    monkeypatch: pytest.MonkeyPatch, web_site: Site, tmp_path: Path
) -> None:
    impatient(monkeypatch, 1.5)
    video = write_numbered(tmp_path / "live.ts", 1, sounds=[Sound(0, 12)])
    web_site.pages["/live"] = drip(video.read_bytes(), 8)
    with pytest.raises(MediaError, match=r"no picture for [12] s"):
        frames_of(f"{web_site.address}/live", 5.0)


def _never_ends(handler: BaseHTTPRequestHandler) -> None:
    """A playlist that is never continued."""
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:9,\nsegment.ts\n")


@pytest.mark.parametrize("kind", ["rtmp", "rtsp", "http", "hls", "udp", "srt", "listen"])
def test_a_source_is_closed_from_another_thread(web_site: Site, tmp_path: Path, kind: str) -> None:
    web_site.pages["/live.m3u8"] = _never_ends
    web_site.pages["/segment.ts"] = write_numbered(tmp_path / "segment.ts", 2).read_bytes()
    with speaker(_say_nothing) as port:
        urls = {
            "hls": f"{web_site.address}/live.m3u8",
            "udp": f"udp://127.0.0.1:{free_port()}",
            "srt": f"srt://127.0.0.1:{free_port()}",
            "listen": f"listen:rtmp://127.0.0.1:{free_port()}/app/key",
        }
        source = open_source(urls.get(kind, f"{kind}://127.0.0.1:{port}/live/key"), private=True)
        ended: list[float] = []

        def read() -> None:
            try:
                list(source.read(2.0, 320))
            except MediaError:
                assert kind == "srt"  # nobody answers there, or no program can ask
            ended.append(time.monotonic())

        thread = threading.Thread(target=read)
        thread.start()
        time.sleep(0.6)
        closed_s = time.monotonic()
        source.close()
        thread.join(10)
    assert ended
    assert ended[0] - closed_s < 2.0
    assert list(source.read(2.0, 320)) == []  # closed for good


def test_whoever_leaves_early_leaves_nothing_behind(web_site: Site, tmp_path: Path) -> None:
    web_site.pages["/live"] = write_numbered(tmp_path / "live.ts", 6).read_bytes()
    frames = NetworkStream(f"{web_site.address}/live", private=True).read(2.0, 320)
    assert isinstance(next(frames), Frame)
    frames.close()
    deadline_s = time.monotonic() + 5
    while any(thread.name == "shopcue-packets" for thread in threading.enumerate()):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


@pytest.mark.parametrize("path", ["/no-such-key", "/page"])
def test_a_connection_that_fails_says_so_without_the_key(
    web_site: Site, path: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    web_site.pages["/page"] = b"<html>not a video</html>" * 100
    caplog.set_level(logging.DEBUG)
    url = web_site.address.replace("://", "://user:secret@") + path + "?token=abc"
    with pytest.raises(MediaError) as refused:
        frames_of(url)
    told = str(refused.value) + caplog.text + "".join(capfd.readouterr())
    assert "abc" not in told
    assert "secret" not in told


def test_a_dead_rtmp_server_is_told_without_the_key(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MediaError) as refused:
        frames_of(f"rtmp://user:secret@127.0.0.1:{free_port()}/live/streamkey?token=abc")
    told = str(refused.value) + "".join(capfd.readouterr())
    for secret in ("secret", "streamkey", "abc"):
        assert secret not in told


# ---- playlists of strangers ------------------------------------------------------------------------------------------

PUBLIC = "93.184.216.34"


@pytest.fixture
def public_site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A web server that is public, as far as Shopcue can tell: http://stream.example."""
    with site() as it:

        def resolve(host: str, port: int) -> list[str]:
            return [PUBLIC] if host.endswith("stream.example") else [host.strip("[]")]

        def connect(target: Target, address: str, timeout_s: float) -> HTTPConnection:
            assert address == PUBLIC, f"a connection to {address} was made"
            return HTTPConnection("127.0.0.1", it.port, timeout=timeout_s)

        monkeypatch.setattr(web, "resolve_host", resolve)
        monkeypatch.setattr(web, "connection_to", connect)
        monkeypatch.setattr("shopcue.sources.live.addresses.resolve_host", resolve)
        monkeypatch.setattr(
            "shopcue.sources.live.resolved",
            lambda address, private: None,
        )
        yield it


def _redirect(place: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", place)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def media_playlist(*segments: str, head: str = "", end: bool = True) -> bytes:
    body = "".join(f"#EXTINF:2.0,\n{segment}\n" for segment in segments)
    start = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n"
    return (start + head + body + ("#EXT-X-ENDLIST\n" if end else "")).encode()


def test_a_public_playlist_is_played(public_site: Site, tmp_path: Path) -> None:
    public_site.pages["/live.m3u8"] = media_playlist("a.ts")
    public_site.pages["/a.ts"] = write_numbered(tmp_path / "a.ts", 2).read_bytes()
    frames = [f for f in NetworkStream("http://stream.example/live.m3u8").read(2.0, 320) if isinstance(f, Frame)]
    assert [picture_number(frame.image) for frame in frames] == [0, 13, 25, 38]


@pytest.mark.parametrize("where", ["segment", "variant", "key", "sound", "map", "redirect", "redirected segment"])
@pytest.mark.parametrize("inside", ["file", "loopback", "mapped", "data", "gopher"])
def test_a_hostile_playlist_reaches_nothing_inside(
    public_site: Site, two_seconds: bytes, where: str, inside: str
) -> None:
    with site() as secret:
        secret.pages["/a.ts"] = two_seconds
        places = {
            "file": "file:///etc/passwd",
            "loopback": f"{secret.address}/a.ts",
            "mapped": f"http://[::ffff:127.0.0.1]:{secret.port}/a.ts",
            "data": "data:text/plain,secret",
            "gopher": f"gopher://127.0.0.1:{secret.port}/a.ts",
        }
        place = places[inside]
        pages = public_site.pages
        pages["/ok.ts"] = two_seconds
        playlists: dict[str, bytes | Callable[[BaseHTTPRequestHandler], None]] = {
            "segment": media_playlist(place),
            "variant": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{place}\n".encode(),
            "key": media_playlist("ok.ts", head=f'#EXT-X-KEY:METHOD=AES-128,URI="{place}"\n'),
            "sound": (
                f'#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",DEFAULT=YES,URI="{place}"\n'
                '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\nok.m3u8\n'
            ).encode(),
            "map": media_playlist("ok.ts", head=f'#EXT-X-MAP:URI="{place}"\n'),
            "redirect": _redirect(place),
            "redirected segment": media_playlist("moved.ts"),
        }
        pages["/live.m3u8"] = playlists[where]
        pages["/ok.m3u8"] = media_playlist("ok.ts")
        pages["/moved.ts"] = _redirect(place)
        with pytest.raises(ShopcueError) as refused:
            list(NetworkStream("http://stream.example/live.m3u8").read(2.0, 320, sound=True))
        assert secret.asked == []
        assert "\n" not in str(refused.value)


def test_the_playlist_itself_is_checked_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([["93.184.216.34"], ["127.0.0.1"], ["127.0.0.1"]])
    monkeypatch.setattr("shopcue.sources.live.resolved", lambda address, private: next(answers))
    monkeypatch.setattr(web, "resolve_host", lambda host, port: next(answers))
    source = NetworkStream("http://rebinding.example/live.m3u8")
    with pytest.raises(UnsafeAddress, match="private"):
        list(source.read(2.0, 320))


@pytest.mark.parametrize("scheme", ["rtmp", "rtsp", "srt"])
def test_a_name_that_changes_its_mind_is_noticed(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    answers = iter([["93.184.216.34"]])
    monkeypatch.setattr("shopcue.sources.live.resolved", lambda address, private: next(answers))
    with speaker(_say_nothing) as port:
        source = NetworkStream(f"{scheme}://localhost:{port}/live/key")
        with pytest.raises(UnsafeAddress, match="private"):
            list(source.read(2.0, 320))


def _redirect_rtsp(place: str) -> Callable[[socket.socket], None]:
    def say(connection: socket.socket) -> None:
        while request := connection.recv(4096).decode():
            number = next(line for line in request.splitlines() if line.startswith("CSeq"))
            for byte in f"RTSP/1.0 302 Moved\r\n{number}\r\nLocation: {place}\r\n\r\n".encode():
                connection.sendall(bytes([byte]))

    return say


def test_rtsp_follows_nobody(tmp_path: Path) -> None:
    asked: list[bytes] = []
    with (
        speaker(lambda connection: asked.append(connection.recv(4096))) as inside,
        speaker(_redirect_rtsp(f"rtsp://127.0.0.1:{inside}/live")) as port,
    ):
        with pytest.raises(MediaError, match="redirects"):
            frames_of(f"rtsp://127.0.0.1:{port}/live")
        time.sleep(0.3)
    assert asked == []


# ---- playlists that mean well ----------------------------------------------------------------------------------------


def write_hls(folder: Path, seconds: float, **options: str) -> None:
    """Write a stream as segments of a second, with their playlist."""
    folder.mkdir(exist_ok=True)
    source = write_numbered(folder / "source.mp4", seconds)
    settings = {"hls_time": "1", "hls_list_size": "0", "hls_segment_filename": str(folder / "s%d.ts"), **options}
    with av.open(str(source)) as given, av.open(str(folder / "live.m3u8"), "w", format="hls", options=settings) as out:
        streams = {stream.index: out.add_stream_from_template(stream, opaque=True) for stream in given.streams}
        for packet in given.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                out.mux(packet)


def serve_folder(web_site: Site, folder: Path, at: str = "") -> None:
    for file in folder.iterdir():
        web_site.pages[f"{at}/{file.name}"] = file.read_bytes()


HLS_KINDS: dict[str, dict[str, str]] = {
    "plain": {},
    "one file": {"hls_flags": "single_file", "hls_segment_filename": "all.ts"},
    "fragmented mp4": {"hls_segment_type": "fmp4", "hls_segment_filename": "s%d.m4s"},
    "encrypted": {"hls_key_info_file": "key.info"},
}


@pytest.mark.parametrize("kind", HLS_KINDS)
def test_every_kind_of_playlist_is_played(web_site: Site, tmp_path: Path, kind: str) -> None:
    if kind == "encrypted":
        pytest.importorskip("cryptography")
    folder = tmp_path / "hls"
    folder.mkdir()
    (folder / "key").write_bytes(bytes(range(16)))
    (folder / "key.info").write_text(f"key\n{folder / 'key'}\n")
    names = ("hls_segment_filename", "hls_key_info_file")
    options = {k: str(folder / v) if k in names else v for k, v in HLS_KINDS[kind].items()}
    write_hls(folder, 5, **options)
    serve_folder(web_site, folder)
    items = list(NetworkStream(f"{web_site.address}/live.m3u8", private=True).read(2.0, 320, sound=True))
    frames = [item for item in items if isinstance(item, Frame)]
    assert [picture_number(frame.image) for frame in frames] == [0, 13, 25, 38, 50, 63, 75, 88, 100, 113]
    assert [frame.time_s for frame in frames] == pytest.approx(drawn_s(frames), abs=1e-3)
    assert sum(len(item.samples) for item in items if isinstance(item, AudioChunk)) > 4.5 * 16_000


def test_a_playlist_may_have_seams_and_lose_segments(web_site: Site, tmp_path: Path) -> None:
    write_numbered(tmp_path / "a.ts", 2, start_s=500.0)
    write_numbered(tmp_path / "b.ts", 2, first=50)
    serve_folder(web_site, tmp_path)
    playlist = media_playlist("a.ts", "gone.ts", "b.ts").replace(b"b.ts", b"b.ts")
    web_site.pages["/live.m3u8"] = playlist.replace(b"#EXTINF:2.0,\nb.ts", b"#EXT-X-DISCONTINUITY\n#EXTINF:2.0,\nb.ts")
    frames = frames_of(f"{web_site.address}/live.m3u8")
    numbers = [picture_number(frame.image) for frame in frames]
    assert numbers[0] == 0
    assert numbers[-1] >= 85
    assert [frame.time_s for frame in frames] == pytest.approx([number / FPS for number in numbers], abs=0.15)


def test_only_the_variant_that_serves_is_read(web_site: Site, tmp_path: Path) -> None:
    for name, size in (("small", (160, 90)), ("middle", (640, 360)), ("large", (1280, 720))):
        write_hls(tmp_path / name, 2)
        serve_folder(web_site, tmp_path / name, f"/{name}")
        del size
    web_site.pages["/live.m3u8"] = (
        b"#EXTM3U\n"
        b"#EXT-X-STREAM-INF:BANDWIDTH=900000,RESOLUTION=1280x720\nlarge/live.m3u8\n"
        b"#EXT-X-STREAM-INF:BANDWIDTH=300000,RESOLUTION=640x360\nmiddle/live.m3u8\n"
        b"#EXT-X-STREAM-INF:BANDWIDTH=100000,RESOLUTION=160x90\nsmall/live.m3u8\n"
    )
    assert len(frames_of(f"{web_site.address}/live.m3u8", side_px=320)) == 4
    assert {path.split("/")[1] for path, _ in web_site.asked} == {"live.m3u8", "middle"}


def test_a_playlist_that_moved_is_played_from_where_it_is(web_site: Site, tmp_path: Path) -> None:
    write_hls(tmp_path / "hls", 2)
    serve_folder(web_site, tmp_path / "hls", "/far/away")
    web_site.pages["/live.m3u8"] = _redirect("/far/away/live.m3u8?session=1")
    assert len(frames_of(f"{web_site.address}/live.m3u8")) == 4


def test_a_login_goes_to_its_own_place_alone(web_site: Site, tmp_path: Path) -> None:
    with site() as other:
        content = write_numbered(tmp_path / "a.ts", 2).read_bytes()
        web_site.pages["/a.ts"] = other.pages["/b.ts"] = content
        web_site.pages["/live.m3u8"] = media_playlist("a.ts", f"{other.address}/b.ts")
        frames_of(web_site.address.replace("://", "://user:p%40ss@") + "/live.m3u8")
        assert {login for _, login in web_site.asked} == {"Basic dXNlcjpwQHNz"}
        assert [login for _, login in other.asked] == [""]


def test_a_playlist_cannot_make_us_a_nuisance(web_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of segments of nothing are asked for one by one, not as fast as we can."""
    monkeypatch.setattr(web, "_RATE_HZ", 10.0)
    monkeypatch.setattr(web, "_BURST", 5)
    web_site.pages |= {f"/{n}.ts": b"nothing" for n in range(5_000)}
    web_site.pages["/live.m3u8"] = media_playlist(*(f"{n}.ts" for n in range(5_000)))
    source = NetworkStream(f"{web_site.address}/live.m3u8", private=True)
    threading.Timer(2.0, source.close).start()
    list(source.read(2.0, 320))
    assert 10 <= len(web_site.asked) <= 5 + 10 * 2.5


def test_variants_are_chosen_by_their_size() -> None:
    def master(*sizes: str) -> str:
        return "#EXTM3U\n" + "".join(
            f"#EXT-X-STREAM-INF:BANDWIDTH={n}{f',RESOLUTION={size}' if size else ''}\n{size or 'none'}.m3u8\n"
            for n, size in enumerate(sizes)
        )

    def chosen(side_px: int, *sizes: str) -> str:
        return prepared(master(*sizes), "http://h/x/live.m3u8", side_px).splitlines()[-1]

    assert chosen(640, "320x180", "1920x1080", "640x360") == "http://h/x/640x360.m3u8"
    assert chosen(640, "320x180", "480x270") == "http://h/x/480x270.m3u8"
    assert chosen(640, "360x640", "") == "http://h/x/360x640.m3u8"
    assert chosen(640, "", "") == "http://h/x/none.m3u8"


# ---- sound and its clock ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("drift", [-3e-4, 3e-4])
def test_sound_stays_with_its_time_stamps_for_an_hour(drift: float) -> None:
    """A sound card that counts 0.03 % fast or slow is a second off after an hour, if samples are counted."""
    track, count, worst_s = SoundTrack(16_000, 8_000), 8_000, 0.0
    ramp = np.zeros((1, count), np.float32)
    for n in range(3_600 * 16_000 // count):
        frame = av.AudioFrame.from_ndarray(ramp, format="fltp", layout="mono")
        frame.sample_rate = 16_000
        at_s = n * count / 16_000 * (1 + drift)
        for chunk in track.update(frame, at_s):
            worst_s = max(worst_s, abs(chunk.end_s - (at_s + count / 16_000)) - 0.5)
    assert worst_s < 0.1


# ---- a file in its own time, and a camera ----------------------------------------------------------------------------


def test_a_file_in_its_own_time_brings_what_it_holds(tmp_path: Path) -> None:
    video = write_numbered(tmp_path / "live.mp4", 3)
    began_s = time.monotonic()
    came = [(time.monotonic() - began_s, item) for item in PacedFile(video, speed=2.0).read(2.0, 320, sound=True)]
    frames = [item for _, item in came if isinstance(item, Frame)]
    expected = list(read_frames(video, 2.0, 320))
    assert [frame.time_s for frame in frames] == [frame.time_s for frame in expected]
    assert all((a.image == b.image).all() for a, b in zip(frames, expected, strict=True))
    chunks = [item for _, item in came if isinstance(item, AudioChunk)]
    sound = np.concatenate([chunk.samples for chunk in read_audio(video)])
    assert np.array_equal(np.concatenate([chunk.samples for chunk in chunks]), sound)
    for came_s, item in came:
        due_s = (item.time_s if isinstance(item, Frame) else item.end_s) / 2.0
        assert due_s - 0.01 <= came_s < due_s + 1.0
    order = [item.time_s if isinstance(item, Frame) else item.end_s for _, item in came]
    assert order == sorted(order)


def test_a_file_may_outrun_the_clock_and_be_closed(tmp_path: Path) -> None:
    video = write_numbered(tmp_path / "live.mp4", 20, sounds=[])
    began_s = time.monotonic()
    assert len(list(PacedFile(video, speed=math.inf).read(2.0, 160))) == 40
    assert time.monotonic() - began_s < 10
    slow = PacedFile(video, speed=0.01)
    threading.Timer(0.3, slow.close).start()
    began_s = time.monotonic()
    assert len(list(slow.read(2.0, 160))) == 1
    assert time.monotonic() - began_s < 2
    with pytest.raises(MediaError, match="speed"):
        PacedFile(video, speed=0)


class FakeCamera:
    """Gives 50 pictures a second, `count` of them."""

    def __init__(self, count: int, there: bool = True) -> None:
        self.released = False
        self._count, self._there, self._number = count, there, -1

    def isOpened(self) -> bool:
        return self._there

    def grab(self) -> bool:
        time.sleep(0.02)
        self._number += 1
        return self._number < self._count

    def retrieve(self) -> tuple[bool, NDArray[np.uint8]]:
        picture = numbered_picture(self._number % 1024, 640, 480)
        picture[..., 0] = 0  # of blue, green and red
        return True, picture

    def release(self) -> None:
        self.released = True


def test_a_camera_gives_a_picture_for_each_tick() -> None:
    capture = FakeCamera(75)
    frames: list[Frame] = []
    items = Camera("/dev/video0", lambda device: capture).read(10.0, 320)
    with pytest.raises(MediaError, match="no picture"):
        frames.extend(cast(Frame, item) for item in items)  # kept up to the failure
    assert capture.released
    times_s = [frame.time_s for frame in frames]
    assert times_s[0] == 0
    assert len({math.floor(time_s * 10) for time_s in times_s}) == len(times_s) >= 8
    assert frames[0].image.shape == (240, 320, 3)
    assert frames[0].scale == 2
    assert frames[1].image[..., 2].max() == 0  # red, green, blue


def test_a_camera_that_is_not_there_says_so() -> None:
    with pytest.raises(MediaError, match="cannot be opened"):
        list(Camera("/dev/video9", lambda device: FakeCamera(0, there=False)).read(2.0, 320))
    with pytest.raises(MediaError, match="cannot be opened"):
        list(open_source("/dev/video9", private=True).read(2.0, 320))


def test_ticks_need_a_rate() -> None:
    for rate_hz, side_px in ((0.0, 320), (math.inf, 320), (2.0, 0)):
        with pytest.raises(MediaError, match="expected"):
            list(NetworkStream("rtmp://127.0.0.1/a/b", private=True).read(rate_hz, side_px))
