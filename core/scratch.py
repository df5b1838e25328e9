"""Room that scoring works in: one for each thread, bounded by the parameters and the catalogue.

What the scoring of one item reads and writes lies side by side in memory, 16 bytes an item, because at a
large catalogue the misses of the processor's caches are most of the time.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from core.arrays import MAX_SESSION_CLICKS, Floats, Int32s, Int64s, UInt32s, UInt64s
from core.kernels.codes import REASON_ITEMS
from core.params import ScoringParameters

Int16s = npt.NDArray[np.int16]
Cells = npt.NDArray[np.void]

#: Distances, lengths and counts up to here have their weights in tables.
TABLE: Final = 4096

#: Items of a neighbour that are laid out without asking how many it has.
LANES: Final = 8

#: Items of neighbours that are worked on together: nearly always those of all, and those of one at least.
ENTRIES: Final = MAX_SESSION_CLICKS + LANES

#: Sessions of a posting list that are looked up together.
BATCH: Final = 256

#: Up to here the best items are inserted one by one; for more, all are sorted.
MOST_INSERTED: Final = 2048

#: ``Scratch.rank`` of an item that must not be recommended.
BARRED: Final = -1

_CELL: Final = np.dtype(
    [("score", np.float64), ("seen", np.int32), ("place", np.int16), ("rank", np.int16)], align=True
)
_RULE: Final = np.dtype([("score", np.float64), ("seed", np.int32)], align=True)


class Scratch(NamedTuple):
    """Room to work in for indexes of at most I items and queries of at most Q clicks.

    C is the number of candidates at most, T a power of two that is larger. All is zero between
    queries unless said otherwise.
    """

    cells: Cells  # (I,) the next four, by item
    score: Floats  # (I,)
    seen: Int32s  # (I,) stamp of what was last seen to hold the item; never zeroed
    place: Int16s  # (I,) 1 + place of an item among the query's newest distinct items
    rank: Int16s  # (I,) 1 + place of an item in the answer; BARRED: must not be recommended
    touched: Int32s  # (I + 1,) items with a score, and one that is not counted; not zeroed
    rules: Cells  # (I,) the next two, by item, ``score`` and ``seed``
    rule_score: Floats  # (I,)
    seed: Int32s  # (I,) 1 + the item whose rules brought this one
    rule_touched: Int32s  # (I + 1,) items with a rule score, and one that is not counted; not zeroed
    batch_begin: Int64s  # (BATCH,) where the items of a posting list's sessions begin; not zeroed
    batch_length: Int64s  # (BATCH,) how many there are; not zeroed
    batch_anchor: Int64s  # (MAX_SESSION_CLICKS,) where a session has an item; not zeroed
    considered: Int32s  # (Q,) the query's newest distinct items, newest first; not zeroed
    distance: Int32s  # (Q,) clicks from the newest click to each; not zeroed
    weight: Floats  # (Q,) of each in the similarity; not zeroed
    back: Floats  # (Q,) of each in the score, where it is the newest shared; not zeroed
    cursor: Int64s  # (Q, 5) posting lists that are being merged; not zeroed
    table: Int64s  # (T,) of a candidate slot * 2**32 + 1 + its place there; 0: none
    table_place: Int32s  # (C,) where in the table each candidate is; not zeroed
    candidate: Int32s  # (C,) slots; not zeroed
    similarity: Floats  # (C,) not zeroed
    shared: UInt64s  # (C,) which of the query's newest REASON_ITEMS items a neighbour holds; not zeroed
    begin: Int64s  # (min(C, neighbours),) where each neighbour's items begin in the pool; not zeroed
    length: Int64s  # the same, how many there are; not zeroed
    base: Floats  # the same, what each adds to its newest shared item; not zeroed
    nearest: Int64s  # the same, its newest shared item; see core.kernels.neighbour_items; not zeroed
    entry_item: UInt32s  # (ENTRIES,) items of the neighbours, one after the other; not zeroed
    entry_neighbour: UInt32s  # (ENTRIES,) which neighbour's each is; not zeroed
    hit_entry: UInt32s  # (ENTRIES,) entries that are of the query, or of the answer; not zeroed
    hit_value: Int16s  # (ENTRIES,) 1 + place there; not zeroed
    laid: Int64s  # (3,) what is laid out in the entries: first neighbour, the one after the last, entries
    latest: Int32s  # (n + 1,) the last neighbour that has the item of 1 + this place; not zeroed
    keys: Floats  # (C,) not zeroed
    spare: Floats  # (C,) not zeroed
    votes: Int32s  # (n, REASON_ITEMS) neighbours with both items of a pair
    cases: Int32s  # (n, REASON_ITEMS / 4, 16) how often neighbours held which of four of the query's items
    best: Int32s  # (max(n, further items) + 1,) the last is not counted; not zeroed
    best_score: Floats  # (max(n, further items),) not zeroed
    best_age: Int64s  # (as many as are ranked,) ages of the best items; not zeroed
    heap_best: Floats  # (twice as many,) the best score of each heap; not zeroed
    stamp: Int32s  # (1,) the last stamp given


def new_scratch(parameters: ScoringParameters, sessions: int, items: int, clicks: int) -> Scratch:
    """Scratch for an index of ``sessions`` and ``items`` at most and queries of ``clicks`` at most."""
    p = parameters
    cells, rules = np.zeros(items, _CELL), np.zeros(items, _RULE)
    queried = max(1, min(clicks, p.last_clicks))
    looked_at = min(sessions, queried * p.sessions_per_item)
    merged = p.sample_size > 0 and p.sampling == "recent"
    candidates = min(looked_at, p.sample_size) if merged else looked_at
    table = 1 if merged else 1 << max(1, (2 * candidates - 1).bit_length())
    neighbours = min(candidates, p.neighbours)
    ranked = max(p.recommendations, p.further_items, MOST_INSERTED)
    return Scratch(
        cells=cells,
        score=cells["score"],
        seen=cells["seen"],
        place=cells["place"],
        rank=cells["rank"],
        touched=np.zeros(items + 1, np.int32),
        rules=rules,
        rule_score=rules["score"],
        seed=rules["seed"],
        rule_touched=np.zeros(items + 1, np.int32),
        batch_begin=np.zeros(BATCH, np.int64),
        batch_anchor=np.zeros(MAX_SESSION_CLICKS, np.int64),
        batch_length=np.zeros(BATCH, np.int64),
        considered=np.zeros(queried, np.int32),
        distance=np.zeros(queried, np.int32),
        weight=np.zeros(queried, np.float64),
        back=np.zeros(queried, np.float64),
        cursor=np.zeros((queried, 5), np.int64),
        table=np.zeros(table, np.int64),
        table_place=np.zeros(candidates, np.int32),
        candidate=np.zeros(candidates, np.int32),
        similarity=np.zeros(candidates, np.float64),
        shared=np.zeros(candidates, np.uint64),
        begin=np.zeros(neighbours, np.int64),
        length=np.zeros(neighbours, np.int64),
        base=np.zeros(neighbours, np.float64),
        nearest=np.zeros(neighbours, np.int64),
        entry_item=np.zeros(ENTRIES, np.uint32),
        entry_neighbour=np.zeros(ENTRIES, np.uint32),
        hit_entry=np.zeros(ENTRIES, np.uint32),
        hit_value=np.zeros(ENTRIES, np.int16),
        laid=np.zeros(3, np.int64),
        latest=np.zeros(p.recommendations + 1, np.int32),
        keys=np.zeros(candidates, np.float64),
        spare=np.zeros(candidates, np.float64),
        votes=np.zeros((p.recommendations, REASON_ITEMS), np.int32),
        cases=np.zeros((p.recommendations, REASON_ITEMS // 4, 16), np.int32),
        best=np.zeros(max(p.recommendations, p.further_items) + 1, np.int32),
        best_score=np.zeros(max(p.recommendations, p.further_items), np.float64),
        best_age=np.zeros(ranked, np.int64),
        heap_best=np.zeros(2 * ranked, np.float64),
        stamp=np.zeros(1, np.int32),
    )
