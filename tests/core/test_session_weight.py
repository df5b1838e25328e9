"""Weights of sessions: what the sampling `weighted` goes by, and sessions that are never a neighbour."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidParameterError
from core.index import SessionIndex
from core.params import SAMPLINGS, ScoringParameters
from core.scoring import Scorer
from core.window.sessions import ClosedSession
from tests.oracles.slow_scoring import SlowScorer

ITEMS = st.sampled_from([f"i{n}" for n in range(9)])
WEIGHTS = st.sampled_from([-math.inf, -math.inf, 0.0, 0.5, 1.0])

weighted_histories = st.lists(st.tuples(st.lists(ITEMS, min_size=1, max_size=6), WEIGHTS), max_size=25)
queries = st.lists(st.lists(ITEMS, max_size=6), min_size=1, max_size=3)
parameters = st.builds(
    ScoringParameters,
    recommendations=st.integers(1, 8),
    exclude=st.sampled_from(["none", "session"]),
    neighbours=st.integers(1, 8),
    sessions_per_item=st.integers(1, 30),
    sample_size=st.sampled_from([0, 1, 3, 8]),
    sampling=st.sampled_from(SAMPLINGS),
    position_weight=st.sampled_from(["linear", "wsknn"]),
    score_weight=st.sampled_from(["linear", "div"]),
)


def closed(number, items):
    times = (number * 1000,) * len(items)
    return ClosedSession(f"0-{number}", "v", tuple(items), times, times[0], times[0], "gap", len(items))


@settings(max_examples=400, deadline=None)
@given(weighted_histories, queries, parameters, st.integers(1, 20))
def test_weighted_sessions_are_sampled_and_left_out_as_the_slow_twin_does(history, asked, params, capacity):
    """For any weights, answers are equal bit for bit, and so is the number of items that were scored."""
    index = SessionIndex(capacity)
    index.add(closed(n, items) for n, (items, _) in enumerate(history))
    by_slot = np.full(index.slots, -math.inf)
    for n, (_, weight) in enumerate(history):
        by_slot[n % index.slots] = weight
    scorer = Scorer(index, params, by_slot)
    timed = [(query, 100.0 + n) for n, query in enumerate(asked)]
    held = [(tuple(items), float(n)) for n, (items, _) in enumerate(history)][-capacity:]
    slow = SlowScorer(held, params, [weight for _, weight in history][-capacity:])
    scored = scorer.rank(scorer.numbered(timed)).scored.tolist()
    for (query, time), answer, by_method in zip(timed, scorer.score(timed), scored, strict=True):
        assert answer == slow.answer(query, time)
        assert by_method == slow.scored


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_session_of_minus_infinity_is_no_neighbour_whatever_the_sampling(sampling):
    """Only its rules and its popularity are left, which fill a short answer."""
    index = SessionIndex(2)
    index.add([closed(0, ["a", "b"]), closed(1, ["a", "c"])])
    params = ScoringParameters(sampling=sampling, sample_size=1, exclude="session")
    by_slot = np.zeros(index.slots)
    by_slot[1] = -math.inf
    scorer = Scorer(index, params, by_slot)
    answer = scorer.score([(("a",), 9.0)])[0]
    assert [(r.item, r.source) for r in answer] == [("b", "neighbours"), ("c", "rules")]
    assert scorer.rank(scorer.numbered([(("a",), 9.0)])).scored.tolist() == [1]


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_weights_that_are_not_one_a_slot_are_refused(sampling):
    """The error says how many there are and how many are wanted."""
    index = SessionIndex(2)
    for shape in ((index.slots + 1,), (index.slots, 1)):
        said = re.escape(f"has the shape {shape}, expected one number for each of {index.slots} slots")
        with pytest.raises(InvalidParameterError, match=said):
            Scorer(index, ScoringParameters(sampling=sampling), np.zeros(shape))


def test_weights_may_be_a_list():
    """Whatever numpy makes an array of numbers of."""
    index = SessionIndex(2)
    assert Scorer(index, ScoringParameters(sampling="weighted"), [0] * index.slots).score([((), 1.0)]) == [[]]
