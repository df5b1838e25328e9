"""Messy streams of clicks, ways to cut them into runs, and a world for the heart to leave its results in.

A stream has several visitors, clicks out of order, late and of the future, repeated ids, sessions past a
small ``max_clicks``, records that are no clicks, requests to forget, and offsets with holes. Times are small,
so that exact limits and ties are met all the time.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from hypothesis import strategies as st

from core.window.clicks import Click, encode_click
from core.window.sessions import WindowRules
from core.window.step import (
    PartitionState,
    Record,
    VisitorState,
    advance_run,
    close_run,
    parse_run,
    visitors_of,
)

PARTITION = 3
BAD_VALUES = [None, b"null", b"{}", b"\xff", b"[", encode_click(Click("a", "", 5))]

rules_of_streams = st.builds(
    WindowRules,
    gap_ms=st.sampled_from([2, 10, 20]),
    grace_ms=st.sampled_from([0, 3, 15]),
    future_ms=st.sampled_from([0, 5]),
    max_clicks=st.sampled_from([1, 2, 4]),
)


@st.composite
def streams(draw):
    """Rules and a log, as the records of one partition, parsed."""
    rules = draw(rules_of_streams)
    gap, grace, future = rules.gap_ms, rules.grace_ms, rules.future_ms
    over = gap + grace
    visitor = st.sampled_from("aaab") | st.sampled_from("abcd")
    step = st.sampled_from([0, 0, 0, 0, 1, 1, 2, gap, gap + 1, over, over + 1])
    behind = st.sampled_from([0, 0, 0, 0, 1, 2, grace, grace, grace + 1, gap, gap + 1, over])
    ahead = st.sampled_from([0, 0, 0, 0, 0, 0, future, future + 1, future + over + 2])
    identity = st.sampled_from([None, None, "x", "y"])
    action = st.sampled_from([None, None, "cart"])
    hole = st.sampled_from([1, 1, 1, 3])
    kind = st.integers(0, 11)
    events = draw(
        st.lists(st.tuples(kind, visitor, step, behind, ahead, identity, action, hole), max_size=40)
    )
    records, now_ms, offset = [], 1000, draw(st.integers(0, 5))
    for number, (what, who, step_ms, behind_ms, ahead_ms, click_id, act, holes) in enumerate(events):
        now_ms += step_ms
        offset += holes
        value = BAD_VALUES[number % len(BAD_VALUES)]
        if what:
            time_ms = max(0, now_ms - behind_ms + ahead_ms)
            value = encode_click(Click(who, f"i{number}", time_ms, click_id, act))
        forgets = what == 1
        records.append(Record(offset, now_ms, who.encode(), None if forgets else value, forgets=forgets))
    return rules, parse_run(records, 1000)


def long_stream(chance, length=40):
    """The same from a seeded ``random.Random``, always of full length."""
    rules = WindowRules(
        gap_ms=chance.choice([2, 10, 20]),
        grace_ms=chance.choice([0, 3, 15]),
        future_ms=chance.choice([0, 5]),
        max_clicks=chance.choice([1, 2, 4]),
    )
    over = rules.gap_ms + rules.grace_ms
    records, now_ms, offset = [], 1000, chance.randrange(6)
    for number in range(length):
        now_ms += chance.choice([0, 0, 0, 1, 1, 2, rules.gap_ms, rules.gap_ms + 1, over, over + 1])
        offset += chance.choice([1, 1, 1, 3])
        behind_ms = chance.choice([0, 0, 0, 1, 2, rules.grace_ms, rules.grace_ms + 1, rules.gap_ms, over])
        ahead_ms = chance.choice([0, 0, 0, 0, 0, rules.future_ms, rules.future_ms + 1])
        time_ms = max(0, now_ms - behind_ms + ahead_ms)
        who, identity = chance.choice("aaabcd"), chance.choice([None, None, "x", "y"])
        value = encode_click(Click(who, f"i{number}", time_ms, identity, chance.choice([None, "cart"])))
        if chance.random() < 0.1:
            value = chance.choice(BAD_VALUES)
        forgets = chance.random() < 0.1
        records.append(Record(offset, now_ms, who.encode(), None if forgets else value, forgets=forgets))
    return rules, parse_run(records, 1000)


class World:
    """What outlives a run: the stored states, and everything that was sent."""

    def __init__(self, rules):
        self.rules = rules
        self.partition = PartitionState()
        self.visitors: dict[str, VisitorState] = {}
        self.closed, self.queries, self.dead = [], [], []
        self.entries = []  # the sessions topic
        self.outcomes = Counter()

    def run(self, parsed, kept=None, undeleted=()):
        """Apply a run and store what it did, all of it or as far as it came.

        Everything is sent before anything is stored; then come new states of visitors, then the partition's,
        then deletions. A run that is cut off in the first has stored the visitors in ``kept`` and no more;
        one that is cut off in the last has not deleted the visitors in ``undeleted``.
        """
        wanted = {name: self.visitors[name] for name in visitors_of(parsed) if name in self.visitors}
        result = advance_run(PARTITION, parsed, self.partition, wanted, self.rules)
        assert wanted == {name: self.visitors[name] for name in wanted}  # what is passed in is not touched
        assert None not in result.visitors.values()  # an older stored state must not outlive a lost deletion
        self.store(result, kept, undeleted)
        return result

    def sweep(self, cause="watermark", undeleted=()):
        """Close what is over (``watermark``) or everything (``idle``) among all open sessions."""
        self.store(close_run(self.visitors, self.partition, self.rules, cause), undeleted=undeleted)

    def store(self, result, kept=None, undeleted=()):
        """Send all, then store as much as :meth:`run` says."""
        self.entries += [*result.forgotten, *result.closed]
        self.closed += result.closed
        self.queries += result.queries
        self.dead += result.dead
        self.outcomes += result.outcomes
        for name, state in result.visitors.items():
            if state is not None and (kept is None or name in kept):
                self.visitors[name] = state
            elif state is None and kept is None and name not in undeleted:
                self.visitors.pop(name, None)
        if kept is None:
            self.partition = result.partition

    def sessions(self):
        """Every session ever closed, by its id; one sent twice must be the same twice."""
        found = {}
        for session in self.closed:
            assert found.setdefault(session.session, session) == session
        return found


class Cut(NamedTuple):
    """How to come by the next run: how many records, whether to sweep after it."""

    length: int
    sweep: bool


cuts = st.lists(st.builds(Cut, st.integers(0, 9), st.booleans()), max_size=40)


def pieces(log, how):
    """Cut a log into runs, empty ones among them; each with whether to sweep after it."""
    at = 0
    for cut in how:
        yield log[at : at + cut.length], cut.sweep
        at += cut.length
    yield log[at:], False


def whole(rules, log):
    """The undisturbed world: the log as one run, nothing swept, at last everything closed."""
    world = World(rules)
    world.run(log)
    return world
