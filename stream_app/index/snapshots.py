"""A worker's snapshots of its index: the last two that were written, in a folder of their own.

A snapshot says up to which offset of the sessions topic it goes and what record it took in last, its *mark*.
Where the topic has another record there, or none, it is another topic, made anew or of another cluster: then
the snapshot is of no use, however well its name and its offset fit.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from core.errors import StateError
from core.index import SessionIndex
from stream_app.index.guard import in_thread
from stream_app.index.snapshot import Snapshot, load_snapshot, save_snapshot
from stream_app.kafka.partition_log import PartitionLog
from stream_app.settings import Settings
from stream_app.telemetry import Telemetry

logger = logging.getLogger(__name__)

#: Snapshots that are kept: if the newest is damaged, the one before is used.
KEPT: Final = 2

_NAME: Final = re.compile(r"index-(\d{8,})\.snapshot")


def mark_of(record: Any) -> str:
    """What a record of the sessions topic is recognised by: its offset, its time and its content."""
    content = hashlib.blake2b(record.value or b"", digest_size=8).hexdigest()
    return f"{record.offset} {record.timestamp} {content}"


class Newest(NamedTuple):
    """The newest good snapshot: up to which offset it goes, when it was written (seconds since 1970)."""

    offset: int
    written_s: float


class Snapshots:
    """Writes and reads the snapshots of one index; for one thread at a time.

    Args:
        settings: the folder, how often, and what must be the same for a snapshot to be used.
        telemetry: is told.
    """

    def __init__(self, settings: Settings, telemetry: Telemetry) -> None:
        self._folder = settings.data_dir / "index"
        self._every_s = settings.snapshot_every_s
        self._parameters = {"topic": settings.sessions_topic, "index_sessions": settings.index_sessions}
        self._telemetry = telemetry
        self._refused: set[Path] = set()
        self._due_at = time.monotonic() + self._every_s
        #: How far the newest good snapshot goes: its offset of the sessions topic; 0 without one.
        self.offset = 0
        #: The newest good snapshot; None without one.
        self.newest_good: Newest | None = None
        #: Whether one is being written.
        self.writing = False

    async def newest(self, log: PartitionLog) -> Snapshot | None:
        """The newest snapshot that is whole and of this topic, or None; one that is not is warned about.

        Args:
            log: of the sessions topic; what it reads next is left open.
        """
        begin, end = await log.bounds()
        for path in reversed(self._files()) if self._every_s else ():
            snapshot = await in_thread(partial(self._load, path))
            if snapshot is None:
                continue
            if why := await _not_of(log, snapshot, begin, end):
                self._refuse(path, f"the snapshot {path} is of another topic: {why}")
                continue
            self.offset = snapshot.offset
            self._note(path)
            sessions = snapshot.index.sessions
            logger.info(
                "snapshot read: %s, %d sessions, up to offset %d",
                path,
                sessions,
                snapshot.offset,
                extra={"path": str(path), "sessions": sessions, "offset": snapshot.offset},
            )
            return snapshot
        return None

    def is_due(self, offset: int) -> bool:
        """Whether it is time to write one, the index being at this offset."""
        return time.monotonic() >= self._due_at and self.is_wanted(offset)

    def hurry(self) -> None:
        """Let one be due at once."""
        self._due_at = 0.0

    def is_wanted(self, offset: int) -> bool:
        """Whether there is something to write that no snapshot has."""
        return self._every_s > 0 and offset > self.offset

    def save(self, index: SessionIndex, offset: int, mark: str) -> None:
        """Write a snapshot and remove those that are not kept; a failure is counted and warned about.

        Args:
            index: must not change meanwhile.
            offset: up to which it has the sessions topic.
            mark: of the last record that it took in.
        """
        self.writing = True
        try:
            self._save(index, offset, mark)
        finally:
            self.writing = False

    def _save(self, index: SessionIndex, offset: int, mark: str) -> None:
        began = time.monotonic()
        self._due_at = began + self._every_s
        files = self._files()
        path = self._folder / f"index-{1 + _number(files[-1]) if files else 0:08}.snapshot"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            size = save_snapshot(path, index, offset, self._parameters, mark)
            good = [file for file in files if file not in self._refused]
            for file in {*self._refused, *good[: len(good) + 1 - KEPT]}:
                file.unlink(missing_ok=True)
        except OSError as error:
            with suppress(OSError):
                path.with_name(path.name + ".part").unlink()  # what a full disk took of it
            self._telemetry.snapshot_failures.labels("write").inc()
            told = {"path": str(path)}
            logger.warning("no snapshot of the index was written to %s: %s", path, error, extra=told)
            return
        self._refused.clear()
        self.offset = offset
        self._telemetry.snapshot_seconds.set(time.monotonic() - began)
        self._note(path)
        logger.info(
            "snapshot written: %s, %d bytes, up to offset %d",
            path,
            size,
            offset,
            extra={"path": str(path), "bytes": size, "offset": offset},
        )

    def _files(self) -> list[Path]:
        """The snapshots that are there, oldest first."""
        try:
            return sorted((path for path in self._folder.iterdir() if _number(path) >= 0), key=_number)
        except OSError:  # there is no folder yet; writing says what is wrong with another that cannot be read
            return []

    def _load(self, path: Path) -> Snapshot | None:
        try:
            return load_snapshot(path, self._parameters)
        except (StateError, OSError) as error:
            self._refuse(path, str(error))
            return None

    def _refuse(self, path: Path, why: str) -> None:
        self._refused.add(path)
        self._telemetry.snapshot_failures.labels("read").inc()
        logger.warning("%s; going on without it", why, extra={"path": str(path)})

    def _note(self, path: Path) -> None:
        stat = path.stat()
        self._telemetry.snapshot_bytes.set(stat.st_size)
        self._telemetry.snapshot_timestamp.set(stat.st_mtime)
        self.newest_good = Newest(self.offset, stat.st_mtime)


def _number(path: Path) -> int:
    """The number in a snapshot's name; -1 where it is none."""
    found = _NAME.fullmatch(path.name)
    return int(found[1]) if found else -1


async def _not_of(log: PartitionLog, snapshot: Snapshot, begin: int, end: int) -> str:
    """Why a snapshot is not of a topic; empty where it is."""
    if snapshot.offset > end:
        return f"it goes up to offset {snapshot.offset}, the topic ends at {end}"
    at = int(snapshot.mark.partition(" ")[0])
    if at < begin:
        return f"the last record that it has, at offset {at}, is gone from the topic, which begins at {begin}"
    record = await log.record_at(at)
    if record is None or mark_of(record) != snapshot.mark:
        return f"the record at offset {at} is not the one that it took in"
    return ""
