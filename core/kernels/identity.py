"""Kernels of the table that finds a session by its identity, and all sessions of a visitor.

Open addressing with linear probing, entries in the order of their homes ("Robin Hood hashing", Celis 1986): a
search ends where an entry is nearer to its home than the one that is sought would be. The home is hashed
from the visitor, so all sessions of a visitor stand side by side. A visitor who has :data:`MANY` there gets
no more: later ones are *spilled*, that is hashed by themselves, or one name for everybody would make the
table a list.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from core.arrays import SPILLED, IndexArrays, Packed, UInt64s
from core.identity import SPILLED_BIT, VISITOR_SHIFT
from core.kernels.compiled import inner_kernel
from core.kernels.packed import entry_at, put_entry

#: Sessions of a visitor that stand side by side at most.
MANY: Final = 256

_SPILLED: Final = np.uint64(SPILLED_BIT)
_SHIFT: Final = np.uint64(VISITOR_SHIFT)
_HALF: Final = np.uint64(32)
_FACTOR: Final = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: Fibonacci hashing, Knuth vol. 3, 6.4


@inner_kernel
def find_session(table: Packed, keys: UInt64s, identity: np.uint64, spilled: int) -> tuple[int, int]:
    """Find a session in the table.

    Args:
        table: of the index.
        keys: identity by slot.
        identity: with or without the bit that says spilled.
        spilled: how many sessions are.

    Returns:
        Its place in the table, or -1, and what its identity would be: spilled or not.
    """
    at, beside = _find(table, keys, identity & ~_SPILLED)
    if at >= 0:
        return at, identity & ~_SPILLED
    if spilled:
        at, _ = _find(table, keys, identity | _SPILLED)
        if at >= 0:
            return at, identity | _SPILLED
    return -1, identity | _SPILLED if beside >= MANY else identity & ~_SPILLED


@inner_kernel
def find_visitor(table: Packed, keys: UInt64s, identity: np.uint64) -> int:
    """Place in the table of any of a visitor's sessions that are not spilled, or -1."""
    at, distance = _home(identity & ~_SPILLED, len(table)), 0
    while True:
        entry = entry_at(table, at)
        if entry == 0:
            return -1
        other = keys[entry - 1]
        if other & _SPILLED == 0 and other >> _SHIFT == identity >> _SHIFT:
            return at
        if _distance(other, at, len(table)) < distance:
            return -1
        at = at + 1 if at + 1 < len(table) else 0
        distance += 1


@inner_kernel
def insert_session(index: IndexArrays, slot: int) -> None:
    """Put a slot into the table by its identity, after those with the same home."""
    table, keys = index.key_table, index.session_key
    at, distance = _home(keys[slot], len(table)), 0
    while True:
        entry = entry_at(table, at)
        if entry == 0 or _distance(keys[entry - 1], at, len(table)) < distance:
            break
        at = at + 1 if at + 1 < len(table) else 0
        distance += 1
    moved = slot + 1
    while moved:  # all that follow, up to the first gap, move up by one
        entry = entry_at(table, at)
        put_entry(table, at, moved)
        moved = entry
        at = at + 1 if at + 1 < len(table) else 0
    if keys[slot] & _SPILLED:
        index.meta[SPILLED] += 1


@inner_kernel
def remove_entry(index: IndexArrays, at: int) -> None:
    """Take the entry at a place out of the table; those that follow and are not at home move down by one."""
    table, keys = index.key_table, index.session_key
    if keys[entry_at(table, at) - 1] & _SPILLED:
        index.meta[SPILLED] -= 1
    while True:
        after = at + 1 if at + 1 < len(table) else 0
        entry = entry_at(table, after)
        if entry == 0 or _distance(keys[entry - 1], after, len(table)) == 0:
            break
        put_entry(table, at, entry)
        at = after
    put_entry(table, at, 0)


@inner_kernel
def _find(table: Packed, keys: UInt64s, identity: np.uint64) -> tuple[int, int]:
    """Place of an identity in the table, or -1, and how many of its visitor's stand before it."""
    at, distance, beside = _home(identity, len(table)), 0, 0
    while True:
        entry = entry_at(table, at)
        if entry == 0:
            return -1, beside
        other = keys[entry - 1]
        if other == identity:
            return at, beside
        if _distance(other, at, len(table)) < distance:
            return -1, beside
        if (other ^ identity) >> (_SHIFT - np.uint64(1)) == 0:
            beside += 1
        at = at + 1 if at + 1 < len(table) else 0
        distance += 1


@inner_kernel
def _home(identity: np.uint64, size: int) -> int:
    """Where an identity's entry stands if nobody is in its way."""
    mixed = (identity if identity & _SPILLED else identity >> _SHIFT) * _FACTOR
    mixed = (mixed ^ (mixed >> _HALF)) * _FACTOR
    return np.int64(((mixed >> _HALF) * np.uint64(size)) >> _HALF)


@inner_kernel
def _distance(identity: np.uint64, at: int, size: int) -> int:
    """How far from its home an entry stands."""
    distance = at - _home(identity, size)
    return distance if distance >= 0 else distance + size
