"""Boxes against plain loops and against ONNX Runtime's own operators."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="training is an extra: pip install 'shopcue[train]'")
onnx = pytest.importorskip("onnx", reason="training is an extra: pip install 'shopcue[train]'")

from shopcue.nets.dprnet.anchors import anchor_shapes, place_anchors  # noqa: E402
from shopcue.nets.dprnet.boxes import area, clip, decode, encode, iou, is_thin, nms, overlap_area  # noqa: E402
from shopcue.nets.dprnet.operators import TorchOperators  # noqa: E402
from shopcue.nets.dprnet.roi_align import roi_align  # noqa: E402

Floats = NDArray[np.float32]
UNIT = torch.ones(4)


def loop_area(box: Floats) -> float:
    return float(max(box[2] - box[0], 0)) * float(max(box[3] - box[1], 0))


def loop_overlap(a: Floats, b: Floats) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return float(max(width, 0)) * float(max(height, 0))


def loop_iou(a: Floats, b: Floats) -> float:
    both = loop_overlap(a, b)
    return both / (loop_area(a) + loop_area(b) - both) if both else 0.0


def loop_nms(boxes: Floats, scores: Floats, threshold: float, classes: NDArray[np.int64]) -> list[int]:
    kept: list[int] = []
    for index in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        rivals = [each for each in kept if classes[each] == classes[index]]
        if all(np.float32(loop_iou(boxes[each], boxes[index])) <= np.float32(threshold) for each in rivals):
            kept.append(index)
    return kept


def onnx_operator(name: str, inputs: dict[str, NDArray[Any]], dtype: int, **attributes: object) -> NDArray[Any]:
    """What ONNX Runtime's operator says, run alone."""
    node = onnx.helper.make_node(name, list(inputs), ["out"], **attributes)
    types = [
        onnx.helper.make_tensor_value_info(key, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for key, value in inputs.items()
    ]
    out = onnx.helper.make_tensor_value_info("out", dtype, None)
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], name, types, [out]), opset_imports=[onnx.helper.make_opsetid("", 16)]
    )
    model.ir_version = 8
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, inputs)[0])


def random_boxes(rng: np.random.Generator, count: int, side: int = 40) -> Floats:
    """Boxes on whole pixels, so that ties and exact thresholds happen."""
    corner = rng.integers(0, side, (count, 2))
    return np.concatenate([corner, corner + rng.integers(0, side // 2, (count, 2))], axis=1).astype(np.float32)


# ---- coding ----------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 10_000))
def test_decoding_undoes_encoding(seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes = torch.from_numpy(random_boxes(rng, 8) + np.array([0, 0, 1, 1], np.float32))
    anchors = torch.from_numpy(random_boxes(rng, 8) + np.array([0, 0, 2, 2], np.float32))
    for scale in (UNIT, torch.tensor([10.0, 10.0, 5.0, 5.0])):
        torch.testing.assert_close(decode(encode(boxes, anchors, scale), anchors, scale), boxes, atol=1e-4, rtol=1e-5)


def test_deltas_are_those_of_the_paper() -> None:
    anchor, box = torch.tensor([10.0, 20.0, 30.0, 60.0]), torch.tensor([15.0, 20.0, 25.0, 100.0])
    # centre (20, 40), sides (20, 40) -> centre (20, 60), sides (10, 80)
    expected = torch.tensor([0.0, 20 / 40, float(np.log(0.5)), float(np.log(2))])
    torch.testing.assert_close(encode(box, anchor, UNIT), expected)
    torch.testing.assert_close(encode(box, anchor, 2 * UNIT), 2 * expected)


def test_a_wild_logit_does_not_overflow() -> None:
    box = decode(torch.tensor([[0.0, 0.0, 1e6, 1e6]]), torch.tensor([[0.0, 0.0, 16.0, 16.0]]), UNIT)
    torch.testing.assert_close(box[:, 2:] - box[:, :2], torch.tensor([[1000.0, 1000.0]]))


def test_clipping_and_thin_boxes() -> None:
    boxes = torch.tensor([[[-5.0, -6.0, 7.0, 8.0], [95.0, 40.0, 120.0, 70.0], [99.5, 0.0, 140.0, 9.0]]])
    clipped = clip(boxes, height=50, width=100)
    assert clipped.tolist() == [[[0, 0, 7, 8], [95, 40, 100, 50], [99.5, 0, 100, 9]]]
    assert is_thin(clipped).tolist() == [[False, False, True]]


@given(seed=st.integers(0, 10_000))
def test_overlaps_are_those_of_a_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = random_boxes(rng, 5), random_boxes(rng, 7)
    tensors = torch.from_numpy(a), torch.from_numpy(b)
    np.testing.assert_allclose(area(tensors[0]), [loop_area(box) for box in a])
    np.testing.assert_allclose(overlap_area(*tensors), [[loop_overlap(x, y) for y in b] for x in a])
    np.testing.assert_allclose(iou(*tensors), [[loop_iou(x, y) for y in b] for x in a], rtol=1e-6)


# ---- suppression -----------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(seed=st.integers(0, 100_000), count=st.integers(0, 60), threshold=st.sampled_from([0.0, 0.25, 0.5, 0.7, 1.0]))
def test_suppression_is_that_of_a_loop_and_of_onnx_runtime(seed: int, count: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    boxes = random_boxes(rng, count)
    scores = (rng.integers(0, 12, count) / 12).astype(np.float32)  # so that many are equal
    classes = rng.integers(0, 3, count)
    kept = nms(torch.from_numpy(boxes), torch.from_numpy(scores), threshold).tolist()
    assert kept == loop_nms(boxes, scores, threshold, np.zeros(count, np.int64))
    by_class = nms(torch.from_numpy(boxes), torch.from_numpy(scores), threshold, torch.from_numpy(classes))
    assert by_class.tolist() == loop_nms(boxes, scores, threshold, classes)
    if count:
        theirs = onnx_operator(
            "NonMaxSuppression",
            {
                "boxes": boxes[None],
                "scores": scores[None, None],
                "most": np.array([count], np.int64),
                "overlap": np.array([threshold], np.float32),
            },
            onnx.TensorProto.INT64,
        )
        assert theirs[:, 2].tolist() == kept


def test_a_removed_box_removes_nothing() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [4.0, 0, 14, 10], [8.0, 0, 18, 10]])  # each covers the next, not the last
    assert nms(boxes, torch.tensor([3.0, 2.0, 1.0]), 0.4).tolist() == [0, 2]


def test_empty_places_neither_stay_nor_remove() -> None:
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0.0, 0, 10, 10], [20.0, 0, 30, 10]]]).repeat(2, 1, 1)
    nothing = float("-inf")
    scores = torch.tensor([[nothing, 0.5, 0.4], [0.9, 0.5, nothing]])
    stays = TorchOperators().stays(boxes, scores, torch.zeros(2, 3, dtype=torch.int64), 1, 0.5)
    assert stays.tolist() == [[False, True, True], [True, False, False]]


