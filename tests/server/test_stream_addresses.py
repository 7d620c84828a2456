"""Where live streams may come from: all that can be opened, and nothing of this machine unless it was allowed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from server.conftest import SHOP
from shopcue.database import videos
from shopcue.errors import MediaError, UnsafeAddress
from shopcue.server.addresses import check_stream
from shopcue.server.services import Services
from shopcue.sources.live import open_source

PUBLIC = (
    *("rtmp://x.example/live/key", "rtmps://x.example/live", "rtsp://ann:pw@x.example/cam", "rtsps://8.8.8.8:322/cam"),
    *("http://x.example/live.flv?token=1", "https://x.example/live.m3u8", "HTTPS://X.example/live.m3u8"),
    *(
        "srt://x.example:9000?streamid=a&passphrase=secretsecret",
        "rtmp://[2606:4700::1111]/live",
        "rtmp://例え.jp/live",
    ),
)
OF_THIS_MACHINE = (
    *("listen:rtmp://0.0.0.0:1935/live/key", "listen:srt://0.0.0.0:9000"),
    *("srt://0.0.0.0:9000?mode=listener", "udp://239.0.0.1:5000", "udp://:5000", "/dev/video0", "/dev/video12"),
)
PRIVATE = (
    *("rtmp://127.0.0.1/live", "rtsp://10.0.0.1/x", "http://localhost/x.m3u8", "http://a.localhost/", "rtmp://[::1]/x"),
    *("https://169.254.169.254/latest", "srt://192.168.1.4:9000", "http://[::ffff:10.0.0.1]/", "rtmp://0.0.0.0/live"),
)
NEVER = (
    *("/etc/passwd", "film.mp4", "../film.mp4", "file:///etc/passwd", "concat:a|b", "/dev/video0/../../etc/passwd"),
    *("/dev/video", "/dev/videox", "/dev/sda", "listen:http://0.0.0.0:80/x", "listen:/etc/passwd", "listen:udp://:1"),
    *(
        "srt://x.example",
        "srt://:9000?mode=listener",
        "udp://239.0.0.1",
        "rtmp://",
        "rtmp:///live",
        "http://x.example:99999/",
        "pipe:0",
        "-i",
    ),
    *("rtmp://x.example/a b", "rtmp://x.example/a\nb", "rtmp://x.example\\@10.0.0.1/", "ftp://x.example/y", "data:,x"),
)


@pytest.mark.parametrize("url", PUBLIC)
def test_what_is_public_is_taken(url: str) -> None:
    assert check_stream(url, allow_private=False) == url


@pytest.mark.parametrize("url", [*OF_THIS_MACHINE, *PRIVATE])
def test_what_is_of_this_machine_or_its_network_has_to_be_allowed(url: str) -> None:
    with pytest.raises(UnsafeAddress, match="--allow-private"):
        check_stream(url, allow_private=False)
    if url not in PRIVATE or url.startswith("srt"):
        assert check_stream(url, allow_private=True) == url


@pytest.mark.parametrize("url", NEVER)
def test_files_and_what_is_no_address_are_refused_whatever_is_allowed(url: str) -> None:
    for allowed in (False, True):
        with pytest.raises(UnsafeAddress):
            check_stream(url, allow_private=allowed)


@pytest.mark.parametrize("url", [*PUBLIC, *OF_THIS_MACHINE, *PRIVATE])
def test_what_is_taken_with_all_allowed_is_what_can_be_opened(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's own constructor agrees; a host that nobody knows here is no fault of the address."""
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("192.0.2.1", 0))])
    check_stream(url, allow_private=True)
    try:
        open_source(url, private=True).close()
    except MediaError:  # there is no such camera, or the port is taken
        assert url.startswith(("/dev/", "listen:"))


def test_a_refusal_tells_no_secret() -> None:
    for url in ("rtsp://ann:hunter2@10.0.0.1/cam/hunter2?key=hunter2", "listen:rtmp://0.0.0.0:1935/live/hunter2"):
        with pytest.raises(UnsafeAddress) as refusal:
            check_stream(url, allow_private=False)
        assert "hunter2" not in str(refusal.value)
    with pytest.raises(UnsafeAddress) as refusal:
        check_stream("rtsp://ann:hunter2@x.example:99999/cam", allow_private=False)
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("url", [OF_THIS_MACHINE[0], OF_THIS_MACHINE[-2], PRIVATE[0]])
def test_the_api_says_what_would_allow_it(seller: TestClient, url: str) -> None:
    answer = seller.post(f"/api/shops/{SHOP}/streams", json={"url": url})
    assert answer.status_code == 400
    assert "the server has to run with --allow-private" in answer.json()["error"]


@pytest.mark.parametrize("url", [*OF_THIS_MACHINE, PRIVATE[0]])
def test_a_server_that_may_takes_what_is_its_own(seller: TestClient, parts: Services, url: str) -> None:
    parts.settings = replace(parts.settings, allow_private=True)
    answer = seller.post(f"/api/shops/{SHOP}/streams", json={"url": url})
    assert answer.status_code == 201, answer.text
    assert url not in answer.text
    with parts.database.read() as session:
        assert videos.get_video(session, answer.json()["video_id"]).source == url


def test_but_no_file_of_its_own(seller: TestClient, parts: Services, tmp_path: Path) -> None:
    parts.settings = replace(parts.settings, allow_private=True)
    (tmp_path / "film.mp4").write_bytes(b"x")
    for url in (str(tmp_path / "film.mp4"), f"file://{tmp_path}/film.mp4", "film.mp4"):
        assert seller.post(f"/api/shops/{SHOP}/streams", json={"url": url}).status_code == 400
