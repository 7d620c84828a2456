"""Write the README's tables, and docs/figures.md, from the results that the other scripts left in runs/results/.

    python -m runs.figures [--check]

--check writes nothing and exits with 1 where they say something else than the results.
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
    readme, page = ROOT / "README.md", ROOT / "docs" / "figures.md"
    text = readme.read_text(encoding="utf-8")
    before, rest = text.split(OPEN)
    after = rest.split(CLOSE)[1]
    made = before + OPEN + "\n".join([*table(), ""]) + CLOSE + after
    more = "\n".join([*details()]) + "\n"
    if "--check" in sys.argv:
        return int(made != text or more != page.read_text(encoding="utf-8"))
    readme.write_text(made, encoding="utf-8")
    page.write_text(more, encoding="utf-8")
    return 0


def table() -> Iterator[str]:
    """Yield the lines between the README's markers."""
    yield from lives()
    yield from retrieval()
    yield from detection()
    yield from speed()
    yield from streams()
    yield from server()


def details() -> Iterator[str]:
    """Yield the lines of the page of all other figures."""
    yield from ("# Figures", "")
    yield "Written by `runs/figures.py` from `runs/results/`; never edited by hand. The README has the most important."
    yield ""
    yield from lives(everything=True)
    yield from verification()
    yield from garments()
    yield from scenes()
    yield from sgmn()
    yield from clips()
    yield from instances()
    yield from catalogue()
    picking = RESULTS / "picking.md"
    if picking.exists():
        yield "#" + picking.read_text(encoding="utf-8").rstrip()


def read(name: str) -> Any:
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def lives(*, everything: bool = False) -> Iterator[str]:
    """Yield the lives as `match` finds them, or the unseen ones at other prices and lags as well."""
    names = (
        (
            "lives-unseen",
            "Lives of products that no net has seen (leave one live out; settings were chosen on these)",
        ),
        ("lives", "Lives of products that the shipped encoder was trained on"),
    )
    for name, title in names[:1] if everything else names:
        rows = read(name)
        if rows is None:
            continue
        if not everything:
            rows = [r for r in rows if "switch" not in r["way"] or r["way"] == rows[0]["way"]]
        yield f"**{title}.** Semi-synthetic: real photos and backgrounds, a simulated camera, a synthetic voice."
        yield ""
        yield "| lives | way | speech | f1_50 | timeline right | false an hour |"
        yield "|---|---|---|---|---|---|"
        for r in rows:
            size = f"{r['lives']} of {r['minutes']} min, {r['truth']} focuses"
            way = r.get("method", r["way"]) + (f", {r['way'].removeprefix('shopcue, ')}" if everything else "")
            yield (
                f"| {r['group']} ({size}) | {way} | {r['speech']} | "
                f"{r['f1_50']:.2f} | {r['frame_acc']:.2f} | {r['false_h']:.0f} |"
            )
        yield ""


def retrieval() -> Iterator[str]:
    found = read("retrieval")
    if found is None:
        return
    yield f"**{found['title']}** {found['protocol']} Development figures: the nets to join were chosen on these."
    yield ""
    yield "| encoder | R@1 | R@5 |"
    yield "|---|---|---|"
    for r in found["rows"]:
        yield f"| {r['encoder']} | {r['R@1']:.2f} | {r['R@5']:.2f} |"
    yield ""


def detection() -> Iterator[str]:
    found = read("detection")
    if found is None:
        return
    exams = ("photos, held-out products", "worn garments", "goods in footage")
    yield f"**Detection.** {found['protocol']} Top-1 / top-5 / top-5 tight."
    yield ""
    yield f"| detector | {' | '.join(exams)} |"
    yield "|---" * (len(exams) + 1) + "|"
    for detector in dict.fromkeys(r["detector"] for r in found["rows"]):
        rows = {r["exam"]: r for r in found["rows"] if r["detector"] == detector}
        cells = [f"{rows[e]['top-1']:.2f} / {rows[e]['top-5']:.2f} / {rows[e]['top-5 tight']:.2f}" for e in exams]
        yield f"| {detector} | {' | '.join(cells)} |"
    yield ""


def verification() -> Iterator[str]:
    found = read("verification")
    if found is None:
        return
    yield from (f"## {found['title'].rstrip('.')}", "", found["protocol"], "")
    yield "| search | R@1 | R@5 | ms of one core a query |"
    yield "|---|---|---|---|"
    for r in found["rows"]:
        yield f"| {r['search']} | {r['R@1']:.3f} | {r['R@5']:.3f} | {r['ms a query']:.0f} |"
    yield ""


