"""Kernels that keep the index: a session in, the oldest or any other out, in time proportional to it."""

from __future__ import annotations

from typing import Final

import numpy as np

from core.arrays import (
    CLICKS,
    DEAD,
    ESCAPE,
    FIRST,
    MOST,
    NEXT,
    POOL_BASE,
    POOL_TAIL,
    REMOVED,
    SPILLED,
    IndexArrays,
    Int32s,
    Int64s,
    UInt32s,
    UInt64s,
)
from core.identity import SPILLED_BIT, VISITOR_SHIFT
from core.kernels.arena import push, reserve, take_out
from core.kernels.compiled import inner_kernel, kernel
from core.kernels.held_sessions import is_held, item_at, items_of
from core.kernels.identity import find_session, find_visitor, insert_session, remove_entry
from core.kernels.packed import entry_at, put_entry

#: Why a kernel came back before its end.
DONE: Final = 0
POOL_FULL: Final = 1
ARENA_FULL: Final = 2
FREED_FULL: Final = 3

_SPILLED: Final = np.uint64(SPILLED_BIT)
_SHIFT: Final = np.uint64(VISITOR_SHIFT)


@kernel
def add_sessions(
    index: IndexArrays,
    keys: UInt64s,
    items: Int32s,
    starts: Int64s,
    ends: UInt32s,
    begin: int,
    freed: Int32s,
) -> tuple[int, int, int, int]:
    """Add sessions ``begin`` to the end of a batch, evicting the oldest where the index is full.

    Args:
        index: the arrays.
        keys: (n,) identity of each session; one that is held already is skipped.
        items: items of all sessions, one after the other.
        starts: (n + 1,) where each session's items begin.
        ends: (n,) time of each session's last click, seconds.
        begin: the first session to add.
        freed: out: items that lost their last session at some moment; room for one session's at least.

    Returns:
        How many sessions are dealt with, why it came back, how many items are in ``freed``, and how many
        places are needed of what is full.
    """
    capacity = len(index.session_key)
    meta = index.meta
    n_freed = 0
    for number in range(begin, len(keys)):
        at, key = find_session(index.key_table, index.session_key, keys[number], meta[SPILLED])
        if at >= 0:
            continue
        length = starts[number + 1] - starts[number]
        if meta[POOL_TAIL] - meta[POOL_BASE] + length + 1 > len(index.pool):
            return number, POOL_FULL, n_freed, length + 1
        if meta[NEXT] - meta[FIRST] == meta[MOST]:
            oldest = meta[FIRST] % capacity
            if n_freed + items_of(index.session_place, index.pool, meta[POOL_BASE], oldest)[1] > len(freed):
                return number, FREED_FULL, n_freed, 0
            at, _ = find_session(index.key_table, index.session_key, index.session_key[oldest], meta[SPILLED])
            n_freed = _let_go(index, at, freed, n_freed)
        need = reserve(index, items, starts[number], starts[number + 1])
        if need:
            return number, ARENA_FULL, n_freed, need
        slot = meta[NEXT] % capacity
        index.session_key[slot] = key
        index.session_end[slot] = ends[number]
        place = _place_session(index, slot, length)
        for at in range(starts[number], starts[number + 1]):
            item = items[at]
            put_entry(index.pool, place, item)
            place += 1
            if len(index.item_clicks) > 0:
                index.item_clicks[item] += 1
            push(index, item, slot)
        meta[POOL_TAIL] = place + meta[POOL_BASE]
        meta[CLICKS] += length
        meta[NEXT] += 1
        insert_session(index, slot)
    return len(keys), DONE, n_freed, 0


@kernel
def remove_sessions(
    index: IndexArrays, key: np.uint64, whole_visitor: int, freed: Int32s
) -> tuple[int, int, int]:
    """Remove a session, or all of its visitor.

    Args:
        index: the arrays.
        key: identity of the session, or of any of the visitor's.
        whole_visitor: 1: all of the visitor's are meant; 0: this one.
        freed: out: items that lost their last session; room for one session's at least.

    Returns:
        How many sessions were removed, why it came back, how many items are in ``freed``. To be called again
        unless it is done.
    """
    table, keys, meta = index.key_table, index.session_key, index.meta
    removed, n_freed = 0, 0
    slot = 0  # the next to look at for a visitor's spilled sessions, which the table does not find
    while True:
        if not whole_visitor:
            at, _ = find_session(table, keys, key, meta[SPILLED])
        else:
            at = find_visitor(table, keys, key)
            while at < 0 and meta[SPILLED] and slot < len(keys):
                other = keys[slot]
                if other & _SPILLED and other >> _SHIFT == key >> _SHIFT:
                    at, _ = find_session(table, keys, other, meta[SPILLED])
                slot += 1
        if at < 0:
            break
        if n_freed + items_of(index.session_place, index.pool, meta[POOL_BASE], entry_at(table, at) - 1)[
            1
        ] > len(freed):
            return removed, FREED_FULL, n_freed
        n_freed = _let_go(index, at, freed, n_freed)
        removed += 1
        meta[REMOVED] += 1
    return removed, DONE, n_freed


@kernel
def count_clicks(index: IndexArrays) -> None:
    """Count the clicks of the held sessions in ``item_clicks``, which is all zero."""
    for number in range(index.meta[FIRST], index.meta[NEXT]):
        slot = number % len(index.session_key)
        if is_held(index, slot):
            place, length = items_of(index.session_place, index.pool, index.meta[POOL_BASE], slot)
            for step in range(place, place + length):
                index.item_clicks[item_at(index.pool, step)] += 1


@inner_kernel
def _let_go(index: IndexArrays, at: int, freed: Int32s, n_freed: int) -> int:
    """Take the session at a place of the table out; its slot is dead until all older ones have left."""
    meta, capacity = index.meta, len(index.session_key)
    slot = entry_at(index.key_table, at) - 1
    place, length = items_of(index.session_place, index.pool, meta[POOL_BASE], slot)
    for step in range(place, place + length):
        item = item_at(index.pool, step)
        if len(index.item_clicks) > 0:
            index.item_clicks[item] -= 1
        if take_out(index, item, slot):
            freed[n_freed] = item
            n_freed += 1
    remove_entry(index, at)
    index.session_key[slot] = 0
    meta[CLICKS] -= length
    meta[DEAD] += 1
    while meta[FIRST] < meta[NEXT] and not is_held(index, meta[FIRST] % capacity):
        meta[FIRST] += 1
        meta[DEAD] -= 1
    return n_freed


@inner_kernel
def _place_session(index: IndexArrays, slot: int, length: int) -> int:
    """Write where a new session's items are; the place in the pool of the first of them."""
    tail, number, code = index.meta[POOL_TAIL], slot & 3, min(length, ESCAPE)
    if number == 0:
        index.session_place[slot >> 2] = code << 32 | (tail & 0xFFFFFFFF)
    else:
        index.session_place[slot >> 2] |= code << (32 + 8 * number)
    place = tail - index.meta[POOL_BASE]
    if code == ESCAPE:
        put_entry(index.pool, place, length)
        place += 1
    return place
