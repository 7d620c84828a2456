"""A real server: `shopcue serve` as a process with its workers, on a folder that outlives it."""

from __future__ import annotations

import hashlib
import os
import queue
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest

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

    def workers(self, kind: str = "jobs") -> list[int]:
        """The ids of its worker processes that do jobs, or follow streams."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            if parent == self._process.pid and kind in command_of(int(entry.name)).split("\0"):
                found.append(int(entry.name))
        return found

    def kill(self, *, with_workers: bool = False) -> None:
        workers = self.workers()
        self._process.kill()
        for pid in workers if with_workers else ():
            os.kill(pid, signal.SIGKILL)
        self._close()
        deadline_s = time.monotonic() + 10
        while any(map(command_of, workers)):
            assert time.monotonic() < deadline_s, "a worker is left over"
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(20)
        self._close()

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

    def stock(self, feed: Path) -> None:
        """Take in the products of a drawn shop, and none but them."""
        out = BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for path in feed.parent.rglob("*.*"):
                archive.write(path, path.relative_to(feed.parent))
        body = {"upload_id": self.upload("feed", out.getvalue(), "shop.zip"), "delete_missing": True}
        self.finished(self.ask("POST", f"/api/shops/{SHOP}/imports", 202, json=body)["job"]["job_id"])

    def upload(self, kind: str, data: bytes, name: str) -> str:
        body = {"name": name, "size": len(data), "kind": kind, "sha256": hashlib.sha256(data).hexdigest()}
        upload_id = str(self.ask("POST", f"/api/shops/{SHOP}/uploads", 201, json=body)["upload_id"])
        self.ask("PATCH", f"/api/uploads/{upload_id}", headers={"Upload-Offset": "0"}, content=data)
        return upload_id


def command_of(pid: int) -> str:
    """The command line of a process, empty for one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
