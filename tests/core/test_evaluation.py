"""Prequential evaluation against the plain reading of what a rank is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.identity import visitor_key
from core.measure.prequential import CUTOFF, Judge, Judgement, popularity_rank, rank_of
from core.window.step import Query

ITEMS = list(range(40))

#: Numbers whose bytes are found where one ends and the next begins.
ALIKE = [0, 1, 0x0100, 0x0101, 0x010000, 0x010101, 0x01000000, 0x01010101, 0x00010001, 0x01000100, 257]


def query(visitor, items, *, session="0-0", outcome="joined", item=None):
    """A click on the last of the items, unless another is said."""
    return Query(visitor, item or items[-1], 0, 0, 0, session, tuple(items), outcome)


def numbers(items):
    """The number of an item is its letter."""
    return [ord(item) for item in items]


def packed(items):
    """An answer of these item numbers."""
    return np.array(items, np.int32).tobytes()


def judged(judge, click, answer="", popular=None):
    """What the judge says of a click, whose answer has these items."""
    places = {ord(item): place for item, place in (popular or {}).items()}
    return judge.judge(click, numbers(click.items), packed(numbers(answer)), places)


@given(st.lists(st.sampled_from(ALIKE), max_size=CUTOFF), st.sampled_from([-1, *ALIKE]))
def test_a_rank_is_the_first_place_in_the_answer(answer, item):
    """The rank counts from 1; what only looks like the item, across two numbers, is none."""
    assert rank_of(item, packed(answer)) == (answer.index(item) + 1 if item in answer else None)


@given(st.permutations(ITEMS), st.integers(0, 40), st.sets(st.sampled_from(ITEMS)), st.sampled_from(ITEMS))
def test_a_rank_in_popularity_leaves_out_the_barred(order, size, barred, item):
    """As if the list had been shown without them: the next ones move up."""
    popular = {name: place for place, name in enumerate(order[:size])}
    shown = [name for name in order[:size] if name not in barred][:CUTOFF]
    expected = shown.index(item) + 1 if item in shown else None
    assert popularity_rank(item, popular, frozenset(barred)) == expected


@pytest.mark.parametrize(
    ("exclude", "first", "current", "session"),
    [("none", 1, 2, 3), ("current", 1, None, 2), ("session", None, None, 1)],
)
def test_popularity_leaves_out_what_answers_leave_out(exclude, first, current, session):
    """Of a session a, b: popularity a, b, c ranks the next click as an answer with this exclude could."""
    popular = {"a": 0, "b": 1, "c": 2}
    for item, expected in (("a", first), ("b", current), ("c", session)):
        judge = Judge(exclude)
        judged(judge, query("v", ["a", "b"]), "", popular)
        assert judged(judge, query("v", ["a", "b", item])) == Judgement(None, expected)


def test_current_is_the_session_s_last_item_also_for_a_click_out_of_order():
    """A click that comes late into its session is not the item that its answer leaves out."""
    for item, expected in (("a", 1), ("b", None)):
        judge = Judge("current")
        judged(judge, query("v", ["a", "b"], item="a"), "", {"a": 0, "b": 1})
        assert judged(judge, query("v", ["a", "b", item])) == Judgement(None, expected)


@pytest.mark.parametrize("outcome", ["opened", "duplicate", "overlong", "replay"])
def test_only_a_joined_click_judges(outcome):
    """A repeated click, a bot's and a replayed one say nothing of the answer before."""
    judge = Judge("none")
    judged(judge, query("v", ["a"]), "b")
    assert judged(judge, query("v", ["a", "b"], outcome=outcome), "c") is None
    remembered = 1 if outcome == "replay" else None
    assert judged(judge, query("v", ["a", "b"])) == Judgement(remembered, None)


def test_an_answer_of_another_session_is_not_judged():
    """The first click of a session says nothing of the answer to the last one of the session before."""
    judge = Judge("none")
    judged(judge, query("v", ["a"]), "b")
    assert judged(judge, query("w", ["b"])) is None
    assert judged(judge, query("v", ["b"], session="0-9")) is None


def test_a_replay_is_not_remembered():
    """An answer that is given again does not replace the latest one."""
    judge = Judge("none")
    judged(judge, query("v", ["a", "b"]), "c")
    judged(judge, query("v", ["a"], outcome="replay"), "d")
    assert judged(judge, query("v", ["a", "b", "c"])) == Judgement(1, None)


@given(st.integers(1, 5), st.lists(st.sampled_from("abcdefgh"), max_size=40))
def test_the_visitors_seen_last_are_remembered(most, visitors):
    """As many visitors as allowed, those with the latest answers; a forgotten one is simply not judged."""
    latest = set(list(dict.fromkeys(reversed(visitors)))[:most])
    for asked in "abcdefgh":
        for forgotten in (False, True):
            judge = Judge("none", most)
            for visitor in visitors:
                judged(judge, query(visitor, ["a"]), "b")
            if forgotten:
                judge.forget(visitor_key(asked))
            remembered = judged(judge, query(asked, ["a", "b"])) is not None
            assert remembered == (asked in latest and not forgotten)
