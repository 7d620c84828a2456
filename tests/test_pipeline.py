"""The whole way on a drawn show whose schedule is known, and the step that live and offline share."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shopcue.catalog.exact import build_gallery
from shopcue.catalog.feeds import read_feed
from shopcue.evaluation import TruthSpan, naive_focuses, read_truth
from shopcue.methods import METHODS, Method, open_method
from shopcue.metrics.focuses import Video, score_focuses
from shopcue.pipeline import EVIDENCE_WAIT_S, Words, _ahead, find_focuses
from shopcue.records import Detections, Focus, Frame, Gallery, Utterance
from shopcue.settings import Models, Settings
from shopcue.sources.files import read_frames
from shopcue.sources.subtitles import read_subtitles
from shopcue.sources.synthetic import Stream, make_shop, make_stream


@pytest.fixture(scope="session", params=[name for name in METHODS if name != "auto"])
def method(request: pytest.FixtureRequest) -> Method:
    return open_method(request.param, Settings(models=Models(threads=1)))


@pytest.fixture(scope="session")
def show(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Stream]:
    folder = tmp_path_factory.mktemp("show")
    feed = make_shop(folder / "shop", count=6, seed=3)
    return feed, make_stream(folder, feed, duration_s=36.0, size=(480, 270), fps=8, seed=3)


@pytest.fixture(scope="session")
def gallery(show: tuple[Path, Stream], method: Method) -> Gallery:
    return build_gallery(read_feed(show[0]), method.encoder)[0]


@pytest.fixture(scope="session")
def moments(show: tuple[Path, Stream], method: Method) -> list[tuple[Frame, Detections]]:
    frames = list(read_frames(show[1].video))
    return list(zip(frames, method.detector.detect(frames), strict=True))


def in_one_go(
    gallery: Gallery, method: Method, moments: list[tuple[Frame, Detections]], said: list[Utterance]
) -> list[Focus]:
    session = method.session(gallery)
    for utterance in said:
        session.update(utterance)
    return [f for m in moments for f in session.step(*m)] + session.finish(36.0)


def test_the_show_is_found_as_it_was_drawn(show: tuple[Path, Stream], gallery: Gallery, method: Method) -> None:
    stream = show[1]
    truth = read_truth(stream.truth)
    session = method.session(gallery)
    words = Words(read_subtitles(stream.speech))
    ours = find_focuses(session, read_frames(stream.video), method.detector, words, stream.duration_s)
    naive = naive_focuses(read_frames(stream.video), method.encoder, gallery, stream.duration_s)
    scores = score_focuses([Video(truth.focuses, ours, truth.duration_s)])
    assert scores.f1_50 >= 0.75
    assert scores.frame_acc > score_focuses([Video(truth.focuses, naive, truth.duration_s)]).frame_acc
    width, height = 480, 270
    for focus in ours:
        x0, y0, x1, y1 = focus.evidence.box
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
        assert focus.start_s <= focus.evidence.frame_s < focus.end_s


def test_speech_that_comes_late_counts_as_if_it_had_come_in_time(
    show: tuple[Path, Stream], gallery: Gallery, method: Method, moments: list[tuple[Frame, Detections]]
) -> None:
    said = read_subtitles(show[1].speech)
    early = in_one_go(gallery, method, moments, said)
    live = method.session(gallery)
    found: list[Focus] = []
    waiting = sorted(said, key=lambda u: u.end_s)
    for frame, detections in moments:
        # recognition is four seconds behind the end of each sentence
        while waiting and waiting[0].end_s + 4.0 <= frame.time_s:
            live.update(waiting.pop(0))
        found += live.step(frame, detections)
    for utterance in waiting:
        live.update(utterance)
    assert found + live.finish(36.0) == early
    assert EVIDENCE_WAIT_S > 8.0 + 4.0


def test_batches_do_not_change_what_is_found(
    gallery: Gallery, method: Method, moments: list[tuple[Frame, Detections]]
) -> None:
    alone = [(frame, method.detector.detect([frame])[0]) for frame, _ in moments]
    for (_, a), (_, b) in zip(alone, moments, strict=True):
        np.testing.assert_allclose(a.vectors, b.vectors, atol=1e-5)
    # a similarity may differ in its last digit; no decision may
    spans = [[(f.product_id, f.start_s, f.end_s) for f in in_one_go(gallery, method, m, [])] for m in (alone, moments)]
    assert spans[0] == spans[1]


def test_the_naive_way_always_names_something(gallery: Gallery, method: Method) -> None:
    frames = [Frame(k / 2, np.full((90, 160, 3), 127, np.uint8)) for k in range(6)]
    spans = naive_focuses(iter(frames), method.encoder, gallery, 3.0)
    assert spans == [TruthSpan(spans[0].product_id, 0.0, 3.0)]


def test_running_ahead_keeps_the_order_and_is_bounded() -> None:
    made = 0

    def numbers() -> Iterator[int]:
        nonlocal made
        for k in range(50):
            made += 1
            yield k

    ahead = _ahead(numbers(), 4)
    assert next(ahead) == 0
    time.sleep(0.2)
    assert made <= 7  # one was taken, four wait, one is in hand, one is on its way
    assert list(ahead) == list(range(1, 50))


def test_an_error_ahead_is_raised_here_and_no_thread_is_left() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("broken on purpose")

    ahead = _ahead(broken(), 2)
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="on purpose"):
        next(ahead)
    early = _ahead(iter(range(1000)), 2)
    next(early)
    early.close()
    assert not [t for t in threading.enumerate() if t.name == "shopcue-ahead"]
