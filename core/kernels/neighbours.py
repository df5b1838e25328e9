"""Kernels that find the neighbours of a query; see :mod:`core.params`."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from core.arrays import POOL_BASE, Floats, IndexArrays, Int64s
from core.kernels.codes import (
    COMMON,
    P_IDF_CLICKS,
    P_K,
    P_M,
    P_POSITION,
    P_SAMPLE,
    P_SAMPLING,
    P_SCORE,
    R_IDF_SIMILARITY,
    R_LENGTH_POWER,
    R_POSITION_DECAY,
    R_POWER,
    R_RECENCY_S,
    R_SCORE_DECAY,
    RANDOM,
    RECENT,
)
from core.kernels.compiled import inner_kernel, prefetch
from core.kernels.held_sessions import age_of, capacity_of, end_of, held_sessions, items_of, newest_slot
from core.kernels.postings import newest_posting, slot_at
from core.kernels.selection import kth_largest
from core.kernels.weights import Tables, idf, position_weight, recency_weight, step_weight
from core.scratch import Scratch

#: Whether candidates come in the order of age.
AGES_RISE: Final = 1
AGES_MIX: Final = 0

#: Slots times this are spread over 32 bits (Knuth, The Art of Computer Programming 3, section 6.4).
_SPREAD: Final = 0x9E3779B1


@inner_kernel
def weigh_query(
    index: IndexArrays, scratch: Scratch, ints: Int64s, reals: Floats, tables: Tables, n: int, clicks: int
) -> None:
    """Weigh the n considered items: ``scratch.weight`` in the similarity, ``scratch.back`` in the score."""
    log_held = math.log(max(held_sessions(index), 1))
    counts = index.item_clicks if ints[P_IDF_CLICKS] else index.posting_count
    for at in range(n):
        item = scratch.considered[at]
        weight = position_weight(ints[P_POSITION], scratch.distance[at], clicks, reals[R_POSITION_DECAY])
        if reals[R_IDF_SIMILARITY] > 0.0:
            weight *= idf(tables.log, log_held, counts[item]) ** reals[R_IDF_SIMILARITY]
        scratch.weight[at] = weight
        scratch.back[at] = step_weight(ints[P_SCORE], scratch.distance[at] + 1, reals[R_SCORE_DECAY])


@inner_kernel
def find_neighbours(
    index: IndexArrays,
    scratch: Scratch,
    ints: Int64s,
    reals: Floats,
    tables: Tables,
    session_weight: Floats,
    n: int,
    time: float,
) -> int:
    """Leave the k most similar sessions in ``candidate`` and ``similarity``; return how many.

    Args:
        index: the index.
        scratch: has the query's n items in ``considered``, their weights in ``weight``.
        ints: integer parameters.
        reals: real parameters.
        tables: weights.
        session_weight: (slots,) what the sampling ``weighted`` goes by, minus infinity for what must not be
            a candidate; else empty.
        n: the query's distinct items.
        time: of the query, seconds.
    """
    if ints[P_SAMPLE] > 0 and ints[P_SAMPLING] == RECENT:
        found = _merge_newest(index, scratch, session_weight, n, ints[P_M], ints[P_SAMPLE])
        ages = AGES_RISE
    else:
        found = _gather(index, scratch, reals, session_weight, n, ints[P_M])
        ages = AGES_RISE if n == 1 else AGES_MIX
        if 0 < ints[P_SAMPLE] < found:
            found = _sample(index, scratch, ints, session_weight, found, time)
    candidate, similarity = scratch.candidate, scratch.similarity
    places, pool, base, ends = index.session_place, index.pool, index.meta[POOL_BASE], index.session_end
    if reals[R_LENGTH_POWER] > 0.0:
        for at in range(found):
            length = items_of(places, pool, base, candidate[at])[1]
            if length < len(tables.length):
                similarity[at] *= tables.length[length]
            else:
                similarity[at] *= float(length) ** -reals[R_LENGTH_POWER]
    if reals[R_RECENCY_S] > 0.0:
        now = np.int64(math.floor(min(max(time, 0.0), 1e15)))
        for at in range(found):
            age = max(0, now - end_of(ends, candidate[at]))
            similarity[at] *= recency_weight(tables.recency, age, reals[R_RECENCY_S])
    if found > ints[P_K]:
        for at in range(found):
            scratch.keys[at] = similarity[at]
        found = _keep(index, scratch, found, ints[P_K], ages)
    if reals[R_POWER] != 1.0:  # it leaves the order as it is
        for at in range(found):
            similarity[at] **= reals[R_POWER]
    return found


@inner_kernel
def _merge_newest(
    index: IndexArrays, scratch: Scratch, session_weight: Floats, n: int, m: int, sample: int
) -> int:
    """Merge the items' posting lists from their newest sessions until ``sample`` candidates are found.

    As Serenade does, this reads no more of the lists than it must; candidates come in the order of age.
    """
    newest, capacity = newest_slot(index), capacity_of(index)
    cursor = scratch.cursor
    lists = 0
    for at in range(n):
        if scratch.weight[at] > 0.0:
            start, size, place, count = newest_posting(index, scratch.considered[at])
            cursor[lists, 0], cursor[lists, 1], cursor[lists, 2] = start, size, place
            cursor[lists, 3] = min(count, m)
            cursor[lists, 4] = age_of(slot_at(index.arena, start + place), newest, capacity)
            scratch.weight[lists] = scratch.weight[at]
            lists += 1
    found = 0
    while found < sample:
        youngest = capacity
        for one in range(lists):
            youngest = min(youngest, cursor[one, 4])
        if youngest == capacity:
            break
        similarity = 0.0
        for one in range(lists):
            if cursor[one, 4] == youngest:
                similarity += scratch.weight[one]
                cursor[one, 3] -= 1
                if cursor[one, 3] == 0:
                    cursor[one, 4] = capacity
                else:
                    place = cursor[one, 2] - 1 if cursor[one, 2] > 0 else cursor[one, 1] - 1
                    cursor[one, 2] = place
                    cursor[one, 4] = age_of(slot_at(index.arena, cursor[one, 0] + place), newest, capacity)
        slot = newest - youngest
        slot = slot if slot >= 0 else slot + capacity
        if len(session_weight) and session_weight[slot] == -np.inf:
            continue
        scratch.candidate[found] = slot
        scratch.similarity[found] = similarity
        prefetch(index.session_place, slot >> 2)
        found += 1
    return found


@inner_kernel
def _gather(
    index: IndexArrays, scratch: Scratch, reals: Floats, session_weight: Floats, n: int, m: int
) -> int:
    """Sum the similarity of all candidates, in the order in which the items' lists name them first."""
    candidate, similarity, shared = scratch.candidate, scratch.similarity, scratch.shared
    table, table_place = scratch.table, scratch.table_place
    weighs, aged = len(session_weight) > 0, reals[R_RECENCY_S] > 0.0
    named, lists = 0, 0
    for number in range(n):
        if scratch.weight[number] > 0.0:
            named += min(index.posting_count[scratch.considered[number]], m)
            lists += 1
    bits = 1  # of as much of the table as is twice what is named: the less of it, the nearer it is
    while 1 << bits < min(2 * named, len(table)):
        bits += 1
    mask = np.uint64((1 << bits) - 1)
    found = 0
    for number in range(n):
        weight = scratch.weight[number]
        if weight <= 0.0:
            continue
        start, size, at, count = newest_posting(index, scratch.considered[number])
        for _ in range(min(count, m)):
            slot = slot_at(index.arena, start + at)
            at = at - 1 if at > 0 else size - 1
            if weighs and session_weight[slot] == -np.inf:
                continue
            entry = np.int64(0)
            if lists > 1:  # one list names no session twice
                place = np.uint64((slot * _SPREAD & 0xFFFFFFFF) >> (32 - bits))
                entry = table[place]
                while entry != 0 and entry >> 32 != slot:
                    place = (place + np.uint64(1)) & mask
                    entry = table[place]
                if entry == 0:
                    table[place] = (slot << 32) + found + 1
                    table_place[np.uint64(found)] = place
            if entry == 0:
                candidate[np.uint64(found)], similarity[np.uint64(found)] = slot, weight
                shared[np.uint64(found)] = 1
                prefetch(index.session_place, slot >> 2)
                if aged:
                    prefetch(index.session_end, slot)
                found += 1
            else:
                known = np.uint64((entry & 0xFFFFFFFF) - 1)
                similarity[known] += weight
                shared[known] += np.uint64(1)
    if lists > 1:
        for at in range(found):
            table[np.uint64(table_place[at])] = 0
    return found


