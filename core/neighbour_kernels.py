"""Kernels that find the neighbours of a query and score their items; see :mod:`core.params`."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from core.arrays import POOL_BASE, Floats, IndexArrays, Int64s
from core.compiled import inner_kernel
from core.kernel_codes import (
    COMMON,
    P_IDF_CLICKS,
    P_K,
    P_M,
    P_POSITION,
    P_REPEATS,
    P_SAMPLE,
    P_SAMPLING,
    P_SCORE,
    R_BEFORE,
    R_DISTANCE_DECAY,
    R_IDF_SIMILARITY,
    R_LENGTH_POWER,
    R_POSITION_DECAY,
    R_POWER,
    R_RECENCY_S,
    R_SCORE_DECAY,
    RANDOM,
    REASON_ITEMS,
    RECENT,
)
from core.posting_kernels import newest_posting, slot_at
from core.ranking_kernels import ready_stamps
from core.scratch import Scratch
from core.session_kernels import age_of, capacity_of, end_of, held_sessions, item_at, items_of, newest_slot
from core.weight_kernels import Tables, idf, position_weight, recency_weight, step_weight

#: Whether candidates come in the order of age.
AGES_RISE: Final = 1
AGES_MIX: Final = 0


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
        found = _gather(index, scratch, session_weight, n, ints[P_M])
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
        found += 1
    return found


@inner_kernel
def _gather(index: IndexArrays, scratch: Scratch, session_weight: Floats, n: int, m: int) -> int:
    """Sum the similarity of all candidates, in the order in which the items' lists name them first."""
    table_slot, table_similarity = scratch.table_slot, scratch.table_similarity
    mask = len(table_slot) - 1
    found = 0
    for number in range(n):
        weight = scratch.weight[number]
        if weight <= 0.0:
            continue
        start, size, at, count = newest_posting(index, scratch.considered[number])
        for _ in range(min(count, m)):
            slot = slot_at(index.arena, start + at)
            at = at - 1 if at > 0 else size - 1
            place = slot & mask
            while table_slot[place] != 0 and table_slot[place] != slot + 1:
                place = (place + 1) & mask
            if table_slot[place] == 0:
                table_slot[place] = slot + 1
                table_similarity[place] = weight
                scratch.table_shared[place] = 1
                scratch.table_place[found] = place
                found += 1
            else:
                table_similarity[place] += weight
                scratch.table_shared[place] += 1
    allowed = 0
    for at in range(found):
        place = scratch.table_place[at]
        slot = table_slot[place] - 1
        table_slot[place] = 0
        if len(session_weight) and session_weight[slot] == -np.inf:
            continue
        scratch.candidate[allowed] = slot
        scratch.similarity[allowed] = table_similarity[place]
        scratch.shared[allowed] = np.uint64(scratch.table_shared[place])
        allowed += 1
    return allowed


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


@inner_kernel
def kth_largest(values: Floats, n: int, k: int) -> float:
    """The k-th largest of the first n values, which it reorders (quickselect, Hoare 1961)."""
    low, high, at = 0, n - 1, k - 1
    while low < high:
        pivot = values[(low + high) // 2]
        left, right = low, high
        while left <= right:
            while values[left] > pivot:
                left += 1
            while values[right] < pivot:
                right -= 1
            if left <= right:
                values[left], values[right] = values[right], values[left]
                left += 1
                right -= 1
        if at <= right:
            high = right
        elif at >= left:
            low = left
        else:
            break
    return values[at]


@inner_kernel
def score_neighbours(
    index: IndexArrays, scratch: Scratch, ints: Int64s, reals: Floats, tables: Tables, kept: int
) -> tuple[int, float]:
    """Score the items of the kept sessions in ``scratch.score``, and note what each shares with the query.

    Returns:
        How many items are in ``touched``; the score of an item that all kept sessions hold, undecayed.
    """
    touched, mass = 0, 0.0
    place_of, rank, seen, score_of = scratch.place, scratch.rank, scratch.seen, scratch.score
    places, pool, pool_base = index.session_place, index.pool, index.meta[POOL_BASE]
    decays, before, distance_decay = tables.distance, reals[R_BEFORE], reals[R_DISTANCE_DECAY]
    repeats, considered = ints[P_REPEATS] != 0, len(scratch.considered)
    candidate, similarity, back, held = scratch.candidate, scratch.similarity, scratch.back, scratch.shared
    touched_items = scratch.touched
    ready_stamps(scratch.stamp, seen, kept)
    stamp = scratch.stamp[0]
    begins, lengths = scratch.begin, scratch.length
    # All sessions are looked up before the first is read, so that these reads do not wait for each other.
    # ``held`` is written for the sake of reading the pool there; it gets its own value below.
    for at in range(kept):
        place, length = items_of(places, pool, pool_base, candidate[at])
        begins[at], lengths[at] = place, length
        held[at] = np.uint64(item_at(pool, place))
    for at in range(kept):
        place, length = begins[at], lengths[at]
        shared_place, anchor, shared = considered + 1, 0, np.uint64(0)
        for step in range(length):
            in_query = np.int64(place_of[item_at(pool, place + step)])
            if in_query > 0:
                if in_query <= REASON_ITEMS:
                    shared |= np.uint64(1) << np.uint64(in_query - 1)
                if in_query <= shared_place:
                    shared_place, anchor = in_query, step
        held[at] = shared
        base = similarity[at] * back[shared_place - 1]
        mass += base
        if base <= 0.0:
            continue
        stamp += 1
        for step in range(length - 1, -1, -1):
            item = item_at(pool, place + step)
            if seen[item] == stamp and not repeats:
                continue
            seen[item] = stamp
            if rank[item] != 0:
                continue
            score = base
            if len(decays):
                distance = abs(step - anchor)
                if distance < len(decays):
                    score *= decays[distance]
                else:
                    score *= math.exp(-distance / distance_decay)
            score *= before if step < anchor else 1.0
            before_it = score_of[item]
            # Written in any case, counted only if it is new: a branch here could not be foreseen.
            touched_items[touched] = item
            touched += 1 if before_it == 0.0 and score > 0.0 else 0
            score_of[item] = before_it + score
    scratch.stamp[0] = stamp
    return touched, mass
