"""Training of DPRNet's retrieval network: one explicit loop over P×K batches, in one process or in several.

Choices that the paper leaves open: AdamW with a warm-up and a cosine; unit vectors and Euclidean distances in the
triplets; the distance branch starts as the PCA whitening of the start's own features.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from shopcue.errors import SettingsError, WeightsError
from shopcue.nets.backbones import whiten
from shopcue.nets.losses import batch_hard_triplet, label_smoothed_cross_entropy, retrieval_loss
from shopcue.nets.retrieval import BACKBONES, Embedder, RetrievalNet
from shopcue.records import Floats, Image
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
from shopcue.training.curves import CURVES, Curves
from shopcue.training.photos import InstancePhoto, PhotoBatch, PhotoBatches
from shopcue.training.processes import (
    Process,
    autocast,
    gather_rows,
    make_scaler,
    mean_over,
    seed_process,
    wrap,
)
from shopcue.training.starts import load_start
from shopcue.training.steps import batch_loader, rate_at

KIND = "dprnet-retrieval"

Validate = Callable[[Embedder], dict[str, float]]
Update = Callable[[str, float, float], None]


@dataclass(frozen=True, slots=True)
class RetrievalConfig:
    """How the retrieval network is made and trained; the file of `--config` holds these names.

    backbone: one of `BACKBONES`. start: as in `load_start`. dim: of an embedding. side_px: of the square that the net
    sees. instances, pictures: P and K of a batch, over all processes. margin: of the triplets. smoothing: ε of eq. 7.
    whiten: how many pictures the distance branch's start is made of, 0 for a drawn one. mixed: half precision on a GPU.
    """

    backbone: str = "house"
    start: str = "imagenet"
    dim: int = 256
    side_px: int = 192
    instances: int = 16
    pictures: int = 4
    steps: int = 20_000
    warmup: int = 500
    backbone_rate: float = 2e-4
    branch_rate: float = 1e-3
    weight_decay: float = 0.02
    margin: float = 0.3
    smoothing: float = 0.1
    whiten: int = 1024
    seed: int = 0
    mixed: bool = True
    workers: int = 2
    save_every: int = 500
    report_every: int = 20

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            raise SettingsError(f"backbone is {self.backbone!r}, expected one of {', '.join(BACKBONES)}")
        if self.side_px % 32 or self.side_px <= 0:
            raise SettingsError(f"side_px is {self.side_px}, expected a multiple of 32")
        if self.whiten and self.whiten <= self.dim:
            raise SettingsError(f"whiten is {self.whiten}, expected more pictures than dim ({self.dim}), or 0")
        least = {"dim": 1, "instances": 2, "pictures": 2, "steps": 1, "save_every": 1, "report_every": 1, "workers": 0}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise SettingsError(f"{name} is {getattr(self, name)}, expected {value} or more")
        if not 0 <= self.smoothing < 1 or self.margin < 0:
            raise SettingsError("smoothing is expected in [0, 1) and margin at 0 or above")


@dataclass(frozen=True, slots=True)
class Losses:
    """The loss of a batch and its two parts: scalars, the same in all processes but for the own classification."""

    total: Tensor
    distance: Tensor
    classification: Tensor


def train_retrieval(
    photos: Sequence[InstancePhoto],
    config: RetrievalConfig,
    out: Path,
    process: Process,
    *,
    data: str,
    resume: bool = False,
    validate: Validate | None = None,
    update: Update | None = None,
) -> RetrievalNet:
    """Train on photos of instances 0 to C - 1, leave `last.pt` and `curves.csv` in `out`, and return the net.

    data: the fingerprint of the photos. resume: go on from `last.pt` where there is one, bit for bit on a processor.
    validate: what is measured at every save; its figures stand in the curves. update: called by the first process after
    each step. Raises SettingsError and WeightsError where the run cannot go on, OutputError where `out` holds another
    run or cannot be written.
    """
    path, plain, step = checkpoint_path(out, resume=resume), plain_config(config), 0
    seed_process(config.seed, process)
    batches = PhotoBatches(photos, config.instances, config.pictures, config.side_px, config.seed, process)
    run = make_run(config, len({photo.instance for photo in photos}), process)
    curves = Curves(out / CURVES, resume=path.exists())
    if path.exists():
        checkpoint = load_checkpoint(path, KIND)
        check_resumable(path, checkpoint, plain, data, FREE)
        step = run.restore(checkpoint)
    else:
        start_branches(run.model, photos, config, process)
    wrapped = wrap(run.model, process)
    seen: list[Losses] = []
    measure = None if validate is None else partial(validate, run.model.embedder)
    for batch in batch_loader(batches, step, config.steps, config.workers):
        seen.append(take_step(run, wrapped, batch, config))
        step += 1
        saves = step % config.save_every == 0 or step == config.steps
        if saves or step % config.report_every == 0:
            curves.add(step, {**mean_losses(seen, process), "rate": run.scheduler.get_last_lr()[0]})
            seen.clear()
        if saves:
            save_run(path, run, run.checkpoint(KIND, step, plain, data), curves, measure)
        if update is not None and process.is_first:
            update("training", step, config.steps)
    return run.model.eval()


def take_step(run: Run, wrapped: nn.Module, batch: PhotoBatch, config: RetrievalConfig) -> Losses:
    """Move the net by one batch, of which every process has its share, and return its losses before the move."""
    wrapped.train()
    with autocast(run.process, config.mixed):
        losses = batch_losses(wrapped, batch, config, run.process)
    run.optimizer.zero_grad(set_to_none=True)
    run.scaler.scale(losses.total).backward()
    run.scaler.step(run.optimizer)
    run.scaler.update()
    run.scheduler.step()
    return Losses(losses.total.detach(), losses.distance.detach(), losses.classification.detach())


def batch_losses(net: nn.Module, batch: PhotoBatch, config: RetrievalConfig, process: Process) -> Losses:
    """Return the losses of a batch: the hardest triplets of all processes' rows, the classification of the own ones.

    Once `wrap` has averaged the gradients, they are those of one process with the whole batch.
    """
    instances = torch.from_numpy(batch.instances).to(process.device)
    vectors, logits = net(torch.from_numpy(batch.pixels).to(process.device))
    distance = batch_hard_triplet(gather_rows(vectors, process), gather_rows(instances, process), config.margin)
    classification = label_smoothed_cross_entropy(logits, instances, config.smoothing)
    return Losses(retrieval_loss(distance, classification), distance, classification)


def mean_losses(losses: Sequence[Losses], process: Process) -> dict[str, float]:
    """Return the losses by name, as means over steps and processes; every process must call it."""
    steps = torch.stack([torch.stack([each.total, each.distance, each.classification]) for each in losses])
    names = ("loss", "distance", "classification")
    return dict(zip(names, mean_over(steps.mean(dim=0), process).tolist(), strict=True))


def make_run(config: RetrievalConfig, instances: int, process: Process) -> Run:
    """Return a run at its start: the net with the start's weights, its optimizer and its schedule."""
    backbone = BACKBONES[config.backbone]()
    load_start(backbone, config.start)
    net = RetrievalNet(backbone, config.dim, instances).to(process.device)
    branches = [*net.embedder.projection.parameters(), *net.classifier.parameters()]
    optimizer = torch.optim.AdamW(
        [
            {"params": net.embedder.backbone.parameters(), "lr": config.backbone_rate},
            {"params": branches, "lr": config.branch_rate},
        ],
        weight_decay=config.weight_decay,
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_at(step, config))
    return Run(net, optimizer, scheduler, make_scaler(process, config.mixed), process)


