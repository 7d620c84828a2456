"""What is said and written, as evidence over time for each product.

Speech: an utterance counts where it clearly names a product, from shortly before it starts to some seconds after it
ends. A later utterance that names another product takes over. A product that is named in passing ("if you liked the
X, you will like this too") counts for little, and no phrase has to be known for that: such a name comes in the midst
of talk about another product and is not taken up again, while a new topic is named first after a pause or repeatedly.

Comments: weak, since viewers write late and about anything. They count backwards in time; many users who name the
same product count more, one user who writes much counts once.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shopcue.records import Comment, Floats, Indices, Utterance

LONGEST_S = 30.0  # what is left of a longer utterance says nothing about when its words fell
MOST_PRODUCTS = 4  # twins that may share what was said; more of them mean a category, not a product
MOST_KEPT = 16_384  # utterances, and comments, that name a product and are remembered


class Scorer(Protocol):
    """Says of each product how surely a text names it."""

    def score(self, texts: Sequence[str]) -> Floats:
        """Return scores in [0, 1]. N texts -> float32 (N, P)."""


def named(score: Floats, *, floor: float, sure: float, margin: float) -> tuple[Indices, Floats]:
    """Return the products that a text clearly names, and how surely: int64 (K,), float32 (K,), summing to at most 1.

    score: float32 (P,), how surely it names each. Below `floor` it names none, from `sure` on it names fully. Products
    within `margin` of the best share, the nearer the more; where more than four do, none is named.
    """
    best = float(score.max(initial=0))
    if best <= floor:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    lead = score - (best - margin)
    products = np.flatnonzero(lead > 0)
    if len(products) > MOST_PRODUCTS:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    share = lead[products] / lead[products].sum()
    strength = min(1.0, (best - floor) / (sure - floor))
    return products.astype(np.int64), (strength * share).astype(np.float32)


@dataclass(frozen=True, slots=True, order=True)
class Mention:
    """An utterance or comment that names products, in order of time. products: int64 (K,). weights: float32 (K,)."""

    start_s: float
    end_s: float
    user: str
    text: str
    products: Indices = field(compare=False)
    weights: Floats = field(compare=False)


class Mentions:
    """Turns utterances and comments, as they come, into evidence for each product at any moment.

    They may come late and in any order: the evidence at a moment depends on what has come, not on its order. Moments
    may be asked in any order too, within `horizon_s`; what is older than the latest of them by more is forgotten.
    scorer: how surely a text names each product. floor, sure, margin: see `named`. lead_s, tail_s: how long an
    utterance counts before its start and after its end, less and less. context_s: utterances with at most this much
    time between them are one stretch of talk. back_s: how long before it was written a comment counts.
    comment_floor: the floor of comments, which mention categories more than products. crowd: how many users make half
    of the full evidence.
    """

    def __init__(
        self,
        scorer: Scorer,
        *,
        floor: float = 0.3,
        sure: float = 0.6,
        margin: float = 0.15,
        lead_s: float = 1.5,
        tail_s: float = 8.0,
        context_s: float = 8.0,
        comment_floor: float = 0.4,
        back_s: float = 10.0,
        crowd: float = 2.0,
        horizon_s: float = 1800.0,
    ) -> None:
        self._scorer = scorer
        self._count = scorer.score([]).shape[1]
        self._naming = {"sure": sure, "margin": margin}
        self._floor, self._comment_floor = floor, comment_floor
        self._lead_s, self._tail_s, self._context_s = lead_s, tail_s, context_s
        self._back_s, self._crowd, self._horizon_s = back_s, crowd, horizon_s
        self._latest_s = -np.inf
        self._said: list[Mention] = []
        self._written: list[Mention] = []

    def update(self, words: Utterance | Comment) -> None:
        """Take what was said or written; the same words at the same time count once."""
        score = self._scorer.score([words.text])[0]
        if isinstance(words, Comment):
            products, weights = named(score, floor=self._comment_floor, **self._naming)
            mention = Mention(words.time_s, words.time_s, words.user, words.text, products, weights)
            self._keep(self._written, mention)
        else:
            products, weights = named(score, floor=self._floor, **self._naming)
            end_s = min(words.end_s, words.start_s + LONGEST_S)
            self._keep(self._said, Mention(words.start_s, end_s, "", words.text, products, weights))

    def utterances_at(self, time_s: float) -> Floats:
        """Return the evidence of speech at a moment, in [0, 1]. Float32 (P,)."""
        self._forget(time_s)
        # What counts now, and what lies in one stretch of talk with it.
        before_s = self._tail_s + LONGEST_S + self._context_s + LONGEST_S
        mentions = _between(self._said, time_s - before_s, time_s + self._lead_s + LONGEST_S + self._context_s)
        evidence = np.zeros(self._count, np.float32)
        if mentions:
            products, weights = _table(mentions)
            start_s = np.array([mention.start_s for mention in mentions])
            end_s = np.array([mention.end_s for mention in mentions])
            alike = _alike(weights)
            standing = _standing(weights.sum(axis=1), alike, start_s, end_s, self._context_s)
            left = _not_taken_over(time_s, weights.sum(axis=1) * standing, alike, start_s)
            present = self._presence(time_s, start_s, end_s)
            evidence[products] = 1 - np.prod(1 - weights * (standing * left * present)[:, None], axis=0)
        return evidence

    def comments_at(self, time_s: float) -> Floats:
        """Return the evidence of comments at a moment, in [0, 1). Float32 (P,)."""
        self._forget(time_s)
        mentions = _between(self._written, time_s, time_s + self._back_s)
        evidence = np.zeros(self._count, np.float32)
        votes: dict[str, dict[int, float]] = {}
        for mention in mentions:
            ballot = votes.setdefault(mention.user, {})
            for product, weight in zip(mention.products.tolist(), mention.weights.tolist(), strict=True):
                ballot[product] = max(weight, ballot.get(product, 0.0))
        for ballot in votes.values():
            split = max(1.0, sum(ballot.values()))
            for product, weight in ballot.items():
                evidence[product] += weight / split
        return (evidence / (evidence + self._crowd)).astype(np.float32)

    def naming(self, product: int, start_s: float, end_s: float, most: int = 5) -> tuple[Utterance, ...]:
        """Return what was said from start_s to end_s that names a product, by its index: the surest, in order of time.

        At most `most` utterances, which may start lead_s earlier.
        """
        around = _between(self._said, start_s - self._lead_s, end_s)
        sure = [(float(m.weights[m.products == product].sum()), m) for m in around]
        best = sorted((pair for pair in sure if pair[0] > 0), key=lambda pair: -pair[0])[:most]
        return tuple(Utterance(m.start_s, m.end_s, m.text) for m in sorted(mention for _, mention in best))

    def _presence(self, time_s: float, start_s: NDArray[np.float64], end_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how much each utterance counts at a moment: fully while it lasts, less before and after. (n,)."""
        early, late = np.maximum(start_s - time_s, 0), np.maximum(time_s - end_s, 0)
        return np.clip(1 - early / self._lead_s, 0, 1) * np.clip(1 - late / self._tail_s, 0, 1)

    def _keep(self, mentions: list[Mention], mention: Mention) -> None:
        if not len(mention.products) or mention.end_s < self._latest_s - self._horizon_s:
            return
        place = bisect_left(mentions, mention)
        if place < len(mentions) and mentions[place] == mention:
            return
        mentions.insert(place, mention)
        del mentions[: max(0, len(mentions) - MOST_KEPT)]

    def _forget(self, time_s: float) -> None:
        self._latest_s = max(self._latest_s, time_s)
        for mentions in (self._said, self._written):
            del mentions[: bisect_left(mentions, self._latest_s - self._horizon_s, key=_start)]


