"""Composed lives as a folder: clips, shop pictures and galleries, for `shopcue.data.composed_clips` to read.

    <out>/
      composed-clips.json    schema, plan, counts and the fingerprint of the rows below, which hold those of the pixels
      images.jsonl           a shop picture a line: image, product, live, split, title, kind, path, sha256
      lives.jsonl            a gallery a line: live, split, language, images
      train.jsonl test.jsonl a clip a line: frames, boxes, speech and what is known of them
      images/<live>/<image>.jpg   clips/<live>/<clip>/<n>.jpg

A product, its photos and the places they were taken in are of one split alone, and so are all that appear beside it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from shopcue.data.composed.articles import CARTON, PRODUCE, Article
from shopcue.data.composed.clip_scripts import Ware
from shopcue.data.composed.clips import ComposedClip, Places, compose_clip, furnish, read_ware
from shopcue.data.composed.grounds import GROUND_PX, Ground, drawn_ground, emptied, frames, read_small, unmarked
from shopcue.data.composed.lives import ClipPlan, ClipSetPlan, Live, Split, plan_lives
from shopcue.data.composed.words import Speech, draw_heard, speak
from shopcue.data.views import Rng, exposed
from shopcue.errors import OutputError
from shopcue.records import Image

SCHEMA = "shopcue.composed-clips/1"
HEAD, IMAGES, LIVES = "composed-clips.json", "images.jsonl", "lives.jsonl"

_QUALITY = 84
_ROOMS, _STUDIOS, _PILES = 120, 24, 4
_OF_LIVE = 12  # rooms, and markets
_SENTENCE_S, _MOST_SENTENCES = 7.0, 6
_SMALL, _LARGE = 0.2, 0.4  # mean share of the frame that the box covers, as RICE's code has it
_SHORT, _LONG = 0.4, 0.7  # share of the frames that show the product, likewise
_FEW, _ABUNDANT = 2, 4  # products in view during the clip

Row = dict[str, Any]
Job = tuple[Live, list[Ground], list[Ground]]  # with rooms and markets


@dataclass(frozen=True, slots=True)
class ClipFormat:
    """frames: of each clip. side_px: the longer side of frames and shop pictures."""

    frames: int = 10
    side_px: int = 224


@dataclass(frozen=True, slots=True)
class _Written:
    """What was written of a live: the rows of its shop pictures and of its clips."""

    live: Row
    images: list[Row]
    clips: list[Row]


def write_clip_set(
    articles: Sequence[Article],
    data: Path,
    out: Path,
    plan: ClipSetPlan,
    form: ClipFormat,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, whole: None,
) -> Row:
    """Compose a set of clips in which articles are shown; return its head.

    articles: of `read_articles`. data: holds video/, maybe, whose frames are rooms. progress: told how many clips are
    done, and of how many. The folder appears when all of it is written; what it holds depends on articles, videos, plan
    and form, not on `workers`. Raises OutputError where `out` is there already or cannot be written, MediaError where a
    photo cannot be read, and SettingsError where there are too few articles.
    """
    if out.exists():
        raise OutputError(f"{out} is there already; expected a new folder: remove it, or name another")
    lives = plan_lives(articles, plan)
    jobs = [*_staged(data, lives, "train"), *_staged(data, lives, "test")]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise OutputError(f"cannot write beside {out}: {error.strerror}; name a folder that can be written") from error
    try:
        rows = list(_written(jobs, partial(_write_live, draft, form), workers, progress))
        head = _write_tables(draft, rows, {"plan": asdict(plan), **asdict(form)})
        draft.chmod(0o755)
        draft.rename(out)
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror}; make room, or name another folder") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return head


def places_of(data: Path, lives: Sequence[Live], split: Split) -> tuple[list[Ground], list[Ground]]:
    """Return (rooms, markets) for the lives of a split: where its garments lay, tables, studios; before its produce.

    Of the videos, the last third is for testing.
    """
    rng = np.random.default_rng((len(lives), int(split == "test"), 41))
    articles = [article for live in lives for article in live.articles]
    garments = [article for article in articles if article.is_garment]
    chosen = rng.permutation(len(garments))[:_ROOMS].tolist()
    rooms = [emptied(*garments[index].read()) for index in chosen]
    filmed = [unmarked(ground.image) for ground in frames(data / "video")]
    bound = 2 * len(filmed) // 3
    rooms += filmed[bound:] if split == "test" else filmed[:bound]
    rooms += [drawn_ground(rng) for _ in range(_STUDIOS)]
    piles = [photo.path for each in articles if each.kind == PRODUCE for photo in each.photos[:_PILES]]
    return rooms, [unmarked(read_small(path, GROUND_PX)) for path in piles]


def shop_picture(article: Article, side_px: int, rng: Rng) -> Image:
    """Return how a shop shows an article: cut out, on plain ground with a soft shadow, in an even light of its own."""
    picture, mask = article.read()
    x, y, width, height = cv2.boundingRect(mask)
    scale = side_px * rng.uniform(0.8, 0.94) / max(width, height)
    shift = (side_px / 2 - scale * (x + width / 2), side_px / 2 - scale * (y + height / 2))
    matrix = np.array([(scale, 0, shift[0]), (0, scale, shift[1])])
    size = (side_px, side_px)
    source = cv2.GaussianBlur(picture, (0, 0), 0.45 / scale) if scale < 0.75 else picture
    laid = cv2.warpAffine(exposed(np.asarray(source, np.uint8), rng, 0.15), matrix, size, flags=cv2.INTER_LINEAR)
    alpha = cv2.GaussianBlur(cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_LINEAR), (3, 3), 0) / np.float32(255)
    ground = np.full((side_px, side_px, 3), 255 - rng.uniform(0, 22, 3) * (rng.random() < 0.5), np.float32)
    shadow = cv2.GaussianBlur(np.roll(alpha, 4, axis=0), (0, 0), 5) * np.float32(rng.uniform(0, 0.25))
    ground *= 1 - shadow[..., None]
    return np.asarray(laid * alpha[..., None] + ground * (1 - alpha[..., None]), np.uint8)


def subsets_of(clip: ComposedClip, speech: Speech) -> Mapping[str, str]:
    """Return the groups of Table 4 of SGMN that a clip is in, and whether its product is spoken of."""
    height, width = clip.images[0].shape[:2]
    shown = clip.boxes[np.isfinite(clip.boxes[:, 0])]
    area = (
        float(((shown[:, 2] - shown[:, 0]) * (shown[:, 3] - shown[:, 1])).mean() / (width * height))
        if len(shown)
        else 0
    )
    return {
        "scale": _graded(area, _SMALL, _LARGE, ("small", "medium", "large")),
        "duration": _graded(len(shown) / len(clip.boxes), _SHORT, _LONG, ("short", "medium", "long")),
        "products": _graded(1 + len(clip.others), _FEW, _ABUNDANT, ("few", "medium", "abundant")),
        "spoken_of": "yes" if speech.spoken_of else "no",
        "speech": speech.heard,
    }


def talk(live: Live, clip: ClipPlan, others: Sequence[int], rng: Rng) -> Speech:
    """Return what is said in a clip. others: the places in the gallery of what else is in view."""
    family = live.families[clip.article]
    near = others or [i for i, each in enumerate(live.families) if each == family and i != clip.article]
    heard = draw_heard(rng)
    if heard == "other" and not near:
        heard = "missing"
    sentences = int(np.clip(rng.poisson(clip.duration_s / _SENTENCE_S), 1, _MOST_SENTENCES))
    shown, rivals = live.titles[clip.article], [live.titles[place] for place in near]
    return Speech(speak(shown, rivals, heard, sentences, live.language, rng), heard)


# ---- a live ------------------------------------------------------------------------------------------------------


def _staged(data: Path, lives: Sequence[Live], split: Split) -> list[Job]:
    """Return the lives of a split, each with the few rooms and markets that it is filmed in."""
    these = [live for live in lives if live.split == split]
    places = places_of(data, these, split) if these else ([], [])
    rng = np.random.default_rng((len(these), int(split == "test"), 53))

    def some(grounds: list[Ground]) -> list[Ground]:
        return [grounds[index] for index in rng.permutation(len(grounds))[:_OF_LIVE].tolist()]

    return [(live, some(places[0]), some(places[1])) for live in these]


def _written(
    jobs: Sequence[Job],
    write: Callable[[Job], _Written],
    workers: int,
    progress: Callable[[int, int], None],
) -> Iterator[_Written]:
    """Yield the rows of each live as it is written, in their order."""
    done, whole = 0, sum(len(live.clips) for live, _, _ in jobs)
    # Not forked: OpenCV's threads do not come along, and who waits for them waits for ever.
    pools = ProcessPoolExecutor(workers, get_context("spawn")) if workers > 1 else nullcontext()
    with pools as pool:
        for written in pool.map(write, jobs) if pool is not None else map(write, jobs):
            done += len(written.clips)
            progress(done, whole)
            yield written


def _write_live(draft: Path, form: ClipFormat, job: Job) -> _Written:
    """Write the pictures of a live and return their rows."""
    cv2.setNumThreads(1)
    live, rooms, markets = job
    wares = [
        read_ware(article, place, family)
        for place, (article, family) in enumerate(zip(live.articles, live.families, strict=True))
    ]
    images = [_write_image(draft, form, live, place) for place in range(len(wares))]
    places = furnish(rooms, markets)
    clips = [_write_clip(draft, form, live, wares, places, images, clip) for clip in live.clips]
    names = [image["image_id"] for image in images]
    row = {"live_id": live.live_id, "split": live.split, "language": live.language, "image_ids": names}
    return _Written(row, images, clips)


def _write_image(draft: Path, form: ClipFormat, live: Live, place: int) -> Row:
    article = live.articles[place]
    product_id = hashlib.sha256(article.key.encode()).hexdigest()[:12]
    rng = np.random.default_rng((int(product_id, 16), 43))
    name = f"images/{live.live_id}/{product_id}-0.jpg"
    return {
        "image_id": f"{product_id}-0",
        "product_id": product_id,
        "live_id": live.live_id,
        "split": live.split,
        "title": live.titles[place].text,
        "kind": article.kind,
        "path": name,
        "sha256": _save(draft, [name], [shop_picture(article, form.side_px, rng)]),
    }


def _write_clip(
    draft: Path,
    form: ClipFormat,
    live: Live,
    wares: Sequence[Ware],
    places: Places,
    images: Sequence[Row],
    plan: ClipPlan,
) -> Row:
    clip = compose_clip(
        wares, plan.article, places, plan.seed, frames=form.frames, side_px=form.side_px, duration_s=plan.duration_s
    )
    speech = talk(live, plan, clip.others, np.random.default_rng((*plan.seed, 47)))
    start_ms = round(1000 * plan.start_s)
    clip_id = f"{live.live_id}-{start_ms}-{start_ms + round(1000 * plan.duration_s)}"
    names = [f"clips/{live.live_id}/{clip_id}/{number}.jpg" for number in range(form.frames)]
    image = images[plan.article]
    return {
        "clip_id": clip_id,
        "live_id": live.live_id,
        "image_id": image["image_id"],
        "product_id": image["product_id"],
        "title": image["title"],
        "image_path": image["path"],
        "kind": image["kind"],
        "speech": speech.text,
        "subsets": subsets_of(clip, speech),
        "duration_s": plan.duration_s,
        "others": [images[other]["image_id"] for other in clip.others],
        "frames": names,
        "boxes": [None if np.isnan(box[0]) else [round(float(side), 1) for side in box] for box in clip.boxes],
        "sha256": _save(draft, names, clip.images),
    }


def _save(draft: Path, names: Sequence[str], pictures: Sequence[Image]) -> str:
    """Write pictures as JPEG and return the SHA-256 of all their bytes."""
    digest = hashlib.sha256()
    (draft / names[0]).parent.mkdir(parents=True, exist_ok=True)
    for name, picture in zip(names, pictures, strict=True):
        encoded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[
            1
        ]
        (draft / name).write_bytes(encoded.tobytes())
        digest.update(encoded.tobytes())
    return digest.hexdigest()


def _graded(value: float, low: float, high: float, labels: tuple[str, str, str]) -> str:
    return labels[0] if value <= low else labels[1] if value <= high else labels[2]


# ---- tables ------------------------------------------------------------------------------------------------------


def _write_tables(draft: Path, written: Sequence[_Written], made: Row) -> Row:
    """Write the tables and the head, and return it."""
    tables = {
        IMAGES: [row for live in written for row in live.images],
        LIVES: [live.live for live in written],
        "train.jsonl": [row for live in written if live.live["split"] == "train" for row in live.clips],
        "test.jsonl": [row for live in written if live.live["split"] == "test" for row in live.clips],
    }
    digest = hashlib.sha256()
    for name, rows in tables.items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (draft / name).write_text(text, encoding="utf-8")
        digest.update(f"{name}\n{text}".encode())
    counts = {
        "train_clips": len(tables["train.jsonl"]),
        "test_clips": len(tables["test.jsonl"]),
        **{f"{split}_products": _count(tables[IMAGES], split) for split in ("train", "test")},
        **{f"{split}_lives": _count(tables[LIVES], split) for split in ("train", "test")},
        "cartons": sum(row["kind"] == CARTON for row in tables[IMAGES]),
    }
    head = {"schema": SCHEMA, "fingerprint": digest.hexdigest(), **made, "counts": counts}
    (draft / HEAD).write_text(json.dumps(head, indent=2) + "\n", encoding="utf-8")
    return head


def _count(rows: Iterable[Row], split: str) -> int:
    return sum(row["split"] == split for row in rows)
