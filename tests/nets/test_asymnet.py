"""AsymNet against its sums written out, and against a problem that only a gate can solve."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="torch is not installed: training is an extra")

from shopcue.nets.asymnet import AsymNet, mixture_loss  # noqa: E402
from shopcue.records import Floats  # noqa: E402
from shopcue.training.asymnet import Schedule, Tracklets, rank, train_asymnet  # noqa: E402

DIM = 8


@pytest.fixture(autouse=True)
def few_threads() -> Iterator[None]:
    """Nets so small are slower on two threads than on one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def unit(rows: NDArray[np.floating]) -> Floats:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)


def shaken(seed: int = 0) -> AsymNet:
    """A net none of whose weights is zero."""
    torch.manual_seed(seed)
    net: AsymNet = AsymNet(DIM, hidden=6).eval().requires_grad_(False)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return net


def test_the_answer_is_the_mixture_of_the_experts() -> None:
    rng = np.random.default_rng(0)
    views, pictures = unit(rng.normal(size=(2, 4, DIM))), unit(rng.normal(size=(3, DIM)))
    lengths = [4, 2]
    net = shaken()
    answer = net(torch.from_numpy(views), torch.tensor(lengths), torch.from_numpy(pictures))
    for n, length in enumerate(lengths):
        states = net.recurrent(torch.from_numpy(views[n, :length]))[0]
        gates = [math.exp(float(net.gate(state))) for state in states]
        for g in range(3):
            total = 0.0
            for t, state in enumerate(states):
                query = torch.nn.functional.normalize(torch.from_numpy(views[n, t]) + net.context(state), dim=0)
                picture = torch.from_numpy(pictures[g])
                pair = torch.cat([query * picture, (query - picture).abs()])
                odds = net.scale * (query @ picture) + net.bias + net.experts(pair)[0]
                total += gates[t] / sum(gates) / (1 + math.exp(-float(odds)))
            assert float(answer[n, g]) == pytest.approx(total, abs=1e-5)


def test_what_stands_behind_the_end_of_a_tracklet_does_not_count() -> None:
    rng = np.random.default_rng(1)
    views, pictures = unit(rng.normal(size=(1, 5, DIM))), torch.from_numpy(unit(rng.normal(size=(3, DIM))))
    other = views.copy()
    other[0, 3:] = unit(rng.normal(size=(2, DIM)))
    net, length = shaken(), torch.tensor([3])
    torch.testing.assert_close(
        net(torch.from_numpy(views), length, pictures), net(torch.from_numpy(other), length, pictures)
    )


def test_an_untrained_net_ranks_by_the_cosine() -> None:
    rng = np.random.default_rng(2)
    view, pictures = unit(rng.normal(size=(1, DIM))), unit(rng.normal(size=(20, DIM)))
    answer = rank(AsymNet(DIM), Tracklets.of([view], [0]), pictures)[0]
    assert np.argsort(-answer).tolist() == np.argsort(-(pictures @ view[0])).tolist()


def test_the_loss_equals_a_plain_loop() -> None:
    rng = np.random.default_rng(3)
    probability, same = rng.uniform(0.01, 0.99, (4, 5)).astype(np.float32), rng.random((4, 5)) < 0.3
    parts: dict[bool, list[float]] = {True: [], False: []}
    for p, pair in zip(probability.ravel(), same.ravel(), strict=True):
        parts[bool(pair)].append(-math.log(p if pair else 1 - p))
    wanted = sum(sum(errors) / len(errors) for errors in parts.values()) / 2
    assert float(mixture_loss(torch.from_numpy(probability), torch.from_numpy(same))) == pytest.approx(wanted)


def spoilt(things: range, pictures: Floats, rng: np.random.Generator) -> Tracklets:
    """Views of things, one good among four of something else; a coordinate of its own says which is good."""
    views = []
    for thing in things:
        rows = pictures[rng.integers(len(pictures), size=5)]
        good = rng.integers(5)
        rows[good] = pictures[thing]
        rows[:, -1] = -0.5
        rows[good, -1] = 0.5
        views.append(unit(rows))
    return Tracklets.of(views, list(things))


def test_training_teaches_which_views_to_believe() -> None:
    rng = np.random.default_rng(4)
    pictures = rng.normal(size=(120, DIM)).astype(np.float32)
    pictures[:, -1] = 0
    pictures = unit(pictures)
    seen = [spoilt(range(80), pictures, rng) for _ in range(6)]
    tracklets = Tracklets.of(
        [row for each in seen for row in each.views], [int(i) for each in seen for i in each.instances]
    )
    unseen = spoilt(range(80, 120), pictures, rng)
    losses: list[float] = []
    net = train_asymnet(tracklets, pictures, Schedule(steps=80, rate=1e-2), lambda _, loss: losses.append(loss))

    def right(model: AsymNet) -> float:
        return float(np.mean(rank(model, unseen, pictures).argmax(axis=1) == unseen.instances))

    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])
    assert right(net) > 0.7 > 0.5 > right(AsymNet(DIM))


def test_training_is_the_same_every_time() -> None:
    rng = np.random.default_rng(5)
    pictures = unit(rng.normal(size=(12, DIM)))
    tracklets = spoilt(range(12), pictures, rng)
    schedule = Schedule(steps=3, batch=4, others=4)
    first, second = (train_asymnet(tracklets, pictures, schedule, lambda *_: None) for _ in range(2))
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
