"""Training and export by name: what `shopcue train` and `shopcue export` call. Needs the `train` extra.

What is measured is in `protocols`, which needs no PyTorch.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import numpy as np

from shopcue.data.clip_pairs import ClipBench
from shopcue.data.composed_clips import read_composed_bench, read_composed_pairs
from shopcue.data.deepfashion import ClothesPhoto, find_image, read_consumer_to_shop
from shopcue.data.lpr4m import read_lpr4m_pairs
from shopcue.data.movingfashion import FashionPairs, read_movingfashion_pairs
from shopcue.data.pair_index import PairIndex
from shopcue.errors import MediaError, OutputError, SettingsError, WeightsError
from shopcue.metrics.retrieval import first_hit_ranks_by_label, recall_at
from shopcue.models.image import fit_square
from shopcue.nets.dprnet.export import export_dprnet_detector
from shopcue.nets.export import export_encoder
from shopcue.nets.retrieval import Embedder
from shopcue.nets.sgmn.export import export_sgmn
from shopcue.nets.sgmn.network import Sgmn
from shopcue.records import Floats, Indices
from shopcue.training import detection, retrieval, sgmn
from shopcue.training.checkpoints import CHECKPOINT, Checkpoint, fingerprint_data, load_checkpoint
from shopcue.training.clip_samples import Pixels
from shopcue.training.clip_validation import bench_ranks, encode_bench, recalls
from shopcue.training.curves import CURVES, Curves
from shopcue.training.detection import DetectionConfig, DetectionProgress
from shopcue.training.detection_samples import read_street_samples
from shopcue.training.photos import InstancePhoto, read_photo
from shopcue.training.processes import Process, open_process
from shopcue.training.retrieval import RetrievalConfig, Validate
from shopcue.training.sgmn import SgmnTraining

Update = Callable[[str, float, float], None]
Note = Callable[[str], None]
C = TypeVar("C")

_VALIDATION_CLIPS = 200
_VALIDATION_ITEMS = 300
"""Of the val split, what is measured at every save: enough for two digits, few enough to cost a minute."""


@dataclass(frozen=True, slots=True)
class Job:
    """A training as it was asked for: the folders of the data and of what comes out, and what runs it."""

    data: Path
    out: Path
    config: Path | None
    resume: bool
    process: Process
    update: Update | None
    note: Note


def train(
    name: str,
    data: str | Path,
    out: str | Path,
    *,
    config: str | Path | None = None,
    resume: bool = False,
    device: str = "auto",
    update: Update | None = None,
    note: Note | None = None,
) -> Path:
    """Train one of `TRAININGS` on a data set, and return the path of its last checkpoint in `out`.

    config: a TOML file whose keys are fields of the training's config. resume: go on where `out` was left. device:
    auto, cpu or cuda. Started by torchrun, the processes share each batch. note: told lines for the user. Raises a
    ShopcueError for bad input.
    """
    if name not in TRAININGS:
        raise SettingsError(f"the training is {name!r}, expected one of {', '.join(TRAININGS)}")
    path = None if config is None else Path(config)
    with open_process(device) as process:
        say = note if note is not None and process.is_first else _quiet
        return TRAININGS[name](Job(Path(data), Path(out), path, resume, process, update, say))


def train_retrieval(job: Job) -> Path:
    """Train DPRNet's retrieval network on the train split of DeepFashion consumer-to-shop."""
    config = read_config(job.config, RetrievalConfig)
    train_photos = read_consumer_to_shop(job.data, ("train",))
    photos = instance_photos(job.data, (*train_photos.queries, *train_photos.gallery), job.note)
    lines = (f"{photo.path.relative_to(job.data)} {photo.instance} {photo.box}" for photo in photos)
    retrieval.train_retrieval(
        photos,
        config,
        job.out,
        job.process,
        data=fingerprint_data(lines),
        resume=job.resume,
        validate=make_validation(job.data, config.side_px, job.note),
        update=job.update,
    )
    return job.out / CHECKPOINT


def train_detector(job: Job) -> Path:
    """Train DPRNet's detector on the train split of DeepFashion2."""
    config = read_config(job.config, DetectionConfig)
    samples = read_street_samples(job.data, config.side_px, config.seed, job.note)
    curves = Curves(job.out / CURVES, resume=job.resume)

    def report(progress: DetectionProgress) -> None:
        curves.add(progress.step, {**progress.terms, "rate": progress.rate})
        curves.write()

    detection.train_dprnet_detector(
        samples, config, job.out, job.process, resume=job.resume, report=report, update=job.update
    )
    return job.out / CHECKPOINT


