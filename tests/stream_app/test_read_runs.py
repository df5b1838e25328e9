"""What becomes of the runs that were read: only what had all before it is taken, and so it is finished."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from stream_app.worker.read_runs import ReadRuns


class Message(NamedTuple):
    """As much of one as counts here; two of the same place are two messages."""

    tp: str
    begin: int


def read(runs, *begins, tp="clicks-0"):
    """Runs of ten records that begin at these offsets."""
    messages = [Message(tp, begin) for begin in begins]
    for message in messages:
        runs.add(message, message.begin + 10, 10)
    return messages


def test_what_is_finished_counts_from_the_first_on():
    """A run that is finished before those before it counts with the last of them."""
    runs = ReadRuns()
    messages = read(runs, 0, 10, 20)
    assert all(map(runs.take, messages))
    assert runs.finished("clicks-0") is None
    assert list(runs.partitions) == []
    assert runs.unfinished("clicks-0") == 30
    for place, finished, unfinished in ((1, None, 30), (0, 20, 10), (2, 30, 0)):
        runs.finish(messages[place])
        assert (runs.finished("clicks-0"), runs.unfinished("clicks-0")) == (finished, unfinished)
    assert list(runs.partitions) == ["clicks-0"]


def test_a_run_behind_one_that_was_thrown_away_is_not_taken():
    """It comes again behind the other one, read from there; the message that overtook it stays unknown."""
    runs = ReadRuns()
    first, _thrown_away, overtaking = read(runs, 0, 10, 20)
    assert runs.take(first)
    assert not runs.take(overtaking)
    runs.forget_untaken("clicks-0")
    assert not runs.take(overtaking)
    again = read(runs, 10, 20)
    assert not runs.take(overtaking)
    assert all(map(runs.take, again))
    for message in (overtaking, first, *again):
        runs.finish(message)
    assert runs.finished("clicks-0") == 30


def test_a_run_that_was_given_up_holds_up_those_behind_it():
    """Neither is one of them finished nor taken until it has been read again."""
    runs = ReadRuns()
    first, given_up, third = read(runs, 0, 10, 20)
    assert all(map(runs.take, (first, given_up, third)))
    runs.release(given_up)
    (fourth,) = read(runs, 30)
    assert not runs.take(fourth)
    for message in (third, first):
        runs.finish(message)
    assert runs.finished("clicks-0") == 10
    runs.forget_untaken("clicks-0")
    again = read(runs, 10)
    assert all(map(runs.take, again))
    runs.finish(again[0])
    assert runs.finished("clicks-0") == 20


def test_partitions_are_apart_and_one_is_forgotten_whole():
    """What is revoked leaves nothing behind, and its messages are unknown."""
    runs = ReadRuns()
    (here,) = read(runs, 0)
    (there,) = read(runs, 0, tp="clicks-1")
    assert runs.take(here)
    assert runs.take(there)
    runs.finish(here)
    runs.forget("clicks-0")
    assert runs.finished("clicks-0") is None
    assert (runs.unfinished("clicks-0"), runs.unfinished("clicks-1")) == (0, 10)
    assert not runs.take(here)
    runs.finish(there)
    assert runs.finished("clicks-1") == 10


@given(st.lists(st.sampled_from(["read", "take", "finish", "release", "seek"]), max_size=60), st.randoms())
def test_whatever_happens_nothing_is_finished_before_all_before_it(steps, chance):
    """The finished offset never passes a record whose run was not finished, however often it is read."""
    runs, known, taken, finished = ReadRuns(), [], [], set()
    position = 0
    for step in steps:
        if step == "read":
            known += read(runs, position)
            position += 10
        elif step == "take" and known:
            message = chance.choice(known)
            if runs.take(message):
                taken.append(message)
        elif step == "finish" and taken:
            message = taken.pop(chance.randrange(len(taken)))
            runs.finish(message)
            finished.add(message.begin)
        elif step == "release" and taken:
            runs.release(taken.pop(chance.randrange(len(taken))))
        elif step == "seek":
            position = runs.finished("clicks-0") or 0
            runs.forget_untaken("clicks-0")
        assert set(range(0, runs.finished("clicks-0") or 0, 10)) <= finished
    # Whatever was given up is read again after a seek, so that nothing counts as read for ever.
    runs.forget_untaken("clicks-0")
    for message in taken:
        runs.finish(message)
    assert runs.unfinished("clicks-0") == 0
