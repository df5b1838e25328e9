"""The limit of the benchmark: each fetched run of records sent back as it is, with nothing done to it.

One aiokafka consumer and one producer, no state, no group, no commit; what is sent is confirmed before the
next run of its partition. Run as a process by :mod:`tests.benchmarks.stream.contenders`, with the variables
of nextclick's settings.
"""

from __future__ import annotations

import asyncio

from stream_app.kafka.client import new_topic_reader
from stream_app.kafka.outbox import Outbox, OutRecord
from stream_app.settings import load_settings


async def main():
    """Run until SIGTERM."""
    settings = load_settings()
    outbox = await Outbox.open(settings)
    reader = await new_topic_reader(settings, settings.clicks_topic, from_beginning=True)
    while True:
        runs = await reader.getmany(timeout_ms=1000, max_records=settings.max_run_clicks)
        await asyncio.gather(
            *(
                outbox.write(
                    settings.recommendations_topic,
                    tp.partition,
                    [OutRecord(record.key, record.value) for record in run],
                )
                for tp, run in runs.items()
            )
        )


if __name__ == "__main__":
    asyncio.run(main())
