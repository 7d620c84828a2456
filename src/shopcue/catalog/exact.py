"""One shop in memory: its pictures as a gallery, and the exact search in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import islice
from math import isqrt
from pathlib import Path
from typing import TypeVar

import numpy as np

from shopcue.catalog.cache import EmbeddingCache, Key
from shopcue.catalog.feeds import Feed, ItemReport, first_reasons
from shopcue.catalog.fetch import Fetcher
from shopcue.catalog.pictures import load_picture, shrink
from shopcue.errors import FeedError, SettingsError, ShopcueError
from shopcue.models.image import ImageEncoder, trim_margins
from shopcue.records import Catalog, Floats, Gallery, Image, Indices

BATCH = 16
THUMBNAIL_PX = 480
_SIDES_PX = (THUMBNAIL_PX, 400, 320, 256, 200, 160, 128)  # few, so that one product more seldom changes them all
_CHUNK_FLOATS = 1 << 24

W = TypeVar("W")
L = TypeVar("L")

Progress = Callable[[int, int], None]
"""Takes how many pictures are done, and of how many."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """One picture of a product, ready for the encoder, or why it cannot be."""

    product: int
    image: Image | None
    content: str
    problem: str = ""


@dataclass(slots=True)
class _Pictures:
    """What the pictures of a feed have become so far, one entry for each usable one."""

    owner: list[int] = field(default_factory=list)
    vectors: list[Floats] = field(default_factory=list)
    thumbnails: list[Image] = field(default_factory=list)
    problems: dict[int, list[str]] = field(default_factory=dict)


def build_gallery(
    feed: Feed,
    encoder: ImageEncoder,
    *,
    cache: EmbeddingCache | None = None,
    fetcher: Fetcher | None = None,
    progress: Progress | None = None,
    threads: int = 4,
    picture_bytes: int = 1 << 30,
) -> tuple[Gallery, tuple[ItemReport, ...]]:
    """Return the gallery of a feed, and its report with what became of each product's pictures.

    Pictures are loaded by `threads` threads and embedded without their margins, those in `cache` not again. The gallery
    keeps them with sides up to 480 pixels, or as far below as `picture_bytes` for all asks; below 128 it keeps none.
    A product whose every picture fails is refused and left out. Raises FeedError if that leaves none.
    """
    total = sum(len(product.images) for product in feed.products)
    side_px = picture_side_px(total, picture_bytes)
    done = _Pictures()
    count = 0
    wanted = ((i, reference) for i, product in enumerate(feed.products) for reference in product.images)
    loaded = load_ahead(lambda place: _load(*place, feed.folder, fetcher), wanted, threads)
    for batch in in_batches(loaded, BATCH):
        _embed(batch, encoder, cache or EmbeddingCache(None), done, side_px)
        count += len(batch)
        if progress is not None:
            progress(count, total)
    report = _report(feed, done)
    if not done.owner:
        raise FeedError(f"the feed has no product with a usable picture: {first_reasons(report) or 'it holds none'}")
    return _gallery(feed, encoder, done), report


def picture_side_px(count: int, picture_bytes: int) -> int:
    """Return how long the sides of `count` pictures may be for all of them to fit, 0 where they had to be too small."""
    most = isqrt(picture_bytes // (3 * max(1, count)))
    return next((side for side in _SIDES_PX if side <= most), 0)


# ---- building ----------------------------------------------------------------------------------------------------


def load_ahead(load: Callable[[W], L], wanted: Iterable[W], threads: int) -> Iterator[L]:
    """Yield what `load` makes of each thing that is wanted, in order, made a few ahead by `threads` threads."""
    with ThreadPoolExecutor(threads, "picture") as pool:
        ahead: deque[Future[L]] = deque()
        try:
            for each in wanted:
                ahead.append(pool.submit(load, each))
                if len(ahead) > 2 * threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def embed_images(images: Mapping[Key, Image], encoder: ImageEncoder, cache: EmbeddingCache) -> dict[Key, Floats]:
    """Return the vectors of pictures, float32 (D,); the encoder sees only those that the cache has not."""
    known = {key: vector for key, vector in cache.get_many(images).items() if len(vector) == encoder.dim}
    lacking = [key for key in images if key not in known]
    if lacking:
        made = dict(zip(lacking, encoder.encode([images[key] for key in lacking]), strict=True))
        cache.put_many(made)
        known.update(made)
    return known


def embed_anew(gallery: Gallery, encoder: ImageEncoder, cache: EmbeddingCache) -> Gallery:
    """Return a gallery with the vectors of another encoder, made of the pictures that it keeps.

    Raises SettingsError where it keeps none: a shop with more pictures than memory for them.
    """
    if not gallery.pictures:
        raise SettingsError(
            f"the shop has {len(gallery.vectors)} pictures, too many to be kept in memory and embedded anew; "
            "expected fewer for this method, use --method two-stage"
        )
    vectors: list[Floats] = []
    for some in in_batches(iter(gallery.pictures), BATCH):
        names = [(pixels_name(picture), encoder.fingerprint) for picture in some]
        known = embed_images(dict(zip(names, some, strict=True)), encoder, cache)
        vectors += [known[name] for name in names]
    return replace(gallery, vectors=np.stack(vectors).astype(np.float32), fingerprint=encoder.fingerprint)


def judge_pictures(line: ItemReport, count: int, problems: Sequence[str], *, usable: bool) -> ItemReport:
    """Return the report line of an item whose pictures have been looked at.

    line: as the feed has it. count: how many pictures it names; problems: why some cannot be used; usable: one can.
    """
    if line.status == "refused" or not problems:
        return line
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    if not usable:
        return replace(line, status="refused", reason=f"no usable picture: {problems[0]}{more}")
    left_out = f"{len(problems)} of {count} pictures left out: {problems[0]}{more}"
    return replace(line, status="partial", reason="; ".join(filter(None, (line.reason, left_out))))


def _load(product: int, reference: str, folder: Path, fetcher: Fetcher | None) -> _Loaded:
    try:
        picture = load_picture(reference, folder, fetcher)
    except ShopcueError as error:
        return _Loaded(product, None, "", str(error))
    image = np.ascontiguousarray(trim_margins(picture.image))
    return _Loaded(product, image, pixels_name(image))


def pixels_name(image: Image) -> str:
    """Name the pixels that an encoder sees: no change of how they are prepared can bring back an old vector."""
    return f"{image.shape[1]}x{image.shape[0]}-{sha256(image.data).hexdigest()}"


def in_batches(things: Iterator[L], size: int) -> Iterator[list[L]]:
    """Yield things in lists of `size`, the last one shorter."""
    while batch := list(islice(things, size)):
        yield batch


def _embed(batch: list[_Loaded], encoder: ImageEncoder, cache: EmbeddingCache, done: _Pictures, side_px: int) -> None:
    """Add a batch to `done`; the encoder sees only pictures that neither the cache nor the batch has already."""
    images: dict[Key, Image] = {}
    for each in batch:
        if each.image is None:
            done.problems.setdefault(each.product, []).append(each.problem)
        else:
            images.setdefault((each.content, encoder.fingerprint), each.image)
    known = embed_images(images, encoder, cache)
    for each in batch:
        if each.image is not None:
            done.owner.append(each.product)
            done.vectors.append(known[each.content, encoder.fingerprint])
            if side_px:
                done.thumbnails.append(shrink(each.image, side_px))


def _gallery(feed: Feed, encoder: ImageEncoder, done: _Pictures) -> Gallery:
    used = sorted(set(done.owner))
    place = {product: i for i, product in enumerate(used)}
    return Gallery(
        catalog=Catalog(tuple(feed.products[product] for product in used)),
        vectors=np.stack(done.vectors).astype(np.float32, copy=False),
        owner=np.array([place[product] for product in done.owner], np.int64),
        fingerprint=encoder.fingerprint,
        pictures=tuple(done.thumbnails),
    )


def _report(feed: Feed, done: _Pictures) -> tuple[ItemReport, ...]:
    position = {product.product_id: i for i, product in enumerate(feed.products)}
    usable = set(done.owner)

    def line(item: ItemReport) -> ItemReport:
        place = position.get(item.product_id)
        if place is None:
            return item
        count = len(feed.products[place].images)
        return judge_pictures(item, count, done.problems.get(place, ()), usable=place in usable)

    return tuple(line(item) for item in feed.report)


# ---- searching ---------------------------------------------------------------------------------------------------


def similarities(gallery: Gallery, vectors: Floats) -> Floats:
    """Return the cosine similarity of N vectors with each product: with the picture of it that is most like the vector.

    vectors: float32 (N, D), unit rows -> float32 (N, P).
    """
    order, starts = _segments(gallery)
    pictures = gallery.vectors if order is None else gallery.vectors[order]
    out = np.empty((len(vectors), len(gallery.catalog)), np.float32)
    step = max(1, _CHUNK_FLOATS // max(1, len(pictures)))
    for start in range(0, len(vectors), step):
        some = slice(start, start + step)
        alike = pictures @ vectors[some].T
        out[some] = (alike if starts is None else greatest(alike, starts)).T
    return out


def greatest(alike: Floats, starts: Indices) -> Floats:
    """Return the greatest row of each segment, element by element. (M, N), starts of P segments -> (P, N)."""
    counts = np.diff(starts, append=len(alike))
    best = alike[starts]
    # The second pictures of all products at once, then the third: for many vectors faster than np.maximum.reduceat.
    for nth in range(1, int(counts.max(initial=1))):
        more = np.flatnonzero(counts > nth)
        best[more] = np.maximum(best[more], alike[starts[more] + nth])
    return best


def _segments(gallery: Gallery) -> tuple[Indices | None, Indices | None]:
    """Return the order that brings the pictures of a product together, and where each product starts; None if as is."""
    owner = gallery.owner
    order = None
    if len(owner) > 1 and bool((owner[1:] < owner[:-1]).any()):
        order = np.argsort(owner, kind="stable")
        owner = owner[order]
    if len(owner) == len(gallery.catalog):
        return order, None
    return order, np.searchsorted(owner, np.arange(len(gallery.catalog)))


def search(gallery: Gallery, queries: Floats, k: int) -> list[list[tuple[int, float]]]:
    """Return, for each of N queries, the k products most like it, best first: (index into the catalogue, similarity).

    queries: float32 (N, D), unit rows. Exact; equal similarities stand in the order of the catalogue.
    """
    found: list[list[tuple[int, float]]] = []
    step = max(1, _CHUNK_FLOATS // max(1, len(gallery.catalog)))
    for start in range(0, len(queries), step):
        for row in similarities(gallery, queries[start : start + step]):
            best = top(row, k)
            found.append([(int(i), float(row[i])) for i in best])
    return found


def top(row: Floats, k: int) -> Sequence[int]:
    """Return the places of the k greatest numbers, the greatest first; equal ones stand in order. row: (P,)."""
    k = min(k, len(row))
    if k <= 0:
        return []
    threshold = np.partition(row, len(row) - k)[len(row) - k]
    candidates = np.flatnonzero(row >= threshold)  # all that tie with the k-th, so that the order decides, not chance
    best: list[int] = candidates[np.argsort(-row[candidates], kind="stable")[:k]].tolist()
    return best
