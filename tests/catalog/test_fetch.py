"""Remote pictures against real servers on this machine, some of them hostile."""

import errno
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopcue.catalog.cache import DownloadCache
from shopcue.catalog.fetch import HttpFetcher
from shopcue.catalog.web import Address, is_public, is_public_web
from shopcue.errors import MediaError, OutputError, ShopcueError, UnsafeAddress

Serve = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """A web server on the loopback; `asked` holds the path and headers of each request."""

    def __init__(self, serve: Serve, context: ssl.SSLContext | None = None) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                serve(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """A client that hangs up is what these tests are about."""

        self._http = Quiet(("127.0.0.1", 0), Handler)
        if context is not None:
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.port = int(self._http.server_address[1])
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def url(self, path: str = "/a.jpg", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"


@contextmanager
def serving(serve: Serve, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(serve, context)
    try:
        yield server
    finally:
        server.close()


def answer(handler: BaseHTTPRequestHandler, body: bytes = b"picture", status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content_Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def allowing(*servers: Server) -> Callable[[Address, int], bool]:
    """The safe rule, with an exception for exactly these servers."""
    ports = {server.port for server in servers}
    return lambda address, port: is_public_web(address, port) or (str(address) == "127.0.0.1" and port in ports)


# ---- which addresses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.0.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "100.127.255.255", "192.0.0.1", "192.0.0.9", "192.0.2.1", "198.18.0.1",
        "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "192.88.99.1",
        "::", "::1", "fe80::1", "fc00::1", "fd12:3456::1", "fec0::1", "ff02::1", "2001:db8::1", "2001::1", "100::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::ffff:0:127.0.0.1",
        "2002:7f00:1::", "2002:a00:1::1", "2002:a9fe:a9fe::", "64:ff9b::127.0.0.1", "64:ff9b::a00:1",
        "64:ff9b:1::8.8.8.8", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "3fff::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "192.167.1.1", "151.101.1.69", "2606:4700::1111",
     "2a00:1450:4001::200e", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::"],
)  # fmt: skip
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@given(st.ip_addresses(network="10.0.0.0/8") | st.ip_addresses(network="127.0.0.0/8"))
def test_no_dressing_makes_a_private_address_public(address: Address) -> None:
    packed = address.packed
    for dressed in (
        bytes(10) + b"\xff\xff" + packed,
        bytes.fromhex("0064ff9b") + bytes(8) + packed,
        bytes.fromhex("2002") + packed + bytes(10),
        bytes(12) + packed,
    ):
        assert not is_public(ip_address(dressed))


def test_only_the_ports_of_the_web() -> None:
    public = ip_address("8.8.8.8")
    assert is_public_web(public, 80)
    assert is_public_web(public, 443)
    assert not any(is_public_web(public, port) for port in (0, 22, 25, 6379, 8080, 9200))


LOOPBACK_SPELLINGS = [
    "http://127.0.0.1/", "http://localhost/", "http://LOCALHOST./", "http://127.1/", "http://2130706433/",
    "http://0x7f000001/", "http://0x7f.1/", "http://0177.0.0.1/", "http://0/", "http://[::1]/",
    "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://①②⑦.⓪.⓪.①/", "http://127。0。0。1/",
    "https://127.0.0.1/", "HTTP://127.0.0.1:80/", "http://127.0.0.1:443/", " http://127.0.0.1/",
]  # fmt: skip


@pytest.mark.parametrize("url", LOOPBACK_SPELLINGS)
def test_every_spelling_of_the_loopback_is_refused(url: str) -> None:
    with pytest.raises(ShopcueError) as caught:
        HttpFetcher().fetch(url)
    # A resolver may not know some of the spellings; what it knows, it turns into the loopback.
    assert isinstance(caught.value, UnsafeAddress) or "is not known" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "http://localhost/", "http://[::1]/", "http://[::ffff:127.0.0.1]/"]
)
def test_plain_spellings_of_the_loopback_are_unsafe(url: str) -> None:
    with pytest.raises(UnsafeAddress, match="not of the public web"):
        HttpFetcher().fetch(url)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://shop.example/a.jpg", "file:///etc/passwd", "gopher://shop.example/", "//shop.example/a.jpg", "a.jpg", "",
        "http:///a.jpg", "http://", "http://user@shop.example/", "http://user:sesame@shop.example/a.jpg",
        "http://shop.example@127.0.0.1/", "http://shop.example:80:80/", "http://shop.example:x/", "http://shop.example:99999/",
        "http://shop.example\\@127.0.0.1/", "http://shop.example/a\r\nHost: evil", "http://shop.example/\x00",
        "http://[::1", "http://[::1%25lo]/", "http://shop_.example/ ".strip() + "\n", "http://-..-/", "http://a b/",
        "http://" + "a" * 300 + "/", "http://shop.example/" + "a" * 5_000,
    ],
)  # fmt: skip
def test_addresses_that_no_picture_has(url: str) -> None:
    def resolve(host: str, port: int) -> list[str]:
        raise AssertionError(f"{host} was looked up")

    with pytest.raises(UnsafeAddress) as caught:
        HttpFetcher(resolve=resolve).fetch(url)
    assert "sesame" not in str(caught.value)


