"""The faults of workers, in their short form."""

from __future__ import annotations

from tests.faults import cases_workers as cases


def test_killed_between_any_two_writes_and_while_it_restores(settings):
    """A lone worker that dies at each moment of a run and of a restore loses and doubles nothing."""
    assert cases.killed_at_each_moment(settings, 0.8).repeats > 0


def test_frozen_in_the_middle_of_a_run(settings):
    """What a worker writes after it lost its partitions is noticed, made good, and never restored."""
    cases.frozen_in_the_middle_of_a_run(settings, 0.7)


def test_a_worker_that_hangs_says_so(settings):
    """/live answers 503 with partition, offset and phase while a partition with input finishes nothing."""
    cases.hanging(settings, 0.7)


def test_a_rolling_restart(settings):
    """Two workers are stopped and started again, one after the other, under load: exact, nothing twice."""
    assert cases.rolled(settings, 0.4).pause_s > 0


def test_killed_at_random_moments(settings):
    """Two workers that are killed again and again under load leave all exact."""
    cases.killed_at_random(settings, 0.6)


def test_frozen_at_any_moment(settings):
    """A worker that comes back as a zombie of an older generation wins over nobody."""
    cases.frozen_anywhere(settings, 0.5)


def test_killed_joined_and_stopped(settings):
    """Partitions move with their state, whoever is killed, joins or leaves, or when all are killed."""
    cases.killed_joined_and_stopped(settings, 0.5)
