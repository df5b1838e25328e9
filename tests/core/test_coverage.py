"""The count of different items against sets, for any answers in any runs."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from core.measure.coverage import Coverage

N = 3
answers = st.lists(st.lists(st.integers(0, 5000), max_size=N, unique=True), min_size=1, max_size=4)


def note(coverage: Coverage, run: list[list[int]]) -> None:
    """Take a run's answers in, with what no answer has behind their ends."""
    padded = [answer + [9999] * (N - len(answer)) for answer in run]
    coverage.note(np.array(padded, np.int32), np.array([len(answer) for answer in run], np.int32))


@given(runs=st.lists(answers, max_size=8), window=st.integers(1, 6))
def test_it_counts_the_different_items_of_the_last_answers(runs, window):
    """The union of the answers since a window that is full began, and of the window before it."""
    coverage = Coverage(window)
    windows: list[list[list[int]]] = [[]]
    for run in runs:
        if len(windows[-1]) >= window:
            windows.append([])
        windows[-1] += run
        note(coverage, run)
        counted = [item for answers in windows[-2:] for answer in answers for item in answer]
        assert coverage.items == len(set(counted))


def test_nothing_is_counted_before_the_first_answer():
    """Neither before it nor with an answer that is empty."""
    coverage = Coverage(10)
    assert coverage.items == 0
    note(coverage, [[]])
    assert coverage.items == 0
