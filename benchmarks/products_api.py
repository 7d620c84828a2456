"""How fast a served shop of 100,000 products is listed, filtered and searched through the API.

    python -m benchmarks.products_api [--products 100000] [--folder DIR] [--rounds 200] [--clients 4] [--out FILE]

The shop is drawn as in catalog.py, and 200 videos of 50 focuses each say when its products are on screen. The server is
a process of its own; each question is asked anew with other words, first by one client, then by several at a time. Time
is that of the wall as the client sees it; the load of the machine is printed with it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
from benchmarks.catalog import COLOURS, KINDS, KINDS_ZH, SHOP, WORDS_ZH, fill, vocabulary

from shopcue.catalog.store import open_store
from shopcue.database import focuses, open_database, videos
from shopcue.database.shops import put_shop
from shopcue.database.tokens import create_token
from shopcue.records import Evidence, Focus
from shopcue.server.settings import ServerSettings

DIM = 128
PRODUCTS = f"/api/shops/{SHOP}/products"
Ask = Callable[[httpx.Client], httpx.Response]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="the data of an earlier run, or where to keep them")
    parser.add_argument("--rounds", type=int, default=200, help="how often each question is asked")
    parser.add_argument("--clients", type=int, default=4, help="how many ask at a time in the second half")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="shopcue-bench-"))
    try:
        report = measure(ServerSettings(folder), arguments.products, arguments.rounds, arguments.clients)
    finally:
        if not arguments.folder:
            shutil.rmtree(folder)
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def measure(settings: ServerSettings, count: int, rounds: int, clients: int) -> dict[str, object]:
    """Fill the shop unless it is filled, ask the server, and return what was measured."""
    token = prepare(settings, count)
    rows = []
    with served(settings) as url:
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
            begun = time.perf_counter()
            client.get(PRODUCTS).raise_for_status()
            print(f"first list after the start {time.perf_counter() - begun:.1f} s")
            for at_once in (1, clients):
                for what, ask in questions(client, count):
                    row = {"what": what, "clients": at_once, **timed(client, ask, rounds, at_once)}
                    rows.append(row)
                    print(
                        f"{what:<40} clients {at_once}  p50 {row['p50_ms']:>7} ms  p95 {row['p95_ms']:>7} ms",
                        flush=True,
                    )
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    return {"products": count, "cores": os.cpu_count(), "rows": rows}


def prepare(settings: ServerSettings, count: int) -> str:
    """Fill store and database unless that was done, and return an admin's token."""
    rng = np.random.default_rng(1)
    store, database = open_store(settings.store_uri), open_database(settings.database_url)
    fresh = store.products(SHOP, limit=1).total < count
    if fresh:
        fill(store, rng, vocabulary(rng), count, DIM)
    with database.write() as session:
        put_shop(session, SHOP, "Bench")
        token = create_token(session, "bench", "admin")[1]
    for number in range(200 if fresh else 0):
        with database.write() as session:
            video = videos.add_video(session, SHOP, "recording", f"Show {number}", "show.mp4")
            shown = [f"p{each:06d}" for each in rng.integers(count, size=50)]
            evidence = Evidence(1, 0, 0, 0, (0, 0, 9, 9))
            found = [Focus(each, each, 10.0 * n, 10.0 * n + 8, 0.9, evidence) for n, each in enumerate(shown)]
            focuses.put_focuses(session, video, found)
    database.close()
    return token


@contextmanager
def served(settings: ServerSettings) -> Iterator[str]:
    """Run the server without workers; gives its address."""
    command = [sys.executable, "-m", "shopcue", "serve", "--data", str(settings.data), "--port", "0", "--workers", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("shopcue listens at "), line
            yield line.split()[-1]
        finally:
            process.terminate()


def questions(client: httpx.Client, count: int) -> list[tuple[str, Ask]]:
    """Return what a studio asks, each drawn anew at every call."""
    rng = np.random.default_rng(2)
    middle = client.get(PRODUCTS, params={"limit": 500}).json()["next"]

    def list_by(**draw: Callable[[], str]) -> Ask:
        return lambda client: client.get(PRODUCTS, params={name: value() for name, value in draw.items()})

    def category() -> str:
        return f"Shop > {rng.choice(KINDS)}"

    def words() -> str:
        return f"{rng.choice(COLOURS)} {rng.choice(KINDS)}"

    def words_zh() -> str:
        return f"{rng.choice(WORDS_ZH)}{rng.choice(KINDS_ZH)}"

    return [
        ("list, first page", list_by()),
        ("list, a page further down", list_by(after=lambda: str(middle))),
        ("list, category", list_by(category=category)),
        ("list, category and brand", list_by(category=category, brand=lambda: f"Brand {rng.integers(500)}")),
        ("list, words", list_by(q=words)),
        ("list, Chinese words", list_by(q=words_zh)),
        ("list, ever shown", list_by(shown=lambda: "ever")),
        ("list, never shown", list_by(shown=lambda: "never")),
        ("search, words", lambda client: client.get(f"/api/shops/{SHOP}/search", params={"q": words()})),
        ("one product", lambda client: client.get(f"{PRODUCTS}/p{rng.integers(count):06d}")),
        ("one picture", lambda client: client.get(f"{PRODUCTS}/p{rng.integers(count):06d}/pictures/0")),
        ("the shop", lambda client: client.get(f"/api/shops/{SHOP}")),
    ]


def timed(client: httpx.Client, ask: Ask, rounds: int, at_once: int) -> dict[str, object]:
    """Ask `rounds` times, `at_once` at a time; returns the percentiles."""
    seconds: list[float] = []

    def go() -> None:
        for _ in range(rounds // at_once):
            begun = time.perf_counter()
            ask(client).raise_for_status()
            seconds.append(time.perf_counter() - begun)

    threads = [threading.Thread(target=go) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return percentiles(seconds) | {"load": round(os.getloadavg()[0], 1)}


def percentiles(seconds: Sequence[float]) -> dict[str, object]:
    ordered = sorted(1e3 * each for each in seconds)
    p50, p95 = (round(ordered[min(len(ordered) - 1, int(len(ordered) * q))], 1) for q in (0.5, 0.95))
    return {"n": len(ordered), "p50_ms": p50, "p95_ms": p95}


if __name__ == "__main__":
    main()
