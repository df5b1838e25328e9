"""A stop that does not come to its end: bounded in time, and said where it hangs.

A worker stops by parts: runs in hand are finished, the group is left, threads end. Should one of the parts
wait for ever (for brokers that are gone, or for a thread that ended first), the process would stay, and do
nothing. What has an end of its own, a large index's snapshot, may take longer. What such an end costs is what
a kill costs: see docs/guarantees.md.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

logger = logging.getLogger(__name__)

#: How long a stop may take, seconds. A worker at work takes two to five.
STOP_S: Final = 15.0

#: How often it is looked whether the worker stops, seconds.
LOOK_S: Final = 0.25

#: Exit status of a worker that was ended so; EX_SOFTWARE of sysexits.h.
HUNG: Final = 70


def end_in_time(
    stopping: Callable[[], bool],
    loops: Callable[[], Iterable[asyncio.AbstractEventLoop]],
    stop_s: float = STOP_S,
    busy: Callable[[], bool] = lambda: False,
) -> threading.Thread:
    """Watch over the stop from a thread; one that takes too long ends the process, with :data:`HUNG`.

    Args:
        stopping: whether the stop has begun; asked again and again, in that thread.
        loops: those whose tasks are named in the log, so that one sees what hangs; asked for in that thread.
        stop_s: how long the stop may take, seconds.
        busy: whether something is under way that takes the time it takes, and which does not count.

    Returns:
        The thread; it keeps no process alive.
    """

    def watch() -> None:
        pause = threading.Event()
        while not stopping():
            pause.wait(LOOK_S)
        left_s = stop_s
        while left_s > 0:
            left_s -= 0 if busy() else LOOK_S
            pause.wait(LOOK_S)
        logger.critical(
            "the stop has not come to its end in %g s, so the process ends without it; nothing is lost by "
            "that, some clicks are answered again. What is waited for: %s",
            stop_s,
            "; ".join(said for loop in loops() for said in waiting(loop)) or "no task",
        )
        for handler in logging.getLogger().handlers:
            handler.flush()
        os._exit(HUNG)

    thread = threading.Thread(target=watch, name="stop deadline", daemon=True)
    thread.start()
    return thread


def waiting(loop: asyncio.AbstractEventLoop) -> list[str]:
    """For each task of a loop its name and where it stands, from the outermost function to the innermost."""
    return [
        f"{task.get_name()}: {' > '.join(_awaits(task.get_coro()))}"
        for task in asyncio.all_tasks(loop)
        if not task.done()
    ]


def _awaits(coroutine: Any) -> Iterator[str]:
    while coroutine is not None:
        code, frame = getattr(coroutine, "cr_code", None), getattr(coroutine, "cr_frame", None)
        yield f"{code.co_qualname}:{frame.f_lineno}" if code and frame else type(coroutine).__name__
        coroutine = getattr(coroutine, "cr_await", None)
