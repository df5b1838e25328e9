"""The peer of the exactness part: the plainest Faust agent that counts a visitor's clicks and says the count.

Run as a process by :mod:`tests.benchmarks.stream.exactness`.
"""

from __future__ import annotations

from faust_app import app, clicks, out

counts = app.Table("counts", default=int)


@app.agent(clicks)
async def count(stream):
    """Count the click, answer it."""
    async for click in stream:
        counts[click.visitor] += 1
        answer = {"visitor": click.visitor, "item": click.item, "position": counts[click.visitor]}
        await out.send(key=click.visitor, value=answer)


if __name__ == "__main__":
    app.main()
