"""A protocol by its name, on a model or on vectors: what `shopcue eval` calls."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np

from shopcue.data.clip_pairs import ClipBench
from shopcue.errors import MediaError, ScoreError, WeightsError
from shopcue.models.clip import ClipEncoder, OnnxClipEncoder
from shopcue.models.detector import Detector, HouseDetector
from shopcue.models.image import OnnxEncoder
from shopcue.protocols.clips import (
    CLIP_PROTOCOLS,
    ClipProtocol,
    MeanPooledFrames,
    clip_ids,
    detect_images,
    encode_bench,
    image_ids,
    judge_clips,
)
from shopcue.protocols.deepfashion import Encoder, Note, Update, consumer_to_shop, deepfashion2
from shopcue.protocols.reports import RetrievalReport
from shopcue.protocols.vectors import VectorFiles

T = TypeVar("T")

PICTURE_PROTOCOLS: dict[str, Callable[[Path, Encoder, Detector | None, Update | None, Note], list[RetrievalReport]]] = {
    "deepfashion-c2s": consumer_to_shop,
    "deepfashion2": deepfashion2,
}
DATA_SETS = (*PICTURE_PROTOCOLS, *CLIP_PROTOCOLS)
FRAMES = 10
"""Even frames of a clip, as all protocols take them."""


def evaluate(
    data_set: str,
    data: Path,
    model: Path | VectorFiles,
    *,
    protocol: str | None = None,
    detector: Path | None = None,
    speech: bool = True,
    update: Update | None = None,
    note: Note | None = None,
) -> list[RetrievalReport]:
    """Run a protocol of one of `DATA_SETS` on the folder that holds it, and return one report for each gallery.

    model: an ONNX file, on clips also a folder as of `models.clip`; a checkpoint, which is exported first; or the
    vectors that another model has made. protocol: of those that the data set has, the usual one where None. detector:
    an ONNX file as of `models.detector`; without it the annotated boxes are used, or the shipped detector where a
    protocol asks for one. speech: whether what is said in a clip counts. note: told what of the data is left out.
    Raises ScoreError for an unknown protocol and for vectors, MediaError and WeightsError for data and models.
    """
    say = note or _quiet
    if data_set in CLIP_PROTOCOLS:
        chosen = choose_protocol(data_set, protocol)
        if detector is not None and (isinstance(model, VectorFiles) or not chosen.detected):
            raise ScoreError(
                "a detector is of use to a model by the protocol seam of movingfashion alone; leave it out"
            )
        if not isinstance(model, VectorFiles):
            return [judge_model(chosen, data, model, detector, update, say, speech=speech)]
        if not speech:
            raise ScoreError("given vectors are what they are, with speech or without; make others, or give a model")
        return [judge_files(chosen, CLIP_PROTOCOLS[data_set].values(), data, model, say)]
    if data_set not in PICTURE_PROTOCOLS:
        raise ScoreError(f"the protocol is {data_set!r}, expected one of {', '.join(DATA_SETS)}")
    if protocol is not None:
        raise ScoreError(f"{data_set} has one protocol alone, and {protocol!r} came; leave it out")
    found = None if detector is None else HouseDetector(detector)
    encoder = model if isinstance(model, VectorFiles) else open_model(model, OnnxEncoder)
    return PICTURE_PROTOCOLS[data_set](data, encoder, found, update, say)


def choose_protocol(data_set: str, name: str | None = None) -> ClipProtocol:
    """Return a protocol of a set of clips, the usual one where none is named; raises ScoreError for an unknown one."""
    protocols = CLIP_PROTOCOLS[data_set]
    chosen = name or next(iter(protocols))
    if chosen not in protocols:
        raise ScoreError(f"{data_set} has no protocol {chosen!r}, expected one of {', '.join(protocols)}")
    return protocols[chosen]


def judge_model(
    protocol: ClipProtocol,
    data: Path,
    model: Path,
    detector: Path | None,
    update: Update | None,
    note: Note,
    *,
    speech: bool = True,
) -> RetrievalReport:
    """Judge a model on a set of clips. detector: who answers where a protocol asks for one, the shipped one."""
    way, encoder = open_model(model, open_clip_encoder)
    detected = None
    if protocol.detected:
        images = _read(protocol, data, _quiet, frames=0).images
        detected = detect_images(list(images.values()), HouseDetector(detector), update)
    bench = _read(protocol, data, note, detected=detected)
    vectors = encode_bench(bench, encoder, text_weight=None if speech else 0.0, update=update)
    return judge_clips(protocol, bench, vectors, way if speech else f"{way} without speech")


def judge_files(
    protocol: ClipProtocol, related: Iterable[ClipProtocol], data: Path, files: VectorFiles, note: Note
) -> RetrievalReport:
    """Judge vectors on a set of clips. related: all protocols of the set; an id that one of them has is known."""
    queries, images = _known_ids(related, data)
    detected = None
    if protocol.detected:
        every = sorted(images)
        there = ~np.isnan(files.read("gallery", every, canonical=protocol.image_id)[:, 0])
        detected = {image_id for image_id, shown in zip(every, there, strict=True) if shown}
    bench = _read(protocol, data, note, frames=0, detected=detected)
    asked, searched = clip_ids(bench), image_ids(bench)
    vectors = (
        files.read("queries", asked, queries.difference(asked)),
        files.read("gallery", searched, images.difference(searched), protocol.image_id),
    )
    return judge_clips(protocol, bench, vectors, "given vectors")


def _known_ids(related: Iterable[ClipProtocol], data: Path) -> tuple[set[str], set[str]]:
    """Return every id of a clip and of a shop image that one of a set's protocols has."""
    queries: set[str] = set()
    images: set[str] = set()
    for protocol in related:
        try:
            bench = protocol.read(data, _quiet, frames=0, detected=None)
        except MediaError:  # a protocol may need files that another does without
            continue
        queries.update(clip_ids(bench))
        images.update(image_ids(bench), bench.images)
    return queries, images


