"""What an index holds, read back through the functions that the scorer reads it by."""

from __future__ import annotations

import numpy as np

from core.arrays import FIRST, NEXT, POOL_BASE
from core.kernels.compiled import kernel
from core.kernels.held_sessions import end_of, is_held, item_at, items_of
from core.kernels.postings import newest_posting, slot_at


@kernel
def _read_session(index, slot, out):
    if not is_held(index, slot):
        return -1, 0.0
    place, length = items_of(index.session_place, index.pool, index.meta[POOL_BASE], slot)
    for step in range(length):
        out[step] = item_at(index.pool, place + step)
    return length, float(end_of(index.session_end, slot))


@kernel
def _read_postings(index, item, out):
    start, size, at, count = newest_posting(index, item)
    for step in range(count):
        out[step] = slot_at(index.arena, start + at)
        at = at - 1 if at > 0 else size - 1
    return count


def sessions_of(index):
    """The sessions held, oldest first: items, end in seconds, slot."""
    found, out = [], np.empty(10_000, np.int32)
    for number in range(int(index.arrays.meta[FIRST]), int(index.arrays.meta[NEXT])):
        slot = number % index.slots
        length, end = _read_session(index.arrays, slot, out)
        if length >= 0:
            found.append(([index.names[item] for item in out[:length].tolist()], end, slot))
    return found


def contents(index):
    """Items of each session held, oldest first, and for each item the places of its sessions among them."""
    sessions = sessions_of(index)
    place_of = {slot: place for place, (_, _, slot) in enumerate(sessions)}
    out, postings = np.empty(len(sessions), np.int32), {}
    for name, item in index.ids.items():
        count = _read_postings(index.arrays, item, out)
        postings[name] = [place_of[slot] for slot in reversed(out[:count].tolist())]
    return [items for items, _, _ in sessions], postings


def posting_lists(sessions):
    """For each item the places of the sessions that hold it."""
    found = {}
    for place, items in enumerate(sessions):
        for item in dict.fromkeys(items):
            found.setdefault(item, []).append(place)
    return found
