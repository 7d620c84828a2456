"""Frozen judgements of which answers are right for which queries, as MTEB writes them: TSV, JSON lines or Parquet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from shopcue.data.annotations import path_inside, text_lines
from shopcue.errors import MediaError


def read_judgements(root: Path) -> dict[str, list[str]] | None:
    """Return what qrels/test* call true for each query, None where there are no such files.

    Queries are paths below root. Raises MediaError for a file that is damaged or of another kind.
    """
    found = sorted(path for path in root.glob("qrels/test*") if path.suffix in _ROWS)
    judged: dict[str, list[str]] = {}
    for path in found:
        for row in _ROWS[path.suffix](path):
            try:
                video, image, score = str(row["query-id"]), str(row["corpus-id"]), float(row["score"])
                path_inside(root, video)
            except (KeyError, TypeError, ValueError) as error:
                raise MediaError(
                    f"{path} holds {str(row)[:80]}; expected query-id, corpus-id and score, as MTEB writes them"
                ) from error
            if score > 0:
                judged.setdefault(video, []).append(image)
    return judged if found else None


def _tsv_rows(path: Path) -> Iterator[dict[str, Any]]:
    lines = text_lines(path)
    names = next(lines, (0, ""))[1].split("\t")
    for _, line in lines:
        yield dict(zip(names, line.split("\t"), strict=False))


def _jsonl_rows(path: Path) -> Iterator[Any]:
    for number, line in text_lines(path):
        try:
            yield json.loads(line)
        except (ValueError, RecursionError) as error:
            raise MediaError(f"{path}, line {number} is no JSON ({error}); copy the file again") from error


def _parquet_rows(path: Path) -> Iterator[Any]:
    try:
        from pyarrow import ArrowException, parquet  # of the extra `store`
    except ImportError as error:
        raise MediaError(f"reading {path} takes pyarrow; install it, or write the judgements as test.tsv") from error
    try:
        yield from parquet.read_table(path).to_pylist()
    except (OSError, ArrowException) as error:
        raise MediaError(f"{path} cannot be read ({error}); copy it again") from error


_ROWS: dict[str, Callable[[Path], Iterator[Any]]] = {
    ".tsv": _tsv_rows,
    ".jsonl": _jsonl_rows,
    ".parquet": _parquet_rows,
}
