"""A new group begins where it is told to, and only a new one is told."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from core.errors import SettingsError, StateError, TopicError
from core.window.clicks import Click
from stream_app.kafka.topics import changelog_topic
from stream_app.operations.beginning import begin
from stream_app.settings import Settings
from tests.kafka_admin import committed_offsets
from tests.oracles.whole_log import BEGIN_MS, expected_of
from tests.worker_process import (
    WorkerProcess,
    create_topics,
    read_topics,
    run_nextclick,
    send_clicks,
    wait_until,
)


def clicks(begin: int, end: int) -> list[Click]:
    """A click each of some visitors."""
    return [Click(f"v{n % 40}", f"i{n % 7}", BEGIN_MS + n) for n in range(begin, end)]


@pytest.fixture
def halves(settings) -> tuple[Settings, float]:
    """Two hundred clicks, a moment, two hundred more; and the moment."""
    create_topics(settings)
    send_clicks(settings, clicks(0, 200))
    time.sleep(1.1)
    moment = time.time()
    time.sleep(1.1)
    send_clicks(settings, clicks(200, 400))
    return settings, moment


def test_a_group_begins_at_a_time(halves):
    """Each partition begins with its first click after the moment, and its sessions are those from there."""
    settings, moment = halves
    done = run_nextclick(settings, "begin", "--from", f"{moment:.3f}", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    begins = {one["partition"]: one["offset"] for one in json.loads(done.stdout)["partitions"]}
    seen = read_topics(settings)
    later = {
        p: [record for record in log if record.append_ms >= moment * 1000] for p, log in seen.clicks.items()
    }
    assert sum(map(len, later.values())) == 200
    assert begins == {p: log[0].offset for p, log in later.items()} == committed_offsets(settings)
    with WorkerProcess(settings) as worker:
        worker.start().wait_ready()
        expected = expected_of(settings, later)
        queries = expected.queries.keys()
        wait_until(lambda: read_topics(settings).answers.keys() >= queries, "all are answered", 60, [worker])
        seen = read_topics(settings)
    assert seen.answers.keys() == expected.queries.keys()
    for place, (answer, *_) in seen.answers.items():
        assert answer.session == expected.queries[place].session


def test_earliest_and_latest(halves):
    """All of the log, or nothing of it; a time after the last click is the end, too."""
    settings, moment = halves
    ends = {partition: log[-1].offset + 1 for partition, log in read_topics(settings).clicks.items()}
    for number, (where, offsets) in enumerate(
        [
            ("earliest", dict.fromkeys(ends, 0)),
            ("latest", ends),
            ("2100-01-01T00:00:00Z", ends),
            (str(int((moment - 3600) * 1000)), dict.fromkeys(ends, 0)),
        ]
    ):
        other = settings.model_copy(update={"group_id": f"{settings.group_id}-{number}"})
        create_topics(other)
        begun = asyncio.run(begin(other, where))
        assert {one.partition: one.offset for one in begun} == offsets
        assert {one.partition: one.offset + one.left for one in begun} == ends


def test_a_group_that_has_begun_is_refused(halves):
    """With committed offsets, with workers, with state, or with an old folder: what to do is said."""
    settings, _ = halves
    asyncio.run(begin(settings, "latest"))
    with pytest.raises(StateError, match=r"committed offsets in 4 partition.* Set group_id to a new name"):
        asyncio.run(begin(settings, "earliest"))
    other = settings.model_copy(update={"group_id": f"{settings.group_id}-b"})
    create_topics(other)
    with WorkerProcess(other) as worker:
        worker.start().wait_ready()
        wait_until(lambda: len(read_topics(other).answers) == 400, "all are answered", 60, [worker])
        with pytest.raises(StateError, match="has begun already: its changelog"):
            asyncio.run(begin(other, "earliest"))
        worker.terminate()
        third = worker.settings.model_copy(update={"group_id": f"{settings.group_id}-c"})
        create_topics(third)
        (third.data_dir / "v1" / f"{changelog_topic(third)}-4" / "visitors-0.db").mkdir(parents=True)
        with pytest.raises(StateError, match="set data_dir to a new folder"):
            asyncio.run(begin(third, "earliest"))
    done = run_nextclick(other, "begin", "--from", "earliest")
    assert (done.returncode, done.stdout) == (2, "")


def test_a_group_with_idle_workers_is_refused(settings):
    """Workers that have seen no click are members all the same."""
    create_topics(settings)
    with WorkerProcess(settings) as worker:
        worker.start().wait_ready()
        with pytest.raises(TopicError, match="has workers that run: stop them first"):
            asyncio.run(begin(settings, "earliest"))


def test_what_is_no_beginning_is_said(settings):
    """Neither a word nor a time; and topics that are not there."""
    with pytest.raises(SettingsError, match="--from 'yesterday': expected earliest, latest or a time"):
        asyncio.run(begin(settings, "yesterday"))
    with pytest.raises(TopicError, match=f"no topic {settings.clicks_topic}, .*nextclick topics create"):
        asyncio.run(begin(settings, "earliest"))
