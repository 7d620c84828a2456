"""Two processes that talk to each other do what one process with the whole batch does."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

torch = pytest.importorskip("torch", reason="training is an extra: pip install 'shopcue[train]'")

from shopcue.errors import SettingsError  # noqa: E402
from shopcue.training.processes import (  # noqa: E402
    Process,
    autocast,
    gather_rows,
    make_scaler,
    mean_over,
    open_process,
    seed_process,
    wait_for_all,
    wrap,
)

ALONE = Process(0, 1, torch.device("cpu"))


def net() -> Module:
    torch.manual_seed(0)
    return torch.nn.Linear(3, 2)


def rows() -> Tensor:
    return torch.randn(6, 3, generator=torch.Generator().manual_seed(1))


def loss_of(vectors: Tensor) -> Tensor:
    """A loss in which every row meets every other one, so that a part of the batch is not enough."""
    return torch.cdist(vectors, vectors).logsumexp(dim=1).mean()


def work(rank: int, port: int, folder: Path) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    with open_process("cpu") as process:
        model = net()
        wrapped = wrap(model, process)
        own = rows()[rank * 3 : rank * 3 + 3]
        loss = loss_of(gather_rows(wrapped(own), process))
        loss.backward()
        seed_process(5, process)
        document = {
            "loss": loss.detach(),
            "gradient": model.weight.grad,
            "rank_mean": mean_over(torch.tensor([float(rank)]), process),
            "rows": gather_rows(torch.full((2, 1), rank, dtype=torch.uint8), process),
            "drawn": torch.rand(1),
        }
        torch.save(document, folder / f"{rank}.pt")
        wait_for_all(process)


def start_two(work: Callable[[int, int, Path], None], folder: Path) -> list[dict[str, Tensor]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(work, args=(port, folder), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def test_two_processes_equal_one(tmp_path: Path) -> None:
    one, other = start_two(work, tmp_path)
    model = net()
    loss = loss_of(model(rows()))
    loss.backward()
    for answer in (one, other):
        torch.testing.assert_close(answer["loss"], loss.detach())
        torch.testing.assert_close(answer["gradient"], model.weight.grad)
        assert answer["rank_mean"].tolist() == [0.5]
        assert answer["rows"].flatten().tolist() == [0, 0, 1, 1]
    assert one["drawn"] != other["drawn"], "each process draws its own random numbers"


def test_alone_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with open_process("cpu") as process:
        assert process == ALONE
        assert process.is_first
    model, values = net(), rows()
    assert wrap(model, ALONE) is model
    assert gather_rows(values, ALONE) is values
    assert torch.equal(mean_over(values, ALONE), values)
    wait_for_all(ALONE)


def test_mixed_precision_is_for_gpus() -> None:
    with autocast(ALONE, mixed=True):
        assert net()(rows()).dtype == torch.float32
    assert not make_scaler(ALONE, mixed=True).is_enabled()


def test_a_seed_draws_the_same_numbers_again() -> None:
    drawn = []
    for seed in (1, 1, 2):
        seed_process(seed, ALONE)
        drawn.append(float(torch.rand(1)))
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK is 2 of WORLD_SIZE 2"),
        ({"RANK": "one"}, "RANK is 'one'"),
        ({"WORLD_SIZE": "-1"}, "WORLD_SIZE is '-1'"),
    ],
)
def test_senseless_variables_are_refused(
    variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=message), open_process("cpu"):
        pass


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(SettingsError, match="expected auto, cpu or cuda"), open_process("tpu"):
        pass
    if not torch.cuda.is_available():
        with pytest.raises(SettingsError, match="wants GPU 0, 0 are there"), open_process("cuda"):
            pass
