"""How many instances a second become vectors that can be searched: DPRNet's Table 3, on this machine.

    python benchmarks/instances.py [--fp32 FILE] [--views 12] [--out FILE]

Ours: one picked view of an instance -> the house encoder. AsymNet's way (Cheng et al., CVPR 2017) on the same encoder:
all views of an instance -> the encoder -> a recurrent net -> an expert for each view, against the picture of every
product. Both in one run, one after the other, the best of five rounds; pictures are noise of 256 x 192 pixels, since no
net's time depends on what is in them; 71 products. Gallery: shop pictures a second. --fp32 adds the exact twin of the
shipped int8 file, as runs/encoder.py leaves it. Needs the extra `train`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from shopcue.models.image import HouseEncoder
from shopcue.nets.asymnet import AsymNet
from shopcue.records import Floats

INSTANCES, PRODUCTS, ROUNDS, DIM = 32, 71, 5, 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fp32", type=Path, help="the house encoder in single precision")
    parser.add_argument("--views", type=int, default=12, help="of an instance in AsymNet's way")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    views = [rng.integers(0, 256, (256, 192, 3), np.uint8) for _ in range(INSTANCES * arguments.views)]
    products = rng.normal(size=(PRODUCTS, DIM)).astype(np.float32)
    products /= np.linalg.norm(products, axis=1, keepdims=True)
    net = AsymNet(DIM).eval()
    rows = []
    for precision, path in (("int8", None), ("fp32", arguments.fp32)):
        if precision == "fp32" and path is None:
            continue
        encoder = HouseEncoder(path)

        def ours(encoder: HouseEncoder = encoder) -> None:
            np.matmul(encoder.encode(views[:INSTANCES]), products.T)

        def asymnet(encoder: HouseEncoder = encoder) -> None:
            mixture(net, encoder.encode(views), products, arguments.views)

        for way, work in (("pick one view", ours), (f"AsymNet, {arguments.views} views", asymnet)):
            rows.append(
                {"way": way, "precision": precision, "queries a second": rate(work), "pictures a second": rate(ours)}
            )
            print(json.dumps(rows[-1]), flush=True)
    if arguments.out:
        machine = {"cores": os.cpu_count(), "processor": platform.machine()}
        arguments.out.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n", encoding="utf-8")


def rate(work: Callable[[], None]) -> float:
    """Return instances a second in the best of some rounds."""
    work()
    seconds = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return round(INSTANCES / min(seconds), 1)


def mixture(net: AsymNet, vectors: Floats, products: Floats, views: int) -> Floats:
    """Return the probability of each instance to be each product. (N T, D), (G, D) -> (N, G)."""
    shown = torch.from_numpy(vectors.reshape(-1, views, vectors.shape[1]))
    lengths = torch.full((len(shown),), views)
    with torch.no_grad():
        return np.asarray(net(shown, lengths, torch.from_numpy(products)).numpy(), np.float32)


if __name__ == "__main__":
    main()
