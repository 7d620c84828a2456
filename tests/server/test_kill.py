"""A real server that is killed in the middle of its work: what it acknowledged is there, and the work goes on."""

from __future__ import annotations

import hashlib
import os
import queue
import random
import re
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="needs the extra `server`")
pytest.importorskip("lancedb", reason="needs the extra `store`")

import httpx

from shopcue import commands
from shopcue.catalog.store import open_store
from shopcue.sources import synthetic

SHOP = "corner"
FINAL = ("done", "failed", "cancelled")
Json = dict[str, Any]


class Server:
    """`shopcue serve` as a process, which may be killed and started again on the same folder."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.token = ""
        self._said: queue.Queue[str] = queue.Queue()
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "shopcue", "serve", "--data", str(self.data), "--port", "0", "--allow-private"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if "admin token" in line:
                self.token = line.split()[-1]
            if found := re.search(r"listens at (http://\S+)", line):
                break
        else:
            pytest.fail("the server did not start")
        headers = {"Authorization": f"Bearer {self.token}"}
        self.client = httpx.Client(base_url=found[1], headers=headers, timeout=30)

    def workers(self) -> list[int]:
        """The ids of its worker processes that do jobs."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                command = (entry / "cmdline").read_text()
            except (OSError, ValueError, IndexError):
                continue
            if parent == self._process.pid and "shopcue.server.worker" in command and "jobs" in command:
                found.append(int(entry.name))
        return found

    def kill(self, *, with_workers: bool = False) -> None:
        workers = self.workers() if with_workers else []
        self._process.kill()
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        self._close()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(15)
        self._close()

    def restart(self) -> None:
        self.start()

    def _close(self) -> None:
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self.client.close()

    def ask(self, method: str, path: str, expected: int = 200, **more: Any) -> Any:
        answer = self.client.request(method, path, **more)
        assert answer.status_code == expected, answer.text
        return answer.json() if answer.content else None

    def job(self, job_id: str) -> Json:
        job: Json = self.ask("GET", f"/api/jobs/{job_id}")
        return job

    def wait(self, job_id: str, holds: Callable[[Json], object], wait_s: float = 90.0) -> Json:
        deadline_s = time.monotonic() + wait_s
        while not holds(job := self.job(job_id)):
            assert time.monotonic() < deadline_s, job
            assert job["state"] not in FINAL, job
            time.sleep(0.03)
        return job

    def finished(self, job_id: str, state: str = "done") -> Json:
        return self.wait(job_id, lambda job: job["state"] == state)

    def upload(self, kind: str, data: bytes, name: str) -> str:
        body = {"name": name, "size": len(data), "kind": kind, "sha256": hashlib.sha256(data).hexdigest()}
        upload_id = str(self.ask("POST", f"/api/shops/{SHOP}/uploads", 201, json=body)["upload_id"])
        self.ask("PATCH", f"/api/uploads/{upload_id}", headers={"Upload-Offset": "0"}, content=data)
        return upload_id


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server") / "data")
    server.ask("PUT", f"/api/shops/{SHOP}", json={"title": "Corner shop"})
    yield server
    server.stop()


# ---- an upload ---------------------------------------------------------------------------------------------------


