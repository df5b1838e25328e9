"""Which records of a changelog count when a partition's state is made from it again.

A worker that was replaced (frozen, cut off, killed with records on their way) may still write to the
changelog of a partition that another one owns by now. None of it is wrong: a state is a function of the
input's log up to an offset, and a worker writes it behind the outputs that belong to it. Some of it is only
too old. So whoever is further on in the input wins, wherever in the changelog it stands; and a writer that
finds another's records between its own writes the current states once more, so that compaction keeps these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, NamedTuple, TypeVar

from core.window.step import PartitionState, VisitorState


class Entry(NamedTuple):
    """A changelog record.

    Attributes:
        visitor: whose state; None: the partition's own record.
        state: None deletes a visitor's state.
        as_of: the input offset up to which the whole log was applied when this was written. A deletion has
            it, and a state that was written once more; other states were written before their run's
            partition record, so they are newer than that record's ``applied``.
    """

    visitor: str | None
    state: VisitorState | PartitionState | None
    as_of: int | None = None


#: What tells visitors apart: a name, or a table's key.
Visitor = TypeVar("Visitor")


class Held(Generic[Visitor]):
    """How far the state is that was read so far.

    Args:
        partition: ``applied`` of the partition's record; -1 for none.
        visitors: ``applied`` of the state of each visitor that has one; it is kept and changed.
    """

    def __init__(self, partition: int, visitors: dict[Visitor, int]) -> None:
        self.partition = partition
        self.visitors = visitors

    def take_partition(self, applied: int) -> bool:
        """Whether a partition record counts: it is as far as the one held, or further."""
        if applied < self.partition:
            return False
        self.partition = applied
        return True

    def take_state(self, visitor: Visitor, applied: int, as_of: int | None) -> bool:
        """Whether a visitor's state counts.

        It must not be older than the partition's record, which says that everything before it is in the
        states already, nor than the visitor's state, which may be ahead of that record.
        """
        until = applied if as_of is None else as_of
        if until < self.partition or applied < self.visitors.get(visitor, -1):
            return False
        self.visitors[visitor] = applied
        return True

    def take_deletion(self, visitor: Visitor, as_of: int | None) -> bool:
        """Whether a deletion counts: it is as far as the partition's record and the visitor's state.

        One that does not say how far it is counts for as far as the partition's record.
        """
        until = self.partition if as_of is None else as_of
        if until < self.partition or until < self.visitors.get(visitor, -1):
            return False
        self.visitors.pop(visitor, None)
        return True


class Restored(NamedTuple):
    """A state made from a changelog; the visitors (None: the partition) whose last record did not count."""

    partition: PartitionState
    visitors: dict[str, VisitorState]
    stale: set[str | None]


def restore(
    entries: Iterable[Entry], partition: PartitionState, visitors: Mapping[str, VisitorState]
) -> Restored:
    """Apply changelog records, in the changelog's order, to a state that may hold some of them already."""
    states, stale = dict(visitors), set[str | None]()
    held = Held(partition.applied, {visitor: state.applied for visitor, state in states.items()})
    for visitor, state, as_of in entries:
        if visitor is None:
            if taken := isinstance(state, PartitionState) and held.take_partition(state.applied):
                partition = state
        elif isinstance(state, VisitorState):
            if taken := held.take_state(visitor, state.applied, as_of):
                states[visitor] = state
        elif taken := held.take_deletion(visitor, as_of):
            states.pop(visitor, None)
        if taken:
            stale.discard(visitor)
        else:
            stale.add(visitor)
    return Restored(partition, states, stale)
