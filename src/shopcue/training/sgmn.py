"""Training of SGMN: one explicit loop over batches of pairs, in one process or in several.

The losses compare every pair with every other one: of all processes, and of all parts that a batch is encoded in. So a
batch that is too large for memory is not cut into smaller ones, whose negatives would be fewer: it is encoded without
gradients, the loss of all vectors gives each vector its gradient, and each part is encoded again to pass it on (Gao et
al., 2021). The gradient is that of the whole batch, for a third more work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from shopcue.data.clip_pairs import ClipPair
from shopcue.errors import SettingsError, WeightsError
from shopcue.models.image import Fit
from shopcue.nets.backbones import whiten
from shopcue.nets.sgmn.encoders import HousePictureEncoder
from shopcue.nets.sgmn.network import Encoded, Sgmn, SgmnBatch, SgmnConfig
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
from shopcue.training.clip_samples import ClipBatch, ClipBatches, Masking, Pixels, Sights
from shopcue.training.curves import CURVES, Curves
from shopcue.training.processes import (
    Process,
    autocast,
    average_gradients,
    gather_rows,
    make_scaler,
    mean_over,
    seed_process,
    share_weights,
)
from shopcue.training.starts import load_start
from shopcue.training.steps import batch_loader, rate_at

KIND = "sgmn"
OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}

Validate = Callable[[Sgmn], dict[str, float]]
Update = Callable[[str, float, float], None]

_MOST = {"dim": 4096, "text_dim": 8192, "frames": 256, "side_px": 1024}
"""A checkpoint's config comes from strangers, and memory with it."""


@dataclass(frozen=True, slots=True)
class SgmnTraining:
    """How SGMN is made and trained; the file of `--config` holds these names. Defaults are the paper's if it has any.

    net: the table [net], fields of `SgmnConfig`. start: of the house encoder, as in `load_start`. whiten: how many
    pictures its projection's start is made of, 0 for a drawn one. fit: how a picture becomes a square. pairs: of a
    batch, over all processes. part: how many are encoded at a time in each process, 0 for all. together: which share of
    a batch is of one live. rate: of what is drawn; encoder_rate: of the picture encoder's pretrained part. masked,
    masked_most: of the frames, see `Masking`. mixed: half precision on a GPU.
    """

    net: SgmnConfig = field(default_factory=SgmnConfig)
    start: str = "imagenet"
    whiten: int = 1024
    fit: Fit = "letterbox"
    pairs: int = 256
    part: int = 0
    together: float = 0.5
    steps: int = 20_000
    warmup: int = 500
    optimizer: str = "adam"
    rate: float = 3e-4
    encoder_rate: float = 3e-4
    weight_decay: float = 0.0
    masked: float = 0.5
    masked_most: float = 0.9
    seed: int = 0
    mixed: bool = True
    workers: int = 2
    save_every: int = 500
    report_every: int = 20

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise SettingsError(f"the optimizer is {self.optimizer!r}, expected one of {', '.join(OPTIMIZERS)}")
        if self.fit not in ("letterbox", "squash"):
            raise SettingsError(f"fit is {self.fit!r}, expected letterbox or squash")
        if self.whiten and self.whiten <= self.net.dim and self.net.encoder == "house":
            raise SettingsError(f"whiten is {self.whiten}, expected more pictures than dim ({self.net.dim}), or 0")
        least = {"pairs": 2, "part": 0, "steps": 1, "warmup": 0, "save_every": 1, "report_every": 1, "workers": 0}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise SettingsError(f"{name} is {getattr(self, name)}, expected {value} or more")
        for name in ("together", "masked", "masked_most"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"{name} is {getattr(self, name)}, expected 0 to 1")


@dataclass(frozen=True, slots=True)
class StepFigures:
    """What a step shows: the terms of the loss by name, scalars, and how many pairs had no frame or no picture."""

    terms: dict[str, Tensor]
    unseen: int