@inner_kernel
def _sample(
    index: IndexArrays, scratch: Scratch, ints: Int64s, session_weight: Floats, found: int, time: float
) -> int:
    """Keep ``sample_size`` candidates by the sampling's own order, the newer where equal."""
    for at in range(found):
        slot = scratch.candidate[at]
        if ints[P_SAMPLING] == COMMON:
            scratch.keys[at] = float(scratch.shared[at])
        elif ints[P_SAMPLING] == RANDOM:
            scratch.keys[at] = _hashed(end_of(index.session_end, slot), time)
        else:
            scratch.keys[at] = session_weight[slot]
    return _keep(index, scratch, found, ints[P_SAMPLE], AGES_MIX)


@inner_kernel
def _hashed(end: float, time: float) -> float:
    """A number from 0 to 1 that is the same for the same session and query (splitmix64, Steele 2014)."""
    z = np.uint64(np.int64(end * 1000.0)) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(np.int64(time * 1000.0))
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return float(z >> np.uint64(11)) / 9007199254740992.0


@inner_kernel
def _keep(index: IndexArrays, scratch: Scratch, found: int, most: int, ages: int) -> int:
    """Keep the candidates with the ``most`` largest ``keys``, the newer where equal, in their order.

    ``ages`` is AGES_RISE where the candidates come in the order of age, else AGES_MIX.
    """
    candidate, similarity, keys = scratch.candidate, scratch.similarity, scratch.keys
    newest, capacity = newest_slot(index), capacity_of(index)
    for at in range(found):
        scratch.spare[at] = keys[at]
    least = kth_largest(scratch.spare, found, most)
    above, equal = 0, 0
    for at in range(found):
        if keys[at] > least:
            above += 1
        elif keys[at] == least:
            if ages == AGES_MIX:
                scratch.spare[equal] = -age_of(candidate[at], newest, capacity)
            equal += 1
    left = most - above  # how many of the equal ones are kept
    oldest = 0.0
    if ages == AGES_MIX:
        oldest = -kth_largest(scratch.spare, equal, left)
    kept = 0
    for at in range(found):
        keep = keys[at] > least
        if keys[at] == least:
            if ages == AGES_RISE:
                keep = left > 0
                left -= 1
            else:
                keep = age_of(candidate[at], newest, capacity) <= oldest
        if keep:
            candidate[kept] = candidate[at]
            similarity[kept] = similarity[at]
            kept += 1
    return kept
