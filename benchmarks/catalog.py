"""How fast a store answers with a shop of 100,000 products: lists, filters, searches, changes, and what it takes.

    python benchmarks/catalog.py [--products 100000] [--dim 512] [--folder DIR] [--rounds 200] [--out FILE]

Products are drawn: English and Chinese titles of a realistic vocabulary, 40 categories in two levels, 500 brands, one
picture each; vectors are random unit vectors and pictures noise of a thumbnail's size, since no time depends on what is
in them. Each question is asked anew, with other words, filters or vectors, and answered by the store as the server
asks it. Times are those of the wall, with the load of the machine beside them, and of all cores together, which others
on the machine hardly change.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from shopcue.catalog.rows import Embedded
from shopcue.catalog.store import CatalogStore, open_store
from shopcue.records import Floats, Product

Cost = tuple[float, float]
"""Seconds of the wall, and of all cores together."""

SHOP, FINGERPRINT = "bench", "random"
PICTURE_BYTES = 18_000
CHANGES = 7
# Kinds, kinds in Chinese, words in Chinese, colours.
KINDS, KINDS_ZH, WORDS_ZH, COLOURS = (
    line.split()
    for line in (
        "dress coat shirt shoe boot bag cup mug lamp chair table tea coffee biscuit oil soap towel pen book toy",
        "连衣裙 大衣 衬衫 皮鞋 靴子 背包 茶杯 台灯 椅子 桌子 茶叶 咖啡 饼干 橄榄油 香皂 毛巾 钢笔 图书 玩具 牛奶",
        "红色 蓝色 夏季 新款 女装 男士 保温 显瘦 气质 长袖 短袖 纯棉 收纳 便携 儿童 家用 经典 复古 简约 高端",
        "red blue green black white grey pink brown beige navy",
    )
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--folder", help="a store that an earlier run filled and kept, or where to keep one")
    parser.add_argument("--rounds", type=int, default=200, help="how often each question is asked")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    folder = arguments.folder or tempfile.mkdtemp(prefix="shopcue-bench-")
    try:
        report = measure(folder, arguments.products, arguments.dim, arguments.rounds)
    finally:
        if not arguments.folder:
            shutil.rmtree(folder)
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def measure(folder: str, count: int, dim: int, rounds: int) -> dict[str, object]:
    """Fill a store unless it is filled, ask it, and return what was measured."""
    rng = np.random.default_rng(1)
    words = vocabulary(rng)
    store = open_store(folder)
    rows: list[dict[str, object]] = []

    def tell(what: str, costs: Sequence[Cost]) -> None:
        wall, cpu = (sorted(1e3 * cost[i] for cost in costs) for i in (0, 1))
        last = len(costs) - 1
        row = {"what": what, "n": len(costs), "load": round(os.getloadavg()[0], 1)}
        row |= {"p50_ms": wall[last // 2], "p95_ms": wall[round(0.95 * last)], "cpu_p50_ms": cpu[last // 2]}
        rows.append({key: round(value, 1) if isinstance(value, float) else value for key, value in row.items()})
        times = "  ".join(f"{name} {row[f'{name}_ms']:>7.1f} ms" for name in ("p50", "p95", "cpu_p50"))
        print(f"{what:<52} n {len(costs):>4}  {times}  load {row['load']}", flush=True)

    if store.products(SHOP, limit=1).total < count:
        tell("fill, 5,000 products a step", fill(store, rng, words, count, dim))
    store = open_store(folder)
    tell("first list after the start", [timed(lambda: store.products(SHOP))])
    tell("first vector search after the start", [timed(lambda: ask(store, vector=unit(rng, dim)))])
    for what, question in questions(store, rng, words, dim):
        tell(what, [timed(question) for _ in range(rounds)])
    for what, seconds in changes(store, rng, words, count, dim):
        tell(what, seconds)
    for what, question in questions(store, rng, words, dim):
        if what.startswith("search"):
            tell(f"{what}, right after changes", [timed(question) for _ in range(rounds // 4)])
    tell("optimize", [timed(lambda: store.optimize(SHOP))])
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    disk = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) >> 20
    print(f"memory at most {memory} MB, disk {disk} MB, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    machine = {"cores": os.cpu_count(), "memory_mb": memory, "disk_mb": disk}
    return {"products": count, "dim": dim, "machine": machine, "rows": rows}


def questions(
    store: CatalogStore, rng: np.random.Generator, words: Sequence[str], dim: int
) -> list[tuple[str, Callable[[], object]]]:
    """Return what a studio, a shopper and a host ask, each drawn anew at every call."""

    def vector() -> Floats:
        return unit(rng, dim)

    def category() -> str:
        return f"Shop > {rng.choice(KINDS)}"

    def brand() -> str:
        return f"Brand {rng.integers(500)}"

    def english() -> str:
        return f"{rng.choice(COLOURS)} {rng.choice(KINDS)} {rng.choice(words)}"

    def chinese() -> str:
        return f"{rng.choice(WORDS_ZH)}{rng.choice(KINDS_ZH)}"

    def few() -> dict[str, Any]:
        return {"category": category(), "brand": brand(), "availability": "in stock"}

    middle = store.products(SHOP, limit=1000).next
    return [
        ("list, first page", lambda: store.products(SHOP)),
        ("list, a page further down", lambda: store.products(SHOP, after=middle)),
        ("list, category", lambda: store.products(SHOP, category=category())),
        ("list, category, brand and availability", lambda: store.products(SHOP, **few())),
        ("list, words", lambda: store.products(SHOP, q=f"{rng.choice(COLOURS)} {rng.choice(KINDS)}")),
        ("list, Chinese words", lambda: store.products(SHOP, q=chinese())),
        ("search, English words", lambda: ask(store, text=english())),
        ("search, Chinese words", lambda: ask(store, text=chinese())),
        ("search, words and category", lambda: ask(store, text=english(), category=category())),
        ("search, vector", lambda: ask(store, vector=vector())),
        ("search, vector and category", lambda: ask(store, vector=vector(), category=category())),
        (
            "search, vector, words and category",
            lambda: ask(store, vector=vector(), text=english(), category=category()),
        ),
        ("one product", lambda: store.get(SHOP, f"p{rng.integers(1_000):06d}")),
        ("one picture", lambda: store.picture(SHOP, f"p{rng.integers(1_000):06d}")),
        ("version", lambda: store.version(SHOP)),
    ]


def changes(
    store: CatalogStore, rng: np.random.Generator, words: Sequence[str], count: int, dim: int
) -> list[tuple[str, Sequence[Cost]]]:
    """Change the shop as imports and people do, and look at it after each change."""
    fresh: list[Cost] = []
    listed: list[Cost] = []
    searched: list[Cost] = []
    single: list[Cost] = []
    seen: list[Cost] = []
    with Onlooker(store.uri) as onlooker:
        for turn in range(CHANGES):
            half = range(turn * 500, turn * 500 + 500)
            items = make_items(rng, words, half, dim)
            items += make_items(rng, words, range(count + half.start, count + half.stop), dim)
            fresh.append(timed(partial(store.upsert, SHOP, items, FINGERPRINT)))
            listed.append(timed(partial(store.products, SHOP)))
            searched.append(timed(partial(ask, store, vector=unit(rng, dim))))
            title = f"changed {turn}"
            single.append(timed(partial(store.revise, SHOP, "p000007", {"title": title})))
            seen.append(timed(partial(onlooker.find, title)))
    gone = [f"p{number:06d}" for number in range(count, count + 500 * CHANGES)]
    return [
        ("upsert of 1,000 products, half of them new", fresh),
        ("first list after it", listed),
        ("first vector search after it", searched),
        ("change of one title", single),
        ("until another process lists it", seen),
        (f"delete of {len(gone):,} products", [timed(lambda: store.delete(SHOP, gone))]),
    ]


class Onlooker:
    """Another process with the same store."""

    CODE = (
        "import sys\nfrom shopcue.catalog.store import open_store\nstore = open_store(sys.argv[1])\n"
        f"store.products({SHOP!r})\nprint('ready', flush=True)\n"
        f"for line in sys.stdin: print(store.products({SHOP!r}, q=line.strip()).total, flush=True)\n"
    )

    def __init__(self, uri: str) -> None:
        command = [sys.executable, "-c", self.CODE, uri]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._say("")

    def __enter__(self) -> Onlooker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def find(self, title: str) -> None:
        """List by a title, which must be there."""
        assert int(self._say(title)) == 1

    def _say(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if line:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        return self._process.stdout.readline()


# ---- what is asked with ----------------------------------------------------------------------------------------------


def fill(store: CatalogStore, rng: np.random.Generator, words: Sequence[str], count: int, dim: int) -> list[Cost]:
    seconds = []
    for start in range(store.products(SHOP, limit=1).total // 5_000 * 5_000, count, 5_000):
        items = make_items(rng, words, range(start, min(count, start + 5_000)), dim)
        seconds.append(timed(partial(store.upsert, SHOP, items, FINGERPRINT)))
    store.optimize(SHOP)
    return seconds


def make_items(rng: np.random.Generator, words: Sequence[str], numbers: range, dim: int) -> list[Embedded]:
    vectors, draw = unit(rng, dim, len(numbers)), Random(int(rng.integers(1 << 32)))
    return [make_item(draw, words, number, vector) for number, vector in zip(numbers, vectors, strict=True)]


def make_item(draw: Random, words: Sequence[str], number: int, vector: Floats) -> Embedded:
    kind = draw.randrange(len(KINDS))
    if number % 3:
        title = f"{draw.choice(COLOURS)} {KINDS[kind]} {' '.join(draw.sample(words, 3))} {number}"
    else:
        title = "".join(draw.sample(WORDS_ZH, 4)) + KINDS_ZH[kind] + f" {number}"
    product = Product(
        product_id=f"p{number:06d}",
        title=title,
        images=(f"images/{number}.jpg",),
        description=" ".join(draw.sample(words, 40)),
        category=f"Shop > {KINDS[kind]}" + (" > more" if number % 2 else ""),
        price=f"{draw.randrange(1, 500)}.00 USD",
        link=f"https://shop.example/{number}",
        brand=f"Brand {draw.randrange(500)}",
        availability="in stock" if number % 4 else "out of stock",
    )
    return Embedded(product, vector[None], (draw.randbytes(PICTURE_BYTES),), (f"1-{number:064x}",))


def vocabulary(rng: np.random.Generator) -> list[str]:
    """Return 5,000 words of two to four syllables."""
    syllables = [a + b for a in "bcdfghklmnprstvw" for b in ("a", "e", "i", "o", "u", "an", "er", "in")]
    return ["".join(rng.choice(syllables, rng.integers(2, 5))) for _ in range(5_000)]


def unit(rng: np.random.Generator, dim: int, count: int = 0) -> Floats:
    rows = rng.normal(size=(max(1, count), dim)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows if count else rows[0]


def ask(store: CatalogStore, **what: object) -> None:
    store.search(SHOP, fingerprint=FINGERPRINT, k=20, **what)  # type: ignore[arg-type]


def timed(work: Callable[[], object]) -> Cost:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
