"""LPR4M (Yang, Chen, Li, Cheng, Liu, Chen, Li, ICCV 2023; by agreement with its authors) and its sample LPR750K.

    <root>/
      annotations/                                     or the same files in <root> itself
        training_videoinfo_full_part_00.txt ... _09.txt   a training pair a line, see `lpr4m_rows`
        training_videoinfo_750k.txt                       the same of LPR750K
        test_videoid_to_gtimage_20079.json                {clip: [true shop image, ...]}
        test_liveid_to_gallery_110.json                   {live: [shop image, ...]}
        test_videoid_asr_20079.txt                        clip, speech
        test_image_title_6076.txt                         shop image, title
        test_frameid2gtbox_20079_426751.json              {frame: box or boxes}
        gallery_main.txt                                  <live>/<shop image>.jpg a line, each product's main image
        query_tenframes.json                              {clip: {"frames": [path below query/, ...], "gt": ...}}
        segid_to_{scale,duration,numproduct}.json         {clip: subset}, where somebody has them
      training_video/<clip>/<frame>.jpg                LPR4M; LPR750K's rows hold paths below <root> of their own
      training_image/<shop image>.jpg
      query/<clip>/<frame>.jpg
      gallery/<live>/<shop image>.jpg                  or gallery/<shop image>.jpg; a main image may end in -0.jpg

4,013,617 training clips of 332,438 shop images; 20,079 test clips of 110 lives, 66,358 shop images. A clip searches the
images of its own live: about 55 main images, or about 603 in all. Main are those in gallery_main.txt, or else those
without a number or with 0 where there are numbers; where neither tells, all that are listed for a live are searched,
which the name of the figure says. The published titles are about as many as the main images, and may be taken for a
sign of them. Every image of a product of the truth is true.

LPR4M is downloaded picture by picture, from lists of addresses: `lpr4m_downloads` files what img2dataset has fetched.
As hardly anybody has all of it, no picture is required.

Table 4 of SGMN groups the test clips by scale, visible duration and number of products, and its test files do not say
how. The code of RICE's authors has thresholds, applied to boxes of a detector that is not published: mean share of the
frame that a box covers, small up to 0.2, large above 0.4; share of the frames that show a product, short up to 0.4,
long above 0.7; boxes a frame, few up to 3, abundant above 7. Here the first two are taken from the annotated boxes,
scale as the mean over annotated frames, duration against a frame every 3 s, as the test clips were annotated. The third
is not: the annotated boxes are of few products each. A file segid_to_*.json in the folder goes before either.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from shopcue.catalog.cache import default_folder
from shopcue.data.annotations import one_line, path_inside, pictures_in, read_object, text_lines
from shopcue.data.clip_pairs import Box, Clip, ClipBench, FrameRef, ShopImage, even_frames
from shopcue.data.lpr4m_rows import (
    LONGEST_LABEL,
    SUBSETS,
    box_area,
    boxes_of,
    clip_of_frame,
    frame_path,
    is_id,
    is_main_image,
    product_of_image,
    read_clip_id,
    read_image_id,
    read_row,
    read_text,
)
from shopcue.data.pair_index import KEPT_FROM, PairIndex
from shopcue.errors import MediaError

GALLERIES = ("main", "all", "titled")

_TRUTH = "test_videoid_to_gtimage_*.json"
_LIVES = "test_liveid_to_gallery_*.json"
_BOXES = "test_frameid2gtbox_*.json"
_SPEECH = "test_videoid_asr_*.txt"
_TITLES = "test_image_title_*.txt"
_MAIN = "gallery_main.txt"
_TEN_FRAMES = "query_tenframes.json"
_SUBSET_FILES = ("segid_to_scale.json", "segid_to_duration.json", "segid_to_numproduct.json")

_FRAME_EVERY_S = 3.0
_SMALL, _LARGE = 0.2, 0.4  # share of the frame
_SHORT, _LONG = 0.4, 0.7  # share of the frames

Skipped = Callable[[str], None]


def read_lpr4m_pairs(root: Path, skipped: Skipped, frames: int = 10, files: Iterable[Path] = ()) -> PairIndex:
    """Return the training pairs, with `frames` even frames of each clip, out of files of millions of rows.

    files: which to read; where none are given, all parts of LPR4M, or else the one file of LPR750K. Every row is read
    once to see that it can be; skipped is told of each that cannot. Pictures may be missing. Raises MediaError where
    there are no rows, or several files that may hold the same.
    """
    chosen = tuple(files) or _training_files(root)
    pairs = PairIndex.of(chosen, partial(read_row, root, frames), skipped, _kept(root, chosen, frames))
    if not len(pairs):
        raise MediaError(
            f"{chosen[0]} holds no row that can be read; expected 11 columns (LPR4M) or 10 (LPR750K), tab-separated"
        )
    return pairs


def read_lpr4m_bench(root: Path, skipped: Skipped, gallery: str = "main", frames: int = 10) -> ClipBench:
    """Return the test clips, each with `frames` even frames, and the galleries of their lives.

    frames: 0 where no pixels are to be read. gallery: one of `GALLERIES`, the main image of each product, all images,
    or those with a title. skipped: told in one line each of what cannot be read and how much is missing. A clip
    without frames, of a live without a gallery, or whose image is not in it, is a query all the same. Raises
    MediaError where truth or galleries are missing or damaged.
    """
    if gallery not in GALLERIES:
        raise MediaError(f"LPR4M has no gallery {gallery!r}; expected {', '.join(GALLERIES)}")
    truth = {clip_id: _image_ids(entry, clip_id, skipped) for clip_id, entry in _required(root, _TRUTH).items()}
    titles = _texts(root, _TITLES, read_image_id, skipped)
    searched, galleries = _galleries(root, gallery, titles, skipped)
    owned = {live_id: _by_product(image_ids) for live_id, image_ids in galleries.items()}
    notes = _read_notes(root, skipped)
    clips = []
    for clip_id, true in truth.items():
        live_id = _live_of(clip_id, skipped)
        galleries.setdefault(live_id, ())
        same = owned.get(live_id, {})
        answers = dict.fromkeys(image for one in true for image in same.get(product_of_image(one), [one]))
        clips.append(_clip(root, clip_id, tuple(answers), live_id, notes, frames))
    _report(clips, galleries, frames, skipped)
    return ClipBench(
        f"lpr4m, {searched} images", tuple(clips), _shop_images(root, galleries, clips, titles, skipped), galleries
    )


def _kept(root: Path, files: Sequence[Path], frames: int) -> Path | None:
    """Return where the index of large files is kept, None for small ones."""
    if sum(path.stat().st_size for path in files if path.is_file()) < KEPT_FROM:
        return None
    named = sha256(repr((str(root.resolve()), [path.name for path in files], frames)).encode())
    return default_folder() / "indexes" / f"lpr4m-{named.hexdigest()[:16]}.npz"


# ---- shop images ---------------------------------------------------------------------------------------------------


def _galleries(
    root: Path, gallery: str, titles: dict[str, str], skipped: Skipped
) -> tuple[str, dict[str, tuple[str, ...]]]:
    """Return which images of each live are searched, and the name of that choice."""
    if gallery == "main" and (listed := _find(root, _MAIN)) is not None:
        return gallery, _listed_galleries(listed, skipped)
    every = _all_galleries(root, skipped)
    if gallery == "all":
        return gallery, every
    if gallery == "titled":
        return gallery, {live: tuple(one for one in ids if one in titles) for live, ids in every.items()}
    if any(product_of_image(image) != image for image_ids in every.values() for image in image_ids):
        return gallery, {live: tuple(filter(is_main_image, ids)) for live, ids in every.items()}
    skipped(f"nothing in {root} says which shop images are main ones: all that are listed for a live are searched")
    return "listed", every


def _listed_galleries(path: Path, skipped: Skipped) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for number, line in text_lines(path):
        live_id, slash, name = line.rpartition("/")
        try:
            if not slash:
                raise ValueError("expected <live>/<shop image>.jpg")
            image_id = read_image_id(Path(name).stem)
        except ValueError as error:
            skipped(one_line(f"{path}, line {number}: {error}"))
            continue
        found[live_id][image_id] = None
    return {live_id: tuple(image_ids) for live_id, image_ids in found.items()}


def _all_galleries(root: Path, skipped: Skipped) -> dict[str, tuple[str, ...]]:
    """Return every image of each live, as listed, or else as they lie on disk."""
    if _find(root, _LIVES) is not None:
        return {live: _image_ids(entry, f"live {live}", skipped) for live, entry in _required(root, _LIVES).items()}
    folders = sorted(path for path in root.glob("gallery/*") if path.is_dir())
    if not folders:
        raise MediaError(f"{root} holds no galleries; expected {_LIVES} in it or in annotations, or gallery/<live>")
    return {path.name: _image_ids([one.stem for one in pictures_in(path)], str(path), skipped) for path in folders}


def _image_ids(entry: Any, whose: str, skipped: Skipped) -> tuple[str, ...]:
    """Return the shop images of an entry, each once; skipped is told of what is none."""
    found: dict[str, None] = {}
    for name in entry if isinstance(entry, list) else [entry]:
        try:
            found[read_image_id(str(name).removesuffix(".jpg"))] = None
        except ValueError as error:
            skipped(one_line(f"{whose}: {error}"))
    return tuple(found)


def _by_product(image_ids: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for image_id in image_ids:
        found[product_of_image(image_id)].append(image_id)
    return dict(found)


def _shop_images(
    root: Path, galleries: dict[str, tuple[str, ...]], clips: Sequence[Clip], titles: dict[str, str], skipped: Skipped
) -> dict[str, ShopImage]:
    """Return all images of the galleries and of the truth; skipped is told once how many are not on disk."""
    named = [(live, image) for live, ids in galleries.items() for image in ids]
    named += [(clip.live_id, image) for clip in clips for image in clip.image_ids]
    images: dict[str, ShopImage] = {}
    missing: list[str] = []
    for live_id, image_id in named:
        if image_id in images:
            continue
        path = _shop_picture(root, live_id, image_id)
        if path is None:
            missing.append(image_id)
        product_id = product_of_image(image_id)
        title = next((titles[name] for name in (image_id, product_id, f"{product_id}-0") if name in titles), "")
        images[image_id] = ShopImage(image_id, path, title, product_id)
    if missing:
        skipped(f"{len(missing)} of {len(images)} shop images are not on disk, such as {missing[0]}")
    return images


def _shop_picture(root: Path, live_id: str, image_id: str) -> Path | None:
    names = (f"{image_id}.jpg", f"{image_id}-0.jpg")
    folders = [root / "gallery" / live_id] if is_id(live_id) else []
    return next(
        (path for folder in [*folders, root / "gallery"] for name in names if (path := folder / name).is_file()), None
    )


# ---- clips ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Notes:
    """What the files say of the test clips and of their frames, whatever of it there is."""

    speech: dict[str, str]
    ten_frames: dict[str, Any]
    boxes: dict[str, tuple[Box, ...]]
    """By frame."""
    annotated: dict[str, list[str]]
    """The frames with boxes, by clip."""
    subsets: tuple[dict[str, Any], ...]
    """As `SUBSETS`."""

    def box(self, clip_id: str, path: Path) -> Box | None:
        """Return the largest box of a frame, whose file may be called by its number alone."""
        boxes = self.boxes.get(path.stem) or self.boxes.get(f"{clip_id}-{path.stem}", ())
        return max(boxes, key=box_area, default=None)


def _read_notes(root: Path, skipped: Skipped) -> _Notes:
    boxes: dict[str, tuple[Box, ...]] = {}
    annotated: dict[str, list[str]] = defaultdict(list)
    for frame_id, entry in _optional(root, _BOXES).items():
        try:
            clip_id, found = clip_of_frame(frame_id), tuple(boxes_of(entry))
        except ValueError as error:
            skipped(one_line(f"the boxes of frame {frame_id}: {error}"))
            continue
        if found:
            boxes[frame_id] = found
            annotated[clip_id].append(frame_id)
    speech = _texts(root, _SPEECH, str, skipped)
    subsets = tuple(_optional(root, name) for name in _SUBSET_FILES)
    return _Notes(speech, _optional(root, _TEN_FRAMES), boxes, annotated, subsets)


def _clip(root: Path, clip_id: str, image_ids: tuple[str, ...], live_id: str, notes: _Notes, count: int) -> Clip:
    paths = _frame_paths(root, clip_id, notes) if live_id and count else ()
    frames = tuple(FrameRef(path, box=notes.box(clip_id, path)) for path in even_frames(paths, count))
    return Clip(clip_id, frames, notes.speech.get(clip_id, ""), image_ids, live_id, _subsets(clip_id, live_id, notes))


def _frame_paths(root: Path, clip_id: str, notes: _Notes) -> Sequence[Path]:
    """Return the frames of a clip: those listed, or else those on disk, or else those with boxes."""
    listed = notes.ten_frames.get(clip_id)
    names = listed.get("frames") if isinstance(listed, dict) else None
    if isinstance(names, list):
        try:
            return [path_inside(root / "query", str(name).removeprefix("query/")) for name in names]
        except ValueError:
            return ()
    on_disk = pictures_in(root / "query" / clip_id)
    return on_disk or [frame_path(root / "query", frame_id) for frame_id in sorted(notes.annotated.get(clip_id, ()))]


def _report(clips: Sequence[Clip], galleries: dict[str, tuple[str, ...]], frames: int, skipped: Skipped) -> None:
    """Tell how many clips nobody can answer, or have nothing to be answered by."""
    sought = {live_id: set(image_ids) for live_id, image_ids in galleries.items()}
    lost = [clip.clip_id for clip in clips if sought[clip.live_id].isdisjoint(clip.image_ids)]
    bare = [clip.clip_id for clip in clips if frames and not any(frame.path.is_file() for frame in clip.frames)]
    for those, what in ((lost, "true image in the gallery of their live"), (bare, "frame on disk")):
        if those:
            skipped(one_line(f"{len(those)} of {len(clips)} clips have no {what}, such as {those[0]}"))


def _subsets(clip_id: str, live_id: str, notes: _Notes) -> tuple[tuple[str, str], ...]:
    """Return the groups of a clip: as the files say, or else measured."""
    measured = _measured(clip_id, notes) if live_id else {}
    found = []
    for name, said in zip(SUBSETS, notes.subsets, strict=True):
        label = said.get(clip_id, measured.get(name))
        if isinstance(label, str) and 0 < len(label) <= LONGEST_LABEL:
            found.append((name, label))
    return tuple(found)


def _measured(clip_id: str, notes: _Notes) -> dict[str, str]:
    """Return scale and visible duration by annotated boxes, where they can be told: see the head of the module."""
    framed = [notes.boxes[frame_id] for frame_id in notes.annotated.get(clip_id, ())]
    if not notes.boxes:
        return {}
    frames = max(1.0, read_clip_id(clip_id).duration_s / _FRAME_EVERY_S)
    found = {"duration": _graded(len(framed) / frames, _SHORT, _LONG, ("short", "medium", "long"))}
    if framed and all(max(box) <= 1 for boxes in framed for box in boxes):
        area = sum(sum(map(box_area, boxes)) / len(boxes) for boxes in framed) / len(framed)
        found["scale"] = _graded(area, _SMALL, _LARGE, ("small", "medium", "large"))
    return found


def _graded(share: float, low: float, high: float, labels: tuple[str, str, str]) -> str:
    return labels[0] if share <= low else labels[1] if share <= high else labels[2]


def _live_of(clip_id: str, skipped: Skipped) -> str:
    try:
        return read_clip_id(clip_id).live_id
    except ValueError as error:
        skipped(one_line(str(error)))
        return ""


# ---- files ---------------------------------------------------------------------------------------------------------


def _training_files(root: Path) -> tuple[Path, ...]:
    """Return the parts of LPR4M, or the one other file of training."""
    for folder in (root / "annotations", root):
        parts = sorted(folder.glob("training_videoinfo_full_part_*.txt"))
        others = sorted(path for path in folder.glob("training_videoinfo*.txt") if not path.stem.endswith("_val"))
        if parts or len(others) == 1:
            return tuple(parts or others)
        if others:
            names = ", ".join(path.name for path in others)
            raise MediaError(f"{folder} holds {names}, which may repeat each other; say which to read")
    raise MediaError(f"{root} holds no training_videoinfo*.txt, nor does its annotations; give the folder of LPR4M")


def _find(root: Path, pattern: str) -> Path | None:
    found = [path for folder in (root / "annotations", root) for path in sorted(folder.glob(pattern))]
    if len(found) > 1:
        raise MediaError(f"{found[0]} and {found[1]} came, expected one {pattern}; keep the one that is meant")
    return found[0] if found else None


def _required(root: Path, pattern: str) -> dict[str, Any]:
    path = _find(root, pattern)
    if path is None:
        raise MediaError(f"{root} holds no {pattern}, nor does its annotations; give the folder of LPR4M")
    return read_object(path)


def _optional(root: Path, pattern: str) -> dict[str, Any]:
    path = _find(root, pattern)
    return {} if path is None else read_object(path)


def _texts(root: Path, pattern: str, read_id: Callable[[str], str], skipped: Skipped) -> dict[str, str]:
    """Return id -> text of a file with an id, a tab and a text a line, without those that say that there is none."""
    path = _find(root, pattern)
    found: dict[str, str] = {}
    for number, line in text_lines(path) if path is not None else ():
        name, tab, text = line.partition("\t")
        try:
            if not tab:
                raise ValueError("no tab, expected an id, a tab and a text")
            found[read_id(name.strip())] = read_text(text)
        except ValueError as error:
            skipped(one_line(f"{path}, line {number}: {error}"))
    return {name: text for name, text in found.items() if text}
