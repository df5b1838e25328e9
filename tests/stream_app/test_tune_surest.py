"""Of all trials, the one that is most surely above the start."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.measure.significance import mean_gain
from stream_app.tune.surest import Surest

SESSIONS = [0, 0, 1, 2, 2, 2, 3, 4]
#: Gains of one trial, a query each.
GAINS = st.lists(st.sampled_from([-0.5, 0.0, 0.25, 1.0]), min_size=8, max_size=8)


@settings(max_examples=300)
@given(st.lists(GAINS, max_size=12), st.integers(1, 3000))
def test_it_is_the_trial_with_the_highest_lower_bound_of_all(trials, tries):
    """However many tries there were, and though most trials are forgotten."""
    surest = Surest(SESSIONS)
    for number, gains in enumerate(trials):
        surest.add(number, gains)
    highest = max((mean_gain(gains, SESSIONS, tries).low for gains in trials), default=0.0)
    found = surest.best(tries)
    if highest <= 0:
        assert found is None
    else:
        number, gain = found
        assert gain == mean_gain(trials[number], SESSIONS, tries)
        assert gain.low == pytest.approx(highest)


def test_what_can_no_more_be_the_surest_is_forgotten():
    """A thousand trials of which each is better than the one before leave one; a less sure one more."""
    surest = Surest(SESSIONS)
    for number in range(1, 1001):
        surest.add(number, [number / 1000] * 8)
    assert len(surest._kept) == 1
    surest.add(1001, [4.0, 0.9, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    assert len(surest._kept) == 2
    assert surest.best(1)[0] == 1000


def test_one_session_says_nothing():
    """There is no interval, so no trial is sure."""
    surest = Surest([7, 7])
    surest.add(0, [1.0, 1.0])
    assert surest.best(1) is None
