"""The app of the peers that are plain Faust: its defaults, as its tutorial shows them.

Imported by the scripts beside it, which are run as processes with the variables of nextclick's settings.
"""

from __future__ import annotations

import os

import faust

PARTITIONS = int(os.environ["NEXTCLICK_PARTITIONS"])
SESSION_TIMEOUT_S = float(os.environ["NEXTCLICK_SESSION_TIMEOUT_S"])


class Click(faust.Record, serializer="json"):
    """A click as Faust models it."""

    visitor: str
    item: str
    time: float


app = faust.App(
    os.environ["NEXTCLICK_GROUP_ID"],
    broker=f"kafka://{os.environ['NEXTCLICK_BOOTSTRAP_SERVERS']}",
    # The dead are missed as soon as nextclick's are; Faust's own default is a minute.
    broker_session_timeout=SESSION_TIMEOUT_S,
    broker_heartbeat_interval=SESSION_TIMEOUT_S / 3,
    store="rocksdb://",
    datadir=os.environ["NEXTCLICK_DATA_DIR"],
    topic_partitions=PARTITIONS,
    web_enabled=False,
    consumer_auto_offset_reset="earliest",
    # The two guarantees have the same names there and here.
    processing_guarantee=os.environ["NEXTCLICK_GUARANTEE"],
)
clicks = app.topic(os.environ["NEXTCLICK_CLICKS_TOPIC"], value_type=Click)
out = app.topic(os.environ["NEXTCLICK_RECOMMENDATIONS_TOPIC"], partitions=PARTITIONS)
