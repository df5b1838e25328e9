"""The sizes that are recommended: laws that hold for any stream, and one worked by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.sizing import DAY_S, MIB, PLANNED_SHARE, Figures, Stream, size

streams = st.builds(
    Stream,
    clicks_s=st.floats(0.01, 1e6),
    session_clicks=st.floats(1, 50),
    session_s=st.floats(0, 7200),
    items=st.integers(1, 10_000_000),
    index_sessions=st.integers(1, 50_000_000),
)


@given(stream=streams)
def test_no_worker_is_planned_for_more_than_its_share(stream):
    """The workers together do what comes in with the planned share; one fewer would not, but for the two."""
    found = size(stream)
    room = Figures().worker_clicks_s * PLANNED_SHARE
    assert found.workers * room >= stream.clicks_s * (1 - 1e-9)
    assert found.workers == 2 or (found.workers - 1) * room < stream.clicks_s
    assert found.partitions >= found.workers


@given(stream=streams, factor=st.floats(1, 100))
def test_more_clicks_never_ask_for_less(stream, factor):
    """Workers, visitors, disk and traffic grow with the clicks; what the index remembers shrinks."""
    less = size(stream)
    more = size(
        Stream(
            **{
                **{f: getattr(stream, f) for f in stream.__struct_fields__},
                "clicks_s": stream.clicks_s * factor,
            }
        )
    )
    assert more.workers >= less.workers
    assert more.open_visitors >= less.open_visitors
    assert more.kafka_in_mib_s >= less.kafka_in_mib_s
    assert more.remembers_s <= less.remembers_s
    assert more.index_mib == less.index_mib


def test_an_example_by_hand():
    """A thousand clicks a second in sessions of five clicks: each figure is the product that it says."""
    figures = Figures()
    stream = Stream(clicks_s=1000, session_clicks=5, session_s=300, gap_s=1200, grace_s=60, items=10_000)
    found = size(stream)
    assert (found.workers, found.partitions) == (2, 4)
    assert found.open_visitors == 200 * 1560
    assert found.remembers_s == 500_000 / 200
    index = 2_500_000 * figures.index_click_bytes + 10_000 * (
        figures.item_bytes + 2 * figures.scorer_item_bytes
    )
    assert found.index_mib == pytest.approx(index / MIB)
    # One worker alone must be able to hold all of it.
    assert found.worker_memory_mib == pytest.approx(
        figures.base_mib
        + index / MIB
        + 4 * (32 + figures.write_buffers_mib)
        + 312_000 * figures.visitor_bytes / MIB
    )
    assert found.day_gib["recommendations"] == pytest.approx(1000 * figures.answer_bytes * DAY_S * 3 / 2**30)
    session_bytes = figures.session_bytes + 5 * figures.session_click_bytes
    assert found.day_gib["sessions"] == pytest.approx(200 * session_bytes * DAY_S * 3 / 2**30)
