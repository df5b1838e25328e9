"""Files of sessions, as the evaluation reads them."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import EvaluationError, ReplayError
from core.window.sessions import ClosedSession, WindowRules
from core.window.step import Parsed, Record
from stream_app.evaluate.data import (
    Reading,
    ReadOptions,
    asking_sessions,
    doubts,
    known_items_only,
    read_sessions,
    split_by_time,
)
from tests.oracles.slow_window import slow_window
from tests.oracles.whole_log import messy_clicks

TSV = "SessionId\tItemId\tTime\n1\ta\t10\n2\tx\t5\n1\tb\t12\n2\ty\t30\n3\tz\t11\n"


def written(folder, name, text, *, packed=False):
    """A file of this text."""
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return path


def items_of(sessions):
    """The items of each session."""
    return [session.items for session in sessions]


def session_of(number, items, start, end) -> ClosedSession:
    """A session of these items from one time to another, milliseconds."""
    times = tuple(start + (end - start) * at // max(1, len(items) - 1) for at in range(len(items)))
    return ClosedSession(f"0-{number}", "v", tuple(items), times, start, end, "gap", len(items))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("clicks.tsv", TSV),
        ("clicks.txt", TSV),
        ("clicks.csv", TSV.replace("\t", ",")),
        ("clicks.csv", TSV.replace("\t", ";").replace("SessionId", "session ID")),
        (
            "clicks.jsonl",
            "\n".join(
                json.dumps(dict(zip(("session", "item", "time"), line.split("\t"), strict=True)))
                for line in TSV.splitlines()[1:]
            ),
        ),
    ],
)
def test_a_session_column_makes_the_sessions(tmp_path, name, text, packed):
    """By its name, in every format; sessions by their end, clicks by their time."""
    reading = Reading()
    sessions = read_sessions(written(tmp_path, name, text, packed=packed), reading=reading)
    assert items_of(sessions) == [("z",), ("a", "b"), ("x", "y")]
    assert [(session.start, session.end) for session in sessions] == [
        (11_000, 11_000),
        (10_000, 12_000),
        (5_000, 30_000),
    ]
    assert [session.visitor for session in sessions] == ["3", "1", "2"]
    assert (reading.clicks, reading.bad, reading.delay_ms) == (5, 0, 0)
    assert "column" in reading.sessions_by


def test_parquet_is_read(tmp_path):
    """A Parquet file gives the same sessions."""
    import pyarrow as pa  # noqa: PLC0415 -- the one test that writes such a file
    from pyarrow import parquet  # noqa: PLC0415 -- the same

    rows = [line.split("\t") for line in TSV.splitlines()[1:]]
    columns = dict(zip(("SessionId", "ItemId", "Time"), zip(*rows, strict=True), strict=True))
    columns["Time"] = [float(time) for time in columns["Time"]]
    parquet.write_table(pa.table(columns), tmp_path / "clicks.parquet")
    assert items_of(read_sessions(tmp_path / "clicks.parquet")) == [("z",), ("a", "b"), ("x", "y")]


@pytest.mark.parametrize("packed", [False, True])
def test_one_session_a_line(tmp_path, packed):
    """Recognised by the first line; line n is n seconds after the beginning, empty lines are nothing."""
    path = written(tmp_path, "train.txt", "1 2 2\n\n3\n5 6\n", packed=packed)
    reading = Reading()
    sessions = read_sessions(path, partition=4, after_ms=50_000, reading=reading)
    assert items_of(sessions) == [("1", "2", "2"), ("3",), ("5", "6")]
    assert [session.session for session in sessions] == ["4-1", "4-3", "4-4"]
    assert [session.times for session in sessions] == [(51_000,) * 3, (53_000,), (54_000,) * 2]
    assert (reading.clicks, reading.sessions_by) == (6, "one a line")


def test_items_of_lines_are_any_text(tmp_path):
    """Unicode and a byte order mark; with the format said, commas and semicolons are part of an item."""
    path = written(tmp_path, "train.txt", "\ufeffä,b c;d\nü\n")
    sessions = read_sessions(path, ReadOptions(file_format="lines", line_s=60))
    assert items_of(sessions) == [("ä,b", "c;d"), ("ü",)]
    assert [session.end for session in sessions] == [60_000, 120_000]


def test_a_line_that_is_not_text_is_counted(tmp_path):
    """The others are read."""
    path = tmp_path / "train.txt"
    path.write_bytes(b"1 2\n\xff\xfe\n3 4\n")
    reading = Reading()
    assert len(read_sessions(path, reading=reading)) == 2
    assert (reading.bad, reading.first_bad.line) == (1, 2)


VISITS = "user_id,user_session,product_id,event_time\nu,s1,a,0\nu,s2,b,60\nw,s3,c,70\nu,s4,d,5000\n"


@pytest.mark.parametrize(
    ("options", "expected", "delay_ms"),
    [
        ({}, [("a",), ("b",), ("c",), ("d",)], 0),
        ({"session": "user_session"}, [("a",), ("b",), ("c",), ("d",)], 0),
        ({"by_gap": True}, [("a", "b"), ("c",), ("d",)], 1_260_000),
        ({"visitor": "user_id"}, [("a", "b"), ("c",), ("d",)], 1_260_000),
        ({"visitor": "user_session", "session": "user_id"}, [("c",), ("a", "b", "d")], 0),
        (
            {"visitor": "user_id", "rules": WindowRules(gap_ms=59_999)},
            [("a",), ("b",), ("c",), ("d",)],
            119_999,
        ),
        ({"visitor": "user_id", "rules": WindowRules(gap_ms=60_000)}, [("a", "b"), ("c",), ("d",)], 120_000),
    ],
)
def test_what_is_a_session(tmp_path, options, expected, delay_ms):
    """A session column is taken where there is one, a visitor that is named is parted by the window."""
    reading = Reading()
    path = written(tmp_path, "visits.csv", VISITS)
    assert items_of(read_sessions(path, ReadOptions(**options), reading=reading)) == expected
    assert reading.delay_ms == delay_ms


def test_sessions_by_gap_are_the_window_s_own(tmp_path):
    """A messy stream in the order of time has the sessions of the slow twin of the window."""
    rules = WindowRules(gap_ms=20_000, grace_ms=5_000, max_clicks=8)
    clicks = [click for click in messy_clicks(3, 600) if click.time_ms < 1_700_100_000_000]
    lines = [f"{c.visitor}\t{c.item}\t{c.time_ms}\t{c.id or ''}\t{c.action or ''}" for c in clicks]
    path = written(tmp_path, "clicks.tsv", "\n".join(["visitor\titem\ttime\tid\taction", *lines]))
    found = read_sessions(path, ReadOptions(rules=rules), partition=3)
    clicks.sort(key=lambda click: click.time_ms)
    log = [Parsed(Record(at, click.time_ms, None, None), click) for at, click in enumerate(clicks)]
    assert {session.session: session for session in found} == slow_window(3, log, rules).sessions
    assert any(session.overlong for session in found)
    assert [session.end for session in found] == sorted(session.end for session in found)


def test_a_file_without_a_header_is_named(tmp_path):
    """The names say too what is a session."""
    path = written(tmp_path, "u.data", "1\t5\t3\t100\n1\t6\t4\t90\n2\t7\t1\t95\n")
    named = ReadOptions(names=("session", "item", "rating", "time"))
    assert items_of(read_sessions(path, named)) == [("7",), ("6", "5")]


def test_a_time_in_three_columns_keeps_the_file_s_order_within_a_day(tmp_path):
    """Clicks and sessions of one time stay as they stand."""
    text = "year;month;day;session ID;model\n2008;4;1;2;c\n2008;4;1;1;b\n2008;4;1;1;a\n"
    options = ReadOptions(item="model", time="year+month+day")
    assert items_of(read_sessions(written(tmp_path, "shop.csv", text), options)) == [("c",), ("b", "a")]


@pytest.mark.parametrize(
    ("name", "text", "error", "words"),
    [
        ("clicks.csv", "session,item,time\n1,a,never\n", EvaluationError, "line 2"),
        ("clicks.csv", "session,item,time\n", EvaluationError, "found no click"),
        ("clicks.csv", "a,b,c\n1,2,3\n", ReplayError, "say which"),
        ("empty.txt", "", ReplayError, "nothing to read"),
        ("blank.txt", " \n\n", ReplayError, "nothing to read"),
        ("blanks.txt", "SessionId ItemId Time\n1 a 5\n", ReplayError, "columns are apart by blanks"),
    ],
)
def test_a_file_without_sessions_says_why(tmp_path, name, text, error, words):
    """An error that names the file or the line."""
    with pytest.raises(error, match=words):
        read_sessions(written(tmp_path, name, text))


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    """Of the same kind as for replay."""
    with pytest.raises(ReplayError, match=r"nowhere\.txt cannot be read"):
        read_sessions(tmp_path / "nowhere.txt")


def test_progress_is_told(tmp_path):
    """Bytes read and bytes to read, in files of both kinds."""
    told = []
    for name, text in (("a.tsv", TSV), ("a.txt", "1 2\n" * 20_000)):
        read_sessions(written(tmp_path, name, text), on_progress=lambda *how_far: told.append(how_far))
    assert told
    assert all(0 <= done <= total for done, total in told)


stretches = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 30)), min_size=1, max_size=30)


@given(stretches, st.sampled_from([0.1, 0.2, 0.5, 0.9]))
def test_nothing_learnt_ends_after_the_held_out_begin(spans, share):
    """The parts are apart in time, keep their order, and lack only what is under way at the cut."""
    sessions = sorted(
        (session_of(n, "ab", start, start + long) for n, (start, long) in enumerate(spans)),
        key=lambda session: session.end,
    )
    try:
        older, newer = split_by_time(sessions, share)
    except EvaluationError:
        cut = sessions[-int(len(sessions) * share) - 1].end
        assert all(session.start <= max(cut, session.end) for session in sessions)
        return
    cut = older[-1].end
    assert all(session.end <= cut for session in older)
    assert all(session.start > cut for session in newer)
    assert all(s.start <= cut < s.end for s in sessions if s not in older and s not in newer)
    assert len(older) >= len(sessions) * (1 - share) - 1e-9
    assert [s for s in sessions if s in older] == older
    assert [s for s in sessions if s in newer] == newer


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, 1.5, float("nan")])
def test_a_share_out_of_its_range_is_refused(share):
    """Above 0 and below 1."""
    with pytest.raises(EvaluationError, match="expected above 0 and below 1"):
        split_by_time([session_of(0, "ab", 0, 1)], share)


def test_the_newest_fifth_is_the_newest_fifth():
    """Of ten sessions one after the other the last two are held out; of one or none, nothing can be."""
    sessions = [session_of(n, "ab", 10 * n, 10 * n + 5) for n in range(10)]
    assert split_by_time(sessions, 0.2) == (sessions[:8], sessions[8:])
    for few in ([], sessions[:1]):
        with pytest.raises(EvaluationError):
            split_by_time(few, 0.2)


def test_known_items_only():
    """Clicks on unknown items go, with their times; a session that has none left goes as well."""
    train = [session_of(0, "ab", 0, 1)]
    test = [session_of(1, "xaybz", 100, 500), session_of(2, "xyz", 100, 500)]
    (kept,) = known_items_only(train, test)
    assert (kept.items, kept.times, kept.start, kept.clicks) == (("a", "b"), (200, 400), 200, 2)


@pytest.mark.parametrize(("limit", "expected"), [(None, ["ab", "cd"]), (1, ["ab"]), (0, [])])
def test_sessions_that_ask_have_two_clicks(limit, expected):
    """The first of them, sessions of one click not counted."""
    sessions = [session_of(n, items, 0, 1) for n, items in enumerate(["x", "ab", "y", "cd"])]
    assert items_of(asking_sessions(sessions, limit)) == [tuple(items) for items in expected]


@pytest.mark.parametrize(
    ("early", "unknown", "said"),
    [
        (0, 0, []),
        (1, 100, []),
        (2, 0, ["2 of the 100 test sessions begin before the training ends"]),
        (0, 101, ["101 of the 200 test clicks are on items that the training lacks"]),
        (100, 200, ["100 of the 100 test sessions", "200 of the 200 test clicks"]),
    ],
)
def test_files_that_are_no_older_and_newer_part_of_one_stream_are_doubted(early, unknown, said):
    """Above one session in a hundred that begins early, and above half of the clicks on unknown items."""
    train = [session_of(0, ["a", "b"], 0, 1000)]
    items = ["?"] * unknown + ["a"] * (200 - unknown)
    test = [session_of(n, items[2 * n : 2 * n + 2], 1000 if n < early else 1001, 2000) for n in range(100)]
    found = doubts(train, test)
    assert len(found) == len(said)
    assert all(one.startswith(start) for one, start in zip(found, said, strict=True))


def test_a_session_column_that_there_is_not_is_named_by_its_option(tmp_path):
    """With the nearest name; another letter case is the same name."""
    path = written(tmp_path, "clicks.csv", "visitor,Trip,item,time\nv,1,a,5\nv,1,b,6\n")
    with pytest.raises(ReplayError, match="--session 'trips': no such column; did you mean 'Trip'"):
        read_sessions(path, ReadOptions(session="trips"))
    assert items_of(read_sessions(path, ReadOptions(session="trip"))) == [("a", "b")]