def garments() -> Iterator[str]:
    found = read("garments")
    if found is None:
        return
    yield from (f"## {found['title'].rstrip('.')}", "", found["protocol"], "")
    yield "| encoder | picture | view | R@1 | R@5 | queries |"
    yield "|---|---|---|---|---|---|"
    for r in found["rows"]:
        picture, view = r.get("picture", "upper 60 % of a photo"), r.get("view", "lower 60 %, degraded")
        yield f"| {r['encoder']} | {picture} | {view} | {r['R@1']:.2f} | {r['R@5']:.2f} | {r['queries']} |"
    yield ""


def scenes() -> Iterator[str]:
    found = read("scenes")
    if found is None:
        return
    yield from (f"## {found['title'].rstrip('.')}", "", found["protocol"] + ".", "")
    yield f"mAP .5:.95 is {found['mAP .5:.95']:.3f}, mAP .5 is {found['mAP .5']:.3f}."
    yield ""
    yield "| class | AP .5:.95 |"
    yield "|---|---|"
    for name, value in found["AP by class"].items():
        yield f"| {name} | {value:.3f} |"
    for name, branch in found["quality"].items():
        yield ""
        accuracy = branch["balanced accuracy"]
        yield f"Quality, {name}: balanced accuracy {accuracy:.2f} (chance .33) over {branch['things']} things."
        yield ""
        yield f"| {name}, true | read as good | middling | bad |"
        yield "|---|---|---|---|"
        rows = branch["rows true, columns read (good, middling, bad)"]
        for level, row in zip(("good", "middling", "bad"), rows, strict=True):
            yield f"| {level} | {' | '.join(map(str, row))} |"
    yield ""


def sgmn() -> Iterator[str]:
    found = read("sgmn")
    if found is None:
        return
    yield from ("## SGMN on composed clips (the paper's tables 5, 6 and 7)", "")
    yield f"{found['protocol']} As it came out."
    yield ""
    named = "R@1 of products spoken of"
    columns = ("R@1", "R@5", "R@10", "R@mean", f"{named}, visual", f"{named}, with text")
    keys = (*columns[:4], "R@1 spoken of, visual", "R@1 spoken of, visual and text")
    places = "Table 6, S_I of eq. 6 being places of the picture"
    titles = {"table 7, ": "Table 7", "table 6, ": "Table 6", "table 6-places, ": places, "table 5, ": "Table 5"}
    for prefix, title in titles.items():
        if not any(row["seeds"] and row["row"].startswith(prefix) for row in found["rows"]):
            continue
        yield f"| {title} | {' | '.join(columns)} |"
        yield "|---|" + "---|" * len(columns)
        for row in found["rows"]:
            if row["seeds"] and row["row"].startswith((prefix, "baseline" if prefix == "table 7, " else prefix)):
                cells = (f"{row[key][0]:.1f} ± {row[key][1]:.1f}" if key in row else "" for key in keys)
                yield f"| {row['row'].removeprefix(prefix)} | {' | '.join(cells)} |"
        yield ""


def clips() -> Iterator[str]:
    found = read("clips")
    if found is None:
        return
    yield from ("## Time of a clip, one-stage beside two-stage", "")
    yield f"{found['clips']} clips of {found['frames']} frames, {found['products']} products, one thread, in one run"
    yield "(`benchmarks/clips.py`). The paper says that one stage is over 30 times faster, on a GPU."
    yield ""
    yield "| | one-stage, ms a clip | two-stage, ms a clip | ratio |"
    yield "|---|---|---|---|"
    for row in found["rows"]:
        yield f"| {row['kind']} | {row['one-stage_ms']:.0f} | {row['two-stage_ms']:.0f} | {row['ratio']:.1f} |"
    yield ""


def instances() -> Iterator[str]:
    found = read("instances")
    if found is None:
        return
    yield from ("## Instances a second (DPRNet table 3)", "")
    yield f"On {found['machine']['cores']} cores, the best of five rounds (`benchmarks/instances.py`)."
    yield ""
    yield "| way | precision | queries a second | shop pictures a second |"
    yield "|---|---|---|---|"
    for r in found["rows"]:
        yield f"| {r['way']} | {r['precision']} | {r['queries a second']:.0f} | {r['pictures a second']:.0f} |"
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
            f"| peak memory, ten minutes / {found['long_hours']:g} hours | {found['peak_mb_10_minutes']:.0f} / "
            f"{found['peak_mb_long']:.0f} MB |"
        )
    yield ""


