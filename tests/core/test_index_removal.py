"""After any adding, evicting and removing, the index answers as one that was built on what remains."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.arrays import ARENA_TOP, GARBAGE
from core.index import SessionIndex
from core.kernels.arena import compact
from core.presets import preset
from core.scoring import Scorer
from core.storage import with_room_in_arena, with_room_in_pool
from core.window.sessions import ClosedSession
from tests.oracles.index_contents import contents, posting_lists, sessions_of
from tests.oracles.slow_scoring import slow_score

ITEMS = [f"i{n}" for n in range(12)]
VISITORS = ["", "ann", "bob", "eve"]


class Held(NamedTuple):
    """A session of the model."""

    session: str
    visitor: str
    items: tuple[str, ...]
    end_s: int


def closed(held):
    end = held.end_s * 1000
    times = (end,) * len(held.items)
    return ClosedSession(held.session, held.visitor, held.items, times, end, end, "gap", len(held.items))


class Model:
    """A list of sessions, in which a removed one stays as None until it is the oldest."""

    def __init__(self, capacity):
        self.capacity = capacity
        self.window = []

    @property
    def held(self):
        """What remains."""
        return [one for one in self.window if one]

    def add(self, new):
        """Add one unless it is held; the oldest leaves."""
        if all(new[:2] != one[:2] for one in self.held):
            if len(self.window) == self.capacity:
                self.window.pop(0)
                self._drop_removed()
            self.window.append(new)

    def remove(self, wanted):
        """Remove all that are wanted; how many."""
        gone = [one for one in self.held if wanted(one)]
        self.window = [None if one in gone else one for one in self.window]
        self._drop_removed()
        return len(gone)

    def _drop_removed(self):
        while self.window and self.window[0] is None:
            self.window.pop(0)


names = st.integers(0, 15).map(lambda n: f"0-{n}") | st.sampled_from(["x", "y"])
visitors = st.sampled_from(VISITORS)
item_lists = st.lists(st.sampled_from(ITEMS), min_size=1, max_size=6).map(tuple)
steps = st.one_of(
    st.tuples(st.just("add"), names, visitors, item_lists),
    st.tuples(st.just("add"), names, visitors, item_lists),
    st.tuples(st.just("add"), names, visitors, st.just(("i0", "i1"))),
    st.tuples(st.just("remove"), names, visitors),
    st.tuples(st.just("remove held"), st.integers(0, 30)),
    st.tuples(st.just("remove visitor"), visitors),
    st.tuples(st.just("move together")),
)


def move_together(index):
    """Move the pool and the arena as if both were full."""
    index.arrays = with_room_in_pool(index.arrays, 1)
    items = np.flatnonzero(index.arrays.posting_count).astype(np.int32)
    order = items[np.argsort(index.arrays.posting_start[items])]
    compact(index.arrays, order, np.empty(index.slots, np.int32))


def apply(step, number, index, model):
    """One step, to the index and to its model; both say the same of it."""
    if step[0] == "add":
        new = Held(*step[1:], number)
        before = index.sessions, index.changes, model.held
        added = index.add([closed(new)])
        model.add(new)
        assert added == (model.held != before[2]) == index.changes - before[1]
    elif step[0] == "remove":
        assert index.remove(*step[1:]) == model.remove(lambda one: one[:2] == step[1:])
    elif step[0] == "remove held" and model.held:
        one = model.held[step[1] % len(model.held)]
        assert index.remove(one.session, one.visitor)
        assert model.remove(lambda other: other == one) == 1
    elif step[0] == "remove visitor":
        gone = model.remove(lambda one: one.visitor == step[1]) if step[1] else 0
        assert index.remove_visitor(step[1]) == gone
    elif step[0] == "move together":
        move_together(index)


@settings(max_examples=400, deadline=None)
@given(st.lists(steps, max_size=40), st.integers(1, 12))
def test_after_any_history_the_index_holds_and_answers_what_one_built_on_what_remains_does(history, capacity):
    """Sessions, posting lists, counts and answers are those of a new index, and of the slow twin."""
    index, model = SessionIndex(capacity), Model(capacity)
    scorers = [Scorer(index, preset(name)) for name in ("vsknn", "vstan", "baskets")]
    queries = [(("i3", "i0"), 50.0), (("i1",), 50.0), ((), 50.0)]
    for number, step in enumerate(history):
        apply(step, number, index, model)
        assert contents(index) == (
            [list(one.items) for one in model.held],
            posting_lists([one.items for one in model.held]),
        )
    assert (index.sessions, index.clicks, index.items) == (
        len(model.held),
        sum(len(one.items) for one in model.held),
        len({item for one in model.held for item in one.items}),
    )
    anew = SessionIndex(capacity)
    anew.add(map(closed, model.held))
    held = [(one.items, float(one.end_s)) for one in model.held]
    for scorer in scorers:
        answers = scorer.score(queries)
        assert answers == Scorer(anew, scorer.parameters).score(queries)
        assert answers == [slow_score(held, *query, scorer.parameters) for query in queries]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 399), max_size=60, unique=True), st.integers(0, 250))
def test_a_session_leaves_the_middle_of_a_long_list(gone, more):
    """Whichever sessions of a hot item are removed, the others stay in their order."""
    index = SessionIndex(400)
    index.add(closed(Held(f"0-{n}", f"v{n % 7}", ("hot", f"i{n % 30}"), n)) for n in range(400))
    for n in gone:
        assert index.remove(f"0-{n}", f"v{n % 7}")
    index.add(closed(Held(f"1-{n}", "", ("hot",), n)) for n in range(more))
    sessions, postings = contents(index)
    assert postings == posting_lists(sessions)
    assert [s for s in sessions if len(s) == 2] == [
        ["hot", f"i{n % 30}"] for n in range(more, 400) if n not in gone
    ][: len([s for s in sessions if len(s) == 2])]


def test_a_visitor_with_very_many_sessions_is_removed_whole_and_alone():
    """Past 256 sessions of a visitor the table keeps them apart; they are found one by one and together."""
    index = SessionIndex(2000)
    visitor_of = ["many" if n % 2 else f"v{n}" for n in range(1600)]
    index.add(closed(Held(f"0-{n}", visitor_of[n], ("a", f"i{n % 50}"), n)) for n in range(1600))
    assert index.add(closed(Held(f"0-{n}", "many", ("a",), n)) for n in range(1, 1600, 2)) == 0
    assert all(index.remove(f"0-{n}", "many") for n in range(1, 1600, 8))
    assert not index.remove("0-1", "many")
    assert index.remove_visitor("many") == 600
    assert index.remove_visitor("many") == 0
    assert index.sessions == 800
    assert index.add([closed(Held("0-1", "many", ("b",), 1))]) == 1
    assert index.remove_visitor("many") == 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([1, 2, 7, 253, 254, 255, 256, 700]), max_size=24),
    st.integers(1, 9),
    st.lists(st.integers(0, 23), max_size=6),
)
def test_sessions_of_any_length_stand_side_by_side(lengths, capacity, gone):
    """A length that does not fit in a byte stands in the pool, for its session and those after it."""
    index, held = SessionIndex(capacity), []
    for number, length in enumerate(lengths):
        items = tuple(ITEMS[(number + step) % len(ITEMS)] for step in range(length))
        index.add([closed(Held(f"0-{number}", "", items, number))])
        held = [*held, (list(items), float(number), f"0-{number}")][-capacity:]
        if number % 3 == 0:
            move_together(index)
    for number in gone:
        index.remove(f"0-{number}", "")
        held = [one for one in held if one[2] != f"0-{number}"]
    move_together(index)
    assert [one[:2] for one in sessions_of(index)] == [one[:2] for one in held]


def test_what_is_removed_makes_room():
    """When everything is removed nothing is left, and names, blocks and items are used again."""
    index = SessionIndex(100)
    for turn in range(50):
        index.add(closed(Held(f"{turn}-{n}", "ann", (f"{turn}/{n}", "all"), n)) for n in range(100))
        size = index.bytes
        assert index.remove_visitor("ann") == 100
        assert (index.sessions, index.clicks, index.items) == (0, 0, 0)
        assert len(index.names) <= 101
    index.arrays = with_room_in_arena(index.arrays, 1)
    assert index.arrays.meta[ARENA_TOP] == index.arrays.meta[GARBAGE] == 0
    assert index.bytes <= size
    assert Scorer(index, preset("vstan")).score([(("all",), 1.0)]) == [[]]


@pytest.mark.parametrize("end_ms", [-(10**30), -1, 0, 999, 4_294_967_295_000, 10**30])
def test_an_end_outside_of_four_bytes_of_seconds_is_the_nearest(end_ms):
    """Ends are whole seconds from 0 to 2**32 - 1; a broken clock's session is held like any other."""
    index = SessionIndex(2)
    index.add([ClosedSession("0-1", "", ("a",), (0,), 0, end_ms, "gap", 1)])
    assert sessions_of(index)[0][1] == min(max(end_ms // 1000, 0), 2**32 - 1)
