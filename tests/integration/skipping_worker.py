"""A worker, run as a script, on Faust's own transport, which now and then passes over records.

Faust does so by itself where a fetch is overtaken by a seek, which is rare; here it happens all the time.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

from stream_app.settings import load_settings
from stream_app.worker.app import run_worker
from stream_app.worker.transport import PlainConsumer, PlainTransport

SKIPPED = 0.02

#: As many follow a skipped one as a run may have and more.
MOST_IN_A_ROW = 120

#: From this offset on nothing is passed over: what ends the log would show only when something follows it.
WHOLE_FROM = 900


class SkippingConsumer(PlainConsumer):
    """Leaves records out of what a fetch has brought."""

    chance = random.Random(5)  # noqa: S311 -- the same each time
    left = 0

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[Any, Any]]:  # noqa: ASYNC109 -- Faust's
        """Hand over most of the clicks, and all else."""
        clicks = load_settings().clicks_topic
        async for tp, message in super().getmany(timeout):
            if tp.topic != clicks or message.offset >= WHOLE_FROM:
                yield tp, message
            elif self.left:
                self.left -= 1
            elif self.chance.random() < SKIPPED:
                self.left = self.chance.randrange(MOST_IN_A_ROW)
            else:
                yield tp, message


if __name__ == "__main__":
    PlainTransport.Consumer = SkippingConsumer
    run_worker(load_settings())