def streams() -> Iterator[str]:
    found = read("live")
    if found is None:
        return
    yield (
        f"**Live streams** of {found['what']} over a real server of RTMP and HLS, 1280x720, two frames a second, all "
        f"on one engine on {found['cores']} cores (`benchmarks/live.py`). Latency: from the arrival of a frame to its "
        "news; delay: from the true start of a focus to its announcement."
    )
    yield ""
    yield "| streams | latency, median | p95 | frames dropped | of one core | delay, median | f1_50 live | offline |"
    yield "|---|---|---|---|---|---|---|---|"
    for r in found["runs"]:
        scores = (f"{r[name]:.2f}" if r.get(name) is not None else "" for name in ("f1_50", "f1_50_offline"))
        way = "".join((", HLS" if r.get("via") == "hls" else "", ", listened to" if r.get("speech") else ""))
        yield (
            f"| {r['streams']}{way} | {r['latency_p50_s']:.2f} s | {r['latency_p95_s']:.2f} s | "
            f"{r['dropped_share']:.1%} | {r['cpu_share_of_a_core']:.0%} | {r['delay_p50_s']:.1f} s | "
            f"{' | '.join(scores)} |"
        )
    yield ""
    yield from decisions()
    yield from soak()


def decisions() -> Iterator[str]:
    found = read("decisions")
    if found is None:
        return
    r = found["all"]
    yield (
        f"Over all lives ({r['lives']}; {r['focuses']} focuses; `benchmarks/decisions.py`) a product is announced "
        f"{r['delay_p50_s']:.1f} s after its true start (p95 {r['delay_p95_s']:.1f} s), with f1_50 "
        f"{r['f1_50']:.2f} live against {r['f1_50_offline']:.2f} offline; {r['withdrawn']} of {r['opened']} "
        "announcements were withdrawn."
    )
    yield ""


def soak() -> Iterator[str]:
    r = read("soak")
    if r is None:
        return
    yield (
        f"{r['streams']} streams of {r['hours_of_each']:.1f} hours each, faster than life (`benchmarks/soak.py`): "
        f"memory {r['memory_mb_warm']:.0f} MB warm, {r['memory_mb_end']:.0f} MB in the end "
        f"({r['memory_growth']:+.1%}); at most {r['longest_queue']} frames waited, {r['dropped']} were dropped; after "
        f"that time the pictures are {r['picture_drift_ms']:.0f} ms and the sound {r['sound_drift_ms']:.0f} ms from "
        f"where they stand in the film; {r['of_them_as_in_the_second']} of {r['focuses_of_the_last_rounds']} focuses "
        "of the film's last round are as in its second."
    )
    yield ""


def server() -> Iterator[str]:
    viewers, shop = read("viewers"), read("products")
    if viewers is None or shop is None:
        return
    yield (
        "**Server** on 2 cores, which the clients share (`benchmarks/viewers.py`, `benchmarks/products_api.py`): "
        "milliseconds, p50 / p95."
    )
    yield ""
    yield "| | |"
    yield "|---|---|"
    for name, who in (("sse", "SSE"), ("websocket", "WebSocket")):
        r = viewers[name]
        yield f"| an event to {r['viewers']} viewers by {who} | {r['p50_ms']:.0f} / {r['p95_ms']:.0f} |"
    for r in shop["rows"]:
        if r["clients"] == 1 and r["what"] in ("list, first page", "list, category and brand", "search, words"):
            yield f"| {shop['products']:,} products: {r['what']} | {r['p50_ms']:.0f} / {r['p95_ms']:.0f} |"
    yield ""


def catalogue() -> Iterator[str]:
    found = read("catalog")
    if found is None:
        return
    yield from ("## The catalogue store", "")
    yield (
        f"{found['products']:,} products with vectors of {found['dim']} numbers on local disk "
        f"(`benchmarks/catalog.py`), {found['machine']['cores']} cores, at most {found['machine']['memory_mb']} MB."
    )
    yield ""
    yield "| what | n | p50 ms | p95 ms | of CPU, p50 ms |"
    yield "|---|---|---|---|---|"
    for r in found["rows"]:
        yield f"| {r['what']} | {r['n']} | {r['p50_ms']:.0f} | {r['p95_ms']:.0f} | {r['cpu_p50_ms']:.0f} |"
    yield ""


if __name__ == "__main__":
    sys.exit(main())
