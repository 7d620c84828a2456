"""Downloads and uploads on their way to a job."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("sqlalchemy", reason="needs the extra `server`")
pytest.importorskip("lancedb", reason="needs the extra `store`")

from shopcue.database import Database
from shopcue.errors import MediaError, OutputError
from shopcue.server.settings import ServerSettings, UploadLimits
from shopcue.server.work import arrivals
from shopcue.server.work.arrivals import download, ending, take_upload
from shopcue.server.work.place import Place


class Host:
    """A web server that answers 503 until it has been asked `stumbles` times."""

    def __init__(self, body: bytes) -> None:
        self.asked, self.stumbles = 0, 0
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.asked += 1
                well = host.asked > host.stumbles
                self.send_response(200 if well else 503)
                self.send_header("Content-Length", str(len(body) if well else 0))
                self.end_headers()
                self.wfile.write(body if well else b"")

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """Whoever asked has hung up."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/show.mp4"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


BODY = bytes(range(256)) * 2_000


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setattr(arrivals, "_PAUSE_S", 0.05)
    host = Host(BODY)
    yield host
    host.close()


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    limits = UploadLimits(most_bytes=(1 << 20, 1 << 18, 10, 10))
    return ServerSettings(tmp_path / "data", allow_private=True, uploads=limits)


@pytest.fixture
def place(settings: ServerSettings, database: Database) -> Place:
    return Place(settings, database)


def quiet(stage: str, done: float, total: float) -> None:
    pass


@pytest.mark.parametrize("stumbles", [0, 1, 2])
def test_a_host_that_stumbles_is_asked_again(place: Place, host: Host, tmp_path: Path, stumbles: int) -> None:
    host.stumbles = stumbles
    told: list[tuple[str, float, float]] = []
    download(host.url, tmp_path / "v" / "media.mp4", "video", place, lambda *step: told.append(step))
    assert (tmp_path / "v" / "media.mp4").read_bytes() == BODY
    assert [path.name for path in (tmp_path / "v").iterdir()] == ["media.mp4"]
    assert host.asked == stumbles + 1
    assert told[-1] == ("download", len(BODY), len(BODY))


def test_a_host_that_keeps_stumbling_is_given_up(place: Place, host: Host, tmp_path: Path) -> None:
    host.stumbles = 99
    with pytest.raises(MediaError, match="status 503"):
        download(host.url, tmp_path / "v" / "media.mp4", "video", place, quiet)
    assert host.asked == 3
    assert not list((tmp_path / "v").iterdir())


def test_what_is_too_large_for_its_kind_is_refused(place: Place, host: Host, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="512000 bytes, at most 262,144"):
        download(host.url, tmp_path / "v" / "feed.csv", "feed", place, quiet)
    assert host.asked == 1
    assert not list((tmp_path / "v").iterdir())


def test_the_disk_is_not_filled_to_the_brim(
    place: Place, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = place.settings.uploads.spare_bytes + len(BODY) // 2
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    with pytest.raises(OutputError, match="no room"):
        download(host.url, tmp_path / "v" / "media.mp4", "video", place, quiet)
    assert host.asked == 1
    assert not list((tmp_path / "v").iterdir())


@pytest.mark.parametrize("stumbles", [0, 99])
def test_whoever_cancels_a_download_leaves_nothing(place: Place, host: Host, tmp_path: Path, stumbles: int) -> None:
    class Enough(BaseException):
        pass

    def cancel(stage: str, done: float, total: float) -> None:
        raise Enough

    host.stumbles = stumbles
    with pytest.raises(Enough):
        download(host.url, tmp_path / "v" / "media.mp4", "video", place, cancel)
    assert host.asked == 1
    assert not list((tmp_path / "v").iterdir())


def test_an_upload_is_taken_once_and_missed_when_it_is_gone(place: Place, tmp_path: Path) -> None:
    place.settings.upload_file("abc").write_bytes(b"bytes")
    target = tmp_path / "v" / "media.mp4"
    take_upload("abc", target, place)
    assert target.read_bytes() == b"bytes"
    assert not place.settings.upload_file("abc").exists()
    take_upload("abc", target, place)  # as a second attempt does
    target.unlink()
    with pytest.raises(OutputError, match="upload it again"):
        take_upload("abc", target, place)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("feed.CSV", ".csv"),
        ("https://shop.example/feed.xml?key=a.zip", ".xml"),
        ("https://shop.example/", ".txt"),
        ("no ending", ".txt"),
        ("../../x.json/..", ".txt"),
        ("feed.j/../son", ".txt"),
        ("a.part", ".txt"),
        ("a.longerthanfive", ".txt"),
        ("a.c\u00df", ".txt"),
    ],
)
def test_only_plain_endings_are_kept(name: str, expected: str) -> None:
    assert ending(name, ".txt") == expected
