"""What the demo's worker process runs: a worker like any other that ends when the demo is gone.

It reads its settings as one line of JSON from its standard input, so that neither its arguments nor its
environment show secrets. The demo keeps that pipe open; its end means that the demo is gone, however it
ended, kill -9 included. Then the worker ends at once, and with it the broker that the demo had started:
nothing that they hold outlives a demo anyway.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from contextlib import suppress

from stream_app.compiled import use_kernels
from stream_app.settings import Settings


def main() -> None:
    """Run a worker with the settings that the first line of standard input gives."""
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, args=(order["broker_pid"],), daemon=True).start()
    settings = Settings(**order["settings"])
    use_kernels(settings)
    from stream_app.worker.app import run_worker  # noqa: PLC0415 -- imports the kernels

    run_worker(settings)


def _end_with_parent(broker_pid: int | None) -> None:
    sys.stdin.read()
    if broker_pid is not None:
        with suppress(ProcessLookupError):
            os.kill(broker_pid, signal.SIGTERM)
    os._exit(1)
