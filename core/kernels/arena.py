"""Kernels that change posting lists, and keep their blocks together in the arena.

A list that has outgrown its block takes one of the next size: one that another list has left, or new room at
the arena's top. A block that was left holds, in two entries, where the next of its size is; one entry has no
room for that and is lost, until :func:`compact` moves all blocks down.
"""

from __future__ import annotations

import numpy as np

from core.arrays import ARENA_TOP, FREE, GARBAGE, IndexArrays, Int32s, Int64s, Packed
from core.kernels.compiled import inner_kernel, kernel
from core.kernels.held_sessions import age_of, newest_slot
from core.kernels.packed import entry_at, put_entry
from core.kernels.postings import BLOCK_SIZES, block_of, class_of, newest_session, slot_at


@inner_kernel
def push(index: IndexArrays, item: int, slot: int) -> None:
    """Put the newest session at the end of an item's list, once, however often it holds the item.

    :func:`reserve` must have found room.
    """
    count = index.posting_count[item]
    if count == 0:
        index.posting_start[item] = index.meta[ARENA_TOP]
        index.posting_ring[item] = 0
        index.meta[ARENA_TOP] += BLOCK_SIZES[0]
    elif newest_session(index, item) == slot:
        return
    start, size, head = block_of(index, item)
    tail = head + count
    put_entry(index.arena, start + (tail if tail < size else tail - size), slot)
    index.posting_count[item] = count + 1


@inner_kernel
def take_out(index: IndexArrays, item: int, slot: int) -> bool:
    """Take a session out of an item's list.

    The oldest is found at once; another by its age in log2 of the length steps, then the shorter side of the
    list moves up by one.

    Returns:
        Whether this was the item's last session. False where the session is not in the list (any more).
    """
    count = index.posting_count[item]
    if count == 0:
        return False
    start, size, head = block_of(index, item)
    if slot_at(index.arena, start + head) == slot:
        at = 0
    else:
        newest, capacity = newest_slot(index), len(index.session_key)
        at = _find_in_ring(index.arena, start, size, head, count, slot, newest, capacity)
        if at < 0:
            return False
    place, last = (head + at) % size, (head + count - 1) % size
    if 2 * at < count:
        if place < head:
            _move_up(index.arena, start, start + place)
            put_entry(index.arena, start, entry_at(index.arena, start + size - 1))
            place = size - 1
        _move_up(index.arena, start + head, start + place)
        head = head + 1 if head + 1 < size else 0
        index.posting_ring[item] = class_of(index, item) << 24 | head
    else:
        if place > last:
            _move_down(index.arena, start + place, start + size - 1)
            put_entry(index.arena, start + size - 1, entry_at(index.arena, start))
            place = 0
        _move_down(index.arena, start + place, start + last)
    index.posting_count[item] = count - 1
    if count > 1:
        return False
    _leave_block(index.arena, index.meta, start, class_of(index, item))
    return True


@inner_kernel
def _find_in_ring(
    arena: Packed, start: int, size: int, head: int, count: int, slot: int, newest: int, capacity: int
) -> int:
    """Where a session is in a list, 0 for the oldest; -1: it is not there."""
    age = age_of(slot, newest, capacity)
    low, high = 0, count - 1
    while low < high:
        middle = (low + high) // 2
        if age_of(slot_at(arena, start + (head + middle) % size), newest, capacity) > age:
            low = middle + 1
        else:
            high = middle
    return low if slot_at(arena, start + (head + low) % size) == slot else -1


@inner_kernel
def _move_up(arena: Packed, begin: int, end: int) -> None:
    """Move the entries ``begin`` up to ``end`` to the next place each, over the one at ``end``.

    Each is written together with the byte above it, which is known: reading that back from what has just been
    written would make the processor wait.
    """
    above = np.int64(arena[end]) & 0xFF000000
    for place in range(end, begin, -1):
        entry = entry_at(arena, place - 1)
        arena[place] = above | entry
        above = (entry & 0xFF) << 24


@inner_kernel
def _move_down(arena: Packed, begin: int, end: int) -> None:
    """Move the entries behind ``begin`` up to ``end`` to the place before each, over the one at ``begin``."""
    for place in range(begin, end - 1):
        arena[place] = arena[place + 1]  # the byte above it is written right by the next
    if begin < end:
        put_entry(arena, end - 1, entry_at(arena, end))


