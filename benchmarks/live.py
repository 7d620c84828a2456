"""Live streams over a real RTMP server: how late news is, how many streams fit, and whether offline finds the same.

    python -m benchmarks.live ../lives/live-a ../lives/live-b --streams 1 4 --out runs/results/live.json

Starts nginx with RTMP and HLS on loopback, pushes each live with `ffmpeg -re` at 1280x720, and watches all of them on
one engine at two frames a second. Latency: from the arrival of the frame to the news that it made, so without the
decision time of the decoder. Decision delay: from the true start of a focus to the time of the stream at which it was
announced.
Needs nginx, libnginx-mod-rtmp and ffmpeg, and folders with live.mp4, catalog.csv and truth.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from shopcue.announcing import Announcement
from shopcue.catalog.cache import EmbeddingCache
from shopcue.catalog.exact import build_gallery
from shopcue.catalog.feeds import read_feed
from shopcue.engine import Engine, State
from shopcue.evaluation import Truth, read_truth
from shopcue.listening import Listener
from shopcue.methods import Method, open_method
from shopcue.metrics.focuses import Video, score_focuses
from shopcue.models.recognition import find_recogniser
from shopcue.pipeline import Words
from shopcue.records import Comment, Focus, Gallery, Utterance
from shopcue.settings import Settings
from shopcue.sources.files import probe
from shopcue.sources.live import open_source

MODULE = "/usr/lib/nginx/modules/ngx_rtmp_module.so"
STEP_S = 0.5


@dataclass(frozen=True)
class Live:
    """A live with its truth, its shop, and its film at 720p."""

    name: str
    truth: Truth
    gallery: Gallery
    film: Path


@dataclass
class OnAir:
    """A shop that does not change."""

    gallery: Gallery

    def refresh(self) -> bool:
        return False


@dataclass
class Kept:
    """A sink that keeps what it is told, and when."""

    news: list[tuple[float, Announcement]] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    on_air: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def announce(self, news: Sequence[Announcement], now_s: float) -> None:
        self.news += [(now_s, each) for each in news]

    def state(self, state: State, problem: str) -> None:
        if state == "live":
            self.on_air.set()
        if state in ("reconnecting", "stopped", "failed") and self.on_air.is_set():
            self.ended.set()

    def words(self) -> Iterable[Utterance | Comment]:
        return ()

    def heard(self, utterances: Sequence[Utterance]) -> None:
        """Nobody listens here."""

    def focuses(self) -> list[Focus]:
        found: dict[int, Focus] = {}
        for _, each in self.news:
            found[each.number] = each.focus
            if each.kind == "withdraw":
                del found[each.number]
        return sorted(found.values(), key=lambda focus: focus.start_s)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@dataclass(frozen=True)
class Server:
    """An nginx of this machine that takes RTMP and gives RTMP and HLS."""

    rtmp: int
    http: int

    def push_to(self, n: int) -> str:
        return f"rtmp://127.0.0.1:{self.rtmp}/live/s{n}"

    def address(self, n: int, via: str) -> str:
        return self.push_to(n) if via == "rtmp" else f"http://127.0.0.1:{self.http}/hls/s{n}.m3u8"


@contextmanager
def media_server(folder: Path) -> Iterator[Server]:
    """Run nginx with nothing but RTMP and HLS; segments of HLS are two seconds long."""
    server = Server(free_port(), free_port())
    user = "user root;" if os.geteuid() == 0 else ""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    config = folder / "nginx.conf"
    config.write_text(
        f"{user} daemon off; pid {folder}/pid; error_log {folder}/errors; worker_processes 1; load_module {MODULE};"
        f"events {{ worker_connections 256; }}"
        f"rtmp {{ server {{ listen 127.0.0.1:{server.rtmp}; application live {{ live on; wait_key on; wait_video on;"
        f" hls on; hls_path {folder}/hls; hls_fragment 2s; hls_playlist_length 20s; }} }} }}"
        f"http {{ access_log off; {temporary} server {{ listen 127.0.0.1:{server.http}; root {folder}; }} }}"
    )
    process = subprocess.Popen(["nginx", "-c", str(config), "-p", str(folder)])
    try:
        time.sleep(1.0)
        yield server
    finally:
        process.terminate()  # not killed: its worker would stay behind
        process.wait()
        shutil.rmtree(folder / "hls", ignore_errors=True)


def at_720p(video: Path, folder: Path) -> Path:
    """Return a copy of a film at 1280x720 with a key frame each second."""
    film = folder / f"{video.parent.name}.mp4"
    scale = "scale=1280:720:force_original_aspect_ratio=decrease,pad=1280:720:(ow-iw)/2:(oh-ih)/2"
    video_as = ["-vf", scale, "-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-c:a", "copy"]
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", str(video), *video_as, str(film)], check=True)
    return film


@contextmanager
def pushed(film: Path, url: str, seconds: float) -> Iterator[subprocess.Popen[bytes]]:
    """Push a film in real time, from the moment that this is entered."""
    command = ["ffmpeg", "-v", "error", "-re", "-i", str(film), "-t", str(seconds), "-c", "copy", "-f", "flv", url]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ears() -> Callable[[str], Listener]:
    """Return what makes the listeners of streams; each has a recogniser of one thread."""
    recogniser, line = find_recogniser(threads=1)
    if recogniser is None:
        raise SystemExit(line)
    return lambda name: Listener(recogniser)


def watch(
    lives: Sequence[Live], count: int, seconds: float, via: str, speech: bool, method: Method, folder: Path
) -> dict[str, Any]:
    """Watch `count` streams of the lives at once, and return what was measured."""
    engine, sinks = Engine(method, listener=ears() if speech else None), list[Kept]()
    chosen = [lives[n % len(lives)] for n in range(count)]
    cpu_s, began_s = time.process_time(), time.monotonic()
    with media_server(folder) as server, ExitStack() as pushers:

        def start(n: int) -> None:
            sinks.append(Kept())
            source = open_source(server.address(n, via), private=True)
            engine.start(f"s{n}", source, OnAir(chosen[n].gallery), sinks[n])

        def push(n: int) -> None:
            length_s = min(seconds, chosen[n].truth.duration_s)
            pushers.enter_context(pushed(chosen[n].film, server.push_to(n), length_s))

        try:
            if via == "rtmp":  # who plays before anybody publishes waits, and sees the film from its first picture
                for n in range(count):
                    start(n)
                time.sleep(2.0)
                for n in range(count):
                    push(n)
            else:  # a playlist is there with its first segment, and who comes then sees the film from the start too
                for n in range(count):
                    push(n)
                    while not (folder / "hls" / f"s{n}.m3u8").exists():
                        time.sleep(0.05)
                    start(n)
            late_s: list[float] = []
            while not all(sink.ended.is_set() for sink in sinks) and time.monotonic() - began_s < seconds + 90:
                time.sleep(STEP_S / 2)
                late_s += [counts.behind_s for counts in engine.counts.values() if counts.frames]
            counts = dict(engine.counts)
            cpu_share = (time.process_time() - cpu_s) / (time.monotonic() - began_s)
        finally:
            engine.close()
    frames = sum(each.frames for each in counts.values())
    dropped = sum(each.dropped for each in counts.values())
    return {
        "streams": count,
        "via": via,
        "speech": speech,
        "frames": frames,
        "dropped_share": dropped / max(1, frames + dropped),
        "deaf_s": sum(each.deaf_s for each in counts.values()),
        "connections": sum(each.connections for each in counts.values()),
        "latency_p50_s": float(np.median(late_s)),
        "latency_p95_s": float(np.quantile(late_s, 0.95)),
        "cpu_share_of_a_core": cpu_share,
        "sinks": sinks,
        "lives": chosen,
    }


def delays_s(sink: Kept, truth: Truth, seconds: float) -> list[float]:
    """Return how long after the true start of each focus its product was announced, where it was at all."""
    found = []
    for span in truth.focuses:
        if span.end_s > seconds:
            continue
        told = [
            now_s
            for now_s, each in sink.news
            if each.kind in ("open", "update")
            and each.focus.product_id == span.product_id
            and span.start_s - 1 <= now_s <= span.end_s + 5
        ]
        if told:
            found.append(min(told) - span.start_s)
    return found


def same(live: Sequence[Focus], offline: Sequence[Focus]) -> float:
    """Return the share of offline focuses that the live run has, with ends within one step of sampling and a half."""
    hits = sum(
        any(
            ours.product_id == theirs.product_id
            and abs(ours.start_s - theirs.start_s) <= 1.5 * STEP_S
            and abs(ours.end_s - theirs.end_s) <= 1.5 * STEP_S
            for ours in live
        )
        for theirs in offline
    )
    return hits / max(1, len(offline))


def write(out: Path, what: str, results: Sequence[dict[str, Any]]) -> None:
    """Write the runs, beside those of other kinds that the file holds already of the same lives."""
    known = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    kinds = ("streams", "via", "speech")
    runs = {tuple(run.get(kind) for kind in kinds): run for run in known.get("runs", ()) if known["what"] == what}
    runs |= {tuple(run[kind] for kind in kinds): run for run in results}
    in_order = sorted(runs.values(), key=lambda run: (run["speech"], run["via"] != "rtmp", run["streams"]))
    report = {"what": what, "cores": os.cpu_count(), "runs": in_order}
    out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lives", nargs="+", type=Path, help="folders with live.mp4, catalog.csv and truth.json")
    parser.add_argument("--streams", nargs="+", type=int, default=[1, 4], help="how many at once, one run for each")
    parser.add_argument("--via", choices=("rtmp", "hls"), default="rtmp", help="how the streams are watched")
    parser.add_argument("--speech", action="store_true", help="listen to them too")
    parser.add_argument("--until", type=float, default=1.0, help="stop after the run that drops more than this share")
    parser.add_argument("--seconds", type=float, default=1e9, help="of each live, at most")
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    arguments = parser.parse_args()
    for program in ("nginx", "ffmpeg"):
        if shutil.which(program) is None:
            parser.error(f"{program} is not installed")
    method = open_method("auto", Settings())
    results = []
    with tempfile.TemporaryDirectory(prefix="shopcue-live-") as name:
        folder = Path(name)
        lives = []
        for live in arguments.lives:
            gallery, _ = build_gallery(read_feed(live / "catalog.csv"), method.encoder, cache=EmbeddingCache(None))
            film = at_720p(live / "live.mp4", folder)
            lives.append(Live(live.name, read_truth(live / "truth.json"), gallery, film))
        whole = arguments.seconds >= max(live.truth.duration_s for live in lives)
        offline = {live.name: method.find_focuses(probe(live.film), live.gallery, Words()) for live in lives if whole}
        for count in arguments.streams:
            found = watch(lives, count, arguments.seconds, arguments.via, arguments.speech, method, folder)
            sinks, chosen = found.pop("sinks"), found.pop("lives")
            delays = [
                d for s, live in zip(sinks, chosen, strict=True) for d in delays_s(s, live.truth, arguments.seconds)
            ]
            found["delay_p50_s"] = float(np.median(delays)) if delays else None
            if whole:
                pairs = list(zip(sinks, chosen, strict=True))
                live_scores = score_focuses([Video(v.truth.focuses, s.focuses(), v.truth.duration_s) for s, v in pairs])
                off_scores = score_focuses(
                    [Video(v.truth.focuses, offline[v.name], v.truth.duration_s) for _, v in pairs]
                )
                found["f1_50"], found["f1_50_offline"] = live_scores.f1_50, off_scores.f1_50
                found["same_as_offline"] = float(np.mean([same(s.focuses(), offline[v.name]) for s, v in pairs]))
            results.append(found)
            print(json.dumps(found), flush=True)
            if found["dropped_share"] > arguments.until:
                break
    if arguments.out is not None:
        write(arguments.out, ", ".join(live.name for live in arguments.lives), results)


if __name__ == "__main__":
    main()
