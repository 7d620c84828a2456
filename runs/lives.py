"""Score `shopcue match` on lives whose truth is known, with and without speech, beside the naive way.

    python -m runs.lives GROUP=FOLDER[,FOLDER...] ... [--methods two-stage,one-stage] [--speech none,given,auto]
        [--out FILE]

A FOLDER holds live.mp4, catalog.csv, speech.vtt, comments.jsonl and truth.json; all lives of a GROUP are scored
together. Protocol: 2 frames a second, all settings at their defaults, comments given, the scores of
`shopcue eval focuses`. There is no chance in it, so there is no seed. The result is JSON, from which runs/figures.py
makes the README's table.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from shopcue import commands
from shopcue.evaluation import naive_focuses, read_truth
from shopcue.metrics.focuses import Span, Video, score_focuses
from shopcue.models.image import HouseEncoder
from shopcue.sources.files import probe, read_frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", nargs="+", metavar="GROUP=FOLDER,...")
    parser.add_argument("--methods", default="two-stage,one-stage", help="which of the two; comma separated")
    parser.add_argument("--speech", default="none,given", help="which of none, given, auto; comma separated")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    for group in arguments.groups:
        name, folders = group.split("=")
        ways = [("naive", "none")]
        ways += [(method, how) for method in arguments.methods.split(",") for how in arguments.speech.split(",")]
        for method, how in ways:
            scores = score([Path(folder) for folder in folders.split(",")], method, how)
            rows.append({"group": name, "way": method, "speech": how} | scores)
            print(json.dumps(rows[-1]), flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def score(lives: list[Path], method: str, how: str) -> dict[str, object]:
    """Return the scores of one way on a group of lives together."""
    videos = []
    for folder in lives:
        truth = read_truth(folder / "truth.json")
        videos.append(Video(truth.focuses, find(folder, method, how), truth.duration_s))
    scores = {key: value if value is None else round(value, 3) for key, value in asdict(score_focuses(videos)).items()}
    return {"lives": len(lives), "minutes": round(sum(v.duration_s for v in videos) / 60, 1), **scores}


def find(folder: Path, method: str, how: str) -> Sequence[Span]:
    video, feed = folder / "live.mp4", folder / "catalog.csv"
    if method == "naive":
        encoder = HouseEncoder()
        return naive_focuses(
            read_frames(video), encoder, commands.open_shop(feed, encoder).gallery, probe(video).duration_s
        )
    speech = str(folder / "speech.vtt") if how == "given" else how
    return commands.match(video, feed, speech=speech, comments=folder / "comments.jsonl", method=method).focuses


if __name__ == "__main__":
    main()
