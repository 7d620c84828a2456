"""What a protocol measured, as JSON and as a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import fmean, median

_MEAN_OF = (1, 5, 10)
"""What R@mean is the mean of, in the tables of SGMN."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured on some queries.

    queries: all that count. missing: those among them without a vector, each a miss. recall: k -> recall@k. ndcg: k ->
    nDCG@k, where the protocol asks for it.
    """

    queries: int
    missing: int
    recall: dict[int, float]
    ndcg: dict[int, float] = field(default_factory=dict)

    @property
    def by_name(self) -> dict[str, float]:
        """Each figure under the name that papers print it with; R@mean where its parts were measured."""
        named = {f"nDCG@{k}": value for k, value in self.ndcg.items()}
        named |= {f"R@{k}": value for k, value in self.recall.items()}
        if all(k in self.recall for k in _MEAN_OF):
            named["R@mean"] = fmean(self.recall[k] for k in _MEAN_OF)
        return named

    @property
    def document(self) -> dict[str, object]:
        """The same as JSON."""
        return _document(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset:
    """Queries that have something in common, such as ('scale', 'small'), and what was measured on them."""

    name: str
    value: str
    figures: Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalReport(Figures):
    """What a protocol measured on all queries, and on subsets of them.

    protocol: its name, the splits and what was compared. sizes: how many rows each gallery has in which something is
    searched. gallery_missing: rows of them without a vector; they are not searched.
    """

    protocol: str
    sizes: tuple[int, ...]
    gallery_missing: int
    subsets: tuple[Subset, ...] = ()

    @property
    def gallery(self) -> int:
        """How many rows were searched, in the largest gallery."""
        return max(self.sizes, default=0)

    @property
    def document(self) -> dict[str, object]:
        """The same as JSON."""
        by_subset: dict[str, dict[str, object]] = {}
        for subset in self.subsets:
            by_subset.setdefault(subset.name, {})[subset.value] = subset.figures.document
        return {
            "protocol": self.protocol,
            **_document(self),
            "gallery": _spread(self.sizes),
            "gallery_missing": self.gallery_missing,
            **({"subsets": by_subset} if by_subset else {}),
        }

    @property
    def table(self) -> list[str]:
        """The same as lines of text: who asks and who answers, then a row for all queries and each subset."""
        sizes = ", ".join(f"{name} {value:g}" for name, value in _spread(self.sizes).items())
        rows = [("all", self), *((_label(subset), subset.figures) for subset in self.subsets)]
        width = max(len(label) for label, _ in rows)
        names = list(self.by_name)
        head = "".join(f"{name:>8}" for name in ("queries", *names))
        lines = [
            f"{self.protocol}: {self.queries} queries ({self.missing} missing)",
            f"gallery: {sizes} ({self.gallery_missing} missing)",
            f"{'':<{width}}  {head}",
        ]
        for label, figures in rows:
            values = "".join(f"{figures.by_name[name]:8.3f}" for name in names)
            lines.append(f"{label:<{width}}  {figures.queries:8}{values}")
        return lines


def _label(subset: Subset) -> str:
    """Return what a table calls a subset; its words come out of files, and may be anything."""
    label = f"{subset.name} {subset.value}"
    return label if label.isprintable() else ascii(label)


def _document(figures: Figures) -> dict[str, object]:
    rounded = {name: round(value, 6) for name, value in figures.by_name.items()}
    return {**rounded, "queries": figures.queries, "missing": figures.missing}


def _spread(sizes: tuple[int, ...]) -> dict[str, float]:
    if not sizes:
        return dict.fromkeys(("min", "median", "max"), 0)
    return {"min": min(sizes), "median": median(sizes), "max": max(sizes)}
