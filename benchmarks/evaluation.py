"""Time and memory of judging 100,000 queries against one gallery of 100,000 vectors.

    python benchmarks/evaluation.py [--queries 100000] [--gallery 100000] [--dim 256] [--compressed] [--out FILE]

Writes two files of random unit vectors, as somebody brings them who wants a model judged, and judges them in a process
of its own, from the files to the report: each query has its own right answer, and one in ten has three. Reported are
the seconds, those of the processor, and the process's peak resident memory, all libraries included, and what it was
before. Linux alone. A compressed file cannot be mapped into memory and an .npz is read whole, so the vectors of both
sides are held, 4 bytes a value, and those that are asked for once more in the order of the ids.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np

from shopcue.data.clip_pairs import Clip, ClipBench, ShopImage
from shopcue.protocols.clips import ClipProtocol
from shopcue.protocols.evaluation import judge_files
from shopcue.protocols.vectors import VectorFiles

MANY, FEW = 3, 1
EVERY = 10  # a query in so many has several right answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=100_000)
    parser.add_argument("--gallery", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--compressed", action="store_true")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = VectorFiles(Path(folder) / "q.npz", Path(folder) / "g.npz")
        for path, count, letter in ((files.queries, arguments.queries, "q"), (files.gallery, arguments.gallery, "g")):
            write(path, count, arguments.dim, letter, compressed=arguments.compressed)
        # A fresh process: what wrote the files is not counted.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            row = pool.apply(judge, (files, arguments.queries, arguments.gallery))
    row = {"queries": arguments.queries, "gallery": arguments.gallery, "dim": arguments.dim, **row}
    print(json.dumps(row), flush=True)
    if arguments.out:
        machine = {
            "cores": os.cpu_count(),
            "processor": platform.machine(),
            "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        }
        arguments.out.write_text(json.dumps({"machine": machine, "rows": [row]}, indent=1) + "\n", encoding="utf-8")


def write(path: Path, count: int, dim: int, letter: str, *, compressed: bool) -> None:
    """Write unit vectors of a side; the gallery's and the queries' with one number are near each other."""
    shared, own = np.random.default_rng(0), np.random.default_rng(ord(letter))
    vectors = shared.normal(size=(count, dim)).astype(np.float32)
    vectors += 2 * own.normal(size=(count, dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    save = np.savez_compressed if compressed else np.savez
    save(path, ids=np.array([f"{letter}{number}" for number in range(count)]), vectors=vectors)


def judge(files: VectorFiles, queries: int, gallery: int) -> dict[str, float]:
    """Return seconds, peak memory and what was found, of this process."""
    before_mb = peak_mb()
    images = tuple(f"g{number}" for number in range(gallery))
    clips = tuple(
        Clip(f"q{n}", (), image_ids=tuple(images[(n + i * 7) % gallery] for i in range(FEW if n % EVERY else MANY)))
        for n in range(queries)
    )
    bench = ClipBench("noise", clips, {each: ShopImage(each, None) for each in images}, {"": images})
    protocol = ClipProtocol(lambda data, note, frames, detected: bench, (1, 3, 5, 10))
    begun, begun_cpu = time.perf_counter(), time.process_time()
    report = judge_files(protocol, [protocol], Path(), files, print)
    return {
        "seconds": round(time.perf_counter() - begun, 1),
        "cpu_seconds": round(time.process_time() - begun_cpu, 1),
        "peak_mb": round(peak_mb()),
        "before_mb": round(before_mb),
        "R@1": round(report.recall[1], 4),
        "R@10": round(report.recall[10], 4),
    }


def peak_mb() -> float:
    """Return the most memory that this process has held, in MB."""
    # Not getrusage: its peak is handed on to a new process by the one that started it.
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
