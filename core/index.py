"""The index of closed sessions: grows as sessions close, forgets the oldest, bounded in memory.

Two indexes that were given the same sessions in the same order answer the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from core.arrays import (
    CLICKS,
    DEAD,
    FIRST,
    MAX_SESSION_CLICKS,
    MOST,
    NEXT,
    REMOVED,
    Floats,
    IndexArrays,
    Int32s,
    Int64s,
    UInt32s,
    UInt64s,
    new_arrays,
)
from core.errors import InvalidParameterError
from core.identity import identities, session_key, visitor_key
from core.kernels.upkeep import ARENA_FULL, DONE, POOL_FULL, add_sessions, count_clicks, remove_sessions
from core.name_texts import NameTexts
from core.storage import allocated_bytes, with_room_for_items, with_room_in_arena, with_room_in_pool
from core.window.forgetting import Forgotten, Memory
from core.window.sessions import ClosedSession

#: The largest index: a session's slot is written in three bytes.
MOST_SESSIONS: Final = 16_000_000

#: The most items of all held sessions together: an item's id is written in three bytes.
MOST_ITEMS: Final = 16_777_215

_LATEST_END_S: Final = (1 << 32) - 1

#: Sessions of numbered items that are taken in hand together.
_NUMBERED_AT_ONCE: Final = 65_536

#: Items that a kernel can report as freed before it must come back; at least one session's.
_FREED_ROOM: Final = 2 * MAX_SESSION_CLICKS


class SessionIndex:
    """Closed sessions in arrays, and the names of their items.

    Args:
        max_sessions: sessions held at most, 1 to 16,000,000; the oldest leaves first. A session that was
            removed counts until all older ones have left.
        max_items: items held at most, 1 to 16,777,215; those of a batch count while it is added, and so do
            those of the sessions that leave for it.

    Raises:
        InvalidParameterError: an argument is no whole number, or out of its range.
    """

    def __init__(self, max_sessions: int, max_items: int = MOST_ITEMS) -> None:
        for name, value, most in (
            ("max_sessions", max_sessions, MOST_SESSIONS),
            ("max_items", max_items, MOST_ITEMS),
        ):
            given: object = value  # which a caller may have of any kind
            whole = isinstance(given, int | np.integer) and not isinstance(given, bool)
            if not whole or not 1 <= value <= most:
                raise InvalidParameterError(f"{name} is {value!r}, expected a whole number from 1 to {most}")
        #: Good until the index changes: some of them are then elsewhere in memory.
        self.arrays: IndexArrays = new_arrays(int(max_sessions), 64)
        self.names: list[str] = []  # item id -> name
        self.ids: dict[str, int] = {}  # name -> item id
        self.max_items = int(max_items)
        self.free_ids: list[int] = []  # ids that no name has; the last is given next
        self.forgotten = Memory()
        #: The names as JSON, once :meth:`write_names` has asked for them.
        self.name_texts: NameTexts | None = None

    @property
    def sessions(self) -> int:
        """Sessions held."""
        return int(self.arrays.meta[NEXT] - self.arrays.meta[FIRST] - self.arrays.meta[DEAD])

    @property
    def added(self) -> int:
        """Sessions ever added."""
        return int(self.arrays.meta[NEXT])

    @property
    def changes(self) -> int:
        """Sessions ever added or removed: another number exactly when the index is another."""
        return int(self.arrays.meta[NEXT] + self.arrays.meta[REMOVED])

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
        return int(self.arrays.meta[MOST])

    @property
    def slots(self) -> int:
        """Places for sessions, a few more than ``max_sessions``; every slot is a number below it."""
        return len(self.arrays.session_key)

    @property
    def bytes(self) -> int:
        """Bytes of all arrays as they are allocated, in use or not; names of items are not in arrays."""
        return allocated_bytes(self.arrays)

    def take(self, entries: Iterable[ClosedSession | Forgotten]) -> None:
        """Take in what the sessions topic has, in its order: sessions, and visitors to forget.

        Raises:
            InvalidParameterError: as :meth:`add`.
        """
        batch: list[ClosedSession] = []
        for entry in entries:
            if isinstance(entry, ClosedSession):
                if not self.forgotten.bars(entry):
                    batch.append(entry)
            else:
                self.add(batch)  # before the request is noted: where it fails, both can be tried again
                batch = []
                if self.forgotten.note(entry):
                    self._remove(self._identity("", entry.key), all_of_visitor=True)
        self.add(batch)

    def add(self, sessions: Iterable[ClosedSession]) -> int:
        """Add closed sessions in their order; :meth:`take` is for what may be forgotten.

        Overlong sessions, empty ones, ones of more than :data:`MAX_SESSION_CLICKS` clicks and ones that are
        held already (the same id of the same visitor) are left out.

        Returns:
            How many were added.

        Raises:
            InvalidParameterError: the end of a session is not a number, its items are not texts; or too many
                items, see the class. Nothing of the batch is added.
        """
        batch = [s for s in sessions if not s.overlong and 0 < len(s.items) <= MAX_SESSION_CLICKS]
        return self._add(batch) if batch else 0

    def remove(self, session: str, visitor: str) -> bool:
        """Remove a session, in time proportional to its length.

        Where one of its items is in very many sessions there is a little more to do: on average a quarter of
        that item's posting list moves by one place, three bytes an entry.

        Args:
            session: its id.
            visitor: whose it is, as it was added.

        Returns:
            Whether it was held.
        """
        return self._remove(self._identity(session, visitor_key(visitor)), all_of_visitor=False) > 0

    def remove_visitor(self, visitor: str) -> int:
        """Remove all sessions of a visitor, in time proportional to what is removed.

        While any visitor has more than 256 sessions held, the identities of all sessions are looked through
        as well: a millisecond a million.

        Returns:
            How many were removed: 0 for the empty name, which is nobody's.
        """
        return self._remove(self._identity("", visitor_key(visitor)), all_of_visitor=True) if visitor else 0

    def count_clicks(self) -> None:
        """Count the clicks on each item from now on; a scorer that weighs by them asks for it.

        It takes four bytes an item, and once a walk through all that is held.
        """
        if not len(self.arrays.item_clicks):
            size = len(self.arrays.posting_start)
            self.arrays = self.arrays._replace(item_clicks=np.zeros(size, np.int32))
            count_clicks(self.arrays)

    def write_names(self) -> NameTexts:
        """The names as JSON, which are kept from now on; a scorer that writes answers asks for them."""
        if self.name_texts is None:
            self.name_texts = NameTexts(self.names)
        return self.name_texts

    def restore_names(self, names: Sequence[str], free_ids: Sequence[int]) -> None:
        """Take over the names of the items that the arrays have; for :mod:`core.snapshot`.

        Args:
            names: by item id.
            free_ids: those whose name means nothing.
        """
        self.names, self.free_ids, free = list(names), list(free_ids), set(free_ids)
        self.ids = {name: item for item, name in enumerate(self.names) if item not in free}
        if self.name_texts is not None:
            self.name_texts = NameTexts(self.names)

    def _identity(self, session: str, visitor: int) -> np.uint64:
        keys = np.array([session_key(session)], np.int64), np.array([visitor], np.uint64)
        return np.uint64(identities(*keys)[0])

    def _remove(self, key: np.uint64, *, all_of_visitor: bool) -> int:
        removed, why, freed = 0, -1, np.empty(_FREED_ROOM, np.int32)
        while why != DONE:
            n, why, n_freed = remove_sessions(self.arrays, key, int(all_of_visitor), freed)
            self._recycle(freed[:n_freed])
            removed += n
        return removed

    def _add(self, batch: Sequence[ClosedSession]) -> int:
        keys = identities(
            np.array([session_key(s.session) for s in batch], np.int64),
            np.array([visitor_key(s.visitor) for s in batch], np.uint64),
        )
        starts = np.zeros(len(batch) + 1, np.int64)
        np.cumsum([len(s.items) for s in batch], out=starts[1:])
        ends = np.array([_end_s(s) for s in batch], np.uint32)
        items = [item for s in batch for item in s.items]
        if set(map(type, items)) != {str} or any(isinstance(s.items, str) for s in batch):
            _refuse_items(batch)
        return self._add_arrays(keys, self._ids(items), starts, ends)

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
            InvalidParameterError: a session is empty or longer than the bound, or the arrays do not fit
                together.
        """
        lengths = np.diff(starts)
        if not len(starts) or starts[0] < 0 or starts[-1] > len(items) or len(ends_s) != len(lengths):
            raise InvalidParameterError(
                f"{len(starts)} starts in {len(items)} items with {len(ends_s)} ends, expected starts within "
                "the items, and one more of them than ends"
            )
        if len(items) and items.min() < 0:
            raise InvalidParameterError(f"an item is {items.min()}, expected 0 or larger")
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
            order = np.argsort(first)  # ids are given in the order in which items come
            ids = np.empty(len(numbers), np.int32)
            ids[order] = self._ids([str(n) for n in numbers[order].tolist()])
            keys = np.arange(self.added, self.added + len(its_starts) - 1, dtype=np.int64)
            self._add_arrays(
                identities(keys, np.zeros(len(keys), np.uint64)),
                ids[place],
                its_starts - its_starts[0],
                np.clip(np.nan_to_num(ends_s[part]), 0, _LATEST_END_S).astype(np.uint32),
            )
        return self.added - before

    def _add_arrays(self, keys: UInt64s, items: Int32s, starts: Int64s, ends: UInt32s) -> int:
        before, done, why, freed = self.added, 0, -1, np.empty(_FREED_ROOM, np.int32)
        lost = [items]
        try:
            while why != DONE:
                done, why, n_freed, need = add_sessions(self.arrays, keys, items, starts, ends, done, freed)
                lost.append(freed[:n_freed].copy())
                if why == POOL_FULL:
                    self.arrays = with_room_in_pool(self.arrays, need)
                elif why == ARENA_FULL:
                    self.arrays = with_room_in_arena(self.arrays, need)
        finally:
            self._recycle(np.concatenate(lost))
        return self.added - before

    def _ids(self, names: Sequence[str]) -> Int32s:
        """Ids of items, new ones where they are not known."""
        ids = list(map(self.ids.get, names))
        new: list[int] = []
        for at, known in enumerate(ids):
            if known is None:
                item = self.ids.get(names[at])  # it may have come just before
                if item is None:
                    new.append(item := self._new_id(names[at], new))
                ids[at] = item
        return np.array(ids, np.int32)

    def _new_id(self, name: str, given: Sequence[int]) -> int:
        if self.free_ids:
            new = self.free_ids.pop()
            self.names[new] = name
        elif len(self.names) == self.max_items:
            self._recycle(np.array(given, np.int32))
            raise InvalidParameterError(
                f"the sessions held and those being added have more than {self.max_items} different items, "
                "the most that this index can have: use a smaller max_sessions or a larger max_items"
            )
        else:
            new = len(self.names)
            self.names.append(name)
            if new == len(self.arrays.posting_start):
                self.arrays = with_room_for_items(self.arrays)
        self.ids[name] = new
        if self.name_texts is not None:
            self.name_texts.put(new, name)
        return new

    def _recycle(self, candidates: Int32s) -> None:
        """Give back the ids of items that no session holds, in an order that is the same everywhere."""
        unheld = candidates[self.arrays.posting_count[candidates] == 0]
        for item in np.unique(unheld).tolist():
            if self.ids.get(self.names[item]) == item:
                del self.ids[self.names[item]]
                self.names[item] = ""
                self.free_ids.append(item)
                if self.name_texts is not None:
                    self.name_texts.take_out(item)


def _refuse_items(batch: Sequence[ClosedSession]) -> None:
    """Say which session has items that are no names, if one has."""
    for session in batch:
        given: object = session.items  # which a caller may have of any kind
        if isinstance(given, str) or not all(isinstance(item, str) for item in session.items):
            raise InvalidParameterError(
                f"session {session.session!r} has the items {given!r:.100}, expected a sequence of texts"
            )


def _end_s(session: ClosedSession) -> int:
    """The end of a session in whole seconds, the nearest that four bytes hold."""
    try:
        return int(min(max(session.end // 1000, 0), _LATEST_END_S))
    except (TypeError, ValueError):  # a NaN, an infinity, a text
        raise InvalidParameterError(
            f"session {session.session!r} ends at {session.end!r}, expected milliseconds since 1970"
        ) from None
