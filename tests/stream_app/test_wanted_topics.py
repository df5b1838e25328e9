"""The topics that are wanted, as a table."""

from __future__ import annotations

from stream_app.settings import Settings
from stream_app.topics import wanted_topics


def test_wanted_topics():
    """Names, partitions and copies come from the settings; sessions have one partition, kept for ever."""
    wanted = wanted_topics(
        Settings(partitions=6, replication_factor=3, group_id="shop", clicks_topic="views")
    )
    assert {name: shape.partitions for name, shape in wanted.items()} == {
        "views": 6,
        "recommendations": 6,
        "sessions": 1,
        "dead-letters": 1,
        "shop-visitors-changelog": 6,
    }
    assert {shape.replication for shape in wanted.values()} == {3}
    assert wanted["sessions"].configs["retention.ms"] == "-1"
    assert wanted["shop-visitors-changelog"].configs == {"cleanup.policy": "compact"}
    assert wanted["views"].configs["message.timestamp.type"] == "LogAppendTime"
    assert int(wanted["dead-letters"].configs["max.message.bytes"]) > int(
        wanted["views"].configs["max.message.bytes"]
    )
