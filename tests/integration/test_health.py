"""What a worker says of itself over HTTP, from its start to its stop, on a Kafka of its own."""

from __future__ import annotations

import asyncio
import json
import re
import time
import traceback
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from pydantic import SecretStr

from core.errors import StatusError
from core.window.clicks import Click
from core.window.sessions import HeldClick, Session
from core.window.step import VisitorState
from stream_app.kafka.broker_process import Broker
from stream_app.kafka.brokers import local_kafka
from stream_app.kafka.outbox import Outbox, OutRecord
from stream_app.kafka.topics import changelog_topic
from stream_app.operations.status import Status, authorization, read_status
from stream_app.settings import Settings
from stream_app.worker.fingerprint import fingerprint
from stream_app.worker.tables import encode_state
from tests.oracles.whole_log import BEGIN_MS
from tests.worker_process import (
    WorkerProcess,
    create_topics,
    run_nextclick,
    send_clicks,
    send_records,
    wait_done,
    wait_until,
)

TOKEN = "wonder-word"  # noqa: S105 -- made up

#: Visitors in the changelog, in parts: restoring them takes some seconds.
VISITORS, AT_ONCE = 800_000, 50_000
#: What no line of the log has, and no page.
VISITOR, ITEM = "visitor-of-no-line", "item-of-no-line"

CLICK = HeldClick(BEGIN_MS, 0, "a")


class Seen(NamedTuple):
    """One look at a worker that starts."""

    status: Status
    ready: tuple[int, str]
    live: tuple[int, str]


class Started(NamedTuple):
    """A worker whose state was restored, and what it said meanwhile."""

    broker: Broker
    settings: Settings
    worker: WorkerProcess
    seen: list[Seen]


def status_of(worker: WorkerProcess) -> Status | None:
    """What /status says; None while nothing answers."""
    code, text = worker.ask("/status", authorization(worker.settings))
    return msgspec.json.decode(text, type=Status) if code == 200 else None


def look_until_ready(worker: WorkerProcess) -> Iterator[Seen]:
    """Look again and again."""
    ready = (0, "")

    def is_ready() -> bool:
        nonlocal ready
        ready = worker.ask("/ready")
        return ready[0] == 200

    while not is_ready():
        live, status = worker.live(), status_of(worker)
        if status and live[0] and ready[0]:
            yield Seen(status, ready, live)
        assert worker.running, worker.tail()
        time.sleep(0.05)


async def fill_changelog(settings: Settings) -> None:
    """Write visitors' states to the changelog."""
    for begin in range(0, VISITORS, AT_ONCE):
        states = [
            OutRecord(b"v%d" % n, encode_state(VisitorState(n, Session(f"0-{n}", (CLICK,), BEGIN_MS))))
            for n in range(begin, begin + AT_ONCE)
        ]
        await write_changelog(settings, states)


async def write_changelog(settings: Settings, records: list[OutRecord]) -> None:
    """Write records to the changelog's only partition."""
    outbox = await Outbox.open(settings)
    try:
        await outbox.write(changelog_topic(settings), 0, records)
    finally:
        await outbox.close()


@pytest.fixture(scope="module")
def started(tmp_path_factory) -> Iterator[Started]:
    """A worker with a token and one partition, and a long changelog to restore; watched until it is ready."""
    folder: Path = tmp_path_factory.mktemp("health")
    with local_kafka(folder / "kafka", heap_mb=256) as broker:
        settings = Settings(
            bootstrap_servers=broker.bootstrap,
            data_dir=folder / "data",
            partitions=1,
            http_token=TOKEN,
            session_timeout_s=6,
            log_format="json",
            close_idle=False,
        )
        create_topics(settings)
        asyncio.run(fill_changelog(settings))
        with WorkerProcess(settings, "first") as worker:
            worker.start()
            seen = list(look_until_ready(worker))
            yield Started(broker, settings, worker, seen)


