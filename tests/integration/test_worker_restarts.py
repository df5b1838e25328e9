"""Workers stop, join and read again while clicks come: the state stays exact. Faults are in tests/faults."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer

from core.window.clicks import Click
from stream_app.kafka.security import client_options
from stream_app.settings import Settings
from tests.exact_stream import MESSY_WINDOW, closed_by_id, wait_exact
from tests.kafka_admin import committed_offsets, group_members
from tests.oracles.whole_log import BEGIN_MS, Expected, messy_clicks
from tests.worker_process import (
    Topics,
    WorkerProcess,
    create_topics,
    read_topics,
    send_clicks,
    sending,
    wait_until,
)


@pytest.fixture
def settings(settings) -> Settings:
    """A window for the messy stream, a short time until a dead worker is noticed, short runs."""
    settings = settings.model_copy(update=MESSY_WINDOW)
    create_topics(settings)
    return settings


def repeats(seen: Topics) -> int:
    """How many answers and dead letters were written more than once."""
    written = [*seen.answers.values(), *seen.dead.values()]
    return sum(len(one) - 1 for one in written)


def close_all_open(settings: Settings, expected: Expected, workers: list[WorkerProcess]) -> None:
    """Move each partition's event time far on: every session that is open must close, with what it holds."""
    assert len(expected.open) > 10
    last_ms = max(session.end for session in expected.open.values())
    # Enough visitors to reach every partition.
    send_clicks(settings, [Click(f"last-{n}", "z", last_ms + 10_000_000) for n in range(60)])
    seen, after = wait_exact(settings, workers)
    assert after.closed.keys() == expected.closed.keys() | expected.open.keys()
    assert {session.cause for session in seen.sessions} == {"gap", "watermark"}


def test_stop_and_restart_in_the_middle(settings):
    """SIGTERM under load ends with code 0, all done; the next start replays nothing, knows what is open."""
    clicks = messy_clicks(2, 6000)
    with WorkerProcess(settings) as worker, sending(settings, clicks, 200) as thread:
        worker.start().wait_ready()
        wait_until(lambda: len(read_topics(settings).answers) > 300, "some are answered", 60, [worker])
        assert thread.is_alive(), "the stop is to fall into the stream"
        code, _ = worker.terminate()
        assert code == 0, worker.tail()
        at_stop = read_topics(settings)
        done = at_stop.answers.keys() | at_stop.dead.keys()
        for partition, offset in committed_offsets(settings).items():
            assert all((partition, before) in done for before in range(offset))
            assert (partition, offset) not in done
        worker.start()
        thread.join()
        seen, expected = wait_exact(settings, [worker])
        assert repeats(seen) == 0
        assert len(seen.sessions) == len(closed_by_id(seen.sessions))
        code, _ = worker.terminate()
        assert code == 0, worker.tail()
        ends = {partition: log[-1].offset + 1 for partition, log in seen.clicks.items()}
        assert committed_offsets(settings) == ends
        worker.start()
        close_all_open(settings, expected, [worker])
        assert repeats(read_topics(settings)) == 0


def test_two_workers_share_the_partitions(settings):
    """A second worker joins under load and takes a share; when one leaves, the other takes over; exact."""
    clicks = messy_clicks(4, 12_000)
    with (
        WorkerProcess(settings, "first") as first,
        WorkerProcess(settings, "second") as second,
        sending(settings, clicks, 400) as thread,
    ):
        first.start().wait_ready()
        second.start().wait_ready()
        counts = [worker.metrics()["nextclick_recommendations_total"] for worker in (first, second)]
        wait_until(
            lambda: all(
                worker.metrics()["nextclick_recommendations_total"] > count + 100
                for worker, count in zip((first, second), counts, strict=True)
            ),
            "both answer",
            60,
            [first, second],
        )
        assert thread.is_alive(), "the takeover is to fall into the stream"
        code, _ = first.terminate()
        assert code == 0, first.tail()
        thread.join()
        _, expected = wait_exact(settings, [second])
        close_all_open(settings, expected, [second])


async def rewind(settings: Settings) -> None:
    """Commit offset 1 of every partition in the group's name; 0 would be taken for none."""
    group = AIOKafkaConsumer(
        settings.clicks_topic,
        group_id=settings.group_id,
        enable_auto_commit=False,
        **client_options(settings),
    )
    try:
        async with asyncio.timeout(30):
            await group.start()
            await group.commit(dict.fromkeys(group.assignment(), 1))
    finally:
        await group.stop()


def test_a_worker_on_an_empty_log_stops_at_once(settings):
    """A worker that never saw a click ends cleanly on SIGTERM, also while it is still starting."""
    with WorkerProcess(settings) as worker:
        worker.start().wait_ready()
        code, _ = worker.terminate()
        assert code == 0, worker.tail()
    with WorkerProcess(settings, "another") as worker:
        worker.start()
        wait_until(lambda: "kernels ready" in worker.tail(), "the worker is starting", 60, [worker])
        code, _ = worker.terminate()
        assert code == 0, worker.tail()


def test_a_worker_that_waits_for_one_that_died_stops_at_once(settings):
    """Kafka answers a join once the dead member's session ends; SIGTERM before leaves the group, code 0."""
    settings = settings.model_copy(update={"session_timeout_s": 60.0})
    with WorkerProcess(settings, "dead") as dead, WorkerProcess(settings, "joining") as joining:
        dead.start().wait_ready()
        before = group_members(settings)
        assert len(before) == 1
        dead.kill()
        joining.start()
        wait_until(lambda: len(group_members(settings)) == 2, "the second worker joins", 60, [joining])
        code, _ = joining.terminate()
        assert code == 0, joining.tail()
        assert group_members(settings) == before


def test_replays_of_a_lost_group_change_nothing(settings):
    """A worker whose offsets are wound back reads all again, answers what is still open, closes nothing."""
    settings = settings.model_copy(update={"guarantee": "at_least_once"})
    clicks = [*messy_clicks(6, 500), *[Click(f"n{n}", "x", BEGIN_MS + 10_000_000) for n in range(40)]]
    send_clicks(settings, clicks)
    with WorkerProcess(settings) as worker:
        worker.start()
        before, _ = wait_exact(settings, [worker])
        assert worker.terminate()[0] == 0
        asyncio.run(rewind(settings))
        worker.start()
        again = sum(len(log) - 1 for log in before.clicks.values())
        wait_until(
            lambda: worker.metrics().get("nextclick_run_clicks_sum", 0) == again, "all is read", 60, [worker]
        )
        assert worker.by_label("nextclick_clicks_total").keys() == {"replay"}
        after, _ = wait_exact(settings, [worker])
        assert after.sessions == before.sessions
        assert sum(map(len, after.dead.values())) == sum(map(len, before.dead.values()))
        assert repeats(after) >= 36
