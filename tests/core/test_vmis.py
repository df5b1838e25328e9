"""The preset vmis is VMIS-kNN, as a slow twin that was written from its paper has it."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.index import SessionIndex
from core.presets import preset
from core.scoring import Scorer
from core.window.sessions import ClosedSession
from tests.oracles.slow_vmis import SlowVmis

ITEMS = st.sampled_from([f"i{n}" for n in range(15)])
HISTORIES = st.lists(st.lists(ITEMS, min_size=1, max_size=7), max_size=40)
QUERIES = st.lists(st.lists(ITEMS | st.just("unknown"), max_size=12), min_size=1, max_size=4)


def indexed(history):
    """An index of these sessions, a second apart."""
    index = SessionIndex(100)
    index.add(
        ClosedSession(f"0-{n}", "v", tuple(items), (0,) * len(items), 0, 1000 * n, "gap", len(items))
        for n, items in enumerate(history)
    )
    return index


@settings(max_examples=500, deadline=None)
@given(
    HISTORIES,
    QUERIES,
    st.integers(1, 12),
    st.integers(1, 12),
    st.integers(1, 9),
    st.booleans(),
)
def test_the_preset_scores_what_the_paper_scores(history, asked, m, k, last, idf):
    """For any sessions, queries, m, k and last clicks: the same items and scores, ranked by them."""
    parameters = preset(
        "vmis",
        recommendations=1000,
        sessions_per_item=m,
        sample_size=m,
        neighbours=k,
        last_clicks=last,
        **({} if idf else {"idf_base": 1.0, "idf_score": 0.0}),
    )
    slow = SlowVmis(history, m, k, last, idf=idf)
    for query, answer in zip(
        asked, Scorer(indexed(history), parameters).score([(query, 0.0) for query in asked]), strict=True
    ):
        expected = slow.scores(query)
        assert {r.item: r.score for r in answer} == pytest.approx(expected, rel=1e-12)
        assert {r.source for r in answer} <= {"neighbours"}
        assert all(a.score >= b.score for a, b in itertools.pairwise(answer))
        assert query[-1:] == [] or query[-1] not in {r.item for r in answer}


def test_of_sessions_and_items_of_equal_standing_the_newer_come_first():
    """Serenade breaks these ties in the order of a hash; here the newest session wins, every time."""
    history = [["a", f"x{n}"] for n in range(6)] + [["b", "y"]]
    found = Scorer(indexed(history), preset("vmis", neighbours=3)).score([(("a",), 0.0)])[0]
    assert [r.item for r in found] == ["x5", "x4", "x3"]
    assert found[0].score == found[2].score == pytest.approx(0.9 * math.log(7))


def test_a_shared_item_further_back_than_ten_clicks_weighs_nothing():
    """The linear weight ends at 0 and does not go below it; nothing is filled in."""
    query = ("a", *(f"unknown{n}" for n in range(9)))
    parameters = preset("vmis", last_clicks=20)
    index = indexed([["a", "b"], ["c", "d"]])
    assert Scorer(index, parameters).score([(query, 0.0)]) == [[]]
    (near,) = Scorer(index, parameters).score([(query[:-1], 0.0)])
    assert [(r.item, r.source) for r in near] == [("b", "neighbours"), ("a", "neighbours")]
