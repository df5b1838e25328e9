"""The index is bounded, exact and the same everywhere."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.arrays import MAX_SESSION_CLICKS
from core.errors import InvalidParameterError
from core.identity import session_key
from core.index import SessionIndex
from core.presets import preset
from core.scoring import Scorer
from core.window.sessions import ClosedSession
from tests.oracles.index_contents import contents, posting_lists

ITEMS = st.sampled_from([f"i{n}" for n in range(40)])


def closed(name, items, end=0, **fields):
    return ClosedSession(name, "v", tuple(items), (end,) * len(items), end, end, "gap", len(items), **fields)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.lists(ITEMS, min_size=1, max_size=6), max_size=80),
    st.integers(1, 12),
    st.lists(st.integers(0, 80), max_size=6),
)
def test_it_holds_the_newest_sessions_and_their_posting_lists_however_they_arrive(history, capacity, cuts):
    """Any way of cutting the stream into batches gives the newest sessions and exact posting lists."""
    index = SessionIndex(capacity)
    edges = sorted({0, len(history), *(min(cut, len(history)) for cut in cuts)})
    for begin, end in itertools.pairwise(edges):
        index.add(closed(f"0-{n}", history[n]) for n in range(begin, end))
    sessions, postings = contents(index)
    newest = history[-capacity:]
    assert sessions == newest
    expected = posting_lists(newest)
    assert postings == expected
    assert (index.sessions, index.clicks, index.items) == (
        len(newest),
        sum(map(len, newest)),
        len(expected),
    )


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.lists(ITEMS, min_size=1, max_size=3)), max_size=60))
def test_a_session_that_comes_twice_is_held_once(stream):
    """An id that is held is ignored; one that has left may come again."""
    index, held = SessionIndex(4), []
    for number, items in stream:
        index.add([closed(f"3-{number}", items)])
        if number not in [n for n, _ in held]:
            held = [*held, (number, items)][-4:]
        assert contents(index)[0] == [items for _, items in held]


def test_a_catalogue_that_turns_over_does_not_grow_the_index():
    """Ids of items that no session holds are used again, and so are the blocks of their postings."""
    index = SessionIndex(50)
    for number in range(5000):
        index.add([closed(f"0-{number}", [f"item{number}", f"item{number + 1}"])])
    assert index.items <= 51
    assert len(index.names) <= 60
    assert len(index.arrays.arena) <= 1024
    assert len(index.arrays.pool) <= 1024


def test_a_hot_item_gives_its_room_back():
    """A posting list that has emptied leaves its block to others."""
    index = SessionIndex(500)
    for number in range(500):
        index.add([closed(f"0-{number}", ["hot"])])
    for number in range(500, 1500):
        index.add([closed(f"0-{number}", [f"cold{number % 100}"])])
    assert "hot" not in index.ids
    assert len(index.arrays.arena) <= 4096


def test_sessions_that_make_hundreds_of_lists_grow_at_once_are_taken_in():
    """Each session holds all 700 items, so each makes every posting list outgrow its block together."""
    items = tuple(f"i{n}" for n in range(700))
    index = SessionIndex(40)
    assert [index.add([closed(f"0-{n}", items)]) for n in range(60)] == [1] * 60
    assert (index.sessions, index.clicks, index.items) == (40, 28_000, 700)
    assert set(index.arrays.posting_count[:700].tolist()) == {40}


def test_bots_empty_and_endless_sessions_are_not_learnt():
    """Overlong, empty and larger than the bound are left out and counted as such."""
    index = SessionIndex(10)
    added = index.add(
        [
            closed("0-1", ["a"], overlong=True),
            closed("0-2", []),
            closed("0-3", ["a"] * (MAX_SESSION_CLICKS + 1)),
            closed("0-4", ["a"] * MAX_SESSION_CLICKS),
        ]
    )
    assert (added, index.sessions) == (1, 1)


def test_items_of_any_text_are_items():
    """Names are opaque: unicode, spaces, ten thousand characters."""
    names = ["ü" * 10_000, " ", "𝄞", "a\tb"]
    index = SessionIndex(4)
    index.add([closed("0-1", names)])
    answer = Scorer(index, preset("vsknn")).score([((names[0],), 1.0)])[0]
    assert {r.item for r in answer} == set(names[1:])


@pytest.mark.parametrize("size", [0, -1, 16_000_001, 2.5, "10", True, None])
def test_a_size_that_is_none_is_refused(size):
    """The error says the range; a number that is not whole, a text or a truth value are no size."""
    with pytest.raises(InvalidParameterError, match="expected a whole number from 1 to 16000000"):
        SessionIndex(size)


def test_a_size_may_be_numpys():
    """It is a whole number."""
    index = SessionIndex(np.int64(5), np.int32(7))
    assert (index.max_sessions, index.max_items) == (5, 7)


@pytest.mark.parametrize(
    ("items", "starts", "ends", "said"),
    [
        ([1, 2], [0, 1, 5000], [1.0, 2.0], "expected starts within the items"),
        ([1, 2], [-1, 1], [1.0], "expected starts within the items"),
        ([1, 2], [0, 1, 2], [1.0], "one more of them than ends"),
        ([1, 2], [0, 2], [1.0, 2.0], "one more of them than ends"),
        ([], [], [], "one more of them than ends"),
        ([1, -2], [0, 2], [1.0], "an item is -2"),
        ([1, 2], [0, 0, 2], [1.0, 2.0], "a session has 0 clicks"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(items, starts, ends, said):
    """Kernels would read beyond them."""
    index = SessionIndex(3)
    with pytest.raises(InvalidParameterError, match=said):
        index.add_numbered(np.array(items, np.int32), np.array(starts, np.int64), np.array(ends))
    assert index.added == 0


@pytest.mark.parametrize("items", ["milk", ("milk", 7), (None,), (b"milk",)])
def test_items_that_are_no_names_are_refused_and_nothing_of_the_batch_is_added(items):
    """A text is no sequence of items, and a number is no name."""
    index = SessionIndex(10)
    wrong = ClosedSession("s", "v", items, (0,) * len(items), 0, 0, "gap", len(items))
    with pytest.raises(InvalidParameterError, match=r"'s' has the items .*, expected a sequence of texts"):
        index.add([closed("0", ["bread"]), wrong])
    assert (index.sessions, index.items) == (0, 0)


@given(st.text(max_size=30) | st.from_regex(r"\A[0-9]{1,20}-[0-9]{1,20}\Z"))
def test_a_session_key_is_a_signed_64_bit_number(name):
    """Ids of ours are non-negative and exact; others are negative hashes."""
    key = session_key(name)
    assert -(1 << 63) <= key < 1 << 62
    if key >= 0:
        assert name == f"{key >> 48}-{key & ((1 << 48) - 1)}"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=6), max_size=30), st.integers(1, 12))
def test_numbered_items_are_items_of_that_name(history, capacity):
    """Sessions given as arrays of numbers are held as the same sessions of names are."""
    named, numbered = SessionIndex(capacity), SessionIndex(capacity)
    named.add(closed(f"0-{n}", [*map(str, items)], 1000 * n) for n, items in enumerate(history))
    starts = np.cumsum([0, *map(len, history)])
    ends = np.arange(len(history), dtype=np.float64)
    numbered.add_numbered(np.array([n for items in history for n in items], np.int32), starts, ends)
    assert contents(numbered) == contents(named)
    assert numbered.ids == named.ids


@pytest.mark.parametrize("before", [0, 1, 2, 7])
def test_a_long_session_of_one_item_asks_for_the_room_of_one_entry(before):
    """The item's posting list grows by one entry a session, however long the session, held or not."""
    index = SessionIndex(1000)
    index.add(closed(f"0-{n}", ["a"]) for n in range(before))
    for n in range(before, before + 50):
        index.add([closed(f"0-{n}", ["a"] * MAX_SESSION_CLICKS)])
    assert contents(index)[1] == posting_lists(contents(index)[0])
    assert len(index.arrays.arena) < 1000
