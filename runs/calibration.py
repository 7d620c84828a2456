"""Learn the weights of the score on composed lives, and say how good they are on lives that were not used.

    python -m runs.calibration DATA LIVES... [--encoder FILE] [--detector FILE] [--clips FOLDER] [--out FILE] [--ship]

DATA is the folder of the training data (grocery/, clothing/, video/), LIVES are folders with live.mp4, catalog.csv,
speech.vtt, comments.jsonl and truth.json. The products that LIVES show must be unknown to the encoders, or the weights
trust them too much: give the encoder of the product split, and --ship to store the weights for the shipped one (the
clip encoder that is shipped was trained without these products). Both methods are calibrated on the same lives; `auto`
is the one whose mean f1_50 is the higher at the default settings.

Protocol: 2 frames a second; every live is scored with weights learnt on the others (leave one out); f1_50 over all
lives together. The lives are semi-synthetic: real photos and backgrounds, a simulated camera hand, a synthetic voice.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from shopcue.catalog.exact import build_gallery
from shopcue.catalog.feeds import read_feed
from shopcue.catalog.pictures import read_picture, shrink
from shopcue.data.clothing import read_garments
from shopcue.data.grocery import read_classes, read_photos
from shopcue.evaluation import Truth, read_truth
from shopcue.focusing import Focuser
from shopcue.geometry import squares
from shopcue.looking import Seen
from shopcue.matching import FEATURES, Calibration, fit_logit
from shopcue.mentions import Mentions
from shopcue.methods import Method, make_clip_encoder, uncalibrated
from shopcue.metrics.focuses import Video, score_focuses
from shopcue.models.calibration import TrainedCalibration, TrainedMethod, write_calibration
from shopcue.models.clip import OnnxClipEncoder
from shopcue.models.detector import HouseDetector, WindowDetector
from shopcue.models.hub import INDEX
from shopcue.models.image import HouseEncoder, ImageEncoder
from shopcue.models.text import LexicalMatcher
from shopcue.records import Catalog, Floats, Focus, Frame, Image, Indices, Match
from shopcue.settings import Focusing, Models, Settings
from shopcue.sources.comments import read_comments
from shopcue.sources.files import read_frames
from shopcue.sources.subtitles import read_subtitles

SEED = 0
COHORT = {"goods": 120, "garments": 60, "frames a clip": 16}
LOCAL = [FEATURES["one-stage"].index(name) for name in ("inliers", "inlier_margin", "closeup_margin")]
WINDOWS_A_PICTURE = 4
SIDE_PX = 640


@dataclass(frozen=True)
class Live:
    """A live as features: what a `Looker` and `Mentions` say at each of its T moments."""

    name: str
    catalog: Catalog
    times_s: list[float]
    visual: Floats  # (T, P, F)
    words: Floats  # (T, P, 2): speech, comments
    boxes: list[Floats]
    shown: Indices  # (T,)
    truth: Truth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("lives", type=Path, nargs="+")
    parser.add_argument("--encoder", type=Path, help="the encoder of the product split (default: the shipped one)")
    parser.add_argument("--out", type=Path, help="write the scores as JSON, from which runs/figures.py makes a table")
    parser.add_argument("--ship", action="store_true", help="write the weights for the shipped encoder")
    parser.add_argument("--detector", type=Path, help="another detector than the shipped one")
    parser.add_argument("--clips", type=Path, help="another clip encoder than the shipped one")
    arguments = parser.parse_args()
    settings = Settings(models=Models(clips=str(arguments.clips or "house")))
    encoder, clips = HouseEncoder(arguments.encoder), make_clip_encoder(settings.models)
    cohorts = embed_cohorts(arguments.data, encoder, clips)
    rows: list[dict[str, object]] = []
    weights: dict[str, Calibration] = {}
    for name in FEATURES:
        method = replace(uncalibrated(name, settings, cohorts), encoder=encoder)
        if name == "one-stage":
            method = replace(method, detector=WindowDetector(encoder, squares))
        if arguments.detector and name == "two-stage":
            method = replace(method, detector=HouseDetector(arguments.detector))
        lives = [read_live(folder, method) for folder in arguments.lives]
        rows += report(name, lives)
        weights[name] = fit(lives)
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if arguments.ship:
        cohorts = embed_cohorts(arguments.data, HouseEncoder(), clips)
        methods = {}
        for name, learnt in weights.items():
            networks = uncalibrated(name, settings, cohorts).fingerprints
            methods[name] = TrainedMethod(networks, learnt, f1_of(name, rows))
            print(name, dict(zip(FEATURES[name], learnt.visual.round(3).tolist(), strict=True)), learnt.text)
        write_calibration(TrainedCalibration(methods, cohorts), INDEX.parent)


def f1_of(method: str, rows: Sequence[Mapping[str, Any]]) -> float:
    """Return a method's f1_50 at the default settings, the mean over groups, with and without speech."""
    defaults = Focusing()
    way = way_of(defaults.switch_nats, defaults.max_delay_s)
    return float(np.mean([row["f1_50"] for row in rows if row["method"] == method and row["way"] == way]))


