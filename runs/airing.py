"""What the pictures of runs/pictures.py are of: a drawn shop with its shows and a stream, in a server that runs."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import av
import httpx

from shopcue.commands import demo
from shopcue.sources.synthetic import make_stream

SHOP = "corner"
SHOW_S, SHOW_SEED = 100.0, 5
CONFIRMED, SHORTENED = (0, 2, 5), 3  # which focuses of the show are reviewed, in order of time
POLL_S = 0.5
JOB_S, STREAM_BEGINS_S = 1800.0, 180.0

Json = dict[str, Any]
T = TypeVar("T")


# ---- what is shown ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Film:
    """A film that is drawn beside the show, in the folder `name`. size: width and height in pixels."""

    name: str
    duration_s: float
    size: tuple[int, int]
    seed: int


UPRIGHT = Film("upright", 40.0, (540, 960), 7)
STREAM = Film("stream", 140.0, (960, 540), 11)


def draw(folder: Path) -> None:
    """Draw and match the shop and the show as `shopcue demo` does, then the other films, unless they are there."""
    if not (folder / "results" / "report.html").is_file():
        demo(folder, duration_s=SHOW_S, seed=SHOW_SEED)
    for film in (UPRIGHT, STREAM):
        if not (folder / film.name / "truth.json").is_file():
            feed = folder / "shop" / "catalog.csv"
            make_stream(folder / film.name, feed, duration_s=film.duration_s, size=film.size, fps=20, seed=film.seed)


class _Broadcast(BaseHTTPRequestHandler):
    """Sends the server's file to whoever asks, as MPEG-TS and as fast as it was filmed."""

    film: Path

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "video/mp2t")
        self.end_headers()
        try:
            self._send()
        except (OSError, av.FFmpegError):
            return  # whoever watched has gone

    def _send(self) -> None:
        began_s = time.monotonic()
        options = {"flush_packets": "1"}
        with av.open(str(self.film)) as film, av.open(self.wfile, "w", format="mpegts", options=options) as out:
            streams = {stream.index: out.add_stream_from_template(stream) for stream in film.streams}
            for packet in film.demux():
                if packet.dts is None or packet.time_base is None:
                    continue
                time.sleep(max(0.0, float(packet.dts * packet.time_base) - (time.monotonic() - began_s)))
                packet.stream = streams[packet.stream_index]
                out.mux(packet)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def on_air(film: Path) -> Iterator[str]:
    """Broadcast a film at the address that is given; it begins anew for each who asks."""
    handler = type("Handler", (_Broadcast,), {"film": film})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/live"
        finally:
            server.shutdown()


# ---- the server ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Api:
    """A running server. token: an admin's."""

    client: httpx.Client
    token: str

    def ask(self, method: str, path: str, **more: Any) -> Any:
        """Return what the server answers, as JSON."""
        answer = self.client.request(method, path, **more)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def upload(self, kind: str, name: str, content: bytes) -> str:
        """Send a file in pieces; returns the id of the upload."""
        begun = self.ask("POST", f"/api/shops/{SHOP}/uploads", json={"name": name, "size": len(content), "kind": kind})
        upload = f"/api/uploads/{begun['upload_id']}"
        for at in range(0, len(content), begun["chunk_bytes"]):
            chunk = content[at : at + begun["chunk_bytes"]]
            self.ask("PATCH", upload, headers={"Upload-Offset": str(at)}, content=chunk)
        return str(begun["upload_id"])

    def done(self, job: Json) -> None:
        """Wait until a job is done."""
        state = eventually(lambda: self._state(job), JOB_S, f"the job {job['kind']}")
        if state != "done":
            raise RuntimeError(f"the job {job['kind']} ended as {state}")

    def _state(self, job: Json) -> str:
        state = str(self.ask("GET", f"/api/jobs/{job['job_id']}")["state"])
        return state if state in ("done", "failed", "cancelled") else ""


def eventually(look: Callable[[], T], within_s: float, what: str) -> T:
    """Return what `look` finds once that is something."""
    until_s = time.monotonic() + within_s
    while not (found := look()):
        if time.monotonic() > until_s:
            raise TimeoutError(f"{what} took more than {within_s:.0f} s")
        time.sleep(POLL_S)
    return found


