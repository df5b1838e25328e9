"""The worker without runs, on Faust's own transport: as exact, and whole where Faust passes over records."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from stream_app.settings import Settings
from tests.exact_stream import MESSY_WINDOW, wait_exact
from tests.oracles.whole_log import messy_clicks
from tests.worker_process import (
    WorkerProcess,
    create_topics,
    read_topics,
    send_clicks,
    sending,
    wait_until,
)


@pytest.fixture
def settings(settings) -> Settings:
    """A window for the messy stream, short runs, Faust's own transport."""
    settings = settings.model_copy(update=MESSY_WINDOW | {"transport": "faust"})
    create_topics(settings)
    return settings


def test_a_kill_and_a_takeover_are_exact_without_runs_too(settings):
    """One of two workers dies by kill -9 and comes back: every click is answered, every session is exact."""
    with WorkerProcess(settings, "first") as first, WorkerProcess(settings, "second") as second:
        workers = [first, second]
        for worker in workers:
            worker.start().wait_ready()
        with sending(settings, messy_clicks(11, 4000), 300) as thread:
            wait_until(lambda: len(read_topics(settings).answers) > 500, "some are answered", 60, workers)
            second.kill()
            assert thread.is_alive(), "the kill is to fall into the stream"
            second.start()
        wait_exact(settings, workers)
        assert second.terminate()[0] == 0, second.tail()


def test_records_that_faust_passes_over_are_read_from_the_log(settings):
    """Whole stretches that were never handed over are applied in their place, before what follows them."""
    command = [sys.executable, str(Path(__file__).with_name("skipping_worker.py"))]
    with WorkerProcess(settings, command=command) as worker:
        worker.start().wait_ready()
        send_clicks(settings, messy_clicks(12, 6000, visitors=300))
        wait_exact(settings, [worker])
        assert "Faust passed over offsets" in worker.log.read_text()
