"""The slow, obvious twin of core.measure.metrics: one query after the other, from the definitions."""

from __future__ import annotations

import itertools
import math
from statistics import fmean


def slow_queries(sessions):
    """For each beginning of each session: which session, clicks known, the next item, the later items."""
    return [
        (number, known, session[known], set(session[known:]))
        for number, session in enumerate(sessions)
        for known in range(1, len(session))
    ]


def slow_figures(queries, answers, k) -> list[dict[str, float]]:
    """For each query all its figures at k, by name without k."""
    found = []
    for (_, _, item, later), answer in zip(queries, answers, strict=True):
        first = list(answer)[:k]
        rank = first.index(item) + 1 if item in first else 0
        gains = [1 / math.log2(place + 1) for place in range(1, k + 1)]
        right = [other in later for other in first]
        found.append(
            {
                "hr": float(rank > 0),
                "mrr": 1 / rank if rank else 0.0,
                "ndcg": 1 / math.log2(1 + rank) if rank else 0.0,
                "precision": sum(right) / k,
                "recall": sum(right) / len(later),
                "ndcg_remaining": sum(itertools.compress(gains, right)) / sum(gains[: len(later)]),
            }
        )
    return found


def slow_shown(answers, learnt, k) -> tuple[float, float]:
    """Coverage and popularity at k; ``learnt`` maps an item to how often it was learnt."""
    shown = [item for answer in answers for item in list(answer)[:k]]
    catalogue = [item for item, times in learnt.items() if times]
    if not shown or not catalogue:
        return 0.0, 0.0
    most = max(learnt.values())
    coverage = len(set(shown) & set(catalogue)) / len(catalogue)
    return coverage, fmean(learnt.get(item, 0) / most for item in shown)
