"""Loads: a visitor without end, a burst, and one log processed in several ways."""

from __future__ import annotations

import time

from core.answers import Answer
from core.window.clicks import Click
from core.window.sessions import ClosedSession
from stream_app.settings import Settings
from tests.faults.stream import FaultStream, Outcome
from tests.oracles.whole_log import BEGIN_MS


def hot_visitor(settings: Settings, scale: float) -> Outcome:
    """One visitor clicks without end: one session, bounded, and the others are answered, too."""
    count = int(10_000 * scale)
    with FaultStream(settings, 64, scale, max_run_clicks=500) as stream:
        stream.ready("first")
        hot = [Click("hot", f"i{n % 50}", BEGIN_MS + n) for n in range(count)]
        others = [Click(f"v{n % 30}", f"i{n % 50}", BEGIN_MS + 10 * n) for n in range(count // 10)]
        both = [*hot[: count // 2], *others[: count // 20], *hot[count // 2 :], *others[count // 20 :]]
        with stream.send(both, 3000):
            pass
        return stream.finish()


def burst(settings: Settings, scale: float) -> Outcome:
    """Ten times the load for a while: the lag comes back to nothing, no partition changes hands."""
    with FaultStream(settings, 65, scale, max_run_clicks=500) as stream:
        (worker,) = stream.ready("first")
        with stream.load(600, 200):
            pass
        rebalances = worker.metrics()["nextclick_rebalances_total"]
        with stream.load(6000, 2000):
            pass
        began = time.monotonic()
        with stream.load(600, 200):
            stream.until(lambda: worker.metrics()["nextclick_consumer_lag"] < 100, "the lag is gone")
        assert time.monotonic() - began < 60
        assert worker.metrics()["nextclick_rebalances_total"] == rebalances
        return stream.finish()


def one_and_three_workers(settings: Settings, scale: float) -> Outcome:
    """The same log by 1 and by 3 workers, in runs of 1, 10 and 1,000, live and replayed: the same of it all.

    Closed sessions are equal; so is, where two worked with the same index, the recommendation of a click.
    """
    with FaultStream(settings, 66, scale, max_run_clicks=10) as live:
        live.ready("first")
        with live.load(600, 300):
            pass
        live.finish()
    seen = [live.follower.seen]
    ways = [(1, 1), (3, 1000), (3, 10)][: 3 if scale >= 1 else 2]
    for workers, length in ways:
        name = f"{settings.group_id}-{workers}-{length}"
        changes = {
            "group_id": name,
            "recommendations_topic": f"{name}-recommendations",
            "sessions_topic": f"{name}-sessions",
            "dead_letters_topic": f"{name}-dead-letters",
            "data_dir": settings.data_dir.parent / name / "data",
        }
        with FaultStream(settings, 66, scale, **changes, max_run_clicks=length) as again:
            again.expect(len(seen[0].places))
            again.ready(*[f"{name}-{number}" for number in range(workers)])
            outcome = again.finish()
        seen.append(again.follower.seen)
    assert len({frozenset(map(repr, closed(one.sessions).items())) for one in seen}) == 1
    assert shared([answer for one in seen for answers in one.answers.values() for answer in answers]) > 0
    return outcome._replace(clicks=outcome.clicks * len(seen))


def closed(sessions: list[ClosedSession]) -> dict[str, ClosedSession]:
    """The sessions by id; what closed one is a matter of when somebody looked."""
    return {session.session: session for session in sessions}


def shared(answers: list[Answer]) -> int:
    """How many clicks were answered more than once from the same index; all of these alike.

    The order of the sessions topic is the order of closing, which differs from one way to another: an index
    of the same offset is the same only where it is empty, or in the same topic, which the check of every
    stream computes again.
    """
    found: dict[tuple[int, int], list[Answer]] = {}
    for answer in answers:
        if not answer.index_offset:
            found.setdefault((answer.click.partition, answer.click.offset), []).append(answer)
    for same in found.values():
        assert len(set(same)) == 1
    return sum(len(same) > 1 for same in found.values())
