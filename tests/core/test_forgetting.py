"""A forgotten visitor is in no index: by the log alone, however it is cut, replayed, doubled or restored."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from core.errors import BadClickError, InvalidParameterError
from core.identity import visitor_key
from core.index import SessionIndex
from core.snapshot import Restoring, buffers_of, header_of
from core.window.clicks import Forget, parse_forget
from core.window.forgetting import MOST_REMEMBERED, Forgotten, Memory, decode_entry
from core.window.sessions import ClosedSession, WindowRules
from core.window.step import PartitionState, Record, VisitorState, advance_run, close_run, parse_run
from tests.oracles.index_contents import contents
from tests.oracles.slow_window import slow_window
from tests.oracles.streams import PARTITION, World, cuts, pieces, streams

RULES = WindowRules(20, 5, 50, 8)
some = st.sets(st.sampled_from("abcd"))


def restored(index: SessionIndex) -> SessionIndex:
    """The index after a way through a snapshot."""
    restoring = Restoring(header_of(index, 0, {}), {})
    for place, buffer in zip(restoring.buffers(), buffers_of(index), strict=True):
        place[:] = bytes(buffer)
    return restoring.index()


def remaining(log, sessions):
    """Of the sessions of a whole log those whose visitor was not forgotten after they began."""
    forgotten = [(r.offset, request.visitor) for r, request in log if isinstance(request, Forget)]
    return {
        name: session
        for name, session in sessions.items()
        if not any(
            who == session.visitor and int(name.partition("-")[2]) < offset for offset, who in forgotten
        )
    }


def played(rules, log, how, again, data) -> World:
    """The log in runs of any length, with a crash in the middle of one and other runs after it."""
    world = World(rules)
    for how_now in (how, again, []):
        rest = [parsed for parsed in log if parsed.record.offset > world.partition.applied]
        last = data.draw(st.integers(0, 4)) if how_now else 99
        for number, (parsed, sweep) in enumerate(pieces(rest, how_now)):
            if number == last:
                crashes = {"kept": data.draw(some)} if data.draw(st.booleans()) else {"undeleted": {"a", "b"}}
                world.run(parsed, **crashes)
                break
            world.run(parsed)
            if sweep:
                world.sweep()
    world.sweep("idle")
    return world


@settings(max_examples=150, deadline=None)
@given(streams(), cuts, cuts, st.data())
def test_the_index_is_one_of_the_sessions_that_remain(stream, how, again, data):
    """Any runs, crashes, late copies of what was published, and a snapshot between: what remains is the same.

    Nothing of a forgotten visitor is held that had begun before; all else is, in its order, as in an index
    that never held the others.
    """
    rules, log = stream
    world = played(rules, log, how, again, data)
    entries = list(world.entries)
    for _ in range(data.draw(st.integers(0, 4)) if entries else 0):
        # A worker that was replaced publishes again, at any later time.
        at = data.draw(st.integers(0, len(entries) - 1))
        entries.insert(data.draw(st.integers(at + 1, len(entries))), entries[at])
    index, cut = SessionIndex(100), data.draw(st.integers(0, len(entries)))
    index.take(entries[:cut])
    index = restored(index)
    index.take(entries[cut:])
    expected = remaining(log, slow_window(PARTITION, log, rules).sessions)
    event("some forgotten" if len(world.sessions()) > len(expected) else "none forgotten")
    published = [entry for entry in entries if isinstance(entry, ClosedSession)]
    order = list(dict.fromkeys(one.session for one in published if one.session in expected))
    assert set(order) == expected.keys()
    plain = SessionIndex(100)
    plain.add(expected[name] for name in order if not expected[name].overlong)
    assert contents(index) == contents(plain)


def forget_at(offset: int, visitor: str = "a", at: int = 5) -> Forgotten:
    return Forgotten(f"{visitor_key(visitor):016x}", 0, offset, at)


def session_at(offset: int, visitor: str = "a") -> ClosedSession:
    return ClosedSession(f"0-{offset}", visitor, ("x",), (1,), 1, 1, "gap", 1)


def test_a_request_removes_and_bars_what_began_before_it_in_its_partition():
    """Of others, of other partitions, and of the same visitor later on, sessions are taken."""
    index = SessionIndex(10)
    index.take([session_at(1), session_at(2, "b"), forget_at(10), session_at(3), session_at(11)])
    assert index.sessions == 2
    index.take([forget_at(10), session_at(9), session_at(12, "b")])
    assert index.sessions == 3, "the same request once more changes nothing"
    other = ClosedSession("1-4", "a", ("x",), (1,), 1, 1, "gap", 1)
    index.take([other, session_at(11)])
    assert index.sessions == 4
    index.take([forget_at(12), session_at(11)])
    assert index.sessions == 2


def test_a_request_in_a_clicks_topic_that_was_made_anew_counts():
    """Its offset is smaller than that of one before, but it was appended later."""
    index = SessionIndex(10)
    index.take([forget_at(100, at=5), session_at(200), forget_at(7, at=6)])
    assert index.sessions == 0


def test_the_oldest_request_is_dropped_at_the_bound():
    """Memory is bounded: as many requests as said, the newest."""
    memory = Memory()
    for offset in range(MOST_REMEMBERED + 1):
        assert memory.note(Forgotten(f"{offset:016x}", 0, offset, 0))
    assert len(memory) == MOST_REMEMBERED
    assert next(iter(memory)) == (1, 0, 1, 0)
    assert list(Memory(memory)) == list(memory)


@pytest.mark.parametrize(
    "entry", [forget_at(3), forget_at(0, ""), session_at(3), msgspec.structs.replace(session_at(4), items=())]
)
def test_what_is_written_is_read(entry):
    """Both kinds of records of the sessions topic are told apart by their content."""
    assert decode_entry(msgspec.json.encode(entry)) == entry


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{}",
        b"\xff",
        b"[1]",
        b'{"forget":1}',
        b'{"forget":"00","partition":0,"before":1,"at":1}',
        b'{"forget":"00000000000000zz","partition":0,"before":1,"at":1}',
        b'{"forget":"0000000000000000"}',
    ],
)
def test_what_is_neither_is_refused(value):
    """A record of something else is an error, which the feed counts and passes over."""
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        decode_entry(value)


def test_a_request_without_a_visitor_is_a_dead_letter():
    """No key, one that is no text, one that is too long: each its reason, as of a click."""
    for key, reason in ((None, "empty_string"), (b"", "empty_string"), (b"\xff", "not_utf8")):
        with pytest.raises(BadClickError) as caught:
            parse_forget(key)
        assert caught.value.reason == reason
    with pytest.raises(BadClickError, match="visitor has 1025 bytes, expected at most 1024"):
        parse_forget(b"v" * 1025)
    (parsed,) = parse_run([Record(4, 5, None, b"{}", forgets=True)], 100)
    result = advance_run(PARTITION, [parsed], PartitionState(), {}, RULES)
    assert [letter.reason for letter in result.dead] == ["empty_string"]


def test_what_is_left_of_a_forgotten_visitor_is_deleted_by_the_next_sweep():
    """The state without a session closes nothing, whatever asks for it."""
    for cause in ("watermark", "idle"):
        swept = close_run({"a": VisitorState(4, None)}, PartitionState(9, 9), RULES, cause)
        assert (swept.visitors, swept.closed) == ({"a": None}, [])
        # A run that was only half written has left it: its partition is not there yet.
        assert close_run({"a": VisitorState(4, None)}, PartitionState(3, 9), RULES, cause).visitors == {}


def test_a_request_is_tried_again_with_what_failed_before_it():
    """Nothing is noted of a request whose sessions before it could not be added."""
    index = SessionIndex(10)
    index.add([session_at(1)])
    request = forget_at(50)
    bad = msgspec.structs.replace(session_at(2), end="soon")
    with pytest.raises(InvalidParameterError):
        index.take([bad, request])
    assert index.sessions == 1
    index.take([request])
    assert index.sessions == 0