def test_an_upload_goes_on_where_it_was_acknowledged(server: Server) -> None:
    data = random.Random(1).randbytes(6 << 20)
    body = {"name": "a.mp4", "size": len(data), "kind": "video", "sha256": hashlib.sha256(data).hexdigest()}
    path = f"/api/uploads/{server.ask('POST', f'/api/shops/{SHOP}/uploads', 201, json=body)['upload_id']}"
    acknowledged, chunk = 0, 256 << 10
    for _ in range(5):
        more = data[acknowledged : acknowledged + chunk]
        answer = server.ask("PATCH", path, headers={"Upload-Offset": str(acknowledged)}, content=more)
        acknowledged = answer["offset"]

    def dripping() -> Iterator[bytes]:
        yield data[acknowledged : acknowledged + chunk // 2]
        server.kill()
        yield data[acknowledged + chunk // 2 : acknowledged + chunk]

    with pytest.raises(httpx.HTTPError):
        server.client.patch(path, headers={"Upload-Offset": str(acknowledged)}, content=dripping())
    server.restart()
    offset = server.ask("GET", path)["offset"]
    assert offset == acknowledged == 5 * chunk
    kept = (server.data / "uploads" / f"{path.rpartition('/')[2]}.part").read_bytes()
    assert kept[:offset] == data[:offset]
    while offset < len(data):
        more = data[offset : offset + chunk]
        offset = server.ask("PATCH", path, headers={"Upload-Offset": str(offset)}, content=more)["offset"]
    assert server.ask("GET", path)["state"] == "complete"
    assert (server.data / "uploads" / f"{path.rpartition('/')[2]}.part").read_bytes() == data


# ---- an import ---------------------------------------------------------------------------------------------------


def many_products(count: int) -> bytes:
    """A feed of coloured noise with its pictures, zipped."""
    rng = np.random.default_rng(3)
    out, rows = BytesIO(), [["id", "title", "image_link"]]
    with zipfile.ZipFile(out, "w") as archive:
        for i in range(count):
            picture = BytesIO()
            coarse = rng.integers(0, 255, (9, 9, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize((256, 256)).save(picture, "JPEG")
            archive.writestr(f"images/{i}.jpg", picture.getvalue())
            rows.append([f"p{i}", f"Product {i}", f"images/{i}.jpg"])
        rows.append(["broken", "No picture", "images/absent.jpg"])
        text = "\n".join(",".join(row) for row in rows)
        archive.writestr("feed.csv", text)
    return out.getvalue()


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


def test_an_import_keeps_what_it_reported_and_goes_on(server: Server) -> None:
    feed = many_products(400)
    server.ask("PUT", "/api/shops/undisturbed", json={"title": "Undisturbed"})

    def begin(shop: str) -> str:
        body = {"name": "feed.zip", "size": len(feed), "kind": "feed"}
        upload_id = server.ask("POST", f"/api/shops/{shop}/uploads", 201, json=body)["upload_id"]
        server.ask("PATCH", f"/api/uploads/{upload_id}", headers={"Upload-Offset": "0"}, content=feed)
        answer = server.ask("POST", f"/api/shops/{shop}/imports", 202, json={"upload_id": upload_id})
        return str(answer["job"]["job_id"])

    job_id = begin(SHOP)
    server.wait(job_id, lambda job: any(line[2] == "ok" for line in report(server, job_id)))
    reported = {product_id for _, product_id, status, _ in report(server, job_id) if status == "ok"}
    running = server.job(job_id)
    server.kill()
    there = contents(server, SHOP)
    assert reported <= there.keys()
    assert running["state"] == "running", "the import must be killed in the middle to show anything"
    server.restart()
    done = server.finished(job_id)
    assert done["result"] == {"ok": 400, "partial": 0, "refused": 1}
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
    stream = synthetic.make_stream(folder / "show", feed, duration_s=60.0, size=(320, 180), fps=4, seed=2)
    return feed, stream.video


@pytest.fixture(scope="module")
def stocked(server: Server, show: tuple[Path, Path]) -> Server:
    """The server with the drawn shop's products."""
    feed, _ = show
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path in feed.parent.rglob("*.*"):
            archive.write(path, path.relative_to(feed.parent))
    upload_id = server.upload("feed", out.getvalue(), "shop.zip")
    body = {"upload_id": upload_id, "delete_missing": True}
    server.finished(server.ask("POST", f"/api/shops/{SHOP}/imports", 202, json=body)["job"]["job_id"])
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


def test_a_match_goes_on_after_its_worker_and_then_all_was_killed(stocked: Server, show: tuple[Path, Path]) -> None:
    server, (feed, video) = stocked, show
    video_id, job_id = begin_match(server, video)
    server.wait(job_id, in_the_middle)
    (worker,) = server.workers()
    os.kill(worker, signal.SIGKILL)
    server.wait(job_id, lambda job: job["attempts"] == 2 and in_the_middle(job))
    assert server.workers() != [worker]
    server.kill(with_workers=True)
    server.restart()
    assert server.job(job_id)["state"] == "running"
    job = server.finished(job_id)
    assert job["attempts"] == 3
    expected = commands.match(video, feed, speech="none")
    assert [each[:3] for each in focuses(server, video_id)] == [
        (each.product_id, each.start_s, each.end_s) for each in expected.focuses
    ]
    undisturbed, job_id = begin_match(server, video)
    server.finished(job_id)
    assert focuses(server, video_id) == focuses(server, undisturbed)
    assert len(expected.focuses) >= 3


def test_a_match_goes_on_at_once_after_the_server_was_killed_or_stopped(
    stocked: Server, show: tuple[Path, Path]
) -> None:
    server, (_, video) = stocked, show
    _, job_id = begin_match(server, video)
    for end in (server.kill, server.stop):
        server.wait(job_id, in_the_middle)
        end()
        server.restart()
    # Workers put their job back when the server goes, so that no lease has to run out, and no attempt counts.
    assert server.finished(job_id)["attempts"] <= 2


def test_a_match_is_cancelled_tried_again_and_refused_when_hostile(
    stocked: Server, show: tuple[Path, Path], tmp_path: Path
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
    (tmp_path / "garbage.mp4").write_bytes(bytes(range(256)) * 100)
    job = hostile(server, tmp_path)
    assert re.fullmatch(r"videos/\S+ cannot be opened \(.*", job["error"])
    assert server.ask("GET", f"/api/videos/{job['video_id']}")["error"] == job["error"]


def hostile(server: Server, folder: Path) -> Json:
    """Take in garbage.mp4 of a folder by its address, and return the job when it has failed."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=web.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{web.server_address[1]}/garbage.mp4"
        answer = server.ask("POST", f"/api/shops/{SHOP}/videos", 201, json={"url": url})
        return server.finished(answer["job"]["job_id"], "failed")
    finally:
        web.shutdown()
        web.server_close()
        thread.join()
