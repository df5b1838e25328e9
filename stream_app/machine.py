"""What the machine, or the container, gives this process: memory, and room on a disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final, NamedTuple

#: Files that hold a container's limit of memory: control groups of version 2, of version 1.
_LIMIT_FILES: Final = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


class Room(NamedTuple):
    """Of the file system that a folder is on, bytes."""

    size: int
    free: int


def memory_limit_bytes(files: tuple[Path, ...] = _LIMIT_FILES) -> int:
    """The most memory that this process can have: its container's limit, else the machine's memory.

    Args:
        files: that may hold a limit; what is missing or holds no number says nothing.
    """
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for file in files:
        try:
            limits.append(int(file.read_text(encoding="ascii")))
        except (OSError, ValueError):  # another version, or "max": no limit
            continue
    return min(limits)


def disk_room(folder: Path) -> Room:
    """The room on the disk of a folder, or of where it will be made.

    Raises:
        OSError: it cannot be looked at.
    """
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    usage = shutil.disk_usage(there)
    return Room(usage.total, usage.free)
