"""Every image encoder keeps one contract; pictures of any size are fitted and trimmed as promised."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from shopcue.errors import MediaError, WeightsError
from shopcue.models.image import ENCODERS, HouseEncoder, ImageEncoder, OnnxEncoder, fit_square, trim_margins
from shopcue.records import Image

onnx = pytest.importorskip("onnx", reason="tiny test models are built with onnx, of the extra 'train'")


def tiny_model(
    path: Path, *, raw: bool = False, batch: int | str = "batch", side: int | str = 8, pool: bool = True
) -> Path:
    """Write a model whose embedding is the picture's mean colour, mixed by a fixed matrix into five numbers."""
    helper, kinds = onnx.helper, onnx.TensorProto
    mix = np.arange(15, dtype=np.float32).reshape(3, 5) % 7 - 2.5
    nodes = []
    name = "picture"
    if raw:
        nodes += [
            helper.make_node("Cast", [name], ["floats"], to=kinds.FLOAT),
            helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        ]
        name = "planes"
    if pool:
        nodes += [
            helper.make_node("GlobalAveragePool", [name], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["mean"]),
            helper.make_node("MatMul", ["mean", "mix"], ["embedding"]),
        ]
    else:
        nodes.append(helper.make_node("Identity", [name], ["embedding"]))
    shape = [batch, side, side, 3] if raw else [batch, 3, side, side]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("picture", kinds.UINT8 if raw else kinds.FLOAT, shape)],
        [helper.make_tensor_value_info("embedding", kinds.FLOAT, None)],
        [onnx.numpy_helper.from_array(mix, "mix")] if pool else [],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return path


def pictures() -> list[Image]:
    rng = np.random.default_rng(0)
    sizes = [(1, 1), (2, 300), (300, 2), (224, 224), (480, 640), (3000, 2500)]
    noisy = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    return [*noisy, np.full((50, 50, 3), 127, np.uint8), np.zeros((9, 9, 3), np.uint8)]


BODIES: dict[str, Callable[[Path], ImageEncoder]] = {
    "house": lambda folder: HouseEncoder(threads=1),
    "onnx": lambda folder: OnnxEncoder(tiny_model(folder / "float.onnx"), threads=1),
    "onnx uint8": lambda folder: OnnxEncoder(tiny_model(folder / "raw.onnx", raw=True), threads=1),
    "onnx one by one": lambda folder: OnnxEncoder(tiny_model(folder / "one.onnx", batch=1), threads=1),
    "onnx by fours": lambda folder: OnnxEncoder(tiny_model(folder / "four.onnx", batch=4), threads=1),
    "onnx letterbox": lambda folder: OnnxEncoder(tiny_model(folder / "letter.onnx"), fit="letterbox"),
}


@pytest.mark.parametrize("body", BODIES)
def test_contract(body: str, tmp_path: Path) -> None:
    encoder = BODIES[body](tmp_path)
    images = pictures() * 3  # more than one run of the net
    together = encoder.encode(images)
    assert together.shape == (len(images), encoder.dim)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    for row, image in zip(together, images, strict=True):
        np.testing.assert_allclose(encoder.encode([image])[0], row, atol=1e-5)
    assert encoder.encode([]).shape == (0, encoder.dim)
    assert encoder.fingerprint == BODIES[body](tmp_path).fingerprint


@pytest.mark.parametrize(
    "picture",
    [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3)), np.zeros((0, 8, 3), np.uint8)],
)
def test_what_is_no_picture_is_refused(picture: Image) -> None:
    with pytest.raises(MediaError, match="expected"):
        HouseEncoder(threads=1).encode([picture])


def test_the_dict_names_every_body() -> None:
    assert isinstance(ENCODERS["house"](), HouseEncoder)
    assert ENCODERS["onnx"] is OnnxEncoder


