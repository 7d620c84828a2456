"""Write the README's table from the results that the other scripts left in runs/results/.

    python -m runs.figures [--check]

--check writes nothing and exits with 1 where the README says something else than the results.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "runs" / "results"
OPEN, CLOSE = "<!-- figures -->\n", "<!-- /figures -->"


def main() -> int:
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, rest = text.split(OPEN)
    after = rest.split(CLOSE)[1]
    made = before + OPEN + "\n".join([*table(), ""]) + CLOSE + after
    if "--check" in sys.argv:
        return int(made != text)
    readme.write_text(made, encoding="utf-8")
    return 0


def table() -> Iterator[str]:
    """Yield the lines between the markers."""
    yield from lives()
    yield from retrieval()
    yield from speed()


def read(name: str) -> Any:
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def lives() -> Iterator[str]:
    for name, title in (
        ("lives-unseen", "Lives of products that the encoder has never seen (leave one live out)"),
        ("lives", "Lives of products that the shipped encoder was trained on"),
    ):
        rows = read(name)
        if rows is None:
            continue
        yield f"**{title}.** Semi-synthetic: real photos and backgrounds, a simulated camera, a synthetic voice."
        yield ""
        yield "| lives | way | speech | f1_50 | timeline right | false an hour |"
        yield "|---|---|---|---|---|---|"
        for r in rows:
            size = f"{r['lives']} of {r['minutes']} min, {r['truth']} focuses"
            yield (
                f"| {r['group']} ({size}) | {r['way']} | {r['speech']} | "
                f"{r['f1_50']:.2f} | {r['frame_acc']:.2f} | {r['false_h']:.0f} |"
            )
        yield ""


def retrieval() -> Iterator[str]:
    found = read("retrieval")
    if found is None:
        return
    yield f"**{found['title']}** {found['protocol']}"
    yield ""
    yield "| encoder | R@1 | R@5 |"
    yield "|---|---|---|"
    for r in found["rows"]:
        yield f"| {r['encoder']} | {r['R@1']:.2f} | {r['R@5']:.2f} |"
    yield ""


def speed() -> Iterator[str]:
    found = read("speed")
    if found is None:
        return
    yield "**Speed and memory** on 2 cores without recognition, process start included (`benchmarks/speed.py`)."
    yield ""
    yield "| | |"
    yield "|---|---|"
    yield f"| 640x360, 25 frames a second | {found['x_real_time']:.1f} times real time |"
    yield f"| 1920x1080, 30 frames a second | {found['x_real_time_1080p30']:.1f} times real time |"
    if "peak_ratio" in found:
        yield (
            f"| peak memory, ten minutes / two hours | {found['peak_mb_10_minutes']:.0f} / "
            f"{found['peak_mb_long']:.0f} MB |"
        )
    yield ""


if __name__ == "__main__":
    sys.exit(main())
