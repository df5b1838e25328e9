"""Faults of what is stored: RocksDB damaged or gone or full, sessions published twice; idle input."""

from __future__ import annotations

import asyncio
import resource
import shutil
from pathlib import Path

import msgspec

from core.window.clicks import Click
from stream_app.settings import Settings
from tests.faults.stream import FaultStream, Outcome
from tests.oracles.whole_log import BEGIN_MS
from tests.worker_process import WorkerProcess, send_sessions


def rocksdb_damaged(settings: Settings, scale: float) -> Outcome:
    """RocksDB's files are cut in half, then its folder is gone, then it is another worker's old one."""
    with FaultStream(settings, 60, scale) as stream:
        (worker,) = stream.ready("first")
        with stream.load(1500, 400):
            pass
        stream.until_answered()
        stream.stop(worker)
        old = worker.data_dir.with_name("old")
        shutil.copytree(worker.data_dir, old)
        for path in databases(worker):
            for file in path.iterdir():
                if file.is_file() and file.stat().st_size:
                    with file.open("r+b") as opened:
                        opened.truncate(file.stat().st_size // 2)
        stream.ready("first")
        assert "is made anew from the changelog" in worker.log.read_text()
        with stream.load(1500, 400):
            pass
        stream.until_answered()
        stream.stop(worker)
        stream.forget_disk(worker)
        stream.ready("first")
        with stream.load(1500, 400):
            pass
        stream.until_answered()
        stream.stop(worker)
        stream.forget_disk(worker)
        shutil.copytree(old, worker.data_dir)
        stream.ready("first")
        with stream.load(1500, 400):
            pass
        return stream.finish()


def databases(worker: WorkerProcess) -> list[Path]:
    """The folders of a worker's partitions."""
    found = list(worker.data_dir.rglob("visitors-*.db"))
    assert found
    return found


def disk_full(settings: Settings, scale: float) -> Outcome:
    """No file of the worker may grow any more, by a limit of its process: it ends, and goes on later."""
    with FaultStream(settings, 61, scale) as stream:
        (worker,) = stream.ready("first")
        with stream.load(6000, 400):
            stream.live(2)
            # RocksDB's write-ahead logs come to it soon; the worker's own log, a file as well, is short.
            longest = max(file.stat().st_size for file in worker.data_dir.rglob("*.log"))
            limit = longest + 8_192
            resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (limit, limit))
            stream.until(lambda: not worker.running, "the worker ends")
            stream.watchdog.forgive()
            assert worker.process.returncode != 0
            stream.ready("first")
        return stream.finish()


def sessions_published_twice(settings: Settings, scale: float) -> Outcome:
    """Records of the sessions topic come again, and some that are none: the index has each session once."""
    with FaultStream(settings, 62, scale) as stream:
        (worker,) = stream.ready("first")
        with stream.load(1500, 400):
            pass
        again = stream.until_answered().sessions[:200]
        asyncio.run(send_sessions(stream.settings, [msgspec.json.encode(session) for session in again]))
        stream.expect_sessions(len(again))
        with stream.load(1500, 400):
            pass
        stream.until_answered()
        learnt = {session.session for session in stream.look().sessions if not session.overlong}
        stream.until(lambda: worker.metrics()["nextclick_index_lag"] == 0, "the index has all")
        held = worker.metrics()["nextclick_index_sessions"]
        assert held <= len(learnt), (held, len(learnt))
        stream.stop(worker)
        stream.ready("first")
        assert worker.metrics()["nextclick_index_sessions"] == held
        return stream.finish()


def idle_input(settings: Settings, scale: float) -> Outcome:
    """Open sessions close by the clock; when traffic comes back, nothing is closed twice."""
    changes = {"close_idle": True, "idle_s": 3.0}
    with FaultStream(settings, 63, scale, **changes) as stream:
        (worker,) = stream.ready("first")
        visitors = [f"v{number}" for number in range(40)]
        begin_ms = BEGIN_MS
        for _ in range(2):
            clicks = [Click(visitor, f"i{n}", begin_ms + n) for n in range(3) for visitor in visitors]
            with stream.send(clicks, 400):
                pass
            stream.until(lambda: worker.metrics().get("nextclick_open_sessions") == 0, "all is closed")
            begin_ms += 1000
        seen = stream.until_idle_closed(2 * len(visitors))
        assert {(session.cause, len(session.items)) for session in seen.sessions} == {("idle", 3)}
        stream.stop(worker)
        stream.ready("first")
        stream.live(5)
        seen = stream.look()
        assert len(seen.sessions) == len({s.session for s in seen.sessions}) == 2 * len(visitors)
        return stream.end()