def test_house_tells_pictures_apart_and_forgives_exposure() -> None:
    yy, xx = np.mgrid[0:240, 0:240]
    stripes = np.stack([(xx // 12 % 2) * 200, (xx // 12 % 2) * 30, 40 + 0 * xx], axis=-1).astype(np.uint8)
    discs = np.stack([30 + 0 * xx, np.hypot(xx % 60 - 30, yy % 60 - 30) // 2 * 16 % 256, 90 + 0 * xx], axis=-1).astype(
        np.uint8
    )
    dark = np.asarray(cv2.convertScaleAbs(stripes[20:, 10:], alpha=0.8), np.uint8)
    stripes_, discs_, dark_ = HouseEncoder(threads=1).encode([stripes, discs, dark])
    assert stripes_ @ dark_ > 0.15 + stripes_ @ discs_


def test_fingerprints_tell_weights_and_preprocessing_apart(tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "tiny.onnx")
    names = {
        OnnxEncoder(path).fingerprint,
        OnnxEncoder(path, fit="letterbox").fingerprint,
        OnnxEncoder(path, mean=(0, 0, 0)).fingerprint,
        OnnxEncoder(tiny_model(tmp_path / "tiny2.onnx", side=12)).fingerprint,
        HouseEncoder().fingerprint,
    }
    assert len(names) == 5


def test_mean_and_std_are_applied_to_float_models(tmp_path: Path) -> None:
    picture = np.zeros((5, 5, 3), np.uint8) + np.array([10, 20, 30], np.uint8)
    mean, std = (1.0, 2.0, 3.0), (2.0, 4.0, 8.0)
    mix = np.arange(15, dtype=np.float32).reshape(3, 5) % 7 - 2.5
    expected = ((np.array([10, 20, 30]) - mean) / std) @ mix
    got = OnnxEncoder(tiny_model(tmp_path / "tiny.onnx"), mean=mean, std=std).encode([picture])[0]
    np.testing.assert_allclose(got, expected / np.linalg.norm(expected), atol=1e-5)


def test_models_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="give side_px"):
        OnnxEncoder(tiny_model(tmp_path / "open.onnx", side="side"))
    assert OnnxEncoder(tmp_path / "open.onnx", side_px=8).side_px == 8
    with pytest.raises(WeightsError, match="pooled"):
        OnnxEncoder(tiny_model(tmp_path / "maps.onnx", pool=False))
    (tmp_path / "junk.onnx").write_bytes(b"not a model")
    with pytest.raises(WeightsError, match="cannot be loaded"):
        OnnxEncoder(tmp_path / "junk.onnx")
    with pytest.raises(WeightsError, match="no weights at"):
        HouseEncoder(tmp_path / "gone.onnx")


@pytest.mark.parametrize("fit", ["squash", "letterbox"])
@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (32, 32), (100, 50), (1000, 3000)])
def test_fit_square_gives_squares_of_the_same_colour(fit: str, size: tuple[int, int]) -> None:
    square = fit_square(np.full((*size, 3), 200, np.uint8), 32, "squash" if fit == "squash" else "letterbox")
    assert square.shape == (32, 32, 3)
    assert set(np.unique(square)) <= ({200} if fit == "squash" else {127, 200})
    assert (square == 200).any()


def test_letterbox_keeps_the_aspect() -> None:
    square = fit_square(np.full((100, 50, 3), 255, np.uint8), 32, "letterbox")
    rows, columns = np.nonzero((square == 255).all(axis=2))
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (0, 32, 8, 24)


def test_trim_margins_finds_the_product() -> None:
    picture = np.full((100, 200, 3), 250, np.uint8)
    picture[30:70, 40:140] = (200, 30, 30)
    assert trim_margins(picture, keep=0).shape == (40, 100, 3)
    assert trim_margins(picture, keep=0.04).shape == (48, 108, 3)
    np.testing.assert_array_equal(trim_margins(picture, keep=0), picture[30:70, 40:140])


def test_trim_margins_leaves_the_rest_alone() -> None:
    rng = np.random.default_rng(0)
    busy = rng.integers(0, 256, (60, 40, 3), dtype=np.uint8)
    plain = np.full((60, 40, 3), 255, np.uint8)
    assert trim_margins(busy).shape == busy.shape
    assert trim_margins(plain).shape == plain.shape
    assert trim_margins(np.zeros((1, 1, 3), np.uint8)).shape == (1, 1, 3)
