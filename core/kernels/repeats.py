"""The kernel that weighs a session's own items against all others, by how often it repeats itself."""

from __future__ import annotations

from typing import Final

import numpy as np

from core.arrays import Floats, Int32s
from core.kernels.codes import (
    LEAST_SCORE,
    R_REPEAT,
    R_REPEAT_CURRENT,
    R_REPEAT_RATE,
    R_REPEAT_SUPPORT,
)
from core.kernels.compiled import inner_kernel
from core.scratch import Scratch

#: A share of 1, where shares are added as whole numbers: the items are in no order here, and sums of reals
#: depend on it.
_ONE: Final = float(1 << 36)


@inner_kernel
def weigh_repeats(
    scratch: Scratch, reals: Floats, items: Int32s, begin: int, end: int, n: int, touched: int
) -> None:
    """Scale the scores of the query's items to what the session's repeats say; see :mod:`core.params`.

    Where either side has no score there is nothing to weigh, and all stays as it is.

    Args:
        scratch: ``score`` of the items in ``touched``; ``considered`` and ``distance`` of the query's.
        reals: the parameters.
        items: of all queries.
        begin: of this query's newest clicks among them.
        end: the same.
        n: distinct known items of these clicks.
        touched: how many items have a score.
    """
    cells, touched_items, considered = scratch.cells, scratch.touched, scratch.considered
    largest = 0.0
    for at in range(touched):
        cell = cells[np.uint64(touched_items[at])]
        largest = max(largest, cell.score if cell.place == 0 else 0.0)
    own = 0.0
    for at in range(n):
        own += _own_score(scratch, reals, considered[at])
    if largest == 0.0 or own == 0.0:
        return
    others = 0
    for at in range(touched):
        cell = cells[np.uint64(touched_items[at])]
        share = cell.score / largest if cell.place == 0 else 0.0
        others += np.int64(share * share * _ONE)
    known = 0
    for at in range(begin, end):
        known += items[at] >= 0
    support, rate = reals[R_REPEAT_SUPPORT], reals[R_REPEAT_RATE]
    odds = (known - n + support * rate) / (n - 1 + support * (1.0 - rate))
    scale = reals[R_REPEAT] * odds * (largest * (others / _ONE)) / own
    for at in range(n):
        score = _own_score(scratch, reals, considered[at])
        if scratch.score[considered[at]] > 0.0:
            scratch.score[considered[at]] = max(score * scale, LEAST_SCORE)


@inner_kernel
def _own_score(scratch: Scratch, reals: Floats, item: int) -> float:
    """What an item of the query has of all its items' scores."""
    score: float = scratch.score[item]
    return score * reals[R_REPEAT_CURRENT] if scratch.distance[scratch.place[item] - 1] == 0 else score
