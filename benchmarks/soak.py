"""Hours of several streams on one engine: does memory grow, does a queue, does the clock drift?

    python benchmarks/soak.py LIVE... --hours 1 --streams 4 [--speech] [--clock] [--out FILE]

LIVE: folders with live.mp4 and catalog.csv. Each stream plays one of them again and again, without coding it anew, as
fast as it is looked at, so that an hour takes minutes; traces are written as in a server. Measured:

- memory of the process, median over the last sixth against the second sixth of the time (the first warms up);
- the longest the queue of frames ever was, and what was dropped or never listened to;
- drift: where the last picture and the loudest of the last half minute of sound stand in the stream, against where
  another decoder finds the same picture and the same sound in the film;
- how many of the focuses of the last round of a film are those of its second round (the first one begins with nothing,
  all others with the end of the film): same product, starts at most two steps of sampling apart.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np

from shopcue.announcing import Announcement
from shopcue.catalog.cache import EmbeddingCache
from shopcue.catalog.exact import build_gallery
from shopcue.catalog.feeds import read_feed
from shopcue.engine import Engine, State
from shopcue.listening import Listener
from shopcue.methods import Method, open_method
from shopcue.models.recognition import find_recogniser
from shopcue.records import AudioChunk, Comment, Focus, Frame, Gallery, Utterance
from shopcue.settings import Settings
from shopcue.sources.files import probe
from shopcue.sources.live import PacedFile
from shopcue.sources.live.reading import PacketSink
from shopcue.trace import TraceFiles

SAMPLE_S = 2.0
STEP_S = 0.5


@dataclass
class OnAir:
    """A shop that does not change."""

    gallery: Gallery

    def refresh(self) -> bool:
        return False


@dataclass
class Noted:
    """A source that keeps its last picture and the last half minute of its sound."""

    source: PacedFile
    endless: bool = False
    frame: Frame | None = None
    sound: deque[AudioChunk] = field(default_factory=lambda: deque(maxlen=60))

    def read(
        self, rate_hz: float, max_side_px: int, *, sound: bool = False, recorder: PacketSink | None = None
    ) -> Generator[Frame | AudioChunk, None, None]:
        for item in self.source.read(rate_hz, max_side_px, sound=True):
            if isinstance(item, Frame):
                self.frame = item
            else:
                self.sound.append(item)
                if not sound:
                    continue
            yield item

    def close(self) -> None:
        self.source.close()


@dataclass
class Ended:
    """A sink that keeps the focuses that have ended for good, as a program would that writes them down."""

    focuses: deque[Focus] = field(default_factory=deque)
    news: int = 0
    now_s: float = 0.0
    problem: str = ""
    ended: threading.Event = field(default_factory=threading.Event)

    def announce(self, news: Sequence[Announcement], now_s: float) -> None:
        self.now_s = now_s
        self.news += len(news)
        self.focuses += [each.focus for each in news if each.kind == "settle"]

    def state(self, state: State, problem: str) -> None:
        if state in ("stopped", "failed"):
            self.problem = problem
            self.ended.set()

    def words(self) -> Iterable[Utterance | Comment]:
        return ()

    def heard(self, utterances: Sequence[Utterance]) -> None:
        """What is said is not kept."""


def repeated(video: Path, rounds: int, out: Path) -> Path:
    """Write a film that shows another one several times, packets as they are."""
    command = ["ffmpeg", "-v", "error", "-y", "-stream_loop", str(rounds - 1), "-i", str(video), "-c", "copy", str(out)]
    subprocess.run(command, check=True)
    return out


def memory_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def soak(
    lives: Sequence[Path], streams: int, hours: float, speech: bool, method: Method, folder: Path
) -> dict[str, Any]:
    """Run the streams to their end and return what was measured."""
    ears = None
    if speech:
        recogniser, line = find_recogniser(threads=1)
        if recogniser is None:
            raise SystemExit(line)
        ears = lambda name: Listener(recogniser)  # noqa: E731
    engine = Engine(method, listener=ears)
    sinks, sources, rounds = [], [], []
    for n in range(streams):
        live = lives[n % len(lives)]
        rounds.append(rounds_in(live, hours))
        gallery, _ = build_gallery(read_feed(live / "catalog.csv"), method.encoder, cache=EmbeddingCache(None))
        film = repeated(live / "live.mp4", rounds[n], folder / f"{n}.mp4")
        sinks.append(Ended())
        sources.append(Noted(PacedFile(film, float("inf"))))
        trace = TraceFiles(folder / f"trace-{n}")
        engine.start(f"s{n}", sources[n], OnAir(gallery), sinks[n], trace=trace, full="wait", sound=speech)
    samples: list[tuple[float, float]] = []
    longest, began_s = 0, time.monotonic()
    while not all(sink.ended.wait(SAMPLE_S / streams) for sink in sinks):
        samples.append((time.monotonic() - began_s, memory_mb()))
        longest = max(longest, *(counts.waiting for counts in engine.counts.values()))
        if len(samples) % 30 == 0:
            print(json.dumps({"media_s": [round(s.now_s) for s in sinks], "mb": round(samples[-1][1], 1)}), flush=True)
    counts, took_s = dict(engine.counts), time.monotonic() - began_s
    engine.close()
    films = [probe(folder / f"{n}.mp4") for n in range(streams)]
    rounds_alike = [alike(list(sinks[n].focuses), films[n].duration_s / rounds[n]) for n in range(streams)]
    return {
        "streams": streams,
        "hours_of_each": round(statistics.mean(film.duration_s for film in films) / 3600, 3),
        "took_s": round(took_s),
        "problems": [sink.problem for sink in sinks if sink.problem],
        **memory(samples, took_s),
        "longest_queue": longest,
        "dropped": sum(each.dropped for each in counts.values()),
        "faults": sum(each.faults for each in counts.values()),
        "deaf_s": round(sum(each.deaf_s for each in counts.values())),
        "news": sum(sink.news for sink in sinks),
        "focuses": sum(len(sink.focuses) for sink in sinks),
        **clock(folder, sources),
        "focuses_of_the_last_rounds": sum(count for _, count in rounds_alike),
        "of_them_as_in_the_second": sum(alike for alike, _ in rounds_alike),
        "trace_mb": round(sum(path.stat().st_size for path in folder.glob("trace-*/*")) / 2**20, 1),
    }


def memory(samples: Sequence[tuple[float, float]], took_s: float) -> dict[str, float]:
    """Return the memory of the second and of the last sixth of the time, in megabytes, and their ratio."""
    early = [mb for at_s, mb in samples if took_s / 6 <= at_s < took_s / 3]
    late = [mb for at_s, mb in samples if at_s >= took_s * 5 / 6]
    before, after = statistics.median(early), statistics.median(late)
    return {
        "memory_mb_warm": round(before, 1),
        "memory_mb_end": round(after, 1),
        "memory_mb_peak": round(max(mb for _, mb in samples), 1),
        "memory_growth": round(after / before - 1, 4),
    }


def clock(folder: Path, sources: Sequence[Noted]) -> dict[str, float]:
    """Return how far the clocks of sources that have come to their end are from those of their films."""
    films = [folder / f"{n}.mp4" for n in range(len(sources))]
    return {
        "picture_drift_ms": max(picture_drift_ms(*each) for each in zip(films, sources, strict=True)),
        "sound_drift_ms": max(sound_drift_ms(*each) for each in zip(films, sources, strict=True)),
    }


def read_alone(lives: Sequence[Path], streams: int, hours: float, folder: Path) -> dict[str, float]:
    """Return the drift of the clocks of films that are read to their end, and looked at by nobody."""
    sources = []
    for n in range(streams):
        live = lives[n % len(lives)]
        film = repeated(live / "live.mp4", rounds_in(live, hours), folder / f"{n}.mp4")
        sources.append(Noted(PacedFile(film, float("inf"))))
        sampling = Settings().sampling
        for _ in sources[n].read(sampling.rate_hz, sampling.max_side_px, sound=True):
            pass
    return clock(folder, sources)


def rounds_in(live: Path, hours: float) -> int:
    """Return how often a live has to be shown to last so long."""
    return max(2, round(hours * 3600 / probe(live / "live.mp4").duration_s))


def alike(focuses: Sequence[Focus], round_s: float) -> tuple[int, int]:
    """Return how many focuses of the last round of a film are those of its second round, and how many there are."""
    last = max((int(focus.start_s / round_s) for focus in focuses), default=0)
    second, final = (
        [(f.product_id, f.start_s - n * round_s) for f in focuses if int(f.start_s / round_s) == n] for n in (1, last)
    )
    found = sum(
        any(name == product_id and abs(start_s - at_s) <= 2 * STEP_S for name, at_s in second)
        for product_id, start_s in final
    )
    return found, len(final)


def picture_drift_ms(film: Path, source: Noted) -> float:
    """Return how far the last picture of a source is from the time at which PyAV finds it in the film."""
    frame = source.frame
    assert frame is not None
    height, width = frame.image.shape[:2]
    best = (float("inf"), 0.0)
    with av.open(str(film)) as container:
        container.seek(round((frame.time_s - 4.0) * av.time_base))
        for picture in container.decode(video=0):
            if picture.time is not None and abs(picture.time - frame.time_s) < 3.0:
                image = picture.to_ndarray(width=width, height=height, format="rgb24", interpolation="AREA")
                best = min(best, (float(np.abs(image.astype(int) - frame.image).mean()), picture.time))
    return round(1000 * abs(best[1] - frame.time_s), 1)


def sound_drift_ms(film: Path, source: Noted) -> float:
    """Return by how much the loudest second of the last sound has to be moved to lie on the film's own sound."""
    chunks = list(source.sound)
    at = max(range(len(chunks) - 1), key=lambda k: float(np.square(chunks[k].samples).sum()))
    ours, start_s, rate_hz = chunks[at].samples, chunks[at].start_s, chunks[at].rate_hz
    first_s = start_s - 1.0
    theirs = np.zeros(round(rate_hz * (2.0 + len(ours) / rate_hz)), np.float32)
    resampler = av.AudioResampler("flt", "mono", rate_hz)
    with av.open(str(film)) as container:
        container.seek(round((start_s - 5.0) * av.time_base))
        for decoded in container.decode(audio=0):
            for piece in resampler.resample(decoded):
                begin = round(((piece.time or 0.0) - first_s) * rate_hz)
                samples = piece.to_ndarray().reshape(-1)[max(0, -begin) :]
                begin = max(0, begin)
                theirs[begin : begin + len(samples)] = samples[: max(0, len(theirs) - begin)]
            if (decoded.time or 0.0) > start_s + 3.0:
                break
    lag = int(np.argmax(np.correlate(theirs, ours, "valid"))) - rate_hz
    return round(1000 * abs(lag) / rate_hz, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lives", nargs="+", type=Path, help="folders with live.mp4 and catalog.csv")
    parser.add_argument("--streams", type=int, default=4)
    parser.add_argument("--hours", type=float, default=1.0, help="of each stream")
    parser.add_argument("--speech", action="store_true", help="listen to them too")
    parser.add_argument(
        "--clock", action="store_true", help="measure the drift of the clocks alone, which takes minutes"
    )
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    arguments = parser.parse_args()
    streams, hours = arguments.streams, arguments.hours
    with tempfile.TemporaryDirectory(prefix="shopcue-soak-") as name:
        folder = Path(name)
        found: dict[str, Any]
        if arguments.clock:
            found = read_alone(arguments.lives, streams, hours, folder)
        else:
            method = open_method("auto", Settings())
            found = soak(arguments.lives, streams, hours, arguments.speech, method, folder)
    if arguments.clock and arguments.out is not None and arguments.out.exists():
        found = json.loads(arguments.out.read_text(encoding="utf-8")) | found
    print(json.dumps(found, indent=1))
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
