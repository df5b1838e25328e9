"""The laws of the heart, on messy streams: however its log is cut, swept, replayed or half-written."""

from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import event, given, settings
from hypothesis import strategies as st

from core.window.clicks import BAD_REASONS, WINDOW_REASONS, Click, Forget, encode_click
from core.window.sessions import WindowRules, as_of, is_over_at
from core.window.step import (
    PartitionState,
    Record,
    advance_run,
    close_run,
    comes_again,
    nothing_done,
    parse_run,
)
from tests.oracles.slow_window import slow_window
from tests.oracles.streams import PARTITION, World, cuts, pieces, streams, whole

MANY = settings(max_examples=500, deadline=None)


@MANY
@given(streams(), cuts)
def test_the_closed_sessions_are_the_same_for_every_cut_and_sweep(stream, how):
    """Cutting the log into runs and sweeping between them changes no session, no query and no dead letter."""
    rules, log = stream
    one, many = whole(rules, log), World(rules)
    for parsed, sweep in pieces(log, how):
        many.run(parsed)
        if sweep:
            many.sweep()
    assert many.partition == one.partition
    assert many.queries == one.queries
    assert many.dead == one.dead
    assert many.outcomes == one.outcomes
    one.sweep("idle")
    many.sweep("idle")
    assert not one.visitors
    assert not many.visitors
    assert many.sessions() == one.sessions()
    assert len(many.closed) == len(one.closed) == len(one.sessions())


@MANY
@given(streams(), cuts)
def test_the_window_is_what_its_slow_twin_says(stream, how):
    """Sessions field by field, dead letters and answers equal those decided from the whole log at once."""
    rules, log = stream
    verdict = slow_window(PARTITION, log, rules)
    world = World(rules)
    for parsed, sweep in pieces(log, how):
        world.run(parsed)
        if sweep:
            world.sweep()
    world.sweep("idle")
    assert world.sessions() == verdict.sessions
    assert {dead.record.offset: dead.reason for dead in world.dead} == verdict.dead
    assert {query.offset: (query.session, query.items) for query in world.queries} == verdict.answered
    for session in verdict.sessions.values():
        event(f"closed by {session.cause}")
    for outcome in world.outcomes:
        event(outcome)


@MANY
@given(streams(), st.data())
def test_a_replay_changes_nothing_and_is_answered_as_before(stream, data):
    """Records fed again from any offset leave state, sessions and dead letters alone.

    A click that an open session holds, or an earlier click of its id, is answered as it was; nothing else is.
    """
    rules, log = stream
    until = data.draw(st.integers(0, len(log)))
    since = data.draw(st.integers(0, until))
    old = log[since : data.draw(st.integers(since, until))]
    world = whole(rules, log[:until])
    if data.draw(st.booleans()):
        world.sweep()
    states, partition, sent = dict(world.visitors), world.partition, (len(world.closed), len(world.dead))
    first = {query.offset: query for query in world.queries}
    result = world.run(old)
    assert result.visitors == {}
    assert (world.visitors, world.partition) == (states, partition)
    assert (len(world.closed), len(world.dead)) == sent
    assert set(result.outcomes) <= {"replay"}
    still_open = {
        state.session.id
        for state in states.values()
        if not is_over_at(state.last_ms, partition.watermark_ms, rules)
    }
    expected = [
        msgspec.structs.replace(first[parsed.record.offset], outcome="replay")
        for parsed in old
        if parsed.record.offset in first
        and first[parsed.record.offset].session in still_open
        and first[parsed.record.offset].outcome != "overlong"
    ]
    assert result.queries == expected


@MANY
@given(streams(), st.data())
def test_a_replay_in_front_of_new_records_is_as_if_there_were_none(stream, data):
    """A run that begins with old records does to the new ones what a run of the new ones does."""
    rules, log = stream
    until = data.draw(st.integers(0, len(log)))
    since = data.draw(st.integers(0, until))
    world, plain = whole(rules, log[:until]), whole(rules, log[:until])
    both, new = world.run(log[since:]), plain.run(log[until:])
    assert (world.visitors, world.partition) == (plain.visitors, plain.partition)
    assert (both.closed, both.dead) == (new.closed, new.dead)
    assert [query for query in both.queries if query.outcome != "replay"] == new.queries


