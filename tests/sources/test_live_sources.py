"""Addresses of streams, which come from strangers, and pictures that come over a real connection."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from shopcue.errors import MediaError, UnsafeAddress
from shopcue.sources.files import read_frames
from shopcue.sources.live import NetworkStream, check_address, without_secrets
from shopcue.sources.synthetic import make_shop, make_stream


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
        "udp://239.0.0.1:1234",
        "",
    ],
)
def test_addresses_that_are_no_public_streams_are_refused(url: str) -> None:
    with pytest.raises(UnsafeAddress) as refused:
        check_address(url)
    assert "\n" not in str(refused.value)


def test_a_host_that_leads_inside_is_refused_whatever_it_is_called() -> None:
    with pytest.raises(UnsafeAddress, match="private"):
        check_address("rtmp://live.example.com/app/key", resolve=lambda host, port: ["93.184.216.34", "10.1.2.3"])
    check_address("rtmp://live.example.com/app/key", resolve=lambda host, port: ["93.184.216.34"])
    check_address("rtmp://127.0.0.1/app/key", private=True)


def test_what_is_shown_of_an_address_holds_no_key() -> None:
    shown = without_secrets("rtmp://user:secret@live.example.com:1935/app/streamkey?token=abc")
    assert shown == "rtmp://live.example.com:1935/app/…"
    with pytest.raises(UnsafeAddress) as refused:
        check_address("gopher://user:secret@host/app/key?token=abc")
    for secret in ("secret", "key", "token", "abc"):
        assert secret not in str(refused.value)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    video = make_stream(tmp_path, make_shop(tmp_path / "s", count=2, seed=1), duration_s=6.0, size=(320, 180), fps=10)
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    handler.log_message = lambda *args: None  # type: ignore[attr-defined]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", video.video
    server.shutdown()
    server.server_close()


def test_a_connection_brings_the_frames_of_its_ticks(served: tuple[str, Path]) -> None:
    address, video = served
    with pytest.raises(UnsafeAddress):
        NetworkStream(f"{address}/{video.name}")
    frames = list(NetworkStream(f"{address}/{video.name}", private=True).frames(2.0, 160))
    expected = list(read_frames(video, 2.0, 160))
    assert [frame.time_s for frame in frames] == pytest.approx([frame.time_s for frame in expected])
    assert all((a.image == b.image).all() for a, b in zip(frames, expected, strict=True))


def test_a_connection_that_fails_says_so_without_the_key(served: tuple[str, Path]) -> None:
    for path in ("/no-such-key", "/shop"):
        with pytest.raises(MediaError) as refused:
            list(NetworkStream(served[0] + path + "?token=abc", private=True).frames(2.0, 160))
        assert "abc" not in str(refused.value)
