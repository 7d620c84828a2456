"""Training in one process or in several started by `torchrun`: the same loop, written once.

A loop opens a `Process`, wraps its net and runs; with one process every function here does nothing, or next to it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from shopcue.errors import SettingsError

_PATIENCE = timedelta(minutes=30)  # how long one process waits for another: reading a large data set takes minutes


@dataclass(frozen=True, slots=True)
class Process:
    """One of the processes of a training: its rank among `count`, and the device that it computes on."""

    rank: int
    count: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and reports progress."""
        return self.rank == 0


@contextmanager
def open_process(device: str = "auto") -> Iterator[Process]:
    """Join the processes that `torchrun` started, or be the only one; leaves them at the end.

    device: auto (a GPU where there is one), cpu or cuda. Raises SettingsError where the device is not there or the
    variables of torchrun (RANK, WORLD_SIZE, LOCAL_RANK) make no sense.
    """
    rank, count, local = (
        _variable(name, default) for name, default in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))
    )
    if not 0 <= rank < count:
        raise SettingsError(f"RANK is {rank} of WORLD_SIZE {count}, expected 0 to {count - 1}; start with torchrun")
    process = Process(rank, count, _device(device, local))
    if count == 1:
        yield process
        return
    on_gpu = process.device.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(process.device)
    dist.init_process_group("nccl" if on_gpu else "gloo", rank=rank, world_size=count, timeout=_PATIENCE)
    try:
        yield process
    finally:
        dist.destroy_process_group()


def wrap(model: nn.Module, process: Process) -> nn.Module:
    """Return `model` on its device, so that the gradients of all processes are averaged on the way back.

    On GPUs the BatchNorm layers that are trained see the pictures of all processes.
    """
    model = model.to(process.device)
    if process.count == 1:
        return model
    if process.device.type == "cuda":
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return nn.parallel.DistributedDataParallel(model, device_ids=[process.device.index])
    return nn.parallel.DistributedDataParallel(model)


def gather_rows(rows: Tensor, process: Process) -> Tensor:
    """Return the rows of all processes in order of rank, with gradients. (N, ...) -> (count * N, ...).

    N is the same in all. A loss that every process computes over all rows has, once gradients are averaged by `wrap`,
    the gradient that one process with the whole batch would have.
    """
    return rows if process.count == 1 else _Gather.apply(rows, process)


@torch.no_grad()
def share_weights(model: nn.Module, process: Process) -> None:
    """Give all processes the weights and buffers of the first one, where a loop does without `wrap`."""
    if process.count > 1:
        for value in model.state_dict().values():
            dist.broadcast(value, 0)


@torch.no_grad()
def average_gradients(model: nn.Module, process: Process) -> None:
    """Make each gradient its mean over all processes, where a loop does without `wrap`.

    All must have the same weights to train. One that is missing counts 0 for the others and stays missing here.
    """
    if process.count == 1:
        return
    moving = [each for each in model.parameters() if each.requires_grad]
    gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in moving]
    flat = torch.nn.utils.parameters_to_vector(gradients)
    dist.all_reduce(flat)
    flat /= process.count
    start = 0
    for each in moving:
        if each.grad is not None:  # else an optimizer would decay a weight that nothing trains
            each.grad.copy_(flat[start : start + each.numel()].view_as(each))
        start += each.numel()


def mean_over(value: Tensor, process: Process) -> Tensor:
    """Return the mean of a value over all processes, without gradients; any shape, the same in all."""
    mean = value.detach().clone()
    if process.count > 1:
        dist.all_reduce(mean)
        mean /= process.count
    return mean


def wait_for_all(process: Process) -> None:
    """Return when every process has come here."""
    if process.count > 1:
        dist.barrier()


def seed_process(seed: int, process: Process) -> None:
    """Seed PyTorch's generators: another seed in each process, the same ones in each run."""
    torch.manual_seed(seed * 1_000_003 + process.rank)


def autocast(process: Process, mixed: bool) -> AbstractContextManager[None]:
    """Return what a forward pass runs in: on CUDA, if `mixed`, bfloat16 or, where the GPU lacks it, float16."""
    if not mixed or process.device.type != "cuda":
        return nullcontext()
    return torch.autocast("cuda", dtype=torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16)


def make_scaler(process: Process, mixed: bool) -> torch.amp.GradScaler:
    """Return the scaler of the gradients: at work for float16 alone, which underflows; elsewhere it does nothing."""
    on_gpu = process.device.type == "cuda"
    return torch.amp.GradScaler(process.device.type, enabled=mixed and on_gpu and not torch.cuda.is_bf16_supported())


class _Gather(torch.autograd.Function):
    """All rows forward; backward the gradients that all processes have for the rows of this one, summed."""

    @staticmethod
    def forward(context: torch.autograd.function.FunctionCtx, rows: Tensor, process: Process) -> Tensor:
        context.process, context.length = process, len(rows)
        parts = [torch.empty_like(rows) for _ in range(process.count)]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        start = context.process.rank * context.length
        return total[start : start + context.length], None


def _variable(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise SettingsError(f"{name} is {text!r}, expected a number from 0 up; start several processes with torchrun")
    return int(text)


def _device(name: str, local: int) -> torch.device:
    if name not in ("auto", "cpu", "cuda"):
        raise SettingsError(f"the device is {name!r}, expected auto, cpu or cuda")
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if local >= torch.cuda.device_count():
        raise SettingsError(
            f"process {local} of this machine wants GPU {local}, {torch.cuda.device_count()} are there; "
            "start as many processes as GPUs, or use device cpu"
        )
    return torch.device("cuda", local)
