"""Files of rows: what is written in any format reads back the same, and a bad line costs only itself."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet as pq

from core.errors import ReplayError
from stream_app.recordings.delimited import MAX_QUOTED_LINES
from stream_app.recordings.files import open_table
from stream_app.recordings.lines import MAX_LINE_BYTES
from stream_app.recordings.rows import BadLine

COLUMNS = ["visitor", "item", "time"]
MIB = 1024 * 1024

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
plain_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters='\t\r\n"'), max_size=12)
# A first value keeps a line from being empty: empty lines are passed over.
full_text = plain_text.map(lambda value: f"v{value}")


def read(path: Path, **options) -> tuple[list[str], list]:
    """The columns of a file and all that its rows give."""
    with open_table(path, **options) as table:
        return list(table.columns), list(table.rows())


def write(folder: Path, name: str, content: bytes, *, packed: bool) -> Path:
    """Write a file, packed as gzip if wanted."""
    path = folder / name
    path.write_bytes(gzip.compress(content) if packed else content)
    return path


def good(rows: list) -> list[dict]:
    """The values of the rows."""
    return [row[1] for row in rows if not isinstance(row, BadLine)]


def bad(rows: list) -> list[tuple[int, str]]:
    """The numbers and reasons of the bad lines."""
    return [(row.line, row.reason) for row in rows if isinstance(row, BadLine)]


@given(st.lists(st.tuples(full_text, plain_text, plain_text)), st.booleans())
def test_any_table_without_tabs_and_line_ends_reads_back_from_tsv(rows, packed):
    """A TSV file gives back its texts, quotes included, with the numbers of their lines."""
    content = "\n".join("\t".join(row) for row in [tuple(COLUMNS), *rows]).encode()
    with tempfile.TemporaryDirectory() as folder:
        columns, found = read(write(Path(folder), "clicks.tsv", content, packed=packed))
    assert columns == COLUMNS
    assert found == [(line, dict(zip(COLUMNS, row, strict=True))) for line, row in enumerate(rows, start=2)]


@given(st.lists(st.tuples(text, text, text)), st.sampled_from(",;\t"), st.booleans())
def test_any_table_reads_back_from_csv(rows, delimiter, packed):
    """A CSV file gives back any text, with delimiters, quotes and line ends in it, whatever its delimiter."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([COLUMNS, *rows])
    with tempfile.TemporaryDirectory() as folder:
        columns, found = read(write(Path(folder), "clicks.csv", out.getvalue().encode(), packed=packed))
    assert columns == COLUMNS
    assert good(found) == [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    assert not bad(found)


number = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.lists(st.fixed_dictionaries({"visitor": text, "time": number | st.none()}), min_size=1), st.booleans()
)
def test_any_table_reads_back_from_json_lines(rows, packed):
    """JSON lines give back texts, numbers and nulls."""
    content = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
    with tempfile.TemporaryDirectory() as folder:
        columns, found = read(write(Path(folder), "clicks.jsonl", content, packed=packed))
    assert sorted(columns) == ["time", "visitor"]
    assert found == list(enumerate(rows, start=1))


@settings(max_examples=30, deadline=None)  # pyarrow's first call takes long
@given(st.lists(st.tuples(text | st.none(), st.integers(0, 2**40), st.floats(0, 1e10))), st.booleans())
def test_any_table_reads_back_from_parquet(rows, packed):
    """Parquet gives back texts, integers, floats and nulls, with the numbers of the rows from 1."""
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], []]
    table = pa.table(dict(zip(COLUMNS, columns, strict=True)))
    out = io.BytesIO()
    pq.write_table(table, out)
    with tempfile.TemporaryDirectory() as folder:
        names, found = read(write(Path(folder), "clicks.parquet", out.getvalue(), packed=packed))
    assert names == COLUMNS
    assert found == [(line, dict(zip(COLUMNS, row, strict=True))) for line, row in enumerate(rows, start=1)]


def test_bad_lines_of_a_delimited_file_are_told_by_number(tmp_path):
    """Too few and too many columns and bytes that are not UTF-8 are told; the lines around them are read."""
    content = b"visitor,item,time\nv1,i1,1\nv1,i2\n\nv1,i3,3,4\nv\xff,i4,4\nv1,i5,5\n"
    _, found = read(write(tmp_path, "clicks.csv", content, packed=False))
    assert [row["item"] for row in good(found)] == ["i1", "i5"]
    assert bad(found) == [
        (3, "expected 3 columns, came 2"),
        (5, "expected 3 columns, came 4"),
        (6, "not UTF-8: byte 0xff at byte 2"),
    ]


