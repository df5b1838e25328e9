"""A messy stream through real workers, held against the core: its window, and the wait until all is exact."""

from __future__ import annotations

from core.window.sessions import ClosedSession
from stream_app.settings import Settings
from tests.oracles.whole_log import Expected, expected_of
from tests.worker_process import Topics, WorkerProcess, wait_done

#: The window of the messy clicks, a dead worker noticed as soon as a broker allows, short runs.
MESSY_WINDOW = {
    "gap_s": 20.0,
    "grace_s": 5.0,
    "max_clicks": 8,
    "close_idle": False,
    "session_timeout_s": 6.0,
    "commit_interval_s": 0.3,
    "max_run_clicks": 50,
}


def wait_exact(settings: Settings, workers: list[WorkerProcess]) -> tuple[Topics, Expected]:
    """Wait until all is answered and closed, as the core has it; replays may repeat, never differ."""
    seen = wait_done(settings, workers, sessions=lambda seen: len(expected_of(settings, seen.clicks).closed))
    return seen, check_topics(settings, seen)


def check_topics(settings: Settings, seen: Topics) -> Expected:
    """Hold sessions item by item, answers and dead letters against the core; what the core has.

    Raises:
        AssertionError: something is missing, too much, or differs.
    """
    expected = expected_of(settings, seen.clicks)
    assert seen.strays == []
    assert seen.answers.keys() == expected.queries.keys()
    assert seen.dead.keys() == expected.dead.keys()
    for place, answers in seen.answers.items():
        query = expected.queries[place]
        assert {(a.visitor, a.item, a.session, a.position) for a in answers} == {
            (query.visitor, query.item, query.session, len(query.items))
        }
    assert closed_by_id(seen.sessions) == expected.closed
    return expected


def closed_by_id(sessions: list[ClosedSession]) -> dict[str, ClosedSession]:
    """The sessions by id; one that was published twice must be the same twice."""
    found: dict[str, ClosedSession] = {}
    for session in sessions:
        assert found.setdefault(session.session, session) == session
    return found