def test_a_long_recovery_is_alive_not_ready_and_says_how_far_it_is(started):
    """While the state is restored /live is 200, /ready 503, and /status counts down to an estimate."""
    restoring = [seen for seen in started.seen if seen.status.recovery.left]
    assert restoring, [seen.status.waits_for for seen in started.seen]
    assert {seen.live[0] for seen in started.seen} == {200}
    assert {seen.ready[0] for seen in started.seen} == {503}
    assert any("restoring the state, changelog records" in seen.ready[1] for seen in restoring)
    left = [seen.status.recovery.left for seen in restoring]
    assert left == sorted(left, reverse=True)
    assert not any(seen.status.ready for seen in restoring)
    assert {part.phase for part in restoring[0].status.partitions} == {"restoring its state"}
    after = status_of(started.worker)
    assert (after.recovery.left, after.recovery.seconds_left) == (0, 0.0)
    assert started.worker.metrics()["nextclick_recovery_remaining_records"] == 0


def test_a_worker_shows_its_partitions_and_its_index(started):
    """/status has for the partition how far it is, what is open and what it does, and the index beside it."""
    settings, worker = started.settings, started.worker
    before = status_of(worker)
    send_clicks(settings, [Click(VISITOR, ITEM, BEGIN_MS + at) for at in range(3)])
    asyncio.run(send_records(settings, [(b"k", b"no click"), (b"k", b"none")]))
    wait_done(settings, [worker])
    wait_until(lambda: status_of(worker).partitions[0].finished == 5, "all are finished", 60, [worker])
    status = status_of(worker)
    (partition,) = status.partitions
    assert (partition.partition, partition.end, partition.lag) == (0, 5, 0)
    assert partition.open_sessions == VISITORS + 1
    assert (status.ready, status.waits_for, status.live) == (True, [], True)
    wait_until(lambda: worker.live() == (200, "ok\n"), "its progress was looked at", 60, [worker])
    assert (status.index.sessions, status.index.lag, status.index.reading.left) == (0, 0, 0)
    assert status.uptime_s > before.uptime_s
    assert status.settings["session_timeout_s"] == 6
    assert set(status.settings["http_token"]) == {"*"}
    pages = worker.ask("/status", authorization(settings))[1] + worker.page()
    assert not [word for word in (TOKEN, VISITOR, ITEM) if word in pages]
    assert status.fingerprint == fingerprint(settings)


def test_a_worker_without_partitions_stands_by(started):
    """Where there are more workers than partitions one has none: it is ready, and says what it is."""
    with WorkerProcess(started.settings, "second") as second:
        second.start().wait_ready()
        workers = (started.worker, second)
        wait_until(lambda: all(status_of(worker).ready for worker in workers), "both are ready", 60, workers)
        shares = sorted(len(status_of(worker).partitions) for worker in workers)
        assert shares == [0, 1]
        without = next(worker for worker in workers if not status_of(worker).partitions)
        assert without.ask("/ready") == (200, "ready\n")
        assert "this one stands by" in without.log.read_text()
        assert len({status_of(worker).fingerprint for worker in workers}) == 1
        done = run_nextclick(without.settings, "status")
        assert (done.returncode, "no partitions are assigned" in done.stdout) == (0, True), done.stderr
        assert second.terminate()[0] == 0
    wait_until(
        lambda: [part.phase for part in status_of(started.worker).partitions] == ["waiting for a run"],
        "the first has its partition again",
        60,
        [started.worker],
    )


def test_the_token_guards_what_tells_something(started):
    """/metrics and /status want the token, /live and /ready do not; what is not there is 404 for anyone."""
    worker = started.worker
    for path in ("/metrics", "/status"):
        assert worker.ask(path)[0] == 401
        assert worker.ask(path, {"Authorization": "Bearer wrong"})[0] == 401
        assert worker.ask(path, authorization(worker.settings))[0] == 200
    assert [worker.ask(path)[0] for path in ("/live", "/ready", "/", "/table/visitors/v1")] == [
        200,
        200,
        404,
        404,
    ]


def test_nextclick_status(started):
    """It shows a table or JSON and ends with 0; without the token, or elsewhere, it says what is wrong."""
    settings = started.worker.settings
    done = run_nextclick(settings, "status")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"ready +yes", done.stdout)
    assert f"fingerprint {fingerprint(settings)}" in done.stdout
    assert re.search(r"^ *0 +5 +5 +0 ", done.stdout, re.MULTILINE), done.stdout
    url = f"http://127.0.0.1:{settings.metrics_port}/"
    done = run_nextclick(settings.model_copy(update={"metrics_port": 1}), "status", "--json", "--url", url)
    assert msgspec.json.decode(done.stdout, type=Status).ready
    wrong = settings.model_copy(update={"http_token": SecretStr("another")})
    done = run_nextclick(wrong, "status")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"error: http://\S+ answers 401 .*http_token.*\n", done.stderr)
    for address in (
        f"http://{started.broker.bootstrap}",
        "http://127.0.0.1:1",
        "127.0.0.1",
        "http://[::1",
        "file:///",
    ):
        with pytest.raises(StatusError) as caught:
            read_status(settings, address)
        assert TOKEN not in "".join(traceback.format_exception(caught.value))