def test_bad_lines_of_json_lines_are_told_by_number(tmp_path):
    """Broken JSON, a value that is no object, and nesting without end are told; other lines are read."""
    lines = [
        b"oops",
        b'{"visitor":"a"}',
        b"",
        b'{"visitor":',
        b"[1]",
        b'{"v":"\xff"}',
        b"[" * 5000,
        b'{"v":NaN}',
    ]
    columns, found = read(write(tmp_path, "x.ndjson", b"\n".join([*lines, b'{"visitor":"b"}']), packed=False))
    assert columns == ["visitor"]
    assert good(found) == [{"visitor": "a"}, {"visitor": "b"}]
    assert [line for line, _ in bad(found)] == [1, 4, 5, 6, 7, 8]
    assert all("JSON" in reason or "UTF-8" in reason for _, reason in bad(found))


def test_json_values_that_are_no_text_or_number_are_given_as_their_json(tmp_path):
    """A nested value and a boolean do not spoil the row."""
    content = b'{"visitor":"a","ok":true,"more":{"x":[1]}}'
    _, found = read(write(tmp_path, "clicks", content, packed=False))
    assert good(found) == [{"visitor": "a", "ok": "true", "more": '{"x":[1]}'}]


@pytest.mark.parametrize("packed", [False, True])
def test_a_line_over_a_mebibyte_is_bad_and_one_of_a_mebibyte_is_read(tmp_path, packed):
    """The limit of a line is exactly 1 MiB, and the lines after it keep their numbers."""
    longest = b"v," + b"x" * (MAX_LINE_BYTES - 2)
    lines = [b"visitor,item", longest, longest + b"x", b"v," + b"x" * (3 * MIB), b"v,last"]
    _, found = read(write(tmp_path, "clicks.csv", b"\n".join(lines), packed=packed))
    assert [len(row["item"]) for row in good(found)] == [MAX_LINE_BYTES - 2, 4]
    assert [line for line, _ in bad(found)] == [3, 4]
    assert found[-1] == (5, {"visitor": "v", "item": "last"})


def test_a_truncated_gzip_keeps_what_was_read_and_tells_where_it_ends(tmp_path):
    """All whole lines before the cut are given; the cut line is not, for half a time is still a number."""
    lines = [f"v{line},i{line * 7919 % 1000},{1_000_000 + line}" for line in range(20_000)]
    content = "\n".join(["visitor,item,time", *lines]).encode()
    path = tmp_path / "clicks.csv.gz"
    path.write_bytes(gzip.compress(content)[:-20_000])
    _, found = read(path)
    rows = good(found)
    assert 0 < len(rows) < 20_000
    assert [",".join(row.values()) for row in rows] == lines[: len(rows)]
    assert [line for line, _ in bad(found)] == [len(rows) + 2]
    assert "truncated" in bad(found)[0][1]


def test_a_damaged_gzip_is_told_and_not_raised(tmp_path):
    """All that comes before a damaged byte is read, and the damage has a reason."""
    packed = bytearray(gzip.compress(b"visitor,item\n" + b"".join(b"v%d,i\n" % n for n in range(50_000))))
    packed[-1] ^= 0xFF  # the length that the gzip ends with
    path = tmp_path / "clicks.csv"
    path.write_bytes(packed)
    _, found = read(path)
    assert len(good(found)) == 50_000
    assert "damaged" in bad(found)[0][1]


def test_gzip_is_known_by_its_first_bytes_not_by_its_name(tmp_path):
    """A packed file without .gz is unpacked, an unpacked one with .gz is read as it is."""
    content = b"visitor,item\na,b\n"
    packed = write(tmp_path, "clicks.csv", content, packed=True)
    unpacked = write(tmp_path, "other.csv.gz", content, packed=False)
    assert read(packed) == read(unpacked) == (["visitor", "item"], [(2, {"visitor": "a", "item": "b"})])


