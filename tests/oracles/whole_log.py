"""What a log of clicks must come to: the pure core applied to all of it at once, partition by partition."""

from __future__ import annotations

import random
from typing import NamedTuple

from core.window.clicks import Click
from core.window.sessions import ClosedSession, WindowRules
from core.window.step import (
    DeadLetter,
    PartitionState,
    Query,
    Record,
    VisitorState,
    advance_run,
    close_run,
    parse_run,
)
from stream_app.settings import Settings

#: Event time of the first click of a stream: 2023, long before any append.
BEGIN_MS = 1_700_000_000_000


class Expected(NamedTuple):
    """What a log comes to.

    Attributes:
        closed: sessions by id that event time has closed.
        open: sessions by id that are still open, as they would be closed by ``idle``.
        states: state of each visitor with an open session, by (partition, visitor).
        queries: by (partition, offset), each click that is to be answered.
        dead: by (partition, offset), each dead letter.
    """

    closed: dict[str, ClosedSession]
    open: dict[str, ClosedSession]
    states: dict[tuple[int, str], VisitorState]
    queries: dict[tuple[int, int], Query]
    dead: dict[tuple[int, int], DeadLetter]


def rules_of(settings: Settings) -> WindowRules:
    """The window's rules by the settings, written down once more."""
    return WindowRules(
        int(settings.gap_s * 1000),
        int(settings.grace_s * 1000),
        int(settings.future_s * 1000),
        settings.max_clicks,
    )


def expected_of(settings: Settings, logs: dict[int, list[Record]]) -> Expected:
    """Apply the core to each partition's log, in one run."""
    rules = rules_of(settings)
    found = Expected({}, {}, {}, {}, {})
    for partition, log in logs.items():
        parsed = parse_run(log, settings.max_value_bytes)
        result = advance_run(partition, parsed, PartitionState(), {}, rules)
        states = {visitor: state for visitor, state in result.visitors.items() if state}
        swept = close_run(states, result.partition, rules, "watermark")
        for session in (*result.closed, *swept.closed):
            assert found.closed.setdefault(session.session, session) == session
        states = {visitor: state for visitor, state in states.items() if visitor not in swept.visitors}
        found.states.update({(partition, visitor): state for visitor, state in states.items()})
        idle = close_run(states, result.partition, rules, "idle").closed
        found.open.update({session.session: session for session in idle})
        found.queries.update({(partition, query.offset): query for query in result.queries})
        found.dead.update({(partition, letter.record.offset): letter for letter in result.dead})
    return found


def messy_clicks(seed: int, count: int, visitors: int = 30, begin_ms: int = BEGIN_MS) -> list[Click]:
    """A stream for gap_s=20, grace_s=5, max_clicks=8 with everything that a window has to cope with.

    Several visitors in sessions; clicks out of order within the grace, late, of the future, with repeated
    ids; one visitor that clicks without end. Items follow one another, so that there is something to learn.
    """
    chance = random.Random(seed)  # noqa: S311 -- a stream that is the same each time, not a secret
    clicks: list[Click] = []
    now_ms, last = begin_ms, {}
    for number in range(count):
        now_ms += chance.choice((0, 100, 400, 900, 2000))
        visitor = f"v{chance.randrange(visitors)}" if number % 12 else "bot"
        item = (last.get(visitor, chance.randrange(60)) + chance.choice((1, 1, 1, 2, 7))) % 60
        last[visitor] = item
        what = chance.random()
        time_ms, identity = now_ms, f"{number}" if what < 0.5 else None
        if what > 0.98:
            time_ms = now_ms + 4_000_000_000_000  # a broken clock
        elif what > 0.96:
            time_ms = now_ms - 60_000
        elif what > 0.80:
            time_ms = now_ms - chance.randrange(5000)
        elif what < 0.05 and clicks:
            visitor, identity = clicks[-1].visitor, clicks[-1].id  # sent twice
        action = chance.choice((None, "view", "cart"))
        clicks.append(Click(visitor, f"i{item}", time_ms, identity, action))
    return clicks