@MANY
@given(streams(), cuts, cuts, st.data())
def test_a_run_that_was_only_half_written_is_made_good(stream, how, again, data):
    """Crashes anywhere in the writing of a run or a sweep lose nothing and add nothing.

    After a crash the runs are cut anew, and swept between.
    """
    some = st.sets(st.sampled_from("abcd"))
    rules, log = stream
    world = World(rules)
    for how_now in (how, again, []):
        rest = [parsed for parsed in log if parsed.record.offset > world.partition.applied]
        last = data.draw(st.integers(0, 4)) if how_now else 99
        for number, (parsed, sweep) in enumerate(pieces(rest, how_now)):
            if number == last:
                if data.draw(st.booleans()):
                    world.run(parsed, kept=data.draw(some))
                else:
                    world.run(parsed, undeleted=data.draw(some))
                    world.sweep(undeleted=data.draw(some))
                break
            world.run(parsed)
            if sweep:
                world.sweep()
    plain = whole(rules, log)
    world.sweep()
    plain.sweep()
    assert world.visitors == plain.visitors
    assert world.partition == plain.partition
    world.sweep("idle")
    plain.sweep("idle")
    assert world.sessions() == plain.sessions()
    assert {(dead.record, dead.reason) for dead in world.dead} == {
        (dead.record, dead.reason) for dead in plain.dead
    }
    answers = {(query.offset, query.session, query.items) for query in world.queries}
    assert answers == {(query.offset, query.session, query.items) for query in plain.queries}


def sent(result, entries):
    """All that a run, or a world, has sent; a replay's answer is as good as the first."""
    answers = {msgspec.structs.replace(query, outcome="replay") for query in result.queries}
    return {*answers, *entries, *(letter.record for letter in result.dead)}


@settings(max_examples=2000, deadline=None)
@given(streams(), cuts, cuts, st.data())
def test_what_a_run_sends_comes_again_where_it_says_so(stream, how, again, data):
    """A crash may store any of such a run's states and lose all that it sent: its log, read again, sends it.

    From the run on the log is cut anew, and swept between.
    """
    rules, log = stream
    world, begin = World(rules), 0
    for parsed, sweep in pieces(log, how):
        crashed = World(rules)
        crashed.visitors, crashed.partition = dict(world.visitors), world.partition
        result = world.run(parsed)
        if parsed and comes_again(result, rules):
            event("lost")
            kept = data.draw(st.none() | st.sets(st.sampled_from("abcd")))  # none: all, and the partition's
            crashed.store(nothing_done(result.partition)._replace(visitors=result.visitors), kept)
            for parsed_again, sweep_again in pieces(log[begin:], again):
                crashed.run(parsed_again)
                if sweep_again:
                    crashed.sweep()
            entries = [*result.closed, *result.forgotten]
            assert sent(result, entries) <= sent(crashed, crashed.entries)
        begin += len(parsed)
        if sweep:
            world.sweep()


@MANY
@given(streams(), cuts, st.lists(st.sampled_from(["watermark", "idle"]), min_size=1, max_size=40))
def test_every_record_ends_in_exactly_one_place(stream, how, causes):
    """A record is counted in one session or is one dead letter, even where idle sessions are closed."""
    rules, log = stream
    world = World(rules)
    for number, (parsed, sweep) in enumerate(pieces(log, how)):
        world.run(parsed)
        if sweep:
            world.sweep(causes[number % len(causes)])
    world.sweep("idle")
    assert len(world.sessions()) == len(world.closed)  # no session twice
    dropped = slow_window(PARTITION, log, rules).dropped if set(causes) == {"watermark"} else None
    counted = sum(session.clicks + session.duplicates for session in world.closed) + len(world.dead)
    forgets = sum(isinstance(parsed.click, Forget) for parsed in log)
    assert counted + forgets + dropped == len(log) if dropped is not None else counted + forgets <= len(log)
    assert world.outcomes["forget"] == forgets
    assert sum(world.outcomes.values()) - forgets == sum(isinstance(parsed.click, Click) for parsed in log)
    held = [item for session in world.closed for item in session.items]  # each click's item is its own
    assert len(held) == len(set(held))
    dead = {letter.record.offset for letter in world.dead}
    assert len(dead) == len(world.dead)
    assert dead.isdisjoint(query.offset for query in world.queries)
    assert {letter.reason for letter in world.dead} <= {*BAD_REASONS, *WINDOW_REASONS}
    item_of = {parsed.click.item: parsed.record.offset for parsed in log if isinstance(parsed.click, Click)}
    assert dead.isdisjoint(item_of[item] for item in held)


