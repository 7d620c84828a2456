"""What happens when: which package is in the hand from when to when, what the host says and what viewers write."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shopcue.errors import SettingsError
from shopcue.records import Comment, Utterance
from shopcue.sources.synthetic.designs import Design

SHORTEST_S = 4.0
_WORD_S = 0.36


@dataclass(frozen=True, slots=True)
class Showing:
    """A package is in the hand and at least partly on screen in [start_s, end_s); only sold ones are focuses."""

    design: Design
    start_s: float
    end_s: float
    sold: bool


def plan(sold: Sequence[Design], unsold: Sequence[Design], duration_s: float, seed: int) -> tuple[Showing, ...]:
    """Return the showings of a stream in order, with empty gaps between them and at both ends.

    Every product comes once before any comes twice; about every third gap shows something that is not for sale.
    Raises SettingsError.
    """
    if not SHORTEST_S <= duration_s <= 24 * 3600:
        raise SettingsError(f"a stream of {duration_s} s was asked for, expected {SHORTEST_S:g} s to 24 h")
    rng = np.random.default_rng((seed, 1))
    showings: list[Showing] = []
    queue: list[Design] = []
    now_s = min(rng.uniform(1.6, 2.6), 0.12 * duration_s)
    while duration_s - now_s > 3.0:
        is_sold = not showings or not unsold or not showings[-1].sold or rng.random() > 0.34
        if not queue:
            queue = [sold[i] for i in rng.permutation(len(sold))]
        design = queue.pop() if is_sold else unsold[int(rng.integers(len(unsold)))]
        length_s = rng.uniform(5.5, 11) if is_sold else rng.uniform(2.6, 4.5)
        end_s = min(now_s + length_s, duration_s - 0.5)
        showings.append(Showing(design, round(now_s, 3), round(end_s, 3), is_sold))
        now_s = end_s + rng.uniform(1.4, 3.6)
    return tuple(showings)


_INTROS = (
    "Next up is {name}.", "Have a look at this, {name}.", "And here we have {name}, one of my favourites.",
    "Many of you asked for it: {name}.", "This is {name}.",
)  # fmt: skip
_VAGUE = ("I use this one every single day.", "Look how nice this is.", "This one sells out every time.")
_PRICES = ("It is {price} today, only while we are live.", "You get it for {price}.", "That makes {price}.")
_PAIRS = ("By the way, it goes well with {other}.", "If you liked {other}, you will like this too.")
_STRANGE = ("No, this is not in the shop, that is just my own.", "Oh, this one is not for sale, sorry.")
_FILLERS = (
    "Let me see what is next.", "Thank you all for watching.", "Do write your questions in the chat.",
    "One moment, I am reading your comments.", "Welcome to everyone who just joined.",
)  # fmt: skip


class _Script:
    """Collects sentences, each after the one before it, at the pace of a talking host."""

    def __init__(self, duration_s: float) -> None:
        self.utterances: list[Utterance] = []
        self._duration_s = duration_s

    def say(self, text: str, at_s: float, before_s: float) -> None:
        """Add a sentence at `at_s` or as soon as the host is free, if it can begin before `before_s`."""
        start_s = max(at_s, self.utterances[-1].end_s + 0.15 if self.utterances else 0.0)
        end_s = min(start_s + 0.4 + _WORD_S * len(text.split()), self._duration_s)
        if start_s < before_s and end_s - start_s > 0.5:
            self.utterances.append(Utterance(round(start_s, 3), math.floor(end_s * 1000) / 1000, text))


def spoken(showings: Sequence[Showing], duration_s: float, seed: int) -> tuple[Utterance, ...]:
    """Return what the host says: most introductions name the product, some name another, talk runs over at times."""
    rng = np.random.default_rng((seed, 2))
    script = _Script(duration_s)
    sold = [showing.design for showing in showings if showing.sold]
    script.say("Hello and welcome to the show.", 0.2, 1.0)
    for showing, until_s in zip(showings, [*(s.start_s for s in showings[1:]), duration_s], strict=True):
        design, start_s = showing.design, showing.start_s
        for i, line in enumerate(_lines(showing, sold, rng)):
            text = line.format(name=f"{design.brand} {design.name}", price=_said(design.price))
            script.say(text, start_s + 0.5 + 0.1 * i, showing.end_s)
        script.say(_pick(_FILLERS, rng), showing.end_s + 0.3, until_s)
    return tuple(script.utterances)


def _lines(showing: Showing, sold: Sequence[Design], rng: np.random.Generator) -> list[str]:
    if not showing.sold:
        return [_pick(_STRANGE, rng)]
    others = [f"{d.brand} {d.name}" for d in sold if d != showing.design]
    lines = [_pick(_INTROS, rng) if rng.random() < 0.85 else _pick(_VAGUE, rng), showing.design.description]
    if others and rng.random() < 0.25:
        lines.append(_pick(_PAIRS, rng).replace("{other}", _pick(others, rng)))
    return [*lines, _pick(_PRICES, rng)]


def _pick(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]


def _said(price: str) -> str:
    amount, _, _ = price.partition(" ")
    euros, _, cents = amount.partition(".")
    return f"{int(euros)} euros {int(cents)}" if int(euros) else f"{int(cents)} cents"


_CHATTER = (
    "hello from Porto 👋", "first time here", "love this ❤️", "the light is so nice today", "😂😂", "👍",
    "does it come in other sizes?", "how long is shipping?", "can you hold it closer please", "hi from Turku!",
    "is that vegan?", "what was the one before?", "add to cart!!", "同じのを買いました 😊", "how much is it?",
    "sound is a bit low",
)  # fmt: skip
_USERS = ("mira_k", "tobi88", "ann.li", "Jules", "nora", "paz_ok", "kenji", "Olu", "viewer417", "サキ")
_HOSTILE = "<script>alert('hi')</script>"


def written(showings: Sequence[Showing], duration_s: float, seed: int) -> tuple[Comment, ...]:
    """Return what viewers write, in order of time: chatter, questions that name products, and one attack."""
    rng = np.random.default_rng((seed, 3))
    count = max(4, round(duration_s / 4))
    comments = [
        Comment(round(float(time_s), 2), _pick(_USERS, rng), _pick(_CHATTER, rng))
        for time_s in rng.uniform(0.5, duration_s, count)
    ]
    for showing in showings:
        late_s = showing.start_s + rng.uniform(1.5, 5)
        if showing.sold and late_s < duration_s and rng.random() < 0.6:
            text = f"how much is the {showing.design.name.lower()}?"
            comments.append(Comment(round(float(late_s), 2), _pick(_USERS, rng), text))
    comments.append(Comment(round(0.4 * duration_s, 2), "viewer64", _HOSTILE))
    return tuple(sorted(comments, key=lambda comment: comment.time_s))
