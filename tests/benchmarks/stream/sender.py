"""Sends clicks at a pace whatever comes back, and writes down when each was sent; a process of its own.

    python -m tests.benchmarks.stream.sender PLAN.json

The settings come by their variables. The plan names a file of clicks as they go over the wire (``clicks``:
msgpack, for each a partition, a key and a value), clicks a second (``a_second``) and the file to write
(``sent``: for each record or batch its partition, first offset, size, moment of sending in seconds of the
monotonic clock, and how late that was, seconds).

Up to :data:`FINE_UP_TO` clicks a second each is sent by itself; above, those that are due at a tick go out as
one batch a partition, or this process would take most of a core.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import msgspec

from stream_app.kafka.client import open_producer
from stream_app.settings import load_settings

#: Seconds between two ticks, up to a thousand clicks a second and above.
FINE_TICK_S, COARSE_TICK_S = 0.001, 0.004
FINE_UP_TO = 1000


def main():
    """Send what the plan says and write the file."""
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes())
    clicks = msgspec.msgpack.decode(Path(plan["clicks"]).read_bytes())
    Path(plan["sent"]).write_bytes(msgspec.json.encode(asyncio.run(send(clicks, plan["a_second"]))))


async def send(clicks, a_second):
    """Send clicks at a pace; for each batch its partition, first offset, size, moment and lateness."""
    settings = load_settings()
    producer = await open_producer(settings, client_id="bench-sender", linger_ms=0)
    fine = a_second <= FINE_UP_TO
    began, done, sent = time.monotonic(), 0, []
    try:
        while done < len(clicks):
            now = time.monotonic()
            due = min(len(clicks), 1 + int((now - began) * a_second))
            late = now - began - done / a_second
            runs = {}
            for number, (partition, key, value) in enumerate(clicks[done:due]):
                runs.setdefault((partition, number if fine else 0), []).append((key, value))
            for (partition, _), run in runs.items():
                moment = time.monotonic()
                confirmed = await _put(producer, settings.clicks_topic, partition, run)
                sent.append((partition, confirmed, len(run), moment, late))
            done = max(done, due)
            await asyncio.sleep(FINE_TICK_S if fine else COARSE_TICK_S)
        return [
            (partition, (await future).offset, size, at, late) for partition, future, size, at, late in sent
        ]
    finally:
        await producer.stop()


async def _put(producer, topic, partition, run):
    if len(run) == 1:
        [(key, value)] = run
        return await producer.send(topic, value, key=key, partition=partition)
    batch = producer.create_batch()
    for key, value in run:
        batch.append(key=key, value=value, timestamp=None)
    return await producer.send_batch(batch, topic, partition=partition)


if __name__ == "__main__":
    main()
