"""How long a clip takes, one-stage beside two-stage (SGMN's table of times, section 4.4 of the paper), in one run.

    python -m benchmarks.clips VIDEO FEED [--clips 24] [--seconds 5] [--rounds 5] [--out FILE]

Clips of so many seconds, at two frames a second, evenly from VIDEO, against the products of FEED. Each way gets the
same decoded frames and says in the end what each moment looks like to each product; networks run on one thread, the
catalogue's embeddings are there. 'Retrieval alone' goes without local features, as the paper does: one-stage embeds
frames and joins them, two-stage detects, follows, picks and embeds. The ways take turns; of the rounds the fastest
counts. Milliseconds of a clip, and the ratio.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

from shopcue.commands import open_shop
from shopcue.matching import FEATURES
from shopcue.methods import Method, open_method
from shopcue.records import Frame, Gallery
from shopcue.settings import Matching, Models, Settings
from shopcue.sources.files import frames_at, probe

RATE_HZ = 2.0
SIDE_PX = 640
KINDS = {"retrieval alone": 0, "with local features": Matching().verify}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("feed", type=Path)
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    clips = read_clips(arguments.video, arguments.clips, arguments.seconds)
    rows = []
    for kind, verify in KINDS.items():
        settings = Settings(models=Models(threads=1), matching=Matching(verify=verify))
        ways = [open_method(name, settings) for name in FEATURES]
        shops = [open_shop(arguments.feed, way.encoder).gallery for way in ways]
        best = [float("inf")] * len(ways)
        for _ in range(arguments.rounds):
            for n, (way, shop) in enumerate(zip(ways, shops, strict=True)):
                best[n] = min(best[n], seconds_a_clip(way, shop, clips))
        times = {f"{way.name}_ms": round(1000 * seconds, 1) for way, seconds in zip(ways, best, strict=True)}
        rows.append({"kind": kind, **times, "ratio": round(best[1] / best[0], 1)})
        print(json.dumps(rows[-1]), flush=True)
    if arguments.out:
        found = {"clips": len(clips), "frames": len(clips[0]), "products": len(shops[0].catalog), "rows": rows}
        arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def read_clips(video: Path, count: int, seconds: float) -> list[list[Frame]]:
    """Return the frames of clips that start evenly over a video."""
    room_s = probe(video).duration_s - seconds
    clips = []
    for n in range(count):
        times_s = [n * room_s / max(1, count - 1) + k / RATE_HZ for k in range(round(seconds * RATE_HZ))]
        clips.append(list(frames_at(video, times_s, SIDE_PX)))
    return clips


def seconds_a_clip(way: Method, shop: Gallery, clips: Sequence[Sequence[Frame]]) -> float:
    """Return the mean time from the frames of a clip to what they look like."""
    spent = 0.0
    for clip in clips:
        looker = way.looker(shop)  # a stream has one for hours: making it is not counted
        begun = time.perf_counter()
        for frame, detections in zip(clip, way.detector.detect(clip), strict=True):
            looker.update(frame, detections)
        looker.finish()
        spent += time.perf_counter() - begun
    return spent / len(clips)


if __name__ == "__main__":
    main()
