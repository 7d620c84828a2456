"""What a camera and a stream add: graphics on the screen, light, blur, noise, an encoder."""

from __future__ import annotations

import cv2
import numpy as np

from shopcue.data import views
from shopcue.data.composed.layers import Layer
from shopcue.data.composed.motion import Rng
from shopcue.records import Image

_OPAQUE, _TRANSLUCENT = 255, 100


def graphics(size: tuple[int, int], rng: Rng) -> list[Layer]:
    """Return what a stream lays over its picture: a price bar, a badge, lines of a chat. size: width, height."""
    width, height = size
    layers = []
    for _ in range(int(rng.integers(1, 3))):
        w, h = int(rng.uniform(0.15, 0.6) * width), int(rng.uniform(0.05, 0.12) * height) + 4
        x = int(rng.uniform(0, 1) * (width - w))
        y = int((rng.uniform(0, 0.08) if rng.random() < 0.5 else rng.uniform(0.8, 0.93)) * (height - h))
        layers.append(_sign((w, h), (x, y), rng, _OPAQUE))
    if height > width and rng.random() < 0.6:
        h = max(9, height // 28)
        for line in range(int(rng.integers(2, 6))):
            w = int(rng.uniform(0.25, 0.6) * width)
            layers.append(_sign((w, h), (4, int(0.9 * height) - line * (h + 3)), rng, _TRANSLUCENT))
    return layers


def filmed(image: Image, looks: int, frame: int) -> Image:
    """Return the picture as a phone or a stream shows it. looks: the seed of a whole sequence; frame: which of it."""
    always = np.random.default_rng((looks, 0))
    now = np.random.default_rng((looks, 1, frame))
    view = views.exposed(image, always, 0.3)
    if always.random() < 0.35:
        view = views.tinted(view, always)
    coarse, noisy = always.random() < 0.15, always.random() < 0.35
    if now.random() < 0.2:
        view = views.blurred(view, now) if now.random() < 0.4 else _soft(view, now.uniform(0.5, 1.6))
    if coarse:
        view = views.coarse(view, always)
    if noisy:
        view = _noisy(view, always.uniform(2, 9), now)
    return views.jpeg(view, always, 35)


def _soft(image: Image, sigma_px: float) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma_px), np.uint8)


def _noisy(image: Image, strength: float, rng: Rng) -> Image:
    """Return the picture with the grain of a small sensor. strength: its deviation."""
    grain = rng.standard_normal(image.shape[:2], np.float32) * np.float32(strength)
    return np.asarray(cv2.add(image, cv2.merge([grain, grain, grain]), dtype=cv2.CV_8U), np.uint8)


def _sign(size: tuple[int, int], at: tuple[int, int], rng: Rng, alpha: int) -> Layer:
    """Return a plain bar with letters on it."""
    width, height = size
    colour = rng.integers(0, 256, 3)
    pixels = np.empty((height, width, 4), np.uint8)
    pixels[...] = (*(int(channel) * alpha // 255 for channel in colour), alpha)
    text = "".join(chr(rng.integers(48, 91)) for _ in range(int(rng.integers(3, 14))))
    ink = [255.0 if colour.mean() < 128 else 0.0] * 3 + [255.0]
    cv2.putText(pixels, text, (2, height - 3), cv2.FONT_HERSHEY_SIMPLEX, height / 32, ink, 1, cv2.LINE_AA)
    return Layer(pixels, *at)
