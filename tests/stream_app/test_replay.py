"""Replay, without Kafka: columns, clicks, pace, and what the command prints."""

from __future__ import annotations

import csv
import gzip
import json
import math
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer import Typer
from typer.testing import CliRunner

from core.errors import BadClickError, ReplayError
from core.window.clicks import MAX_TIME_MS, MILLISECONDS_FROM, Click, parse_click
from stream_app.cli import replay as command
from stream_app.recordings.columns import Columns, click_of, guess_columns, other_visitors
from stream_app.recordings.files import open_table
from stream_app.recordings.replay import MAX_SHOWN_BAD_LINES, MAX_SPEED, Pace, ReplayReport, dry_run
from stream_app.settings import Settings

PLAIN = Columns("visitor", "item", "time")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("SessionId ItemId Time", Columns("SessionId", "ItemId", "Time")),
        ("visitor item time id action", Columns("visitor", "item", "time", "id", "action")),
        ("TIME ITEM VISITOR", Columns("VISITOR", "ITEM", "TIME")),
        (
            "event_time event_type product_id category_id category_code brand price user_id user_session",
            Columns("user_id", "product_id", "event_time", None, "event_type"),
        ),
        (
            "timestamp visitorid event itemid transactionid",
            Columns("visitorid", "itemid", "timestamp", None, "event"),
        ),
        ("user item rating time", Columns("user", "item", "time")),
        ("userId movieId rating timestamp", Columns("userId", "movieId", "timestamp")),
        ("customer-id sku datetime", Columns("customer-id", "sku", "datetime")),
    ],
)
def test_columns_are_guessed_by_their_names(header, expected):
    """The headers of well-known data sets need no option, in any letter case."""
    assert guess_columns(header.split()) == expected
    assert guess_columns(header.upper().split()) == Columns(
        **{part: getattr(expected, part) and getattr(expected, part).upper() for part in Columns.__slots__}
    )


def test_a_person_is_taken_before_a_session_and_the_other_is_told():
    """REES46 has both: its user is the visitor, and the session is named for who wants it."""
    header = ["event_time", "product_id", "user_id", "user_session"]
    chosen = guess_columns(header)
    assert chosen.visitor == "user_id"
    assert other_visitors(header, chosen) == ["user_session"]
    assert guess_columns(header, visitor="USER_SESSION").visitor == "user_session"


def test_a_chosen_column_is_not_guessed_for_something_else():
    """A column has one meaning."""
    assert guess_columns(["user", "session", "item", "time"], item="user", visitor=None) == Columns(
        "session", "user", "time"
    )


def test_a_time_may_be_in_several_columns():
    """Date and time of day, or year, month and day."""
    header = ["year", "month", "day", "clock", "user", "item"]
    by_day = guess_columns(header, time="year+month+day")
    assert by_day.time == ("year", "month", "day")
    row = {"year": "2008", "month": "4", "day": "1", "clock": "10:00", "user": "u", "item": "i"}
    assert click_of(row, by_day).time_ms == 1_207_008_000_000
    row["day"] = "2008-04-01"
    assert click_of(row, guess_columns(header, time="day+clock")).time_ms == 1_207_044_000_000
    with pytest.raises(ReplayError, match=r"date\+time or year\+month\+day"):
        guess_columns(header, time="year+month+day+clock")


def test_an_error_lists_the_columns_and_the_options():
    """Where no guess fits, a person reads what there is and what to type."""
    with pytest.raises(ReplayError) as caught:
        guess_columns(["year", "session ID", "model"])
    for part in ("year, session ID, model", "--item COLUMN", "--time COLUMN"):
        assert part in str(caught.value)
    with pytest.raises(ReplayError, match="did you mean 'session ID'"):
        guess_columns(["year", "session ID", "model"], visitor="sesion ID")
    with pytest.raises(ReplayError, match="--columns visitor,item,rating,time"):
        guess_columns(["196", "242", "3", "881250949"])


@pytest.mark.parametrize(
    ("time", "time_ms"),
    [
        ("1396860669.277", 1_396_860_669_277),
        (1396860669.277, 1_396_860_669_277),
        (1396860669, 1_396_860_669_000),
        ("1396860669277", 1_396_860_669_277),
        (1396860669277, 1_396_860_669_277),
        ("2019-10-01 00:00:00 UTC", 1_569_888_000_000),
        ("2014-04-07T10:51:09.277Z", 1_396_867_869_277),
        ("2014-04-07T10:51:09.277", 1_396_867_869_277),
        ("2014-04-07T12:51:09.277+02:00", 1_396_867_869_277),
        ("2014-04-07", 1_396_828_800_000),
        (0, 0),
    ],
)
def test_times_in_every_usual_form_are_read(time, time_ms):
    """Seconds, milliseconds and ISO 8601, as numbers or texts."""
    assert click_of({"visitor": "v", "item": "i", "time": time}, PLAIN).time_ms == time_ms


