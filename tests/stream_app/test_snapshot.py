"""A snapshot's file is whole or refused, whatever happens to it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numba
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import StateError
from core.index import SessionIndex
from core.presets import preset
from core.scoring import Scorer
from core.snapshot import FORMAT
from core.window.sessions import ClosedSession
from stream_app.index.snapshot import MAGIC, load_snapshot, save_snapshot

PARAMETERS = {"topic": "sessions", "index_sessions": 50}

WRITER = """
import sys
from pathlib import Path
import numba
numba.config.CACHE_DIR = sys.argv[2]
from core.index import SessionIndex
from core.window.sessions import ClosedSession
from stream_app.index.snapshot import save_snapshot
index = SessionIndex(50_000)
index.add(ClosedSession(f"0-{n}", "", (f"i{n}", "a"), (), 0, n, "gap", 2) for n in range(20_000))
print("ready", flush=True)
for offset in range(1_000_000):
    save_snapshot(Path(sys.argv[1]), index, offset, {"n": 1})
"""


def small_index():
    index = SessionIndex(50)
    index.add(
        ClosedSession(f"0-{n}", f"v{n % 5}", (f"i{n % 9}", f"i{n % 4}"), (), 0, n * 1000, "gap", 2)
        for n in range(70)
    )
    index.remove_visitor("v3")
    return index


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A snapshot."""
    path = tmp_path_factory.mktemp("snapshot") / "index.snapshot"
    size = save_snapshot(path, small_index(), 4711, PARAMETERS, "mark")
    assert path.stat().st_size == size
    return path


def test_what_was_saved_is_loaded(file):
    """Offset, mark, answers and counts are those of the index that was written; no other file is left."""
    snapshot = load_snapshot(file, PARAMETERS)
    index, expected = snapshot.index, small_index()
    assert (snapshot.offset, snapshot.mark) == (4711, "mark")
    assert (index.sessions, index.clicks, index.ids) == (expected.sessions, expected.clicks, expected.ids)
    query = [(("i1", "i2"), 80.0)]
    assert Scorer(index, preset("vstan")).score(query) == Scorer(expected, preset("vstan")).score(query)
    assert list(file.parent.iterdir()) == [file]


def test_a_new_snapshot_takes_the_place_of_the_old(tmp_path):
    """The last one written is the one that is read, also where an unfinished one lies beside it."""
    path = tmp_path / "index.snapshot"
    (tmp_path / "index.snapshot.part").write_bytes(b"cut off")
    for offset in (1, 2):
        save_snapshot(path, small_index(), offset, PARAMETERS)
        assert load_snapshot(path, PARAMETERS).offset == offset
    assert list(tmp_path.iterdir()) == [path]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_file_with_any_byte_changed_is_refused(file, tmp_path_factory, data):
    """Wherever the byte is and whatever it becomes, the file is not taken for an index."""
    content = bytearray(file.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    broken = tmp_path_factory.getbasetemp() / "changed.snapshot"
    broken.write_bytes(content)
    with pytest.raises(StateError, match=r"cannot be used: .*Delete it"):
        load_snapshot(broken, PARAMETERS)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_file_that_is_cut_off_or_too_long_is_refused(file, tmp_path_factory, data):
    """At any length but the right one."""
    content = file.read_bytes()
    length = data.draw(st.integers(0, len(content) + 50).filter(lambda n: n != len(content)))
    broken = tmp_path_factory.getbasetemp() / "cut.snapshot"
    broken.write_bytes((content + bytes(50))[:length])
    with pytest.raises(StateError, match="cannot be used"):
        load_snapshot(broken, PARAMETERS)


def test_a_file_of_another_format_is_refused(file, tmp_path):
    """The error says which format came and which was expected."""
    content = bytearray(file.read_bytes())
    content[len(MAGIC)] = FORMAT + 1
    path = tmp_path / "newer.snapshot"
    path.write_bytes(content[:-4] + zlib.crc32(content[:-4]).to_bytes(4, "little"))
    with pytest.raises(StateError, match=f"it is of format {FORMAT + 1}, expected {FORMAT}"):
        load_snapshot(path, PARAMETERS)


def test_a_file_of_other_parameters_is_refused(file):
    """The error says what differs, and what to do."""
    with pytest.raises(
        StateError, match=r"index_sessions is 50 there, 60 here. Delete it: the index is then"
    ):
        load_snapshot(file, {**PARAMETERS, "index_sessions": 60})


def test_a_file_that_is_not_there_is_said_so(tmp_path):
    """The first start of a worker is no corrupt state."""
    with pytest.raises(FileNotFoundError):
        load_snapshot(tmp_path / "none.snapshot", PARAMETERS)


def test_a_writer_that_is_killed_leaves_a_whole_file(tmp_path):
    """At whatever moment SIGKILL comes, the file of before or the new one is there, and can be read."""
    path, offsets = tmp_path / "index.snapshot", []
    for turn in range(6):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), numba.config.CACHE_DIR],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        try:
            assert writer.stdout.readline() == b"ready\n"
            time.sleep(0.05 + 0.037 * turn)
        finally:
            writer.send_signal(signal.SIGKILL)
            writer.wait()
            writer.stdout.close()
        snapshot = load_snapshot(path, {"n": 1})
        assert (snapshot.index.sessions, snapshot.index.items) == (20_000, 20_001)
        offsets.append(snapshot.offset)
    assert max(offsets) > 0
