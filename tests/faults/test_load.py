"""The loads, in their short form."""

from __future__ import annotations

from tests.faults import cases_load as cases


def test_a_hot_visitor(settings):
    """A visitor without end is one bounded session, and everybody is answered."""
    cases.hot_visitor(settings, 0.3)


def test_one_and_three_workers_in_runs_of_any_length(settings):
    """However a log is worked on, its sessions are the same, and so is each recommendation of one index."""
    cases.one_and_three_workers(settings, 0.5)


def test_a_burst(settings):
    """Ten times the load grows the lag and nothing else: it comes back, and no partition changes hands."""
    cases.burst(settings, 0.5)
