"""A worker, run as a script, in which many a fetch is overtaken by all that a rebalance does to the flow.

This is the one moment that a rebalance meets by chance: runs that wait for the agent are thrown away, the
position goes back to what is committed, and only then are records handed over that were fetched before. With
them the thrown away ones would be passed over, unless the consumer knows better.
"""

from __future__ import annotations

import asyncio
from typing import Any

from faust.worker import Worker

from stream_app.settings import load_settings
from stream_app.worker.app import _checked_partitions, new_app
from stream_app.worker.transport import RunConsumer, RunTransport

CROSS_EVERY = 5

#: What the agent takes for a run, seconds: longer than a fetch, so that runs wait to be thrown away.
AGENT_S = 0.02


class CrossingConsumer(RunConsumer):
    """Throws away and seeks between a fetch and its delivery."""

    fetches = 0

    async def _wait_next_records(self, timeout: float) -> tuple[Any, Any]:  # noqa: ASYNC109 -- Faust's
        records, active = await super()._wait_next_records(timeout)
        if records and any(self.in_runs(tp.topic) for tp in records):
            self.fetches += 1
            if self.fetches % CROSS_EVERY == 0:
                self.stop_flow()
                self.app.flow_control.suspend()
                self.app.flow_control.clear()
                await self.perform_seek()
                self.app.flow_control.resume()
                self.resume_flow()
        return records, active


def main() -> None:
    """Run until SIGTERM."""
    RunTransport.Consumer = CrossingConsumer
    settings = load_settings()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    app, runtime = new_app(settings, loop.run_until_complete(_checked_partitions(settings)))
    submit = runtime.submit

    async def submit_slowly(messages: list[Any]) -> None:
        await asyncio.sleep(AGENT_S)
        await submit(messages)

    runtime.submit = submit_slowly
    loop.run_until_complete(runtime.start())
    worker = Worker(app, loop=loop, quiet=True, redirect_stdouts=False, override_logging=False)
    worker.spinner = None
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()
