"""The metrics against their slow twin, and tables at the exact limits."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import EvaluationError, InvalidParameterError
from core.measure.metrics import MEANS, MOST_CUTOFF, Cases, Point, Tally, checked_cutoffs, ranks_of
from tests.oracles.slow_metrics import slow_figures, slow_queries, slow_shown

ITEMS = 12

sessions_of_items = st.lists(st.lists(st.integers(0, ITEMS - 1), max_size=7), max_size=8)
an_answer = st.lists(st.integers(0, ITEMS - 1), max_size=ITEMS, unique=True)


def tally_of(sessions, answers, cutoffs=(1, 3, 20), items=ITEMS) -> Tally:
    """All answers in one step."""
    cases = Cases(sessions, items)
    tally = Tally(cases, cutoffs)
    tally.add(range(len(cases)), answers)
    return tally


def mean(tally: Tally, name: str) -> float:
    """The mean over all queries."""
    return float(tally.column(name).sum()) / tally.queries


@given(sessions_of_items)
def test_every_beginning_of_a_session_is_a_case(sessions):
    """Session, clicks known, next item and number of later items are those of the plain reading."""
    cases = Cases(sessions, ITEMS)
    found = list(
        zip(
            cases.session.tolist(),
            cases.position.tolist(),
            cases.truth.tolist(),
            cases.remaining.tolist(),
            strict=True,
        )
    )
    assert found == [(*query[:3], len(query[3])) for query in slow_queries(sessions)]
    assert len(cases) == sum(max(0, len(session) - 1) for session in sessions)


@settings(max_examples=200)
@given(sessions_of_items, st.data())
def test_figures_are_those_of_the_slow_twin(sessions, data):
    """Every mean, session by session, at a cut-off below, within and above the answers' lengths."""
    queries = slow_queries(sessions)
    answers = [data.draw(an_answer) for _ in queries]
    tally = tally_of(sessions, answers)
    for k in (1, 3, 20):
        figures = slow_figures(queries, answers, k)
        for name in MEANS:
            expected = [0.0] * len(sessions)
            for query, figure in zip(queries, figures, strict=True):
                expected[query[0]] += figure[name]
            assert tally.column(f"{name}_{k}").tolist() == pytest.approx(expected)
    assert tally.counts.tolist() == [max(0, len(session) - 1) for session in sessions]


@given(sessions_of_items, st.lists(st.integers(0, 5), min_size=ITEMS, max_size=ITEMS), st.data())
def test_coverage_and_popularity_are_those_of_the_slow_twin(sessions, learnt, data):
    """Of any answers; the catalogue is what was learnt at least once."""
    answers = [data.draw(an_answer) for _ in slow_queries(sessions)]
    shown = tally_of(sessions, answers).shown(learnt)
    for k in (1, 3, 20):
        expected = slow_shown(answers, dict(enumerate(learnt)), k)
        assert (shown[f"coverage_{k}"], shown[f"popularity_{k}"]) == pytest.approx(expected)


@given(sessions_of_items, st.randoms(use_true_random=False), st.integers(1, 5), st.data())
def test_the_order_and_the_size_of_the_steps_make_no_difference(sessions, chance, size, data):
    """Answers that are taken in a few at a time, in any order, give the same figures."""
    cases = Cases(sessions, ITEMS)
    answers = [data.draw(an_answer) for _ in range(len(cases))]
    once, parts = tally_of(sessions, answers), Tally(cases, (1, 3, 20))
    order = list(range(len(cases)))
    chance.shuffle(order)
    for first in range(0, len(order), size):
        taken = order[first : first + size]
        parts.add(taken, [answers[query] for query in taken])
    assert parts.sums == pytest.approx(once.sums)
    assert parts.counts.tolist() == once.counts.tolist()
    assert parts.shown([1] * ITEMS) == once.shown([1] * ITEMS)
    assert parts.hit_rate_by_position(3, 4) == once.hit_rate_by_position(3, 4)


