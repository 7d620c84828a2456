"""How long a clip takes, one-stage beside two-stage (SGMN, section 4.4 of the paper), in one run.

    python -m benchmarks.clips VIDEO FEED [--clips 24] [--seconds 5] [--rounds 5] [--out FILE]

Clips of so many seconds, at two frames a second, evenly from VIDEO, against the products of FEED; every way gets the
same decoded frames. 'SGMN alone' is eq. 23 and nothing else, as the paper times it: frames -> clip, speech -> text,
both against the shop. 'The method' is what `shopcue match` does of each moment, with and without local features.
Two-stage detects, follows, picks and embeds. Networks run on one thread; the catalogue's embeddings and features are
there. The ways take turns; of the rounds the fastest counts. Milliseconds of a clip, and the ratio.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from shopcue.catalog.cache import EmbeddingCache
from shopcue.catalog.exact import embed_anew
from shopcue.commands import open_shop
from shopcue.matching import FEATURES
from shopcue.methods import Method, open_method
from shopcue.records import Frame, Gallery
from shopcue.settings import Matching, Models, Settings
from shopcue.sources.files import frames_at, probe

RATE_HZ = 2.0
SIDE_PX = 640
APART_S = 60.0  # between clips, so that none knows of the one before
SPEECH = "and this one here is what everybody has been asking for"
Watch = Callable[[], None]


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
    plain, full = (
        {name: open_method(name, settings) for name in FEATURES}
        for settings in (
            Settings(models=Models(threads=1), matching=Matching(verify=verify)) for verify in (0, Matching().verify)
        )
    )
    shop = open_shop(arguments.feed, plain["one-stage"].encoder).gallery
    two_stage, two_stage_full = (watching(ways["two-stage"], shop, clips) for ways in (plain, full))
    kinds = {
        "SGMN alone, eq. 23": (retrieving(plain["one-stage"], shop, clips), two_stage),
        "the method, without local features": (watching(plain["one-stage"], shop, clips), two_stage),
        "the method": (watching(full["one-stage"], shop, clips), two_stage_full),
    }
    rows = []
    for kind, ways in kinds.items():
        one, two = (1000 * seconds / len(clips) for seconds in fastest(ways, arguments.rounds))
        rows.append({"kind": kind, "one-stage_ms": round(one, 1), "two-stage_ms": round(two, 1)})
        rows[-1]["ratio"] = round(two / one, 1)
        print(json.dumps(rows[-1]), flush=True)
    if arguments.out:
        found = {"clips": len(clips), "frames": len(clips[0]), "products": len(shop.catalog), "rows": rows}
        arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def fastest(ways: Sequence[Watch], rounds: int) -> list[float]:
    """Return the seconds of the fastest round of each way; a round before fills what is kept from clip to clip."""
    best = [float("inf")] * len(ways)
    for number in range(rounds + 1):
        for n, way in enumerate(ways):
            begun = time.perf_counter()
            way()
            best[n] = min(best[n], time.perf_counter() - begun) if number else best[n]
    return best


def read_clips(video: Path, count: int, seconds: float) -> list[list[Frame]]:
    """Return the frames of clips that start evenly over a video."""
    room_s = probe(video).duration_s - seconds
    clips = []
    for n in range(count):
        times_s = [n * room_s / max(1, count - 1) + k / RATE_HZ for k in range(round(seconds * RATE_HZ))]
        clips.append(list(frames_at(video, times_s, SIDE_PX)))
    return clips


def retrieving(way: Method, shop: Gallery, clips: Sequence[Sequence[Frame]]) -> Watch:
    """Return what ranks a shop's products for each clip by eq. 23."""
    encoder = way.clips
    assert encoder is not None
    pictures = embed_anew(shop, encoder, EmbeddingCache(None)).vectors
    titles = encoder.encode_texts([product.title for product in shop.catalog])[shop.owner]

    def work() -> None:
        for clip in clips:
            seen = encoder.encode_clips([[frame.image for frame in clip]])
            score = seen @ pictures.T + encoder.text_weight * encoder.encode_texts([SPEECH]) @ titles.T
            np.argsort(-score[0])

    return work


def watching(way: Method, shop: Gallery, clips: Sequence[Sequence[Frame]]) -> Watch:
    """Return what looks at each clip as `match` does; one stream, as it were, so what it keeps is kept."""
    looker, now_s = way.looker(shop), 0.0

    def work() -> None:
        nonlocal now_s
        for clip in clips:
            now_s += APART_S
            frames = [replace(frame, time_s=now_s + k / RATE_HZ) for k, frame in enumerate(clip)]
            for frame, detections in zip(frames, way.detector.detect(frames), strict=True):
                looker.update(frame, replace(detections, time_s=frame.time_s))

    return work


if __name__ == "__main__":
    main()
