"""The sessions topic is cut short on a real Kafka, and every index is as it was."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from core.errors import SettingsError
from core.window.sessions import ClosedSession
from stream_app.index.feed import IndexFeed
from stream_app.operations.trimming import trim
from stream_app.settings import Settings
from stream_app.telemetry import Telemetry
from tests.oracles.index_contents import sessions_of
from tests.worker_process import WorkerProcess, create_topics, send_sessions, wait_until

HELD = 200


@pytest.fixture
def settings(settings) -> Settings:
    """A small index, and a topic with three times as many sessions."""
    settings = settings.model_copy(update={"index_sessions": HELD})
    create_topics(settings)
    asyncio.run(send_sessions(settings, [msgspec.json.encode(closed(number)) for number in range(3 * HELD)]))
    return settings


def closed(number: int) -> ClosedSession:
    """A session of two items."""
    items = (f"i{number % 50}", f"i{number * 7 % 40 + 50}")
    return ClosedSession(f"9-{number}", "someone", items, (1, 2), number, number * 1000, "gap", 2)


def rebuilt(settings: Settings) -> list:
    """What an index holds that is made from the topic as it is: items and ends, oldest first."""
    feed = IndexFeed(settings.model_copy(update={"snapshot_every_s": 0.0}), Telemetry())

    async def feed_up() -> None:
        await feed.start()
        try:
            await feed.wait_caught_up()
        finally:
            await feed.stop()

    asyncio.run(feed_up())
    return [(items, end) for items, end, _ in sessions_of(feed.index)]


def test_an_index_made_of_what_is_left_is_the_same(settings):
    """As many records as the index holds are enough; a dry run deletes none, a second run no more."""
    before = rebuilt(settings)
    assert len(before) == HELD
    would = asyncio.run(trim(settings, dry_run=True))
    assert (would.begin, would.end, would.kept, would.deleted) == (0, 3 * HELD, 2 * HELD, HELD)
    assert asyncio.run(trim(settings)) == would
    assert rebuilt(settings) == before
    assert asyncio.run(trim(settings, HELD)).deleted == HELD
    assert rebuilt(settings) == before
    assert asyncio.run(trim(settings, HELD)).deleted == 0


def test_fewer_than_the_index_holds_are_not_kept(settings):
    """What an index needs is not deleted by a slip."""
    with pytest.raises(SettingsError, match=f"expected {HELD} .* came {HELD - 1}"):
        asyncio.run(trim(settings, HELD - 1))


def test_a_worker_goes_on_and_starts_again(settings):
    """The command deletes under a running worker, which learns on; the next one finds a shorter topic."""
    command = str(Path(sys.executable).with_name("nextclick"))
    with WorkerProcess(settings) as worker:
        worker.start().wait_ready()
        done = subprocess.run(
            [command, "topics", "trim", "--json"],
            env={**os.environ, **settings.environment()},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["deleted"] == HELD
        asyncio.run(send_sessions(settings, [msgspec.json.encode(closed(3 * HELD))]))

        def learnt() -> bool:
            return worker.metrics()["nextclick_index_offset"] == 3 * HELD + 1

        wait_until(learnt, "the new session is learnt", 60, [worker])
        code, _ = worker.terminate()
        assert code == 0
        worker.start().wait_ready()
        wait_until(learnt, "the next worker has all", 60, [worker])
        assert worker.metrics()["nextclick_index_sessions"] == HELD
