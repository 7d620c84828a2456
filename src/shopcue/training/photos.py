"""Photos of instances -> batches of squares: what a retrieval network is trained on.

A batch follows from its number and the seed alone, pixels included, whatever the number of processes and workers: so a
run can go on after a kill, and several processes share one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shopcue.catalog.pictures import read_picture
from shopcue.data.sampling import PKSampler
from shopcue.data.views import crop_random, exposed, tinted
from shopcue.errors import MediaError, SettingsError
from shopcue.geometry import crop
from shopcue.models.image import fit_square
from shopcue.records import Image, Indices
from shopcue.training.processes import Process

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class InstancePhoto:
    """A photo of an instance: where it lies, which instance of the training set it shows, and in which box."""

    path: Path
    instance: int
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class PhotoBatch:
    """The share of one process in a batch.

    pixels: uint8 (n, S, S, 3). instances: int64 (n,). unreadable: how many photos could not be read.
    """

    pixels: Image
    instances: Indices
    unreadable: int


def read_photo(path: Path, box: Box | None) -> Image:
    """Return what a photo shows in its box, all of it without one: RGB uint8 (H, W, 3). Raises MediaError.

    box: xyxy, in pixels of the file; what is returned has fewer where that is a large one.
    """
    picture = read_picture(path)
    return picture.image if box is None else crop(picture.image, np.array(box, np.float32) * picture.scale)


def photo_view(image: Image, side_px: int, rng: np.random.Generator) -> Image:
    """Return one of many views of a photo: mirrored or not, cropped, in another light. -> (S, S, 3)."""
    view = image[:, ::-1] if rng.random() < 0.5 else image
    view = exposed(crop_random(view, rng, 0.8), rng, 0.25)
    if rng.random() < 0.3:
        view = tinted(view, rng)
    return fit_square(view, side_px)


class PhotoBatches:
    """Batches of P instances with K photos each, as squares of side_px. A photo that cannot be read is replaced by
    another one of its instance in the batch.

    photos: instances 0 to C - 1, all of which have one. Raises SettingsError where P is more than there are, or the
    processes cannot share it.
    """

    def __init__(
        self,
        photos: Sequence[InstancePhoto],
        instances: int,
        pictures: int,
        side_px: int,
        seed: int,
        process: Process,
    ) -> None:
        if instances % process.count:
            raise SettingsError(f"{instances} instances a batch are no multiple of {process.count} processes")
        try:
            owners = np.array([photo.instance for photo in photos], np.int64)
            self._sampler = PKSampler(owners, instances, pictures, seed)
        except ValueError as error:
            raise SettingsError(f"{error}: make batches of fewer instances, or give more data") from error
        self._photos, self._pictures, self._side_px, self._seed = photos, pictures, side_px, seed
        self._rank, self._count = process.rank, process.count

    def __call__(self, step: int) -> PhotoBatch:
        """Return this process's share of batch `step`."""
        rows = self._sampler(step)
        share = len(rows) // self._count
        first = self._rank * share
        pixels, unreadable = [], 0
        for start in range(first, first + share, self._pictures):
            views, lost = self._instance(rows[start : start + self._pictures], step, start)
            pixels += views
            unreadable += lost
        owners = np.array([self._photos[row].instance for row in rows[first : first + share]], np.int64)
        return PhotoBatch(np.stack(pixels), owners, unreadable)

    def _instance(self, rows: Indices, step: int, start: int) -> tuple[list[Image], int]:
        """Return a view for each of the rows of one instance, and how many photos could not be read."""
        images: list[Image] = []
        reason = ""
        for row in rows:
            try:
                images.append(read_photo(self._photos[row].path, self._photos[row].box))
            except MediaError as error:
                reason = str(error)
        if not images:
            raise MediaError(f"no photo of one instance can be read ({reason}); take the instance out of the data")
        rngs = [np.random.default_rng([self._seed, step, start + place]) for place in range(len(rows))]
        views = [photo_view(images[i % len(images)], self._side_px, rng) for i, rng in enumerate(rngs)]
        return views, len(rows) - len(images)
