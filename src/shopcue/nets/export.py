"""PyTorch -> ONNX -> int8, with a check that each step says the same as the one before.

The exported graph takes uint8 RGB (N, S, S, 3), N free, and gives unit vectors (N, dim): preprocessing is inside, so no
user of the file can get it wrong. The int8 graph is static (fixed scales) and per channel, with weights of seven bits:
eight-bit products saturate on processors without VNNI, and the same weights must give the same vectors everywhere.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn

from shopcue.models.detector import DETECTOR_OUTPUTS
from shopcue.nets.backbones import JoinedEncoder, PictureEncoder
from shopcue.nets.house_detector import HouseDetector, Served
from shopcue.records import Floats

Pixels = NDArray[np.uint8]
OPSET = 18


def export_encoder(encoder: PictureEncoder | JoinedEncoder, path: Path, side_px: int) -> None:
    """Write `encoder` to `path` as ONNX for pictures of `side_px`, any batch, and check the file against PyTorch."""
    _export(encoder, path, side_px, ["embedding"], tolerance=1e-4)


def export_detector(detector: HouseDetector, path: Path, side_px: int) -> None:
    """Write `detector` as ONNX, outputs as in `Served`, any batch, and check the file against PyTorch (1e-3 px)."""
    _export(Served(detector), path, side_px, list(DETECTOR_OUTPUTS), tolerance=1e-3)


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Keep back what PyTorch's exporter says of its own insides, such as packages that it could use and none needs."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def write_graph(
    net: nn.Module, inputs: Mapping[str, torch.Tensor], path: Path, outputs: Sequence[str], **options: Any
) -> None:
    """Write a net as one ONNX file that names no place of this machine; the first axis of all inputs is left open.

    inputs: an example of each, by name. options: more for `torch.onnx.export`, or others than these.
    """
    batch = torch.export.Dim("batch")
    usual: dict[str, Any] = {
        "dynamic_shapes": tuple({0: batch} for _ in inputs),
        "opset_version": OPSET,
        "external_data": False,
        "dynamo": True,
        "verbose": False,
    }
    with quiet_exporter():
        torch.onnx.export(
            net,
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            **{**usual, **options},
        )
    drop_traces(path)


def _export(net: nn.Module, path: Path, side_px: int, outputs: list[str], tolerance: float) -> None:
    net.eval()
    pixels = torch.randint(
        0, 256, (2, side_px, side_px, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        draft = Path(folder) / path.name
        write_graph(net, {"pixels": pixels}, draft, outputs)
        with torch.no_grad():
            answer = net(pixels)
        expected = answer if isinstance(answer, tuple) else (answer,)
        for name, want, have in zip(outputs, expected, run_all(draft, pixels.numpy()), strict=True):
            gap = float(np.abs(want.numpy() - have).max())
            if gap > tolerance:
                raise RuntimeError(f"{name} of the exported graph differs from PyTorch by {gap:.2g}, not {tolerance}")
        draft.replace(path)


def quantize(
    source: Path,
    target: Path,
    calibration: Sequence[Pixels],
    *,
    seven_bits: bool = True,
    exact: Sequence[str] = (),
) -> None:
    """Write the static int8 twin of the ONNX file `source`; `calibration` is batches (N, S, S, 3) of real pictures.

    exact: parts of the names of weights whose convolutions stay as they are.
    """
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        prepared, draft = Path(folder) / "prepared.onnx", Path(folder) / target.name
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(draft),
            _Calibration(calibration),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Add", "Clip", "Gemm", "MatMul"],
            per_channel=True,
            reduce_range=seven_bits,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=_users_of(prepared, exact),
        )
        drop_traces(draft)
        draft.replace(target)


def run(path: Path, pixels: Pixels) -> Floats:
    """Return what the file at `path` makes of `pixels`. uint8 (N, S, S, 3) -> float32 (N, dim)."""
    return run_all(path, pixels)[0]


def run_all(path: Path, pixels: Pixels) -> list[Floats]:
    """Return all outputs of the file at `path` for `pixels`, uint8 (N, S, S, 3)."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return [np.asarray(each, np.float32) for each in session.run(None, {session.get_inputs()[0].name: pixels})]


def largest_gap(expected: Floats, actual: Floats) -> float:
    """Return the largest cosine distance between matching rows of unit vectors. (N, D), (N, D) -> float."""
    return float((1 - np.einsum("nd,nd->n", expected, actual)).max())


class _Calibration(CalibrationDataReader):
    """Feeds batches of pixels to the calibration."""

    def __init__(self, batches: Sequence[Pixels]) -> None:
        self._batches: Iterator[Pixels] = iter(batches)

    def get_next(self) -> dict[str, Pixels] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"pixels": batch}


def _users_of(path: Path, weights: Sequence[str]) -> list[str]:
    """Return the names of the nodes that take a weight whose name holds one of `weights`."""
    nodes = onnx.load(str(path)).graph.node
    return [node.name for node in nodes if any(part in name for name in node.input for part in weights)]


def drop_traces(path: Path) -> None:
    """Remove what the exporter noted about the machine it ran on: source lines, module paths."""
    model = onnx.load(str(path))
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    model.doc_string = model.graph.doc_string = ""
    onnx.save(model, str(path))
