"""Requests of many threads answered in batches are answered as if each were alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopcue.engine.batching import BatchedDetector, BatchedEncoder, Batcher
from shopcue.methods import open_method
from shopcue.records import Frame
from shopcue.settings import Models, Settings


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(st.integers(0, 99), max_size=7), min_size=1, max_size=12), st.integers(1, 6))
def test_every_request_gets_its_own_answers(requests: list[list[int]], most: int) -> None:
    sizes = []

    def square(items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        time.sleep(0.0005)
        return [item * item for item in items]

    batcher: Batcher[int, int] = Batcher(square, most=most, wait_s=0.002)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(batcher, requests))
    batcher.close()
    assert answers == [[item * item for item in items] for items in requests]
    assert batcher.items == sum(map(len, requests)) == sum(sizes)
    assert all(size <= max(most, *map(len, requests)) for size in sizes)


def test_requests_that_come_while_the_model_works_go_together() -> None:
    started, go = threading.Event(), threading.Event()
    sizes = []

    def work(items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        started.set()
        go.wait(10)
        return list(items)

    batcher: Batcher[int, int] = Batcher(work, most=8, wait_s=0.0)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(batcher, [0])
        assert started.wait(10)
        others = [pool.submit(batcher, [n]) for n in range(1, 6)]
        while batcher._waiting() < 5:
            time.sleep(0.001)
        go.set()
        assert [each.result() for each in (first, *others)] == [[n] for n in range(6)]
    assert sizes == [1, 5]
    batcher.close()


def test_a_bad_item_is_told_to_the_one_who_gave_it_alone() -> None:
    gate = threading.Barrier(3)

    def work(items: Sequence[int]) -> list[float]:
        return [1 / item for item in items]

    batcher: Batcher[int, float] = Batcher(work, most=8, wait_s=0.2)

    def ask(n: int) -> list[float]:
        gate.wait()
        return batcher([n])

    with ThreadPoolExecutor(3) as pool:
        good, bad, fine = (pool.submit(ask, n) for n in (2, 0, 4))
        assert (good.result(), fine.result()) == ([0.5], [0.25])
        with pytest.raises(ZeroDivisionError):
            bad.result()
    batcher.close()


def test_nobody_waits_longer_than_the_deadline_for_others() -> None:
    batcher: Batcher[int, int] = Batcher(list, most=100, wait_s=0.05)
    began_s = time.monotonic()
    assert batcher([1, 2]) == [1, 2]
    assert 0.04 <= time.monotonic() - began_s < 5
    assert batcher([]) == []
    batcher.close()
    with pytest.raises(RuntimeError, match="closed"):
        batcher([1])


def test_a_shared_method_finds_what_its_own_networks_find() -> None:
    method = open_method("two-stage", Settings(models=Models(threads=1)))
    detector, encoder = BatchedDetector(method.detector), BatchedEncoder(method.encoder)
    both = method.sharing(detector, encoder)
    rng = np.random.default_rng(0)
    frames = [Frame(float(k), rng.integers(0, 255, (90, 160, 3), np.uint8)) for k in range(6)]
    with ThreadPoolExecutor(3) as pool:
        found = [each[0] for each in pool.map(lambda frame: both.detector.detect([frame]), frames)]
        vectors = list(pool.map(lambda frame: both.encoder.encode([frame.image]), frames))
    for ours, theirs in zip(found, method.detector.detect(frames), strict=True):
        np.testing.assert_allclose(ours.boxes, theirs.boxes, atol=1e-2)
    np.testing.assert_allclose(np.concatenate(vectors), method.encoder.encode([f.image for f in frames]), atol=1e-5)
    assert both.fingerprints == method.fingerprints
    assert both.encoder.encode([]).shape == (0, method.encoder.dim)
    detector.batcher.close()
    encoder.batcher.close()
