"""The index of closed sessions: grows as sessions close, forgets the oldest, bounded in memory.

Two indexes that were given the same sessions in the same order answer the same, bit for bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from core.arrays import (
    CLICKS,
    FIRST,
    NEXT,
    POOL_BASE,
    POOL_HEAD,
    POOL_TAIL,
    Floats,
    IndexArrays,
    Int32s,
    Int64s,
    grown,
    new_arrays,
)
from core.errors import InvalidParameterError
from core.sessions import ClosedSession
from core.upkeep_kernels import ARENA_FULL, DONE, POOL_FULL, add_sessions

#: A session of more clicks than this is not indexed.
MAX_SESSION_CLICKS: Final = 10_000

#: The largest index.
MOST_SESSIONS: Final = 100_000_000

#: Sessions of numbered items that are taken in hand together.
_NUMBERED_AT_ONCE: Final = 65_536

_OFFSET_BITS: Final = 48
_MAX_PARTITION: Final = 1 << 14


class SessionIndex:
    """Closed sessions in arrays, and the names of their items.

    Args:
        max_sessions: sessions held at most, 1 to 100,000,000; the oldest leaves first.

    Raises:
        InvalidParameterError: ``max_sessions`` is out of its range.
    """

    def __init__(self, max_sessions: int) -> None:
        if not 1 <= max_sessions <= MOST_SESSIONS:
            raise InvalidParameterError(f"max_sessions is {max_sessions}, expected 1 to {MOST_SESSIONS}")
        self.arrays: IndexArrays = new_arrays(max_sessions, 1024)
        self.names: list[str] = []  # item id -> name
        self.ids: dict[str, int] = {}  # name -> item id
        self._free_ids: list[int] = []

    @property
    def sessions(self) -> int:
        """Sessions held."""
        return int(self.arrays.meta[NEXT] - self.arrays.meta[FIRST])

    @property
    def added(self) -> int:
        """Sessions ever added."""
        return int(self.arrays.meta[NEXT])

    @property
    def changes(self) -> int:
        """Sessions ever added or removed: another number exactly when the index is another."""
        return self.added

    @property
    def clicks(self) -> int:
        """Clicks held."""
        return int(self.arrays.meta[CLICKS])

    @property
    def items(self) -> int:
        """Items that at least one held session has."""
        return len(self.ids)

    @property
    def max_sessions(self) -> int:
        """Sessions held at most."""
        return len(self.arrays.session_key)

    @property
    def slots(self) -> int:
        """Places for sessions, at least ``max_sessions``; every slot is a number below it."""
        return len(self.arrays.session_key)

    @property
    def bytes(self) -> int:
        """Bytes of the arrays that are in use (all arrays, names of items not counted)."""
        arrays, meta = self.arrays, self.arrays.meta
        a_session = sum(array.itemsize for array in arrays[1:5])
        an_item = sum(array.itemsize for array in arrays[8:])
        held_sessions = min(int(meta[NEXT]), self.max_sessions)
        return int(
            held_sessions * a_session
            + arrays.key_table.nbytes
            + arrays.pool.nbytes
            + arrays.arena.nbytes
            + len(self.names) * an_item
        )

    def add(self, sessions: Iterable[ClosedSession]) -> int:
        """Add closed sessions in their order.

        Overlong sessions, empty ones, ones of more than :data:`MAX_SESSION_CLICKS` clicks and ones whose id
        is held already are left out.

        Returns:
            How many were added.
        """
        batch = [s for s in sessions if not s.overlong and 0 < len(s.items) <= MAX_SESSION_CLICKS]
        return self._add([session_key(s.session) for s in batch], batch) if batch else 0

    def _add(self, keys: Sequence[int], batch: Sequence[ClosedSession]) -> int:
        items = np.array([self._id(item) for s in batch for item in s.items], np.int32)
        starts = np.zeros(len(batch) + 1, np.int64)
        np.cumsum([len(s.items) for s in batch], out=starts[1:])
        ends = np.array([s.end / 1000 for s in batch], np.float64)
        return self._add_arrays(np.array(keys, np.int64), items, starts, ends)

    def add_numbered(self, items: Int32s, starts: Int64s, ends_s: Floats) -> int:
        """Add sessions of numbered items, as a benchmark makes them: item ``n`` has the name ``str(n)``.

        The sessions have no visitor, and the ids ``0-n`` where n counts the sessions ever added.

        Args:
            items: items of all sessions, one after the other, each 0 or larger.
            starts: (sessions + 1,) where each session's items begin, and where the last one's end; every
                session has 1 to :data:`MAX_SESSION_CLICKS`.
            ends_s: (sessions,) time of each session's last click, seconds.

        Returns:
            How many were added.

        Raises:
            InvalidParameterError: a session is empty or longer than the bound.
        """
        lengths = np.diff(starts)
        if len(lengths) and not 1 <= lengths.min() <= lengths.max() <= MAX_SESSION_CLICKS:
            raise InvalidParameterError(
                f"a session has {lengths.min()} clicks and one {lengths.max()}, "
                f"expected 1 to {MAX_SESSION_CLICKS}"
            )
        before = self.added
        for begin in range(0, len(lengths), _NUMBERED_AT_ONCE):
            part = slice(begin, begin + _NUMBERED_AT_ONCE)
            its_starts = starts[begin : begin + _NUMBERED_AT_ONCE + 1]
            numbers, first, place = np.unique(
                items[its_starts[0] : its_starts[-1]], return_index=True, return_inverse=True
            )
            ids = np.empty(len(numbers), np.int32)
            for at in np.argsort(first).tolist():  # ids are given in the order in which items come
                ids[at] = self._id(str(numbers[at]))
            keys = np.arange(self.added, self.added + len(ends_s[part]), dtype=np.int64)
            self._add_arrays(keys, ids[place], its_starts - its_starts[0], ends_s[part])
        return self.added - before

    def _add_arrays(self, keys: Int64s, items: Int32s, starts: Int64s, ends: Floats) -> int:
        before = self.added
        freed = np.empty(self.clicks + len(items), np.int32)
        done, lost = 0, set(items.tolist())
        while True:
            done, why, n_freed = add_sessions(self.arrays, keys, items, starts, ends, done, freed)
            lost.update(freed[:n_freed].tolist())
            if why == DONE:
                break
            if why == POOL_FULL:
                self._make_room_in_pool(int(starts[done + 1] - starts[done]))
            elif why == ARENA_FULL:
                self._grow_arena()
        self._recycle(lost)
        return self.added - before

    def _id(self, name: str) -> int:
        known = self.ids.get(name)
        if known is not None:
            return known
        if self._free_ids:
            new = self._free_ids.pop()
            self.names[new] = name
        else:
            new = len(self.names)
            self.names.append(name)
            if new == len(self.arrays.posting_start):
                self._grow_items()
        self.ids[name] = new
        return new

    def _recycle(self, candidates: Iterable[int]) -> None:
        """Give back the ids of items that no session holds, in an order that is the same everywhere."""
        counts = self.arrays.posting_count
        for item in sorted(candidates):
            if counts[item] == 0 and self.ids.get(self.names[item]) == item:
                del self.ids[self.names[item]]
                self.names[item] = ""
                self._free_ids.append(item)

    def _make_room_in_pool(self, need: int) -> None:
        """Move the held items to the pool's beginning; into a larger pool when they fill over half of it."""
        arrays, meta = self.arrays, self.arrays.meta
        head, tail, base = int(meta[POOL_HEAD]), int(meta[POOL_TAIL]), int(meta[POOL_BASE])
        held, size = tail - head, len(arrays.pool)
        while held + need > size // 2:
            size *= 2
        pool = np.zeros(size, np.int32)
        pool[:held] = arrays.pool[head - base : tail - base]
        meta[POOL_BASE] = head
        self.arrays = arrays._replace(pool=pool)

    def _grow_arena(self) -> None:
        arena = self.arrays.arena
        self.arrays = self.arrays._replace(arena=grown(arena, 2 * len(arena)))

    def _grow_items(self) -> None:
        arrays, size = self.arrays, 2 * len(self.arrays.posting_start)
        self.arrays = arrays._replace(
            posting_start=grown(arrays.posting_start, size),
            posting_class=grown(arrays.posting_class, size, -1),
            posting_head=grown(arrays.posting_head, size),
            posting_count=grown(arrays.posting_count, size),
            item_clicks=grown(arrays.item_clicks, size),
        )


def session_key(session: str) -> int:
    """A 64-bit key of a session id: exact for ``partition-offset``, a hash for what others wrote."""
    partition, _, offset = session.partition("-")
    if partition.isascii() and partition.isdigit() and offset.isascii() and offset.isdigit():
        p, o = int(partition[:9]), int(offset[:18])
        if p < _MAX_PARTITION and o < 1 << _OFFSET_BITS and session == f"{p}-{o}":
            return p << _OFFSET_BITS | o
    digest = hashlib.blake2b(session.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True) | -(1 << 63)
