"""A peer of the throughput benchmark: the plainest Faust agent that stores a click and forwards it.

As Faust's tutorial shows it: a Record, a RocksDB table, a send for each event. Run as a process by
:mod:`tests.benchmarks.stream.contenders`.
"""

from __future__ import annotations

from faust_app import app, clicks, out

last_items = app.Table("last_items", default=str)


@app.agent(clicks)
async def store_and_forward(stream):
    """Keep the visitor's last item, pass the click on."""
    async for click in stream:
        last_items[click.visitor] = click.item
        await out.send(key=click.visitor, value=click)


if __name__ == "__main__":
    app.main()
