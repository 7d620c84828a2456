"""The trained detector -> one ONNX file that ONNX Runtime runs alone, from pixels to answers.

RoIAlign and suppression become ONNX's own operators: while the graph is traced each is one opaque operator, which the
exporter is then told how to write. In PyTorch the opaque operators do what `TorchOperators` does, so the traced module
can be run too, and the file is checked against it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxscript
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shopcue.models.detector import DETECTOR_OUTPUTS
from shopcue.nets.dprnet.detector import DprnetDetector
from shopcue.nets.dprnet.operators import TorchOperators
from shopcue.nets.export import run_all, write_graph

_OPS: Any = onnxscript.opset18  # untyped: its stubs refuse what one operator gives as what the next one takes
_NO_BOX = -1e38  # below every score but -inf: ONNX's suppression leaves out what is not above it


def export_dprnet_detector(detector: DprnetDetector, path: Path, height: int, width: int) -> None:
    """Write `detector` to `path` as ONNX for pictures of height x width, multiples of 32, and check it against PyTorch.

    The graph takes uint8 RGB (N, height, width, 3), any N, and gives what `Served` does: a file of the same kind as the
    house detector's, which `shopcue.models.detector` runs if it is square. Raises RuntimeError where the file differs.
    """
    served = Served(detector).eval()
    # Noise of all scales, so that there is something to find for a net that has learnt something.
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(2, 3, height // 16, width // 16, generator=generator)
    pixels = (F.interpolate(noise, (height, width), mode="nearest") * 255).to(torch.uint8).permute(0, 2, 3, 1)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        draft = Path(folder) / path.name
        translations = {
            torch.ops.shopcue.roi_align.default: _write_roi_align,
            torch.ops.shopcue.stays.default: _write_stays,
        }
        write_graph(served, {"pixels": pixels}, draft, DETECTOR_OUTPUTS, custom_translation_table=translations)
        with torch.no_grad():
            expected = served(pixels)
        for name, want, have in zip(DETECTOR_OUTPUTS, expected, run_all(draft, pixels.numpy()), strict=True):
            gap, limit = float(np.abs(want.numpy() - have).max()), 1e-2 if name == "boxes" else 1e-3
            if gap > limit:
                raise RuntimeError(f"{name} of the exported graph differs from PyTorch by {gap:.2g}, not {limit}")
        draft.replace(path)


class Served(nn.Module):
    """The detector as it is exported: uint8 (N, H, W, 3) -> boxes (N, K, 4), scores (N, K, C), quality (N, K, 3) and
    vectors (N, K, E); a place has one class, whose score it gives, and 0 for the others.
    """

    def __init__(self, detector: DprnetDetector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return boxes, scores, quality and vectors."""
        answers = self.detector.answer(pixels, OpaqueOperators())
        of_class = F.one_hot(answers.classes, self.detector.settings.classes) * answers.scores[..., None]
        return answers.boxes, of_class, answers.quality, answers.vectors


class OpaqueOperators:
    """The operators as single nodes of a traced graph."""

    def roi_align(self, features: Tensor, boxes: Tensor, pictures: Tensor, side: int, scale: float) -> Tensor:
        """Return (R, C, side, side)."""
        return _roi_align(features, boxes, pictures, side, scale)

    def stays(self, boxes: Tensor, scores: Tensor, classes: Tensor, class_count: int, threshold: float) -> Tensor:
        """Return which boxes stay, bool (N, K)."""
        return _stays(boxes, scores, classes, class_count, threshold)


@torch.library.custom_op("shopcue::roi_align", mutates_args=())
def _roi_align(features: Tensor, boxes: Tensor, pictures: Tensor, side: int, scale: float) -> Tensor:
    return TorchOperators().roi_align(features, boxes, pictures, side, scale).contiguous()


@_roi_align.register_fake
def _(features: Tensor, boxes: Tensor, pictures: Tensor, side: int, scale: float) -> Tensor:
    return features.new_empty((boxes.shape[0], features.shape[1], side, side))


@torch.library.custom_op("shopcue::stays", mutates_args=())
def _stays(boxes: Tensor, scores: Tensor, classes: Tensor, class_count: int, threshold: float) -> Tensor:
    return TorchOperators().stays(boxes, scores, classes, class_count, threshold)


@_stays.register_fake
def _(boxes: Tensor, scores: Tensor, classes: Tensor, class_count: int, threshold: float) -> Tensor:
    return torch.empty_like(scores, dtype=torch.bool)


def _write_roi_align(features: Any, boxes: Any, pictures: Any, side: int, scale: float) -> Any:
    return _OPS.RoiAlign(
        features,
        boxes,
        pictures,
        coordinate_transformation_mode="half_pixel",
        output_height=side,
        output_width=side,
        sampling_ratio=2,
        spatial_scale=scale,
    )


def _write_stays(boxes: Any, scores: Any, classes: Any, class_count: int, threshold: float) -> Any:
    """Write suppression within classes: ONNX's operator takes a score of every box for every class, (N, C, K)."""
    every_class = _OPS.Constant(value_ints=list(range(class_count)))
    own = _OPS.Equal(_unsqueeze(classes, 1), _unsqueeze(_unsqueeze(every_class, 0), 2))
    by_class = _OPS.Where(own, _unsqueeze(scores, 1), _OPS.Constant(value_float=2 * _NO_BOX))
    most = _OPS.Shape(scores, start=1, end=2)
    overlap, least = _OPS.Constant(value_floats=[threshold]), _OPS.Constant(value_floats=[_NO_BOX])
    chosen = _OPS.NonMaxSuppression(boxes, by_class, most, overlap, least)  # (picture, class, box) a row
    places = _OPS.Gather(chosen, _OPS.Constant(value_ints=[0, 2]), axis=1)
    ones = _OPS.Expand(_OPS.Constant(value_float=1.0), _OPS.Shape(chosen, start=0, end=1))
    stays = _OPS.ScatterND(_OPS.ConstantOfShape(_OPS.Shape(scores)), places, ones)
    return _OPS.Cast(stays, to=onnx.TensorProto.BOOL)


def _unsqueeze(value: Any, axis: int) -> Any:
    return _OPS.Unsqueeze(value, _OPS.Constant(value_ints=[axis]))
