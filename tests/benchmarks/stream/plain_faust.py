"""A peer of the throughput benchmark: the plainest Faust agent that stores a click and forwards it.

As Faust's tutorial shows it: a Record, a RocksDB table, a send for each event. Run as a process by
:mod:`tests.benchmarks.stream.contenders`, with the variables of nextclick's settings.
"""

from __future__ import annotations

import os

import faust

PARTITIONS = int(os.environ["NEXTCLICK_PARTITIONS"])


class Click(faust.Record, serializer="json"):
    """A click as Faust models it."""

    visitor: str
    item: str
    time: float


app = faust.App(
    os.environ["NEXTCLICK_GROUP_ID"],
    broker=f"kafka://{os.environ['NEXTCLICK_BOOTSTRAP_SERVERS']}",
    store="rocksdb://",
    datadir=os.environ["NEXTCLICK_DATA_DIR"],
    topic_partitions=PARTITIONS,
    web_enabled=False,
    consumer_auto_offset_reset="earliest",
)
clicks = app.topic(os.environ["NEXTCLICK_CLICKS_TOPIC"], value_type=Click)
out = app.topic(os.environ["NEXTCLICK_RECOMMENDATIONS_TOPIC"], partitions=PARTITIONS)
last_items = app.Table("last_items", default=str)


@app.agent(clicks)
async def store_and_forward(stream):
    """Keep the visitor's last item, pass the click on."""
    async for click in stream:
        last_items[click.visitor] = click.item
        await out.send(key=click.visitor, value=click)


if __name__ == "__main__":
    app.main()
