"""This version starts on what older ones left: it goes on from it, or says what to do, and drops nothing."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from core.errors import StateError
from core.snapshot import FORMAT
from stream_app.index.snapshot import load_snapshot
from stream_app.kafka.groups import group_offsets
from stream_app.kafka.outbox import Outbox, OutRecord
from stream_app.kafka.topics import changelog_topic
from stream_app.settings import Settings
from stream_app.worker.tables import STATE_VERSIONS
from tests.exact_stream import MESSY_WINDOW, closed_by_id
from tests.faults.exact import check_tables
from tests.oracles.whole_log import expected_of
from tests.worker_process import WorkerProcess, create_topics, read_topics, wait_until

OLDER = Path(__file__).parents[1] / "fixtures" / "older"
CLICKS = json.loads((OLDER / "clicks.json").read_text())
STATE = json.loads((OLDER / "state-1.json").read_text())
HALF = STATE["applied"] + 1


@pytest.fixture
def settings(settings) -> Settings:
    """The window of the state, and its topics, of one partition."""
    settings = settings.model_copy(update={**MESSY_WINDOW, "partitions": 1})
    create_topics(settings)
    return settings


def write(settings: Settings, topic: str, records: list[OutRecord]) -> None:
    """Write to the first partition of a topic."""

    async def send() -> None:
        outbox = await Outbox.open(settings)
        await outbox.write(topic, 0, records)
        await outbox.close()

    asyncio.run(send())


def leave_behind(settings: Settings, changelog: list[OutRecord]) -> None:
    """The topics as an older worker leaves them after half of the clicks, its offset committed."""
    clicks = [OutRecord(json.loads(value)["visitor"].encode(), value.encode()) for value in CLICKS]
    write(settings, settings.clicks_topic, clicks[:HALF])
    write(settings, changelog_topic(settings), changelog)
    sessions = [
        OutRecord(json.loads(value)["session"].encode(), value.encode()) for value in STATE["sessions"]
    ]
    write(settings, settings.sessions_topic, sessions)

    async def commit() -> None:
        async with group_offsets(settings, settings.clicks_topic, 1) as group:
            await group.commit({0: HALF})

    asyncio.run(commit())
    write(settings, settings.clicks_topic, clicks[HALF:])


def old_changelog() -> list[OutRecord]:
    """The changelog as the first version with a table wrote it."""
    return [
        OutRecord(bytes.fromhex(key), None if value is None else bytes.fromhex(value))
        for key, value in STATE["changelog"]
    ]


def test_a_worker_goes_on_from_the_state_and_the_snapshots_of_older_versions(settings):
    """Sessions that were open are joined and closed as if one version had done it all.

    The snapshots of older formats are refused by name, the index is made from the topic, and the next
    snapshot takes their place.
    """
    leave_behind(settings, old_changelog())
    with WorkerProcess(settings) as worker:
        folder = worker.data_dir / "index"
        folder.mkdir(parents=True)
        shutil.copy(OLDER / "format-1.snapshot", folder / "index-00000001.snapshot")
        shutil.copy(OLDER / "format-2.snapshot", folder / "index-00000002.snapshot")
        worker.start().wait_ready()

        def done() -> bool:
            seen = read_topics(settings)
            expected = expected_of(settings, seen.clicks)
            return (
                seen.answers.keys() | seen.dead.keys() >= {(0, at) for at in range(HALF, len(CLICKS))}
                and {session.session for session in seen.sessions} >= expected.closed.keys()
            )

        wait_until(done, "the rest is answered", workers=[worker])
        seen = read_topics(settings)
        expected = expected_of(settings, seen.clicks)
        assert any(f"0-{at}" in expected.closed for at in range(HALF)), "some were open"
        assert closed_by_id(seen.sessions) == expected.closed
        assert {place for place in seen.answers if place[1] < HALF} == set()
        for place, (answer, *_) in seen.answers.items():
            query = expected.queries[place]
            assert (answer.session, answer.position) == (query.session, len(query.items))
        assert worker.metrics()["nextclick_snapshot_failures_total"] == 2
        assert worker.terminate()[0] == 0
        log = worker.log.read_text()
        for older in (1, 2):
            assert f"it is of format {older}, expected {FORMAT}: another version of nextclick wrote it" in log
        assert [path.name for path in folder.iterdir()] == ["index-00000003.snapshot"]
        check_tables(settings, expected, seen, [worker.data_dir])


@pytest.mark.parametrize("older", [1, 2])
def test_a_snapshot_of_an_older_format_says_what_to_do(older):
    """Whatever else is in it: the format comes first, and the file can go."""
    with pytest.raises(
        StateError, match=rf"of format {older}, expected {FORMAT}.*Delete it: the index is then"
    ):
        load_snapshot(OLDER / f"format-{older}.snapshot", {"topic": "sessions", "index_sessions": 20})


def test_a_state_that_cannot_be_read_ends_the_worker_and_stays(settings):
    """The state of a version to come: exit code 1, each time, and what to do; the changelog is as it was."""
    strange = bytes((max(STATE_VERSIONS) + 1,)) + b"\x92\x05\x06"
    changelog = [*old_changelog(), OutRecord(b"vann", strange)]
    leave_behind(settings, changelog)
    with WorkerProcess(settings) as worker:
        for _ in range(2):
            worker.start()
            wait_until(lambda: not worker.running, "the worker ends", 90)
            assert worker.process.returncode == 1
            said = "holds a value of version 3, this nextclick reads versions 1 and 2: run the version that"
            assert said in worker.tail()
        assert read_topics(settings).answers == {}
