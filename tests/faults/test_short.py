"""A short fault run: two workers under load, killed by a seeded plan; exact at the end, never stalled."""

from __future__ import annotations

import random
import time

import pytest

from tests.oracles.whole_log import expected_of, messy_clicks
from tests.worker_process import Topics, WorkerProcess, create_topics, read_topics, sending

SEED = 20
KILLS = 3
CLICKS, A_SECOND = 10_000, 400

#: A partition with unanswered clicks whose answers do not grow for so long is stalled, seconds.
STALL_S = 30.0
BOUND_S = 150.0


class Watchdog:
    """Fails when a partition with unanswered clicks makes no progress."""

    def __init__(self) -> None:
        self._moved: dict[int, tuple[int, float]] = {}

    def look(self, seen: Topics, workers: list[WorkerProcess]) -> None:
        """Compare with the look before."""
        now = time.monotonic()
        done = seen.answers.keys() | seen.dead.keys()
        for partition, log in seen.clicks.items():
            count = sum((partition, record.offset) in done for record in log)
            before, since = self._moved.get(partition, (-1, now))
            if count != before or count == len(log):
                self._moved[partition] = (count, now)
            elif now - since > STALL_S:
                logs = "\n\n".join(worker.tail() for worker in workers)
                raise AssertionError(f"partition {partition} stalls at {count} of {len(log)}\n{logs}")


@pytest.mark.timeout(BOUND_S + 120)
def test_random_kills_leave_nothing_lost_doubled_or_stalled(settings):
    """Three kills at random moments of 25 s of load: each click answered, each session once and exact."""
    settings = settings.model_copy(
        update={
            "gap_s": 20.0,
            "grace_s": 5.0,
            "max_clicks": 8,
            "close_idle": False,
            "session_timeout_s": 6.0,
            "commit_interval_s": 0.3,
            "max_run_clicks": 100,
        }
    )
    create_topics(settings)
    chance = random.Random(SEED)  # noqa: S311 -- a plan that is the same each time
    kills = sorted(chance.uniform(1.0, 0.8 * CLICKS / A_SECOND) for _ in range(KILLS))
    watchdog = Watchdog()
    with WorkerProcess(settings, "first") as first, WorkerProcess(settings, "second") as second:
        workers = [first, second]
        for worker in workers:
            worker.start().wait_ready()
        with sending(settings, messy_clicks(SEED, CLICKS), A_SECOND) as thread:
            began = time.monotonic()
            for moment in kills:
                time.sleep(max(0.0, moment - (time.monotonic() - began)))
                victim = chance.choice(workers)
                victim.kill()
                watchdog.look(read_topics(settings), workers)
                victim.start()
            thread.join()
        deadline = time.monotonic() + BOUND_S
        while True:
            seen = read_topics(settings)
            watchdog.look(seen, workers)
            expected = expected_of(settings, seen.clicks)
            closed = {session.session: session for session in seen.sessions}
            if seen.done and closed.keys() >= expected.closed.keys():
                break
            assert time.monotonic() < deadline, "not done in time"
            time.sleep(1.0)
        assert all(worker.running for worker in workers)
    assert closed == expected.closed
    assert {session.session for session in seen.sessions if session != closed[session.session]} == set()
    assert seen.answers.keys() == expected.queries.keys()
    assert seen.dead.keys() == expected.dead.keys()
    for place, answers in seen.answers.items():
        query = expected.queries[place]
        assert {(a.session, a.position) for a in answers} == {(query.session, len(query.items))}
