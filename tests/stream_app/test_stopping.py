"""A stop that hangs ends all the same, and says where it hung; one that comes to its end is left alone."""

from __future__ import annotations

import subprocess
import sys

from stream_app.worker.stopping import HUNG

PROGRAM = """
import asyncio, logging, threading, time
from stream_app.worker.stopping import end_in_time

async def leave_the_group(gone):
    await gone.wait()

async def main():
    stopping, begun = threading.Event(), time.monotonic()
    loops = [asyncio.get_running_loop()]
    end_in_time(stopping.is_set, lambda: loops, 0.5, lambda: time.monotonic() < begun + {busy_s})
    await asyncio.sleep({work_s})
    stopping.set()
    hanging = asyncio.create_task(leave_the_group(asyncio.Event()), name="leave")
    await asyncio.wait({{hanging}}, timeout={stop_s})
    hanging.cancel()

logging.basicConfig()
asyncio.run(main())
"""


def run(*, work_s: float, stop_s: float, busy_s: float = 0) -> subprocess.CompletedProcess[str]:
    """A process that works for a while, and then takes some time to stop; half a second is granted."""
    program = PROGRAM.format(work_s=work_s, stop_s=stop_s, busy_s=busy_s)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_stop_that_hangs_ends_and_says_what_is_waited_for():
    """The process ends with a status of its own, and names the task and the function that it stands in."""
    ended = run(work_s=0.1, stop_s=600)
    assert ended.returncode == HUNG
    assert "leave: leave_the_group:6 > Event.wait" in ended.stderr


def test_what_takes_its_time_is_not_counted():
    """A stop may last longer by as much as the index's snapshot takes to be written."""
    ended = run(work_s=0.1, stop_s=2, busy_s=1.8)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_work_is_not_cut_short_nor_a_stop_that_ends():
    """Before the stop no time counts, however long it takes; a stop in time ends as it ends."""
    ended = run(work_s=1.5, stop_s=0)
    assert (ended.returncode, ended.stderr) == (0, "")
