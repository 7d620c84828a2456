"""How soon a product is announced, and how good what is announced is: live decisions against offline ones.

    python -m benchmarks.decisions LIVE... [--out FILE]

Each live plays through a stream as fast as it is looked at, without drops, so that its time is that of the film and the
load of the machine does not count. Decision delay: from the true start of a focus to the time of the stream at which
its product was announced, where it was announced at all. Shown for nothing: announced focuses that were withdrawn.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.live import Kept, OnAir, delays_s

from shopcue.catalog.cache import EmbeddingCache
from shopcue.catalog.exact import build_gallery
from shopcue.catalog.feeds import read_feed
from shopcue.engine import Engine
from shopcue.evaluation import Truth, read_truth
from shopcue.methods import Method, open_method
from shopcue.metrics.focuses import Video, score_focuses
from shopcue.pipeline import Words
from shopcue.records import Focus
from shopcue.settings import Settings
from shopcue.sources.files import probe
from shopcue.sources.live import PacedFile


def decide(live: Path, method: Method) -> tuple[Truth, Kept, list[Focus]]:
    """Return the truth of a live, what a live run tells of it, and what an offline one finds."""
    truth, film = read_truth(live / "truth.json"), live / "live.mp4"
    gallery, _ = build_gallery(read_feed(live / "catalog.csv"), method.encoder, cache=EmbeddingCache(None))
    engine, sink = Engine(method), Kept()
    try:
        engine.start("live", PacedFile(film, float("inf")), OnAir(gallery), sink, full="wait").join()
    finally:
        engine.close()
    return truth, sink, method.find_focuses(probe(film), gallery, Words())


def summary(name: str, runs: Sequence[tuple[Truth, Kept, list[Focus]]]) -> dict[str, Any]:
    """Return the figures of some lives together."""
    delays = [delay_s for truth, sink, _ in runs for delay_s in delays_s(sink, truth, truth.duration_s)]
    kinds = [each.kind for _, sink, _ in runs for _, each in sink.news]
    live = score_focuses([Video(truth.focuses, sink.focuses(), truth.duration_s) for truth, sink, _ in runs])
    offline = score_focuses([Video(truth.focuses, found, truth.duration_s) for truth, _, found in runs])
    return {
        "lives": name,
        "focuses": sum(len(truth.focuses) for truth, *_ in runs),
        "announced": len(delays),
        "delay_p50_s": float(np.median(delays)),
        "delay_p95_s": float(np.quantile(delays, 0.95)),
        "opened": kinds.count("open"),
        "withdrawn": kinds.count("withdraw"),
        "f1_50": live.f1_50,
        "f1_50_offline": offline.f1_50,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lives", nargs="+", type=Path, help="folders with live.mp4, catalog.csv and truth.json")
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    arguments = parser.parse_args()
    method = open_method("auto", Settings())
    runs = {}
    for live in arguments.lives:
        runs[live.name] = decide(live, method)
        print(json.dumps(summary(live.name, [runs[live.name]])), flush=True)
    whole = summary(", ".join(runs), list(runs.values()))
    print(json.dumps(whole))
    if arguments.out is not None:
        report = {"all": whole, "each": [summary(name, [run]) for name, run in runs.items()]}
        arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
