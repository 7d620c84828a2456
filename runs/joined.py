"""The house encoder as it ships: two nets side by side, whose cosines are averaged.

    python -m runs.joined DATA OUT --last START TRAINED --middle START TRAINED

`last` is EfficientNet-Lite0 to its last map, trained by runs/encoder.py as of commit 30336d2; `middle` stops in the
middle of the net and is trained by runs/encoder.py as it is now; each comes as the start.pt and trained.pt that the
training leaves. The first is the better one for printed goods, the second for garments on people (`runs/garments.py`),
and their mean is as good as the better one at each. Writes OUT/house-encoder.onnx (int8) and its fp32 twin. Needs the
extra `train`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from runs.encoder import load_net, read_shop

from shopcue.models.image import fit_square, trim_margins
from shopcue.nets.backbones import EfficientNetLite0, JoinedEncoder, PictureEncoder
from shopcue.nets.export import export_encoder, quantize
from shopcue.training.encoder import blend
from shopcue.training.pairs import read_picture

SIDE_PX = 160
LAST_SHARE, MIDDLE_SHARE = 0.8, 0.7  # of the way from ImageNet to the trained net


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--last", type=Path, nargs=2, required=True, metavar=("START", "TRAINED"))
    parser.add_argument("--middle", type=Path, nargs=2, required=True, metavar=("START", "TRAINED"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    last = blend(*(load_last(path) for path in arguments.last), LAST_SHARE)
    middle = blend(*(load_net(path) for path in arguments.middle), MIDDLE_SHARE)
    exact, path = arguments.out / "house-encoder-fp32.onnx", arguments.out / "house-encoder.onnx"
    export_encoder(JoinedEncoder(last, middle), exact, SIDE_PX)
    quantize(exact, path, calibration_batches(arguments.data))


def load_last(path: Path) -> PictureEncoder:
    encoder = PictureEncoder(EfficientNetLite0())
    encoder.load_state_dict(torch.load(path, weights_only=True))
    encoder.eval()
    return encoder


def calibration_batches(data: Path) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    """Return pictures of every kind for the scales of eight bits: garments, fruit, and shop pictures of goods."""
    shop = read_shop(data)
    loose = [path for each in shop.classes if not each.packaged for path in shop.photos.get(each.class_id, [])]
    paths = [*shop.garments["train"][::20], *loose[::30]]
    seen = [read_picture(path) for path in paths]
    seen += [trim_margins(read_picture(each.picture)) for each in shop.classes]
    order = np.random.default_rng(0).permutation(len(seen))[:256]
    pixels = np.stack([fit_square(seen[int(index)], SIDE_PX, "letterbox") for index in order])
    return [pixels[first : first + 16] for first in range(0, len(pixels), 16)]


if __name__ == "__main__":
    main()
