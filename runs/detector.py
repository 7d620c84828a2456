"""The house detector from public data to shipped weights: compose, train, export, quantise.

    python -m runs.detector DATA OUT [--teacher FILE] [--steps N] [--start FILE]

DATA holds grocery/, clothing/ and video/. Trains on composed scenes (`shopcue.data.composed`) of 15 of the 21 packaged
products (the split of runs/encoder.py: 6 held out, seed 0), of the garments of the train split, and of drawn packs;
with a teacher (a class-agnostic localizer, TFLite's detection outputs as ONNX), also on the hand-held photos of the 15
products, with the boxes that it is sure of. What ships is this net: no figure of it is of products that it has seen.
Writes OUT/house-detector.onnx (int8) and its fp32 twin. Needs the extra `train`.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import torch
from runs.encoder import HELD_OUT, SPLIT_SEED, imagenet_net, read_shop

from shopcue.data.composed import Locate, Stock, compose_scene, read_stock
from shopcue.data.sampling import split_by_product
from shopcue.models.image import fit_square
from shopcue.nets.export import export_detector, quantize
from shopcue.nets.house_detector import HouseDetector
from shopcue.records import Floats, Image
from shopcue.training.detector import (
    DetectionProgress,
    DetectionRecipe,
    DetectionSchedule,
    SceneBatches,
    train_detector,
)

SIDE_PX = 288
RECIPE = DetectionRecipe()
SCHEDULE = DetectionSchedule()
PER_KIND = 80  # garments of each class that are cut out
SURE = 0.5  # of the teacher: below it, its box is often of another pack
EXACT = ("to_box", "to_class")  # eight bits are too few to place a side within a pixel


def locate_by(teacher: Path) -> Locate:
    """Return what finds the shown product: the teacher's surest box, where it is sure."""
    session = onnxruntime.InferenceSession(str(teacher), providers=["CPUExecutionProvider"])
    name, side = session.get_inputs()[0].name, session.get_inputs()[0].shape[1]

    def locate(_: Path, image: Image) -> Floats | None:
        boxes, _, scores, _ = session.run(None, {name: cv2.resize(image, (side, side))[None]})
        if scores[0, 0] < SURE:
            return None
        height, width = image.shape[:2]
        y0, x0, y1, x1 = boxes[0, 0].clip(0, 1)
        return np.array([x0 * width, y0 * height, x1 * width, y1 * height], np.float32)

    return locate


def train(stock: Stock, schedule: DetectionSchedule, out: Path, start: Path | None) -> HouseDetector:
    torch.manual_seed(0)
    net = HouseDetector(imagenet_net().backbone, instances=len(stock.items))
    if start is not None:  # another stock has other instances, so their classifier begins anew
        known = torch.load(start, weights_only=True)
        net.load_state_dict(net.state_dict() | {k: v for k, v in known.items() if not k.startswith("instances.")})
    begun = time.monotonic()
    losses: list[dict[str, float]] = []

    def report(progress: DetectionProgress) -> None:
        losses.append(progress.losses)
        if progress.step % 20 == 0:
            mean = {name: round(float(np.mean([each[name] for each in losses[-20:]])), 3) for name in losses[-1]}
            print(f"step {progress.step} {json.dumps(mean)} {time.monotonic() - begun:.0f} s", flush=True)

    trained = train_detector(net, SceneBatches(stock, replace(RECIPE, seed=int(start is not None))), schedule, report)
    torch.save(trained.state_dict(), out / "detector.pt")
    return trained


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--teacher", type=Path)
    parser.add_argument("--steps", type=int, default=SCHEDULE.steps)
    parser.add_argument("--start", type=Path, help="a detector.pt to go on from, with half the rates")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)  # before any pool is started: worker processes are forked
    kept, held_out = split_by_product(read_shop(arguments.data).packaged, HELD_OUT, SPLIT_SEED)
    locate = locate_by(arguments.teacher) if arguments.teacher else None
    stock = read_stock(arguments.data, [each.class_id for each in kept], locate=locate, per_kind=PER_KIND)
    print(f"{len(stock.items)} articles, {len(stock.photos)} photos, {len(stock.scenery)} grounds", flush=True)
    schedule = replace(SCHEDULE, steps=arguments.steps)
    if arguments.start:
        schedule = replace(schedule, backbone_rate=schedule.backbone_rate / 2, head_rate=schedule.head_rate / 2)
    trained = train(stock, schedule, arguments.out, arguments.start)
    exact, path = arguments.out / "house-detector-fp32.onnx", arguments.out / "house-detector.onnx"
    export_detector(trained, exact, SIDE_PX)
    scenes = [compose_scene(stock, (1 << 50) + index) for index in range(96)]
    pixels = np.stack([fit_square(scene.image, SIDE_PX, "letterbox") for scene in scenes])
    quantize(exact, path, [pixels[i : i + 8] for i in range(0, len(pixels), 8)], exact=EXACT)
    made = {"recipe": asdict(RECIPE), "schedule": asdict(schedule), "held_out": [each.name for each in held_out]}
    (arguments.out / "detector.json").write_text(json.dumps(made | {"side_px": SIDE_PX}, indent=1) + "\n")


if __name__ == "__main__":
    main()
