"""How well a trial did, and what of it is to be as large as possible."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Objective = Literal["mrr", "hr", "ndcg", "sum"]

#: What a query is worth by the rank of its next item, from 1; a miss is worth nothing.
WORTH: Final[dict[Objective, Callable[[int], float]]] = {
    "mrr": lambda rank: 1 / rank,
    "hr": lambda _: 1.0,
    "ndcg": lambda rank: 1 / math.log2(rank + 1),  # with one relevant item
    "sum": lambda rank: 1.0 + 1 / rank,
}


@dataclass(frozen=True, slots=True)
class Figures:
    """How well the next items were found, as :mod:`core.measure.metrics` has it.

    Args:
        ranks: of each query's next item, from 1 to at most 255; 0 is a miss.
    """

    ranks: bytes = b""

    @property
    def queries(self) -> int:
        """How many were asked."""
        return len(self.ranks)

    @property
    def hr(self) -> float:
        """Hit rate at k."""
        return self.mean("hr")

    @property
    def mrr(self) -> float:
        """Mean reciprocal rank at k."""
        return self.mean("mrr")

    @property
    def ndcg(self) -> float:
        """Normalised discounted cumulative gain at k."""
        return self.mean("ndcg")

    def mean(self, objective: Objective) -> float:
        """What a query is worth on average; 0 without one."""
        worth = WORTH[objective]
        found = sorted(set(self.ranks) - {0})
        return math.fsum(self.ranks.count(rank) * worth(rank) for rank in found) / max(1, len(self.ranks))

    def above(self, other: Figures, objective: Objective) -> list[float]:
        """By how much each query is worth more here than with another's answers to the same queries."""
        worth = [0.0, *map(WORTH[objective], range(1, 256))]
        return [worth[ours] - worth[theirs] for ours, theirs in zip(self.ranks, other.ranks, strict=True)]

    def plus(self, ranks: Sequence[int | None]) -> Figures:
        """These and the ranks (from 1) of more queries; None is a miss."""
        return Figures(self.ranks + bytes(rank or 0 for rank in ranks))
