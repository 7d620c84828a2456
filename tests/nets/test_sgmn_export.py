"""An exported SGMN says what PyTorch says: pictures, clips of any number of frames, and texts of either kind."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training is an extra: pip install 'shopcue[train]'")
pytest.importorskip("onnxscript", reason="export is in the train extra: pip install 'shopcue[train]'")

from patch_encoder import PATCH, PatchEncoder  # noqa: E402
from shopcue.errors import OutputError, WeightsError  # noqa: E402
from shopcue.models.clip import OnnxClipEncoder  # noqa: E402
from shopcue.nets.sgmn.export import check_parity, export_sgmn  # noqa: E402
from shopcue.nets.sgmn.network import Sgmn, SgmnConfig  # noqa: E402

SIDE, FRAMES = 16, 4
MADE = {"data": "d" * 16, "commit": "none", "steps": "3"}
TEXTS = ("这款红色连衣裙", "a red dress", "", "  ", "a red " * 300)


def build(config: SgmnConfig) -> Sgmn:
    torch.manual_seed(3)
    net = Sgmn(config, PatchEncoder(16, SIDE))
    net.eval()
    with torch.no_grad():  # what whispers at the start would hide a wrong graph
        for parameter in net.alignment.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return net


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sgmn, Path]:
    net = build(SgmnConfig(text_dim=24, frames=FRAMES, heads=2, text_weight=0.25))
    out = tmp_path_factory.mktemp("exported") / "encoder"
    export_sgmn(net, out, "squash", MADE)
    return net, out


def test_an_export_says_nothing_of_its_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    net = build(SgmnConfig(frames=FRAMES, heads=2, te=False, tmc=False, gci=False, smf=False))
    export_sgmn(net, tmp_path / "out", "letterbox", MADE)
    assert not [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert OnnxClipEncoder(tmp_path / "out", threads=1).encode_texts(["a", "b"]).shape == (2, 0)
    assert not (tmp_path / "out" / "text.onnx").exists(), "a net without text reads nothing"


def pictures(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def test_clips_and_pictures_are_those_of_pytorch(house: tuple[Sgmn, Path]) -> None:
    net, folder = house
    encoder = OnnxClipEncoder(folder, threads=1)
    frames = pictures(2 * FRAMES)
    with torch.no_grad():
        alone = net.encode_pictures(torch.from_numpy(frames)).numpy()
        whole = net.encode_clips(torch.from_numpy(frames[None, :FRAMES]))[1].numpy()
        part = net.encode_clips(torch.from_numpy(frames[None, :FRAMES]), torch.tensor([[True, True, False, False]]))[1]
    assert np.allclose(encoder.encode(list(frames)), alone, atol=1e-5)
    clips = encoder.encode_clips([list(frames[:FRAMES]), list(frames[:2]), []])
    assert np.allclose(clips[0], whole[0], atol=1e-5)
    assert np.allclose(clips[1], part.numpy()[0], atol=1e-5)
    assert not clips[2].any()
    assert np.abs(whole - part.numpy()).max() > 0.01  # else the mask would not be looked at


def test_places_are_those_of_pytorch(house: tuple[Sgmn, Path]) -> None:
    net, folder = house
    encoder, shown, side = OnnxClipEncoder(folder, threads=1), pictures(19), SIDE // PATCH
    with torch.no_grad():
        seen = net.alignment.picture(net.alignment.picture.prepare(torch.from_numpy(shown)))[1].numpy()
    expected = seen / np.linalg.norm(seen, axis=-1, keepdims=True)
    found = encoder.encode_places(list(shown))
    assert found.shape == (19, side, side, 16)
    assert np.allclose(found.reshape(19, side * side, 16), expected, atol=1e-5)
    assert encoder.attention(list(shown)) is None  # this encoder takes the mean


def test_the_house_encoder_tells_what_it_attends_to(tmp_path: Path) -> None:
    torch.manual_seed(5)
    net = Sgmn(SgmnConfig(frames=2, heads=2, dim=16, side_px=64, text_dim=8, tmc=False, gci=False, smf=False)).eval()
    export_sgmn(net, tmp_path / "out", "letterbox", MADE)
    shown = np.random.default_rng(1).integers(0, 256, (3, 64, 64, 3), np.uint8)
    picture = net.alignment.picture
    with torch.no_grad():
        expected = picture.attention(picture.trunk(picture.prepare(torch.from_numpy(shown)))).numpy()
    found = OnnxClipEncoder(tmp_path / "out", threads=1).attention(list(shown))
    assert found is not None
    assert np.allclose(found.reshape(3, 4), expected, atol=1e-4)
    assert np.allclose(found.sum(axis=(1, 2)), 1, atol=1e-5)


def test_texts_are_those_of_pytorch(house: tuple[Sgmn, Path]) -> None:
    net, folder = house
    encoder = OnnxClipEncoder(folder, threads=1)
    with torch.no_grad():
        expected = net.encode_texts(TEXTS).numpy()
    found = encoder.encode_texts(TEXTS)
    assert np.allclose(found, expected, atol=1e-5)
    assert not found[2:4].any()
    assert encoder.text_weight == 0.25


def test_a_folder_says_what_it_was_made_of(house: tuple[Sgmn, Path]) -> None:
    manifest = json.loads((house[1] / "sgmn.json").read_text())
    assert manifest["made"] == {**MADE, "encoder": "house"}
    assert (manifest["side_px"], manifest["frames"], manifest["dim"], manifest["fit"]) == (SIDE, FRAMES, 16, "squash")
    assert {path.name for path in house[1].iterdir()} == {*manifest["files"], "sgmn.json"}
    assert b"/src/" not in (house[1] / "frames.onnx").read_bytes()


def test_nothing_is_overwritten_and_another_net_is_told_apart(house: tuple[Sgmn, Path]) -> None:
    net, folder = house
    with pytest.raises(OutputError, match="is there already"):
        export_sgmn(net, folder, "squash", MADE)
    other = build(net.config)
    with torch.no_grad():
        other.get_parameter("alignment.motion.answer.1.weight").add_(0.5)
    with pytest.raises(RuntimeError, match="clips of the exported net differ from PyTorch"):
        check_parity(other, folder)


# ---- texts by tokens ---------------------------------------------------------------------------------------------


@pytest.fixture(params=["clip", "chinese"])
def token_folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    pytest.importorskip("transformers", reason="CLIP needs transformers: pip install 'shopcue[train]'")
    pytest.importorskip("tokenizers")
    import tiny_clips

    torch.manual_seed(0)
    (tiny_clips.write_clip if request.param == "clip" else tiny_clips.write_chinese_clip)(tmp_path / "hub")
    return tmp_path / "hub"


def test_texts_by_tokens_are_those_of_pytorch(token_folder: Path, tmp_path: Path) -> None:
    name = "chinese-clip" if "chinese" in (token_folder / "config.json").read_text() else "clip-vit-b-32"
    net = Sgmn(SgmnConfig(encoder=name, weights=str(token_folder), frames=FRAMES, heads=2, frozen=1)).eval()
    export_sgmn(net, tmp_path / "out", "squash", MADE)
    texts = ["ab abc", "cab", "b " * 40, "苹果汁", "红裙子", "果" * 70, ""]
    with torch.no_grad():
        # One at a time: PyTorch pads to the longest of a batch, the file to the longest there is.
        expected = torch.cat([net.encode_texts([text]) for text in texts]).numpy()
    encoder = OnnxClipEncoder(tmp_path / "out", threads=1)
    assert np.allclose(encoder.encode_texts(texts), expected, atol=1e-4)
    side = net.alignment.picture.side_px
    frame = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    with torch.no_grad():
        assert np.allclose(encoder.encode(list(frame)), net.encode_pictures(torch.from_numpy(frame)), atol=1e-4)
    (tmp_path / "out" / "tokenizer.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"tokenizer\.json has sha256"):
        OnnxClipEncoder(tmp_path / "out")