def test_a_gzip_of_several_members_with_zeros_behind_is_read_whole(tmp_path):
    """Files that were put together by concatenation, or padded to a tape's block, are read to their end."""
    path = tmp_path / "clicks.tsv"
    path.write_bytes(gzip.compress(b"visitor\titem\na\t") + gzip.compress(b"b\nc\td\n") + b"\0" * 512)
    _, found = read(path)
    assert found == [(2, {"visitor": "a", "item": "b"}), (3, {"visitor": "c", "item": "d"})]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (b'a,"never closed', f"a quote is opened and not closed within {MAX_QUOTED_LINES} lines"),
        (b'a,"closed" early', "expected ',' after the closing quote, came ' early'"),
    ],
)
def test_a_wrong_quote_costs_its_line_and_not_the_rest_of_the_file(tmp_path, broken, reason):
    """The lines that were searched for the closing quote are read as lines of their own."""
    rest = [f"v,i{line}" for line in range(300)]
    content = b"visitor,item\n" + broken + b"\n" + "\n".join(rest).encode()
    _, found = read(write(tmp_path, "clicks.csv", content, packed=False))
    assert bad(found) == [(2, reason)]
    assert found[1:] == [(line, {"visitor": "v", "item": f"i{line - 3}"}) for line in range(3, 303)]


def test_a_quote_within_a_field_is_a_letter(tmp_path):
    """Inches and the like need no escape where they do not begin the field."""
    _, found = read(write(tmp_path, "a.csv", b'visitor,item\r\nv,5" disk\r\n', packed=False))
    assert good(found) == [{"visitor": "v", "item": '5" disk'}]


def test_a_byte_order_mark_and_carriage_returns_are_no_part_of_the_columns(tmp_path):
    """Files that a spreadsheet wrote are read like any other."""
    columns, found = read(write(tmp_path, "a.csv", b"\xef\xbb\xbfvisitor;item\r\n1;2\r\n", packed=False))
    assert columns == ["visitor", "item"]
    assert good(found) == [{"visitor": "1", "item": "2"}]


def test_names_stand_for_the_header_that_a_file_does_not_have(tmp_path):
    """With names given, the first line is a row."""
    path = write(tmp_path, "u.data", b"196\t242\t3\t881250949\n", packed=False)
    names = ["visitor", "item", "rating", "time"]
    assert read(path, names=names) == (
        names,
        [(1, {"visitor": "196", "item": "242", "rating": "3", "time": "881250949"})],
    )


def test_a_repeated_column_is_numbered(tmp_path):
    """No column hides another of the same name."""
    columns, found = read(write(tmp_path, "a.csv", b"a,b,a\n1,2,3\n", packed=False))
    assert columns == ["a", "b", "a_2"]
    assert good(found) == [{"a": "1", "b": "2", "a_2": "3"}]


def test_parquet_times_are_seconds_since_1970(tmp_path):
    """Timestamps of each unit, with a zone and bare, and dates."""
    moment = dt.datetime(2019, 10, 1, 12, 0, 0, 250_000, tzinfo=dt.UTC)
    columns = {unit: pa.array([moment, None], pa.timestamp(unit, "UTC")) for unit in ("ms", "us", "ns")}
    columns["bare"] = pa.array([moment.replace(tzinfo=None), None], pa.timestamp("us"))
    columns["day"] = pa.array([moment.date(), None])
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    _, found = read(tmp_path / "a.parquet")
    first = dict.fromkeys(["ms", "us", "ns", "bare"], moment.timestamp()) | {"day": 1_569_888_000}
    assert good(found) == [first, dict.fromkeys(first)]


def test_only_the_wanted_columns_of_parquet_are_read(tmp_path):
    """A wide file costs what is read of it; the columns come by name, in any order."""
    pq.write_table(pa.table({"a": [1], "b": [2], "c": [3]}), tmp_path / "a.parquet")
    with open_table(tmp_path / "a.parquet") as table:
        assert list(table.rows(["c", "a"])) == [(1, {"a": 1, "c": 3})]
        assert table.position == table.size


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_the_position_moves_line_by_line(tmp_path, pack):
    """Though a file is read in large pieces: a bar that goes by it is not full at the first click."""
    path = tmp_path / "a.csv"
    path.write_bytes(pack(b"n\n" + b"".join(b"%d\n" % (n * 7919 % 100_000) for n in range(5000))))
    with open_table(path) as table:
        positions = [table.position for _ in table.rows()]
        assert table.position == table.size
    assert positions == sorted(positions)
    for part in range(1, 5):
        assert positions[part * 1000] == pytest.approx(part / 5 * table.size, rel=0.15)