def test_a_port_that_is_not_of_the_web_is_refused() -> None:
    with pytest.raises(UnsafeAddress, match="port 6379"):
        HttpFetcher(resolve=lambda host, port: ["8.8.8.8"]).fetch("http://shop.example:6379/")


@pytest.mark.parametrize("url", ["http://a.example/\ud800", "http://a.example/?q=\udfff", "http://\ud800.example/"])
def test_half_characters_are_refused(url: str) -> None:
    """JSON can say the half of a surrogate pair, which UTF-8 cannot."""
    with pytest.raises(UnsafeAddress):
        HttpFetcher(resolve=lambda host, port: ["8.8.8.8"]).fetch(url)


# ---- names -------------------------------------------------------------------------------------------------------


def test_a_name_that_leads_to_the_loopback_is_refused() -> None:
    with serving(answer) as server:
        fetcher = HttpFetcher(resolve=lambda host, port: ["127.0.0.1"])
        with pytest.raises(UnsafeAddress, match=r"leads to 127\.0\.0\.1"):
            fetcher.fetch(f"http://pictures.example:{server.port}/a.jpg")
        assert server.asked == []


@pytest.mark.parametrize(
    "found", [["8.8.8.8", "10.0.0.1"], ["10.0.0.1", "8.8.8.8"], ["2606:4700::1111", "::1"], ["fe80::1%lo"]]
)
def test_one_private_address_among_public_ones_is_enough(found: list[str]) -> None:
    with pytest.raises(UnsafeAddress):
        HttpFetcher(resolve=lambda host, port: found).fetch("https://pictures.example/a.jpg")


def test_a_name_is_looked_up_once_and_the_checked_address_is_used() -> None:
    """A name that changes its mind after the check, as in DNS rebinding."""
    with serving(answer) as good, serving(answer) as bad:
        lookups: list[str] = []

        def resolve(host: str, port: int) -> list[str]:
            lookups.append(host)
            return ["127.0.0.1"] if len(lookups) == 1 else ["127.0.0.2"]

        fetcher = HttpFetcher(resolve=resolve, permit=allowing(good))
        assert fetcher.fetch(good.url("/a b.jpg?q=ü&x=%20", host="pictures.example")) == b"picture"
        assert lookups == ["pictures.example"]
        path, headers = good.asked[0]
        assert path == "/a%20b.jpg?q=%C3%BC&x=%20"
        assert headers["host"] == f"pictures.example:{good.port}"
        assert headers["accept-encoding"] == "identity"
        assert "cookie" not in headers
        assert bad.asked == []


def test_names_of_other_scripts_are_looked_up_in_ascii() -> None:
    lookups: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        lookups.append(host)
        raise OSError("no such name")

    with pytest.raises(MediaError, match="not known"):
        HttpFetcher(resolve=resolve).fetch("https://bücher.example/a.jpg")
    assert lookups == ["xn--bcher-kva.example"]


def test_proxies_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(answer) as server, serving(answer) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"):
            monkeypatch.setenv(name, proxy.url(""))
        assert HttpFetcher(permit=allowing(server)).fetch(server.url()) == b"picture"
        assert proxy.asked == []


# ---- redirects ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_the_loopback_is_refused(status: int) -> None:
    with serving(answer) as inner:

        def redirect(handler: BaseHTTPRequestHandler) -> None:
            answer(handler, b"", status, Location=inner.url("/secret"))

        with serving(redirect) as outer:
            with pytest.raises(UnsafeAddress, match="not of the public web"):
                HttpFetcher(permit=allowing(outer)).fetch(outer.url())
            assert len(outer.asked) == 1
            assert inner.asked == []


