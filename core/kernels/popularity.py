"""Kernel of decayed popularity: counted anew from the newest sessions whenever the index has changed."""

from __future__ import annotations

import numpy as np

from core.arrays import FIRST, NEXT, POOL_BASE, Floats, Int32s
from core.engine import Engine
from core.kernels.compiled import Kept, kernel
from core.kernels.held_sessions import capacity_of, held_sessions, is_held, item_at, items_of
from core.kernels.ranking import ready_stamps, take_best
from core.scratch import MOST_INSERTED


@kernel
def rank_popular(engine: Kept[Engine], out_item: Int32s, out_score: Floats) -> int:
    """Rank items by decayed popularity.

    An item's score is the sum of ``age_weight[age]`` over the newest sessions that hold it; a session that
    was removed has no age. Where those have fewer items than there is room for, items of older sessions
    follow at the last weight, the newer first.

    Args:
        engine: the index, room to work in, and the weights.
        out_item: out: (size,) items, best first.
        out_score: out: (size,) their scores.

    Returns:
        How many items were ranked.
    """
    index, scratch, _, _, _, _, weights = engine.parts
    sessions, size = len(weights), len(out_item)
    capacity = capacity_of(index)
    touched, age = 0, -1
    ready_stamps(scratch.stamp, scratch.seen, held_sessions(index))
    stamp = scratch.stamp[0]
    for number in range(index.meta[NEXT] - 1, index.meta[FIRST] - 1, -1):
        slot = number % capacity
        if not is_held(index, slot):
            continue
        age += 1
        if age >= sessions and touched >= size:
            break
        place, length = items_of(index.session_place, index.pool, index.meta[POOL_BASE], slot)
        stamp += 1
        weight = weights[min(age, sessions - 1)]
        for step in range(length - 1, -1, -1):  # so that of equal scores the one touched first ranks first
            item = item_at(index.pool, place + step)
            if scratch.seen[item] == stamp or (age >= sessions and scratch.score[item] > 0.0):
                continue
            scratch.seen[item] = stamp
            if scratch.score[item] == 0.0:
                scratch.touched[touched] = item
                touched += 1
            scratch.score[item] += weight
    scratch.stamp[0] = stamp
    if size <= MOST_INSERTED:
        count = take_best(
            index, scratch, scratch.score, scratch.touched, touched, 0, size, out_item, out_score
        )
    else:
        count = min(size, touched)
        order = np.argsort(-scratch.score[scratch.touched[:touched]], kind="mergesort")  # the stable one
        for place in range(count):
            out_item[place] = scratch.touched[order[place]]
            out_score[place] = scratch.score[out_item[place]]
    for at in range(touched):
        scratch.score[scratch.touched[at]] = 0.0
    return count
