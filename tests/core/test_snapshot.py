"""An index goes through a header and buffers, and is the same index afterwards."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import StateError
from core.index import SessionIndex
from core.presets import preset
from core.scoring import Scorer
from core.snapshot import Restoring, buffers_of, header_of
from core.window.sessions import ClosedSession
from tests.oracles.index_contents import contents, sessions_of

NAMES = st.sampled_from([*(f"i{n}" for n in range(20)), "", "ü𝄞", "\ud800", "\udc00", "a\x00b", "long" * 100])
HISTORIES = st.lists(
    st.tuples(
        st.integers(0, 60), st.sampled_from(["", "ann", "bob"]), st.lists(NAMES, min_size=1, max_size=5)
    ),
    max_size=40,
)
QUERIES = [(("i3", "ü𝄞"), 50.0), (("",), 50.0), ((), 50.0)]


def closed(number, visitor, items):
    return ClosedSession(f"0-{number}", visitor, tuple(items), (), 0, number * 1000, "gap", len(items))


def restored(index, offset=7, parameters=None):
    """The index after a way through bytes."""
    parameters = parameters or {}
    header = header_of(index, offset, parameters)
    restoring = Restoring(header, parameters)
    assert restoring.header.offset == offset
    for place, buffer in zip(restoring.buffers(), buffers_of(index), strict=True):
        place[:] = bytes(buffer)
    return restoring.index()


@settings(max_examples=150, deadline=None)
@given(HISTORIES, HISTORIES, st.integers(1, 12), st.lists(st.integers(0, 60), max_size=5))
def test_a_restored_index_is_the_same_now_and_later(before, after, capacity, gone):
    """Contents, answers, ids and bytes are equal at once, and after the same further changes."""
    index = SessionIndex(capacity)
    index.add(closed(*one) for one in before)
    for number in gone[::2]:
        index.remove(f"0-{number}", "ann")
    again = restored(index)
    for number in gone:
        assert contents(again) == contents(index)
        assert again.remove(f"0-{number}", "bob") == index.remove(f"0-{number}", "bob")
    for one in after:
        again.add([closed(*one)])
        index.add([closed(*one)])
    assert again.remove_visitor("ann") == index.remove_visitor("ann")
    assert (again.ids, again.names, again.free_ids) == (index.ids, index.names, index.free_ids)
    assert sessions_of(again) == sessions_of(index)
    assert (again.bytes, again.changes, again.clicks) == (index.bytes, index.changes, index.clicks)
    for name in ("vsknn", "vstan"):
        assert Scorer(again, preset(name)).score(QUERIES) == Scorer(index, preset(name)).score(QUERIES)


def test_what_is_not_in_use_is_not_written():
    """A small part of a large index is a small snapshot, but for the table of identities."""
    index = SessionIndex(100_000)
    index.add(closed(n, "", ["a", "b"]) for n in range(10))
    table, *rest = sorted((len(buffer) for buffer in buffers_of(index)), reverse=True)
    assert table > 300_000
    assert sum(rest) < 2000
    assert restored(index).bytes == index.bytes


@pytest.mark.parametrize(
    ("there", "here", "said"),
    [
        ({"gap_s": 60}, {"gap_s": 1200}, "gap_s is 60 there, 1200 here"),
        ({}, {"sessions": 5}, "sessions is None there, 5 here"),
        ({"topic": "a"}, {}, "topic is 'a' there, None here"),
        ({"a": [1], "b": None}, {"a": [2]}, r"a is \[1\] there, \[2\] here; b is None there, None here"),
    ],
)
def test_other_parameters_are_refused_by_name(there, here, said):
    """The error says what was found and what is wanted."""
    header = header_of(SessionIndex(4), 0, there)
    with pytest.raises(StateError, match=said):
        Restoring(header, here)


def test_parameters_are_compared_as_they_are_written():
    """A tuple is a list there, and comes back as the same."""
    restored(SessionIndex(4), parameters={"actions": ("view", "buy"), "gap_s": 1200.0})


@pytest.mark.parametrize("header", [b"", b"{}", b"[1]", b'{"offset":"x"}', b"\xff"])
def test_a_header_of_something_else_is_refused(header):
    """It is no header of this version's."""
    with pytest.raises(StateError, match="the header is none of this version's"):
        Restoring(header, {})
