"""The topics that are wanted, as a table."""

from __future__ import annotations

import msgspec

from core.answers import encode_answer
from core.scoring import Recommended
from core.window.clicks import MAX_ACTION_BYTES, MAX_NAME_BYTES, MAX_TIME_MS
from core.window.sessions import HeldClick, Session, WindowRules, close
from core.window.step import Query, VisitorState
from stream_app.kafka.topics import SESSION_BYTES, wanted_topics
from stream_app.settings import Settings


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
    assert wanted["shop-visitors-changelog"].configs["cleanup.policy"] == "compact"
    assert wanted["views"].configs["message.timestamp.type"] == "LogAppendTime"
    assert int(wanted["dead-letters"].configs["max.message.bytes"]) > int(
        wanted["views"].configs["max.message.bytes"]
    )


def test_the_largest_session_fits_into_its_topics():
    """As many clicks of the longest names as may be held stay below what Kafka takes, in each form."""
    most = Settings(max_clicks=1000, recommendations=100)
    name, action = "\x01" * MAX_NAME_BYTES, "\x01" * MAX_ACTION_BYTES
    held = tuple(HeldClick(MAX_TIME_MS, n, name, name, action) for n in range(most.max_clicks))
    session = Session("9999-999999999999", held, MAX_TIME_MS, most.max_clicks)
    closed = close(session, name, "gap", WindowRules(max_clicks=most.max_clicks))
    query = Query(name, name, 1, 1, 1, session.id, (name,), "joined")
    items = [Recommended(name, 1.0, "neighbours", 9, name)] * most.recommendations
    room = SESSION_BYTES - 4 * MAX_NAME_BYTES  # for the key and Kafka's own fields
    assert len(msgspec.json.encode(closed)) < room
    assert len(msgspec.msgpack.encode(VisitorState(1, session))) < room
    assert len(encode_answer(query, 0, msgspec.json.encode(items), 1, "vstan")) < room
