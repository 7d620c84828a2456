"""A protocol by its name, on a model or on vectors: what `shopcue eval` calls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from shopcue.errors import ScoreError
from shopcue.models.detector import Detector, HouseDetector
from shopcue.models.image import OnnxEncoder
from shopcue.protocols.deepfashion import Encoder, Note, Update, consumer_to_shop, deepfashion2
from shopcue.protocols.reports import RetrievalReport
from shopcue.protocols.vectors import VectorFiles

PROTOCOLS: dict[str, Callable[[Path, Encoder, Detector | None, Update | None, Note], list[RetrievalReport]]] = {
    "deepfashion-c2s": consumer_to_shop,
    "deepfashion2": deepfashion2,
}


def evaluate(
    protocol: str,
    data: Path,
    model: Path | VectorFiles,
    *,
    detector: Path | None = None,
    update: Update | None = None,
    note: Note | None = None,
) -> list[RetrievalReport]:
    """Run a protocol of `PROTOCOLS`, and return one report for each gallery.

    model: an ONNX image encoder, or the vectors that another model has made. detector: an ONNX file as of
    `models.detector`; without it the annotated boxes are used. note: told what of the data is left out. Raises
    ScoreError for an unknown protocol and for vectors, MediaError and WeightsError for data and models.
    """
    if protocol not in PROTOCOLS:
        raise ScoreError(f"the protocol is {protocol!r}, expected one of {', '.join(PROTOCOLS)}")
    found = None if detector is None else HouseDetector(detector)
    encoder = model if isinstance(model, VectorFiles) else OnnxEncoder(model)
    return PROTOCOLS[protocol](data, encoder, found, update, note or (lambda line: None))
