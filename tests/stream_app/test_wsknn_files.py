"""Flat files are read into sessions as the package wsknn reads them; what is no event is counted."""

from __future__ import annotations

import gzip
import math
import re
from pathlib import Path

import pytest
import wsknn
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ReplayError, SessionsError
from core.wsknn_settings import WsknnSettings
from stream_app.wsknn import Sessions, fit, parse_flat_file

ROOT = Path(__file__).resolve().parents[2]

EVENTS = st.tuples(st.sampled_from("uvw"), st.sampled_from("abcd"), st.integers(0, 99))
FIELDS = {"session_index": 0, "product_index": 1, "time_index": 3}


@settings(max_examples=60, deadline=None)
@given(events=st.lists(EVENTS, min_size=1, max_size=30), packed=st.booleans(), header=st.booleans())
def test_a_file_is_read_as_the_package_reads_it(tmp_path_factory, events, packed, header):
    """Sessions, items and their figures are the package's, of a file that is gzipped or not."""
    lines = ["user\titem\trating\ttime"] * header
    lines += [f"{session}\t{item}\t5\t{time}" for session, item, time in events]
    path = tmp_path_factory.mktemp("flat") / "events"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = {**FIELDS, "sep": "\t", "time_to_numeric": True, "use_header_row": header}
    their_items, their_sessions = wsknn.parse_flat_file(str(path), **options)
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    items, sessions = parse_flat_file(path, **options)
    assert sessions.session_items_actions_map == their_sessions.session_items_actions_map
    assert sessions.number_of_sessions == their_sessions.number_of_sessions
    assert sessions.longest_items_vector_size == their_sessions.longest_items_vector_size
    assert (sessions.time_start, sessions.time_end) == (their_sessions.time_start, their_sessions.time_end)
    assert items.number_of_items == their_items.number_of_items
    assert items.longest_sessions_vector_size == their_items.longest_sessions_vector_size
    theirs = their_items.item_sessions_map
    assert {item: dict(zip(*held, strict=True)) for item, held in items.item_sessions_map.items()} == {
        item: dict(zip(*held, strict=True)) for item, held in theirs.items()
    }
    assert sessions.lines_left_out == 0
    assert fit(sessions, items).recommend([["a"]]) == fit(their_sessions, their_items).recommend([["a"]])


def test_names_of_events_are_taken_and_weighed(tmp_path):
    """Of the allowed ones each has its weight; the package reads the names and lets all of them in."""
    path = tmp_path / "events.csv"
    path.write_text("u,a,view,1\nu,b,buy,2\nu,c,scroll,3\n", encoding="utf-8")
    _, named = parse_flat_file(path, ",", 0, 1, 3, 2)
    assert named.session_items_actions_map == {
        "u": (["a", "b", "c"], [1.0, 2.0, 3.0], ["view", "buy", "scroll"])
    }
    _, weighed = parse_flat_file(path, ",", 0, 1, 3, 2, allowed_actions={"view": 0.1, "buy": 1.0})
    assert weighed.session_items_actions_map == {"u": (["a", "b"], [1.0, 2.0], ["view", "buy"], [0.1, 1.0])}
    assert weighed.lines_left_out == 0


def test_what_is_no_event_is_left_out_and_counted_or_refused(tmp_path):
    """A field too few, no number for a time, bytes that are no text."""
    path = tmp_path / "events.csv"
    path.write_bytes(b"u,a,5,1\nu\nu,b,5,soon\nu,b,5,nan\n\nu,\xff,5,2\nu,c,5,2")
    _, sessions = parse_flat_file(path, ",", **FIELDS)
    assert sessions.session_items_actions_map == {"u": (["a", "c"], [1.0, 2.0])}
    assert sessions.lines_left_out == 5
    assert str(sessions) == "1 sessions, the longest of 2 events, times 1 to 2, 5 lines left out"
    with pytest.raises(SessionsError, match=r"5 lines of .*events.csv are no events: expected fields apart"):
        parse_flat_file(path, ",", **FIELDS, ignore_errors=False)


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    """The error names the file."""
    with pytest.raises(ReplayError, match="nothing cannot be read"):
        parse_flat_file(tmp_path / "nothing", ",", **FIELDS)


def test_nothing_read_is_no_sessions(tmp_path):
    """An empty file gives figures all the same."""
    path = tmp_path / "events.csv"
    path.write_bytes(b"")
    seen = []
    items, sessions = parse_flat_file(path, ",", **FIELDS, watch=lambda *told: seen.append(told))
    assert (items.number_of_items, items.longest_sessions_vector_size) == (0, 0)
    assert str(items) == "0 items, the most frequent of them in 0 sessions"
    assert (sessions.number_of_sessions, sessions.longest_items_vector_size) == (0, 0)
    assert math.isnan(sessions.time_start)
    assert math.isnan(sessions.time_end)
    assert str(Sessions()).startswith("0 sessions")


def test_the_reading_can_be_watched(tmp_path):
    """Bytes read and bytes in all, up to the end."""
    path, seen = tmp_path / "events.csv", []
    path.write_text("u,a,5,1\n" * 1000, encoding="utf-8")
    parse_flat_file(path, ",", **FIELDS, watch=lambda *told: seen.append(told))
    assert seen[-1] == (8000, 8000)


def test_what_the_document_shows_is_so():
    """The Python in docs/coming-from-wsknn.md runs, and its assertions hold."""
    text = (ROOT / "docs" / "coming-from-wsknn.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(block, {})  # noqa: S102 -- our own document


def test_the_document_names_every_setting():
    """Each is in backquotes in docs/coming-from-wsknn.md."""
    text = (ROOT / "docs" / "coming-from-wsknn.md").read_text(encoding="utf-8")
    assert [name for name in WsknnSettings.__struct_fields__ if f"`{name}`" not in text] == []
