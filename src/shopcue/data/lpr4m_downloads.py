"""Filing the pictures of LPR4M after a download, as `lpr4m` reads them.

The set comes as lists of addresses, to be fetched with img2dataset and `--output_format files`: it leaves folders of
pictures that are called by numbers, 00000/000000017.jpg, each with a file 000000017.json that holds its address. An
address ends in the id of a frame or of a shop image.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from shopcue.data.annotations import one_line, path_inside, read_object
from shopcue.data.lpr4m_rows import frame_path, is_id, read_clip_id
from shopcue.errors import MediaError, OutputError

PARTS = {"training": ("training_video", "training_image"), "test": ("query", "gallery")}
"""Where frames and shop images of a part of the set lie."""


def file_downloads(downloads: Path, root: Path, part: str, skipped: Callable[[str], None]) -> int:
    """Link the pictures that img2dataset has left below `downloads` into `root`, and return how many there are.

    part: one of `PARTS`. The downloads stay as they are; what is filed already is left alone, so that this may be done
    again after more has come. skipped: told in one line of each picture that cannot be filed. Raises MediaError where
    there are no downloads, OutputError where files cannot be linked.
    """
    if part not in PARTS:
        raise MediaError(f"LPR4M has no part {part!r}; expected {' or '.join(PARTS)}")
    filed = 0
    for note in _notes(downloads):
        try:
            picture, name = note.with_suffix(".jpg"), _name(note)
            place = _place(root, part, name)
        except (MediaError, ValueError) as error:
            skipped(one_line(str(error)))
            continue
        if not picture.is_file():
            skipped(one_line(f"{note} has no picture {picture.name}: it was not fetched"))
            continue
        _link(picture, place)
        filed += 1
    if not filed:
        raise MediaError(f"{downloads} holds no pictures of LPR4M; give the output folder of img2dataset, of files")
    return filed


def _notes(downloads: Path) -> Iterator[Path]:
    """Yield the notes on single pictures, folder by folder: there may be hundreds of millions."""
    for shard in sorted(path for path in downloads.glob("*") if path.is_dir() and path.name.isdecimal()):
        with os.scandir(shard) as entries:
            yield from (shard / entry.name for entry in entries if entry.name.endswith(".json"))


def _name(note: Path) -> str:
    url = read_object(note).get("url")
    if not isinstance(url, str):
        raise ValueError(f"{note} names no address")
    return PurePosixPath(urlsplit(url).path).stem


def _place(root: Path, part: str, name: str) -> Path:
    """Return where a picture lies; raises ValueError for a name that is no id."""
    frames, images = PARTS[part]
    clip_id, _, number = name.rpartition("-")
    if number.isdecimal() and _is_clip(clip_id):
        return frame_path(root / frames, name)
    if not is_id(name):
        raise ValueError(f"{name[:120]!r} is neither a frame nor a shop image")
    return path_inside(root / images, f"{name}.jpg")


def _is_clip(text: str) -> bool:
    try:
        read_clip_id(text)
    except ValueError:
        return False
    return True


def _link(picture: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(picture, place)
    except FileExistsError:
        return
    except OSError as error:
        raise OutputError(
            f"cannot link {picture} to {place}: {error.strerror}; keep both folders on one disk that has hard links"
        ) from error
