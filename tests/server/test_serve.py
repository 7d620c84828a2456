"""`shopcue serve` as a process: it starts, says its token once, and stops when it is told to."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx2 as httpx
import pytest

from server.catalogue import stock
from server.conftest import SHOP
from shopcue.cli import main
from shopcue.records import Product
from shopcue.server.services import open_services
from shopcue.server.settings import ServerSettings

START_S = 60.0


@dataclass(frozen=True)
class Running:
    """A server process. lines: what it said so far."""

    process: subprocess.Popen[str]
    url: str
    lines: list[str]

    @property
    def token(self) -> str:
        return self.lines[0].rpartition(" ")[2]


@contextmanager
def running(data: Path, *options: str) -> Iterator[Running]:
    """Run a server without workers until the block ends."""
    command = [sys.executable, "-m", "shopcue", "serve", "--data", str(data), "--port", "0", "--workers", "0", *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    ) as process:
        try:
            assert process.stdout is not None
            lines: list[str] = []
            while not (lines and lines[-1].startswith("shopcue listens at ")):
                line = process.stdout.readline()
                assert line, f"the server ended with {process.wait()}"
                lines.append(line.strip())
            yield Running(process, lines[-1].rpartition(" ")[2], lines)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("serve") / "data") as found:
        yield found


@pytest.fixture
def client(server: Running) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {server.token}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=START_S) as client:
        yield client


def test_the_first_start_says_a_token_that_works(server: Running, client: httpx.Client) -> None:
    assert len(server.lines) == 2
    assert client.get("/api/session").json() == {"name": "admin", "role": "admin", "shops": []}
    assert client.get("/healthz").json()["status"] == "ok"
    assert client.get("/metrics", headers={"Authorization": ""}).status_code == 200  # from this machine


def test_no_second_server_runs_on_a_folder(
    server: Running, client: httpx.Client, capfd: pytest.CaptureFixture[str]
) -> None:
    data = str(ServerSettings(Path(str(server.process.args[5]))).data)  # type: ignore[index]
    assert main(["serve", "--data", data, "--port", "0"]) == 2
    assert "another server runs" in capfd.readouterr().err
    assert client.get("/healthz").status_code == 200


def test_a_taken_port_is_one_line(server: Running, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    port = server.url.rpartition(":")[2]
    assert main(["serve", "--data", str(tmp_path / "data"), "--port", port]) == 2
    said = capfd.readouterr()
    assert said.err.startswith("error: cannot listen at 127.0.0.1 port")
    assert said.err.count("\n") == 1
    assert said.out == ""  # no token for a server that does not run


@pytest.mark.parametrize("wrong", [["--database", "mysql://x/y"], ["--host", "no such host"]])
def test_what_cannot_be_used_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str], wrong: list[str]) -> None:
    assert main(["serve", "--data", str(tmp_path / "data"), "--port", "0", *wrong]) == 2
    said = capfd.readouterr()
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1


def test_an_id_comes_through_as_it_was_written(server: Running, client: httpx.Client) -> None:
    """Percent signs, slashes and dots in ids: a real server decodes an address once."""
    product_id = "100%25/é?#&;=+..\\%2F"
    parts = open_services(ServerSettings(Path(str(server.process.args[5]))))  # type: ignore[index]
    client.put(f"/api/shops/{SHOP}", json={"title": "x"})
    stock(parts, SHOP, [Product(product_id, "Odd", ("a.jpg",))])
    parts.database.close()
    answer = client.get(f"/api/shops/{SHOP}/products/{quote(product_id, safe='')}")
    assert answer.json()["product_id"] == product_id
    assert client.get(answer.json()["picture"]).headers["content-type"] == "image/jpeg"


def test_a_hostile_request_line_is_refused_politely(server: Running) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    for line in (b"GET / HTTP/9.9\r\n\r\n", b"\x00\xff\r\n\r\n", b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n"):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(line)
            connection.settimeout(10)
            with suppress(ConnectionError):
                answer = connection.recv(100)
                # One reader of requests refuses a version that there is not, another answers in one that there is.
                assert answer == b"" or answer.startswith((b"HTTP/1.1 3", b"HTTP/1.1 4")), answer
    assert httpx.get(f"{server.url}/healthz").status_code == 200


def stop_while_followed(server: Running, token: str, number: signal.Signals) -> None:
    """Send a signal while a connection follows the events of a shop: both end soon and in order."""
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=START_S) as client:
        client.put(f"/api/shops/{SHOP}", json={"title": "x"})
        with client.stream("GET", f"/api/shops/{SHOP}/events") as events:
            assert events.headers["content-type"].startswith("text/event-stream")
            started = time.monotonic()
            server.process.send_signal(number)
            for _ in events.iter_raw():
                pass
            assert server.process.wait(timeout=START_S) == 0
            assert time.monotonic() - started < 20


def test_it_stops_when_told_to_and_says_each_token_once(tmp_path: Path) -> None:
    with running(tmp_path / "data") as first:
        lost = first.token
        stop_while_followed(first, lost, signal.SIGTERM)
    with running(tmp_path / "data") as again:
        assert len(again.lines) == 1
        stop_while_followed(again, lost, signal.SIGINT)
    with running(tmp_path / "data", "--new-admin-token") as anew:
        assert anew.token != lost
        for token in (lost, anew.token):
            headers = {"Authorization": f"Bearer {token}"}
            assert httpx.get(f"{anew.url}/api/session", headers=headers, timeout=START_S).status_code == 200
    for file in (tmp_path / "data").rglob("*"):
        if file.is_file():
            assert lost.encode() not in file.read_bytes(), f"{file} holds the text of a token"
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0
