"""A real server that is killed in the middle of its work: what it acknowledged is there, and the work goes on."""

from __future__ import annotations

import hashlib
import os
import random
import re
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="needs the extra `server`")
pytest.importorskip("lancedb", reason="needs the extra `store`")

import httpx

from server.process import SHOP, Json, Server
from shopcue.catalog.store import open_store
from shopcue.database import open_database
from shopcue.database.jobs import get_job
from shopcue.sources import synthetic

# ---- an upload and an import ---------------------------------------------------------------------------------------


class Pictures:
    """A web server of a shop's pictures, each another pattern; slow ones are sent after `pause_s`."""

    def __init__(self) -> None:
        self.pause_s = 0.0
        pictures = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                time.sleep(pictures.pause_s)
                number = re.fullmatch(r"/(\d+)\.jpg", self.path)
                body = pattern(int(number[1])) if number else b"not here"
                self.send_response(200 if number else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """Whoever asked was killed."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def pattern(number: int) -> bytes:
    coarse = np.random.default_rng(number).integers(0, 255, (9, 9, 3), dtype=np.uint8)
    out = BytesIO()
    Image.fromarray(coarse).resize((160, 160)).save(out, "JPEG")
    return out.getvalue()


@pytest.fixture
def pictures() -> Iterator[Pictures]:
    pictures = Pictures()
    yield pictures
    pictures.close()


def report(server: Server, job_id: str) -> set[tuple[int, str, str, str]]:
    lines, after = set(), 0
    while True:
        page = server.ask("GET", f"/api/jobs/{job_id}/items", params={"after": after, "limit": 500})
        lines |= {(each["row"], each["product_id"], each["status"], each["reason"]) for each in page["items"]}
        if page["next"] is None:
            return lines
        after = page["next"]


def contents(server: Server, shop: str) -> dict[str, tuple[str, tuple[str, ...], list[float]]]:
    store = open_store(str(server.data / "store"))
    ids = [product.product_id for product in store.products(shop, limit=1000).products]
    return {
        each.product.product_id: (each.product.title, each.contents, each.vectors.round(4).ravel().tolist())
        for each in store.embedded(shop, ids)
    }


@dataclass
class Chunks:
    """An upload in chunks that goes on where the server says; `sent` bytes were acknowledged."""

    server: Server
    data: bytes
    path: str = ""
    sent: int = 0
    chunk: int = 256 << 10

    def begin(self) -> None:
        digest = hashlib.sha256(self.data).hexdigest()
        body = {"name": "a.mp4", "size": len(self.data), "kind": "video", "sha256": digest}
        upload = self.server.ask("POST", f"/api/shops/{SHOP}/uploads", 201, json=body)
        self.path = f"/api/uploads/{upload['upload_id']}"

    def send(self, count: int) -> None:
        for _ in range(count):
            more = self.data[self.sent : self.sent + self.chunk]
            headers = {"Upload-Offset": str(self.sent)}
            self.sent = self.server.ask("PATCH", self.path, headers=headers, content=more)["offset"]

    def send_and_kill(self) -> None:
        """Kill the server and its workers in the middle of a chunk."""

        def dripping() -> Iterator[bytes]:
            yield self.data[self.sent : self.sent + self.chunk // 2]
            self.server.kill(with_workers=True)
            yield self.data[self.sent + self.chunk // 2 : self.sent + self.chunk]

        with pytest.raises(httpx.HTTPError):
            self.server.client.patch(self.path, headers={"Upload-Offset": str(self.sent)}, content=dripping())

    def kept(self) -> bytes:
        return (self.server.data / "uploads" / f"{self.path.rpartition('/')[2]}.part").read_bytes()


def test_an_upload_and_an_import_go_on_where_they_were_acknowledged(server: Server, pictures: Pictures) -> None:
    rows = [{"id": f"p{i}", "title": f"Product {i}", "image_link": f"{pictures.address}/{i}.jpg"} for i in range(120)]
    rows.append({"id": "broken", "title": "No picture", "image_link": f"{pictures.address}/absent.jpg"})

    def begin(shop: str) -> str:
        server.ask("PUT", f"/api/shops/{shop}", json={"title": shop})
        return str(server.ask("POST", f"/api/shops/{shop}/imports", 202, json={"products": rows})["job"]["job_id"])

    pictures.pause_s = 0.15
    job_id = begin(SHOP)
    upload = Chunks(server, random.Random(1).randbytes(4 << 20))
    upload.begin()
    upload.send(5)
    server.wait(job_id, lambda job: any(status == "ok" for _, _, status, _ in report(server, job_id)))
    reported = {product_id for _, product_id, status, _ in report(server, job_id) if status == "ok"}
    assert server.job(job_id)["state"] == "running"

    upload.send_and_kill()
    there = contents(server, SHOP)
    assert reported <= there.keys()
    assert len(there) < 120, "it must be killed in the middle to show anything"
    assert upload.kept()[: upload.sent] == upload.data[: upload.sent]

    pictures.pause_s = 0.0
    server.start()
    assert server.ask("GET", upload.path)["offset"] == upload.sent == 5 * upload.chunk
    upload.send(11)
    assert server.ask("GET", upload.path)["state"] == "complete"  # which it is when its sha256 is right
    assert upload.kept() == upload.data

    done = server.finished(job_id)
    assert done["result"] == {"ok": 120, "partial": 0, "refused": 1}
    other = server.finished(begin("undisturbed"))
    assert done["result"] == other["result"]
    assert report(server, job_id) == report(server, other["job_id"])
    assert contents(server, SHOP) == contents(server, "undisturbed")


# ---- a match -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The feed of a drawn shop, and a show that takes some seconds to match."""
    folder = tmp_path_factory.mktemp("drawn")
    feed = synthetic.make_shop(folder / "shop", count=6, seed=2)
    stream = synthetic.make_stream(folder / "show", feed, duration_s=40.0, size=(320, 180), fps=4, seed=2)
    return feed, stream.video


@pytest.fixture(scope="module")
def stocked(server: Server, show: tuple[Path, Path]) -> Server:
    """The server with the drawn shop's products."""
    server.stock(show[0])
    return server


def begin_match(server: Server, video: Path) -> tuple[str, str]:
    """Take in a video; the ids of it and of its job."""
    upload_id = server.upload("video", video.read_bytes(), "show.mp4")
    body = {"upload_id": upload_id, "title": "A show", "speech": "none"}
    answer = server.ask("POST", f"/api/shops/{SHOP}/videos", 201, json=body)
    return answer["video"]["video_id"], answer["job"]["job_id"]


def in_the_middle(job: Json) -> bool:
    return bool(job["stage"] == "video" and job["progress"] > 0.1)


def focuses(server: Server, video_id: str) -> list[tuple[Any, ...]]:
    found = server.ask("GET", f"/api/videos/{video_id}/focuses")["focuses"]
    return [(each["product_id"], each["start_s"], each["end_s"], each["score"]) for each in found]


def test_a_match_goes_on_after_its_server_and_then_its_worker_was_killed(
    stocked: Server, show: tuple[Path, Path]
) -> None:
    server, (_, video) = stocked, show
    video_id, job_id = begin_match(server, video)
    server.wait(job_id, in_the_middle)
    server.kill()
    server.start()
    # Its worker noticed and put the job back: no lease has to run out, and the attempt does not count.
    server.wait(job_id, lambda job: job["attempts"] == 1 and in_the_middle(job))
    (worker,) = server.workers()
    os.kill(worker, signal.SIGKILL)
    assert server.finished(job_id)["attempts"] == 2
    assert server.workers() != [worker]
    undisturbed, job_id = begin_match(server, video)
    server.finished(job_id)
    assert focuses(server, video_id) == focuses(server, undisturbed)
    assert len(focuses(server, video_id)) >= 3


def test_a_match_is_cancelled_tried_again_and_refused_when_hostile(
    stocked: Server, show: tuple[Path, Path], pictures: Pictures
) -> None:
    server, (_, video) = stocked, show
    video_id, job_id = begin_match(server, video)
    server.wait(job_id, in_the_middle)
    server.ask("POST", f"/api/jobs/{job_id}/cancel")
    began_s = time.monotonic()
    server.finished(job_id, "cancelled")
    assert time.monotonic() - began_s < 3
    assert server.ask("GET", f"/api/videos/{video_id}")["state"] == "new"
    server.ask("POST", f"/api/jobs/{job_id}/retry")
    server.finished(job_id)
    assert focuses(server, video_id)
    # A picture is no video, whatever its address says.
    body = {"url": f"{pictures.address}/1.jpg"}
    answer = server.ask("POST", f"/api/shops/{SHOP}/videos", 201, json=body)
    job = server.finished(answer["job"]["job_id"], "failed")
    assert re.fullmatch(r"videos/\S+ cannot be opened \(.*", job["error"])
    assert server.ask("GET", f"/api/videos/{job['video_id']}")["error"] == job["error"]


def test_a_server_that_is_stopped_puts_its_work_back(stocked: Server, show: tuple[Path, Path]) -> None:
    server, (_, video) = stocked, show
    _, job_id = begin_match(server, video)
    server.wait(job_id, in_the_middle)
    began_s = time.monotonic()
    server.stop()
    assert time.monotonic() - began_s < 12
    database = open_database(f"sqlite:///{server.data / 'shopcue.db'}")
    with database.read() as session:
        job = get_job(session, job_id)
    database.close()
    # No lease has to run out, and the attempt does not count.
    assert (job.state, job.attempts, job.lease_until) == ("queued", 0, None)
