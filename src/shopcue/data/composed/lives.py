"""Who sells what: articles are split by product, similar ones share a live, and clips are dealt to lives.

Rules on articles and numbers alone; the same seed gives the same lives.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from shopcue.data.composed.articles import PRODUCE, Article
from shopcue.data.composed.motion import Rng
from shopcue.data.composed.words import LANGUAGES, Language, Title, garment_title, goods_title
from shopcue.data.sampling import split_by_product
from shopcue.errors import SettingsError

Split = Literal["train", "test"]

_FAMILY = 8  # similar articles that are sold by the same live
_DURATION_S = (2.0, 45.0)
_TYPICAL_S, _SPREAD = 9.0, 0.75


@dataclass(frozen=True, slots=True)
class ClipPlan:
    """A clip that is to be composed: the article that is meant, by its place in the live; its seed; its seconds."""

    article: int
    seed: tuple[int, ...]
    start_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class Live:
    """A stream: what it sells, with the titles and the family of each article, and its clips, in order of time."""

    live_id: str
    split: Split
    language: Language
    articles: tuple[Article, ...]
    families: tuple[int, ...]
    titles: tuple[Title, ...]
    clips: tuple[ClipPlan, ...]


@dataclass(frozen=True, slots=True)
class ClipSetPlan:
    """How large a set is, and of what.

    train_clips, test_clips: how many. gallery: how many products a live sells, about. held_out: the share of the
    products of each kind that only test clips show; hold_out: keys of articles that are among them, whatever the seed.
    goods: the share of the clips that show groceries.
    """

    train_clips: int = 3000
    test_clips: int = 600
    gallery: int = 55
    held_out: float = 0.2
    goods: float = 0.15
    seed: int = 0
    hold_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.train_clips < 0 or self.test_clips < 0 or self.train_clips + self.test_clips < 1:
            raise SettingsError(f"{self.train_clips} and {self.test_clips} clips were asked for; expected one or more")
        if self.gallery < 2 or not 0 < self.held_out < 1 or not 0 <= self.goods <= 1:
            raise SettingsError(
                f"gallery {self.gallery}, held_out {self.held_out}, goods {self.goods} were given; expected 2 products "
                "or more a gallery, and shares between 0 and 1"
            )


def plan_lives(articles: Sequence[Article], plan: ClipSetPlan) -> list[Live]:
    """Return the lives of both splits; no article is in two. Raises SettingsError where there are too few articles."""
    kept, held_out = split_articles(articles, plan.held_out, plan.seed, plan.hold_out)
    lives: list[Live] = []
    for split, sold, clips in (("train", kept, plan.train_clips), ("test", held_out, plan.test_clips)):
        if clips and len(sold) < 2:
            raise SettingsError(f"{len(sold)} articles can be cut out for {split}ing; expected two or more: give more")
        if clips:
            lives += _lives_of("train" if split == "train" else "test", sold, clips, plan)
    return lives


def split_articles(
    articles: Sequence[Article], share: float, seed: int, hold_out: Collection[str] = ()
) -> tuple[list[Article], list[Article]]:
    """Return (kept, held out) articles, `share` of each kind held out: at least one of a kind that has several.

    hold_out: keys of articles that are held out whatever the seed. Raises SettingsError where there is none of a key.
    """
    unknown = sorted(set(hold_out) - {article.key for article in articles})
    if unknown:
        raise SettingsError(f"{unknown[0]} is to be held out, expected the key of one of the articles")
    chosen = set(hold_out)
    for kind in sorted({article.kind for article in articles}):
        names = [article.key for article in articles if article.kind == kind]
        free = [name for name in names if name not in chosen]
        count = max(1, round(share * len(names))) if len(names) > 1 else 0
        chosen |= set(split_by_product(free, max(0, count - len(names) + len(free)), seed)[1])
    kept = [article for article in articles if article.key not in chosen]
    return kept, [article for article in articles if article.key in chosen]


def families_of(articles: Iterable[Article]) -> list[list[Article]]:
    """Return the articles in groups of at most eight that look alike: one kind and colour, or one brand of cartons."""
    alike: dict[tuple[str, str], list[Article]] = {}
    for article in articles:
        look = article.colours[0][0] if article.is_garment else ""
        alike.setdefault((article.kind, look), []).append(article)
    families = []
    for _, members in sorted(alike.items()):
        ordered = sorted(members, key=lambda article: (article.name, article.colours[1:], article.key))
        families += [ordered[first : first + _FAMILY] for first in range(0, len(ordered), _FAMILY)]
    return families


def _lives_of(split: Split, articles: Sequence[Article], clips: int, plan: ClipSetPlan) -> Iterator[Live]:
    rng = np.random.default_rng((plan.seed, 31, int(split == "test")))
    families = families_of(articles)
    count = max(1, round(len(articles) / plan.gallery))
    members: list[list[tuple[int, Article]]] = [[] for _ in range(count)]
    for number in rng.permutation(len(families)).tolist():
        smallest = min(members, key=len)
        smallest += [(number, article) for article in families[number]]
    chosen = _clips_of(articles, clips, plan.goods, rng)
    for number, sold in enumerate(live for live in members if live):
        live_rng = np.random.default_rng((plan.seed, 37, int(split == "test"), number))
        language = LANGUAGES[int(live_rng.integers(len(LANGUAGES)))]
        sold = [sold[index] for index in live_rng.permutation(len(sold))]
        live_id = bytes(live_rng.integers(0, 256, 6, np.uint8)).hex()
        titles = tuple(_titles([article for _, article in sold], language))
        wanted = [place for place, (_, article) in enumerate(sold) for _ in range(chosen.get(article.key, 0))]
        seed = (plan.seed, int(split == "test"), number)
        plans = tuple(_on_air(wanted, seed, live_rng))
        yield Live(
            live_id,
            split,
            language,
            tuple(article for _, article in sold),
            tuple(family for family, _ in sold),
            titles,
            plans,
        )


def _clips_of(articles: Sequence[Article], clips: int, goods: float, rng: Rng) -> Mapping[str, int]:
    """Return how many clips each article gets: every one alike, but groceries a share of their own."""
    groceries = [article for article in articles if not article.is_garment]
    garments = [article for article in articles if article.is_garment]
    of_goods = clips if not garments else round(goods * clips) if groceries else 0
    counts: dict[str, int] = {}
    for group, wanted in ((groceries, of_goods), (garments, clips - of_goods)):
        # Cartons are articles with photos of their own; produce is a variety, and counts for less.
        weights = [1 if article.kind == PRODUCE else 3 for article in group]
        rounds = [article.key for article, weight in zip(group, weights, strict=True) for _ in range(weight)]
        order: list[int] = []
        while len(order) < wanted:
            order += rng.permutation(len(rounds)).tolist()
        for index in order[:wanted]:
            counts[rounds[index]] = counts.get(rounds[index], 0) + 1
    return counts


def _titles(articles: Sequence[Article], language: Language) -> Iterator[Title]:
    taken: set[str] = set()
    for article in articles:
        if article.is_garment:
            title = garment_title(article.key, article.kind, article.colours, language, taken)
        else:
            title = goods_title(article.name, article.coarse_name, language)
        taken.add(title.text)
        yield title


def _on_air(wanted: Sequence[int], seed: tuple[int, ...], rng: Rng) -> Iterator[ClipPlan]:
    """Yield the clips of a live, one after the other with pauses, in an order that says nothing of the products."""
    now_s = float(rng.uniform(5, 120))
    for number, place in enumerate(rng.permutation(len(wanted)).tolist()):
        typical = _TYPICAL_S * float(np.exp(rng.normal(0, _SPREAD)))
        duration_s = round(min(max(typical, _DURATION_S[0]), _DURATION_S[1]), 1)
        yield ClipPlan(wanted[place], (*seed, number), round(now_s, 1), duration_s)
        now_s += duration_s + 1.0 + float(rng.exponential(20))
