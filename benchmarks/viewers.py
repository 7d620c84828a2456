"""How soon viewers of a live stream hear of an event, and what slow ones cost.

    python benchmarks/viewers.py [--viewers 200] [--rate 5] [--seconds 30] [--out FILE]

Starts `shopcue serve` without workers on a folder of its own, puts a published stream into a shop of 1,000 products,
and writes focus events into the database, as the worker of a stream does. Viewers follow from this process: shoppers by
SSE without a token, and as many by WebSocket with one; first each kind alone, then both at once. Measured is the time
from when an event is written until a viewer has it: the commit, the server's reading, the sending and the client's own
reading. At the end as many viewers ask for everything that there was, of which a hundred events are large, and take
nothing of it, while more large events come; it is measured what that adds to the server's memory, and how soon those
who do read hear of them. Client and server share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL.Image import fromarray
from websockets.asyncio.client import connect

from shopcue.catalog.rows import Embedded
from shopcue.catalog.store import open_store
from shopcue.database import Database, open_database
from shopcue.database.events import last_event_id
from shopcue.database.focuses import save_open
from shopcue.database.shops import put_shop
from shopcue.database.videos import add_video, change_video, get_video
from shopcue.records import Alternative, Evidence, Focus, Product, Utterance

SHOP, PRODUCTS = "bench", 1000
_STAMP = re.compile(rb'"event_id":(\d+),.*?"at":"([^"]+)"')  # to read all of it would cost more than to send it


@dataclass
class Heard:
    """What viewers have heard: (event id, seconds from writing to reading) of each delivery."""

    viewers: int = 0
    deliveries: list[tuple[int, float]] = field(default_factory=list)

    def take(self, text: str | bytes) -> None:
        """Take an event as it came, now."""
        now_s = time.time()
        found = _STAMP.search(text if isinstance(text, bytes) else text.encode())
        assert found
        at_s = datetime.fromisoformat(found[2].decode()).timestamp()
        self.deliveries.append((int(found[1]), now_s - at_s))

    def figures(self, written: set[int]) -> dict[str, float]:
        """Return how soon the events that were written were heard, in milliseconds, and how many never were."""
        delays_ms = sorted(1000 * delay for event_id, delay in self.deliveries if event_id in written)
        cuts = statistics.quantiles(delays_ms, n=100)
        return {
            "viewers": self.viewers,
            "events": len(written),
            "missing": self.viewers * len(written) - len(delays_ms),
            "p50_ms": round(cuts[49], 1),
            "p95_ms": round(cuts[94], 1),
            "p99_ms": round(cuts[98], 1),
            "max_ms": round(delays_ms[-1], 1),
        }


@dataclass(frozen=True)
class Server:
    """A running server: its address, its process, a token, its database and a live stream in it."""

    address: str
    pid: int
    token: str
    database: Database
    video_id: str

    @property
    def memory_mb(self) -> float:
        """The memory that it holds now, in megabytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    @property
    def cpu_s(self) -> float:
        """The processor time that it has taken so far, in seconds."""
        words = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--viewers", type=int, default=200)
    parser.add_argument("--rate", type=float, default=5.0, help="events a second")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each measurement")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        figures = asyncio.run(measure(Path(name), arguments.viewers, arguments.rate, arguments.seconds))
    text = json.dumps({"cores": os.cpu_count(), "load": os.getloadavg()[0], **figures}, indent=1)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


async def measure(folder: Path, viewers: int, rate: float, seconds: float) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    async with serving(folder) as server:
        for name, kinds in (("sse", (by_sse,)), ("websocket", (by_socket,)), ("both", (by_sse, by_socket))):
            began_cpu_s, began_s = server.cpu_s, time.monotonic()
            async with watching(server, [kind for kind in kinds for _ in range(viewers)]) as heard:
                written = await write(server, rate, seconds)
            cpu = (server.cpu_s - began_cpu_s) / (time.monotonic() - began_s)
            figures[name] = {
                **heard.figures(written),
                "server_cpu": round(cpu, 2),
                "server_mb": round(server.memory_mb),
            }
        figures["slow"] = await measure_slow(server, viewers, rate, seconds)
    return figures


async def measure_slow(server: Server, viewers: int, rate: float, seconds: float) -> dict[str, Any]:
    """Let viewers stand still that have asked for all that there was, while large events come."""
    await write(server, 50, 2, filling=20_000)
    before_mb, peak_mb = server.memory_mb, 0.0
    async with standing_still(server, viewers), watching(server, [by_sse] * 20) as heard:
        written: set[int] = set()
        for _ in range(10):
            written |= await write(server, rate, seconds / 10, filling=20_000)
            peak_mb = max(peak_mb, server.memory_mb)
    return {"standing_still": viewers, "added_mb": round(peak_mb - before_mb, 1), **heard.figures(written)}


