"""Kernels that keep the index: a session in, the oldest out, each in time proportional to the session."""

from __future__ import annotations

from typing import Final

import numpy as np

from core.arrays import (
    ARENA_TOP,
    CLICKS,
    FIRST,
    FREE,
    NEXT,
    POOL_BASE,
    POOL_HEAD,
    POOL_TAIL,
    Floats,
    IndexArrays,
    Int32s,
    Int64s,
)
from core.compiled import inner_kernel, kernel
from core.posting_kernels import newest_session, oldest_session

#: Why `add_sessions` came back before the end of its batch.
DONE: Final = 0
POOL_FULL: Final = 1
ARENA_FULL: Final = 2

_SMALLEST_CLASS: Final = 1
_HASH: Final = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: Fibonacci hashing, Knuth vol. 3, 6.4


@kernel
def add_sessions(
    index: IndexArrays,
    keys: Int64s,
    items: Int32s,
    starts: Int64s,
    ends: Floats,
    begin: int,
    freed: Int32s,
) -> tuple[int, int, int]:
    """Add sessions ``begin`` to the end of a batch, evicting the oldest where the index is full.

    Args:
        index: the arrays.
        keys: (n,) identity of each session; one that is held already is skipped.
        items: items of all sessions, one after the other.
        starts: (n + 1,) where each session's items begin.
        ends: (n,) time of each session's last click, seconds.
        begin: the first session to add.
        freed: out: items that lost their last session at some moment; room for all clicks that are held.

    Returns:
        How many sessions are dealt with, why it came back, how many items are in ``freed``.
    """
    capacity = len(index.session_key)
    meta = index.meta
    n_freed = 0
    for number in range(begin, len(keys)):
        if _find(index, keys[number]) >= 0:
            continue
        length = starts[number + 1] - starts[number]
        if meta[POOL_TAIL] - meta[POOL_BASE] + length > len(index.pool):
            return number, POOL_FULL, n_freed
        if meta[NEXT] - meta[FIRST] == capacity:
            n_freed = _evict_oldest(index, freed, n_freed)
        if not _arena_has_room(index, items, starts[number], starts[number + 1]):
            return number, ARENA_FULL, n_freed
        slot = meta[NEXT] % capacity
        index.session_key[slot] = keys[number]
        index.session_start[slot] = meta[POOL_TAIL]
        index.session_length[slot] = length
        index.session_end[slot] = ends[number]
        place = meta[POOL_TAIL] - meta[POOL_BASE]
        for at in range(starts[number], starts[number + 1]):
            item = items[at]
            index.pool[place] = item
            place += 1
            index.item_clicks[item] += 1
            _push(index, item, slot)
        meta[POOL_TAIL] += length
        meta[CLICKS] += length
        meta[NEXT] += 1
        _insert_key(index, keys[number], slot)
    return len(keys), DONE, n_freed


@inner_kernel
def _evict_oldest(index: IndexArrays, freed: Int32s, n_freed: int) -> int:
    meta = index.meta
    slot = meta[FIRST] % len(index.session_key)
    place = index.session_start[slot] - meta[POOL_BASE]
    length = index.session_length[slot]
    for at in range(place, place + length):
        item = index.pool[at]
        index.item_clicks[item] -= 1
        # A session stands once in a posting list however often it holds the item.
        if index.posting_count[item] and oldest_session(index, item) == slot:
            _pop(index, item)
            if index.posting_count[item] == 0:
                freed[n_freed] = item
                n_freed += 1
    _remove_key(index, index.session_key[slot])
    meta[CLICKS] -= length
    meta[FIRST] += 1
    meta[POOL_HEAD] += length
    return n_freed


@inner_kernel
def _push(index: IndexArrays, item: int, slot: int) -> None:
    count = index.posting_count[item]
    if count and newest_session(index, item) == slot:
        return
    if index.posting_class[item] < 0:
        _move(index, item, _SMALLEST_CLASS)
    elif count == 1 << index.posting_class[item]:
        _move(index, item, index.posting_class[item] + 1)
    size = 1 << index.posting_class[item]
    tail = (index.posting_head[item] + count) & (size - 1)
    index.arena[index.posting_start[item] + tail] = slot
    index.posting_count[item] = count + 1


@inner_kernel
def _pop(index: IndexArrays, item: int) -> None:
    size = 1 << index.posting_class[item]
    index.posting_head[item] = (index.posting_head[item] + 1) & (size - 1)
    index.posting_count[item] -= 1
    if index.posting_count[item] == 0:
        _free(index, index.posting_start[item], index.posting_class[item])
        index.posting_class[item] = -1
        index.posting_head[item] = 0


@inner_kernel
def _move(index: IndexArrays, item: int, block_class: int) -> None:
    """Give an item's posting list a block of another size."""
    old_class, old_start, head = (
        index.posting_class[item],
        index.posting_start[item],
        index.posting_head[item],
    )
    start = index.meta[FREE + block_class]
    if start >= 0:
        index.meta[FREE + block_class] = index.arena[start]
    else:
        start = index.meta[ARENA_TOP]
        index.meta[ARENA_TOP] += 1 << block_class
    if old_class >= 0:
        mask = (1 << old_class) - 1
        for at in range(index.posting_count[item]):
            index.arena[start + at] = index.arena[old_start + ((head + at) & mask)]
        _free(index, old_start, old_class)
    index.posting_start[item] = start
    index.posting_class[item] = block_class
    index.posting_head[item] = 0


@inner_kernel
def _free(index: IndexArrays, start: int, block_class: int) -> None:
    index.arena[start] = index.meta[FREE + block_class]
    index.meta[FREE + block_class] = start


@inner_kernel
def _arena_has_room(index: IndexArrays, items: Int32s, begin: int, end: int) -> bool:
    """Whether a session's items can be pushed even if no free block fits any of them."""
    need = 0
    for at in range(begin, end):
        item = items[at]
        if index.posting_class[item] < 0:
            need += 1 << _SMALLEST_CLASS
        elif index.posting_count[item] == 1 << index.posting_class[item]:
            need += 2 << index.posting_class[item]
    return index.meta[ARENA_TOP] + need <= len(index.arena)


@inner_kernel
def _home(index: IndexArrays, key: int) -> int:
    mixed = np.uint64(key) * _HASH
    return np.int64((mixed >> np.uint64(20)) & np.uint64(len(index.key_table) - 1))


@inner_kernel
def _find(index: IndexArrays, key: int) -> int:
    """Place of a key in the table, or -1."""
    mask = len(index.key_table) - 1
    at = _home(index, key)
    while index.key_table[at] >= 0:
        if index.session_key[index.key_table[at]] == key:
            return at
        at = (at + 1) & mask
    return -1


@inner_kernel
def _insert_key(index: IndexArrays, key: int, slot: int) -> None:
    mask = len(index.key_table) - 1
    at = _home(index, key)
    while index.key_table[at] >= 0:
        at = (at + 1) & mask
    index.key_table[at] = slot


@inner_kernel
def _remove_key(index: IndexArrays, key: int) -> None:
    """Take a key out and close the gap (deletion with linear probing, Knuth vol. 3, 6.4, algorithm R)."""
    mask = len(index.key_table) - 1
    gap = _find(index, key)
    at = gap
    while True:
        at = (at + 1) & mask
        if index.key_table[at] < 0:
            break
        home = _home(index, index.session_key[index.key_table[at]])
        if ((at - home) & mask) >= ((at - gap) & mask):
            index.key_table[gap] = index.key_table[at]
            gap = at
    index.key_table[gap] = -1