@pytest.mark.parametrize(
    ("rank", "hr", "mrr", "ndcg"),
    [
        (1, 1.0, 1.0, 1.0),
        (2, 1.0, 0.5, 1 / math.log2(3)),
        (5, 1.0, 0.2, 1 / math.log2(6)),
        (6, 0.0, 0.0, 0.0),
    ],
)
def test_the_next_item_counts_up_to_the_cut_off(rank, hr, mrr, ndcg):
    """At rank k it is a hit, at rank k + 1 a miss."""
    answer = list(range(2, 20))
    answer.insert(rank - 1, 1)
    tally = tally_of([[0, 1]], [answer], (5,), 20)
    assert [mean(tally, f"{name}_5") for name in ("hr", "mrr", "ndcg")] == pytest.approx([hr, mrr, ndcg])


@pytest.mark.parametrize(
    ("answer", "precision", "recall", "ndcg"),
    [
        ([1, 2, 3], 1.0, 1.0, 1.0),
        ([3, 2, 1], 1.0, 1.0, 1.0),
        ([1], 1 / 3, 1 / 3, 1 / (1 + 1 / math.log2(3) + 0.5)),
        ([7, 8, 1], 1 / 3, 1 / 3, 0.5 / (1 + 1 / math.log2(3) + 0.5)),
        ([7, 8, 9, 1, 2, 3], 0.0, 0.0, 0.0),
        ([], 0.0, 0.0, 0.0),
        ([0, 7, 8], 0.0, 0.0, 0.0),
    ],
)
def test_the_remaining_items_count_once_and_in_any_order(answer, precision, recall, ndcg):
    """Of the session 0, 1, 2, 3, 1 after its first click; item 0 was clicked before and not again."""
    cases = Cases([[0, 1, 2, 3, 1]], ITEMS)
    tally = Tally(cases, (3,))
    tally.add([0], [answer])
    found = [mean(tally, f"{name}_3") for name in ("precision", "recall", "ndcg_remaining")]
    assert found == pytest.approx([precision, recall, ndcg])


def test_an_item_that_is_clicked_again_is_right_again():
    """Item 1 is right before both of its clicks, and wrong when no click on it is to come."""
    cases = Cases([[0, 1, 2, 1, 3]], ITEMS)
    tally = Tally(cases, (1,))
    tally.add(range(4), [[1], [1], [1], [1]])
    assert tally.column("precision_1").tolist() == [3.0]
    assert tally.column("hr_1").tolist() == [2.0]


def test_the_best_possible_list_of_few_items_is_a_gain_of_one():
    """Fewer remaining items than k do not lower the best gain, more do not raise it."""
    assert mean(tally_of([[0, 1]], [[1]], (20,)), "ndcg_remaining_20") == 1.0
    long = list(range(ITEMS))
    cases = Cases([long], ITEMS)
    tally = Tally(cases, (2,))
    tally.add([0], [[5, 4]])
    assert mean(tally, "ndcg_remaining_2") == pytest.approx(1.0)


def test_no_session_asks_nothing():
    """Neither no sessions nor sessions of one click make a case; there is nothing to divide by."""
    for sessions in ([], [[]], [[3], [4]]):
        tally = tally_of(sessions, [])
        assert (len(tally.cases), tally.queries) == (0, 0)
        assert tally.hit_rate_by_position(1, 5) == tally.hit_rate_over_stream(1, 5) == []
        assert set(tally.shown([1] * ITEMS).values()) == {0.0}


def test_nothing_learnt_is_no_catalogue():
    """Coverage of nothing is 0, not an error."""
    assert set(tally_of([[0, 1]], [[1]]).shown([]).values()) == {0.0}


@pytest.mark.parametrize("repeated", [[1, 1], [2, 3, 2], [0, 1, 2, 3, 4, 5, 0]])
def test_an_answer_with_an_item_twice_is_refused(repeated):
    """It would count a remaining item twice."""
    with pytest.raises(EvaluationError, match="twice"):
        tally_of([[0, 1]], [repeated])


