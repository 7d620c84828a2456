"""Training of DPRNet's detector: one explicit loop over batches of labelled pictures, in one process or in several.

Choices that the paper leaves open: a warm-up and a cosine, gradients clipped, the first layers frozen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from shopcue.errors import SettingsError, WeightsError
from shopcue.nets.dprnet.backbones import BODIES, STRIDE, Body, HouseBody, ResNetBody
from shopcue.nets.dprnet.detector import DetectorSettings, DprnetDetector
from shopcue.nets.dprnet.losses import detection_loss
from shopcue.nets.dprnet.rpn import ProposalSettings
from shopcue.nets.house_detector import Truth
from shopcue.nets.resnet import load_published_resnet
from shopcue.nets.retrieval import BACKBONES
from shopcue.training.checkpoints import (
    FREE,
    Checkpoint,
    Run,
    check_resumable,
    checkpoint_path,
    load_checkpoint,
    load_weights,
    plain_config,
    save_run,
)
from shopcue.training.detection_samples import Sample, Samples
from shopcue.training.processes import Process, autocast, make_scaler, mean_over, seed_process, wrap
from shopcue.training.starts import load_start
from shopcue.training.steps import batch_loader, rate_at

KIND = "dprnet-detector"

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": lambda groups, rate, decay: torch.optim.SGD(groups, rate, momentum=0.9, weight_decay=decay),
    "adamw": lambda groups, rate, decay: torch.optim.AdamW(groups, rate, weight_decay=decay),
}


@dataclass(frozen=True, slots=True)
class DetectionConfig:
    """How DPRNet's detector is made and trained; the file of `--config` holds these names.

    The defaults can be trained on a processor; the paper's own net is backbone resnet50, width 1024 and dim 1024, for
    which SGD at a rate of .02 and pictures of 640 pixels or more are usual.

    backbone: one of `BODIES`. start: as in `load_start`. side_px: of the net's square. anchor_sides: pixels.
    width, dim: of the branches and of an embedding. proposals: of a picture, in training. boxes: of a picture, that the
    second stage is trained on. pictures: of a batch, over all processes. rate: at its peak, of the heads; the body has
    body_share of it. clip: the largest norm of a gradient. mixed: half precision on a GPU.
    """

    backbone: str = "house"
    start: str = "imagenet"
    side_px: int = 320
    anchor_sides: tuple[float, ...] = (32, 64, 128, 256)
    width: int = 256
    dim: int = 128
    proposals: int = 300
    boxes: int = 64
    pictures: int = 8
    steps: int = 10_000
    warmup: int = 200
    optimizer: str = "adamw"
    rate: float = 1e-3
    body_share: float = 0.2
    weight_decay: float = 0.02
    clip: float = 10.0
    seed: int = 0
    mixed: bool = True
    workers: int = 2
    save_every: int = 1000
    report_every: int = 20

    def __post_init__(self) -> None:
        for name, known in (("backbone", BODIES), ("optimizer", OPTIMIZERS)):
            if getattr(self, name) not in known:
                raise SettingsError(f"{name} is {getattr(self, name)!r}, expected one of {', '.join(known)}")
        if self.side_px % (2 * STRIDE) or self.side_px <= 0:
            raise SettingsError(f"side_px is {self.side_px}, expected a multiple of {2 * STRIDE}")
        object.__setattr__(self, "anchor_sides", tuple(self.anchor_sides))  # a file gives a list
        if not self.anchor_sides or min(self.anchor_sides) <= 0:
            raise SettingsError(f"anchor_sides is {list(self.anchor_sides)}, expected sides above 0")
        least = {"width": 1, "dim": 1, "proposals": 1, "boxes": 4, "pictures": 1, "steps": 1, "warmup": 0, "workers": 0}
        for name, value in (least | {"save_every": 1, "report_every": 1}).items():
            if getattr(self, name) < value:
                raise SettingsError(f"{name} is {getattr(self, name)}, expected {value} or more")

    def settings(self, instances: int) -> DetectorSettings:
        """Return what makes the net for a training set of so many things."""
        return DetectorSettings(
            backbone=self.backbone,
            instances=max(instances, 1),
            width=self.width,
            dim=self.dim,
            proposals=ProposalSettings(anchor_sides=self.anchor_sides, kept_in_training=self.proposals),
            samples=self.boxes,
        )


@dataclass(frozen=True, slots=True)
class DetectionProgress:
    """What the last steps did: how many there were in all, each term of equation 3 as a mean, and the rate."""

    step: int
    terms: dict[str, float]
    rate: float


@dataclass(frozen=True, slots=True)
class SampleBatch:
    """The share of one process in a batch: uint8 (n, S, S, 3), what is in each, and a seed for each."""

    pixels: Tensor
    truths: tuple[Truth, ...]
    seeds: tuple[int, ...]


def train_dprnet_detector(
    samples: Samples,
    config: DetectionConfig,
    out: Path,
    process: Process,
    *,
    resume: bool = False,
    report: Callable[[DetectionProgress], None] | None = None,
    update: Callable[[str, float, float], None] | None = None,
) -> DprnetDetector:
    """Train on `samples`, leave `last.pt` in `out`, and return the net.

    resume: go on from `last.pt` where there is one, bit for bit on a processor. report: called by the first process
    every `report_every` steps; update: after each. Raises SettingsError and WeightsError where the run cannot go on,
    OutputError where `out` holds another run or cannot be written.
    """
    path, plain, step = checkpoint_path(out, resume=resume), plain_config(config), 0
    if config.pictures % process.count:
        raise SettingsError(f"{config.pictures} pictures a batch are no multiple of {process.count} processes")
    seed_process(config.seed, process)
    run = make_run(config, samples.instances, process)
    if path.exists():
        checkpoint = load_checkpoint(path, KIND)
        check_resumable(path, checkpoint, plain, samples.fingerprint, FREE)
        step = run.restore(checkpoint)
    wrapped = wrap(run.model, process)
    terms: list[dict[str, Tensor]] = []
    for batch in batch_loader(Shares(samples, config, process), step, config.steps, config.workers):
        terms.append(take_step(run, wrapped, batch, config))
        step += 1
        if step % config.report_every == 0 or step == config.steps:
            progress = DetectionProgress(step, mean_terms(terms, process), run.scheduler.get_last_lr()[0])
            terms.clear()
            if report is not None and process.is_first:
                report(progress)
        if step % config.save_every == 0 or step == config.steps:
            save_run(path, run, run.checkpoint(KIND, step, plain, samples.fingerprint))
        if update is not None and process.is_first:
            update("training", step, config.steps)
    run.model.eval()
    return run.model


def take_step(run: Run, wrapped: nn.Module, batch: SampleBatch, config: DetectionConfig) -> dict[str, Tensor]:
    """Move the net by one batch, of which every process has its share, and return the terms before the move.

    Each term is a mean over pictures, and every process has as many: so the averaged gradients are those of one process
    with the whole batch.
    """
    device = run.process.device
    wrapped.train()
    with autocast(run.process, config.mixed):
        truths = [truth_on(truth, device) for truth in batch.truths]
        terms: dict[str, Tensor] = wrapped(batch.pixels.to(device), truths, batch.seeds)
        loss = detection_loss(terms)
    run.optimizer.zero_grad(set_to_none=True)
    run.scaler.scale(loss).backward()
    run.scaler.unscale_(run.optimizer)
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), config.clip)
    run.scaler.step(run.optimizer)
    run.scaler.update()
    run.scheduler.step()
    return {name: value.detach() for name, value in terms.items()}


def make_run(config: DetectionConfig, instances: int, process: Process) -> Run:
    """Return a run at its start: the net with the start's weights, its optimizer and its schedule."""
    detector = DprnetDetector(config.settings(instances))
    load_body(detector.body, config.backbone, config.start)
    if config.start != "none":
        detector.body.freeze()
    detector.to(process.device)
    moving = [each for each in detector.body.parameters() if each.requires_grad]
    heads = [each for name, each in detector.named_parameters() if not name.startswith("body.")]
    groups = [{"params": moving, "lr": config.rate * config.body_share}, {"params": heads, "lr": config.rate}]
    optimizer = OPTIMIZERS[config.optimizer](groups, config.rate, config.weight_decay)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_at(step, config))
    return Run(detector, optimizer, scheduler, make_scaler(process, config.mixed), process)


