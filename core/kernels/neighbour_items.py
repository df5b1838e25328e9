"""Kernels that read the neighbours' items: score them, and count which of the query's items vouch for them.

The items of all neighbours are laid out one after the other, and each further step is one loop over them. A
loop inside a loop, over one neighbour's few items, would end where the processor does not foresee it: that
takes as long as the work on all of them. For the same reason these loops have no branches; they write in any
case, to a place that is counted only if it should be.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from core.arrays import POOL_BASE, Floats, IndexArrays, Int64s
from core.kernels.codes import P_REPEATS, R_BEFORE, REASON_ITEMS
from core.kernels.compiled import inner_kernel, prefetch
from core.kernels.held_sessions import item_at, items_of
from core.kernels.ranking import ready_stamps
from core.kernels.weights import Tables
from core.scratch import LANES, Scratch

#: Of the query's items, how many are counted together: which of them a neighbour holds is one of 16 cases.
_TOGETHER: Final = 4
_CASES: Final = 1 << _TOGETHER

_FARTHEST: Final = 1 << 62


@inner_kernel
def find_items(index: IndexArrays, scratch: Scratch, kept: int) -> None:
    """Note where each neighbour's items are, and ask for them."""
    places, pool, pool_base = index.session_place, index.pool, index.meta[POOL_BASE]
    candidate, begins, lengths = scratch.candidate, scratch.begin, scratch.length
    for at in range(kept):
        place, length = items_of(places, pool, pool_base, candidate[at])
        begins[at], lengths[at] = place, length
        prefetch(pool, place)
        prefetch(pool, place + length - 1)
    scratch.laid[0] = -1


@inner_kernel
def _lay_out(index: IndexArrays, scratch: Scratch, first: int, kept: int) -> tuple[int, int]:
    """Lay out the items of the neighbours from ``first`` on, as many as there is room for.

    An entry is one item of one neighbour, whose newest comes first.

    Returns:
        The neighbour after the last that is laid out, and how many entries there are.
    """
    laid, pool, begins, lengths = scratch.laid, index.pool, scratch.begin, scratch.length
    item_of, neighbour_of = scratch.entry_item, scratch.entry_neighbour
    if laid[0] == first:
        return laid[1], laid[2]
    entries, at = 0, first
    while at < kept and entries + lengths[at] <= len(item_of) - LANES:
        newest, length = begins[at] + lengths[at] - 1, lengths[at]
        for begin in range(0, length, LANES):
            for step in range(begin, begin + LANES):  # beyond the end there is room for as many
                place = newest - step
                item = item_at(pool, place & ~(place >> 63))
                item_of[np.uint64(entries + step)] = item
                neighbour_of[np.uint64(entries + step)] = at
                prefetch(scratch.cells, item)
        entries += length
        at += 1
    laid[0], laid[1], laid[2] = first, at, entries
    return at, entries


@inner_kernel
def score_neighbours(
    index: IndexArrays, scratch: Scratch, ints: Int64s, reals: Floats, tables: Tables, kept: int
) -> tuple[int, float]:
    """Score the items of the kept sessions in ``scratch.score``, and note what each shares with the query.

    Returns:
        How many items are in ``touched``; the score of an item that all kept sessions hold, undecayed.
    """
    ready_stamps(scratch.stamp, scratch.seen, kept)
    similarity, back, base, nearest = scratch.similarity, scratch.back, scratch.base, scratch.nearest
    touched, mass, first = 0, 0.0, 0
    while first < kept:
        last, entries = _lay_out(index, scratch, first, kept)
        _find_shared(scratch, first, last, entries)
        for at in range(first, last):
            score = similarity[at] * back[np.uint64(nearest[at] >> 32)]
            mass += score
            base[at] = max(0.0, score)
        touched = _add_scores(scratch, ints, reals, tables, entries, touched)
        first = last
    scratch.stamp[0] += kept
    return touched, mass


