"""The visitor table on a real RocksDB restores as the pure rule says, in any batches."""

from __future__ import annotations

import random
from typing import NamedTuple

import pytest

from core.errors import StateError
from core.window.changelog import restore
from core.window.step import PartitionState
from stream_app.settings import Settings
from stream_app.worker.app import new_app
from stream_app.worker.tables import AS_OF, STATE_VERSIONS, VisitorTable, changes_of, encode_state
from tests.oracles.streams import long_stream
from tests.oracles.two_writers import Broker, Writer

PARTITION = 2


class Read(NamedTuple):
    """A changelog record as a Kafka client gives it."""

    offset: int
    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]]
    partition: int = PARTITION


@pytest.fixture
def table(tmp_path) -> VisitorTable:
    """An empty table; no broker is asked for anything."""
    _, runtime = new_app(Settings(data_dir=tmp_path), 4)
    return runtime._table


def record_of(offset, entry) -> Read:
    """An entry as its record."""
    key = b"p" if entry.visitor is None else b"v" + entry.visitor.encode()
    headers = [] if entry.as_of is None else [(AS_OF, str(entry.as_of).encode())]
    return Read(offset, key, encode_state(entry.state) if entry.state else None, headers)


def two_writers(chance):
    """The changelog of an owner and of a writer that it replaced."""
    rules, log = long_stream(chance)
    broker = Broker(rules, log)
    owner = Writer(broker)
    for _ in range(4):
        owner.run(3, sweep=True)
        owner.deliver(99)
    replaced, owner = owner, Writer(broker)
    for _ in range(10):
        for writer in (owner, replaced):
            writer.run(chance.randint(1, 4), sweep=True)
            writer.deliver(chance.randint(0, 6))
    return broker


@pytest.mark.parametrize("seed", range(12))
def test_the_table_restores_as_the_rule_says(table, seed):
    """States, the partition's record and what is stale are as core/window/changelog.py has it, by batch."""
    chance = random.Random(seed)  # noqa: S311 -- a plan that is the same each time
    broker = two_writers(chance)
    records = [record_of(offset, entry) for offset, entry in broker.changelog]
    assert table.changelog_offset(PARTITION) == -1
    at = 0
    while at < len(records):
        size = chance.randint(1, 9)
        batch = records[max(0, at - chance.randint(0, 2)) : at + size]
        table.restore(PARTITION, batch, batch[-1].offset)
        at += size
    expected = restore(broker.read(0, broker.end), PartitionState(), {})
    assert table.partition(PARTITION) == expected.partition
    assert dict(table.all_visitors(PARTITION)) == expected.visitors
    assert table.changelog_offset(PARTITION) == records[-1].offset
    stale = {b"p" if name is None else b"v" + name.encode() for name in expected.stale}
    assert table.stale(PARTITION) >= stale
    # Rewritten, nothing is stale; what is rewritten is what the table holds.
    again = table.current(PARTITION, table.stale(PARTITION))
    assert (b"p", encode_state(expected.partition)) in again
    table.write(PARTITION, [], broker.end, no_longer_stale=table.stale(PARTITION))
    assert table.stale(PARTITION) == set()
    assert dict(table.all_visitors(PARTITION)) == expected.visitors


def test_a_value_of_another_version_is_refused(table):
    """A restore of what another version wrote says what to do instead of guessing."""
    (change,) = changes_of({}, PartitionState(3, 4))
    strange = bytes((max(STATE_VERSIONS) + 1,)) + change[1][1:]
    with pytest.raises(StateError, match="reads version"):
        table.restore(PARTITION, [Read(0, change[0], strange, [])], 0)
