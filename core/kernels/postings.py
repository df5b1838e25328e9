"""Kernels that read a posting list: a ring of slots, oldest first, in the item's block of the arena.

To walk a list from its newest entry::

    start, size, at, count = newest_posting(index, item)
    for _ in range(min(count, m)):
        slot = slot_at(index.arena, start + at)
        at = at - 1 if at > 0 else size - 1
"""

from __future__ import annotations

from typing import Final

import numpy as np

from core.arrays import MOST_SLOTS, IndexArrays, Int64s, Packed
from core.kernels.compiled import inner_kernel
from core.kernels.packed import entry_at


def _block_sizes() -> Int64s:
    """Each larger than the one before by an eighth, so that a list fills 94 % of its block on average."""
    sizes = [1]
    while sizes[-1] < MOST_SLOTS:
        sizes.append(min(MOST_SLOTS, sizes[-1] + max(1, sizes[-1] // 8)))
    return np.array(sizes, np.int64)


#: How many entries a block holds, by its class.
BLOCK_SIZES: Final = _block_sizes()


@inner_kernel
def block_of(index: IndexArrays, item: int) -> tuple[int, int, int]:
    """Where an item's block starts in the arena, its size, and where in it the oldest entry is."""
    ring = np.int64(index.posting_ring[item])
    return np.int64(index.posting_start[item]), BLOCK_SIZES[ring >> 24], ring & 0xFFFFFF


@inner_kernel
def class_of(index: IndexArrays, item: int) -> int:
    """The class of an item's block: its size is ``BLOCK_SIZES[class]``."""
    return np.int64(index.posting_ring[item]) >> 24


@inner_kernel
def newest_posting(index: IndexArrays, item: int) -> tuple[int, int, int, int]:
    """Where an item's block starts, its size, the place of its newest entry in it, and how many there are."""
    start, size, head = block_of(index, item)
    count = index.posting_count[item]
    at = head + count - 1
    return start, size, at if at < size else at - size, count


@inner_kernel
def slot_at(arena: Packed, place: int) -> int:
    """The slot at a place of the arena."""
    return entry_at(arena, place)


@inner_kernel
def nth_newest_session(index: IndexArrays, item: int, n: int) -> int:
    """Slot of the n-th newest session that holds the item, from 1; so many must."""
    start, size, at, _ = newest_posting(index, item)
    at -= n - 1
    return slot_at(index.arena, start + (at if at >= 0 else at + size))


@inner_kernel
def newest_session(index: IndexArrays, item: int) -> int:
    """Slot of the newest session that holds the item; at least one must."""
    start, _, at, _ = newest_posting(index, item)
    return slot_at(index.arena, start + at)
