"""Kernel of decayed popularity: counted anew from the newest sessions whenever the index has changed."""

from __future__ import annotations

from core.arrays import FIRST, NEXT, Floats, IndexArrays, Int32s, Scratch
from core.compiled import kernel
from core.kernel_codes import POPULAR
from core.ranking_kernels import next_stamp, take_best
from core.session_kernels import is_held, item_at, items_of


@kernel
def rank_popular(
    index: IndexArrays,
    scratch: Scratch,
    sessions: int,
    weights: Floats,
    size: int,
    out_item: Int32s,
    out_score: Floats,
    out_source: Int32s,
) -> int:
    """Rank items by decayed popularity.

    An item's score is the sum of ``weights[age]`` over the newest sessions that hold it; a session that was
    removed has no age. Where those have fewer than ``size`` items, items of older sessions follow at the last
    weight, the newer first.

    Args:
        index: the index.
        scratch: room to work in.
        sessions: newest sessions that count.
        weights: (sessions,) weight of a session by its age in sessions.
        size: how many items to rank.
        out_item: out: (size,) items, best first.
        out_score: out: (size,) their scores.
        out_source: out: (size,) POPULAR.

    Returns:
        How many items were ranked.
    """
    capacity = len(index.session_key)
    touched, age = 0, -1
    for number in range(index.meta[NEXT] - 1, index.meta[FIRST] - 1, -1):
        slot = number % capacity
        if not is_held(index, slot):
            continue
        age += 1
        if age >= sessions and touched >= size:
            break
        place, length = items_of(index, slot)
        stamp = next_stamp(scratch)
        weight = weights[min(age, len(weights) - 1)]
        for step in range(length):
            item = item_at(index.pool, place + step)
            if scratch.seen[item] == stamp or (age >= sessions and scratch.score[item] > 0.0):
                continue
            scratch.seen[item] = stamp
            if scratch.score[item] == 0.0:
                scratch.touched[touched] = item
                touched += 1
            scratch.score[item] += weight
    count = take_best(index, scratch, touched, size, 0, POPULAR, out_item, out_score, out_source)
    for place in range(count):
        scratch.rank[out_item[place]] = 0
    return count
