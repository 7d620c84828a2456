"""Picking, its rivals and its parts, on composed films of articles that no net has seen (DPRNet, figures 6, 9, 10).

    python -m runs.picking DATA --encoder FILE [--detector FILE] [--films 8] [--out runs/results/picking.json]

DATA holds grocery/ and clothing/. The films (runs/films.py) show the 6 packaged products that the split of
runs/encoder.py holds out, and garments of the test split; the encoder (and the detector) must be trained without them.
Without --detector what is seen is simulated from the truth: boxes that shake, misses, false ones, doubtful qualities.
What is tuned (max_distance) or trained (AsymNet) is so on films of the other products and of validation garments.
Every figure is the mean over three seeds, of films and of AsymNet, with their standard deviation. Writes a JSON of
tables and, beside it, the same as Markdown. About 8 minutes on 2 idle cores; needs the extra `train`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from runs.encoder import HELD_OUT, SPLIT_SEED
from runs.films import Film, Watched, compose_film, embed, frames_of, shop_pictures, simulated, watch, without

from shopcue.data.composed import Stock, read_stock
from shopcue.data.grocery import GroceryClass, read_classes
from shopcue.data.sampling import split_by_product
from shopcue.metrics.picks import PickScores, score_picks
from shopcue.metrics.retrieval import first_hit_ranks, recall_at
from shopcue.metrics.tracks import score_tracks
from shopcue.models.detector import HouseDetector
from shopcue.models.image import HouseEncoder, ImageEncoder
from shopcue.picking import Thresholds, best_views, pick
from shopcue.records import QUALITIES, Detections, Floats, Tracklet
from shopcue.tracking.pooling import POOLINGS
from shopcue.tracking.tracker import Tracker
from shopcue.training.asymnet import Schedule, Tracklets, rank, train_asymnet

SEEDS = (0, 1, 2)
INTERVALS_S = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
DISTANCES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6)
WINDOWS, LONGEST = 4, 12  # stretches cut from each tracklet that AsymNet is trained on, and their sights at most
LESSONS = partial(Schedule, steps=200, batch=16, others=24)
ALL = tuple(range(len(QUALITIES)))
BRANCHES: dict[str, tuple[int, ...]] = {
    "none": ALL,
    **{f"{name} alone": tuple(b for b in ALL if b != branch) for branch, name in enumerate(QUALITIES)},
    **{f"all but {name}": (branch,) for branch, name in enumerate(QUALITIES)},
    "all three": (),
}
"""Which branches of quality say nothing (DPRNet figure 10)."""

Detect = Callable[[Film, int], list[Detections]]
Row = dict[str, str | float]
Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Show:
    """Watched films and the gallery of their articles: float32 (G, D), row i the picture of article i."""

    films: list[Watched]
    gallery: Floats

    def tracklets(self) -> list[tuple[Tracklet, Floats, int]]:
        """Return every tracklet of a thing, with its embeddings and the thing."""
        every = [each for film in self.films for each in zip(film.tracklets, film.embeddings, film.things, strict=True)]
        return [each for each in every if each[2] >= 0]


def put_on(stock: Stock, seeds: Sequence[int], detect: Detect, encoder: ImageEncoder) -> Show:
    gallery = embed(shop_pictures(stock), encoder)
    films = []
    for seed in seeds:
        film = compose_film(stock, seed)
        films.append(watch(film, detect(film, seed), encoder, Tracker()))
    return Show(films, gallery)


# ---- figure 6: things picked, picked twice, picked well ----------------------------------------------------------


def picked(show: Show, interval_s: float, max_distance: float, silent: tuple[int, ...] = ()) -> PickScores:
    thresholds = Thresholds()
    videos = []
    for film in show.films:
        seen = [without(frame, silent) for frame in film.detections]
        made = pick(seen, interval_s=interval_s, thresholds=thresholds, max_distance=max_distance)
        videos.append((made, film.truth))
    return score_picks(videos)


def best_distance(show: Show) -> float:
    """Return the distance that picks most things once."""

    def once(distance: float) -> float:
        scores = picked(show, 1.0, distance)
        return scores.picked * (1 - scores.duplication)

    return max(DISTANCES, key=once)


def pick_figures(show: Show, interval_s: float, distance: float, silent: tuple[int, ...] = ()) -> Figures:
    scores = picked(show, interval_s, distance, silent)
    return {"R_pick": scores.picked, "R_duplication": scores.duplication, "R_optimal": scores.optimal}


# ---- figures 9 and 10: which picture of the gallery ---------------------------------------------------------------


def recalls(similarity: Floats, things: Sequence[int]) -> Figures:
    ranks = first_hit_ranks(similarity, [{thing} for thing in things])
    return {f"R@{k}": recall_at(ranks, k) for k in (1, 5)}


def pooled(show: Show, how: str) -> Figures:
    rows = [POOLINGS[how](embeddings @ show.gallery.T) for _, embeddings, _ in show.tracklets()]
    return recalls(np.stack(rows), [thing for *_, thing in show.tracklets()])


def best_view(show: Show, silent: tuple[int, ...] = ()) -> Figures:
    """Return the recall of the best view of each tracklet alone; with no branch, of its surest sight."""
    rows = []
    for tracklet, embeddings, _ in show.tracklets():
        quality = tracklet.quality.copy()
        quality[:, list(silent)] = 1
        heard = Tracklet(
            tracklet.tracklet_id,
            tracklet.coarse_class,
            tracklet.times_s,
            tracklet.boxes,
            tracklet.scores,
            quality,
            tracklet.vectors,
        )
        best = best_views(heard, interval_s=float("inf"))[0]
        rows.append(embeddings[np.searchsorted(tracklet.times_s, best.time_s)] @ show.gallery.T)
    return recalls(np.stack(rows), [thing for *_, thing in show.tracklets()])


def asymnet(show: Show, school: Show, seed: int) -> Figures:
    rng = np.random.default_rng(seed)
    views, things = [], []
    for _, embeddings, thing in school.tracklets():
        for _ in range(WINDOWS):
            first, end = np.sort(rng.choice(len(embeddings) + 1, 2, replace=False))
            views.append(embeddings[first : min(end, first + LONGEST)])
            things.append(thing)
    net = train_asymnet(Tracklets.of(views, things), school.gallery, LESSONS(seed=seed), lambda *_: None)
    judged = show.tracklets()
    similarity = rank(net, Tracklets.of([each[1] for each in judged], [each[2] for each in judged]), show.gallery)
    return recalls(similarity, [thing for *_, thing in judged])


# ---- the tables --------------------------------------------------------------------------------------------------


def tables(shows: Sequence[Show], school: Show, distance: float) -> list[dict[str, object]]:
    def rows(label: str, ways: Mapping[str, Callable[[Show, int], Figures]]) -> list[Row]:
        return [{label: way, **_summed(way_of, shows)} for way, way_of in ways.items()]

    by_interval = {
        f"{T:g} s": partial(_ignoring_seed(pick_figures), interval_s=T, distance=distance) for T in INTERVALS_S
    }
    rivals: dict[str, Callable[[Show, int], Figures]] = {
        how: partial(_ignoring_seed(pooled), how=how) for how in POOLINGS
    }
    rivals["asymnet"] = lambda show, seed: asymnet(show, school, seed)
    rivals["best view"] = _ignoring_seed(best_view)
    parts = {name: partial(_branch_figures, distance=distance, silent=silent) for name, silent in BRANCHES.items()}
    return [
        {"title": "Picking by key frames every T (DPRNet figure 6).", "rows": rows("T", by_interval)},
        {"title": "One view against many (DPRNet figure 9).", "rows": rows("way", rivals)},
        {"title": "Picking without some branches of quality (DPRNet figure 10).", "rows": rows("branches", parts)},
        {"title": "Tracks of the same films.", "rows": rows("tracker", {"ours": _ignoring_seed(_track_figures)})},
    ]


def _ignoring_seed(figures: Callable[..., Figures]) -> Callable[..., Figures]:
    return lambda show, _, **settings: figures(show, **settings)


def _branch_figures(show: Show, _: int, distance: float, silent: tuple[int, ...]) -> Figures:
    return {**pick_figures(show, 1.0, distance, silent), **best_view(show, silent)}


def _track_figures(show: Show) -> Figures:
    each = [score_tracks(film.tracked) for film in show.films]
    true = sum(scores.true for scores in each)
    return {
        "MOTA": sum(scores.mota * scores.true for scores in each) / true,
        "IDF1": float(np.mean([scores.idf1 for scores in each])),
        "switches": sum(scores.switches for scores in each) / true,
    }


def _summed(figures: Callable[[Show, int], Figures], shows: Sequence[Show]) -> Row:
    found = [figures(show, seed) for seed, show in zip(SEEDS, shows, strict=True)]
    summed: Row = {}
    for name in found[0]:
        values = [each[name] for each in found]
        summed[name] = round(float(np.mean(values)), 3)
        summed[f"{name} ±"] = round(float(np.std(values)), 3)
    return summed


def markdown(result: dict[str, object], made: Sequence[dict[str, object]]) -> str:
    lines = ["# Picking", "", str(result["protocol"]), ""]
    for table in made:
        rows = table["rows"]
        assert isinstance(rows, list)
        names = [name for name in rows[0] if not name.endswith(" ±")]
        lines += [str(table["title"]), "", "| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
        for row in rows:
            cells = [f"{row[n]:.3f} ± {row[n + ' ±']:.3f}" if f"{n} ±" in row else str(row[n]) for n in names]
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--detector", type=Path)
    parser.add_argument("--films", type=int, default=8, help="a seed; twice as many to train on")
    parser.add_argument("--per-kind", type=int, default=15, help="garments of each class")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "picking.json")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    begun = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - begun:.0f} s: {what}", flush=True)

    encoder = HouseEncoder(arguments.encoder, threads=1)
    detect: Detect = partial(_guess, encoder)
    if arguments.detector:
        detect = partial(_see, HouseDetector(arguments.detector, threads=1))
    packaged: list[GroceryClass] = [c for c in read_classes(arguments.data / "grocery") if c.packaged]
    kept, held_out = split_by_product(packaged, HELD_OUT, SPLIT_SEED)
    school_stock = _stock(arguments, kept, "validation")
    school = put_on(school_stock, range(2 * arguments.films), detect, encoder)
    distance = best_distance(school)
    say(f"tuned on {len(school.tracklets())} tracklets: max_distance {distance}")
    stock = _stock(arguments, held_out, "test")
    first = 1000
    seeds = [range(first * (seed + 1), first * (seed + 1) + arguments.films) for seed in SEEDS]
    shows = [put_on(stock, chosen, detect, encoder) for chosen in seeds]
    say(f"watched {sum(len(show.films) for show in shows)} films, {sum(len(s.tracklets()) for s in shows)} tracklets")
    made = tables(shows, school, distance)
    seen_by = f"the detector {arguments.detector.stem}" if arguments.detector else "a simulated detector"
    result: dict[str, object] = {
        "title": "Picking, its rivals and its parts.",
        "protocol": f"{len(SEEDS)} seeds of {arguments.films} composed films (40 s, 2 frames/s, 4 cuts, 6 articles) "
        f"of {len(held_out)} cartons and garments never trained on, seen by {seen_by}; gallery: the front picture of "
        f"all {len(shows[0].gallery)} articles; thresholds .5, max_distance {distance} (tuned on other articles); "
        "retrieval: each tracklet is a query. `runs/picking.py`.",
        "seconds": round(time.monotonic() - begun),
        "tables": made,
    }
    arguments.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    arguments.out.with_suffix(".md").write_text(markdown(result, made), encoding="utf-8")


def _guess(encoder: ImageEncoder, film: Film, seed: int) -> list[Detections]:
    return simulated(film, encoder, seed)


def _see(detector: HouseDetector, film: Film, _: int) -> list[Detections]:
    return detector.detect(frames_of(film))


def _stock(arguments: argparse.Namespace, products: Sequence[GroceryClass], garments: str) -> Stock:
    ids = [each.class_id for each in products]
    return read_stock(arguments.data, ids, garments, per_kind=arguments.per_kind, designs=(), twins=False)


if __name__ == "__main__":
    main()
