"""Fixtures of all tests: a real Kafka, one for the session, and settings of its own for each test.

In CI a skipped test is a failure: the hooks of tests/no_skips.py.
"""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from stream_app.compiled import use_cache
from stream_app.kafka.brokers import local_kafka
from stream_app.settings import Settings
from tests.no_skips import pytest_make_collect_report, pytest_runtest_makereport

# Before any kernel is imported: numba's own cache does not notice a change in what a kernel calls.
use_cache(Settings.model_fields["cache_dir"].default)

__all__ = ["pytest_make_collect_report", "pytest_runtest_makereport"]


@pytest.fixture(scope="session")
def kafka(tmp_path_factory):
    """The address of an Apache Kafka on this machine that lives as long as the test session."""
    # The log cleaner looks for work once in 15 s otherwise, and a test waits for it.
    quick = {"log.cleaner.backoff.ms": "300"}
    with local_kafka(tmp_path_factory.mktemp("kafka"), extra=quick) as broker:
        yield broker.bootstrap


@pytest.fixture
def settings(kafka, tmp_path: Path) -> Settings:
    """Settings on that Kafka with group, topics and folder that no other test has; no topic is made yet."""
    own = uuid.uuid4().hex[:8]
    return Settings(
        bootstrap_servers=kafka,
        group_id=f"group-{own}",
        clicks_topic=f"clicks-{own}",
        recommendations_topic=f"recommendations-{own}",
        sessions_topic=f"sessions-{own}",
        dead_letters_topic=f"dead-letters-{own}",
        data_dir=tmp_path / "data",
        metrics_port=0,
    )
