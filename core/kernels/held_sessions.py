"""Kernels that read a held session: where its items are, how old it is, how many there are."""

from __future__ import annotations

import numpy as np

from core.arrays import DEAD, ESCAPE, FIRST, NEXT, IndexArrays, Int64s, Packed, UInt32s
from core.kernels.compiled import inner_kernel
from core.kernels.packed import entry_at


@inner_kernel
def held_sessions(index: IndexArrays) -> int:
    """How many sessions are held."""
    return index.meta[NEXT] - index.meta[FIRST] - index.meta[DEAD]


@inner_kernel
def is_held(index: IndexArrays, slot: int) -> bool:
    """Whether the session in a slot between the oldest and the newest is held, not removed."""
    return index.session_key[slot] != 0


@inner_kernel
def items_of(places: Int64s, pool: Packed, base: int, slot: int) -> tuple[int, int]:
    """Where a session's items begin in the pool, for :func:`item_at`, and how many there are.

    Args:
        places: ``session_place`` of the index.
        pool: of the index.
        base: ``meta[POOL_BASE]`` of the index; read once by the caller, not again for each session.
        slot: of the session.
    """
    word = places[slot >> 2]
    place = (word - base) & 0xFFFFFFFF
    codes = (word >> 32) & 0xFFFFFFFF
    # Is any of the four bytes 255? Adding 1 to its low seven bits then sets the high one, which was set.
    if ((codes & 0x7F7F7F7F) + 0x01010101) & codes & 0x80808080:
        return _long_items_of(pool, place, codes, slot & 3)
    shift = 8 * (slot & 3)
    before = codes & ((1 << shift) - 1)
    pairs = (before & 0x00FF00FF) + ((before >> 8) & 0x00FF00FF)
    return place + ((pairs + (pairs >> 16)) & 0xFFFF), (codes >> shift) & 0xFF


@inner_kernel
def _long_items_of(pool: Packed, place: int, codes: int, number: int) -> tuple[int, int]:
    """The same where the length of one of the group's sessions stands in the pool."""
    for _ in range(number):
        code = codes & 0xFF
        place += code if code < ESCAPE else 1 + entry_at(pool, place)
        codes >>= 8
    length = codes & 0xFF
    if length == ESCAPE:
        return place + 1, entry_at(pool, place)
    return place, length


@inner_kernel
def item_at(pool: Packed, place: int) -> int:
    """The item at a place of the pool."""
    return entry_at(pool, place)


@inner_kernel
def end_of(ends: UInt32s, slot: int) -> int:
    """Time of a session's last click, whole seconds since 1970, 0 to 2**32 - 1; ``ends`` is the index's."""
    return np.int64(ends[slot])


@inner_kernel
def capacity_of(index: IndexArrays) -> int:
    """How many slots there are."""
    return len(index.session_end)


@inner_kernel
def newest_slot(index: IndexArrays) -> int:
    """Slot of the newest session, which may have been removed since: for :func:`age_of` only."""
    return (index.meta[NEXT] - 1) % capacity_of(index)


@inner_kernel
def age_of(slot: int, newest: int, capacity: int) -> int:
    """How many sessions have come since the one in this slot; ``newest`` is :func:`newest_slot`."""
    age = newest - slot
    return age if age >= 0 else age + capacity