def _read(
    protocol: ClipProtocol, data: Path, note: Note, *, frames: int = FRAMES, detected: Collection[str] | None = None
) -> ClipBench:
    """Return the clips of a protocol; raises MediaError where there are none."""
    bench = protocol.read(data, note, frames=frames, detected=detected)
    if not bench.clips:
        raise MediaError(f"{data} holds no clip to judge by; give the folder of the data set")
    return bench


def open_model(model: Path, open_onnx: Callable[[Path], T]) -> T:
    """Return what `open_onnx` makes of a model, or of what a checkpoint of `shopcue train`, a .pt file, is exported as.

    Raises WeightsError for a checkpoint that cannot be exported, and where the extra that reads it is not installed.
    """
    if model.suffix != ".pt":
        return open_onnx(model)
    try:
        learning = importlib.import_module("shopcue.learning")
    except ModuleNotFoundError as error:
        raise WeightsError(
            f"{model} is a checkpoint, and {error.name}, which reads it, is not installed: "
            "pip install 'shopcue[train]', or give what shopcue export made of it"
        ) from error
    with tempfile.TemporaryDirectory(prefix="shopcue-eval-") as folder:  # sessions keep what they have read
        return open_onnx(learning.export(model, Path(folder) / "model.onnx"))


def open_clip_encoder(model: Path) -> tuple[str, ClipEncoder]:
    """Return an encoder of clips, and what reports call its way of making a vector of one.

    model: a folder, as `models.clip` reads it, or the ONNX file of an image encoder. Raises WeightsError.
    """
    if model.is_dir():
        return OnnxClipEncoder.name, OnnxClipEncoder(model)
    return "mean-pooled frames", MeanPooledFrames(OnnxEncoder(model))


def _quiet(line: str) -> None:
    """Take a line that nobody wants."""