def train_sgmn(job: Job) -> Path:
    """Train SGMN on pairs of clips and shop pictures: LPR4M, MovingFashion or a composed set, whichever lies there."""
    config = read_config(job.config, SgmnTraining)
    skipped: list[str] = []
    pairs = read_clip_pairs(job.data, skipped.append, config.net.frames)
    if skipped:
        job.note(f"{len(skipped)} rows of {job.data} are left out; the first: {skipped[0]}")
    sgmn.train_sgmn(
        pairs,
        config,
        job.out,
        job.process,
        data=pairs.fingerprint[:16],
        resume=job.resume,
        validate=make_clip_validation(job.data, config),
        update=job.update,
    )
    return job.out / CHECKPOINT


TRAININGS: dict[str, Callable[[Job], Path]] = {
    retrieval.KIND: train_retrieval,
    detection.KIND: train_detector,
    sgmn.KIND: train_sgmn,
}


def export(checkpoint: str | Path, out: str | Path) -> Path:
    """Write the net of a checkpoint as an ONNX file, checked against PyTorch, and return its path.

    A retrieval network becomes an image encoder (`models.image = "<out>"`), a detector one of `models.detector`, SGMN a
    folder that `models.clip` reads. Raises WeightsError for a checkpoint that cannot be used, OutputError where `out`
    cannot be written.
    """
    target = Path(out)
    found = load_checkpoint(Path(checkpoint))
    if found.kind not in EXPORTS:
        raise WeightsError(f"{checkpoint} is of {found.kind!r}, which has no export; expected {', '.join(EXPORTS)}")
    if found.kind != sgmn.KIND and target.suffix != ".onnx":
        raise OutputError(f"{target} does not end in .onnx; give the name of the file to write")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        EXPORTS[found.kind](found, target)
    except OSError as error:
        raise OutputError(f"cannot write {target} ({error.strerror}); give another folder") from error
    return target


def export_retrieval(checkpoint: Checkpoint, target: Path) -> None:
    """Write the backbone and the distance branch: uint8 (N, S, S, 3) -> unit vectors."""
    embedder, config = retrieval.load_embedder(checkpoint)
    export_encoder(embedder, target, config.side_px)


def export_detector(checkpoint: Checkpoint, target: Path) -> None:
    """Write the detector: uint8 (N, S, S, 3) -> boxes, scores, quality and vectors."""
    detector, config = detection.load_dprnet_detector(checkpoint)
    export_dprnet_detector(detector, target, config.side_px, config.side_px)


def export_clip_encoder(checkpoint: Checkpoint, target: Path) -> None:
    """Write what SGMN is in use, a folder: see `models.clip`."""
    net, config = sgmn.load_sgmn(checkpoint)
    made = {"data": checkpoint.data, "commit": checkpoint.commit, "steps": str(checkpoint.step)}
    export_sgmn(net, target, config.fit, made)


EXPORTS: dict[str, Callable[[Checkpoint, Path], None]] = {
    retrieval.KIND: export_retrieval,
    detection.KIND: export_detector,
    sgmn.KIND: export_clip_encoder,
}


# ---- the data of the retrieval network -----------------------------------------------------------------------------


def instance_photos(data: Path, photos: Sequence[ClothesPhoto], note: Note) -> list[InstancePhoto]:
    """Return the photos that lie on disk, their items numbered from 0; says in one line how many are missing."""
    found = [(photo, path) for photo in photos if (path := find_image(data, photo.image)) is not None]
    if not found:
        raise MediaError(f"none of the {len(photos)} photos of the lists lies in {data}; unpack img.zip into it")
    if len(found) < len(photos):
        note(f"{len(photos) - len(found)} of {len(photos)} photos are missing in {data}; the others are used")
    numbers = {item_id: number for number, item_id in enumerate(sorted({photo.item_id for photo, _ in found}))}
    return [InstancePhoto(path, numbers[photo.item_id], photo.box) for photo, path in found]


def make_validation(data: Path, side_px: int, note: Note) -> Validate | None:
    """Return what measures R@1 on a few items of the val split; None, and a line, where the split is not there."""
    try:
        val = read_consumer_to_shop(data, ("val",))
    except MediaError as error:
        note(f"nothing is validated: {error}")
        return None
    items = {item_id: number for number, item_id in enumerate(sorted({photo.item_id for photo in val.queries}))}
    sides = [
        [p for p in side if items.get(p.item_id, _VALIDATION_ITEMS) < _VALIDATION_ITEMS]
        for side in (val.queries, val.gallery)
    ]

    def validate(embedder: Embedder) -> dict[str, float]:
        (queries, asked), (gallery, labels) = (_vectors(data, side, items, side_px, embedder) for side in sides)
        return {"R@1": recall_at(first_hit_ranks_by_label(queries, asked, gallery, labels), 1)}

    return validate


