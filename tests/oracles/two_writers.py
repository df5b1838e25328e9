"""A changelog with more than one writer: what core/window/changelog.py is for, in plain values.

A writer publishes a run's outputs, sends its changelog records, which reach the log one by one and at any
time later, and stores the run when all have. The records of a writer that was replaced may come at any time.
"""

from __future__ import annotations

from core.window.changelog import Entry, restore
from core.window.step import PartitionState, RunResult, advance_run, close_run, visitors_of
from tests.oracles.streams import PARTITION, World


class Broker:
    """The input's log, the changelog with offsets, the committed offset, and everything published."""

    def __init__(self, rules, log):
        self.rules, self.log = rules, log
        self.world = World(rules)
        self.changelog: list[tuple[int, Entry]] = []
        self.end = 0
        self.committed = 0  # how many records of the log

    @property
    def finished(self):
        """The input offset that is committed as finished; -1 for none."""
        return self.log[self.committed - 1].record.offset if self.committed else -1

    def append(self, entry):
        """Write one changelog record."""
        self.changelog.append((self.end, entry))
        self.end += 1

    def read(self, since, until):
        """The changelog's records between two offsets, the second not included."""
        return [entry for offset, entry in self.changelog if since <= offset < until]

    def compact(self, until):
        """Keep the last record of each visitor of those before an offset."""
        last = {entry.visitor: offset for offset, entry in self.changelog if offset < until}
        kept = set(last.values())
        self.changelog = [
            (offset, entry) for offset, entry in self.changelog if offset >= until or offset in kept
        ]


class Writer:
    """A worker's view of one partition: its state as on its disk, and the records that are on their way.

    Args:
        broker: where everything goes.
        disk: an earlier writer whose disk this one finds; None: an empty one.
        back: reads again from so many records before the committed one.
    """

    def __init__(self, broker, disk=None, back=0):
        self.broker = broker
        self.partition = disk.partition if disk else PartitionState()
        self.visitors = dict(disk.visitors) if disk else {}
        self.position = max(0, broker.committed - back)
        since = disk.stored if disk else 0
        self.partition, self.visitors, stale = restore(
            broker.read(since, broker.end), self.partition, self.visitors
        )
        again = {entry.visitor for entry in broker.read(since, broker.end)} - stale
        self.stale = stale | ((disk.stale if disk else set()) - again)
        self.stored = self.seen = broker.end
        self.on_the_way: list[Entry] = []
        self._sent = 0
        self._run: tuple[RunResult, RunResult, int] | None = None
        self._rewriting: set[str | None] = set()

    @property
    def idle(self):
        """Whether nothing of it is on its way, and nothing is left to write again."""
        return self._run is None and not self._rewriting and not self.stale

    def skip_applied(self):
        """Begin behind what the state has."""
        self.position = sum(parsed.record.offset <= self.partition.applied for parsed in self.broker.log)

    def run(self, count, *, sweep):
        """Begin a run of the next records, if the one before it is stored; whether one was begun."""
        records = self.broker.log[self.position : self.position + count]
        if self._run is not None or self._rewriting or not records:
            return False
        wanted = {name: self.visitors[name] for name in visitors_of(records) if name in self.visitors}
        result = advance_run(PARTITION, records, self.partition, wanted, self.broker.rules)
        after = self.visitors | result.visitors
        swept = close_run(after if sweep else {}, result.partition, self.broker.rules, "watermark")
        world = self.broker.world
        world.closed += [*result.closed, *swept.closed]
        world.queries += result.queries
        world.dead += result.dead
        puts = [Entry(name, state) for name, state in result.visitors.items()]
        gone = [Entry(name, None, result.partition.applied) for name in swept.visitors]
        self._send([*puts, Entry(None, result.partition), *gone])
        self._run = (result, swept, self.position + len(records))
        return True

    def deliver(self, count):
        """Let some of what is on its way reach the changelog; finish what is complete."""
        while self.on_the_way and count > 0:
            self.broker.append(self.on_the_way.pop(0))
            count -= 1
            if not self.on_the_way:
                self._confirmed()

    def sweep_all(self):
        """Close everything that is open."""
        swept = close_run(self.visitors, self.partition, self.broker.rules, "idle")
        self.broker.world.closed += swept.closed

    def _send(self, entries):
        self.on_the_way, self._sent = list(entries), len(entries)

    def _confirmed(self):
        alone = self.broker.end - self.seen == self._sent
        if alone and self._run:
            result, swept, _ = self._run
            self.visitors |= result.visitors
            self.partition = result.partition
            for name in swept.visitors:
                del self.visitors[name]
        elif not alone:
            found = self.broker.read(self.seen, self.broker.end)
            self.partition, self.visitors, _ = restore(found, self.partition, self.visitors)
            self._rewriting |= {entry.visitor for entry in found}
        if self._run:
            self.position = self._run[2]
            self.broker.committed = max(self.broker.committed, self.position)
            self._run = None
        self.seen = self.broker.end
        if alone and self._rewriting:
            self.stale, self._rewriting = set(), set()
        if alone:
            self.stored = self.seen
        if not self.stale and not self._rewriting:
            return
        self._rewriting |= self.stale
        self._send(self._again(self._rewriting))

    def _again(self, visitors):
        as_of = self.partition.applied
        there = [name for name in visitors if name in self.visitors]
        gone = [name for name in visitors if name is not None and name not in self.visitors]
        return [
            *(Entry(name, self.visitors[name], as_of) for name in there),
            Entry(None, self.partition),
            *(Entry(name, None, as_of) for name in gone),
        ]