@MANY
@given(streams(), cuts)
def test_each_accepted_click_has_one_query_with_its_session_up_to_it(stream, how):
    """A query's items are what its session had in the log up to the click, in the order of time."""
    rules, log = stream
    world = World(rules)
    for parsed, _ in pieces(log, how):
        world.run(parsed)
    world.sweep("idle")
    dead = {letter.record.offset for letter in world.dead}
    accepted = [
        parsed for parsed in log if isinstance(parsed.click, Click) and parsed.record.offset not in dead
    ]
    assert [query.offset for query in world.queries] == [parsed.record.offset for parsed in accepted]
    offset_of = {parsed.click.item: parsed.record.offset for parsed in accepted}
    sessions = world.sessions()
    for query, (record, click) in zip(world.queries, accepted, strict=True):
        session = sessions.get(query.session)
        if session is None:  # it was open when its visitor was forgotten
            assert forgotten_after(log, record.offset, click.visitor)
            continue
        assert query.items == tuple(item for item in session.items if offset_of[item] <= query.offset)
        assert (query.visitor, query.item, query.time_ms) == (click.visitor, click.item, click.time_ms)
        assert (query.append_ms, query.visitor) == (record.append_ms, session.visitor)
        if query.outcome in {"opened", "joined"}:
            assert query.item in query.items
        else:
            assert query.outcome in {"duplicate", "overlong"}
            assert query.item not in query.items


def forgotten_after(log, offset, visitor):
    return Forget(visitor) in [parsed.click for parsed in log if parsed.record.offset > offset]


@MANY
@given(streams())
def test_states_keep_their_bounds_and_their_order(stream):
    """Open sessions hold 1 to max_clicks clicks in the order of time, then of the log."""
    rules, log = stream
    world = whole(rules, log)
    for state in world.visitors.values():
        if state.session is None:
            continue
        clicks = state.session.clicks
        assert 1 <= len(clicks) <= rules.max_clicks
        assert [(c.time_ms, c.offset) for c in clicks] == sorted((c.time_ms, c.offset) for c in clicks)
        assert state.applied >= max(click.offset for click in clicks)
        assert as_of(state.session, state.applied) == state.session.items
        assert state.session.last_ms >= clicks[-1].time_ms


def test_a_replayed_click_of_the_future_is_no_duplicate():
    """It was a dead letter, whatever its id; an earlier click of the same id must not have it answered."""
    values = [encode_click(Click("a", "i", 1000, "x")), encode_click(Click("a", "j", 9000, "x"))]
    log = parse_run([Record(offset, 1000, None, value) for offset, value in enumerate(values)], 1000)
    world = whole(WindowRules(100, 10, 50, 3), log)
    assert [dead.reason for dead in world.dead] == ["future"]
    again = world.run(log)
    assert [query.offset for query in again.queries] == [0]
    assert again.dead == []


def test_an_empty_run_changes_nothing():
    """No records, no effect, whatever the state before."""
    before = PartitionState(7, 1000)
    result = advance_run(0, [], before, {}, WindowRules())
    assert result == ({}, [], [], [], before, Counter(), [])


def test_sweeping_closes_what_is_over_and_idle_closes_all():
    """The cause of a session that is over is the watermark, even when it is the idle tick that finds it."""
    log = parse_run(
        [
            Record(0, 1000, None, encode_click(Click("a", "i", 1000))),
            Record(1, 1200, None, encode_click(Click("b", "j", 1200))),
        ],
        1000,
    )
    world = whole(WindowRules(100, 10, 50, 3), log)
    swept = close_run(world.visitors, world.partition, world.rules, "watermark")
    assert ([session.visitor for session in swept.closed], swept.visitors) == (["a"], {"a": None})
    idle = close_run(world.visitors, world.partition, world.rules, "idle")
    assert {session.visitor: session.cause for session in idle.closed} == {"a": "watermark", "b": "idle"}
    assert idle.visitors == {"a": None, "b": None}
    assert idle.partition == world.partition