def _vectors(
    data: Path,
    photos: Sequence[ClothesPhoto],
    items: dict[str, int],
    side_px: int,
    embedder: Embedder,
    chunk: int = 256,
) -> tuple[Floats, Indices]:
    """Return the vectors and the items of the photos that can be read, `chunk` pictures in memory at a time."""
    vectors, labels = [np.zeros((0, embedder.projection.out_features), np.float32)], []
    for start in range(0, len(photos), chunk):
        squares = []
        for photo in photos[start : start + chunk]:
            path = find_image(data, photo.image)
            try:
                squares.append(fit_square(read_photo(path or data / photo.image, photo.box), side_px))
            except MediaError:
                continue
            labels.append(items[photo.item_id])
        if squares:
            vectors.append(retrieval.embed(embedder, np.stack(squares)))
    return np.concatenate(vectors), np.array(labels, np.int64)


# ---- the data of SGMN ---------------------------------------------------------------------------------------------


def read_clip_pairs(data: Path, skipped: Note, frames: int) -> PairIndex | FashionPairs:
    """Return the training pairs in a folder, told by what lies there; raises MediaError where nothing known does."""
    if is_composed(data):
        return read_composed_pairs(data, skipped, frames)
    if (data / "train.json").is_file():
        return read_movingfashion_pairs(data, skipped, frames)
    return read_lpr4m_pairs(data, skipped, frames)


def is_composed(data: Path) -> bool:
    """Return whether a folder is a composed set of clips."""
    return (data / "composed-clips.json").is_file()


def make_clip_validation(data: Path, config: SgmnTraining) -> Callable[[Sgmn], dict[str, float]] | None:
    """Return what measures recall on some test clips of a composed set at every save; None for other sets.

    The published sets have no split to validate on, and their test clips are not for choosing by.
    """
    if not is_composed(data):
        return None
    bench = first_clips(read_composed_bench(data, _quiet, config.net.frames), _VALIDATION_CLIPS)

    def validate(net: Sgmn) -> dict[str, float]:
        sights = Pixels(net.alignment.picture.side_px, config.net.frames, config.fit)
        return recalls(bench_ranks(bench, encode_bench(net, bench, sights), config.net.text_weight))

    return validate


def first_clips(bench: ClipBench, count: int) -> ClipBench:
    """Return a bench of its first clips, and of the galleries that they search."""
    clips = bench.clips[:count]
    lives = {clip.live_id for clip in clips}
    galleries = {live_id: gallery for live_id, gallery in bench.galleries.items() if live_id in lives}
    shown = {image_id for gallery in galleries.values() for image_id in gallery}
    images = {image_id: image for image_id, image in bench.images.items() if image_id in shown}
    return dataclasses.replace(bench, clips=clips, images=images, galleries=galleries)


# ---- configuration ---------------------------------------------------------------------------------------------------


def read_config(path: Path | None, kind: type[C]) -> C:
    """Return the config of a training: a TOML file's keys, the defaults for all others.

    A field that is a config itself is a table of the file. Raises SettingsError for a file that cannot be read, an
    unknown key, and a value of the wrong type or range.
    """
    if path is None:
        return kind()
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read the config {path}: {error.strerror}; give a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not a TOML file: {error}; write lines such as steps = 1000") from error
    return _built(values, kind, path)


def _built(values: dict[str, Any], kind: type[C], path: Path) -> C:
    """Return a config of TOML values, and its tables likewise."""
    types = get_type_hints(kind)
    for key, value in values.items():
        if key not in types:
            near = difflib.get_close_matches(key, types, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(types)}"
            raise SettingsError(f"unknown key {key!r} in {path}; {hint}")
        if dataclasses.is_dataclass(types[key]) and isinstance(value, dict):
            values = {**values, key: _built(value, types[key], path)}
        elif not _fits(value, types[key]):
            raise SettingsError(f"{key} is {value!r}, expected a value like {_default(kind, key)!r}")
    return kind(**values)


def _fits(value: object, want: type) -> bool:
    """Return whether a TOML value is of a field's type; a list of numbers stands for a tuple of them."""
    if get_origin(want) is Literal:
        return value in get_args(want)
    if get_origin(want) is tuple:
        return isinstance(value, list) and all(type(each) in (int, float) for each in value)
    return type(value) is want or (want is float and type(value) is int)


def _default(kind: type, key: str) -> object:
    found = next(field for field in dataclasses.fields(kind) if field.name == key)
    return "a table" if found.default is dataclasses.MISSING else found.default


def _quiet(line: str) -> None:
    """Take a line that nobody wants."""
