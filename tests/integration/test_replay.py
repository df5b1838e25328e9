"""Replay into a real Kafka."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time

import msgspec
import pytest

from core.errors import BrokerError, TopicError
from stream_app.kafka import topics
from stream_app.kafka.brokers import local_kafka
from stream_app.kafka.client import new_topic_reader
from stream_app.kafka.sender import MAX_OUTSTANDING
from stream_app.recordings.columns import guess_columns
from stream_app.recordings.files import open_table
from stream_app.recordings.replay import MAX_SPEED, replay

NEXTCLICK = [sys.executable, "-c", "from stream_app.cli import main; main()"]


async def records_of(settings, count: int) -> list:
    """The first records of the clicks topic, in order of partition and offset; waits 30 s at most."""
    reader = await new_topic_reader(settings, settings.clicks_topic, from_beginning=True)
    try:
        found = []
        async with asyncio.timeout(30):
            while len(found) < count:
                for records in (await reader.getmany(timeout_ms=200)).values():
                    found += records
        return sorted(found, key=lambda record: (record.partition, record.offset))
    finally:
        await reader.stop()


def test_a_file_arrives_whole_keyed_by_visitor_and_in_its_order_in_each_partition(settings, tmp_path):
    """More clicks than may be unconfirmed at once, with bad lines between, at full speed."""
    count = MAX_OUTSTANDING * 2 + 500
    lines = [f"v{n * 7919 % 301},i{n},{1_400_000_000 + n // 10}" for n in range(count)]
    path = tmp_path / "clicks.csv"
    path.write_text("\n".join(["visitor,item,time", *lines[:50], "no click", *lines[50:]]))
    told = []

    async def run():
        await topics.create(settings)
        with open_table(path) as table:
            report = await replay(
                settings,
                table,
                guess_columns(table.columns),
                speed=MAX_SPEED,
                on_progress=lambda so_far: told.append((so_far.sent, so_far.position)),
            )
        return report, await records_of(settings, count)

    report, records = asyncio.run(run())
    assert (report.sent, report.bad_lines, report.stopped_by) == (count, 1, None)
    assert [bad.line for bad in report.first_bad] == [52]
    assert told == sorted(told)
    assert told[-1] == (count, path.stat().st_size)
    assert len(records) == count
    partitions: dict[int, list[int]] = {}
    for record in records:
        value = msgspec.json.decode(record.value)
        assert record.key.decode() == value["visitor"]
        partitions.setdefault(record.partition, []).append(int(value["item"][1:]))
    assert len(partitions) == settings.partitions
    assert all(items == sorted(items) for items in partitions.values())
    assert sorted(item for items in partitions.values() for item in items) == list(range(count))


def test_the_command_replays_and_prints_its_report(settings, tmp_path):
    """The installed command sends with the settings of its environment, and a limit ends it."""
    asyncio.run(topics.create(settings))
    path = tmp_path / "clicks.jsonl"
    path.write_text("".join(f'{{"user":"u{n}","item":{n},"time":{n}}}\n' for n in range(10)))
    done = subprocess.run(
        [*NEXTCLICK, "replay", str(path), "--speed", "1000", "--limit", "7", "--json"],
        env={**os.environ, **settings.environment()},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout)["sent"] == 7
    assert "\x1b" not in done.stderr  # no bar where there is no terminal
    records = asyncio.run(records_of(settings, 7))
    assert sorted(record.key for record in records) == [b"u%d" % n for n in range(7)]


def test_a_replay_that_was_interrupted_goes_on_where_it_stopped(settings, tmp_path):
    """What the topic has is left out, but for the clicks of the newest moment, which are sent again."""
    asyncio.run(topics.create(settings))
    path = tmp_path / "clicks.csv"
    path.write_text("visitor,item,time\n" + "".join(f"v{n % 5},{n},{1000 + n // 2}\n" for n in range(40)))
    said = [
        json.loads(
            subprocess.run(
                [*NEXTCLICK, "replay", str(path), "--speed", "max", "--resume", "--json", *limit],
                env={**os.environ, **settings.environment()},
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            ).stdout
        )
        for limit in (["--limit", "21"], [], [])
    ]
    assert [(report["left_out"], report["sent"]) for report in said] == [(0, 21), (20, 20), (38, 2)]
    items = sorted(json.loads(record.value)["item"] for record in asyncio.run(records_of(settings, 43)))
    assert set(items) == {str(n) for n in range(40)}


def test_clicks_that_lie_behind_what_the_topic_has_are_told_at_once_and_in_the_end(settings, tmp_path):
    """Sent a second time without --resume, all but the last minute (grace_s) of a file is late."""
    asyncio.run(topics.create(settings))
    path = tmp_path / "clicks.csv"
    path.write_text("visitor,item,time\n" + "".join(f"v{n % 5},{n},{1000 + n}\n" for n in range(100)))
    done = [
        subprocess.run(
            [*NEXTCLICK, "replay", str(path), "--speed", "max", *options],
            env={**os.environ, **settings.environment()},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        for options in ([], [], ["--resume"])
    ]
    assert [each.stderr.count("a worker takes them for late") for each in done] == [0, 1, 0]
    told = "39 of them lie more than 60 s (grace_s) behind 1970-01-01T00:18:19.000Z, where the topic was"
    assert [told in each.stdout for each in done] == [False, True, False]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_slow_replay_which_still_reports(settings, tmp_path, number):
    """What was sent is confirmed and told, though the next click is due in a year."""
    asyncio.run(topics.create(settings))
    path = tmp_path / "clicks.csv"
    path.write_text("visitor,item,time\nv,i,0\nv,i,1e-3\nv,i,31536000\n")
    with subprocess.Popen(
        [*NEXTCLICK, "replay", str(path), "--json"],
        env={**os.environ, **settings.environment()},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        asyncio.run(records_of(settings, 2))
        begun = time.monotonic()
        process.send_signal(number)
        out, _ = process.communicate(timeout=30)
    assert time.monotonic() - begun < 10
    assert process.returncode == 128 + number
    report = json.loads(out)
    assert (report["sent"], report["stopped"], report["last_time"]) == (2, True, 0.001)


def test_a_missing_topic_and_a_missing_broker_are_errors(settings, tmp_path):
    """Each says what to do; no topic is made by the attempt."""
    path = tmp_path / "clicks.csv"
    path.write_text("visitor,item,time\nv,i,0\n")

    async def run(with_settings):
        with open_table(path) as table:
            await replay(with_settings, table, guess_columns(table.columns))

    for _ in range(2):
        with pytest.raises(TopicError, match="nextclick topics create"):
            asyncio.run(run(settings))
    with pytest.raises(BrokerError, match="no Kafka answers"):
        asyncio.run(run(settings.model_copy(update={"bootstrap_servers": "127.0.0.1:1"})))


def test_a_broker_that_dies_in_the_middle_ends_the_replay_with_an_error(settings, tmp_path):
    """The error says how many clicks are safe; the replay does not wait for ever."""
    path = tmp_path / "clicks.csv"
    path.write_text("visitor,item,time\n" + "".join(f"v,i,{n / 100}\n" for n in range(100_000)))

    async def run(own, broker):
        await topics.create(own)

        def kill(so_far):
            if so_far.sent and broker.running:
                broker.kill()

        with open_table(path) as table:
            await replay(own, table, guess_columns(table.columns), on_progress=kill, confirm_s=1.0)

    with local_kafka(tmp_path / "kafka") as broker:
        own = settings.model_copy(update={"bootstrap_servers": broker.bootstrap})
        begun = time.monotonic()
        with pytest.raises(BrokerError, match=r"not confirmed a click .* \d+ clicks were confirmed before"):
            asyncio.run(run(own, broker))
        assert time.monotonic() - begun < 40
