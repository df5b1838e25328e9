"""The index of a worker goes through snapshots and is the same; one that is of no use is not used."""

from __future__ import annotations

import asyncio
import random
import shutil
import time

import msgspec
import pytest

from core.scoring import Scorer
from core.window.sessions import ClosedSession
from stream_app.index.feed import IndexFeed
from stream_app.kafka.client import describe_topics
from stream_app.settings import Settings
from stream_app.telemetry import Telemetry
from tests.kafka_admin import administer, delete_before
from tests.worker_process import (
    WorkerProcess,
    create_topics,
    send_sessions,
    wait_until,
)


@pytest.fixture
def settings(settings) -> Settings:
    """An index that forgets, and its topics."""
    settings = settings.model_copy(update={"index_sessions": 300, "snapshot_every_s": 3600.0})
    create_topics(settings)
    return settings


def closed(number: int, flavour: str = "i") -> ClosedSession:
    """A session of three items that others have, too."""
    items = (f"{flavour}{number % 50}", f"{flavour}{number * 7 % 40}", f"{flavour}{number % 9}")
    return ClosedSession(f"9-{number}", "someone", items, (1, 2, 3), number, number * 1000, "gap", 3)


def send(settings: Settings, begin: int, end: int, flavour: str = "i") -> None:
    """Put sessions on the topic."""
    values = [msgspec.json.encode(closed(number, flavour)) for number in range(begin, end)]
    asyncio.run(send_sessions(settings, values))


class Fed:
    """What a feed that was started, read up and stopped in this process has to show."""

    def __init__(self, settings: Settings) -> None:
        telemetry = Telemetry()
        feed = IndexFeed(settings, telemetry)

        async def feed_up() -> None:
            await feed.start()
            self.began_at = feed.offset
            try:
                await feed.wait_caught_up()
            finally:
                await feed.stop()
                await feed.save()

        asyncio.run(feed_up())
        self.feed = feed
        self.offset = feed.offset
        samples = [sample for family in telemetry.registry.collect() for sample in family.samples]
        self.metrics = {name: sum(s.value for s in samples if s.name == name) for name, *_ in samples}

    def answers(self, settings: Settings) -> list:
        """What it would recommend after some items."""
        scorer = Scorer(self.feed.index, settings.scoring_parameters())
        return scorer.score([((f"i{n}", f"i{n + 1}"), 400_000.0 + n) for n in range(60)])


def rebuilt(settings: Settings) -> Fed:
    """The same from the topic alone."""
    without = settings.model_copy(update={"snapshot_every_s": 0.0})
    fed = Fed(without)
    assert fed.began_at == 0
    return fed


def snapshots(settings: Settings) -> list:
    """The snapshots that are there, oldest first."""
    return sorted((settings.data_dir / "index").iterdir())


