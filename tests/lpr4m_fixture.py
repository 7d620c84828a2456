"""A tiny LPR4M in its true layouts, traps included; the pictures are empty files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

LIVE = "7b601b02-2c63-11ee-bb6d-b8cef60c2fd0"
OTHER_LIVE = "0a11c2d3-2c63-11ee-bb6d-b8cef60c2fd0"
CLIP = f"{LIVE}-1667916122888-1667916152888"  # 30 s
SHARED_CLIP = f"{LIVE}-1667916200000-1667916230000"
OTHER_CLIP = f"{OTHER_LIVE}-1667000000000-1667000030000"
COAT, SKIRT, RING, UNSEEN = (f"{letter * 8}-2eeb-11ee-b7bb-77cb20e634dc" for letter in "abcd")

HOSTILE = "__import__('os').system('touch pwned')"
"""What an evaluated list would run."""


def frames_of(clip_id: str, count: int, step: int = 1) -> list[str]:
    """Ids of frames, as the set writes them."""
    return [f"{clip_id}-{number:04d}" for number in range(0, count * step, step)]


def full_row(clip_id: str = CLIP, image_id: str = COAT, **values: Any) -> str:
    """A row of 11 columns; frames and boxes may be given as lists or as text."""
    frames = values.get("frames", frames_of(clip_id, 12))
    boxes = values.get("boxes", [[0.1, 0.2, 0.5, 0.75]] * (len(frames) if isinstance(frames, list) else 1))
    cells = [
        clip_id,
        frames,
        boxes,
        image_id,
        values.get("title", "羊毛 coat"),
        "1125",
        "服饰",
        values.get("speech", "看这件大衣"),
        *values.get("labels", ("small", "long", "few")),
    ]
    return "\t".join(map(str, cells))


def sampled_row(clip_id: str = CLIP, image_id: str = COAT, **values: Any) -> str:
    """A row of 10 columns, as LPR750K has them; its lists are JSON."""
    frames = [f"training_video_00/{clip_id}/{frame}.jpg" for frame in frames_of(clip_id, 10)]
    cells = [
        clip_id,
        json.dumps(values.get("frames", frames)),
        json.dumps(values.get("boxes", [[10, 20, 200, 400]] * 10)),
        image_id,
        values.get("path", f"training_image/{image_id}.jpg"),
        values.get("title", "羊毛 coat"),
        "1125",
        "服饰",
        values.get("spu", "998877"),
        values.get("speech", "看这件大衣"),
    ]
    return "\t".join(cells)


def write_rows(path: Path, rows: Iterable[str]) -> Path:
    """Write a file of training."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def touch(*paths: Path) -> None:
    """Make empty pictures."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write_test_files(root: Path, **files: Any) -> None:
    """Write the test files of LPR4M into its folder of annotations.

    The truth is multi-positive, a live's gallery holds numbered images of one product, one clip is of a live without a
    gallery, one has no frames, and the speech of another is said to be none.
    """
    documents = {
        "test_videoid_to_gtimage_20079.json": {CLIP: [COAT], SHARED_CLIP: [COAT, SKIRT], OTHER_CLIP: [UNSEEN]},
        "test_liveid_to_gallery_110.json": {LIVE: [f"{COAT}-0", f"{COAT}-1", SKIRT, RING, RING]},
        "test_frameid2gtbox_20079_426751.json": {
            # Nine of the ten frames of a clip of 30 s, on average a tenth of each covered.
            **{frame: [0.0, 0.0, 0.5, 0.2] for frame in frames_of(CLIP, 8, step=3)},
            f"{CLIP}-0024": [[0.0, 0.0, 0.5, 0.2], [0.5, 0.5, 0.6, 1.0]],
            f"{CLIP}-0027": [],
            # Three of ten, half of each.
            **{frame: [[0.0, 0.0, 1.0, 0.5]] for frame in frames_of(SHARED_CLIP, 3, step=3)},
        },
    } | {name: value for name, value in files.items() if isinstance(value, dict)}
    folder = root / "annotations"
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document), encoding="utf-8")
    texts = {
        "test_videoid_asr_20079.txt": f"{CLIP}\t看这件大衣\tand a tab\n{SHARED_CLIP}\tnull\n",
        "test_image_title_6076.txt": f"{COAT}\t羊毛 coat\n{SKIRT}\tskirt\nno tab here\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    touch(*(root / "query" / CLIP / f"{frame}.jpg" for frame in frames_of(CLIP, 23)))
    touch(root / "gallery" / LIVE / f"{COAT}-0.jpg", root / "gallery" / f"{SKIRT}.jpg")
