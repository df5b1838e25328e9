"""The laws of restoring: two writers of one changelog, one of them replaced, leave an exact state.

Logs and plans are drawn from a seed at full length: of lists that hypothesis draws, few are long enough for
two writers to get in each other's way.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.window.changelog import Entry, restore
from core.window.sessions import HeldClick, Session, is_over_at
from core.window.step import PartitionState, VisitorState
from tests.oracles.streams import World, long_stream, whole
from tests.oracles.two_writers import Broker, Writer

MANY = settings(max_examples=300, deadline=None)
seeds = st.integers(0, 2**32).map(random.Random)

ALL = 999
STEPS = ("owner runs", "owner runs", "replaced runs", "replaced's arrive", "takeover", "restart", "compact")


def prefixes(rules, log):
    """By the offset of each record, the world up to and with it; by -1 the empty one."""
    found = {-1: World(rules)}
    for length, parsed in enumerate(log, 1):
        found[parsed.record.offset] = whole(rules, log[:length])
    return found


def restored_is_exact(broker, truth):
    """A state restored now is the truth at its offset; a visitor may be ahead, or over and not yet gone."""
    partition, visitors, _ = restore(broker.read(0, broker.end), PartitionState(), {})
    world = truth[partition.applied]
    assert partition == world.partition
    assert partition.applied >= broker.finished
    for name, state in visitors.items():
        assert state == truth[state.applied].visitors[name]
    for name, state in world.visitors.items():
        if not is_over_at(state.last_ms, partition.watermark_ms, broker.rules):
            assert visitors[name].applied >= state.applied


def cut_off(rules, log, before, chance):
    """What a writer that restored ``before`` writes to the changelog in some runs, cut off anywhere."""
    broker = Broker(rules, log)
    for entry in before:
        broker.append(entry)
    writer = Writer(broker)
    writer.skip_applied()
    for _ in range(chance.randrange(8)):
        writer.run(chance.randint(1, 9), sweep=chance.random() < 0.7)
        writer.deliver(ALL)
    entries = broker.read(len(before), broker.end)
    return entries[: chance.randint(0, len(entries))] if chance.random() < 0.7 else entries


def shuffled(one, other, chance):
    """Two lists as one, each in its own order."""
    left = [list(one), list(other)]
    while any(left):
        yield chance.choice([entries for entries in left if entries]).pop(0)


@MANY
@given(seeds)
def test_two_writers_from_one_state_may_interleave_in_any_way(chance):
    """Both go on from one state in runs of their own and are cut off anywhere; what is restored is exact.

    So it is when a part was restored before, and when a part is read twice.
    """
    rules, log = long_stream(chance)
    before = cut_off(rules, log, [], chance)
    broker = Broker(rules, log)
    both = [cut_off(rules, log, before, chance) for _ in range(2)]
    for entry in [*before, *shuffled(*both, chance)]:
        broker.append(entry)
    restored_is_exact(broker, prefixes(rules, log))
    until = chance.randint(0, broker.end)
    disk = restore(broker.read(0, until), PartitionState(), {})
    again = restore(broker.read(chance.randint(0, until), broker.end), disk.partition, disk.visitors)
    assert again[:2] == restore(broker.read(0, broker.end), PartitionState(), {})[:2]


@MANY
@given(seeds)
def test_a_replaced_writer_never_wins(chance):
    """Whatever a replaced writer still writes, and when: restored and gone on from, the log is as one run.

    Writers die anywhere, restore from nothing or from their disk, read again from an older offset, and the
    changelog is compacted up to where its owner has looked.
    """
    rules, log = long_stream(chance)
    broker, truth = Broker(rules, log), prefixes(rules, log)
    owner = replaced = Writer(broker)
    for _ in range(chance.randrange(40)):
        what, keeps_disk, back = chance.choice(STEPS), chance.random() < 0.5, chance.randrange(4)
        arriving = chance.choice([ALL, ALL, ALL, 0, 1, 2, 3, 5])
        if what == "takeover":
            replaced, owner = owner, Writer(broker, disk=replaced if keeps_disk else None, back=back)
        elif what == "restart":
            owner = Writer(broker, disk=owner if keeps_disk else None, back=back)
        elif what == "compact" and owner.idle:
            broker.compact(chance.randint(0, owner.seen))
        elif what == "owner runs":
            owner.run(chance.randint(1, 6), sweep=chance.random() < 0.7)
            owner.deliver(arriving)
        elif replaced is not owner:
            if what == "replaced runs":
                replaced.run(chance.randint(1, 6), sweep=chance.random() < 0.7)
            replaced.deliver(arriving)
        restored_is_exact(broker, truth)
    last = Writer(broker)
    while last.run(ALL, sweep=True):
        last.deliver(ALL)
    last.sweep_all()
    plain = truth[log[-1].record.offset]
    assert last.partition == plain.partition
    plain.sweep("idle")
    assert broker.world.sessions() == plain.sessions()
    answers = {(query.offset, query.session, query.items) for query in broker.world.queries}
    assert answers == {(query.offset, query.session, query.items) for query in plain.queries}
    dead = {(letter.record, letter.reason) for letter in broker.world.dead}
    assert dead == {(letter.record, letter.reason) for letter in plain.dead}


def state(applied):
    """A visitor's state that is as far as an offset."""
    return VisitorState(applied, Session("0-0", (HeldClick(0, 0, "i"),), 0, total=applied))


@pytest.mark.parametrize(
    ("entry", "counts"),
    [
        (Entry(None, PartitionState(10)), True),
        (Entry(None, PartitionState(9)), False),
        (Entry("w", state(10)), True),
        (Entry("w", state(9)), False),
        (Entry("w", state(9), as_of=10), True),
        (Entry("w", state(9), as_of=9), False),
        (Entry("v", state(12)), True),
        (Entry("v", state(11)), False),
        (Entry("v", state(11), as_of=15), False),
        (Entry("v", None, as_of=12), True),
        (Entry("v", None, as_of=11), False),
        (Entry("v", None), False),
        (Entry("w", None), True),
        (Entry("w", None, as_of=9), False),
    ],
)
def test_what_counts_at_the_limits(entry, counts):
    """In a partition at 10 with a visitor at 12, what is as far counts; an offset behind does not."""
    ahead = {"v": state(12)}
    assert restore([entry], PartitionState(10), ahead).stale == (set() if counts else {entry.visitor})


def test_a_record_that_counts_makes_an_older_one_good():
    """A visitor whose state was written once more behind a stale record is not stale."""
    entries = [Entry("v", state(9)), Entry("v", state(8), as_of=10)]
    assert restore(entries[:1], PartitionState(10), {}).stale == {"v"}
    assert restore(entries, PartitionState(10), {}) == (PartitionState(10), {"v": state(8)}, set())