def damage(path) -> None:
    """Flip a bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def same_as_rebuilt(settings: Settings, fed: Fed) -> bool:
    """Whether an index answers as one from the topic alone does."""
    again = rebuilt(settings)
    return (fed.offset, fed.answers(settings)) == (again.offset, again.answers(settings))


def test_a_start_goes_on_from_the_snapshot_and_answers_the_same(settings):
    """Stop and start, four times: each begins where the last one ended, and answers as if it had read all."""
    began = time.time() - 1
    for turn in range(4):
        send(settings, turn * 200, turn * 200 + 200)
        fed = Fed(settings)
        assert (fed.began_at, fed.offset) == (turn * 200, turn * 200 + 200)
        assert same_as_rebuilt(settings, fed)
        assert len(snapshots(settings)) == min(turn + 1, 2)
        assert fed.metrics["nextclick_snapshot_bytes"] == snapshots(settings)[-1].stat().st_size
        assert began <= fed.metrics["nextclick_snapshot_timestamp_seconds"] <= time.time()
        assert fed.metrics["nextclick_snapshot_write_seconds"] > 0
    assert Fed(settings).began_at == 800
    assert len(snapshots(settings)) == 2, "nothing new, nothing written"


def test_a_damaged_snapshot_gives_way_to_the_one_before_and_then_to_the_topic(settings, caplog):
    """One flipped bit in the newest, then in both: a warning each, and the same index every time."""
    for turn in range(2):
        send(settings, turn * 200, turn * 200 + 200)
        Fed(settings)
    older, newer = snapshots(settings)
    damage(newer)
    fed = Fed(settings)
    assert (fed.began_at, same_as_rebuilt(settings, fed)) == (200, True)
    assert fed.metrics["nextclick_snapshot_failures_total"] == 1
    assert f"the snapshot {newer} cannot be used: it is corrupt" in caplog.text
    assert older in snapshots(settings)
    assert newer not in snapshots(settings), "a damaged one is not one of the two that are kept"
    for path in snapshots(settings):
        damage(path)
    fed = Fed(settings)
    assert (fed.began_at, same_as_rebuilt(settings, fed)) == (0, True)
    assert fed.metrics["nextclick_snapshot_failures_total"] == 2
    assert Fed(settings).began_at == 400
    shutil.rmtree(settings.data_dir)
    assert (Fed(settings).began_at, Fed(settings).began_at) == (0, 400)


def test_a_snapshot_of_another_index_or_topic_is_not_used(settings, caplog):
    """Another size of the index, or another topic of the same length, is said and read from its beginning."""
    send(settings, 0, 400)
    Fed(settings)
    smaller = settings.model_copy(update={"index_sessions": 100})
    assert Fed(smaller).began_at == 0
    assert "index_sessions is 300 there, 100 here" in caplog.text
    other = settings.model_copy(update={"sessions_topic": f"{settings.sessions_topic}-b"})
    create_topics(other)
    send(other, 0, 400)
    assert Fed(other).began_at == 0
    assert "other parameters: index_sessions is 100 there, 300 here; topic is" in caplog.text


def make_anew(settings: Settings) -> None:
    """Delete the sessions topic and create it again."""
    topic = settings.sessions_topic
    administer(settings, lambda admin: admin.delete_topics([topic]))
    wait_until(lambda: asyncio.run(describe_topics(settings, [topic]))[topic] is None, "it is deleted")
    create_topics(settings)


@pytest.mark.parametrize(
    ("length", "why"),
    [
        (100, "it goes up to offset 400, the topic ends at 100"),
        (400, "the record at offset 399 is not the one that it took in"),
        (700, "the record at offset 399 is not the one that it took in"),
    ],
)
def test_a_topic_that_was_made_anew_is_noticed(settings, caplog, length, why):
    """Shorter than before, as long, or longer: the snapshot is of the topic that is gone."""
    send(settings, 0, 400)
    Fed(settings)
    make_anew(settings)
    send(settings, 0, length, flavour="other")
    fed = Fed(settings)
    assert (fed.began_at, fed.offset) == (0, length)
    assert why in caplog.text
    assert fed.metrics["nextclick_snapshot_failures_total"] == 1
    assert (Fed(settings).began_at, len(snapshots(settings))) == (length, 1)


def test_a_topic_that_has_lost_its_beginning_is_noticed(settings, caplog):
    """Where the records after the snapshot are gone the index is made of those that are left."""
    send(settings, 0, 400)
    Fed(settings)
    send(settings, 400, 600)

    delete_before(settings, settings.sessions_topic, {0: 400})
    assert (Fed(settings).began_at, Fed(settings).began_at) == (0, 600)
    assert (
        "the last record that it has, at offset 399, is gone from the topic, which begins at 400"
        in caplog.text
    )
    send(settings, 600, 650)
    delete_before(settings, settings.sessions_topic, {0: 600})
    fed = Fed(settings)
    assert (fed.began_at, fed.offset, fed.feed.index.sessions) == (0, 650, 50)


def test_a_folder_that_cannot_be_written_costs_the_snapshot_only(settings, caplog):
    """A file where the folder should be: the index is fed all the same, and the failure is counted."""
    send(settings, 0, 50)
    settings.data_dir.mkdir(parents=True)
    (settings.data_dir / "index").write_text("in the way")
    fed = Fed(settings)
    assert fed.offset == 50
    assert fed.metrics["nextclick_snapshot_failures_total"] == 1
    assert "no snapshot of the index was written" in caplog.text


def test_a_worker_that_is_killed_again_and_again_while_it_writes_has_the_right_index(settings):
    """Snapshots as fast as they go, kill -9 at seeded moments: each start finds a whole one to go on from."""
    settings = settings.model_copy(update={"snapshot_every_s": 0.001, "index_sessions": 100_000})
    chance = random.Random(5)  # noqa: S311 -- the same moments each time
    with WorkerProcess(settings) as worker:
        for turn in range(4):
            send(settings, turn * 5000, turn * 5000 + 5000)
            worker.start().wait_ready()
            for more in range(20):
                send(settings, 20_000 + (turn * 20 + more) * 50, 20_000 + (turn * 20 + more) * 50 + 50)
            time.sleep(chance.uniform(0, 0.3))
            worker.kill()
        shutil.copytree(worker.data_dir, settings.data_dir)
        fed = Fed(settings)
        assert fed.began_at > 0
        assert same_as_rebuilt(settings, fed)
        sizes = worker.log.read_text().count("bytes, up to offset")
        assert sizes > 8, "there was something to be killed in"


def test_a_worker_writes_a_snapshot_when_it_is_stopped_and_begins_with_it(settings):
    """SIGTERM leaves a snapshot of all that was read; the next start reads nothing of it again."""
    send(settings, 0, 500)
    with WorkerProcess(settings) as worker:
        worker.start().wait_ready()
        assert worker.metrics()["nextclick_snapshot_timestamp_seconds"] == 0
        assert worker.terminate()[0] == 0
        worker.start().wait_ready()
        metrics = worker.metrics()
        assert metrics["nextclick_snapshot_timestamp_seconds"] > 0
        assert (metrics["nextclick_index_offset"], metrics["nextclick_index_sessions"]) == (500, 300)
        assert "300 sessions, up to offset 500" in worker.log.read_text()


def test_a_sessions_topic_that_is_made_anew_under_a_worker_ends_it(settings):
    """A worker whose sessions topic begins again says so and ends: its index is of what is gone."""
    send(settings, 0, 500)
    with WorkerProcess(settings) as worker:
        worker.start().wait_ready()
        make_anew(settings)
        send(settings, 0, 10)
        wait_until(lambda: not worker.running, "the worker ends", 90)
        assert "it was deleted and made anew" in worker.log.read_text()
