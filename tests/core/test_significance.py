"""Intervals and the paired test against simulation, enumeration and tables of the books."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t

from core.errors import InvalidParameterError
from core.measure.significance import (
    MOST_EXACT,
    MOST_SUMMED,
    SWAPS,
    Estimate,
    _random_words,
    clustered_mean,
    mean_gain,
    paired_differences,
    student_quantile,
)


def interval(sums, counts) -> Estimate:
    """Of plain lists."""
    return clustered_mean(np.array(sums, float), np.array(counts, np.int64))


@settings(max_examples=200)
@given(st.integers(1, 3 * MOST_SUMMED), st.floats(1e-6, 0.5))
def test_student_s_t_is_scipy_s(freedom, chance):
    """Summed up for few degrees of freedom, expanded about the normal quantile for many."""
    assert student_quantile(freedom, chance) == pytest.approx(t.ppf(1 - chance / 2, freedom), rel=1e-6)


@pytest.mark.parametrize(("freedom", "expected"), [(1, 12.706), (2, 4.303), (10, 2.228), (10**7, 1.960)])
def test_student_s_t_is_that_of_the_tables(freedom, expected):
    """Of 95 % confidence, to the table's last digit."""
    assert student_quantile(freedom) == pytest.approx(expected, abs=5e-4)


def test_the_interval_is_the_ratio_estimator_s():
    """Written out for three sessions of 1, 2 and 3 queries with 1, 0 and 2 hits."""
    mean = 3 / 6
    residuals = [1 - mean * 1, 0 - mean * 2, 2 - mean * 3]
    error = math.sqrt(3 / 2 * sum(value * value for value in residuals)) / 6
    found = interval([1, 0, 2], [1, 2, 3])
    assert found.value == mean
    assert found.low == max(0.0, mean - student_quantile(2) * error)
    assert found.high == min(1.0, mean + student_quantile(2) * error)


@pytest.mark.parametrize(
    ("sums", "counts", "expected"),
    [
        ([], [], Estimate(0.0, None, None)),
        ([0.0], [0], Estimate(0.0, None, None)),
        ([1.0], [2], Estimate(0.5, None, None)),
        ([1.0, 0.0], [2, 0], Estimate(0.5, None, None)),
        ([1.0] * 31, [1] * 31, Estimate(1.0, pytest.approx(31 / (31 + 2.0423**2), rel=1e-4), 1.0)),
        ([0.0] * 31, [2] * 31, Estimate(0.0, 0.0, pytest.approx(2.0423**2 / (31 + 2.0423**2), rel=1e-4))),
    ],
)
def test_intervals_at_the_limits(sums, counts, expected):
    """One session says nothing of its spread, no interval leaves 0 to 1, and none is certain."""
    assert interval(sums, counts) == expected


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 9), st.floats(0, 1)), min_size=2, max_size=30))
def test_an_interval_holds_its_mean_and_sessions_that_ask_nothing_change_nothing(sessions):
    """Low, mean and high are in order within 0 and 1."""
    counts = [count for count, _ in sessions]
    sums = [count * rate for count, rate in sessions]
    found = interval(sums, counts)
    assert 0.0 <= found.low <= found.value <= found.high <= 1.0
    assert interval([0.0, *sums], [0, *counts]) == found