def load_body(body: Body, name: str, start: str) -> None:
    """Put the weights that `start` names into `body`, see `load_start`. name: of the body. Raises as `load_start`."""
    if start == "none":
        return
    published = BACKBONES[name]()
    load_start(published, start)
    if isinstance(body, HouseBody):
        body.backbone = published.net
    elif isinstance(body, ResNetBody):
        load_published_resnet(body.net, published.net.state_dict())


def load_dprnet_detector(checkpoint: Checkpoint) -> tuple[DprnetDetector, DetectionConfig]:
    """Return the net of a checkpoint, ready to be used or exported, and how it was trained. Raises WeightsError."""
    try:
        config = DetectionConfig(**checkpoint.config)
        # The size is taken from what is there: a config may ask for any, and memory with it.
        instances = len(checkpoint.model["branches.instance.to_instance.bias"])
    except (TypeError, KeyError) as error:
        raise WeightsError(f"the checkpoint is of no detector of this version ({error})") from error
    detector = DprnetDetector(config.settings(instances))
    load_weights(detector, checkpoint)
    detector.eval()
    return detector, config


def mean_terms(terms: list[dict[str, Tensor]], process: Process) -> dict[str, float]:
    """Return each term as a mean over steps and processes; every process must call it."""
    rows = torch.stack([torch.stack(list(each.values())) for each in terms])
    return dict(zip(terms[0], mean_over(rows.mean(dim=0), process).tolist(), strict=True))


def truth_on(truth: Truth, device: torch.device) -> Truth:
    """Return `truth` with its tensors on `device`."""
    return Truth(
        truth.boxes.to(device),
        truth.classes.to(device),
        truth.quality.to(device),
        truth.instances.to(device),
        truth.ignored.to(device),
    )


# ---- batches -----------------------------------------------------------------------------------------------------


class Shares:
    """Makes one process's share of batch `step`, a function of the step alone."""

    def __init__(self, samples: Samples, config: DetectionConfig, process: Process) -> None:
        self._samples, self._seed = samples, config.seed
        self._pictures, self._share, self._rank = config.pictures, config.pictures // process.count, process.rank

    def __call__(self, step: int) -> SampleBatch:
        """Return the share."""
        start = step * self._pictures + self._rank * self._share
        numbers = range(start, start + self._share)
        samples: list[Sample] = [self._samples(number) for number in numbers]
        return SampleBatch(
            torch.from_numpy(np.stack([each.pixels for each in samples])),
            tuple(each.truth for each in samples),
            tuple((self._seed << 40) + number for number in numbers),
        )