@inner_kernel
def reserve(index: IndexArrays, items: Int32s, begin: int, end: int) -> int:
    """See that a session with these items can be pushed.

    Returns:
        0, or how many places are needed at the arena's top.
    """
    new = _unheld(index.posting_count, items, begin, end) * BLOCK_SIZES[0]
    for at in range(begin, end):
        item = items[at]
        count = index.posting_count[item]
        if count > 0 and count == BLOCK_SIZES[class_of(index, item)]:
            block_class = class_of(index, item) + 1
            start = _take_block(index.arena, index.meta, block_class)
            if start < 0:
                return _places_needed(index, items, begin, end)
            old, size, head = block_of(index, item)
            _copy_ring(index.arena, old, size, head, start)
            _leave_block(index.arena, index.meta, old, block_class - 1)
            index.posting_start[item] = start
            index.posting_ring[item] = block_class << 24
    return _places_needed(index, items, begin, end) if index.meta[ARENA_TOP] + new > len(index.arena) else 0


@inner_kernel
def _unheld(counts: Int32s, items: Int32s, begin: int, end: int) -> int:
    """How many of the items no session holds, however often each is there."""
    found = 0
    for at in range(begin, end):
        if counts[items[at]] == 0:
            counts[items[at]] = -1  # seen
            found += 1
    for at in range(begin, end):
        if counts[items[at]] == -1:
            counts[items[at]] = 0
    return found


@inner_kernel
def _places_needed(index: IndexArrays, items: Int32s, begin: int, end: int) -> int:
    """The most places that a session with these items takes at the arena's top once blocks were compacted.

    All of them, not those of the item that found no room: :func:`compact` cuts the blocks again that have
    grown for the items before it, so asking for one item's room at a time might never come to an end.
    """
    counts = index.posting_count
    places = 0
    for at in range(begin, end):
        count = counts[items[at]]
        if count < 0:
            continue
        block_class = 0
        while BLOCK_SIZES[block_class] < count:
            block_class += 1
        if count == 0:
            places += BLOCK_SIZES[0]
        elif count == BLOCK_SIZES[block_class]:
            places += BLOCK_SIZES[block_class + 1]
        counts[items[at]] = -1 - count  # seen
    for at in range(begin, end):
        if counts[items[at]] < 0:
            counts[items[at]] = -1 - counts[items[at]]
    return places


@inner_kernel
def _take_block(arena: Packed, meta: Int64s, block_class: int) -> int:
    """Where a block begins that is free from now on for the caller; -1: there is none, and no room."""
    start = meta[FREE + block_class] - 1
    if start >= 0:
        meta[FREE + block_class] = entry_at(arena, start) | entry_at(arena, start + 1) << 24
        meta[GARBAGE] -= BLOCK_SIZES[block_class]
    elif meta[ARENA_TOP] + BLOCK_SIZES[block_class] <= len(arena):
        start = meta[ARENA_TOP]
        meta[ARENA_TOP] += BLOCK_SIZES[block_class]
    return start


@inner_kernel
def _leave_block(arena: Packed, meta: Int64s, start: int, block_class: int) -> None:
    """Give a block back."""
    if block_class > 0:
        put_entry(arena, start, meta[FREE + block_class] & 0xFFFFFF)
        put_entry(arena, start + 1, meta[FREE + block_class] >> 24)
        meta[FREE + block_class] = 1 + start
    meta[GARBAGE] += BLOCK_SIZES[block_class]


@inner_kernel
def _copy_ring(arena: Packed, start: int, size: int, head: int, to: int) -> None:
    """Copy a full ring, oldest first."""
    for at in range(head, size):
        put_entry(arena, to, entry_at(arena, start + at))
        to += 1
    for at in range(head):
        put_entry(arena, to, entry_at(arena, start + at))
        to += 1


@kernel
def compact(index: IndexArrays, items: Int32s, room: Int32s) -> None:
    """Move all blocks down, each to the end of the one before, and cut them to their lists' lengths.

    Args:
        index: the arrays.
        items: items that have a list, in the order of their blocks in the arena. A block never gets larger,
            so none is written where another is still to be read.
        room: to work in; as long as the longest list.
    """
    top = 0
    for number in range(len(items)):
        item = items[number]
        start, size, head = block_of(index, item)
        count = index.posting_count[item]
        for at in range(count):
            place = head + at
            room[at] = entry_at(index.arena, start + (place if place < size else place - size))
        block_class = class_of(index, item)
        while block_class > 0 and BLOCK_SIZES[block_class - 1] >= count:
            block_class -= 1
        for at in range(count):
            put_entry(index.arena, top + at, room[at])
        index.posting_start[item] = top
        index.posting_ring[item] = block_class << 24
        top += BLOCK_SIZES[block_class]
    index.meta[ARENA_TOP] = top
    index.meta[GARBAGE] = 0
    index.meta[FREE:] = 0