@pytest.mark.parametrize(
    "time", [math.nan, math.inf, -1, "-1", "nan", "inf", "", None, "soon", "2014-13-01", 1e300]
)
def test_a_time_that_is_none_makes_a_bad_line_that_names_the_column(time):
    """NaN, infinite, negative, empty, far away or no time at all."""
    with pytest.raises(BadClickError, match="column 'when'"):
        click_of({"visitor": "v", "item": "i", "when": time}, Columns("visitor", "item", "when"))


@pytest.mark.parametrize("column", ["visitor", "item"])
@pytest.mark.parametrize("value", ["", None, math.nan])
def test_an_empty_visitor_or_item_makes_a_bad_line(column, value):
    """Also where the row has no such column, as in JSON lines."""
    row = {"visitor": "v", "item": "i", "time": 1}
    with pytest.raises(BadClickError, match=f"column '{column}' is empty"):
        click_of({**row, column: value}, PLAIN)
    del row[column]
    with pytest.raises(BadClickError, match=f"column '{column}' is missing"):
        click_of(row, PLAIN)


def test_numbers_become_their_digits():
    """A visitor 7.0, as tables with gaps hold whole numbers, is the visitor "7"."""
    row = {"visitor": 7.0, "item": 12, "time": 1, "id": 0.5, "action": None}
    assert click_of(row, Columns("visitor", "item", "time", "id", "action")) == Click(
        "7", "12", 1000, "0.5", None
    )


@given(st.lists(st.integers(0, MAX_TIME_MS)), st.floats(0.01, 1e6))
def test_a_click_is_never_due_before_the_one_ahead_of_it(times, speed):
    """In any order of times the due times never fall, and the last is the span of the times by the speed."""
    pace = Pace(speed)
    due = [pace.due_s(time_ms) for time_ms in times]
    assert due == sorted(due)
    if times:
        assert due[0] == 0
        assert due[-1] == (max(times) - times[0]) / 1000 / speed


def test_the_recorded_gaps_are_divided_by_the_speed():
    """An older click is due at once, and does not move what follows it."""
    times = [1000, 3000, 2000, 5000]
    assert [Pace.due_s(pace, time) for pace in [Pace(1)] for time in times] == [0, 2, 2, 4]
    assert [Pace.due_s(pace, time) for pace in [Pace(4)] for time in times] == [0, 0.5, 0.5, 1]
    assert [Pace.due_s(pace, time) for pace in [Pace(MAX_SPEED)] for time in times] == [0, 0, 0, 0]


name = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
seconds_ms = st.integers(0, int(MILLISECONDS_FROM) * 1000 - 1)  # what can be written as seconds
click = st.builds(Click, name, name, seconds_ms, name | st.none(), name | st.none())


@given(st.lists(click))
def test_any_clicks_written_as_csv_are_sent_as_they_were(clicks):
    """A click's value on the wire reads back as the click."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clicks.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, quoting=csv.QUOTE_ALL)
            writer.writerow(["visitor", "item", "time", "id", "action"])
            for each in clicks:
                writer.writerow([each.visitor, each.item, each.time_ms / 1000, each.id, each.action])
        values = []
        with open_table(path) as table:
            report = dry_run(
                Settings(),
                table,
                guess_columns(table.columns),
                on_click=lambda _, value: values.append(value),
            )
    assert [parse_click(value, 65_536) for value in values] == clicks
    assert (report.sent, report.bad_lines) == (len(clicks), 0)
    assert report.first_time_ms == min((each.time_ms for each in clicks), default=None)
    assert report.last_time_ms == max((each.time_ms for each in clicks), default=None)


def test_a_report_counts_all_bad_lines_and_shows_the_first_twenty(tmp_path):
    """Lines that are no rows and rows that are no clicks are told alike, by number."""
    path = tmp_path / "clicks.csv"
    path.write_text("visitor,item,time\nv,i\n" + "v,i,never\n" * 30 + "v,i,5\n")
    with open_table(path) as table:
        report = dry_run(Settings(), table, guess_columns(table.columns))
    assert (report.sent, report.bad_lines) == (1, 31)
    assert [bad.line for bad in report.first_bad] == list(range(2, 2 + MAX_SHOWN_BAD_LINES))


def test_a_click_that_a_worker_would_refuse_for_its_size_is_a_bad_line(tmp_path):
    """The limit is the worker's own, in bytes of the value."""
    path = tmp_path / "clicks.csv"
    empty = len('{"visitor":"v","item":"","time":5.0}')
    path.write_text(f"visitor,item,time\nv,{'x' * (256 - empty)},5\nv,{'x' * (257 - empty)},5\n")
    with open_table(path) as table:
        report = dry_run(Settings(max_value_bytes=256), table, PLAIN)
    assert report.sent == 1
    assert [(bad.line, bad.reason) for bad in report.first_bad] == [
        (3, "the click has 257 bytes, max_value_bytes is 256")
    ]


def test_clicks_far_behind_an_earlier_one_are_counted_at_the_exact_limit():
    """A click of exactly grace_s behind is in time, one a millisecond older is not."""
    report = ReplayReport()
    for time_ms in (100_000, 40_000, 39_999, 100_001):
        report.add_time(time_ms, 60.0)
    assert report.likely_late == 1
    assert (report.first_time_ms, report.last_time_ms) == (39_999, 100_001)


