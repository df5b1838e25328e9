"""The window as tables of (clicks) → (sessions): each row stands at one of its exact limits.

A click is written ``"item time"`` or ``"item time id"``; time is in milliseconds. Unless a row says otherwise
the rules are gap 100, grace 10, future 50 and at most 3 clicks a session, there is one visitor, and nobody
sweeps.
"""

from __future__ import annotations

import pytest

from core.errors import InvalidParameterError
from core.window.clicks import Click
from core.window.sessions import (
    CAUSES,
    Place,
    Session,
    WindowRules,
    advance,
    as_of,
    close,
    is_over,
    is_over_at,
)

RULES = WindowRules(gap_ms=100, grace_ms=10, future_ms=50, max_clicks=3)
ROOMY = WindowRules(gap_ms=100, grace_ms=1000, future_ms=50, max_clicks=100)
START = 1000


def play(written, rules=RULES, moves=()):
    """Apply clicks of one visitor in the order of the log.

    Args:
        written: the clicks, between commas; one that begins with ``~`` is another visitor's, which only moves
            the watermark.
        rules: of the window.
        moves: nothing, or what to give as append time of each click; else it is the click's own time.

    Returns:
        (outcomes, closed as "items cause", the open session's items or None, the open session).
    """
    session, watermark_ms = None, None
    outcomes, closed = [], []
    for offset, words in enumerate(written.split(",")):
        item, time, *click_id = words.split()
        time_ms = START + int(time)
        if item.startswith("~"):
            watermark_ms = max(watermark_ms or 0, time_ms)
            continue
        append_ms = START + moves[offset] if moves else time_ms
        click = Click("v", item, time_ms, *click_id)
        step = advance(session, click, Place(0, offset, append_ms), watermark_ms, rules)
        session = step.session
        outcomes.append(step.outcome)
        if step.closed:
            closed.append(f"{''.join(step.closed.items)} {step.closed.cause}")
        if step.outcome != "future":
            watermark_ms = max(watermark_ms or 0, time_ms)
    return " ".join(outcomes), ", ".join(closed), "".join(session.items) if session else None, session