def _start(mention: Mention) -> float:
    return mention.start_s


def _between(mentions: list[Mention], first_s: float, last_s: float) -> list[Mention]:
    """Return the mentions that start from first_s to last_s, of a list in order of time."""
    return mentions[bisect_left(mentions, first_s, key=_start) : bisect_right(mentions, last_s, key=_start)]


def _table(mentions: Sequence[Mention]) -> tuple[Indices, NDArray[np.float64]]:
    """Return the products that n mentions name, and how surely each names each: int64 (K,), (n, K)."""
    products, columns = np.unique(np.concatenate([m.products for m in mentions]), return_inverse=True)
    weights = np.zeros((len(mentions), len(products)))
    rows = np.repeat(np.arange(len(mentions)), [len(m.products) for m in mentions])
    weights[rows, columns] = np.concatenate([m.weights for m in mentions])
    return products, weights


def _alike(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return in how far each two mentions name the same: the cosine of what they name. (n, K) -> (n, n)."""
    unit = weights / np.linalg.norm(weights, axis=1, keepdims=True)
    alike: NDArray[np.float64] = np.clip(unit @ unit.T, 0, 1)
    return alike


def _standing(
    strength: NDArray[np.float64],
    alike: NDArray[np.float64],
    start_s: NDArray[np.float64],
    end_s: NDArray[np.float64],
    context_s: float,
) -> NDArray[np.float64]:
    """Return how much of each mention is a topic, and not said in passing: in [0, 1], (n,).

    Its support is its own strength and that of those near it that name the same. Where others were named shortly
    before, it stands against all near it that name others.
    """
    gap_s = start_s[None, :] - end_s[:, None]
    near = (np.maximum(gap_s, gap_s.T) <= context_s) & ~np.eye(len(start_s), dtype=bool)
    before = near & (start_s[None, :] < start_s[:, None])
    support = strength + (near * alike) @ strength
    rivals = (near * (1 - alike)) @ strength
    challenged = np.minimum(1, (before * (1 - alike)) @ strength)
    standing: NDArray[np.float64] = support / (support + challenged * rivals)
    return standing


def _not_taken_over(
    time_s: float, strength: NDArray[np.float64], alike: NDArray[np.float64], start_s: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how much of each mention is left at a moment after later ones that name others: in [0, 1], (n,)."""
    later = (start_s[None, :] > start_s[:, None]) & (start_s[None, :] <= time_s)
    left: NDArray[np.float64] = np.prod(1 - later * (1 - alike) * np.minimum(strength, 1)[None, :], axis=1)
    return left
