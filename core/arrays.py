"""The index as arrays: what they hold and how they are laid out; :mod:`core.index` owns them.

Each array is named here once, with its unit; the kernels take all of them as one named tuple.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeVar, cast

import numpy as np
import numpy.typing as npt

Scalar = TypeVar("Scalar", bound=np.generic)

Bytes = npt.NDArray[np.uint8]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
UInt32s = npt.NDArray[np.uint32]
UInt64s = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]

#: Entries of three bytes: a view that begins one every three bytes, and whose fourth byte is the next one's.
#: Read and written by :mod:`core.kernels.packed` only.
Packed = npt.NDArray[np.uint32]

#: Slots of the largest index: what three bytes can number, less the 0 that stands for none.
MOST_SLOTS: Final = (1 << 24) - 4

#: A session of more clicks than this is not indexed.
MAX_SESSION_CLICKS: Final = 10_000

# Places in `IndexArrays.meta`.
FIRST: Final = 0  # sequence number of the oldest session held; of the next to come where none is held
NEXT: Final = 1  # sequence number of the next session to come
DEAD: Final = 2  # sessions between the two that have been removed
REMOVED: Final = 3  # sessions ever removed
MOST: Final = 4  # sessions between the two at most
CLICKS: Final = 5  # clicks held
SPILLED: Final = 6  # sessions that are hashed by themselves, because their visitor has many
POOL_TAIL: Final = 7  # where the next session's items will begin, counted from the pool's birth
POOL_BASE: Final = 8  # what is to be subtracted from it to get a place in `pool`
ARENA_TOP: Final = 9  # first place of `arena` that no block uses
GARBAGE: Final = 10  # places below it that no list's block uses
FREE: Final = 11  # for each class of blocks 1 + where a free one is; 0: there is none
CLASSES: Final = 160
META_SIZE: Final = FREE + CLASSES

#: The byte in `IndexArrays.session_place` that says that the length stands in the pool.
ESCAPE: Final = 255


#: Of the pool and the arena. A view of fewer than two entries is of another type, to be compiled for anew.
_LEAST_ENTRIES: Final = 256


class IndexArrays(NamedTuple):
    """All of the index. S slots, I items at most.

    A session's *slot* is its sequence number modulo S. A posting list is a ring, in a block of the arena, of
    the slots of all sessions that hold the item, oldest first. What is written in three bytes is ``Packed``.

    ``session_place`` has 64 bits for four slots: the lower 32 are where the items of the first begin, counted
    from the pool's birth modulo 2**32; then a byte each, how many items it has. The others begin where the
    one before ends. Of :data:`ESCAPE` items or more, the byte says so and the number stands before the items.
    """

    meta: Int64s  # (META_SIZE,)
    session_key: UInt64s  # (S,) identity of session and visitor: see core.identity; 0: removed, or never used
    session_place: Int64s  # (S / 4,) where its items are in the pool
    session_end: UInt32s  # (S,) time of its last click, whole seconds since 1970
    key_table: Packed  # (more than S) 1 + slot, hashed by visitor, open addressing; 0 is empty
    pool: Packed  # (grows,) items of the sessions, one after the other
    arena: Packed  # (grows,) blocks of posting lists
    posting_start: UInt32s  # (I,) its block in the arena
    posting_ring: UInt32s  # (I,) upper 8 bits: class of the block; others: where its oldest entry is
    posting_count: Int32s  # (I,) sessions that hold the item
    item_clicks: Int32s  # (I,) clicks on the item in all of them; (0,): they are not counted


def new_arrays(sessions: int, items: int) -> IndexArrays:
    """Empty arrays for at most ``sessions`` sessions; what is never touched costs no resident memory."""
    # Four slots share a start, so the four oldest must have left before the first of them is used again.
    slots = (sessions + 3 + 3) // 4 * 4
    meta = np.zeros(META_SIZE, np.int64)
    meta[MOST] = sessions
    return IndexArrays(
        meta=meta,
        session_key=np.zeros(slots, np.uint64),
        session_place=np.zeros(slots // 4, np.int64),
        session_end=np.zeros(slots, np.uint32),
        key_table=packed(packed_buffer(slots + slots // 8 + 8)),
        pool=packed(packed_buffer(_LEAST_ENTRIES)),
        arena=packed(packed_buffer(_LEAST_ENTRIES)),
        posting_start=np.zeros(items, np.uint32),
        posting_ring=np.zeros(items, np.uint32),
        posting_count=np.zeros(items, np.int32),
        item_clicks=np.zeros(0, np.int32),
    )


def packed_buffer(entries: int) -> Bytes:
    """Room for so many entries of three bytes; one byte more, because the last is read as four."""
    return np.zeros(3 * entries + 1, np.uint8)


def packed(buffer: Bytes) -> Packed:
    """The entries of a buffer. The view is worth nothing once the buffer has been resized."""
    return np.ndarray((len(buffer) // 3,), np.uint32, buffer, strides=(3,))


def buffer_of(entries: Packed) -> Bytes:
    """The buffer that entries are a view of."""
    return cast("Bytes", entries.base)


def grown(array: npt.NDArray[Scalar], size: int, fill: int = 0) -> npt.NDArray[Scalar]:
    """A copy of the array with ``size`` places, the new ones filled."""
    larger = np.zeros(size, array.dtype)
    if fill:
        larger[:] = fill
    larger[: len(array)] = array
    return larger