@contextmanager
def serving(folder: Path) -> Iterator[Api]:
    """Run `shopcue serve` on a folder."""
    command = [sys.executable, "-m", "shopcue", "serve", "--data", str(folder), "--port", "0"]
    with subprocess.Popen(
        [*command, "--allow-private", "--new-admin-token"], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            said = ""
            for line in process.stdout:
                said += line
                if "listens at" in line:
                    break
            token, address = re.search(r"sc_\S+", said), re.search(r"http://\S+", said)
            if token is None or address is None:
                raise RuntimeError(f"the server did not start: {said!r}")
            headers = {"Authorization": f"Bearer {token[0]}"}
            with httpx.Client(base_url=address[0], headers=headers, timeout=60) as client:
                yield Api(client, token[0])
        finally:
            process.terminate()
            process.wait(30)


def stock(api: Api, feed: Path) -> None:
    """Make the shop and take in its products."""
    api.ask("PUT", f"/api/shops/{SHOP}", json={"title": "The corner shop"})
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(feed.parent.rglob("*.*")):
            archive.write(path, path.relative_to(feed.parent))
    body = {"upload_id": api.upload("feed", "autumn-feed.zip", packed.getvalue())}
    api.done(api.ask("POST", f"/api/shops/{SHOP}/imports", json=body)["job"])


def matched(api: Api, film: Path, title: str) -> str:
    """Take in what was drawn into a folder, match and publish it; returns its id."""
    body = {
        "title": title,
        "upload_id": api.upload("video", "friday.mp4", (film / "live.mp4").read_bytes()),
        "speech_upload_id": api.upload("speech", "friday.vtt", (film / "speech.vtt").read_bytes()),
        "comments_upload_id": api.upload("comments", "friday.jsonl", (film / "comments.jsonl").read_bytes()),
    }
    answer = api.ask("POST", f"/api/shops/{SHOP}/videos", json=body)
    api.done(answer["job"])
    video_id = str(answer["video"]["video_id"])
    api.ask("PATCH", f"/api/videos/{video_id}", json={"published": True})
    return video_id


def review(api: Api, video_id: str) -> None:
    """Confirm some of the focuses of a video, and shorten one."""
    found = focuses(api, video_id)
    for number in CONFIRMED:
        api.ask("POST", f"/api/focuses/{found[number]['focus_id']}/review", json={"action": "confirm"})
    moved = {"action": "move", "start_s": found[SHORTENED]["start_s"] + 0.5, "end_s": found[SHORTENED]["end_s"] - 0.5}
    api.ask("POST", f"/api/focuses/{found[SHORTENED]['focus_id']}/review", json=moved)


def shows(api: Api, data: Path) -> tuple[str, str]:
    """Bring in the shop, the show and the upright one, unless they are there; returns the ids of both shows."""
    if not api.ask("GET", "/api/shops")["shops"]:
        stock(api, data / "shop" / "catalog.csv")
        matched(api, data / UPRIGHT.name, "Friday tasting")
        review(api, matched(api, data / "show", "Friday evening: pantry favourites"))
    wide, upright = _videos(api, "recording")  # the newest first
    return str(wide["video_id"]), str(upright["video_id"])


def begun_stream(api: Api, address: str) -> str:
    """Let the server follow what is broadcast at an address; returns the stream's id once it is on."""
    for old in _videos(api, "stream"):
        api.ask("DELETE", f"/api/videos/{old['video_id']}")
    body = {"url": address, "title": "Saturday live", "start": True}
    video_id = str(api.ask("POST", f"/api/shops/{SHOP}/streams", json=body)["video_id"])
    api.ask("PATCH", f"/api/videos/{video_id}", json={"published": True})
    eventually(lambda: video_of(api, video_id)["state"] == "live", STREAM_BEGINS_S, "the stream's beginning")
    return video_id


def focuses(api: Api, video_id: str) -> list[Json]:
    found: list[Json] = api.ask("GET", f"/api/videos/{video_id}/focuses")["focuses"]
    return found


def _videos(api: Api, kind: str) -> list[Json]:
    found: list[Json] = api.ask("GET", f"/api/shops/{SHOP}/videos", params={"kind": kind})["videos"]
    return found


def video_of(api: Api, video_id: str) -> Json:
    video: Json = api.ask("GET", f"/api/videos/{video_id}")
    return video
