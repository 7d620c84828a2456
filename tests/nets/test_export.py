"""The files say what the net says: PyTorch, ONNX and int8 agree, for any batch."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training is an extra: pip install 'shopcue[train]'")
pytest.importorskip("onnxscript", reason="training is an extra: pip install 'shopcue[train]'")

import onnx  # noqa: E402

from shopcue.models.image import HouseEncoder  # noqa: E402
from shopcue.nets.backbones import EfficientNetLite0, PictureEncoder  # noqa: E402
from shopcue.nets.export import export_encoder, largest_gap, quantize, run  # noqa: E402

SIDE_PX = 32
PIXELS = np.random.default_rng(0).integers(0, 256, (6, SIDE_PX, SIDE_PX, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def encoder() -> PictureEncoder:
    torch.manual_seed(0)
    encoder = PictureEncoder(EfficientNetLite0(), dim=8)
    for module in encoder.modules():
        if isinstance(module, torch.nn.Conv2d):  # PyTorch's own start lets the picture fade on its way through
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    encoder.eval()
    return encoder


@pytest.fixture(scope="module")
def files(encoder: PictureEncoder, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    exact = tmp_path_factory.mktemp("export") / "exact.onnx"
    small = exact.with_name("small.onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        export_encoder(encoder, exact, SIDE_PX)
        quantize(exact, small, [PIXELS[:3], PIXELS[3:]])
    return exact, small


def test_onnx_says_what_pytorch_says(encoder: PictureEncoder, files: tuple[Path, Path]) -> None:
    with torch.no_grad():
        expected = encoder(torch.from_numpy(PIXELS)).numpy()
    assert largest_gap(expected[:3], expected[3:]) > 0.01, "the pictures must be told apart for this to say anything"
    for count in (1, 4, 6):
        np.testing.assert_allclose(run(files[0], PIXELS[:count]), expected[:count], atol=1e-4)


def test_int8_is_near_smaller_and_the_same_in_any_batch(files: tuple[Path, Path]) -> None:
    exact, small = files
    together = run(small, PIXELS)
    assert largest_gap(run(exact, PIXELS), together) < 0.1
    assert small.stat().st_size < 0.4 * exact.stat().st_size
    for row, picture in zip(together, PIXELS, strict=True):
        np.testing.assert_allclose(run(small, picture[None])[0], row, atol=1e-5)


def test_files_name_nothing_of_the_machine(files: tuple[Path, Path]) -> None:
    for path in files:
        payload = path.read_bytes()
        assert b"site-packages" not in payload
        assert not re.search(rb"\.py\b", payload)
        assert str(Path.home()).encode() not in payload
        onnx.checker.check_model(str(path))


def test_inference_takes_the_file(files: tuple[Path, Path]) -> None:
    house = HouseEncoder(files[1], threads=1)
    assert (house.dim, house.side_px) == (8, SIDE_PX)
    np.testing.assert_allclose(house.encode(list(PIXELS)), run(files[1], PIXELS), atol=1e-5)


def test_the_gap_is_the_worst_cosine_distance() -> None:
    one = np.array([[1, 0], [0, 1]], np.float32)
    assert largest_gap(one, one) == 0
    assert largest_gap(one, np.array([[1, 0], [1, 0]], np.float32)) == 1
