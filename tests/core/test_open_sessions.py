"""Which sessions are open and which are over: laws against a plain dictionary."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.window.open_sessions import OpenSessions
from core.window.sessions import WindowRules

RULES = WindowRules(gap_ms=10, grace_ms=3)
VISITORS = st.sampled_from("abcde")
NOTES = st.tuples(st.just("note"), VISITORS, st.none() | st.integers(0, 60))
SWEEPS = st.tuples(st.just("sweep"), st.integers(0, 90), st.integers(1, 6))


@given(st.lists(NOTES | SWEEPS, max_size=60))
def test_a_sweep_finds_what_a_look_at_all_finds(steps):
    """Whatever is noted and closed in whatever order, a sweep gives the sessions that are over, no other."""
    sessions, plain = OpenSessions(), {}
    for step in steps:
        if step[0] == "note":
            _, visitor, last_ms = step
            if last_ms is None:
                plain.pop(visitor, None)
            else:
                plain[visitor] = last_ms
            sessions.note(visitor, last_ms)
        else:
            _, watermark_ms, most = step
            over = {v for v, last_ms in plain.items() if watermark_ms > last_ms + 13}
            found = sessions.over(watermark_ms, RULES, most)
            assert len(found) == len(set(found)) == min(most, len(over))
            assert set(found) <= over
            for visitor in found:  # as the worker does once they are closed
                sessions.note(visitor, None)
                del plain[visitor]
        assert len(sessions) == len(plain)
        assert set(sessions) == plain.keys()


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 1000), max_size=30), st.integers(1, 30))
def test_the_longest_over_comes_first(last, most):
    """With more over than asked for, those whose last click is oldest are given."""
    sessions = OpenSessions()
    for visitor, last_ms in last.items():
        sessions.note(visitor, last_ms)
    found = sessions.over(10_000, RULES, most)
    assert [last[visitor] for visitor in found] == sorted(last.values())[:most]


def test_the_exact_limit():
    """Over begins one millisecond past the last click plus gap and grace; no watermark, nothing over."""
    sessions = OpenSessions()
    sessions.note("a", 100)
    assert sessions.over(None, RULES, 10) == []
    assert sessions.over(113, RULES, 10) == []
    assert sessions.over(114, RULES, 10) == ["a"]


@given(st.lists(st.tuples(VISITORS, st.booleans()), max_size=200))
def test_memory_is_bounded_by_what_is_open(steps):
    """Visitors that come and go leave nothing behind once no session is open."""
    sessions = OpenSessions()
    for number, (visitor, comes) in enumerate(steps):
        sessions.note(visitor, number if comes else None)
    for visitor in "abcde":
        sessions.note(visitor, None)
    assert len(sessions) == 0
    assert sessions._by_time == []
