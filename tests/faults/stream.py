"""One stream of clicks under a fault: its workers, what was seen of its topics, and what it must come to."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

from core.errors import BrokerError
from core.index import SessionIndex
from core.scoring import Scorer
from core.window.clicks import Click
from stream_app.kafka.client import new_topic_reader
from stream_app.settings import Settings
from tests.exact_stream import MESSY_WINDOW
from tests.faults.exact import check_exact, check_tables
from tests.oracles.whole_log import BEGIN_MS, expected_of, messy_clicks
from tests.worker_process import (
    NEXTCLICK,
    Topics,
    WorkerProcess,
    create_topics,
    note_record,
    read_topic,
    sending,
)

DOOMED = [sys.executable, str(Path(__file__).with_name("doomed_worker.py"))]

#: A partition with unanswered clicks whose answers do not grow for so long is stalled, seconds.
STALL_S = 30.0

#: Bound on one look at a topic that goes on to grow, seconds.
LOOK_S = 0.5

#: Bound on a case's waiting for one thing, seconds; and for all answers, which the watchdog bounds, too.
WAIT_S = 150.0
ANSWERED_S = 900.0

#: The messy clicks' settings, but the window, for recorded clicks of a shop.
RECORDED_CHANGES = MESSY_WINDOW | {"gap_s": 1200.0, "grace_s": 60.0, "max_clicks": 200}


class Outcome(NamedTuple):
    """What a case came to.

    Attributes:
        seconds: it took.
        clicks: were sent.
        repeats: answers and dead letters written more than once.
        pause_s: the longest time between two answers of a partition, seconds; where the case asks for it.
    """

    seconds: float
    clicks: int
    repeats: int
    pause_s: float | None = None


class Follower:
    """All that is on the topics; each look reads on from the one before. A broker may be away."""

    def __init__(self, settings: Settings) -> None:
        self.seen = Topics({}, {}, [], [], {}, {})
        self._settings = settings
        self._runner = asyncio.Runner()
        self._readers = []

    def look(self) -> Topics:
        """Read what has come."""
        self._runner.run(self._look())
        return self.seen

    def close(self) -> None:
        """Disconnect."""
        self._runner.run(self._stop())
        self._runner.close()

    async def _look(self) -> None:
        settings = self._settings
        names = settings.clicks_topic, settings.recommendations_topic
        try:
            for topic in (*names, settings.sessions_topic, settings.dead_letters_topic)[len(self._readers) :]:
                self._readers.append(await new_topic_reader(settings, topic, from_beginning=True))
        except BrokerError:
            return
        for reader in self._readers:
            end = time.monotonic() + LOOK_S
            while time.monotonic() < end and (fetched := await reader.getmany(timeout_ms=100)):
                for records in fetched.values():
                    for record in records:
                        note_record(settings, self.seen, record)

    async def _stop(self) -> None:
        for reader in self._readers:
            await reader.stop()


class Watchdog:
    """Fails when a partition with unanswered clicks makes no progress."""

    def __init__(self) -> None:
        self._moved: dict[int, tuple[int, float]] = {}

    def look(self, seen: Topics) -> str | None:
        """Compare with the look before; a sentence when a partition stalls."""
        now = time.monotonic()
        done = seen.answers.keys() | seen.dead.keys()
        for partition, log in seen.clicks.items():
            count = sum((partition, record.offset) in done for record in log)
            before, since = self._moved.get(partition, (-1, now))
            if count != before or count == len(log):
                self._moved[partition] = (count, now)
            elif now - since > STALL_S:
                return f"partition {partition} stalls at {count} of {len(log)} for {now - since:.0f} s"
        return None

    def forgive(self) -> None:
        """Begin to count anew: the brokers were away, or a worker just died."""
        self._moved = {place: (count, time.monotonic()) for place, (count, _) in self._moved.items()}


class FaultStream:
    """Topics of its own, any number of workers, clicks sent at a pace; all is stopped at the block's end.

    Args:
        settings: where; what :data:`MESSY_WINDOW` has is changed.
        seed: of the clicks and of every choice.
        scale: of the clicks; 1 is the short form.
        changes: settings of the case.
    """

    #: Whether workers have names in the group.
    named = False

    #: Clicks by time that every stream sends in place of messy ones; none: messy ones.
    recording: ClassVar[Sequence[Click]] = ()

    def __init__(self, settings: Settings, seed: int, scale: float = 1.0, **changes: object) -> None:
        window = RECORDED_CHANGES if self.recording else MESSY_WINDOW
        self.settings = settings.model_copy(update=window | changes)
        self._recorded = iter(self.recording)
        self.chance = random.Random(seed)  # noqa: S311 -- a plan that is the same each time
        self.scale = scale
        self.workers: dict[str, WorkerProcess] = {}
        self.watchdog = Watchdog()
        self._seed = seed
        self._sent = 0
        self._others = 0
        self._loads = 0
        self._began = time.monotonic()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        # Kernels that a worker has to compile first would look like a stall.
        Scorer(SessionIndex(10), self.settings.scoring_parameters()).warm_up()
        create_topics(self.settings)
        self.follower = Follower(self.settings)
        self._stack.callback(self.follower.close)
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers.values():
            if worker.running:
                worker.process.send_signal(signal.SIGCONT)
        self._stack.close()

    def worker(self, name: str = "first", *doom: str) -> WorkerProcess:
        """A worker by name, its folder kept from one start to the next; not started.

        Args:
            name: of the worker.
            doom: moment, count and signal of ``doomed_worker.py``; none for a plain worker.
        """
        if name not in self.workers:
            own = {"group_instance_id": name} if self.named else {}
            settings = self.settings.model_copy(update=own)
            self.workers[name] = self._stack.enter_context(WorkerProcess(settings, name))
        worker = self.workers[name]
        worker.command = [*DOOMED, *doom] if doom else [*NEXTCLICK, "worker"]
        return worker

    def die(self, moment: str, count: int = 1) -> WorkerProcess:
        """Start the first worker, and wait until it has killed itself."""
        worker = self.worker("first", moment, str(count), "SIGKILL").start()
        self.until(lambda: not worker.running, f"the worker is killed when {moment}")
        self.watchdog.forgive()
        return worker

    def ready(self, *names: str) -> list[WorkerProcess]:
        """Start workers, all at once, and wait until they are ready."""
        started = [self.worker(name).start() for name in names]
        return [worker.wait_ready() for worker in started]

    @contextmanager
    def load(self, clicks: int, a_second: float = 400, *, scaled: bool = True) -> Iterator[None]:
        """Send clicks during the block, later in event time than those before."""
        count = int(clicks * self.scale) if scaled else clicks
        begin_ms = BEGIN_MS + self._loads * 1_000_000_000
        messy = messy_clicks(self._seed + self._loads, count, begin_ms=begin_ms)
        clicks = list(islice(self._recorded, count)) if self.recording else messy
        with self.send(clicks, a_second):
            self._loads += 1
            yield

    @contextmanager
    def send(self, clicks: list[Click], a_second: float) -> Iterator[None]:
        """Send clicks during the block."""
        with sending(self.settings, clicks, a_second) as self.sender:
            yield
            while self.sender.is_alive():
                self.look()
                time.sleep(0.5)
        self._sent += len(clicks)

    def expect(self, clicks: int) -> None:
        """So many clicks are there already."""
        self._sent += clicks

    def expect_sessions(self, others: int) -> None:
        """So many records of the sessions topic are no worker's."""
        self._others += others

    def look(self) -> Topics:
        """Read on, and ask the watchdog."""
        seen = self.follower.look()
        if stall := self.watchdog.look(seen):
            self.fail(stall)
        return seen

    def live(self, seconds: float) -> None:
        """Let some time pass."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.look()
            time.sleep(0.2)

    def until(self, true, what: str, timeout_s: float = WAIT_S) -> None:
        """Look until something is true."""
        end = time.monotonic() + timeout_s
        while not true():
            if time.monotonic() > end:
                self.fail(f"waited {timeout_s:g} s until {what}")
            self.look()
            time.sleep(0.2)

    def until_answered(self) -> Topics:
        """Wait until all that was sent is answered or a dead letter, and what event time closes is closed."""

        def done() -> bool:
            seen = self.follower.seen
            return len(seen.places) >= self._sent and seen.done

        def closed() -> bool:
            expected = expected_of(self.settings, self.follower.seen.clicks)
            return {s.session for s in self.follower.seen.sessions} >= expected.closed.keys()

        self.until(done, "every click is answered", ANSWERED_S)
        self.until(closed, "every session is closed")
        return self.follower.seen

    def finish(self) -> Outcome:
        """Hold everything against the core, stop the workers, hold their tables against it.

        Raises:
            AssertionError: something differs.
        """
        seen = self.until_answered()
        expected = check_exact(self.settings, seen, self._others)
        for worker in self.workers.values():
            if worker.running:
                self.stop(worker)
        check_tables(self.settings, expected, seen, [w.data_dir for w in self.workers.values()])
        return self.end()

    def until_idle_closed(self, sessions: int) -> Topics:
        """Wait until every click is answered and so many sessions are closed, by whatever."""
        closed = self.follower.seen.sessions
        self.until(lambda: len({session.session for session in closed}) >= sessions, "sessions are closed")
        return self.look()

    def end(self) -> Outcome:
        """What the case came to."""
        seen = self.follower.seen
        repeats = sum(len(one) - 1 for one in (*seen.answers.values(), *seen.dead.values()))
        return Outcome(time.monotonic() - self._began, len(seen.places), repeats)

    def stop(self, worker: WorkerProcess) -> None:
        """Stop a worker by SIGTERM."""
        code, _ = worker.terminate()
        assert code == 0, worker.tail()

    def forget_disk(self, worker: WorkerProcess) -> None:
        """Delete a stopped worker's folder."""
        shutil.rmtree(worker.data_dir)

    def fail(self, why: str) -> None:
        """Fail with the ends of the logs."""
        logs = "\n\n".join(f"{name}:\n{worker.tail()}" for name, worker in self.workers.items())
        raise AssertionError(f"{why}\n{logs}")


def longest_pause_s(settings: Settings) -> float:
    """The longest time between the writing of two answers of a partition, seconds."""
    longest_ms, before = 0, {}
    for record in read_topic(settings, settings.recommendations_topic):
        longest_ms = max(longest_ms, record.timestamp - before.get(record.partition, record.timestamp))
        before[record.partition] = record.timestamp
    return longest_ms / 1000


def is_frozen(pid: int) -> bool:
    """Whether a process is stopped by SIGSTOP."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def freeze(pid: int) -> None:
    """Stop a process where it is."""
    os.kill(pid, signal.SIGSTOP)


def thaw(pid: int) -> None:
    """Let it go on."""
    os.kill(pid, signal.SIGCONT)
