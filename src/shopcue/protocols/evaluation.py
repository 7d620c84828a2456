"""A protocol by its name, on a model or on vectors: what `shopcue eval` calls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from shopcue.errors import ScoreError
from shopcue.models.detector import Detector, HouseDetector
from shopcue.models.image import OnnxEncoder
from shopcue.protocols.clips import (
    CLIP_PROTOCOLS,
    ClipEncoder,
    ClipProtocol,
    MeanPooledFrames,
    encode_bench,
    given_vectors,
    judge_clips,
    read_bench,
)
from shopcue.protocols.deepfashion import Encoder, Note, Update, consumer_to_shop, deepfashion2
from shopcue.protocols.reports import RetrievalReport
from shopcue.protocols.vectors import VectorFiles

PICTURE_PROTOCOLS: dict[str, Callable[[Path, Encoder, Detector | None, Update | None, Note], list[RetrievalReport]]] = {
    "deepfashion-c2s": consumer_to_shop,
    "deepfashion2": deepfashion2,
}
DATA_SETS = (*PICTURE_PROTOCOLS, *CLIP_PROTOCOLS)


def evaluate(
    data_set: str,
    data: Path,
    model: Path | VectorFiles,
    *,
    protocol: str | None = None,
    detector: Path | None = None,
    update: Update | None = None,
    note: Note | None = None,
) -> list[RetrievalReport]:
    """Run a protocol of one of `DATA_SETS` on the folder that holds it, and return one report for each gallery.

    model: an ONNX file, or the vectors that another model has made. protocol: of those that the data set has, the usual
    one where None. detector: an ONNX file as of `models.detector`; without it the annotated boxes are used, or the
    shipped detector where a protocol asks for one. note: told what of the data is left out. Raises ScoreError for an
    unknown protocol and for vectors, MediaError and WeightsError for data and models.
    """
    say = note or (lambda line: None)
    if data_set in CLIP_PROTOCOLS:
        return [_evaluate_clips(choose_protocol(data_set, protocol), data, model, detector, update, say)]
    if data_set not in PICTURE_PROTOCOLS:
        raise ScoreError(f"the protocol is {data_set!r}, expected one of {', '.join(DATA_SETS)}")
    if protocol is not None:
        raise ScoreError(f"{data_set} has one protocol alone, and {protocol!r} came; leave it out")
    found = None if detector is None else HouseDetector(detector)
    encoder = model if isinstance(model, VectorFiles) else OnnxEncoder(model)
    return PICTURE_PROTOCOLS[data_set](data, encoder, found, update, say)


def choose_protocol(data_set: str, name: str | None = None) -> ClipProtocol:
    """Return a protocol of a set of clips, the usual one where none is named; raises ScoreError for an unknown one."""
    protocols = CLIP_PROTOCOLS[data_set]
    chosen = name or next(iter(protocols))
    if chosen not in protocols:
        raise ScoreError(f"{data_set} has no protocol {chosen!r}, expected one of {', '.join(protocols)}")
    return protocols[chosen]


def _evaluate_clips(
    protocol: ClipProtocol,
    data: Path,
    model: Path | VectorFiles,
    detector: Path | None,
    update: Update | None,
    note: Note,
) -> RetrievalReport:
    if detector is not None and (isinstance(model, VectorFiles) or not protocol.detected):
        raise ScoreError("a detector is used by a model on movingfashion --protocol seam alone; leave it out")
    if isinstance(model, VectorFiles):
        bench = read_bench(protocol, data, note)
        return judge_clips(protocol, bench, given_vectors(bench, model), "given vectors")
    way, encoder = open_clip_encoder(model)
    found = HouseDetector(detector) if protocol.detected else None
    bench = read_bench(protocol, data, note)
    vectors = encode_bench(bench, encoder, detector=found, update=update)
    return judge_clips(protocol, bench, vectors, way)


def open_clip_encoder(model: Path) -> tuple[str, ClipEncoder]:
    """Return an encoder of clips out of an ONNX file, and what reports call its way of making one vector of a clip."""
    return "mean-pooled frames", MeanPooledFrames(OnnxEncoder(model))
