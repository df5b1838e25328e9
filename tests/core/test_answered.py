"""Up to where a partition is answered, through crashes between a run's state and its answers."""

from __future__ import annotations

from collections import Counter

from hypothesis import event, given, settings
from hypothesis import strategies as st

from core.window.step import PartitionState, advance_run, comes_again, nothing_done, unconfirmed, visitors_of
from tests.oracles.streams import PARTITION, World, cuts, pieces, streams, whole


def work(world, on_disk, log, data, *, atomic, crashes):
    """A worker's life, from what was left on the disk; it may end early.

    Args:
        world: what outlives it; its partition is what a living worker knows.
        on_disk: the partition's record.
        log: from the input's committed offset on.
        data: draws how the log is cut, and what is committed at the end, where that is no part of a run.
        atomic: the guarantee: all that a run writes is one transaction.
        crashes: the number of the run after whose state, and before whose answers, it is killed, if the two
            go together there; else right after the run.

    Returns:
        What is on the disk, and how much of the log is committed.
    """
    world.partition, done = on_disk, [0]
    for number, (parsed, sweep) in enumerate(pieces(log, data.draw(cuts))):
        before, rules = world.partition, world.rules
        todo = [one for one in parsed if not atomic or one.record.offset > before.answered_until]
        states = {name: world.visitors[name] for name in visitors_of(todo) if name in world.visitors}
        result = advance_run(PARTITION, todo, before, states, rules)
        together = todo and not atomic and comes_again(result, rules)
        on_disk = unconfirmed(result.partition, before) if together else result.partition
        if together and number == crashes:
            event("killed between state and answers")
            world.store(nothing_done(on_disk)._replace(visitors=result.visitors))
            break
        world.store(result)
        if atomic and todo:
            done = [sum(one.record.offset <= result.partition.answered_until for one in log)]
        elif not atomic:
            done.append(done[-1] + len(parsed))
        if number == crashes:
            break
        if sweep:
            world.sweep()
            on_disk = world.partition
    return on_disk, data.draw(st.sampled_from(done))


@settings(max_examples=2000, deadline=None)
@given(streams(), st.lists(st.tuples(st.booleans(), st.integers(0, 6)), max_size=5), st.data())
def test_no_answer_is_lost_whichever_guarantee_comes_after_which(stream, lives, data):
    """Workers of both guarantees are killed one after the other; the last one finds all that was not sent.

    What one has answered in a transaction no other that answers in transactions answers again.
    """
    rules, log = stream
    world, on_disk, at = World(rules), PartitionState(), 0
    for atomic, crashes in [*lives, (data.draw(st.booleans()), None)]:
        answered_before = Counter(query.offset for query in world.queries)
        known = on_disk.answered_until
        on_disk, committed = work(world, on_disk, log[at:], data, atomic=atomic, crashes=crashes)
        at += committed
        if atomic:
            answered = Counter(query.offset for query in world.queries) - answered_before
            assert set(answered.values()) <= {1}
            assert all(offset > known for offset in answered)
    plain = whole(rules, log)
    answers = {(query.offset, query.session, query.items) for query in world.queries}
    assert answers == {(query.offset, query.session, query.items) for query in plain.queries}
    assert world.partition.applied == plain.partition.applied
    assert world.partition.watermark_ms == plain.partition.watermark_ms
    world.sweep("idle")
    plain.sweep("idle")
    assert world.sessions() == plain.sessions()
