"""How long the topics keep what they hold of a visitor, by their own settings."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from stream_app.kafka.client import TopicShape
from stream_app.settings import Settings


class Kept(msgspec.Struct, frozen=True):
    """What a topic holds of a visitor who was forgotten.

    Args:
        topic: its name.
        what: of the visitor.
        until: when it is gone.
    """

    topic: str
    what: str
    until: str


def kept(settings: Settings, shapes: Mapping[str, TopicShape]) -> tuple[Kept, ...]:
    """What each topic holds of visitors whose request was obeyed, for how long."""
    what = {
        settings.clicks_topic: "clicks, and the request itself",
        settings.recommendations_topic: "answers to clicks",
        settings.dead_letters_topic: "clicks that were late or could not be used",
        settings.sessions_topic: "closed sessions, which no index has any more",
    }
    return tuple(Kept(name, held, until(shapes[name].configs or {})) for name, held in what.items())


def is_compacted(configs: Mapping[str, str]) -> bool:
    """Whether a topic with these settings is compacted: records that have a tombstone go."""
    return "compact" in configs.get("cleanup.policy", "")


def until(configs: Mapping[str, str]) -> str:
    """When a topic with these settings drops a record that was appended now."""
    policy = configs.get("cleanup.policy", "")
    if not policy:
        return "the broker does not tell"
    if is_compacted(configs):
        lag_ms = int(configs.get("max.compaction.lag.ms", 2**63 - 1))
        sooner = "" if lag_ms >= 2**62 else f", {span(lag_ms)} at the latest"
        return f"the log cleaner has removed what has a tombstone{sooner}"
    retention_ms = int(configs.get("retention.ms", -1))
    if retention_ms < 0:
        return "for ever"
    segment_ms = int(configs.get("segment.ms", 0))
    return f"{span(retention_ms)} to {span(retention_ms + segment_ms)} after its append"


def span(milliseconds: int) -> str:
    """A length of time for people."""
    for unit, size in (("days", 86_400_000), ("hours", 3_600_000), ("minutes", 60_000), ("s", 1000)):
        if milliseconds >= 2 * size or (unit == "s"):
            return f"{milliseconds / size:.3g} {unit}"
    raise AssertionError
