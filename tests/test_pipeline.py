"""The whole way on a drawn show whose schedule is known, and the step that live and offline share."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shopcue.announcing import Announcer
from shopcue.catalog.exact import build_gallery
from shopcue.catalog.feeds import read_feed
from shopcue.evaluation import TruthSpan, naive_focuses, read_truth
from shopcue.methods import METHODS, Method, open_method
from shopcue.metrics.focuses import Video, score_focuses
from shopcue.pipeline import EVIDENCE_WAIT_S, Words, _ahead, find_focuses
from shopcue.records import Catalog, Detections, Focus, Frame, Gallery, Utterance
from shopcue.settings import Models, Settings
from shopcue.sources.files import read_frames
from shopcue.sources.subtitles import read_subtitles
from shopcue.sources.synthetic import Stream, make_shop, make_stream
from shopcue.trace import TraceFiles


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


def test_the_news_of_a_live_run_add_up_to_the_offline_answer(
    show: tuple[Path, Stream], gallery: Gallery, method: Method, moments: list[tuple[Frame, Detections]]
) -> None:
    said = read_subtitles(show[1].speech)
    live, announcer, news = method.session(gallery), Announcer(), []
    waiting = sorted(said, key=lambda u: u.end_s)
    for frame, detections in moments:
        while waiting and waiting[0].end_s + 2.0 <= frame.time_s:
            live.update(waiting.pop(0))
        ended = live.step(frame, detections)
        news += [(frame.time_s, each) for each in announcer.update(ended, live.outlook(frame.time_s), frame.time_s)]
    news += [(36.0, each) for each in announcer.update(live.finish(36.0), [], 36.0)]
    found = {each.number: each.focus for _, each in news if each.kind != "withdraw"}
    for _, each in news:
        if each.kind == "withdraw":
            del found[each.number]
    assert sorted(found.values(), key=lambda focus: focus.start_s) == in_one_go(gallery, method, moments, said)
    delays = [time_s - each.focus.start_s for time_s, each in news if each.kind == "open"]
    assert np.median(delays) <= 8.0


def test_a_session_goes_on_when_the_catalogue_changes_under_it(
    gallery: Gallery, method: Method, moments: list[tuple[Frame, Detections]]
) -> None:
    """The same shop in another order: what is on screen then goes on, and nothing else is found."""
    order = list(range(len(gallery.catalog)))[::-1]
    pictures = [int(m) for p in order for m in np.flatnonzero(gallery.owner == p)]
    other = Gallery(
        Catalog(tuple(gallery.catalog.products[p] for p in order)),
        gallery.vectors[pictures],
        np.array([order.index(int(gallery.owner[m])) for m in pictures]),
        gallery.fingerprint,
        tuple(gallery.pictures[m] for m in pictures),
    )
    session = method.session(gallery)
    found: list[Focus] = []
    for k, moment in enumerate(moments):
        if k == len(moments) // 2:
            found += method.change(session, other)
        found += session.step(*moment)
    found += session.finish(36.0)
    whole = in_one_go(gallery, method, moments, [])
    assert [focus.product_id for focus in found] == [focus.product_id for focus in whole]
    for ours, theirs in zip(found, whole, strict=True):
        assert abs(ours.start_s - theirs.start_s) <= 1.5
        assert abs(ours.end_s - theirs.end_s) <= 1.5


def test_a_trace_tells_what_was_followed_picked_and_compared(
    tmp_path: Path, gallery: Gallery, method: Method, moments: list[tuple[Frame, Detections]]
) -> None:
    trace = TraceFiles(tmp_path)
    session = method.session(gallery, trace)
    for moment in moments:
        session.step(*moment)
    session.finish(36.0)
    trace.finish()
    (minute,) = [json.loads(gzip.decompress(path.read_bytes())) for path in tmp_path.iterdir()]
    assert (minute["start_s"], minute["end_s"], minute["width"], minute["height"]) == (0, 60, 480, 270)
    assert [each["time_s"] for each in minute["moments"]] == [frame.time_s for frame, _ in moments]
    for each in minute["moments"]:
        best = each["candidates"][0]
        assert best["score"] == pytest.approx(best["visual"] + best["text"] + best["comments"], abs=2e-3)
    if method.name == "one-stage":
        return
    for each, (_, detections) in zip(minute["moments"], moments, strict=True):
        np.testing.assert_allclose([t["box"] for t in each["things"]], detections.boxes, atol=0.06)
    seen = {(t["tracklet_id"], m["time_s"]) for m in minute["moments"] for t in m["things"] if t["followed"]}
    told = [(p["tracklet_id"], v["time_s"]) for p in minute["picks"] for v in [p, *p["dropped"]]]
    assert sorted((i, t) for i, t in told if i is not None) == sorted(seen), "every followed view was picked or dropped"
    for pick in minute["picks"]:
        assert all(view["worth"] <= pick["worth"] and view["reason"] for view in pick["dropped"])


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
