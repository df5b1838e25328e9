"""A worker, run as a script, that seeks back to its committed offsets many times a second.

A rebalance stops the flow, throws away what is buffered, seeks and goes on; this does the same without one,
often enough to meet every moment of a fetch.
"""

from __future__ import annotations

import asyncio
import sys

from faust.worker import Worker

from stream_app.settings import load_settings
from stream_app.worker.app import _checked_partitions, new_app

SEEK_EVERY_S = 0.05


def main() -> None:
    """Run until SIGTERM."""
    settings = load_settings()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    app, runtime = new_app(settings, loop.run_until_complete(_checked_partitions(settings)))
    loop.run_until_complete(runtime.start())

    async def seek_often() -> None:
        while True:
            await asyncio.sleep(SEEK_EVERY_S)
            if runtime.health.is_recovered and not app.should_stop:
                app.consumer.stop_flow()
                app.flow_control.suspend()
                app.flow_control.clear()
                try:
                    await app.consumer.perform_seek()
                except Exception as error:  # noqa: BLE001 -- one seek that comes too early must not be the last
                    print(f"a seek failed: {error!r}", file=sys.stderr)  # noqa: T201 -- for who reads the test's log
                app.flow_control.resume()
                app.consumer.resume_flow()

    seeking = loop.create_task(seek_often())
    worker = Worker(app, loop=loop, quiet=True, redirect_stdouts=False, override_logging=False)
    worker.spinner = None
    try:
        worker.execute_from_commandline()
    finally:
        seeking.cancel()


if __name__ == "__main__":
    main()