@inner_kernel
def _find_shared(scratch: Scratch, first: int, last: int, entries: int) -> None:
    """Find which of the query's items each neighbour shares, and the entry of the newest of them.

    ``nearest`` gets that item's place in the query, from 0, in its upper 32 bits, the entry in the others.
    """
    cells, item_of, neighbour_of = scratch.cells, scratch.entry_item, scratch.entry_neighbour
    hit_entry, hit_value = scratch.hit_entry, scratch.hit_value
    shared, nearest = scratch.shared, scratch.nearest
    for at in range(first, last):
        shared[at], nearest[at] = 0, _FARTHEST
    hits = 0
    for entry in range(entries):
        placed = cells[item_of[entry]].place
        hit_entry[np.uint64(hits)], hit_value[np.uint64(hits)] = entry, placed
        hits += placed > 0
    for hit in range(hits):
        entry, place = int(hit_entry[hit]), int(hit_value[hit]) - 1
        at = neighbour_of[np.uint64(entry)]
        if place < REASON_ITEMS:
            shared[at] |= np.uint64(1) << np.uint64(place)
        nearest[at] = min(nearest[at], (place << 32) + entry)


@inner_kernel
def _add_scores(
    scratch: Scratch, ints: Int64s, reals: Floats, tables: Tables, entries: int, touched: int
) -> int:
    """Add what the neighbours say of their items; return how many items are in ``touched``."""
    cells, item_of, neighbour_of = scratch.cells, scratch.entry_item, scratch.entry_neighbour
    base, nearest, touched_items, decays = scratch.base, scratch.nearest, scratch.touched, tables.distance
    stamp, repeats, before = scratch.stamp[0] + 1, ints[P_REPEATS] != 0, reals[R_BEFORE]
    for entry in range(entries):
        item, at = item_of[entry], neighbour_of[entry]
        distance = entry - (nearest[at] & 0xFFFFFFFF)  # clicks that it comes before the shared one
        score = base[at] * decays[np.uint64(abs(distance))]
        score *= before if distance > 0 else 1.0
        cell = cells[item]
        counts = ((cell.seen != stamp + int(at)) | repeats) & (cell.rank == 0)
        cell.seen = stamp + int(at)
        score = score if counts else 0.0
        score_before = cell.score
        touched_items[np.uint64(touched)] = item
        touched += (score_before == 0.0) & (score > 0.0)
        cell.score = score_before + score
    return touched


@inner_kernel
def count_votes(index: IndexArrays, scratch: Scratch, kept: int, n: int) -> None:
    """Count in ``votes``, for each item of the answer and each of the query's n, the neighbours with both."""
    cells, item_of, neighbour_of = scratch.cells, scratch.entry_item, scratch.entry_neighbour
    hit_entry, hit_value, latest = scratch.hit_entry, scratch.hit_value, scratch.latest
    shared, cases = scratch.shared, scratch.cases
    for answer in range(len(latest)):
        latest[answer] = -1
    first = 0
    while first < kept:
        first, entries = _lay_out(index, scratch, first, kept)
        hits = 0
        for entry in range(entries):
            placed = cells[item_of[entry]].rank
            hit_entry[np.uint64(hits)], hit_value[np.uint64(hits)] = entry, placed
            hits += placed > 0
        for hit in range(hits):
            at, rank = int(neighbour_of[np.uint64(hit_entry[hit])]), int(hit_value[hit])
            counts = latest[np.uint64(rank)] != at  # else it has the item twice
            latest[np.uint64(rank)] = at
            bits = shared[np.uint64(at)]
            for group in range((min(n, REASON_ITEMS) + _TOGETHER - 1) // _TOGETHER):
                case = (bits >> np.uint64(_TOGETHER * group)) & np.uint64(_CASES - 1)
                cases[np.uint64(rank - 1), np.uint64(group), case] += counts
    _sum_cases(scratch, min(n, REASON_ITEMS))


@inner_kernel
def _sum_cases(scratch: Scratch, n: int) -> None:
    """Add how often each case came to the votes of its items, and clear it."""
    votes, cases = scratch.votes, scratch.cases
    for answer in range(len(votes)):
        for group in range((n + _TOGETHER - 1) // _TOGETHER):
            begin = _TOGETHER * group
            for case in range(1 << min(n - begin, _TOGETHER)):
                count = cases[np.uint64(answer), np.uint64(group), np.uint64(case)]
                cases[np.uint64(answer), np.uint64(group), np.uint64(case)] = 0
                for bit in range(_TOGETHER):
                    votes[np.uint64(answer), np.uint64(begin + bit)] += count * ((case >> bit) & 1)
