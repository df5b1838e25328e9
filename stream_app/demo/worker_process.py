"""The demo's worker: a process of its own, its log, and its metrics."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from core.errors import DemoError
from stream_app.kafka.broker_process import last_lines
from stream_app.operations.status import authorization
from stream_app.settings import Settings
from stream_app.telemetry import read_metrics

logger = logging.getLogger(__name__)

#: Seconds that a worker may take to be ready; on a slow machine most of it goes into compiling.
READY_S: Final = 180.0
#: Seconds that it has to stop; what it holds is thrown away anyway.
STOP_S: Final = 2.5

_LOOK_EVERY_S: Final = 0.1
_SCRAPE_S: Final = 2.0
_LOG_TAIL_BYTES: Final = 16_000


class WorkerProcess:
    """A worker as a child process that never outlives this one; see :mod:`stream_app.demo.child`.

    Args:
        settings: its settings; ``metrics_port`` is not 0.
        log: the file for its output.
        broker_pid: a broker to end if this process is killed; None: none.
    """

    def __init__(self, settings: Settings, log: Path, broker_pid: int | None) -> None:
        self.settings = settings
        self._log = log
        self._broker_pid = broker_pid
        self._process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start it, and stop it at the end of the block: SIGTERM, then SIGKILL after :data:`STOP_S`."""
        # -P: a folder named core where the demo is started would be imported in place of ours.
        program = "from stream_app.demo.child import main; main()"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", program],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Of a session of its own: Ctrl-C is for the demo, which stops its worker.
                start_new_session=True,
            )
        try:
            self._give_settings()
            yield
        finally:
            self._stop()

    def check(self) -> None:
        """See that it is alive.

        Raises:
            DemoError: it is not; with the end of its log.
        """
        if self._process is None or self._process.poll() is not None:
            code = None if self._process is None else self._process.returncode
            raise DemoError(
                f"the demo's worker has ended with exit code {code}; its log ends:\n{self.log_tail()}"
            )

    async def wait_ready(self) -> None:
        """Wait until it answers clicks.

        Raises:
            DemoError: it ended, or is not ready after :data:`READY_S`.
        """
        end = time.monotonic() + READY_S
        while not (await self.metrics()).get("nextclick_ready"):
            self.check()
            if time.monotonic() > end:
                raise DemoError(
                    f"the demo's worker is not ready after {READY_S:.0f} s; its log ends:\n{self.log_tail()}"
                )
            await asyncio.sleep(_LOOK_EVERY_S)

    async def metrics(self) -> dict[str, float]:
        """Its metrics by name, labels added up; empty where it does not answer."""
        return await asyncio.to_thread(self._scrape)

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of its log."""
        text = self._log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")
        return last_lines(text, lines)

    def _give_settings(self) -> None:
        order = {"settings": self.settings.with_secrets(), "broker_pid": self._broker_pid}
        pipe = self._pipe()
        try:
            pipe.write(json.dumps(order).encode() + b"\n")
            pipe.flush()
        except BrokenPipeError:
            return  # it has died already; check() says so

    def _stop(self) -> None:
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            logger.info("the worker did not stop in %s s and is killed", STOP_S)
        finally:  # also at a second Ctrl-C
            process.kill()
            process.wait()
            with suppress(OSError):
                self._pipe().close()

    def _pipe(self) -> IO[bytes]:
        if self._process is None or self._process.stdin is None:
            raise DemoError("the demo's worker was not started")
        return self._process.stdin

    def _scrape(self) -> dict[str, float]:
        connection = http.client.HTTPConnection(
            self.settings.metrics_host, self.settings.metrics_port, timeout=_SCRAPE_S
        )
        try:
            connection.request("GET", "/metrics", headers=authorization(self.settings))
            return read_metrics(connection.getresponse().read().decode())
        except (OSError, http.client.HTTPException):
            return {}
        finally:
            connection.close()