@pytest.fixture
def run(monkeypatch):
    """Run ``nextclick replay`` in this process."""
    app = Typer(pretty_exceptions_enable=False)
    app.callback()(lambda: None)
    command.register(app)
    return lambda *arguments: CliRunner().invoke(app, ["replay", *map(str, arguments)])


def test_a_dry_run_shows_the_first_clicks_and_the_report(tmp_path, run):
    """Values are shown as they would be sent; nothing needs Kafka."""
    path = tmp_path / "clicks.tsv.gz"
    lines = ["SessionId\tItemId\tTime", *(f"s{n}\ti{n}\t{1000 + n}.5" for n in range(9)), "half\ta line"]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    result = run(path, "--dry-run")
    assert result.exit_code == 0
    assert result.stdout.count('{"visitor"') == command.SHOWN_CLICKS
    assert 's0\t{"visitor":"s0","item":"i0","time":1000.5}' in result.stdout
    assert "9 clicks would be sent to 'clicks'" in result.stdout
    assert "line 11: expected 3 columns, came 2" in result.stdout
    assert "columns: visitor=SessionId item=ItemId time=Time" in result.stderr


def test_json_is_one_object_and_nothing_else_on_stdout(tmp_path, run):
    """What a program reads is not mixed with what a person reads."""
    path = tmp_path / "u.data"
    path.write_text("196\t242\t3\t881250949\n186\t302\t3\t891717742\nx\n")
    names = "visitor,item,rating,time"
    result = run(path, "--dry-run", "--json", "--columns", names, "--topic", "other", "--limit", "2")
    report = json.loads(result.stdout)
    assert report.pop("seconds") >= 0
    assert report.pop("clicks_per_s") >= 0
    assert report == {
        "topic": "other",
        "dry_run": True,
        "columns": "visitor=visitor item=item time=time",
        "sent": 2,
        "left_out": 0,
        "bad_lines": 0,
        "first_bad": [],
        "likely_late": 0,
        "behind_topic": 0,
        "topic_had": None,
        "first_time": 881250949.0,
        "last_time": 891717742.0,
        "stopped": False,
        "cut_short": None,
    }


def test_a_file_without_one_click_exits_with_2(tmp_path, run):
    """Bad lines alone are no replay; the report still tells them."""
    path = tmp_path / "clicks.csv"
    path.write_text("visitor,item,time\nv,i,never\n")
    result = run(path, "--dry-run")
    assert result.exit_code == 2
    assert "line 2: column 'time'" in result.stdout


def test_a_file_with_nothing_but_a_header_exits_with_2(tmp_path, run):
    """A script that replays yesterday's empty file is told so."""
    path = tmp_path / "clicks.csv"
    path.write_text("visitor,item,time\n")
    assert run(path, "--dry-run").exit_code == 2


def test_a_file_that_was_cut_short_exits_with_1(tmp_path, run):
    """What can be read is sent, and the report says that it is not all."""
    path = tmp_path / "clicks.csv.gz"
    lines = ["visitor,item,time", *(f"v{n},i{n * 7919 % 1000},{n}" for n in range(3000))]
    path.write_bytes(gzip.compress("\n".join(lines).encode())[:8000])
    result = run(path, "--dry-run")
    assert result.exit_code == 1
    assert "the file was not read to its end: the gzip is truncated" in result.stdout
    report = json.loads(run(path, "--dry-run", "--json").stdout)
    assert 0 < report["sent"] < 3000
    assert report["cut_short"].startswith("the gzip is truncated")


@pytest.mark.parametrize("speed", ["0", "-1", "nan", "inf", "fast"])
def test_a_speed_is_above_zero_or_max(tmp_path, run, speed):
    """Anything else is refused before the file is opened."""
    result = run(tmp_path / "none.csv", "--speed", speed, "--dry-run")
    assert result.exit_code == 2
    assert "expected a number above 0, or max" in result.output


def test_the_help_has_examples(run):
    """A newcomer can copy a line and go."""
    result = run("--help")
    assert result.exit_code == 0
    for example in ("clicks.csv.gz --dry-run", "--speed max", "--columns visitor,item,rating,time"):
        assert example in result.stdout


def test_a_file_that_is_not_in_the_order_of_time_can_be_sorted(tmp_path, run):
    """With --sort the clicks go out by time, those of equal time in the file's order, and none is late."""
    path = tmp_path / "clicks.csv"
    path.write_text("visitor,item,time\nb,1,9000\na,2,100\nbad,3,never\nb,4,100\n")
    assert json.loads(run(path, "--dry-run", "--json").stdout)["likely_late"] == 2
    result = run(path, "--dry-run", "--sort")
    sent = [line.split("\t")[0] for line in result.stdout.splitlines() if "\t" in line]
    assert sent == ["a", "b", "b"]
    assert json.loads(run(path, "--dry-run", "--json", "--sort").stdout)["likely_late"] == 0