def test_the_interval_covers_the_truth_as_often_as_it_says():
    """Of 2,000 samples of 60 unlike sessions, 95 % hold the true rate; as single clicks far fewer would."""
    chance = np.random.default_rng(4)
    covered = naive = 0
    for _ in range(2000):
        counts = chance.integers(1, 12, 60)
        rates = chance.choice([0.1, 0.7], 60)  # sessions differ: their clicks are alike within
        found = clustered_mean(chance.binomial(counts, rates).astype(float), counts)
        covered += found.low <= 0.4 <= found.high
        half = 1.96 * math.sqrt(found.value * (1 - found.value) / counts.sum())
        naive += abs(found.value - 0.4) <= half
    assert 0.93 <= covered / 2000 <= 0.965
    assert naive / 2000 < 0.85


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=9))
def test_the_paired_test_of_few_sessions_is_all_swaps(pairs):
    """The share of all swaps with a difference at least as large, the observed one among them."""
    ours, theirs = (np.array(side, float)[:, np.newaxis] for side in zip(*pairs, strict=True))
    differences = [one - other for one, other in pairs]
    totals = [
        abs(sum(sign * difference for sign, difference in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(pairs))
    ]
    expected = sum(total >= abs(sum(differences)) for total in totals) / len(totals)
    (found,) = paired_differences(ours, theirs, np.full(len(pairs), 3))
    assert found.p == pytest.approx(expected)
    assert found.value == pytest.approx(sum(differences) / (3 * len(pairs)))


@pytest.mark.parametrize(
    ("sessions", "least"), [(MOST_EXACT, 2 / 2**MOST_EXACT), (MOST_EXACT + 1, 1 / (SWAPS + 1))]
)
def test_the_least_chance_is_that_of_the_swaps_tried(sessions, least):
    """One method is better in every session: none swapped and all swapped, or the observed one alone."""
    better = np.ones((sessions, 1))
    (found,) = paired_differences(better, np.zeros((sessions, 1)), np.ones(sessions, np.int64))
    assert found.p == pytest.approx(least, abs=4 / (SWAPS + 1))
    assert found.p > 0


def test_equal_methods_do_not_differ():
    """The same results everywhere: no difference, and every chance of it."""
    same = np.ones((50, 2))
    for found in paired_differences(same, same, np.ones(50, np.int64)):
        assert found == (0.0, 0.0, 0.0, 1.0)


def test_the_test_is_the_same_from_either_side_and_every_time():
    """The difference turns its sign, the chance stays; so does all of it the second time."""
    chance = np.random.default_rng(1)
    ours, theirs = chance.random((200, 3)), chance.random((200, 3))
    counts = np.full(200, 2)
    forth, back = paired_differences(ours, theirs, counts), paired_differences(theirs, ours, counts)
    assert forth == paired_differences(ours, theirs, counts)
    for one, other in zip(forth, back, strict=True):
        assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))
        assert one.p == other.p


def test_methods_that_are_alike_are_told_apart_as_rarely_as_p_says():
    """Of 400 figures without a difference, about 5 % have a p of at most .05."""
    noise = np.random.default_rng(2).normal(size=(40, 400))
    found = paired_differences(noise, np.zeros_like(noise), np.ones(40, np.int64))
    assert 8 <= sum(difference.p <= 0.05 for difference in found) <= 35


def test_the_random_words_are_those_of_the_published_generator():
    """SplitMix64 from the seed 0 begins with these, and a block goes on where the last one ended."""
    first = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC]
    assert _random_words(0, 0, 4).tolist() == first
    assert _random_words(0, 1, 2).tolist() == first[2:]


def test_the_best_of_more_tries_needs_a_larger_gain():
    """One try has the interval of a difference; with a thousand it is of a chance so much smaller."""
    gains = [0.5, 0.0, -0.25, 1.0, 0.0, 0.5, 0.0, 0.25]
    sessions = [7, 7, 3, 3, 9, 9, 1, 1]
    one, many = mean_gain(gains, sessions), mean_gain(gains, sessions, 1000)
    (paired,) = paired_differences(
        np.array([[0.5], [0.75], [0.5], [0.25]]), np.zeros((4, 1)), np.array([2, 2, 2, 2], np.int64)
    )
    assert one == pytest.approx(paired[:3])
    assert many.value == one.value == 0.25
    assert (many.high - many.value) / (one.high - one.value) == pytest.approx(
        t.ppf(1 - 0.025 / 1000, 3) / t.ppf(0.975, 3)
    )


def test_a_gain_of_one_session_says_nothing_of_certainty():
    """There is no interval."""
    assert mean_gain([1.0, 0.0], [4, 4]) == Estimate(0.5, None, None)
    with pytest.raises(InvalidParameterError, match="1 try or more, came 0"):
        mean_gain([1.0, 0.0], [4, 5], 0)
