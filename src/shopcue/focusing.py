"""Matches over time -> focuses: clean starts and ends, no flicker, one decoder for recordings and for live streams.

At every moment each product has log odds against 'none' (`Match.score`). `Decoder` finds the sequence of products and
'none' that explains a whole stretch best when every change costs something (Viterbi, Proc. IEEE 61, 1973), so that a
single odd frame does not break a focus and a single lucky one does not make one. It runs online: a decision is given
out as soon as every sequence that may still win agrees on it, which is exact, or when it is `max_delay_s` old, which
is fixed-lag decoding. `Focuser` folds the decisions and the evidence under them into `Focus` records.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterable

import numpy as np

from shopcue.errors import SettingsError
from shopcue.records import Alternative, Catalog, Evidence, Floats, Focus, Indices, Match

NONE = -1
"""The decision 'no product of the shop is shown'; products are numbered from 0 in the order of the catalogue."""

_REFERENCE_STEP_S = 0.5
_SURVIVOR_CHECK_STEPS = 8


class Decoder:
    """The best sequence of products and 'none' under a cost for each change, found online.

    switch_nats: what it costs to enter or to leave a product, in nats of log odds collected at two moments a second; to
    go from one product to another costs both. max_delay_s: after so long a decision is made even if it is still open:
    the lag of live decoding, and what bounds the memory of any.
    """

    def __init__(self, products: int, *, switch_nats: float = 18.0, max_delay_s: float = 120.0) -> None:
        if switch_nats < 0 or max_delay_s < 0:
            raise SettingsError(
                f"switch_nats is {switch_nats} and max_delay_s is {max_delay_s}, expected numbers from 0 upwards"
            )
        self._switch = switch_nats
        self._max_delay_s = max_delay_s
        # State 0 is 'none', state p + 1 is product p. A stream opens on 'none' or, at the price of entering, on any.
        self._value = np.full(products + 1, -switch_nats, np.float64)
        self._value[0] = 0.0
        self._times: deque[float] = deque()
        self._origins: deque[Indices] = deque()  # origins[k][s]: the state at moment k - 1 on the best way to s at k
        self._last_s: float | None = None
        self._steps = 0

    def update(self, time_s: float, score: Floats) -> list[tuple[float, int]]:
        """Take the log odds of one moment, float32 (P,), and return what is now decided: (time_s, product or NONE)."""
        step_s = _REFERENCE_STEP_S if self._last_s is None else min(max(time_s - self._last_s, 0.0), 1.0)
        self._last_s = time_s
        self._times.append(time_s)
        self._origins.append(self._advance())
        self._value[1:] += score * (step_s / _REFERENCE_STEP_S)
        self._value -= self._value.max()  # only differences matter; sums over hours would lose digits
        self._steps += 1
        decided: list[tuple[float, int]] = []
        if self._steps % _SURVIVOR_CHECK_STEPS == 0:
            decided += self._agreed()
        while self._times and time_s - self._times[0] > self._max_delay_s:
            decided += self._force_first()
        return decided

    def finish(self) -> list[tuple[float, int]]:
        """Return the decisions of all moments that are still open, by the best sequence to the last one."""
        return self._take(self._best_way())

    def expect(self, product: int, sureness: float) -> None:
        """Begin a sequence that goes on with a product: sureness 1, as if it were on screen; 0, as if nothing were."""
        self._value[product + 1] = self._value[0] + self._switch * (2 * sureness - 1)

    def fork(self) -> Decoder:
        """Return a decoder that stands where this one does and goes its own way."""
        other = copy.copy(self)
        # The arrays of `_origins` are never changed once they are made.
        other._value, other._times, other._origins = self._value.copy(), self._times.copy(), self._origins.copy()
        return other

    def change(self, kept: Indices) -> list[tuple[float, int]]:
        """Go on with other products and return the decisions of all open moments, by the numbers they had.

        kept: int64 (P,), the number that each product had until now, -1 for a new one. What is known for and against
        those that stay is kept; a new one stands as if it were entered now.
        """
        decided = self.finish()
        none = self._value[0]
        known = np.where(kept >= 0, self._value[1:][kept] if len(self._value) > 1 else none, none - self._switch)
        self._value = np.concatenate([[none], known])
        self._value -= self._value.max()
        return decided

    def _advance(self) -> Indices:
        """Move every state one moment on by its best way in, and return where each came from."""
        value, cost = self._value, self._switch
        origin = np.arange(len(value), dtype=np.int64)
        best = int(np.argmax(value[1:])) + 1 if len(value) > 1 else 0
        leave, direct, enter = value[best] - cost, value[best] - 2 * cost, value[0] - cost
        entry, source = (enter, 0) if enter >= direct else (direct, best)
        arrived = np.maximum(value, entry)
        origin[entry > value] = source
        arrived[0], origin[0] = (leave, best) if best and leave > value[0] else (value[0], 0)
        self._value = arrived
        return origin

    def _best_way(self) -> Indices:
        """Follow the best way back from the last moment: int64, the state at each open moment."""
        state, way = int(np.argmax(self._value)), []
        for origin in reversed(self._origins):
            way.append(state)
            state = int(origin[state])
        return np.array(way[::-1], np.int64)

    def _survivors(self) -> list[Indices]:
        """Follow every way back at once: element k holds, for each state that may still win, its state at moment k."""
        # After a forced decision some states cannot be reached (-inf): they cannot win, so they have no say.
        states = np.flatnonzero(np.isfinite(self._value))
        columns = []
        for origin in reversed(self._origins):
            columns.append(states)
            states = origin[states]
        return columns[::-1]

    def _agreed(self) -> list[tuple[float, int]]:
        """Decide the moments on which all survivors agree: whatever comes later, no answer could differ there."""
        agreed = []
        for states in self._survivors():
            if np.any(states != states[0]):
                break
            agreed.append(int(states[0]))
        return self._take(np.array(agreed, np.int64))

    def _force_first(self) -> list[tuple[float, int]]:
        """Decide the oldest moment by the best sequence as of now, and drop every sequence that disagrees."""
        alive = np.flatnonzero(np.isfinite(self._value))
        first = self._survivors()[0]
        chosen = first[int(np.argmax(self._value[alive]))]
        self._value[alive[first != chosen]] = -np.inf
        return self._take(np.array([chosen], np.int64))

    def _take(self, states: Indices) -> list[tuple[float, int]]:
        """Label the oldest moments with `states` and forget them."""
        labels = self._label(states)
        for _ in labels:
            self._times.popleft()
            self._origins.popleft()
        return labels

    def _label(self, states: Indices) -> list[tuple[float, int]]:
        return [(time_s, int(state) - 1) for time_s, state in zip(self._times, states, strict=False)]


class Focuser:
    """Matches in, focuses out: decides by a `Decoder` and sums up the evidence of each focus.

    catalog: gives ids and titles. alternatives: how many other products a focus names at most. The other arguments are
    those of `Decoder`.
    """

    def __init__(
        self, catalog: Catalog, *, switch_nats: float = 18.0, max_delay_s: float = 120.0, alternatives: int = 4
    ) -> None:
        self._catalog = catalog
        self._alternatives = alternatives
        self._decoder = Decoder(len(catalog), switch_nats=switch_nats, max_delay_s=max_delay_s)
        self._undecided: deque[Match] = deque()
        self._open: _OpenFocus | None = None

    def update(self, match: Match) -> list[Focus]:
        """Take the next moment and return the focuses that have ended for good."""
        self._undecided.append(match)
        return self._fold(self._decoder.update(match.time_s, match.score))

    def finish(self, end_s: float) -> list[Focus]:
        """End the stream at end_s and return the focuses that were still open."""
        closed = self._fold(self._decoder.finish())
        if self._open is not None:
            closed.append(self._open.close(max(end_s, self._open.last_s), self._catalog, self._alternatives))
            self._open = None
        return closed

    def expect(self, product_id: str, sureness: float) -> None:
        """Begin with a product on screen, as after an interruption: see `Decoder`; one that is unknown is left out."""
        if (product := self._catalog.position.get(product_id)) is not None:
            self._decoder.expect(product, sureness)

    def outlook(self, ahead: Iterable[Match], now_s: float) -> list[Focus]:
        """Return the focuses that are not yet given out, as they would be if the stream ended at now_s.

        ahead: the moments after the last one that was taken. Later moments may change every one of these focuses; the
        last one ends at now_s if its product is still shown.
        """
        other = copy.copy(self)
        other._decoder, other._undecided = self._decoder.fork(), self._undecided.copy()
        other._open = self._open and self._open.fork()
        found = [focus for match in ahead for focus in other.update(match)]
        return found + other.finish(now_s)

    def change(self, catalog: Catalog) -> list[Focus]:
        """Go on with another catalogue and return the focuses that end by it: those of products that have gone."""
        closed = self._fold(self._decoder.change(_places(self._catalog, catalog)))
        if self._open is not None:
            product = catalog.position.get(self._catalog.products[self._open.product].product_id)
            if product is None:
                closed.append(self._open.close(self._open.last_s, self._catalog, self._alternatives))
                self._open = None
            else:
                self._open.change(product, _places(self._catalog, catalog))
        self._catalog = catalog
        return closed

    def _fold(self, decisions: list[tuple[float, int]]) -> list[Focus]:
        closed = []
        for time_s, product in decisions:
            match = self._undecided.popleft()
            if self._open is not None and self._open.product != product:
                closed.append(self._open.close(time_s, self._catalog, self._alternatives))
                self._open = None
            if product != NONE:
                self._open = self._open or _OpenFocus(product, match)
                self._open.update(match)
        return closed


class _OpenFocus:
    """The sums that a focus needs, so that no moment has to be kept however long it lasts."""

    def __init__(self, product: int, first: Match) -> None:
        self.product = product
        self.last_s = self._start_s = self._best_s = first.time_s
        self._best_visual = -np.inf
        self._box = first.box[product]
        self._moments = 0
        self._parts = np.zeros(3, np.float64)
        self._probability = np.zeros(len(first.score), np.float64)

    def update(self, match: Match) -> None:
        p = self.product
        self._moments += 1
        self.last_s = match.time_s
        self._parts += (match.visual[p], match.text[p], match.comments[p])
        self._probability += probabilities(match.score)
        if match.visual[p] > self._best_visual:
            self._best_visual, self._best_s, self._box = float(match.visual[p]), match.time_s, match.box[p]

    def fork(self) -> _OpenFocus:
        """Return an equal one that goes its own way."""
        other = copy.copy(self)
        other._parts, other._probability = self._parts.copy(), self._probability.copy()
        return other

    def change(self, product: int, kept: Indices) -> None:
        """Go on with other products. product: its new number. kept: as in `Decoder.change`."""
        self.product = product
        self._probability = np.where(kept >= 0, self._probability[kept], 0.0)

    def close(self, end_s: float, catalog: Catalog, alternatives: int) -> Focus:
        mean = np.clip(self._probability / self._moments, 0.0, 1.0)
        visual, text, comments = (self._parts / self._moments).tolist()
        x0, y0, x1, y1 = self._box.tolist()
        rivals = [int(q) for q in np.argsort(-mean, kind="stable")[: alternatives + 1] if q != self.product]
        product = catalog.products[self.product]
        return Focus(
            product_id=product.product_id,
            title=product.title,
            start_s=self._start_s,
            end_s=end_s,
            score=float(mean[self.product]),
            evidence=Evidence(visual, text, comments, frame_s=self._best_s, box=(x0, y0, x1, y1)),
            alternatives=tuple(
                Alternative(catalog.products[q].product_id, float(mean[q])) for q in rivals[:alternatives]
            ),
        )


def _places(before: Catalog, after: Catalog) -> Indices:
    """Return where each product of `after` stands in `before`: int64 (P,), -1 for a new one."""
    return np.array([before.position.get(product.product_id, -1) for product in after], np.int64)


def probabilities(score: Floats) -> Floats:
    """Return the probability of each product, where 'none' has log odds 0. score: float32 (P,) -> float32 (P,)."""
    top = max(float(score.max(initial=0.0)), 0.0)
    odds = np.exp(score.astype(np.float64) - top)
    return np.asarray(odds / (odds.sum() + np.exp(-top)), np.float32)