def way_of(switch_nats: float, lag_s: float) -> str:
    return f"shopcue, switch {switch_nats:g}, lag {lag_s:g} s"


def cohort_pictures(data: Path, rng: np.random.Generator) -> Iterator[Image]:
    """Yield pictures that show nothing of any user's shop: loose fruit and vegetables, garments, clips of real life."""
    packaged = {c.class_id for c in read_classes(data / "grocery") if c.packaged}
    goods = [photo.path for photo in read_photos(data / "grocery") if photo.class_id not in packaged]
    garments = [photo.path for photo in read_garments(data / "clothing", "test")]
    for paths, count in ((goods, COHORT["goods"]), (garments, COHORT["garments"])):
        for index in rng.choice(len(paths), count, replace=False):
            yield shrink(read_picture(paths[index]).image, SIDE_PX)
    for clip in sorted((data / "video").rglob("*.mp4")):
        frames = [frame.image for frame in read_frames(clip, 1.0, SIDE_PX)]
        for index in np.linspace(0, len(frames) - 1, min(COHORT["frames a clip"], len(frames))):
            yield frames[int(index)]


def embed_cohorts(data: Path, encoder: ImageEncoder, clips: OnnxClipEncoder) -> dict[str, Floats]:
    """Return what the encoders make of the cohort: pictures, and clips of one frame."""
    frames = embed_cohort(data, clips)
    return {"image": embed_cohort(data, encoder), "clips": clips.join(list(frames[:, None]))}


def embed_cohort(data: Path, encoder: ImageEncoder) -> Floats:
    """Return the embeddings of some windows of each cohort picture, float32 (K, D)."""
    rng = np.random.default_rng(SEED)
    windows, vectors = WindowDetector(encoder), []
    for picture in cohort_pictures(data, rng):
        rows = windows.detect([Frame(0.0, picture)])[0].vectors
        vectors.append(rows[rng.choice(len(rows), WINDOWS_A_PICTURE, replace=False)])
    return np.concatenate(vectors)


def read_live(folder: Path, method: Method) -> Live:
    """Return a live as features."""
    gallery, _ = build_gallery(read_feed(folder / "catalog.csv"), method.encoder)
    truth = read_truth(folder / "truth.json")
    looker = method.looker(gallery)
    moments: list[Seen] = []
    for frame in read_frames(folder / "live.mp4", 2.0, SIDE_PX):
        moments += looker.update(frame, method.detector.detect([frame])[0])
    moments += looker.finish()
    times_s = [moment.time_s for moment in moments]
    visual, boxes = [moment.features for moment in moments], [moment.box for moment in moments]
    mentions = Mentions(LexicalMatcher(gallery.catalog))
    for said in read_subtitles(folder / "speech.vtt"):
        mentions.update(said)
    for written in read_comments(folder / "comments.jsonl"):
        mentions.update(written)
    words = [np.stack([mentions.utterances_at(t), mentions.comments_at(t)], axis=1) for t in times_s]
    position = gallery.catalog.position
    shown = [next((position[s.product_id] for s in truth.focuses if s.start_s <= t < s.end_s), -1) for t in times_s]
    print(f"{method.name} {folder.name}: {len(times_s)} moments", flush=True)
    return Live(folder.name, gallery.catalog, times_s, np.stack(visual), np.stack(words), boxes, np.array(shown), truth)