# ---- RoIAlign --------------------------------------------------------------------------------------------------


def loop_roi_align(features: Floats, box: Floats, side: int, scale: float, samples: int) -> Floats:
    """RoIAlign of one picture's map (C, H, W) as its definition says, point by point."""
    channels, height, width = features.shape
    x0, y0, x1, y1 = box * scale - 0.5
    out = np.zeros((channels, side, side))
    for row in range(side):
        for column in range(side):
            for i in range(samples):
                for j in range(samples):
                    y = y0 + (y1 - y0) / side * (row + (i + 0.5) / samples)
                    x = x0 + (x1 - x0) / side * (column + (j + 0.5) / samples)
                    if y < -1 or y > height or x < -1 or x > width:
                        continue
                    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
                    top, left = int(y), int(x)
                    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
                    upper = features[:, top, left] * (left + 1 - x) + features[:, top, right] * (x - left)
                    lower = features[:, bottom, left] * (left + 1 - x) + features[:, bottom, right] * (x - left)
                    out[:, row, column] += (upper * (top + 1 - y) + lower * (y - top)) / samples**2
    return out.astype(np.float32)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 100_000),
    side=st.integers(1, 5),
    samples=st.integers(1, 3),
    scale=st.sampled_from([1.0, 0.25, 1 / 16]),
)
def test_roi_align_is_that_of_a_loop_and_of_onnx_runtime(seed: int, side: int, samples: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(2, 3, 6, 9)).astype(np.float32)
    corner = rng.uniform(-3, 8, (7, 2))
    boxes = (np.concatenate([corner, corner + rng.uniform(0, 7, (7, 2))], axis=1) / scale).astype(np.float32)
    pictures = rng.integers(0, 2, 7)
    tensors = [torch.from_numpy(each) for each in (features, boxes, pictures)]
    ours = roi_align(tensors[0], tensors[1], tensors[2], side, scale, samples).numpy()
    loop = [loop_roi_align(features[n], box, side, scale, samples) for n, box in zip(pictures, boxes, strict=True)]
    np.testing.assert_allclose(ours, loop, atol=2e-5)
    theirs = onnx_operator(
        "RoiAlign",
        {"features": features, "boxes": boxes, "pictures": pictures},
        onnx.TensorProto.FLOAT,
        coordinate_transformation_mode="half_pixel",
        output_height=side,
        output_width=side,
        sampling_ratio=samples,
        spatial_scale=scale,
    )
    np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_roi_align_of_a_ramp_is_the_ramp() -> None:
    ramp = (torch.arange(20.0) + 0.5)[None, None, None].expand(1, 1, 12, 20) * 16  # a cell holds its centre's pixel
    pooled = roi_align(ramp, torch.tensor([[32.0, 48.0, 160.0, 96.0]]), torch.tensor([0]), 4, 1 / 16)
    torch.testing.assert_close(pooled[0, 0, 0], torch.tensor([48.0, 80.0, 112.0, 144.0]))


def test_gradients_reach_the_features() -> None:
    features = torch.randn(2, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    boxes = torch.tensor([[0.0, 0, 4, 3], [1.0, 1, 5, 4], [-1.0, 0, 2, 2]], dtype=torch.float64)
    pictures = torch.tensor([0, 1, 1])
    assert torch.autograd.gradcheck(lambda x: roi_align(x, boxes, pictures, 2, 1.0), (features,))


def test_no_boxes_give_no_features() -> None:
    pooled = roi_align(torch.zeros(1, 3, 4, 4), torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), 2, 1.0)
    assert pooled.shape == (0, 3, 2, 2)


# ---- anchors ---------------------------------------------------------------------------------------------------


def test_anchors_stand_at_the_centre_of_each_cell() -> None:
    placed = place_anchors(anchor_shapes((16.0, 32.0), (0.5, 2.0)), height=2, width=3, stride=16).view(2, 3, 4, 4)
    for row in range(2):
        for column in range(3):
            for index, (side, ratio) in enumerate([(16, 0.5), (16, 2.0), (32, 0.5), (32, 2.0)]):
                x, y = column * 16 + 8, row * 16 + 8
                half_width, half_height = side / ratio**0.5 / 2, side * ratio**0.5 / 2
                expected = [x - half_width, y - half_height, x + half_width, y + half_height]
                np.testing.assert_allclose(placed[row, column, index], expected, rtol=1e-5)
