"""Workers as processes, and a view of their topics: what the tests of the running worker are made of."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Self

from core.answers import Answer, decode_answer
from core.window.clicks import Click, encode_click
from core.window.forgetting import Forgotten, decode_entry
from core.window.sessions import ClosedSession
from core.window.step import Record
from stream_app.kafka import topics
from stream_app.kafka.broker_process import free_ports
from stream_app.kafka.client import end_offsets, new_topic_reader, open_producer
from stream_app.kafka.placement import record_of
from stream_app.operations.status import authorization
from stream_app.settings import Settings
from stream_app.telemetry import read_metrics

NEXTCLICK = [sys.executable, "-c", "from stream_app.cli import main; main()"]

#: Bounds, seconds. A first start compiles the kernels; the machine may be busy with other things.
READY_S = 120.0
DONE_S = 90.0
POLL_S = 0.2


class WorkerProcess:
    """One ``nextclick worker`` in a process of its own; stopped at the end of a ``with`` block, if need be.

    Args:
        settings: all settings; folder and port of the worker are replaced by its own.
        name: tells the workers of a test apart; a new one with an old one's name finds its RocksDB.
        command: run this in place of ``nextclick worker``.
    """

    def __init__(
        self, settings: Settings, name: str = "worker", command: Sequence[str] = (*NEXTCLICK, "worker")
    ) -> None:
        self.command = list(command)
        folder = settings.data_dir.parent / name
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "log"
        self.data_dir = folder / "data"
        self.settings = settings.model_copy(
            update={"data_dir": self.data_dir, "metrics_port": free_ports(1)[0]}
        )
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process and self.process.poll() is None:
            self.kill()

    def start(self) -> WorkerProcess:
        """Start the process; it is not ready yet."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(self.settings),
            )
        return self

    def wait_ready(self, timeout_s: float = READY_S) -> WorkerProcess:
        """Wait until it says that it is assigned, recovered and caught up."""
        wait_until(lambda: self.metrics().get("nextclick_ready") == 1, "a worker is ready", timeout_s, [self])
        return self

    def terminate(self, timeout_s: float = 30.0) -> tuple[int, float]:
        """End it by SIGTERM; its exit code, and how many seconds that took."""
        began = time.monotonic()
        code = self._end(signal.SIGTERM, timeout_s)
        return code, time.monotonic() - began

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._end(signal.SIGKILL, 10.0)

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self.process is not None and self.process.poll() is None

    def page(self) -> str:
        """The text of /metrics; empty while nothing answers."""
        status, text = self.ask("/metrics", authorization(self.settings))
        return text if status == 200 else ""

    def live(self) -> tuple[int, str]:
        """Status and text of /live; 0 while nothing answers."""
        return self.ask("/live")

    def ask(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Status and text of a page; 0 while nothing answers."""
        url = f"http://127.0.0.1:{self.settings.metrics_port}{path}"
        request = urllib.request.Request(url, headers=dict(headers or {}))
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 -- http, above
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except (urllib.error.URLError, OSError):
            return 0, ""

    def metrics(self) -> dict[str, float]:
        """The metrics, labels added up; empty while nothing answers."""
        return read_metrics(self.page())

    def by_label(self, name: str) -> dict[str, float]:
        """The samples of a metric with one label that are not zero, by the label's value."""
        found = re.findall(rf'^{name}{{\w+="([^"]*)"}} (\S+)$', self.page(), re.MULTILINE)
        return {label: float(value) for label, value in found if float(value)}

    def tail(self) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-40:])

    def _end(self, how: signal.Signals, timeout_s: float) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
            raise AssertionError(f"still running {timeout_s:g} s after {how.name}:\n{self.tail()}") from None


class Topics(NamedTuple):
    """Everything on the topics at one moment.

    Attributes:
        clicks: by partition, the records in log order.
        answers: by (partition, offset) of the click, each answer in the order in which it was written.
        strays: answers whose record has another partition or key than its click.
        sessions: the records of the sessions topic in order.
        dead: by (partition, offset) of the click, each dead letter.
        entries: all of the sessions topic by offset: sessions, and visitors that are forgotten.
    """

    clicks: dict[int, list[Record]]
    answers: dict[tuple[int, int], list[Answer]]
    strays: list[Answer]
    sessions: list[ClosedSession]
    dead: dict[tuple[int, int], list[DeadRecord]]
    entries: dict[int, ClosedSession | Forgotten]

    @property
    def places(self) -> set[tuple[int, int]]:
        """Partition and offset of every click."""
        return {
            (partition, record.offset)
            for partition, log in self.clicks.items()
            for record in log
            if not record.forgets
        }

    @property
    def unanswered(self) -> set[tuple[int, int]]:
        """(partition, offset) of the clicks that are neither answered nor a dead letter."""
        return self.places - self.answers.keys() - self.dead.keys()

    @property
    def done(self) -> bool:
        """Whether every click is answered or a dead letter."""
        return not self.unanswered


class DeadRecord(NamedTuple):
    """A dead letter as it is on its topic."""

    key: bytes | None
    value: bytes | None
    headers: dict[str, str]


def environment(settings: Settings) -> dict[str, str]:
    """The variables of a process that runs with these settings and no others."""
    others = {key: value for key, value in os.environ.items() if not key.startswith("NEXTCLICK_")}
    return others | settings.environment()


