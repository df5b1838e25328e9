"""Kernels that read a held session: where its items are, how old it is, how many there are."""

from __future__ import annotations

from core.arrays import FIRST, NEXT, POOL_BASE, IndexArrays, Int32s
from core.compiled import inner_kernel


@inner_kernel
def held_sessions(index: IndexArrays) -> int:
    """How many sessions are held."""
    return index.meta[NEXT] - index.meta[FIRST]


@inner_kernel
def items_of(index: IndexArrays, slot: int) -> tuple[int, int]:
    """Where a session's items begin in the pool, for :func:`item_at`, and how many there are."""
    return index.session_start[slot] - index.meta[POOL_BASE], index.session_length[slot]


@inner_kernel
def item_at(pool: Int32s, place: int) -> int:
    """The item at a place of the pool."""
    return pool[place]


@inner_kernel
def end_of(index: IndexArrays, slot: int) -> float:
    """Time of a session's last click, seconds."""
    return index.session_end[slot]


@inner_kernel
def capacity_of(index: IndexArrays) -> int:
    """How many slots there are."""
    return len(index.session_end)


@inner_kernel
def newest_slot(index: IndexArrays) -> int:
    """Slot of the newest session."""
    return (index.meta[NEXT] - 1) % capacity_of(index)


@inner_kernel
def age_of(slot: int, newest: int, capacity: int) -> int:
    """How many sessions have come since the one in this slot; ``newest`` is :func:`newest_slot`."""
    age = newest - slot
    return age if age >= 0 else age + capacity


@inner_kernel
def clicks_of_item(index: IndexArrays, item: int) -> int:
    """How many clicks of the held sessions are on the item."""
    return index.item_clicks[item]
