"""Labelled pictures for DPRNet's detector: composed scenes, or DeepFashion2.

Sample number n of a run follows from n and the seed alone, so that a run can go on after a kill, and worker processes
and machines share it without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from shopcue.catalog.pictures import Picture, read_picture
from shopcue.data.composed import Stock, compose_scene
from shopcue.data.deepfashion2 import UNKNOWN, StreetPicture, instance_classes, read_deepfashion2, visible_boxes
from shopcue.data.views import exposed
from shopcue.errors import MediaError
from shopcue.models.image import fit_square, letterbox_placing
from shopcue.nets.house_detector import Truth
from shopcue.records import Image
from shopcue.training.checkpoints import fingerprint_data
from shopcue.training.detector import to_truth

_MIRRORED_SHARE = 0.5
_EXPOSURE = 0.25
_TRIES = 16  # pictures in a row that cannot be read, before the data are taken for broken


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture in its square, uint8 (S, S, 3), and what is in it, in pixels of the square."""

    pixels: Image
    truth: Truth


class Samples(Protocol):
    """An endless row of labelled pictures."""

    @property
    def instances(self) -> int:
        """How many things the labels tell apart."""

    @property
    def fingerprint(self) -> str:
        """What names the data."""

    def __call__(self, number: int) -> Sample:
        """Return sample `number`, 0 up: a function of it alone."""


class ComposedSamples:
    """Scenes composed on the way. stock: what they are made of; name: what names it."""

    def __init__(self, stock: Stock, name: str, side_px: int, seed: int) -> None:
        self._stock, self._side_px, self._seed = stock, side_px, seed
        self._fingerprint = fingerprint_data([f"composed {name}", *(item.name for item in stock.items)])

    @property
    def instances(self) -> int:
        """How many articles the stock holds."""
        return len(self._stock.items)

    @property
    def fingerprint(self) -> str:
        """What names the stock."""
        return self._fingerprint

    def __call__(self, number: int) -> Sample:
        """Return scene `number`."""
        scene = compose_scene(self._stock, (self._seed << 40) + number)
        return Sample(fit_square(scene.image, self._side_px, "letterbox"), to_truth(scene, self._side_px))


class StreetSamples:
    """Pictures of DeepFashion2: all of them once a round, every round in another order, light and direction.

    Garments are told apart by coarse class and by `instance_classes`. A picture that cannot be read is replaced by the
    next one of its round. Raises MediaError where there is no picture.
    """

    def __init__(self, pictures: Iterable[StreetPicture], side_px: int, seed: int) -> None:
        self._pictures = tuple(pictures)
        if not self._pictures:
            raise MediaError("the split of DeepFashion2 holds no annotated picture; expected one or more")
        self._side_px, self._seed = side_px, seed
        self._classes = instance_classes(self._pictures)
        self._round, self._order = -1, np.zeros(0, np.int64)
        self._fingerprint = fingerprint_data(
            f"{picture.picture_id} {picture.pair_id} {each.number} {each.category} {each.style} {each.box}"
            for picture in self._pictures
            for each in picture.garments
        )

    @property
    def instances(self) -> int:
        """How many garments have a pair."""
        return len(self._classes)

    @property
    def fingerprint(self) -> str:
        """What names the pictures and their annotations."""
        return self._fingerprint

    def __call__(self, number: int) -> Sample:
        """Return sample `number`; raises MediaError where many pictures in a row cannot be read."""
        reason = ""
        for after in range(_TRIES):
            picture = self._pick(number, after)
            try:
                read = read_picture(picture.path)
            except MediaError as error:
                reason = str(error)
                continue
            rng = np.random.default_rng([self._seed, 1, number])
            return self._sample(picture, read, mirrored=rng.random() < _MIRRORED_SHARE, rng=rng)
        raise MediaError(f"{_TRIES} pictures of DeepFashion2 in a row cannot be read, the last: {reason}")

    def _pick(self, number: int, after: int) -> StreetPicture:
        round_number, place = divmod(number, len(self._pictures))
        if round_number != self._round:
            self._order = np.random.default_rng([self._seed, 0, round_number]).permutation(len(self._pictures))
            self._round = round_number
        return self._pictures[self._order[(place + after) % len(self._pictures)]]

    def _sample(self, picture: StreetPicture, read: Picture, mirrored: bool, rng: np.random.Generator) -> Sample:
        image = read.image
        height, width = image.shape[:2]
        boxes, whose = visible_boxes(picture, round(width / read.scale), round(height / read.scale))
        boxes *= np.float32(read.scale)
        if mirrored:
            image = np.ascontiguousarray(image[:, ::-1])
            boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
        scale, left, top = letterbox_placing(width, height, self._side_px)
        boxes = boxes * np.float32(scale) + np.array([left, top] * 2, np.float32)
        garments = [picture.garments[index] for index in whose]
        names = [picture.instance(each) for each in garments]
        instances = [UNKNOWN if name is None else self._classes[name] for name in names]
        truth = Truth(
            torch.from_numpy(boxes),
            torch.tensor([each.coarse_class for each in garments], dtype=torch.int64),
            torch.tensor([each.quality for each in garments], dtype=torch.int64).view(-1, 3),
            torch.tensor(instances, dtype=torch.int64),
            torch.zeros(0, 4),
        )
        return Sample(fit_square(exposed(image, rng, _EXPOSURE), self._side_px, "letterbox"), truth)


def read_street_samples(
    root: Path, side_px: int, seed: int, skipped: Callable[[str], None], split: str = "train"
) -> StreetSamples:
    """Return the samples of DeepFashion2 below `root`; skipped: told in a line what is left out. Raises MediaError."""
    return StreetSamples(read_deepfashion2(root, split, skipped), side_px, seed)
