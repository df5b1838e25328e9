"""How well a trial did, and what of it is to be as large as possible."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Objective = Literal["mrr", "hr", "ndcg", "sum"]


@dataclass(frozen=True, slots=True)
class Figures:
    """How well the next items were found, as :mod:`core.metrics` has it; sums over queries, which add up.

    Args:
        queries: asked.
        hits: next items that were among the first k.
        reciprocal: sum of 1 / rank over the hits.
        gain: sum of 1 / log2(rank + 1) over the hits: NDCG's with one relevant item.
    """

    queries: int = 0
    hits: int = 0
    reciprocal: float = 0.0
    gain: float = 0.0

    @property
    def hr(self) -> float:
        """Hit rate at k."""
        return self.hits / self.queries if self.queries else 0.0

    @property
    def mrr(self) -> float:
        """Mean reciprocal rank at k."""
        return self.reciprocal / self.queries if self.queries else 0.0

    @property
    def ndcg(self) -> float:
        """Normalised discounted cumulative gain at k."""
        return self.gain / self.queries if self.queries else 0.0

    def plus(self, ranks: Sequence[int | None]) -> Figures:
        """These and the ranks (from 1) of more queries; None is a miss."""
        hits = [rank for rank in ranks if rank is not None]
        return Figures(
            self.queries + len(ranks),
            self.hits + len(hits),
            self.reciprocal + sum(1 / rank for rank in hits),
            self.gain + sum(1 / math.log2(rank + 1) for rank in hits),
        )


#: What is to be as large as possible.
OBJECTIVES: Final[dict[Objective, Callable[[Figures], float]]] = {
    "mrr": lambda figures: figures.mrr,
    "hr": lambda figures: figures.hr,
    "ndcg": lambda figures: figures.ndcg,
    "sum": lambda figures: figures.hr + figures.mrr,
}
