"""Clicks that are not in their visitor's partition: noticed, and dealt with as ``unkeyed`` says."""

from __future__ import annotations

import logging
from typing import Any, Final

from core.window.clicks import parse_click
from core.window.placement import MISPLACED, find_misplaced, partition_of, without
from core.window.step import DeadLetter, Parsed, Record
from stream_app.kafka.outbox import Batch, OutRecord
from stream_app.settings import Settings
from stream_app.telemetry import Telemetry

logger = logging.getLogger(__name__)

#: The header of a click that was written again: ``partition-offset`` of the record that it is a copy of.
MOVED_FROM: Final = "nextclick-moved-from"

#: The header of a record that asks to forget the visitor that is its key. A header and no field of the value,
#: which may come from a visitor's browser as it is.
FORGET: Final = "nextclick-forget"


#: The header of a dead letter that was sent again: ``partition-offset`` of its first record.
REPLAYED: Final = "nextclick-replayed"


def record_of(record: Any) -> Record:
    """A record of the clicks topic as the core has it."""
    moved_from, forgets, replayed_from = None, False, None
    for name, value in record.headers or ():
        if name == MOVED_FROM:
            moved_from = (value or b"").decode("utf-8", "replace")
        elif name == FORGET:
            forgets = True
        elif name == REPLAYED:
            replayed_from = (value or b"").decode("utf-8", "replace")
    return Record(
        record.offset, record.timestamp, record.key, record.value, moved_from, forgets, replayed_from
    )


class Placement:
    """Looks at the place of every click.

    Args:
        settings: says what to do.
        partitions: of the clicks topic.
        telemetry: is told.
    """

    def __init__(self, settings: Settings, partitions: int, telemetry: Telemetry) -> None:
        self._settings = settings
        self._partitions = partitions
        self._telemetry = telemetry
        self._warned = False

    def placed(self, partition: int, run: list[Parsed]) -> list[Parsed]:
        """The run as it is to be applied: with its misplaced clicks, or with errors in their place."""
        misplaced = find_misplaced(run, partition, self._partitions)
        if not misplaced:
            return run
        self._telemetry.misplaced.labels(self._settings.unkeyed).inc(len(misplaced))
        self._warn(partition, min(misplaced))
        if self._settings.unkeyed == "accept":
            return run
        return without(run, misplaced, self._partitions)

    def split(self, dead: list[DeadLetter]) -> tuple[list[DeadLetter], list[DeadLetter]]:
        """The dead letters of a run that are to be moved, and the others."""
        if self._settings.unkeyed != "repartition":
            return [], dead
        moved = [letter for letter in dead if letter.reason == MISPLACED]
        return moved, [letter for letter in dead if letter.reason != MISPLACED] if moved else dead

    def moves(self, partition: int, letters: list[DeadLetter]) -> list[Batch]:
        """The clicks to be written again, keyed by visitor."""
        by_partition: dict[int, list[OutRecord]] = {}
        for record, _, _ in letters:
            visitor = parse_click(record.value, self._settings.max_value_bytes).visitor
            origin = [(MOVED_FROM, f"{partition}-{record.offset}".encode())]
            by_partition.setdefault(partition_of(visitor, self._partitions), []).append(
                OutRecord(visitor.encode(), record.value, origin)
            )
        topic = self._settings.clicks_topic
        return [Batch(topic, belongs, records) for belongs, records in by_partition.items()]

    def _warn(self, partition: int, offset: int) -> None:
        if self._warned:
            return
        self._warned = True
        done = {
            "accept": "it is taken where it is (unkeyed = accept); a visitor whose clicks come to several "
            "partitions has a session in each",
            "refuse": "it goes to dead-letters (unkeyed = refuse)",
            "repartition": "it is written again with its key (unkeyed = repartition)",
        }[self._settings.unkeyed]
        logger.warning(
            "partition %d, offset %d: the record's key is not its visitor, and the visitor is not of this "
            "partition; %s. Have the producer give the visitor as the key. Others like it are counted by "
            "nextclick_misplaced_clicks_total and not logged",
            partition,
            offset,
            done,
            extra={"partition": partition, "offset": offset},
        )