def test_a_parquet_text_that_is_not_utf8_is_a_bad_row(tmp_path):
    """Parquet's writers do not check their texts; one wrong row costs only itself."""
    texts = pa.array([b"good", b"\xff", b"better"]).view(pa.string())
    pq.write_table(pa.table({"visitor": texts}), tmp_path / "a.parquet")
    _, found = read(tmp_path / "a.parquet")
    assert good(found) == [{"visitor": "good"}, {"visitor": "better"}]
    assert bad(found) == [(2, "column 'visitor' is not UTF-8")]


def test_text_is_read_without_pyarrow_and_parquet_then_says_what_to_install(tmp_path):
    """The library is imported for Parquet only; where it is missing the error names the extra."""
    write(tmp_path, "a.csv", b"visitor,item\na,b\n", packed=False)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    script = f"""
import sys
sys.modules["pyarrow"] = None  # what an import of a package that is not there comes to
from pathlib import Path
from core.errors import ReplayError
from stream_app.recordings.files import open_table
print(open_table(Path({str(tmp_path / "a.csv")!r})).columns)
try:
    open_table(Path({str(tmp_path / "a.parquet")!r}))
except ReplayError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert "['visitor', 'item']" in done.stdout
    assert "pip install 'nextclick[parquet]'" in done.stdout


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("empty.csv", b"", {}, "holds nothing to read"),
        ("blank.csv", b"\n\n", {}, "holds nothing to read"),
        ("latin.csv", b"visit\xe9ur,item\n", {}, "first line on: line 1: not UTF-8"),
        ("pretty.jsonl", b"[\n{}]\n", {}, "is not JSON lines"),
        ("fake.parquet", b"visitor,item\n", {}, "does not begin like it"),
        ("half.pq", b"PAR1xxxx", {}, "cannot be read as Parquet"),
        ("a.jsonl", b"{}", {"names": ["visitor"]}, "which names its own"),
    ],
)
def test_a_file_of_which_nothing_can_be_read_is_an_error(tmp_path, name, content, options, message):
    """The error names the file and what is wrong with it."""
    path = write(tmp_path, name, content, packed=False)
    with pytest.raises(ReplayError, match=message) as caught:
        open_table(path, **options)
    assert name in str(caught.value)


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    """So is a folder."""
    with pytest.raises(ReplayError, match="No such file"):
        open_table(tmp_path / "none.csv")
    with pytest.raises(ReplayError, match="directory"):
        open_table(tmp_path)


def test_a_gzip_damaged_in_its_middle_gives_the_lines_before(tmp_path):
    """No line that is given is another than what was written."""
    lines = [f"v{line},i{line * 7919 % 1000}" for line in range(100_000)]
    packed = bytearray(gzip.compress("\n".join(["visitor,item", *lines]).encode()))
    for at in range(len(packed) // 2, len(packed) // 2 + 200):
        packed[at] ^= 0xFF
    path = tmp_path / "clicks.csv.gz"
    path.write_bytes(packed)
    _, found = read(path)
    assert len(good(found)) > 20_000
    assert isinstance(found[-1], BadLine)
    assert [",".join(row.values()) for row in good(found)[:20_000]] == lines[:20_000]


def test_reading_holds_a_small_part_of_the_file(tmp_path):
    """A file of 40 MiB, packed or not, is read within 8 MiB more memory than its first line took."""
    row = b"visitor-%08d,item-%08d,1400000000.000\n"
    rows = 40 * MIB // len(row % (0, 0))
    content = b"visitor,item,time\n" + b"".join(row % (n, n) for n in range(rows))
    script = """
import resource, sys
from pathlib import Path
from stream_app.recordings.files import open_table
peak_kib = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with open_table(Path(sys.argv[1])) as table:
    found = table.rows()
    next(found)
    before = peak_kib()
    print(1 + sum(1 for _ in found), peak_kib() - before)
"""
    for packed in (False, True):
        path = write(tmp_path, "clicks.csv", content, packed=packed)
        command = [sys.executable, "-c", script, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        found, grown_kib = map(int, done.stdout.split())
        assert found == rows
        assert grown_kib < 8 * 1024