def test_an_answer_with_an_item_of_no_number_is_refused_and_nothing_of_it_is_counted():
    """What was taken in before stays, and what comes after counts."""
    tally = Tally(Cases([[0, 1, 2]], 3), (1, 5))
    with pytest.raises(EvaluationError, match="item numbers below 3, but an answer has 7"):
        tally.add([0, 1], [[1], [7]])
    assert (tally.queries, tally.sums.any()) == (0, False)
    tally.add([0, 1], [[1], [2]])
    assert (tally.queries, tally.column("hr_1").sum()) == (2, 2.0)


@pytest.mark.parametrize(
    "cutoffs", [(), (0,), (-1, 5), (5, 5), (10, 5), (MOST_CUTOFF + 1,), (5, MOST_CUTOFF + 1)]
)
def test_cut_offs_out_of_their_range_are_refused(cutoffs):
    """At least one, 1 to 1,000, ascending."""
    with pytest.raises(InvalidParameterError, match="cut-offs"):
        checked_cutoffs(cutoffs)


def test_cut_offs_at_the_limits_are_taken():
    """1 and 1,000 are within the range."""
    assert checked_cutoffs([1, MOST_CUTOFF]) == (1, MOST_CUTOFF)


@given(st.lists(an_answer, min_size=1, max_size=5), st.integers(0, ITEMS - 1))
def test_a_rank_counts_from_one(answers, item):
    """The place in its row, 0 where it is not there."""
    matrix = np.full((len(answers), ITEMS), -1, np.int32)
    for row, answer in enumerate(answers):
        matrix[row, : len(answer)] = answer
    expected = [answer.index(item) + 1 if item in answer else 0 for answer in answers]
    assert ranks_of(matrix, np.full(len(answers), item)).tolist() == expected


def test_the_hit_rate_by_position_has_a_point_for_all_long_sessions():
    """Positions past the most are one point behind it."""
    tally = tally_of([[0, 1, 2, 3, 4], [5, 6]], [[1], [9], [3], [9], [6]], (1,))
    assert tally.hit_rate_by_position(1, 2) == [Point(1, 2, 1.0), Point(2, 1, 0.0), Point(3, 2, 0.5)]


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (1, [Point(5, 5, 0.6)]),
        (2, [Point(3, 3, 2 / 3), Point(5, 2, 0.5)]),
        (5, [Point(1, 1, 1.0), Point(2, 1, 0.0), Point(3, 1, 1.0), Point(4, 1, 0.0), Point(5, 1, 1.0)]),
        (50, [Point(1, 1, 1.0), Point(2, 1, 0.0), Point(3, 1, 1.0), Point(4, 1, 0.0), Point(5, 1, 1.0)]),
    ],
)
def test_the_hit_rate_over_the_stream_is_cut_into_equal_stretches(points, expected):
    """In the order of the answers; the last stretch may be shorter."""
    tally = tally_of([[0, 1, 2, 3, 4], [5, 6]], [[1], [9], [3], [9], [6]], (1,))
    assert tally.hit_rate_over_stream(1, points) == [
        Point(at, queries, pytest.approx(rate)) for at, queries, rate in expected
    ]


@given(sessions_of_items, st.data())
def test_the_curves_hold_every_query_once(sessions, data):
    """Weighted by their queries, the points of both curves come to the hit rate."""
    answers = [data.draw(an_answer) for _ in slow_queries(sessions)]
    tally = tally_of(sessions, answers)
    for points in (tally.hit_rate_by_position(3, 2), tally.hit_rate_over_stream(3, 4)):
        assert sum(point.queries for point in points) == tally.queries
        hits = sum(point.queries * point.hit_rate for point in points)
        assert hits == pytest.approx(tally.column("hr_3").sum())


def test_popularity_of_the_most_frequent_item_is_one():
    """And of one learnt half as often, a half."""
    learnt = Counter({1: 4, 2: 2})
    shown = tally_of([[0, 1], [0, 1]], [[1], [2]], (1,)).shown([learnt[item] for item in range(3)])
    assert shown == {"coverage_1": 1.0, "popularity_1": 0.75}