# ---- the server --------------------------------------------------------------------------------------------------


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Server]:
    command = [sys.executable, "-m", "shopcue", "serve", "--data", str(folder), "--port", "0", "--workers", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    said = ""
    while "http://" not in said:
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"the server does not start: {said}")
        said += line
    token, address = re.search(r"sc_\w+", said), re.search(r"http://\S+", said)
    assert token
    assert address
    database = open_database(f"sqlite:///{folder / 'shopcue.db'}")
    try:
        yield Server(address[0], process.pid, token[0], database, stock(folder, database))
    finally:
        database.close()
        process.terminate()
        process.wait(60)


def stock(folder: Path, database: Database) -> str:
    """Fill a shop, and put a published stream into it; return its id."""
    out, draw = BytesIO(), np.random.default_rng(0)
    fromarray(np.zeros((64, 64, 3), np.uint8)).save(out, "JPEG")
    vectors = draw.normal(size=(PRODUCTS, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    items = [
        Embedded(Product(f"p{n}", f"Product {n}", ("a.jpg",)), vectors[n : n + 1], (out.getvalue(),), (str(n),))
        for n in range(PRODUCTS)
    ]
    open_store(str(folder / "store")).upsert(SHOP, items, "bench")
    with database.write() as session:
        put_shop(session, SHOP, "Bench")
        video = add_video(session, SHOP, "stream", "Live", "rtmp://127.0.0.1/live")
        change_video(session, video.video_id, state="live", published=True)
        return video.video_id


async def write(server: Server, rate: float, seconds: float, filling: int = 0) -> set[int]:
    """Write events at a steady rate and return their ids, a moment after the last one."""
    written: set[int] = set()
    began_s = time.monotonic()
    for number in range(round(rate * seconds)):
        await asyncio.sleep(max(began_s + number / rate - time.monotonic(), 0))
        written.add(await asyncio.to_thread(write_one, server, number, filling))
    await asyncio.sleep(1.0)
    return written


def write_one(server: Server, number: int, filling: int) -> int:
    """Let a product come on screen, as a live stream does; return the id of the event."""
    said = (Utterance(number, number + 1, "a sentence about it " + "x" * filling),)
    evidence = Evidence(3.0, 1.0, 0.2, float(number), (0.0, 0.0, 100.0, 100.0), said)
    others = tuple(Alternative(f"p{n}", 0.1) for n in range(4))
    product_id = f"p{number % PRODUCTS}"
    with server.database.write() as session:
        video = get_video(session, server.video_id)
        save_open(session, video, Focus(product_id, "Product", number, number + 1.0, 0.9, evidence, others))
        return last_event_id(session)


# ---- viewers -----------------------------------------------------------------------------------------------------

Watch = Callable[[Server, Heard, asyncio.Event], Coroutine[Any, Any, None]]


@asynccontextmanager
async def watching(server: Server, ways: list[Watch]) -> AsyncIterator[Heard]:
    """Follow the stream in many ways at once; the block begins when all follow."""
    heard = Heard(viewers=len(ways))
    async with asyncio.TaskGroup() as tasks:
        begun = [asyncio.Event() for _ in ways]
        running = [tasks.create_task(way(server, heard, event)) for way, event in zip(ways, begun, strict=True)]
        for event in begun:
            await event.wait()
        yield heard
        for task in running:
            task.cancel()


async def by_sse(server: Server, heard: Heard, begun: asyncio.Event) -> None:
    reader, writer = await ask(server)
    try:
        async for line in reader:
            if line.startswith(b": here"):
                begun.set()
            elif line.startswith(b"data: "):
                heard.take(line[6:])
    finally:
        writer.close()


async def by_socket(server: Server, heard: Heard, begun: asyncio.Event) -> None:
    place = f"{server.address.replace('http', 'ws')}/api/videos/{server.video_id}/events/ws"
    async with connect(place, additional_headers={"Authorization": f"Bearer {server.token}"}) as socket:
        begun.set()
        async for message in socket:
            heard.take(message)


@asynccontextmanager
async def standing_still(server: Server, viewers: int) -> AsyncIterator[None]:
    """Keep connections that nobody reads; half of them are private and get events in full."""
    connections = [await ask(server, "?after=0", private=number % 2 == 0, limit=1) for number in range(viewers)]
    yield
    for _, writer in connections:
        writer.transport.abort()


async def ask(
    server: Server, query: str = "", *, private: bool = False, limit: int = 1 << 20
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Ask for the events of the stream; limit: how many bytes are read ahead."""
    place = urlsplit(server.address)
    reader, writer = await asyncio.open_connection(place.hostname, place.port, limit=limit)
    path = "/api/videos" if private else "/api/public/videos"
    request = f"GET {path}/{server.video_id}/events{query} HTTP/1.1\r\nHost: {place.netloc}\r\n"
    writer.write(f"{request}Authorization: Bearer {server.token}\r\n\r\n".encode())
    await writer.drain()
    return reader, writer


if __name__ == "__main__":
    main()
