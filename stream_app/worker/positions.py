"""Where the next run of each partition begins, whatever is fetched and sought at the same time.

Fetches and seeks are done in the consumer's thread, two at once, and their results come to this one in any
order. So a fetch may bring records from before a seek, or from behind records that nobody was handed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Any

from faust.types import TP

logger = logging.getLogger(__name__)


class Positions:
    """Says of what was fetched what may be handed over, and which partitions must be sought again."""

    def __init__(self) -> None:
        self._begins: dict[TP, int] = {}
        self._hole_at: dict[TP, int] = {}  # from where the log was asked once more and had nothing
        self._astray: set[TP] = set()  # fetched from somewhere else
        self._asked_at: dict[TP, int] = {}  # from where it was asked for what may have been lost
        self._seeking = 0

    @contextmanager
    def seek(self) -> Iterator[None]:
        """A seek of all partitions begins, and ends with the block, in which :meth:`set` is called."""
        self._seeking += 1
        try:
            yield
        finally:
            self._seeking -= 1

    def begins(self, tp: TP) -> int | None:
        """The offset at which the next run of a partition begins; None where it was not sought yet."""
        return self._begins.get(tp)

    def set(self, begins: Mapping[TP, int]) -> None:
        """Note where the next runs begin: a seek went there, or the runs before them end there."""
        self._begins.update(begins)
        for tp in begins:
            self._hole_at.pop(tp, None)

    def forget(self, tp: TP) -> None:
        """Forget a partition."""
        for known in (self._begins, self._hole_at, self._asked_at):
            known.pop(tp, None)
        self._astray.discard(tp)

    def continuing(self, tp: TP, records: Sequence[Any]) -> Sequence[Any]:
        """The part of a partition's records, fetched, by offset, at least one, that may be handed over.

        None of them where they are to be fetched again.
        """
        begins, first = self._begins.get(tp), records[0].offset
        if self._seeking:
            self._astray.add(tp)  # the seek may lie before them
            return ()
        if begins is None:
            return ()  # revoked, or not sought yet: the seek to come reads them again
        if first > begins and self._hole_at.get(tp) != begins:
            # Fetched before a seek, or the log has a hole here (compaction, retention, transaction markers).
            # Ask once more: only the log itself answers the same again.
            self._hole_at[tp] = begins
            self._astray.add(tp)
            return ()
        if first > begins:
            logger.log(
                logging.DEBUG if first == begins + 1 else logging.WARNING,  # one: a transaction's marker
                "the log of %s has nothing from offset %d to %d",
                tp,
                begins,
                first - 1,
                extra={"topic": tp.topic, "partition": tp.partition, "offset": begins},
            )
        self._astray.discard(tp)
        return [record for record in records if record.offset >= begins]

    def ask_again(self, tp: TP, end: int) -> None:
        """Have a partition that was fetched to its end sought again where not all of it was handed over.

        What is left is a transaction's marker, mostly, and asked for once.
        """
        begins = self._begins.get(tp)
        if begins is not None and begins < end and self._asked_at.get(tp) != begins:
            self._asked_at[tp] = begins
            self._astray.add(tp)

    @property
    def any_astray(self) -> bool:
        """Whether any partition must be sought again, now or after the seek that is under way."""
        return bool(self._astray)

    def astray(self, assigned: AbstractSet[TP]) -> dict[TP, int]:
        """Where partitions must be sought again; none while a seek of all is under way."""
        self._astray &= assigned
        return {} if self._seeking else {tp: self._begins[tp] for tp in self._astray if tp in self._begins}

    def sought(self, tps: Iterable[TP]) -> None:
        """Note that partitions were sought again."""
        self._astray.difference_update(tps)
