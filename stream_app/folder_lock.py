"""One process in a folder at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from core.errors import FolderInUseError

#: The file that is locked, in the folder; it has the number of the process that holds it.
LOCK_FILE: Final = "nextclick.lock"


@contextmanager
def held_folder(folder: Path) -> Iterator[None]:
    """Hold a folder, which is made with its parents, as long as the block lasts or the process lives.

    Raises:
        FolderInUseError: another process holds it.
        OSError: it cannot be made, or not be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise FolderInUseError(
                f"the folder {folder} is in use by another nextclick (process {holder})"
            ) from None
        except OSError:  # a file system without locks: RocksDB and Kafka have their own ways to notice
            pass
        with suppress(OSError):  # a full disk: the lock holds all the same
            file.truncate(0)
            os.write(file.fileno(), str(os.getpid()).encode())
        yield
