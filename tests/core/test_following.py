"""Following one visitor gives what the whole log gives for it."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.window.clicks import Click, encode_click
from core.window.following import Follower
from core.window.sessions import WindowRules
from core.window.step import (
    DeadLetter,
    PartitionState,
    Query,
    Record,
    advance_run,
    close_run,
    parse_run,
)
from tests.oracles.whole_log import BEGIN_MS, messy_clicks

RULES = WindowRules(20_000, 5_000, 300_000, 8)
MOST_BYTES = 65_536


def log_of(seed: int, count: int) -> list[Record]:
    """A messy log of one partition, some of it no clicks."""
    values = [encode_click(click) for click in messy_clicks(seed, count, visitors=5)]
    values[7::31] = [b"no click"] * len(values[7::31])
    log = [Record(3 * at, BEGIN_MS + 500 * at, None, value) for at, value in enumerate(values)]
    log[9::23] = [
        msgspec.structs.replace(record, key=f"v{record.offset % 5}".encode(), value=None, forgets=True)
        for record in log[9::23]
    ]
    return log


@given(seed=st.integers(0, 1000), cuts=st.lists(st.integers(1, 199), max_size=8), data=st.data())
def test_the_last_click_is_as_the_whole_log_has_it(seed, cuts, data):
    """For any visitor, any last click and any runs: the same query, or the same dead letter."""
    log = log_of(seed, 200)
    parsed = parse_run(log, MOST_BYTES)
    whole = advance_run(1, parsed, PartitionState(), {}, RULES)
    at = data.draw(st.sampled_from([at for at, (_, click) in enumerate(parsed) if isinstance(click, Click)]))
    record, click = parsed[at]
    follower = Follower(1, click.visitor, RULES)
    places = sorted({0, at + 1, *(cut for cut in cuts if cut <= at)})
    for begin, end in pairwise(places):
        follower.take(parsed[begin:end])
    queries = {query.offset: query for query in whole.queries}
    dead = {letter.record.offset: letter for letter in whole.dead}
    assert follower.last == queries.get(record.offset, dead.get(record.offset))
    assert isinstance(follower.last, Query | DeadLetter)


def played_with_a_tick(clicks: list[Click], tick_after: int) -> tuple[list, dict[int, Query], list]:
    """A log, its queries and what was closed, where the clock closes all sessions after so many clicks."""
    records = [Record(at, c.time_ms, None, encode_click(c)) for at, c in enumerate(clicks)]
    parsed = parse_run(records, MOST_BYTES)
    first = advance_run(0, parsed[:tick_after], PartitionState(), {}, RULES)
    idle = close_run({v: s for v, s in first.visitors.items() if s}, first.partition, RULES, "idle")
    second = advance_run(0, parsed[tick_after:], first.partition, {}, RULES)
    return parsed, {q.offset: q for q in (*first.queries, *second.queries)}, idle.closed


@pytest.mark.parametrize("tick_after", [1, 2, 3, 4, 5])
def test_what_the_clock_has_closed_is_over_for_the_visitor_s_next_click(tick_after):
    """A session that the clock closed at any moment is not joined again, and others are."""
    visitors = ["a", "b", "a", "a", "b", "a"]
    clicks = [Click(visitor, f"i{at}", BEGIN_MS + 1000 * at) for at, visitor in enumerate(visitors)]
    parsed, queries, idle = played_with_a_tick(clicks, tick_after)
    for visitor in "ab":
        mine = [session for session in idle if session.visitor == visitor and session.cause == "idle"]
        offsets = [at for at, name in enumerate(visitors) if name == visitor]
        for last in offsets:
            follower = Follower(0, visitor, RULES, mine)
            follower.take(parsed[: last + 1])
            assert follower.last == queries[last]
        assert bisect_right(offsets, tick_after - 1) == sum(len(session.items) for session in mine)
