"""When a partition is stalled, by a clock that the test turns."""

from __future__ import annotations

from stream_app.worker.liveness import Liveness, Progress


def test_a_partition_with_input_that_finishes_nothing_is_stalled():
    """It is said once, with offset and phase, until it moves again; one without input is never stalled."""
    liveness = Liveness(60, 0)
    stuck, idle = Progress(5, 9, "scoring", more=True), Progress(7, 8, "", more=False)
    assert liveness.look({0: stuck, 1: idle}, 0) == {}
    assert liveness.look({0: stuck, 1: idle}, 60) == {}
    assert liveness.state(60) == (True, "ok")
    said = liveness.look({0: stuck, 1: idle}, 61)
    assert said[0] == "partition 0 has finished nothing for 61 s: it is at offset 5 of 9, scoring"
    assert liveness.look({0: stuck, 1: idle}, 62) == {}
    assert liveness.stalled == 1
    assert liveness.state(62)[0] is False
    assert liveness.look({0: stuck._replace(finished=6), 1: idle}, 63) == {}
    assert (liveness.stalled, liveness.state(63)) == (0, (True, "ok"))


def test_input_after_a_quiet_time_is_no_stall():
    """The time counts from the moment when there is something to do."""
    liveness = Liveness(60, 0)
    liveness.look({0: Progress(5, 5, "", more=False)}, 0)
    liveness.look({0: Progress(5, 5, "", more=False)}, 1000)
    assert liveness.look({0: Progress(5, 6, "", more=True)}, 1001) == {}
    assert liveness.look({0: Progress(5, 6, "", more=True)}, 1060) == {}
    assert len(liveness.look({0: Progress(5, 6, "", more=True)}, 1062)) == 1


def test_waiting_is_said_and_is_no_stall():
    """While the worker waits the time of its partitions does not run; a new reason begins anew."""
    liveness = Liveness(60, 0)
    liveness.look({0: Progress(5, 9, "", more=True)}, 0)
    assert liveness.wait("for the brokers", 50) == 0
    assert liveness.wait("for the brokers", 95) == 45
    assert liveness.state(100) == (True, "waiting for the brokers for 50 s")
    assert liveness.wait("for the state", 101) == 0
    assert liveness.look({0: Progress(5, 9, "", more=True)}, 120) == {}
    assert len(liveness.look({0: Progress(5, 9, "", more=True)}, 162)) == 1


def test_an_event_loop_that_hangs_is_seen():
    """The thread that answers /live notices that nobody looks any more; a long start is no hanging."""
    liveness = Liveness(60, 0)
    assert liveness.state(1000) == (True, "waiting to be started for 1000 s")
    liveness.look({}, 10)
    assert liveness.state(70) == (True, "ok")
    assert liveness.state(71) == (False, "the event loop has not looked for 61 s")
