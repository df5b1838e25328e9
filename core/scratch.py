"""Room that scoring works in: one for each thread, bounded by the parameters and the catalogue.

What the scoring of one item reads and writes lies side by side in memory, 16 bytes an item, because at a
large catalogue the misses of the processor's caches are most of the time.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from core.arrays import Floats, Int32s, Int64s, UInt64s
from core.kernel_codes import REASON_ITEMS
from core.params import ScoringParameters

Int16s = npt.NDArray[np.int16]

#: Distances, lengths and counts up to here have their weights in tables.
TABLE: Final = 4096

#: ``Scratch.rank`` of an item that must not be recommended.
BARRED: Final = -1

_CELL: Final = np.dtype(
    [("score", np.float64), ("seen", np.int32), ("place", np.int16), ("rank", np.int16)], align=True
)


class Scratch(NamedTuple):
    """Room to work in for indexes of at most I items and queries of at most Q clicks.

    C is the number of candidates at most, T a power of two that is larger. All is zero between queries unless
    said otherwise.
    """

    score: Floats  # (I,)
    seen: Int32s  # (I,) stamp of what was last seen to hold the item; never zeroed
    place: Int16s  # (I,) 1 + place of an item among the query's newest distinct items
    rank: Int16s  # (I,) 1 + place of an item in the answer; BARRED: must not be recommended
    touched: Int32s  # (I + 1,) items with a score, and one that is not counted; not zeroed
    rule_score: Floats  # (I,)
    rule_touched: Int32s  # (I,) items with a rule score; not zeroed
    seed: Int32s  # (I,) 1 + the item whose rules brought this one
    considered: Int32s  # (Q,) the query's newest distinct items, newest first; not zeroed
    distance: Int32s  # (Q,) clicks from the newest click to each; not zeroed
    weight: Floats  # (Q,) of each in the similarity; not zeroed
    back: Floats  # (Q,) of each in the score, where it is the newest shared; not zeroed
    cursor: Int64s  # (Q, 5) posting lists that are being merged; not zeroed
    table_slot: Int32s  # (T,) 1 + slot of a candidate
    table_similarity: Floats  # (T,) not zeroed
    table_shared: Int32s  # (T,) items that it shares with the query; not zeroed
    table_place: Int32s  # (C,) where in the table each candidate is; not zeroed
    candidate: Int32s  # (C,) slots; not zeroed
    similarity: Floats  # (C,) not zeroed
    shared: UInt64s  # (C,) which of the query's newest REASON_ITEMS items a neighbour holds; not zeroed
    begin: Int64s  # (min(C, neighbours),) where each neighbour's items begin in the pool; not zeroed
    length: Int32s  # the same, how many there are; not zeroed
    keys: Floats  # (C,) not zeroed
    spare: Floats  # (C,) not zeroed
    votes: Int32s  # (n * REASON_ITEMS,) neighbours with both items of a pair
    best: Int32s  # (max(n, further items) + 1,) the last is not counted; not zeroed
    best_score: Floats  # (max(n, further items),) not zeroed
    stamp: Int32s  # (1,) the last stamp given


def new_scratch(parameters: ScoringParameters, sessions: int, items: int, clicks: int) -> Scratch:
    """Scratch for an index of ``sessions`` and ``items`` at most and queries of ``clicks`` at most."""
    p = parameters
    cells = np.zeros(items, _CELL)
    queried = max(1, min(clicks, p.last_clicks))
    looked_at = min(sessions, queried * p.sessions_per_item)
    merged = p.sample_size > 0 and p.sampling == "recent"
    candidates = min(looked_at, p.sample_size) if merged else looked_at
    table = 1 if merged else 1 << (2 * candidates - 1).bit_length()
    if not merged and table > sessions:
        table = 1 << max(1, (sessions - 1).bit_length())
    return Scratch(
        score=cells["score"],
        seen=cells["seen"],
        place=cells["place"],
        rank=cells["rank"],
        touched=np.zeros(items + 1, np.int32),
        rule_score=np.zeros(items, np.float64),
        rule_touched=np.zeros(items, np.int32),
        seed=np.zeros(items, np.int32),
        considered=np.zeros(queried, np.int32),
        distance=np.zeros(queried, np.int32),
        weight=np.zeros(queried, np.float64),
        back=np.zeros(queried, np.float64),
        cursor=np.zeros((queried, 5), np.int64),
        table_slot=np.zeros(table, np.int32),
        table_similarity=np.zeros(table, np.float64),
        table_shared=np.zeros(table, np.int32),
        table_place=np.zeros(candidates, np.int32),
        candidate=np.zeros(candidates, np.int32),
        similarity=np.zeros(candidates, np.float64),
        shared=np.zeros(candidates, np.uint64),
        begin=np.zeros(min(candidates, p.neighbours), np.int64),
        length=np.zeros(min(candidates, p.neighbours), np.int32),
        keys=np.zeros(candidates, np.float64),
        spare=np.zeros(candidates, np.float64),
        votes=np.zeros(REASON_ITEMS * p.recommendations, np.int32),
        best=np.zeros(max(p.recommendations, p.further_items) + 1, np.int32),
        best_score=np.zeros(max(p.recommendations, p.further_items), np.float64),
        stamp=np.zeros(1, np.int32),
    )
