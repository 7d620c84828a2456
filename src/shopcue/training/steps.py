"""What the steps of every training share: batches made ahead of time, and rates that rise and fall."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import cv2
from torch.utils.data import DataLoader, Dataset

B = TypeVar("B")


class Rising(Protocol):
    """How long a training is, and for how many steps its rates rise."""

    @property
    def steps(self) -> int:
        """All steps."""

    @property
    def warmup(self) -> int:
        """The first steps, in which the rates rise."""


def rate_at(step: int, schedule: Rising) -> float:
    """Return the factor on the peak rates: it rises over the warm-up and falls on a cosine to zero."""
    if step < schedule.warmup:
        return (step + 1) / schedule.warmup
    done = (step - schedule.warmup) / max(1, schedule.steps - schedule.warmup)
    return 0.5 * (1 + math.cos(math.pi * min(done, 1)))


class _Steps(Dataset[B], Generic[B]):
    """The batches from `first` on as a data set, so that worker processes can make them ahead of time."""

    def __init__(self, make: Callable[[int], B], first: int, steps: int) -> None:
        self._make, self._first, self._steps = make, first, steps

    def __len__(self) -> int:
        return self._steps - self._first

    def __getitem__(self, index: int) -> B:
        return self._make(self._first + index)


def batch_loader(make: Callable[[int], B], first: int, steps: int, workers: int) -> DataLoader[B]:
    """Return an iterable over batches first to steps - 1, made ahead by so many worker processes.

    make: gives batch `step`, a function of the step alone, so that the processes need no common state.
    """
    cv2.setNumThreads(1)  # before they are forked: a pool of threads that is copied while it runs never answers
    return DataLoader(
        _Steps(make, first, steps),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
    )
