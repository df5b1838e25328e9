"""Where the next run begins: nothing is skipped and nothing comes twice, however fetches and seeks cross."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from faust.types import TP

from stream_app.worker.positions import Positions

CLICKS = TP("clicks", 0)
ASSIGNED = {CLICKS}

#: Records that a fetch brings at most.
MOST = 2

#: Turns that end whatever is under way: a seek, a fetch, another seek and fetch for what was dropped, and the
#: same once more where the log has a hole.
TURNS_TO_END = 40


class Fetched(NamedTuple):
    """A record, as far as it matters here."""

    offset: int


class Reader:
    """A consumer's thread and its parent, in small steps that are taken in any order.

    Args:
        log: the offsets that are there.
        committed: where the first seek goes.

    Attributes:
        handed: since the last seek.
        sought: where that went; None before the first has ended.
        seeks: whether one is under way.
    """

    def __init__(self, log: list[int], committed: int) -> None:
        self._log = log
        self._committed = self._position = committed
        self._positions = Positions()
        self._seek = self._fetch = None
        self.handed: list[int] = []
        self.sought: int | None = None

    def commit(self) -> None:
        """Commit all that is handed over, unless a seek is under way."""
        if self.handed and not self.seeks:
            self._committed = self.handed[-1] + 1

    def step_seek(self) -> None:
        """The next step of a seek; begin one when there is none."""
        if self._seek is None:
            self._seek = self._seek_all()
        if next(self._seek, self) is self:
            self._seek = None

    def step_fetch(self) -> None:
        """The next step of a fetch, or of the seek before it; begin one when there is none."""
        if self._fetch is None:
            self._fetch = self._fetch_some()
        if next(self._fetch, self) is self:
            self._fetch = None

    @property
    def due(self) -> list[int]:
        """What is to be handed over after the last seek."""
        return [offset for offset in self._log if self.sought is not None and offset >= self.sought]

    @property
    def seeks(self) -> bool:
        """Whether a seek is under way."""
        return self._seek is not None

    @property
    def state(self) -> tuple:
        """All that what follows depends on."""
        frames = [one and one.gi_frame for one in (self._seek, self._fetch)]
        under_way = [(frame.f_lineno, frame.f_locals | {"self": None}) for frame in frames if frame]
        return (str(under_way), str(vars(self._positions)), self._position, self._committed, *self.handed)

    def _seek_all(self) -> Iterator[None]:
        with self._positions.seek():
            yield
            begins = self._position = self._committed
            yield
            self._positions.set({CLICKS: begins})
            self.sought, self.handed = begins, []

    def _fetch_some(self) -> Iterator[None]:
        if begins := self._positions.astray(ASSIGNED):
            yield
            self._position = begins[CLICKS]
            yield
            self._positions.sought(begins)
        yield
        records = [Fetched(offset) for offset in self._log if offset >= self._position][:MOST]
        if records:
            self._position = records[-1].offset + 1
            yield
            if run := self._positions.continuing(CLICKS, records):
                self._positions.set({CLICKS: run[-1].offset + 1})
                self.handed += [record.offset for record in run]


def after(steps: str, log: list[int], committed: int) -> Reader:
    """A reader after steps, each a letter."""
    reader = Reader(log, committed)
    for step in steps:
        {"s": reader.step_seek, "f": reader.step_fetch, "c": reader.commit}[step]()
    return reader


@pytest.mark.parametrize(("log", "committed"), [([3, 4, 5, 6], 3), ([3, 5, 6], 2), ([0, 1], 0), ([], 4)])
def test_all_behind_a_seek_is_handed_over_once_and_in_order_whatever_crosses(log, committed):
    """In each state that steps in any order lead to, and when from there on nothing is sought any more."""
    known, new = set(), deque([""])
    while new:
        steps = new.popleft()
        reader = after(steps, log, committed)
        if reader.state in known:
            continue
        known.add(reader.state)
        new += [steps + step for step in "sfc"]
        assert reader.handed == reader.due[: len(reader.handed)], steps
        while reader.seeks or reader.sought is None:
            reader.step_seek()
        for _ in range(TURNS_TO_END):
            reader.step_fetch()
        assert reader.handed == reader.due, steps
    assert len(known) > 10


def test_what_is_fetched_during_the_first_seek_is_sought_again():
    """Before it is known where the first run begins, after the position went there."""
    positions = Positions()
    with positions.seek():
        assert not positions.continuing(CLICKS, [Fetched(7)])
        assert positions.any_astray
        assert positions.astray(ASSIGNED) == {}
        positions.set({CLICKS: 7})
    assert positions.astray(ASSIGNED) == {CLICKS: 7}
    positions.sought({CLICKS: 7})
    assert not positions.any_astray
    assert positions.continuing(CLICKS, [Fetched(7)])


def test_a_partition_that_another_worker_has_is_not_sought():
    """What was dropped of it is that worker's."""
    positions = Positions()
    with positions.seek():
        positions.continuing(CLICKS, [Fetched(7)])
        positions.set({CLICKS: 7})
    assert positions.astray(set()) == {}
    assert not positions.any_astray


def test_the_log_is_asked_once_more_about_a_hole():
    """A second answer that is the same is the log's; the part before the run is left out."""
    positions = Positions()
    positions.set({CLICKS: 5})
    for records in ([Fetched(8)], [Fetched(8)]):
        found = positions.continuing(CLICKS, records)
    assert found == [Fetched(8)]
    positions.set({CLICKS: 9})
    assert positions.continuing(CLICKS, [Fetched(8), Fetched(9)]) == [Fetched(9)]
    positions.forget(CLICKS)
    assert positions.begins(CLICKS) is None


def test_what_was_not_handed_over_up_to_the_end_is_asked_for_once():
    """Once from each place: what is there no more, a marker, is asked for no more."""
    positions = Positions()
    positions.ask_again(CLICKS, 8)
    assert not positions.any_astray  # not sought yet
    positions.set({CLICKS: 8})
    positions.ask_again(CLICKS, 8)
    assert not positions.any_astray  # all was handed over
    positions.ask_again(CLICKS, 9)
    assert positions.astray(ASSIGNED) == {CLICKS: 8}
    positions.sought([CLICKS])
    positions.ask_again(CLICKS, 9)
    assert not positions.any_astray
    positions.set({CLICKS: 9})
    positions.ask_again(CLICKS, 10)
    assert positions.astray(ASSIGNED) == {CLICKS: 9}