# what it shows, the clicks, their outcomes, what closed, what is open
ONE_VISITOR = [
    ("the first click opens", "a 0", "opened", "", "a"),
    ("gap: the last moment to join", "a 0, b 100", "opened joined", "", "ab"),
    ("gap + 1: the next session", "a 0, b 101", "opened opened", "a gap", "b"),
    ("the gap counts from the last click", "a 0, b 90, c 190", "opened joined joined", "", "abc"),
    ("not from the newest in the log", "a 0, b 9, c 0, d 109", "opened joined joined overlong", "", "acb"),
    ("gap + grace: closed by the click itself", "a 0, ~z 110, b 110", "opened opened", "a gap", "b"),
    ("gap + grace + 1: closed by the watermark", "a 0, ~z 111, b 111", "opened opened", "a watermark", "b"),
    ("gap + grace: the last click that joins", "a 0, ~z 110, b 100", "opened joined", "", "ab"),
    ("... is late a millisecond later", "a 0, ~z 111, b 100", "opened late", "", "a"),
    ("grace: the last moment not to be late", "~z 10, a 0", "opened", "", "a"),
    ("grace + 1: late", "~z 11, a 0", "late", "", None),
    ("a late click leaves the session", "a 0, ~z 50, b 39", "opened late", "", "a"),
    ("at grace it joins, before its time", "a 0, ~z 50, b 40", "opened joined", "", "ab"),
    ("what is over is left to the sweep", "a 0, ~z 200, b 0", "opened late", "", "a"),
    ("a click far ahead closes by gap", "a 0, b 5000", "opened opened", "a gap", "b"),
    ("two closings in a row", "a 0, b 101, c 202", "opened opened opened", "a gap, b gap", "c"),
    ("equal times keep the order of the log", "b 5, a 5, c 5", "opened joined joined", "", "bac"),
    ("out of order is put in its place", "b 5, c 9, a 1", "opened joined joined", "", "abc"),
    ("equal and out of order", "a 5, c 9, b 5", "opened joined joined", "", "abc"),
    ("max_clicks are held", "a 1, b 2, c 3", "opened joined joined", "", "abc"),
    ("one more is overlong", "a 1, b 2, c 3, d 4", "opened joined joined overlong", "", "abc"),
    ("even out of order", "b 2, c 3, d 4, a 1", "opened joined joined overlong", "", "bcd"),
    ("what is overlong prolongs", "a 0, b 0, c 0, d 90, e 190, f 291",
     "opened joined joined overlong overlong opened", "abc gap", "f"),
    ("the same id is one click", "a 0 x, a 0 x", "opened duplicate", "", "a"),
    ("whatever its item and time say", "a 0 x, b 7 x", "opened duplicate", "", "a"),
    ("a duplicate does not prolong", "a 0 x, a 60 x, b 101", "opened duplicate opened", "a gap", "b"),
    ("no id is nobody's duplicate", "a 0, a 0, a 0", "opened joined joined", "", "aaa"),
    ("other ids are other clicks", "a 0 x, a 0 y, a 0", "opened joined joined", "", "aaa"),
    ("a duplicate that is late is a duplicate", "a 0 x, ~z 90, a 0 x", "opened duplicate", "", "a"),
    ("a duplicate in the gap is a duplicate", "a 0 x, b 105 x", "opened duplicate", "", "a"),
    ("the id of a session that is over is free", "a 0 x, ~z 111, b 111 x", "opened opened",
     "a watermark", "b"),
    ("... and of one closed by gap", "a 0 x, b 101, c 102 x", "opened opened joined", "a gap", "bc"),
    ("a full session knows its duplicates", "a 0 x, b 1, c 2, a 0 x",
     "opened joined joined duplicate", "", "abc"),
    ("but not those that it does not hold", "a 0, b 1, c 2, d 3 x, d 3 x",
     "opened joined joined overlong overlong", "", "abc"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("clicks", "outcomes", "closed", "still_open"), [pytest.param(*row[1:], id=row[0]) for row in ONE_VISITOR]
)
def test_the_window_at_its_limits(clicks, outcomes, closed, still_open):
    """Each click has the outcome, each session the items and the cause, that the row says."""
    assert play(clicks)[:3] == (outcomes, closed, still_open)


# Grace is wide here, so that a click may come long after its time without being late by the watermark.
BEFORE_THE_SESSION = [
    ("gap before the first click: it joins", "b 500, a 400", "opened joined", "", "ab"),
    ("gap + 1 before: it belongs before", "b 500, a 399", "opened late", "", "b"),
    ("the start moves with it", "c 500, b 400, a 300", "opened joined joined", "", "abc"),
    ("... and its end does not", "c 500, b 400, d 601", "opened joined opened", "bc gap", "d"),
    ("between two sessions it is the later's", "a 0, c 150, b 80", "opened opened joined", "a gap", "bc"),
    ("even where it would bridge them", "a 0, c 101, b 50", "opened opened joined", "a gap", "bc"),
    ("what was closed stays closed", "a 0, c 500, b 50", "opened opened late", "a gap", "c"),
]


@pytest.mark.parametrize(
    ("clicks", "outcomes", "closed", "still_open"),
    [pytest.param(*row[1:], id=row[0]) for row in BEFORE_THE_SESSION],
)
def test_a_click_before_the_open_session(clicks, outcomes, closed, still_open):
    """It joins while it is within the gap of the first click; before that it is late: its session is gone."""
    assert play(clicks, ROOMY)[:3] == (outcomes, closed, still_open)


# the clicks, the time at which each was appended, outcomes, closed, still open
FUTURE = [
    ("future: the last moment to be believed", "a 50", (0,), "opened", "", "a"),
    ("future + 1: a broken clock", "a 51", (0,), "future", "", None),
    ("the session is left alone", "a 0, b 52, c 10", (0, 1, 10), "opened future joined", "", "ac"),
    ("the watermark does not move", "a 0, b 900, c 0", (0, 1, 2), "opened future joined", "", "ac"),
    ("even when it is over", "a 0, ~z 500, b 600", (0, 0, 500), "opened future", "", "a"),
    ("future goes before duplicate", "a 0 x, a 60 x", (0, 0), "opened future", "", "a"),
    ("long after its time is no matter", "a 0, b 1", (10**9, 10**9), "opened joined", "", "ab"),
]


@pytest.mark.parametrize(
    ("clicks", "appended", "outcomes", "closed", "still_open"),
    [pytest.param(*row[1:], id=row[0]) for row in FUTURE],
)
def test_a_click_ahead_of_its_append(clicks, appended, outcomes, closed, still_open):
    """A click more than future_ms ahead of its append changes nothing."""
    assert play(clicks, RULES, appended)[:3] == (outcomes, closed, still_open)


@pytest.mark.parametrize(
    ("watermark_ms", "over"), [(None, False), (0, False), (1109, False), (1110, False), (1111, True)]
)
def test_a_session_is_over_after_gap_and_grace(watermark_ms, over):
    """At last click + gap + grace a click can still reach it; a millisecond later none can."""
    session = play("a 0")[3]
    assert is_over(session, watermark_ms, RULES) is over
    assert is_over_at(START, watermark_ms, RULES) is over


def test_an_overlong_session_is_over_by_its_last_click_held_or_not():
    """A bot that goes on clicking keeps its session open, though nothing more is held."""
    session = play("a 0, b 0, c 0, d 90")[3]
    assert not is_over(session, START + 200, RULES)
    assert is_over(session, START + 201, RULES)


RECORDS = [
    # clicks, then the record's items, times, start, end, clicks, duplicates, overlong
    ("one click", "a 5", "a", (5,), 5, 5, 1, 0, False),
    ("in time order", "b 5, a 3, c 8", "abc", (3, 5, 8), 3, 8, 3, 0, False),
    ("a duplicate is counted beside", "a 5 x, a 5 x, b 6", "ab", (5, 6), 5, 6, 2, 1, False),
    ("a duplicate's later time is nobody's", "a 5 x, a 50 x", "a", (5,), 5, 5, 1, 1, False),
    ("full is not overlong", "a 1, b 2, c 3", "abc", (1, 2, 3), 1, 3, 3, 0, False),
    ("overlong: counted, not held", "a 1, b 2, c 3, d 9, e 7", "abc", (1, 2, 3), 1, 9, 5, 0, True),
    ("a duplicate does not make it overlong", "a 1 x, b 2, c 3, a 1 x", "abc", (1, 2, 3), 1, 3, 3, 1, False),
    ("a duplicate of an overlong one", "a 1 x, b 2, c 3, d 4, a 1 x", "abc", (1, 2, 3), 1, 4, 4, 1, True),
    ("overlong and early: the start is held", "b 5, c 6, d 7, a 1", "bcd", (5, 6, 7), 5, 7, 4, 0, True),
]


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize(
    ("clicks", "items", "times", "start", "end", "total", "duplicates", "overlong"),
    [pytest.param(*row[1:], id=row[0]) for row in RECORDS],
)
def test_the_record_of_a_closed_session(clicks, items, times, start, end, total, duplicates, overlong, cause):
    """It holds items and times in time order, and counts what it does not hold."""
    record = close(play(clicks)[3], "v", cause, RULES)
    assert (record.session, record.visitor, record.cause) == ("0-0", "v", cause)
    assert record.items == tuple(items)
    assert record.times == tuple(START + time for time in times)
    assert (record.start, record.end) == (START + start, START + end)
    assert (record.clicks, record.duplicates, record.overlong) == (total, duplicates, overlong)


def test_a_session_is_named_by_the_place_of_the_click_that_opened_it():
    """The first in the log, not the first in time: the name must not change when an earlier click comes."""
    step = advance(None, Click("v", "b", 9), Place(7, 41, 9), None, RULES)
    step = advance(step.session, Click("v", "a", 3), Place(7, 42, 9), 9, RULES)
    assert step.session.items == ("a", "b")
    assert step.session.id == "7-41"


def test_actions_are_carried_along_or_left_out():
    """The record has the action of each held click, or none at all where no click had one."""
    step = advance(None, Click("v", "b", 9, None, "cart"), Place(0, 1, 9), None, RULES)
    step = advance(step.session, Click("v", "a", 3), Place(0, 2, 9), 9, RULES)
    assert close(step.session, "v", "gap", RULES).actions == (None, "cart")
    assert close(play("a 0, b 1")[3], "v", "gap", RULES).actions == ()


@pytest.mark.parametrize(("offset", "items"), [(0, "b"), (1, "bd"), (2, "bcd"), (3, "abcd"), (9, "abcd")])
def test_a_session_as_it_was(offset, items):
    """Up to an offset of the log, yet in the order of time."""
    session = play("b 5, d 9, c 7, a 1", ROOMY)[3]
    assert as_of(session, offset) == tuple(items)


def test_a_session_of_one_click_at_most():
    """max_clicks may be 1: everything after the first click is overlong."""
    outcomes, _, items, session = play("a 0, b 1, c 2", WindowRules(100, 10, 50, 1))
    assert (outcomes, items) == ("opened overlong overlong", "a")
    assert isinstance(session, Session)
    assert session.total == 3


def test_without_grace_a_click_of_the_watermark_itself_is_in_time():
    """Grace 0: not a millisecond of disorder in a partition, equal times aside."""
    assert play("a 5, b 5, c 4", WindowRules(100, 0, 50, 3))[0] == "opened joined late"


@pytest.mark.parametrize(
    ("name", "least"), [("gap_ms", 1), ("grace_ms", 0), ("future_ms", 0), ("max_clicks", 1)]
)
def test_rules_are_refused_below_their_least(name, least):
    """Each rule may be at its least and not below; the error says which, what came and what was expected."""
    assert getattr(WindowRules(**{name: least}), name) == least
    with pytest.raises(InvalidParameterError, match=f"{name} is {least - 1}, expected at least {least}"):
        WindowRules(**{name: least - 1})


def test_the_rules_are_the_design_s_unless_said_otherwise():
    """20 minutes, 60 seconds, 5 minutes, 200 clicks."""
    assert WindowRules() == WindowRules(20 * 60_000, 60_000, 5 * 60_000, 200)
