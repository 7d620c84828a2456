"""What goes wrong with a live stream costs what was not shown, and nothing else: every fault against the schedule.

One drawn show is broadcast many times, all at once, each time with another fault; the same engine watches them all.
What each should find is known twice: from the schedule of the show, which suffers the same fault, and from the
broadcast without one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.broadcast import Sender, Tape
from engine.films import Film, black, drawn, frozen, resized
from engine.recognisers import Always, Seconds
from engine.sinks import Fixed, Kept, near, outside, spans
from shopcue.catalog.exact import build_gallery
from shopcue.catalog.feeds import read_feed
from shopcue.engine import Counts, Engine
from shopcue.listening import Listener
from shopcue.methods import Method, open_method
from shopcue.records import Focus
from shopcue.settings import Models, Settings
from shopcue.sources.live import NetworkStream, Reception
from shopcue.sources.synthetic import make_shop
from sources.servers import site

SIZE, LARGER = (400, 224), (640, 360)
SECONDS = 29.0
SHOWN_S = ((2.0, 7.5), (9.5, 23.5), (25.5, 28.5))
MIDDLE_S = 16.0
STEP_S = 0.5
STRETCH_S = 1.5  # of a tracklet, for which a look at it holds
SEAM_S = 0.1  # by which the stamps of one encoder and the next differ
BLUR_S = 1.0  # how far an end may be from the schedule: a hand takes so long to come and to go
SILENT_S = 12.0
NOWHERE = (SECONDS, SECONDS)


@dataclass(frozen=True)
class Case:
    """A fault. film: what is on screen with it. stretch: where pictures say something else than without it."""

    film: Film
    tape: Tape
    stretch: tuple[float, float] = NOWHERE
    stall: tuple[float, float] | None = None
    listened: bool = False


@dataclass(frozen=True)
class Watched:
    """What became of a broadcast."""

    case: Case
    sink: Kept
    counts: Counts
    reception: Reception
    size: tuple[int | None, int | None]
    focuses: list[Focus]


def cases(film: Film) -> dict[str, Case]:
    plain = Tape().record(film, 0, SECONDS)

    def recorded(spoilt: Film) -> Tape:
        return Tape().record(spoilt, 0, SECONDS)

    still, dark = (6.0, 12.0), (14.0, 20.0)
    damaged = (13.0, 17.0)
    first = Tape().record(film, 0, MIDDLE_S, stamp_s=200)
    return {
        "plain": Case(film, plain),
        "frozen": Case(frozen(film, *still), recorded(frozen(film, *still)), still),
        "black": Case(black(film, *dark), recorded(black(film, *dark)), dark),
        "resized": Case(
            film, Tape().record(film, 0, MIDDLE_S).record(resized(film, LARGER), MIDDLE_S, SECONDS), (MIDDLE_S, SECONDS)
        ),
        "silent": Case(film, Tape().record(film, 0, SECONDS, silent_from_s=SILENT_S), listened=True),
        "back": Case(film, first.record(film, MIDDLE_S, SECONDS, stamp_s=100)),
        "damaged": Case(film, plain.corrupted(*damaged, seed=1), damaged),
        "ruined": Case(film, plain.corrupted(*damaged, seed=2, share=1 / 100), damaged),
        "stalled": Case(film, plain, stall=(14.0, 3.0)),
    }


@dataclass(frozen=True)
class Show:
    """A shop, and the broadcasts of its show."""

    feed: Path
    cases: dict[str, Case]


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> Show:
    feed = make_shop(tmp_path_factory.mktemp("shop"), count=4, seed=13)
    return Show(feed, cases(drawn(feed, SHOWN_S, SECONDS, SIZE)))


def watch(show: Show, method: Method, names: Sequence[str]) -> dict[str, Watched]:
    """Watch broadcasts side by side, each to its end."""
    gallery = build_gallery(read_feed(show.feed), method.encoder)[0]
    engine = Engine(method, cores=2, listener=lambda name: Listener(Seconds(0.3), voice=Always(), every_s=1.0))
    started = {}
    with site() as place:
        for name in names:
            case = show.cases[name]
            sender = Sender(case.tape, stall=case.stall)
            place.pages[f"/{name}"] = sender
            source, sink = NetworkStream(f"{place.address}/{name}", private=True), Kept()
            stream = sender.watcher = engine.start(name, source, Fixed(gallery), sink, sound=case.listened)
            started[name] = (case, source, sink, stream)
            while not stream.counts.frames:  # what all bring at once in the beginning would wait for too long
                assert stream.alive
                time.sleep(0.02)
        assert all(sink.left.wait(240) for _, _, sink, _ in started.values())
        engine.close()
    return {
        name: Watched(case, sink, stream.counts, source.reception, stream.size, sink.focuses())
        for name, (case, source, sink, stream) in started.items()
    }


@pytest.fixture(scope="module")
def watched(show: Show) -> dict[str, Watched]:
    """All broadcasts, looked at frame by frame, so that ends are exact to a step."""
    return watch(show, open_method("one-stage", Settings(models=Models(threads=1))), tuple(show.cases))


FAULTS = ("frozen", "black", "resized", "silent", "back", "damaged", "ruined", "stalled")
every_fault = pytest.mark.parametrize("name", FAULTS)


def test_the_show_without_a_fault_is_what_its_schedule_says(watched: dict[str, Watched]) -> None:
    plain = watched["plain"]
    assert near(spans(plain.focuses), plain.case.film.spans(), BLUR_S), spans(plain.focuses)
    assert (plain.reception.damaged, plain.reception.restarts, plain.reception.skipped) == (0, 0, 0)


@every_fault
def test_a_fault_does_not_end_the_stream(watched: dict[str, Watched], name: str) -> None:
    sink = watched[name].sink
    assert sink.states[:3] == [("starting", ""), ("live", ""), ("reconnecting", "the stream ended")]
    assert sink.states[-1] == ("stopped", "")
    assert watched[name].counts.faults == 0


@every_fault
def test_outside_of_the_fault_all_is_as_without_it(watched: dict[str, Watched], name: str) -> None:
    fault, plain = watched[name], watched["plain"]
    found, expected = (outside(spans(each.focuses), fault.case.stretch) for each in (fault, plain))
    assert near(found, expected, STEP_S + SEAM_S), (found, expected)


@every_fault
def test_with_the_fault_the_schedule_still_holds(watched: dict[str, Watched], name: str) -> None:
    fault = watched[name]
    found, truth = spans(fault.focuses), fault.case.film.spans()
    assert near(found, truth, BLUR_S), (found, truth)


@every_fault
def test_every_frame_that_was_sent_was_looked_at(watched: dict[str, Watched], name: str) -> None:
    counts = watched[name].counts
    assert counts.dropped == 0
    sent = round(SECONDS / STEP_S)
    lost = 8 if name == "ruined" else 1 if name == "damaged" else 0
    assert sent - lost <= counts.frames <= sent


def test_what_was_damaged_is_counted(watched: dict[str, Watched]) -> None:
    assert watched["damaged"].reception.damaged > 0
    assert watched["ruined"].reception.damaged > 10
    assert watched["back"].reception.restarts == 1
    assert watched["stalled"].reception.restarts == watched["frozen"].reception.restarts == 0


def test_pictures_do_not_wait_for_ears(watched: dict[str, Watched]) -> None:
    """Recognition takes 0.3 s for each second of sound, and the sound breaks off."""
    silent = watched["silent"]
    heard = silent.sink.listened
    assert heard[0].start_s < 1.0
    assert heard[-1].end_s == pytest.approx(SILENT_S, abs=0.5)
    assert silent.counts.deaf_s == 0


def test_boxes_are_in_the_pixels_of_their_time(watched: dict[str, Watched]) -> None:
    resized, plain = watched["resized"], watched["plain"]
    assert resized.size == LARGER
    ours, theirs = resized.focuses[-1].evidence.box, plain.focuses[-1].evidence.box
    assert ours == pytest.approx([side * LARGER[0] / SIZE[0] for side in theirs], abs=0.2 * LARGER[0])


def test_tracklets_that_a_fault_breaks_off_begin_again(show: Show, method: Method) -> None:
    """The other way to look follows things: a fault moves where their stretches begin, and no end by more than one."""
    found = watch(show, method, ("plain", "frozen", "resized", "ruined"))
    plain = found.pop("plain")
    for fault in found.values():
        ours, theirs = (outside(spans(each.focuses), fault.case.stretch) for each in (fault, plain))
        assert near(ours, theirs, STRETCH_S + SEAM_S), (ours, theirs)
        assert near(spans(fault.focuses), fault.case.film.spans(), STRETCH_S + SEAM_S)


def test_nothing_is_said_in_the_logs(watched: dict[str, Watched], caplog: pytest.LogCaptureFixture) -> None:
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
