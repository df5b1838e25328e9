"""How far something long is, and the estimate of what is left."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream_app.worker.pace import Pace, sentence


def test_nothing_is_known_at_the_beginning():
    """Before the first look there is neither a rest nor an estimate; with one look there is a rest."""
    pace = Pace()
    assert (pace.reading().left, pace.reading().seconds_left) == (None, None)
    assert sentence("records", pace.reading()) == "records: how many is not known yet"
    pace.look(100, 5.0)
    assert (pace.reading().done, pace.reading().left, pace.reading().seconds_left) == (0, 100, None)
    assert sentence("records", pace.reading()) == "records: 0 of 100, 0 a second"


def test_the_estimate_is_what_is_left_by_the_pace_of_late():
    """A slow beginning is forgotten after some looks."""
    pace = Pace()
    pace.look(10_000, 0.0)
    pace.look(9_900, 100.0)
    assert pace.reading().seconds_left == 9_900.0
    for second in range(1, 31):
        pace.look(9_900 - 100 * second, 100.0 + second)
    assert (pace.reading().a_second, pace.reading().seconds_left) == (100.0, 69.0)
    assert sentence("records", pace.reading()) == "records: 3100 of 10000, 100 a second, about 69 s left"


def test_the_end_and_a_new_beginning():
    """With nothing left there are zero seconds left, at any pace; begin() forgets all."""
    pace = Pace()
    pace.look(0, 1.0)
    assert (pace.reading().left, pace.reading().seconds_left) == (0, 0.0)
    assert sentence("records", pace.reading()) == "records: all 0 done"
    pace.begin()
    assert (pace.reading().left, pace.reading().done) == (None, 0)


@given(st.lists(st.tuples(st.integers(0, 10**9), st.floats(0, 1000)), max_size=60))
def test_any_looks_make_sense(looks):
    """Whatever is seen, also more left than before: no negative figures; what is left is the last."""
    pace, now_s = Pace(), 0.0
    for left, step_s in looks:
        now_s += step_s
        pace.look(left, now_s)
        reading = pace.reading()
        assert reading.left == left
        assert min(reading.done, reading.a_second, reading.seconds_left or 0) >= 0
