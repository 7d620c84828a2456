"""A tiny MovingFashion in its true layout, traps included; videos and pictures are empty files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TEST: dict[str, Any] = {
    "1001": {"video_paths": ["videos/a.mp4"], "img_path": "imgs/1001.jpg", "source": 1},
    "1002": {
        "video_paths": ["videos/b.mp4"],
        "img_path": "imgs/1002.png",
        "source": 0,
        "tracklets": [{"0": [1, 2, 30, 40], "100": [5, 6, 50, 60]}],
    },
    "1003": {"video_paths": ["videos/b.mp4"], "img_path": "imgs/1003.jpg", "source": 1},  # shares a video
    "1004": {"video_paths": ["videos/c.mp4"], "img_path": "imgs/1001.jpg", "source": 1},  # shares a picture
    "1005": {"video_paths": ["videos/missing.mp4"], "img_path": "imgs/1005.png", "source": 0},
}
IMAGES = ("imgs/1001.jpg", "imgs/1002.png", "imgs/1003.jpg", "imgs/1005.png")

TRAIN: dict[str, Any] = {
    "1": {"video_paths": ["videos/t1.mp4", "videos/t2.mp4", "videos/t1.mp4"], "img_path": "imgs/1.jpg", "source": 1},
    "2": {"video_paths": ["videos/t3.mp4"], "img_path": "imgs/2.jpg", "source": 0},
    "3": {"video_paths": ["videos/t2.mp4"], "img_path": "imgs/3.jpg", "source": 0},  # shares a video with 1
    "4": {"video_paths": ["videos/t4.mp4"], "img_path": "imgs/3.jpg", "source": 0},  # a picture with 3, so one with 1
    "5": {"video_paths": ["videos/gone.mp4"], "img_path": "imgs/5.jpg", "source": 1},
    "6": {"video_paths": ["videos/t6.mp4"], "img_path": "imgs/gone.jpg", "source": 1},
}


def write_movingfashion(root: Path, **splits: dict[str, Any]) -> None:
    """Write the annotations, and what of the media is not to be missing."""
    for split, products in ({"train": TRAIN, "test": TEST} | splits).items():
        (root / f"{split}.json").write_text(json.dumps(products), encoding="utf-8")
        for product in products.values():
            write_media(root, *product.get("video_paths", ()), product.get("img_path", ""))


def write_media(root: Path, *names: str) -> None:
    """Make empty media in their two folders, but none that is called missing or gone."""
    for name in names:
        if name.startswith(("videos/", "imgs/")) and "missing" not in name and "gone" not in name and ".." not in name:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