def run_nextclick(settings: Settings, *arguments: str, timeout_s: float = 60) -> subprocess.CompletedProcess:
    """Run a command to its end."""
    return subprocess.run(
        [*NEXTCLICK, *arguments],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def wait_until(
    true: Callable[[], bool],
    what: str,
    timeout_s: float = DONE_S,
    workers: Sequence[WorkerProcess] = (),
    *,
    missing: Callable[[], str] = str,
) -> None:
    """Wait until something is true; fails at the bound, or when a worker ends.

    The failure says what was waited for, what was missing still, and how the logs end.
    """
    deadline = time.monotonic() + timeout_s
    while not true():
        dead = [worker for worker in workers if not worker.running]
        if dead or time.monotonic() > deadline:
            why = "a worker ended" if dead else f"not within {timeout_s:g} s"
            logs = "\n\n".join(worker.tail() for worker in workers)
            raise AssertionError(f"waited until {what}: {why}\n{missing()}\n{logs}")
        time.sleep(POLL_S)


def create_topics(settings: Settings) -> None:
    """Make the topics."""
    asyncio.run(topics.create(settings))


def read_topic(settings: Settings, topic: str) -> list:
    """All records of a topic up to its end at this moment, by partition and offset."""

    async def read() -> list:
        reader = await new_topic_reader(settings, topic, from_beginning=True, client_id="test")
        try:
            ends = await end_offsets(reader, settings, topic)
            found = []
            async with asyncio.timeout(60):
                for tp in sorted(reader.assignment()):
                    while await reader.position(tp) < ends[tp.partition]:
                        for records in (await reader.getmany(tp, timeout_ms=1000)).values():
                            found += records
            return sorted(found, key=lambda record: (record.partition, record.offset))
        finally:
            await reader.stop()

    return asyncio.run(read())


def read_topics(settings: Settings) -> Topics:
    """Everything that is on the topics now; what is read later may be younger."""
    seen = Topics({}, {}, [], [], {}, {})
    for topic in (
        settings.clicks_topic,
        settings.recommendations_topic,
        settings.sessions_topic,
        settings.dead_letters_topic,
    ):
        for record in read_topic(settings, topic):
            note_record(settings, seen, record)
    return seen


def note_record(settings: Settings, seen: Topics, record) -> None:
    """Add a record of any of the topics, behind those of its partition that were added before."""
    if record.topic == settings.clicks_topic:
        seen.clicks.setdefault(record.partition, []).append(record_of(record))
    elif record.topic == settings.recommendations_topic:
        answer = decode_answer(record.value)
        seen.answers.setdefault((answer.click.partition, answer.click.offset), []).append(answer)
        if record.partition != answer.click.partition or record.key != answer.visitor.encode():
            seen.strays.append(answer)
    elif record.topic == settings.sessions_topic:
        if record.value is None:
            return
        entry = decode_entry(record.value)
        seen.entries[record.offset] = entry
        if isinstance(entry, ClosedSession):
            seen.sessions.append(entry)
    else:
        headers = {name: value.decode() for name, value in record.headers}
        letter = DeadRecord(record.key, record.value, headers)
        seen.dead.setdefault((int(headers["partition"]), int(headers["offset"])), []).append(letter)


def wait_done(
    settings: Settings,
    workers: Sequence[WorkerProcess] = (),
    *,
    sessions: Callable[[Topics], int] | None = None,
    timeout_s: float = DONE_S,
) -> Topics:
    """Wait until every click is answered or a dead letter, and return all that is on the topics then.

    Args:
        settings: where the topics are.
        workers: must stay alive.
        sessions: how many different closed sessions are to be waited for as well.
        timeout_s: bound.
    """
    seen: list[Topics] = []

    def open_sessions() -> int:
        closed = len({session.session for session in seen[0].sessions})
        return 0 if sessions is None else sessions(seen[0]) - closed

    def done() -> bool:
        seen[:] = [read_topics(settings)]
        return seen[0].done and open_sessions() <= 0

    def missing() -> str:
        unanswered = sorted(seen[0].unanswered, reverse=True)
        return (
            f"{len(unanswered)} of {len(seen[0].places)} clicks unanswered, the first by partition "
            f"{dict(unanswered)}; {open_sessions()} sessions missing"
        )

    wait_until(done, "every click is answered", timeout_s, workers, missing=missing)
    return seen[0]


async def send_records(settings: Settings, records: Iterable[tuple[bytes | None, bytes | None]]) -> None:
    """Send keys and values to the clicks topic and wait until they are confirmed."""
    producer = await open_producer(settings, client_id="test", linger_ms=2)
    try:
        sent = [await producer.send(settings.clicks_topic, value, key=key) for key, value in records]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


def send_clicks(settings: Settings, clicks: Iterable[Click]) -> None:
    """Send clicks, keyed by visitor."""
    asyncio.run(send_records(settings, [(c.visitor.encode(), encode_click(c)) for c in clicks]))


async def send_sessions(settings: Settings, values: list[bytes | None]) -> None:
    """Write records to the sessions topic."""
    producer = await open_producer(settings, client_id="test")
    try:
        sent = [await producer.send(settings.sessions_topic, value, key=b"key") for value in values]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


@contextmanager
def sending(settings: Settings, clicks: Sequence[Click], a_second: float) -> Iterator[threading.Thread]:
    """Send clicks at a pace in the background; at the end of the block all are sent."""

    async def send() -> None:
        producer = await open_producer(settings, client_id="test", linger_ms=2)
        began, sent = time.monotonic(), []
        try:
            for number, click in enumerate(clicks):
                ahead = number / a_second - (time.monotonic() - began)
                if ahead > 0.02:
                    await asyncio.sleep(ahead)
                value = encode_click(click)
                sent.append(await producer.send(settings.clicks_topic, value, key=click.visitor.encode()))
            await asyncio.gather(*sent)
        finally:
            await producer.stop()

    thread = threading.Thread(target=lambda: asyncio.run(send()), name="sending")
    thread.start()
    try:
        yield thread
    finally:
        thread.join(DONE_S + len(clicks) / a_second)
        assert not thread.is_alive()
