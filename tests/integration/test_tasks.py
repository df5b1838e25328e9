"""The tasks of docs/runbook.md on a real Kafka: each command works, and what it says will happen happens."""

from __future__ import annotations

import asyncio
import re
import shlex
from pathlib import Path

import pytest
from aiokafka.admin import NewPartitions
from typer.testing import CliRunner

from core.window.clicks import Click
from stream_app.cli import app
from stream_app.kafka.groups import group_offsets
from stream_app.kafka.topics import changelog_topic
from stream_app.settings import Settings
from tests.exact_stream import MESSY_WINDOW, closed_by_id, wait_exact
from tests.faults.exact import check_tables
from tests.kafka_admin import administer
from tests.oracles.whole_log import BEGIN_MS, expected_of, messy_clicks
from tests.worker_process import (
    WorkerProcess,
    create_topics,
    read_topics,
    run_nextclick,
    send_clicks,
    send_records,
    wait_done,
    wait_until,
)

ROOT = Path(__file__).resolve().parents[2]
TASKS = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8").partition("\n## Tasks\n")[2]


def commands() -> list[str]:
    """The commands of the part, each once, in their order."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", TASKS, re.MULTILINE | re.DOTALL)
    return list(dict.fromkeys(line for block in blocks for line in block.splitlines() if line))


def test_every_command_works(settings, tmp_path, monkeypatch):
    """In the order of the runbook, beside a running worker that has a dead letter of each kind it names."""
    settings = settings.model_copy(update={"max_value_bytes": 300})
    create_topics(settings)
    (tmp_path / "visitors.txt").write_text("ann\n")
    lines = [f"{'ab'[n % 2]},i{n % 3},{1_700_000_000 + 50 * n}" for n in range(40)]
    (tmp_path / "clicks.csv").write_text("visitor,item,time\n" + "\n".join(lines) + "\n")
    wanted = commands()
    assert len(wanted) == 11
    with WorkerProcess(settings) as worker:
        worker.start().wait_ready()
        send_clicks(settings, [Click("ann", "a", BEGIN_MS), Click("bob", "a", BEGIN_MS)])
        asyncio.run(send_records(settings, [(b"k", b"{" + b" " * 400 + b"}")]))
        wait_done(settings, [worker])
        monkeypatch.chdir(tmp_path)
        for command in wanted:
            name, *arguments = shlex.split(command)
            assert name == "nextclick"
            # In this process, which saves eleven starts.
            done = CliRunner().invoke(app, arguments, env=worker.settings.environment())
            assert done.exit_code == 0, (command, done.output, done.exception)


@pytest.mark.parametrize("tool", ["topics", "consumer-groups", "console-consumer"])
def test_kafka_s_own_commands_name_what_they_are_about(tool):
    """Each has the brokers left open, and names a topic."""
    said = re.findall(rf"`(kafka-{tool}\.sh[^`]*)`", TASKS)
    assert said
    for command in said:
        assert "--bootstrap-server … " in " ".join(command.split())
        assert "--topic" in command


def add_partitions(settings: Settings, count: int) -> None:
    """As kafka-topics.sh --alter does, in the runbook's order."""
    more = NewPartitions(total_count=count)
    for topic in (settings.recommendations_topic, changelog_topic(settings), settings.clicks_topic):
        administer(settings, lambda admin, topic=topic: admin.create_partitions({topic: more}))


def test_partitions_are_added_and_a_record_is_passed_over(settings):
    """The group, its state and the index are kept; what is passed over is as if it had not been there."""
    settings = settings.model_copy(update={**MESSY_WINDOW, "partitions": 2})
    create_topics(settings)
    clicks = messy_clicks(50, 1500)
    with WorkerProcess(settings) as worker:
        worker.start()
        send_clicks(settings, clicks[:700])
        before, _ = wait_exact(settings, [worker])
        assert worker.terminate()[0] == 0
        add_partitions(settings, 4)
        assert run_nextclick(settings, "topics", "check").returncode == 0
        worker.start().wait_ready()
        send_clicks(settings, clicks[700:1400])
        seen, _ = wait_exact(settings, [worker])
        assert {partition for partition, _ in seen.places} == {0, 1, 2, 3}
        assert len(seen.answers) > len(before.answers)
        assert worker.terminate()[0] == 0

        # The record that stops a worker, and the offset behind it.
        send_clicks(settings, [Click("v1", "poison", clicks[1399].time_ms)])
        place = max(read_topics(settings).places - seen.places)

        async def pass_over() -> None:
            async with group_offsets(settings, settings.clicks_topic, 4) as group:
                await group.commit({place[0]: place[1] + 1})

        asyncio.run(pass_over())
        worker.start()
        send_clicks(settings, clicks[1400:])

        def done() -> bool:
            now = read_topics(settings)
            return now.places - {place} <= now.answers.keys() | now.dead.keys()

        wait_until(done, "all but that record is done", workers=[worker])
        seen = read_topics(settings)
        assert place not in seen.answers
        assert place not in seen.dead
        partition, offset = place
        seen.clicks[partition] = [r for r in seen.clicks[partition] if r.offset != offset]
        expected = expected_of(settings, seen.clicks)
        wait_until(
            lambda: closed_by_id(read_topics(settings).sessions) == expected.closed,
            "all is closed",
            workers=[worker],
        )
        assert worker.terminate()[0] == 0
        check_tables(settings, expected, seen, [worker.data_dir])