def train_sgmn(
    pairs: Sequence[ClipPair],
    config: SgmnTraining,
    out: Path,
    process: Process,
    *,
    data: str,
    sights: Sights | None = None,
    resume: bool = False,
    validate: Validate | None = None,
    update: Update | None = None,
) -> Sgmn:
    """Train on pairs, leave `last.pt` and `curves.csv` in `out`, and return the net.

    data: the fingerprint of the pairs. sights: what the net is shown, pixels read from the pairs' files where it is
    None. resume: go on from `last.pt` where there is one, bit for bit on a processor. validate: what is measured at
    every save; its figures stand in the curves. update: called by the first process after each step. Raises
    SettingsError and WeightsError where the run cannot go on, OutputError where `out` holds another run or cannot be
    written.
    """
    path, plain, step = checkpoint_path(out, resume=resume), plain_config(config), 0
    seed_process(config.seed, process)
    run = make_run(config, process)
    shown = sights or Pixels(run.model.alignment.picture.side_px, config.net.frames, config.fit)
    batches = make_batches(pairs, shown, config, process)
    curves = Curves(out / CURVES, resume=path.exists())
    if path.exists():
        checkpoint = load_checkpoint(path, KIND)
        check_resumable(path, checkpoint, plain, data, FREE)
        step = run.restore(checkpoint)
    else:
        start_projection(run.model, batches, config)
    share_weights(run.model, process)
    seen: list[StepFigures] = []
    measure = None if validate is None else partial(validate, run.model)
    for batch in batch_loader(batches, step, config.steps, config.workers):
        seen.append(take_step(run, batch, config))
        step += 1
        saves = step % config.save_every == 0 or step == config.steps
        if saves or step % config.report_every == 0:
            curves.add(step, {**mean_figures(seen, process), "rate": run.scheduler.get_last_lr()[0]})
            seen.clear()
        if saves:
            save_run(path, run, run.checkpoint(KIND, step, plain, data), curves, measure)
        if update is not None and process.is_first:
            update("training", step, config.steps)
    return run.model.eval()


def take_step(run: Run, batch: ClipBatch, config: SgmnTraining) -> StepFigures:
    """Move the net by one batch, of which every process has its share, and return its losses before the move."""
    run.model.train()
    run.optimizer.zero_grad(set_to_none=True)
    terms = backward(run, batch, config)
    average_gradients(run.model, run.process)
    run.scaler.step(run.optimizer)
    run.scaler.update()
    run.scheduler.step()
    return StepFigures({name: value.detach() for name, value in terms.items()}, batch.unseen)


def backward(run: Run, batch: ClipBatch, config: SgmnTraining) -> dict[str, Tensor]:
    """Give every weight this process's gradient of the loss over all processes' pairs, and return the loss's terms.

    The mean of that over processes is the gradient that one process with the whole batch has. If `mixed`, pictures are
    encoded in half precision, but not compared: similarities of 0.900 and 0.902 are one bfloat16, and which negative is
    the hardest would be lost.
    """
    process, model = run.process, run.model
    parts = list(parts_of(batch, config.part, process.device))
    if len(parts) == 1:
        with autocast(process, config.mixed):
            encoded = model.encode(parts[0])
        terms = model.terms(encoded.gathered(gather(process)))
        run.scaler.scale(terms["total"]).backward()
        return terms
    with torch.no_grad(), autocast(process, config.mixed):
        vectors = joined([model.encode(part) for part in parts])
    vectors = require_gradients(vectors)
    terms = model.terms(vectors.gathered(gather(process)))
    run.scaler.scale(terms["total"]).backward()
    start = 0
    for part in parts:
        with autocast(process, config.mixed):
            again = model.encode(part)
        pass_on(again, vectors, start)
        start += len(part.products)
    return terms


def parts_of(batch: ClipBatch, size: int, device: torch.device) -> Iterator[SgmnBatch]:
    """Yield a batch in parts of `size` pairs, all of it where size is 0, on the device that computes."""
    count = len(batch.products)
    for start in range(0, count, size or count):
        rows = slice(start, start + (size or count))
        yield SgmnBatch(
            as_tensor(batch.frames[rows], device),
            as_tensor(batch.there[rows], device),
            as_tensor(batch.pictures[rows], device),
            batch.speech[rows],
            batch.titles[rows],
            as_tensor(batch.products[rows], device),
        )


def as_tensor(values: object, device: torch.device) -> Tensor:
    """Return an array as a tensor on a device; stored maps of half precision become single there."""
    tensor = torch.as_tensor(values).to(device, non_blocking=True)
    return tensor.float() if tensor.dtype == torch.float16 else tensor


def joined(parts: Sequence[Encoded]) -> Encoded:
    """Return the rows of all parts as one."""
    rows = {each.name: [getattr(part, each.name) for part in parts] for each in fields(Encoded)}
    return Encoded(**{name: None if values[0] is None else torch.cat(values) for name, values in rows.items()})


def require_gradients(encoded: Encoded) -> Encoded:
    """Return the same values as leaves of a new graph."""
    values = {each.name: getattr(encoded, each.name) for each in fields(Encoded)}
    leaves = {
        name: value.detach().requires_grad_(value.is_floating_point()) if value is not None else None
        for name, value in values.items()
    }
    return Encoded(**leaves)


