"""SGMN's layers and equations in plain Python, one number at a time: what the tensors are compared with.

Rows are lists of lists; only weights are read off the modules.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

Row = list[float]
Rows = list[Row]


def dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def add(a: Rows, b: Rows) -> Rows:
    return [[x + y for x, y in zip(one, other, strict=True)] for one, other in zip(a, b, strict=True)]


def scaled(rows: Rows, factor: float) -> Rows:
    return [[factor * x for x in row] for row in rows]


def unit(row: Row) -> Row:
    length = math.sqrt(dot(row, row))
    return [x / length for x in row] if length else row


def mean(rows: Rows) -> Row:
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def cosine(a: Row, b: Row) -> float:
    return dot(unit(a), unit(b))


def softmax(logits: Row) -> Row:
    top = max(logits)
    powers = [math.exp(x - top) for x in logits]
    return [x / sum(powers) for x in powers]


def linear(layer: Any, rows: Rows) -> Rows:
    weight = layer.weight.tolist()
    bias = [0.0] * len(weight) if layer.bias is None else layer.bias.tolist()
    return [[dot(out, row) + b for out, b in zip(weight, bias, strict=True)] for row in rows]


def layer_norm(layer: Any, rows: Rows) -> Rows:
    normed = []
    for row in rows:
        middle = sum(row) / len(row)
        spread = math.sqrt(sum((x - middle) ** 2 for x in row) / len(row) + layer.eps)
        normed.append(
            [
                (x - middle) / spread * w + b
                for x, w, b in zip(row, layer.weight.tolist(), layer.bias.tolist(), strict=True)
            ]
        )
    return normed


def relu(rows: Rows) -> Rows:
    return [[max(0.0, x) for x in row] for row in rows]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def feed_forward(layer: Any, rows: Rows) -> Rows:
    inside = [[0.5 * x * (1 + math.erf(x / math.sqrt(2))) for x in row] for row in linear(layer.widen, rows)]
    return linear(layer.narrow, inside)


def attention(
    layer: Any,
    queries: Rows,
    keys: Rows,
    connected: list[list[bool]] | None = None,
    relevance: Rows | None = None,
) -> Rows:
    q, k, v = linear(layer.query, queries), linear(layer.key, keys), linear(layer.value, keys)
    size = len(q[0]) // layer.heads
    gathered = []
    for a in range(len(q)):
        row: Row = []
        open_ = [b for b in range(len(k)) if connected is None or connected[a][b]]
        for head in range(layer.heads):
            part = slice(head * size, (head + 1) * size)
            logits = [
                dot(q[a][part], k[b][part]) / math.sqrt(size) + (relevance[a][b] if relevance else 0.0) for b in open_
            ]
            weights = softmax(logits) if open_ else []
            row += [sum(w * v[b][part][d] for w, b in zip(weights, open_, strict=True)) for d in range(size)]
        gathered.append(row)
    return linear(layer.out, gathered)


def block(layer: Any, rows: Rows, connected: list[list[bool]] | None = None) -> Rows:
    seen = layer_norm(layer.before_attention, rows)
    rows = add(rows, attention(layer.attention, seen, seen, connected))
    return add(rows, feed_forward(layer.feed_forward, layer_norm(layer.before_forward, rows)))


def matrix(a: Rows, b: Rows) -> Rows:
    """a b^T."""
    return [[dot(x, y) for y in b] for x in a]


def transposed(rows: Rows) -> Rows:
    return [list(column) for column in zip(*rows, strict=True)]


def triplet(
    similarity: Rows, products: Sequence[int], margin: float, counts: Sequence[bool] | None = None, hardest: bool = True
) -> float:
    total = 0.0
    for toward in (similarity, transposed(similarity)):
        losses = []
        for i in range(len(products)):
            rivals = [
                j
                for j in range(len(products))
                if products[j] != products[i] and (counts is None or (counts[i] and counts[j]))
            ]
            hinges = [max(0.0, margin - toward[i][i] + toward[i][j]) for j in rivals]
            if rivals:
                losses.append(max(hinges) if hardest else sum(hinges))
        total += sum(losses) / len(losses) if losses else 0.0
    return total
