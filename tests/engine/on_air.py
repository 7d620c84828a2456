"""A show that is on air by RTMP, whoever watches it and whatever breaks: its time is that of the clock on the wall."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av

from clips import Sound, VideoSpec, write_video
from engine.films import FPS, Film
from sources.servers import pushed

_BETWEEN_S = 0.01


def write_film(film: Film, path: Path) -> Path:
    """Write a film with a key frame each second, and a tone."""
    times_s = tuple(n / FPS for n in range(round(film.seconds * FPS)))
    spec = VideoSpec(
        times_s, lambda n: film.picture(n / FPS), options={"preset": "ultrafast"}, key_frames_every=FPS, rate_hz=FPS
    )
    with av.open(str(path), "w") as container:
        write_video(container, spec, [Sound(0.0, film.seconds)])
    return path


class Show:
    """A film that is played once; it begins when it is first pushed."""

    def __init__(self, video: Path) -> None:
        self._video = video
        self.began_s: float | None = None  # of the monotonic clock

    @property
    def second(self) -> float:
        """Where the show is now."""
        return 0.0 if self.began_s is None else time.monotonic() - self.began_s

    def wait(self, second: float) -> None:
        """Sleep until the show is there."""
        time.sleep(max(0.0, second - self.second))

    @contextmanager
    def pushed(self, url: str) -> Iterator[float]:
        """Push it to a server from its next key frame on; gives which second that is."""
        from_s = 0.0 if self.began_s is None else float(math.ceil(self.second + _BETWEEN_S))
        if self.began_s is None:
            self.began_s = time.monotonic()
        self.wait(from_s)
        with pushed(self._video, url, "flv", from_s=from_s + _BETWEEN_S if from_s else 0.0):
            yield from_s