@torch.no_grad()
def start_branches(
    net: RetrievalNet, photos: Sequence[InstancePhoto], config: RetrievalConfig, process: Process
) -> None:
    """Make the distance branch the whitening of the features of the first batches' pictures; `wrap` shares it."""
    if not config.whiten or not process.is_first:
        return
    alone = dataclasses.replace(process, count=1)
    batches = PhotoBatches(photos, config.instances, config.pictures, config.side_px, config.seed, alone)
    count = math.ceil(config.whiten / (config.instances * config.pictures))
    net.eval()
    features = [
        net.embedder.backbone(torch.from_numpy(batch.pixels).to(process.device))
        for batch in batch_loader(batches, 0, count, config.workers)
    ]
    whiten(net.embedder.projection, torch.cat(features))


@torch.no_grad()
def embed(embedder: Embedder, squares: Image, batch: int = 64) -> Floats:
    """Return what the net makes of squares, on its own device. uint8 (N, S, S, 3) -> float32 (N, dim)."""
    device = next(embedder.parameters()).device
    parts = [embedder(torch.from_numpy(squares[i : i + batch]).to(device)).cpu() for i in range(0, len(squares), batch)]
    return np.asarray(torch.cat(parts).numpy(), np.float32)


def load_embedder(checkpoint: Checkpoint) -> tuple[Embedder, RetrievalConfig]:
    """Return the net of a checkpoint as it is used, ready to be exported, and how it was trained."""
    try:
        config = RetrievalConfig(**checkpoint.config)
        # The sizes are taken from what is there: a config may ask for any, and memory with it.
        dim, instances = (len(checkpoint.model[name]) for name in ("embedder.projection.bias", "classifier.bias"))
    except (TypeError, KeyError) as error:
        raise WeightsError(f"the checkpoint is of no retrieval network of this version ({error})") from error
    net = RetrievalNet(BACKBONES[config.backbone](), dim, instances)
    load_weights(net, checkpoint)
    return net.embedder.eval(), config
