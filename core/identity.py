"""Who a session is, in 64 bits: enough to know it when it comes again, and to find all of its visitor's.

The upper 39 bits are a hash of the visitor (of the session itself where it has none), the lower 24 are of the
session's id: of ids like ``partition-offset`` the lower 24 bits of the offset, of others a hash. One bit
between says that the session is hashed by itself: see :mod:`core.kernels.identity`.

Two sessions are taken for one if all of this is equal. With N sessions held, of which n are the visitor's,
the odds for a new session are N / 2**63 with another visitor's, and n / 2**24 with the visitor's own; less
still for ids of consecutive offsets, of which 2**24 are all different. Another visitor's sessions are removed
together with a visitor's with odds of N / 2**39: one in a million for 500,000 sessions.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np

from core.arrays import Int64s, UInt64s

#: The lowest bit of the visitor's hash, and the bit below it.
VISITOR_SHIFT: Final = 25
SPILLED_BIT: Final = 1 << 24

_OFFSET_BITS: Final = 48
_MAX_PARTITION: Final = 1 << 14
_PARTITION_FACTOR: Final = 0x9E3779


def session_key(session: str) -> int:
    """A signed 64-bit key of a session id: exact for ``partition-offset``, a hash for what others wrote."""
    partition, _, offset = session.partition("-")
    if partition.isascii() and partition.isdigit() and offset.isascii() and offset.isdigit():
        p, o = int(partition[:9]), int(offset[:18])
        if p < _MAX_PARTITION and o < 1 << _OFFSET_BITS and session == f"{p}-{o}":
            return p << _OFFSET_BITS | o
    return int.from_bytes(_digest(session), "big", signed=True) | -(1 << 63)


def visitor_key(visitor: str) -> int:
    """A 64-bit hash of a visitor, never 0; 0 for the empty name, which is nobody's."""
    return (int.from_bytes(_digest(visitor), "big") or 1) if visitor else 0


def identities(sessions: Int64s, visitors: UInt64s) -> UInt64s:
    """The identity of each session, never 0, from its :func:`session_key` and :func:`visitor_key`."""
    keys = sessions.astype(np.uint64)
    by_session = (keys + (keys >> np.uint64(_OFFSET_BITS)) * np.uint64(_PARTITION_FACTOR)) & np.uint64(
        SPILLED_BIT - 1
    )
    by_visitor = np.where(visitors == 0, _mixed(keys), visitors) >> np.uint64(VISITOR_SHIFT)
    found: UInt64s = np.maximum(by_visitor, np.uint64(1)) << np.uint64(VISITOR_SHIFT) | by_session
    return found


def _mixed(keys: UInt64s) -> UInt64s:
    """Each bit of the key in every bit of the result (the finalizer of splitmix64: Steele et al., 2014)."""
    keys = (keys ^ keys >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ keys >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return keys ^ keys >> np.uint64(31)


def _digest(name: str) -> bytes:
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
