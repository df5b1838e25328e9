"""The faults of what is stored, in their short form."""

from __future__ import annotations

from tests.faults import cases_state as cases


def test_rocksdb_truncated_gone_or_old(settings):
    """Whatever is left of RocksDB, the changelog makes it whole."""
    cases.rocksdb_damaged(settings, 0.5)


def test_a_disk_that_takes_no_more(settings):
    """A worker that cannot write ends with an error, and loses nothing."""
    cases.disk_full(settings, 0.5)


def test_sessions_published_twice(settings):
    """The index holds each session once, live and after a restart."""
    cases.sessions_published_twice(settings, 0.5)


def test_idle_input_is_closed_once(settings):
    """The tick closes what is open; nothing is closed again by traffic or a restart."""
    cases.idle_input(settings, 1.0)