@pytest.mark.parametrize(
    "place", ["file:///etc/passwd", "http://169.254.169.254/latest/meta-data/", "ftp://x/", "http://u:p@x/"]
)
def test_redirects_out_of_the_web_are_refused(place: str) -> None:
    with serving(lambda handler: answer(handler, b"", 302, Location=place)) as server, pytest.raises(UnsafeAddress):
        HttpFetcher(permit=allowing(server)).fetch(server.url())


def test_three_redirects_are_followed_and_a_fourth_is_not() -> None:
    def count_down(handler: BaseHTTPRequestHandler) -> None:
        left = int(handler.path.strip("/"))
        answer(handler) if left == 0 else answer(handler, b"", 302, Location=f"{left - 1}")

    with serving(count_down) as server:
        fetcher = HttpFetcher(permit=allowing(server))
        assert fetcher.fetch(server.url("/3")) == b"picture"
        with pytest.raises(MediaError, match="more than 3 times"):
            fetcher.fetch(server.url("/4"))
        assert len(server.asked) == 8


# ---- size and time -----------------------------------------------------------------------------------------------


def test_a_large_body_is_refused_by_its_length_and_while_it_streams() -> None:
    sent = [0]

    def flood(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        if handler.path == "/told":
            handler.send_header("Content-Length", "999999999999")
        handler.end_headers()
        if handler.path != "/told":
            for _ in range(1_000):
                handler.wfile.write(bytes(1 << 16))
                sent[0] += 1 << 16

    with serving(flood) as server:
        fetcher = HttpFetcher(permit=allowing(server), max_bytes=1 << 20)
        with pytest.raises(MediaError, match="999999999999 bytes"):
            fetcher.fetch(server.url("/told"))
        with pytest.raises(MediaError, match="more than 1,048,576 bytes"):
            fetcher.fetch(server.url("/untold"))
    assert sent[0] < 50 << 20


def test_compressed_answers_are_refused() -> None:
    gzipped: Serve = lambda handler: answer(handler, Content_Encoding="gzip")  # noqa: E731
    with serving(gzipped) as server, pytest.raises(MediaError, match="compressed"):
        HttpFetcher(permit=allowing(server)).fetch(server.url())


def test_a_silent_server_is_left_in_time() -> None:
    done = threading.Event()

    def wait(handler: BaseHTTPRequestHandler) -> None:
        done.wait(10)

    with serving(wait) as server:
        start_s = time.monotonic()
        with pytest.raises(MediaError):
            HttpFetcher(permit=allowing(server), timeout_s=0.2).fetch(server.url())
        assert time.monotonic() - start_s < 3
        done.set()


@pytest.mark.parametrize("where", ["status", "headers", "told body", "untold body", "chunks"])
def test_a_server_that_drips_is_left_in_time(where: str) -> None:
    """Every byte comes long before the time-out of one read, but there is an end to all of them."""
    stop = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        start = {
            "status": b"HTTP/1.1 200 O",
            "headers": b"HTTP/1.1 200 OK\r\nX: ",
            "told body": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
            "untold body": b"HTTP/1.1 200 OK\r\n\r\n",
            "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        }[where]
        handler.wfile.write(start)
        while not stop.wait(0.05):
            handler.wfile.write(b"1\r\nx\r\n" if where == "chunks" else b"x")

    with serving(drip) as server:
        start_s = time.monotonic()
        with pytest.raises(MediaError, match=r"longer than 0\.5 s"):
            HttpFetcher(permit=allowing(server), timeout_s=5, total_s=0.5).fetch(server.url())
        assert time.monotonic() - start_s < 3
        stop.set()


@pytest.mark.parametrize(
    "reply",
    [
        b"", b"garbage\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://[\r\n\r\n", b"HTTP/1.1 302 Found\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 206 Partial Content\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
    ],
)  # fmt: skip
def test_answers_that_are_no_picture_are_errors_of_one_line(reply: bytes) -> None:
    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(reply)

    with serving(send) as server:
        with pytest.raises(MediaError) as caught:
            HttpFetcher(permit=allowing(server), timeout_s=1).fetch(server.url())
        assert "\n" not in str(caught.value)


def test_a_host_that_stays_silent_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """A feed of ten thousand pictures on a host that is gone must not take ten thousand time-outs."""
    lookups: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        lookups.append(host)
        raise OSError("no such name")

    fetcher = HttpFetcher(resolve=resolve)
    for i in range(20):
        with pytest.raises(MediaError, match="not known" if i < 5 else "silent 5 times in a row"):
            fetcher.fetch(f"https://gone.example/{i}.jpg")
    assert lookups == ["gone.example"] * 5
    with pytest.raises(MediaError, match="not known"):
        fetcher.fetch("https://other.example/a.jpg")
    monkeypatch.setattr("shopcue.catalog.fetch._PAUSE_S", -1.0)
    patient = HttpFetcher(resolve=resolve)
    lookups.clear()
    for _ in range(8):
        with pytest.raises(MediaError, match="not known"):
            patient.fetch("https://gone.example/a.jpg")
    assert len(lookups) == 8, "after the pause it is asked again"


def test_an_answer_ends_the_silence_and_a_refusal_is_none() -> None:
    def serve(handler: BaseHTTPRequestHandler) -> None:
        if "lost" in handler.path:
            handler.close_connection = True
        else:
            answer(handler, status=404 if "missing" in handler.path else 200)

    with serving(serve) as server:
        fetcher = HttpFetcher(permit=allowing(server), timeout_s=1)
        for path in ["/missing"] * 8 + ["/lost"] * 4 + ["/missing"] + ["/lost"] * 4:
            with pytest.raises(MediaError):
                fetcher.fetch(server.url(path))
        assert fetcher.fetch(server.url()) == b"picture"


def test_a_closed_port_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(MediaError, match="cannot be fetched"):
        HttpFetcher(permit=lambda address, port: True, timeout_s=1).fetch(f"http://127.0.0.1:{port}/")


def test_the_next_address_is_tried_if_one_does_not_answer() -> None:
    with serving(answer) as server:
        fetcher = HttpFetcher(resolve=lambda host, port: ["127.0.0.9", "127.0.0.1"], permit=lambda address, port: True)
        assert fetcher.fetch(server.url(host="pictures.example")) == b"picture"


# ---- TLS ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for pictures.example, with its key, signed by itself."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command to make a certificate")
    path = tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=pictures.example", "-addext", "subjectAltName=DNS:pictures.example",
         "-keyout", tmp_path / "key.pem", "-out", path],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_text(path.read_text() + (tmp_path / "key.pem").read_text())
    return path


def test_the_certificate_must_be_trusted_and_name_the_host(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(answer, context) as server:
        fetcher = HttpFetcher(resolve=lambda host, port: ["127.0.0.1"], permit=allowing(server))
        url = f"https://pictures.example:{server.port}/a.jpg"
        with pytest.raises(MediaError, match=r"(?i)certificate"):
            fetcher.fetch(url)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert fetcher.fetch(url) == b"picture"
        assert fetcher.fetch(url.replace("example:", "example.:")) == b"picture"
        with pytest.raises(MediaError, match=r"(?i)certificate|hostname"):
            fetcher.fetch(url.replace("pictures", "other"))


# ---- the cache ---------------------------------------------------------------------------------------------------


class Pictures:
    """A server of one picture with validators, which can change, fail and vanish."""

    def __init__(self, control: str = "", validator: str = "ETag") -> None:
        self.body, self.tag, self.status, self.control, self.validator = b"one", "1", 200, control, validator

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        headers = {self.validator.replace("-", "_"): self.tag} | (
            {"Cache_Control": self.control} if self.control else {}
        )
        asked = handler.headers.get({"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}[self.validator])
        if self.status == 200 and asked == self.tag:
            answer(handler, b"", 304, **headers)
        else:
            answer(handler, self.body, self.status, **headers)


@pytest.mark.parametrize("validator", ["ETag", "Last-Modified"])
def test_a_second_run_only_asks_whether_the_picture_changed(tmp_path: Path, validator: str) -> None:
    pictures = Pictures(validator=validator)
    with serving(pictures) as server:
        for _ in range(2):
            cache = DownloadCache(tmp_path / "d.sqlite3")
            assert HttpFetcher(cache=cache, permit=allowing(server)).fetch(server.url()) == b"one"
            cache.close()
        assert {"ETag": "if-none-match", "Last-Modified": "if-modified-since"}[validator] in server.asked[1][1]
        pictures.body, pictures.tag = b"two", "2"
        cache = DownloadCache(tmp_path / "d.sqlite3")
        assert HttpFetcher(cache=cache, permit=allowing(server)).fetch(server.url()) == b"two"
        cache.close()


def test_a_fresh_picture_is_not_asked_for_again(tmp_path: Path) -> None:
    cache = DownloadCache(tmp_path / "d.sqlite3")
    with serving(Pictures("public, max-age=3600")) as server:
        fetcher = HttpFetcher(cache=cache, permit=allowing(server))
        assert [fetcher.fetch(server.url()) for _ in range(3)] == [b"one"] * 3
        assert len(server.asked) == 1
    with serving(Pictures("no-cache, max-age=3600")) as server:
        fetcher = HttpFetcher(cache=cache, permit=allowing(server))
        assert [fetcher.fetch(server.url()) for _ in range(3)] == [b"one"] * 3
        assert len(server.asked) == 3
    cache.close()


def test_an_outage_leaves_the_last_picture_but_a_removal_does_not(tmp_path: Path) -> None:
    cache = DownloadCache(tmp_path / "d.sqlite3")
    pictures = Pictures()
    with serving(pictures) as server:
        fetcher = HttpFetcher(cache=cache, permit=allowing(server), timeout_s=1)
        url = server.url()
        assert fetcher.fetch(url) == b"one"
        pictures.status = 503
        assert fetcher.fetch(url) == b"one"
        pictures.status = 404
        with pytest.raises(MediaError, match="404"):
            fetcher.fetch(url)
    assert fetcher.fetch(url) == b"one"
    with pytest.raises(UnsafeAddress):
        HttpFetcher(cache=cache).fetch(url)
    cache.close()


def test_a_damaged_cache_fails_nothing(tmp_path: Path) -> None:
    (tmp_path / "d.sqlite3").write_bytes(b"garbage" * 1_000)
    cache = DownloadCache(tmp_path / "d.sqlite3")
    with serving(answer) as server:
        assert HttpFetcher(cache=cache, permit=allowing(server)).fetch(server.url()) == b"picture"
    assert cache.trouble


# ---- into a file -------------------------------------------------------------------------------------------------


def test_a_file_is_saved_piece_by_piece(tmp_path: Path) -> None:
    body = bytes(range(256)) * 4096
    told: list[tuple[int, int]] = []
    with serving(lambda handler: answer(handler, body)) as server, (tmp_path / "video").open("wb") as file:
        HttpFetcher(permit=allowing(server)).save(server.url(), file, lambda *step: told.append(step))
    assert (tmp_path / "video").read_bytes() == body
    assert told[-1] == (len(body), len(body))
    assert [done for done, _ in told] == sorted({done for done, _ in told})


def test_what_breaks_off_leaves_no_beginning_before_the_next_try(tmp_path: Path) -> None:
    def short_at_first(handler: BaseHTTPRequestHandler) -> None:
        short = len(server.asked) == 1
        answer(handler, b"first" if short else b"second and last", Content_Length="100" if short else "15")

    with serving(short_at_first) as server, (tmp_path / "video").open("wb") as file:
        twice = HttpFetcher(permit=allowing(server), resolve=lambda host, port: ["127.0.0.1", "127.0.0.1"])
        twice.save(server.url(), file)
    assert (tmp_path / "video").read_bytes() == b"second and last"


@pytest.mark.parametrize(
    ("body", "headers", "problem"),
    [
        (b"", {}, "an empty body, expected a video"),
        (bytes(200), {}, "200 bytes, at most 100 are read"),
        (b"x", {"Content_Encoding": "gzip"}, "expected the video as it is"),
    ],
)
def test_a_file_that_is_refused(tmp_path: Path, body: bytes, headers: dict[str, str], problem: str) -> None:
    with (
        serving(lambda handler: answer(handler, body, 200, **headers)) as server,
        (tmp_path / "video").open("wb") as file,
    ):
        with pytest.raises(MediaError, match=problem):
            HttpFetcher(permit=allowing(server), max_bytes=100, what="video").save(server.url(), file)
        with pytest.raises(UnsafeAddress, match="expected public addresses"):
            HttpFetcher(what="video").save(server.url(), file)


def test_who_watches_can_end_it_and_a_full_disk_is_not_the_hosts_fault(tmp_path: Path) -> None:
    class Enough(Exception):
        pass

    class Full(BytesIO):
        def write(self, data: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def end(done: int, total: int) -> None:
        raise Enough

    with serving(lambda handler: answer(handler, bytes(1 << 20))) as server:
        fetcher = HttpFetcher(permit=allowing(server))
        with (tmp_path / "video").open("wb") as file, pytest.raises(Enough):
            fetcher.save(server.url(), file, end)
        assert len(server.asked) == 1
        with pytest.raises(OutputError, match="No space left on device; make room"):
            fetcher.save(server.url(), Full())
