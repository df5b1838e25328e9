"""Sessions as dictionaries of lists, as WSKNN takes them: reading events into them, and checking them.

``{session: ([items], [times], [names of events, optional], [weights of events, optional])}``
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, TypeGuard

import numpy as np

from core.arrays import MAX_SESSION_CLICKS
from core.errors import SessionsError

#: Rows of one session: items, times, and what else there is, one entry an event.
Record = Sequence[Sequence[Any]]

_WITH_TIMES = 2


@dataclass(slots=True)
class Sessions:
    """Sessions of a file and what they come to; printed, their figures.

    Args:
        session_items_actions_map: the sessions; see the module.
        lines_left_out: lines of the file that were no events.
    """

    session_items_actions_map: dict[Hashable, tuple[list[Any], ...]] = field(default_factory=dict)
    lines_left_out: int = 0

    def append(self, session: Hashable, item: Hashable, time: float, *further: object) -> None:
        """Add an event at the end of its session; ``further`` are its name, and its name and weight."""
        record = self.session_items_actions_map.get(session)
        if record is None:
            record = tuple([] for _ in range(_WITH_TIMES + len(further)))
            self.session_items_actions_map[session] = record
        for row, value in zip(record, (item, time, *further), strict=True):
            row.append(value)

    @property
    def number_of_sessions(self) -> int:
        """How many sessions there are."""
        return len(self.session_items_actions_map)

    @property
    def longest_items_vector_size(self) -> int:
        """Events of the longest session."""
        return max((len(record[0]) for record in self.session_items_actions_map.values()), default=0)

    @property
    def time_start(self) -> float:
        """Time of the first event; NaN where there is none."""
        return min((min(record[1]) for record in self.session_items_actions_map.values()), default=math.nan)

    @property
    def time_end(self) -> float:
        """Time of the last event; NaN where there is none."""
        return max((max(record[1]) for record in self.session_items_actions_map.values()), default=math.nan)

    def __str__(self) -> str:
        return (
            f"{self.number_of_sessions} sessions, the longest of {self.longest_items_vector_size} events, "
            f"times {self.time_start:g} to {self.time_end:g}, {self.lines_left_out} lines left out"
        )


@dataclass(slots=True)
class Items:
    """Which sessions hold an item; printed, their figures.

    Args:
        item_sessions_map: ``{item: ([sessions], [the item's first time in each])}``, sessions by that time.
    """

    item_sessions_map: dict[Hashable, tuple[list[Any], list[Any]]]

    @property
    def number_of_items(self) -> int:
        """How many items there are."""
        return len(self.item_sessions_map)

    @property
    def longest_sessions_vector_size(self) -> int:
        """Sessions that hold the item that most hold."""
        return max((len(held[0]) for held in self.item_sessions_map.values()), default=0)

    def __str__(self) -> str:
        return (
            f"{self.number_of_items} items, the most frequent of them in "
            f"{self.longest_sessions_vector_size} sessions"
        )


def items_of(sessions: Mapping[Hashable, Record]) -> Items:
    """Which sessions hold an item, out of the sessions."""
    first: dict[Hashable, dict[Hashable, Any]] = {}
    for session, record in sessions.items():
        for item, time in zip(record[0], record[1], strict=True):
            held = first.setdefault(item, {})
            held[session] = min(time, held.get(session, time))
    by_time = {item: sorted(held, key=held.__getitem__) for item, held in first.items()}
    return Items({item: (names, [first[item][name] for name in names]) for item, names in by_time.items()})


def checked_sessions(sessions: object) -> list[tuple[Hashable, Record]]:
    """The sessions of a dictionary, or of what holds one, that have events.

    Args:
        sessions: see the module; or any object with ``session_items_actions_map``.

    Raises:
        SessionsError: no dictionary; or a session without items and as many times, of times that are not
            numbers, or of more than :data:`core.arrays.MAX_SESSION_CLICKS` events.
    """
    held = getattr(sessions, "session_items_actions_map", sessions)
    if not isinstance(held, Mapping):
        raise SessionsError(
            f"expected a dictionary of sessions, {{session: ([items], [times])}}, came {type(held).__name__}"
        )
    for name, record in held.items():
        if problem := _problem(record):
            raise SessionsError(f"session {name!r}: {problem}")
    return [(name, record) for name, record in held.items() if len(record[0])]


def _problem(record: object) -> str:
    if not is_row(record) or len(record) < _WITH_TIMES:
        return f"expected a list of items and a list of times, came {record!r:.100}"
    items, times = record[0], record[1]
    if not is_row(items) or not is_row(times) or len(items) != len(times):
        return f"expected a list of items and as many times, came {items!r:.100} and {times!r:.100}"
    if len(items) > MAX_SESSION_CLICKS:
        return f"it has {len(items)} events, expected at most {MAX_SESSION_CLICKS}"
    for time in row_of(record, 1):
        # A NaN is the one number that is not itself: it has no place in an order.
        if not isinstance(time, Real) or time != time:  # noqa: PLR0124 - as said
            return f"expected times that are numbers, came {time!r}"
    try:
        set(items)
    except TypeError as error:
        return f"its items must be hashable: {error}"
    return ""


def query_items(session: object) -> list[Any]:
    """The items of a query.

    Raises:
        SessionsError: it is no session, or one of more than :data:`core.arrays.MAX_SESSION_CLICKS` events.
    """
    if not is_row(session) or len(session) == 0 or not is_row(session[0]):
        raise SessionsError(f"expected a session, [[items], [times], …], came {session!r:.100}")
    items = row_of(session, 0)
    if len(items) > MAX_SESSION_CLICKS:
        raise SessionsError(f"the session has {len(items)} events, expected at most {MAX_SESSION_CLICKS}")
    return items


def row_of(record: Record, place: int) -> list[Any]:
    """A row of a session as a list of Python's own values."""
    row: Any = record[place]
    if isinstance(row, list):
        return row
    return list(row.tolist() if isinstance(row, np.ndarray) else row)


def is_row(value: Any) -> TypeGuard[Sequence[Any]]:
    """Whether it is a list of things, of whatever kind; a text or a dictionary is none."""
    listed = hasattr(value, "__len__") and hasattr(value, "__getitem__")
    return listed and not isinstance(value, str | bytes | Mapping)


def map_events(
    rows: Iterable[Sequence[str] | None],
    session: int,
    item: int,
    time: int,
    action: int | None = None,
    weights: Mapping[str, float] | None = None,
) -> Sessions:
    """Read events into sessions, in the order in which they come.

    Args:
        rows: the fields of one event each; None for what is no event.
        session: which field is the session.
        item: which is the item.
        time: which is the time, a number.
        action: which is the event's name; None: events have none.
        weights: the names of events that are taken, and their weights; None: all are taken, without weights.

    Returns:
        The sessions; what had a field too few or no time is counted and left out.
    """
    sessions = Sessions()
    for fields in rows:
        event = None if fields is None else _event(fields, session, item, time)
        if event is None or (action is not None and len(fields or ()) <= action):
            sessions.lines_left_out += 1
        elif fields is None or action is None:
            sessions.append(*event)
        elif weights is None:
            sessions.append(*event, fields[action])
        elif fields[action] in weights:
            sessions.append(*event, fields[action], weights[fields[action]])
    return sessions


def _event(fields: Sequence[str], session: int, item: int, time: int) -> tuple[str, str, float] | None:
    try:
        when = float(fields[time])
        return None if math.isnan(when) else (fields[session], fields[item], when)
    except (ValueError, IndexError):
        return None
