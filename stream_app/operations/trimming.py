"""Deleting what no index needs any more from the sessions topic, which has no retention of its own.

An index holds the newest ``index_sessions`` sessions. Rebuilt from the records that are left it is the same
as before, as long as these have that many; that is why a retention by time, which a quiet week would let
empty the topic, is refused, and a deletion by number is not.
"""

from __future__ import annotations

from typing import Final

import msgspec

from core.errors import SettingsError
from stream_app.kafka.client import delete_before
from stream_app.kafka.partition_log import PartitionLog
from stream_app.settings import Settings

#: Records that are kept unless said otherwise, for each session that the index holds: some are sessions that
#: were published twice or are left out, some only say who was forgotten.
KEPT_FOR_EACH: Final = 2


class Trimmed(msgspec.Struct, frozen=True):
    """What was done, or would be.

    Args:
        topic: the sessions topic.
        begin: offset of its oldest record before.
        end: offset after its newest record.
        kept: records that are left.
        deleted: records that are deleted.
    """

    topic: str
    begin: int
    end: int
    kept: int
    deleted: int


async def trim(settings: Settings, keep: int | None = None, *, dry_run: bool = False) -> Trimmed:
    """Delete the oldest records of the sessions topic.

    Args:
        settings: the topic, and how many sessions its index holds.
        keep: records to keep at least; None for :data:`KEPT_FOR_EACH` a session that the index holds.
        dry_run: only look.

    Raises:
        SettingsError: fewer are to be kept than the index holds sessions.
        TopicError: the broker refuses to delete.
        BrokerError: no broker answers.
    """
    keep = KEPT_FOR_EACH * settings.index_sessions if keep is None else keep
    if keep < settings.index_sessions:
        raise SettingsError(
            f"keep: expected {settings.index_sessions} (index_sessions) at least, came {keep}: an index "
            "that is made from fewer records forgets what it should hold"
        )
    async with PartitionLog.opened(settings, settings.sessions_topic, 0) as log:
        begin, end = await log.bounds()
    cut = max(begin, end - keep)
    if cut > begin and not dry_run:
        await delete_before(settings, settings.sessions_topic, 0, cut)
    return Trimmed(settings.sessions_topic, begin, end, end - cut, cut - begin)