def fit(lives: Sequence[Live]) -> Calibration:
    """Learn the visual weights without words, then what words add to them: speech may be absent.

    Every moment counts a second time as if nothing had been verified: plain garments have no print to match, and the
    same weights must find them by their looks alone.
    """
    lives = [*lives, *(replace(live, visual=unverified(live.visual)) for live in lives)]
    most = max(len(live.catalog) for live in lives)
    visual, words, absent = (
        np.concatenate([_widened(part, most, fill) for part in parts])
        for parts, fill in (
            ([live.visual for live in lives], 0.0),
            ([live.words for live in lives], 0.0),
            # Shops differ in size: where one has no more products, nothing can be shown.
            ([np.zeros((len(live.times_s), len(live.catalog), 1), np.float32) for live in lives], -1000.0),
        )
    )
    shown = np.concatenate([live.shown for live in lives])
    weights = fit_logit(visual, shown, offset=absent[..., 0])
    text, comments = fit_logit(words, shown, offset=absent[..., 0] + visual @ weights)
    return Calibration(weights, float(text), float(comments))


def unverified(visual: Floats) -> Floats:
    """Return features (T, P, F) as they are where no local feature matches."""
    blind = visual.copy()
    blind[:, :, LOCAL] = 0
    return blind


def _widened(part: Floats, products: int, fill: float) -> Floats:
    """Return (T, P, F) with more products, whose values are `fill`."""
    return np.pad(part, ((0, 0), (0, products - part.shape[1]), (0, 0)), constant_values=fill)


def decode(live: Live, calibration: Calibration, *, spoken: bool, switch_nats: float, lag_s: float) -> list[Focus]:
    """Return the focuses that given weights find."""
    focuser = Focuser(live.catalog, switch_nats=switch_nats, max_delay_s=lag_s)
    focuses = []
    for k, time_s in enumerate(live.times_s):
        visual = live.visual[k] @ calibration.visual
        text = live.words[k] @ np.array([calibration.text, calibration.comments], np.float32) * spoken
        nothing = np.zeros_like(visual)
        score = (visual + text).astype(np.float32)
        focuses += focuser.update(Match(time_s, visual, text.astype(np.float32), nothing, score, live.boxes[k]))
    return focuses + focuser.finish(live.truth.duration_s)


def report(method: str, lives: Sequence[Live]) -> list[dict[str, object]]:
    """Print and return scores by leave one out: of the defaults, then of other prices and lags."""
    held_out = [fit([other for other in lives if other is not live] or [live]) for live in lives]
    defaults = Focusing()
    rows: list[dict[str, object]] = []
    for spoken in (False, True):
        for switch_nats, lag_s in (
            (defaults.switch_nats, defaults.max_delay_s),
            (10.0, 120.0),
            (14.0, 120.0),
            (18.0, 4.0),
        ):
            videos = [
                Video(
                    live.truth.focuses,
                    decode(live, weights, spoken=spoken, switch_nats=switch_nats, lag_s=lag_s),
                    live.truth.duration_s,
                )
                for live, weights in zip(lives, held_out, strict=True)
            ]
            for group in sorted({live.name.split("-")[0] for live in lives}):
                some = [video for video, live in zip(videos, lives, strict=True) if live.name.startswith(group)]
                rows.append(
                    {
                        "group": group,
                        "method": method,
                        "way": way_of(switch_nats, lag_s),
                        "speech": "given" if spoken else "none",
                        "lives": len(some),
                        "minutes": round(sum(video.duration_s for video in some) / 60, 1),
                        **{key: value and round(value, 3) for key, value in asdict(score_focuses(some)).items()},
                    }
                )
                print(json.dumps(rows[-1]), flush=True)
    return rows


if __name__ == "__main__":
    main()
