"""A peer of the throughput benchmark: Quix Streams keeps a visitor's last item in its state and forwards.

As its documentation shows it: a StreamingDataFrame of JSON clicks, a stateful ``apply`` (RocksDB and a
changelog topic), ``to_topic``. Run as a process by :mod:`tests.benchmarks.stream.contenders`, in the
environment of ``requirements/peers.lock``, with the variables of nextclick's settings.
"""

from __future__ import annotations

import os

from quixstreams import Application


def keep_last_item(click, state):
    """Keep the visitor's last item, pass the click on."""
    state.set("last_item", click["item"])
    return click


def main():
    """Run until SIGTERM."""
    app = Application(
        broker_address=os.environ["NEXTCLICK_BOOTSTRAP_SERVERS"],
        consumer_group=os.environ["NEXTCLICK_GROUP_ID"],
        auto_offset_reset="earliest",
        state_dir=os.environ["NEXTCLICK_DATA_DIR"],
        loglevel="WARNING",
    )
    clicks = app.topic(os.environ["NEXTCLICK_CLICKS_TOPIC"], value_deserializer="json")
    out = app.topic(os.environ["NEXTCLICK_RECOMMENDATIONS_TOPIC"], value_serializer="json")
    app.dataframe(clicks).apply(keep_last_item, stateful=True).to_topic(out)
    app.run()


if __name__ == "__main__":
    main()