def pass_on(again: Encoded, vectors: Encoded, start: int) -> None:
    """Give the weights their gradients through rows `start` on, of which `vectors` has the gradients."""
    outputs, gradients = [], []
    for each in fields(Encoded):
        rows, leaf = getattr(again, each.name), getattr(vectors, each.name)
        if rows is not None and rows.requires_grad and leaf.grad is not None:
            outputs.append(rows)
            gradients.append(leaf.grad[start : start + len(rows)])
    torch.autograd.backward(outputs, gradients)


def gather(process: Process) -> Callable[[Tensor], Tensor]:
    """Return what brings the rows of all processes together."""

    def rows_of_all(rows: Tensor) -> Tensor:
        if rows.dtype == torch.bool:  # which is not sent everywhere
            return gather_rows(rows.byte(), process).bool()
        return gather_rows(rows, process)

    return rows_of_all


def mean_figures(seen: Sequence[StepFigures], process: Process) -> dict[str, float]:
    """Return the terms of the loss, as means over steps, and the mean number of pairs without frame or picture.

    Every process must call it.
    """
    names = list(seen[0].terms)
    rows = torch.stack([torch.stack([each.terms[name].float() for name in names]) for each in seen])
    means = mean_over(rows.mean(dim=0), process).tolist()
    unseen = torch.tensor([float(sum(each.unseen for each in seen))], device=process.device)
    lost = float(mean_over(unseen, process)) * process.count / len(seen)
    return {**dict(zip(names, means, strict=True)), "unseen": lost}


def make_run(config: SgmnTraining, process: Process) -> Run:
    """Return a run at its start: the net with the start's weights, its optimizer and its schedule."""
    net = Sgmn(config.net)
    picture = net.alignment.picture
    if isinstance(picture, HousePictureEncoder):
        load_start(picture.backbone, config.start)
        picture.freeze()
    net = net.to(process.device)
    pretrained = picture.backbone if isinstance(picture, HousePictureEncoder) else picture
    known = {id(each) for each in pretrained.parameters()}
    moving = [each for each in net.parameters() if each.requires_grad]
    groups = [
        {"params": [each for each in moving if id(each) in known], "lr": config.encoder_rate},
        {"params": [each for each in moving if id(each) not in known], "lr": config.rate},
    ]
    optimizer = OPTIMIZERS[config.optimizer](
        [group for group in groups if group["params"]], weight_decay=config.weight_decay
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_at(step, config))
    return Run(net, optimizer, scheduler, make_scaler(process, config.mixed), process)


def make_batches(pairs: Sequence[ClipPair], sights: Sights, config: SgmnTraining, process: Process) -> ClipBatches:
    """Return the batches of a run."""
    return ClipBatches(
        pairs,
        sights,
        config.pairs,
        masking=Masking(config.masked, config.masked_most),
        together=config.together,
        seed=config.seed,
        process=process,
        frames=config.net.frames,
    )


@torch.no_grad()
def start_projection(net: Sgmn, batches: ClipBatches, config: SgmnTraining) -> None:
    """Make the house encoder's projection the whitening of the features of the first batches' pictures and frames.

    Each process sees its own share; `share_weights` makes the first one's count.
    """
    picture = net.alignment.picture
    if not config.whiten or not isinstance(picture, HousePictureEncoder):
        return
    net.eval()
    features: list[Tensor] = []
    step = 0
    while sum(map(len, features)) < config.whiten:
        for part in parts_of(batches(step), config.part or 16, next(net.parameters()).device):
            # As many frames as pictures: a camera's ways of seeing are half of what is to be whitened.
            for sight in (part.pictures, part.frames[:, len(part.frames) % part.frames.shape[1]]):
                maps = sight if sight.is_floating_point() else picture.trunk(picture.prepare(sight))
                features.append(picture.features(maps))
        step += 1
    whiten(picture.projection, torch.cat(features)[: config.whiten])


def load_sgmn(checkpoint: Checkpoint) -> tuple[Sgmn, SgmnTraining]:
    """Return the net of a checkpoint, ready to be used, and how it was trained.

    Encoders other than the house one need their folder again: the one that the config names. Raises WeightsError.
    """
    try:
        values = dict(checkpoint.config)
        config = SgmnTraining(**{**values, "net": SgmnConfig(**values["net"])})
    except (TypeError, KeyError, SettingsError) as error:
        raise WeightsError(f"the checkpoint is of no SGMN of this version ({error})") from error
    for name, most in _MOST.items():
        if getattr(config.net, name) > most:
            raise WeightsError(f"the checkpoint's {name} is {getattr(config.net, name)}, expected up to {most}")
    net = Sgmn(config.net)
    load_weights(net, checkpoint)
    return net.eval(), config