def listening(pid: int) -> list[tuple[str, int]]:
    """Address, in Linux's own form, and port of every TCP socket that a process listens on."""
    inodes = {link.readlink().name for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == "0A" and f"socket:[{rest[5]}]" in inodes:
                address, port = local.split(":")
                found.append((address, int(port, 16)))
    return found


def test_a_worker_listens_on_one_port_of_the_loopback(started):
    """Its own pages listen and nothing else: Faust's, which show the tables, do not."""
    assert listening(started.worker.process.pid) == [("0100007F", started.worker.settings.metrics_port)]


def test_without_brokers_a_worker_is_alive_and_not_ready(started):
    """Brokers that are gone end readiness, not life; when they return it is ready."""
    worker = started.worker
    started.broker.kill()
    wait_until(lambda: worker.ask("/ready")[0] == 503, "it is not ready", 60, [worker])
    assert "the brokers have not answered for" in worker.ask("/ready")[1]
    assert worker.metrics()["nextclick_ready"] == 0
    assert worker.live()[0] == 200
    done = run_nextclick(worker.settings, "status")
    assert (done.returncode, "the brokers have not" in " ".join(done.stdout.split())) == (1, True)
    started.broker.start()
    worker.wait_ready()
    assert worker.ask("/ready")[0] == 200


def test_every_line_is_json_and_an_event_has_its_fields(started):
    """From the start through work, a rebalance and a dead broker to the stop: an object a line, no secret."""
    worker = started.worker
    assert worker.terminate()[0] == 0
    text = worker.log.read_text()
    assert not [word for word in (TOKEN, VISITOR, ITEM, "no click") if word in text]
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        assert datetime.fromisoformat(line["time"]).tzinfo is not None
        assert line["level"] in {"INFO", "WARNING", "ERROR"}
        assert line["logger"]
        assert line["message"]

    def said(beginning: str) -> list[dict]:
        return [line for line in lines if line["message"].startswith(beginning)]

    assert said("assigned: partitions 0")[0]["partitions"] == [0]
    assert said("rebalance: ")[0]["partitions"] == [0]
    assert said("recovered in")[0]["seconds"] > 0
    assert said("ready, ")[0]["partitions"] == [0]
    assert "the brokers have not answered" in said("not ready: ")[-1]["waits_for"][0]
    (dead,) = said("dead letters: ")
    assert (dead["reasons"], dead["partition"], dead["offset"]) == ({"not_json": 2}, 0, 4)
    restoring = said("restoring the state")
    assert all(line.keys() >= {"done", "left", "a_second", "seconds_left"} for line in restoring)
    assert {line["logger"].partition(".")[0] for line in lines} >= {"stream_app", "aiokafka"}
    assert len(lines) < 100


def test_a_refusal_is_json_too(started):
    """A worker that cannot start says why in one object, and ends with exit code 2."""
    nowhere = started.settings.model_copy(update={"clicks_topic": "nowhere", "metrics_port": 0})
    done = run_nextclick(nowhere, "worker")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = map(json.loads, done.stderr.splitlines())
    assert (line["level"], "nowhere: expected" in line["message"]) == ("CRITICAL", True)


def test_a_crash_is_json_too(started):
    """A worker that ends by an error, a state of another version, logs objects to its end: exit code 1."""
    settings = started.settings.model_copy(update={"group_id": "other"})
    create_topics(settings)
    asyncio.run(write_changelog(settings, [OutRecord(b"vx", b"\xff")]))
    with WorkerProcess(settings, "crashing") as worker:
        worker.start()
        wait_until(lambda: not worker.running, "it has ended", 60)
        assert worker.process.returncode == 1
        lines = [json.loads(line) for line in worker.log.read_text().splitlines()]
    assert any("holds a value of version 255" in line["message"] for line in lines)
