"""Room in the index's arrays: what is in use is moved together before an array is made larger.

Each function gives back the arrays to go on with; those that it was given are void, because an array may
have been resized where it lies.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from core.arrays import (
    ARENA_TOP,
    FIRST,
    NEXT,
    POOL_BASE,
    POOL_TAIL,
    Bytes,
    IndexArrays,
    Packed,
    buffer_of,
    grown,
    packed,
)
from core.errors import InvalidParameterError
from core.kernels.arena import compact

#: The most entries of the pool and of the arena: their places are written in four bytes.
MOST_ENTRIES: Final = (1 << 32) - 1

#: Room beyond what is in use, as a part of it. Less room is full sooner, and then all of it is moved.
_SLACK: Final = 1 / 32

#: The part of the arena below its top that is no list's entry at most before the blocks are moved together.
_WASTE: Final = 0.08

_LEAST_SLACK: Final = 256

#: Bytes that are moved in one piece, so that little is copied beside them.
_PIECE: Final = 1 << 20


def with_room_in_pool(arrays: IndexArrays, need: int) -> IndexArrays:
    """Move the held items to the pool's beginning, and see that ``need`` more entries have room.

    Raises:
        InvalidParameterError: the held sessions have more clicks than can be numbered.
    """
    meta = arrays.meta
    base = head = int(meta[POOL_BASE])
    if meta[FIRST] < meta[NEXT] or meta[NEXT] % 4:
        # Four sessions share one start, so the oldest's whole group stays.
        start = int(arrays.session_place[meta[FIRST] % len(arrays.session_key) // 4])
        head += (start - base) & 0xFFFFFFFF
    else:
        head = int(meta[POOL_TAIL])
    held = int(meta[POOL_TAIL]) - head
    _move_down(buffer_of(arrays.pool), 3 * (head - base), 3 * held)
    meta[POOL_BASE] = head
    return arrays._replace(pool=_fitted(arrays.pool, held, need))


def with_room_in_arena(arrays: IndexArrays, need: int) -> IndexArrays:
    """See that ``need`` more entries have room; move the blocks of posting lists together if that frees much.

    Raises:
        InvalidParameterError: the posting lists have more entries than can be numbered.
    """
    used = int(arrays.meta[ARENA_TOP])
    if used - int(arrays.posting_count.sum(dtype=np.int64)) > used * _WASTE:
        items = np.flatnonzero(arrays.posting_count).astype(np.int32)
        order = items[np.argsort(arrays.posting_start[items])]
        compact(arrays, order, np.empty(arrays.posting_count.max(), np.int32))
    return arrays._replace(arena=_fitted(arrays.arena, int(arrays.meta[ARENA_TOP]), need))


def with_room_for_items(arrays: IndexArrays) -> IndexArrays:
    """Room for some items more."""
    items = len(arrays.posting_start)
    size = items + max(64, items // 32)
    return arrays._replace(
        posting_start=grown(arrays.posting_start, size),
        posting_ring=grown(arrays.posting_ring, size),
        posting_count=grown(arrays.posting_count, size),
        item_clicks=grown(arrays.item_clicks, size if len(arrays.item_clicks) else 0),
    )


def allocated_bytes(arrays: IndexArrays) -> int:
    """Bytes of all arrays as they are allocated, in use or not."""
    packed_ones = (arrays.key_table, arrays.pool, arrays.arena)
    others = (array for array in arrays if all(array is not one for one in packed_ones))
    return sum(buffer_of(one).nbytes for one in packed_ones) + sum(array.nbytes for array in others)


def _move_down(buffer: Bytes, by: int, length: int) -> None:
    """Move the bytes ``by`` … ``by + length`` to the beginning."""
    if by:
        for begin in range(0, length, _PIECE):
            end = min(begin + _PIECE, length)
            buffer[begin:end] = buffer[by + begin : by + end]


def _fitted(entries: Packed, used: int, need: int) -> Packed:
    """Room for ``need`` entries and some slack beyond the used ones; room that is far too large goes."""
    slack = max(_LEAST_SLACK, int(used * _SLACK))
    size, wanted = len(entries), used + need + slack
    if used + need + slack // 2 <= size <= wanted + wanted // 4 + _LEAST_SLACK:
        return entries
    if wanted > MOST_ENTRIES:
        raise InvalidParameterError(
            f"the held sessions need {wanted} places for their clicks, expected at most {MOST_ENTRIES}: "
            "use a smaller max_sessions"
        )
    buffer = buffer_of(entries)
    # The old view, and every copy of the arrays that has it, is void from here on.
    buffer.resize(3 * wanted + 1, refcheck=False)
    return packed(buffer)
