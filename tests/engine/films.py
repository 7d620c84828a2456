"""Drawn shows as functions of time, and what can go wrong with their pictures: the truth goes wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np

from engine.sinks import Span
from shopcue.records import Image
from shopcue.sources.synthetic.scene import Scene
from shopcue.sources.synthetic.schedule import Showing
from shopcue.sources.synthetic.shop import read_designs

FPS = 8


@dataclass(frozen=True)
class Film:
    """A show as a function of time: the picture, and the product of the shop that it shows, or None."""

    picture: Callable[[float], Image]
    product: Callable[[float], str | None]
    seconds: float

    def spans(self) -> list[Span]:
        """Which product is on screen when: the truth, to a frame."""
        times_s = [n / FPS for n in range(round(self.seconds * FPS))]
        found = []
        for product, run in groupby(times_s, self.product):
            shown_s = list(run)
            if product is not None:
                found.append((product, shown_s[0], shown_s[-1] + 1 / FPS))
        return found


def drawn(feed: Path, times_s: Sequence[tuple[float, float]], seconds: float, size: tuple[int, int]) -> Film:
    """Draw a show of the first products of a drawn shop, each in its time; its pictures are drawn once."""
    sold = read_designs(feed)
    showings = [Showing(design, *span, sold=True) for design, span in zip(sold, times_s, strict=False)]
    scene = Scene(showings, (), sold, size, seed=3)
    pictures = [scene.frame_at(n / FPS) for n in range(round(seconds * FPS))]
    return Film(lambda time_s: pictures[min(int(time_s * FPS + 1e-6), len(pictures) - 1)], scene.product_at, seconds)


def frozen(film: Film, start_s: float, end_s: float) -> Film:
    """The pictures stand still for a while: what they show then is what they showed first."""

    def held(time_s: float) -> float:
        return start_s if start_s <= time_s < end_s else time_s

    return Film(lambda t: film.picture(held(t)), lambda t: film.product(held(t)), film.seconds)


def black(film: Film, start_s: float, end_s: float) -> Film:
    """The pictures are black for a while, and show nothing."""

    def dark(time_s: float) -> bool:
        return start_s <= time_s < end_s

    return Film(
        lambda t: np.zeros_like(film.picture(t)) if dark(t) else film.picture(t),
        lambda t: None if dark(t) else film.product(t),
        film.seconds,
    )


def resized(film: Film, size: tuple[int, int]) -> Film:
    """The same in another resolution."""

    def picture(time_s: float) -> Image:
        return np.asarray(cv2.resize(film.picture(time_s), size, interpolation=cv2.INTER_AREA), np.uint8)

    return Film(picture, film.product, film.seconds)
