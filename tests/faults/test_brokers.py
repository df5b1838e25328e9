"""The faults of brokers, in their short form."""

from __future__ import annotations

from tests.faults import cases_brokers as cases


def test_the_broker_is_killed_then_frozen(settings, tmp_path):
    """A broker that is away or silent for longer than the session timeout costs no click and no session."""
    cases.killed_and_frozen(settings, 0.7, tmp_path)


def test_one_of_three_brokers_is_killed(settings, tmp_path):
    """With three copies of everything the others go on, and nothing that was confirmed is lost."""
    cases.one_of_three_killed(settings, 0.5, tmp_path)


def test_one_partition_has_no_leader(settings, tmp_path):
    """A worker goes on to answer its other partitions, though it cannot learn where this one ends."""
    cases.one_partition_without_a_leader(settings, 0.5, tmp_path)
