"""Clicks a second of one worker on a local Kafka, beside the plainest Faust agent, in one run.

    .venv/bin/python tests/benchmarks/throughput.py [--clicks 60000] [--rounds 3] [--json]

Each round writes the same clicks to a fresh topic, then starts one process on it and takes the time from the
first to the last record of its output topic, by the broker's append times; the ratio is of the medians. The
worker keeps sessions, scores every click against an index that grows, and answers; the peer stores an item
a visitor and forwards the click. Both keep their state in RocksDB with a changelog on Kafka.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from core.clicks import Click, encode_click
from stream_app import topics
from stream_app.brokers import local_kafka
from stream_app.kafka import TopicShape, create_topics, end_offsets, new_topic_reader, open_producer
from stream_app.settings import Settings

PARTITIONS = 4


def generated_clicks(n, seed=7):
    """Sessions of a geometric length over items of a Zipf-like popularity, interleaved in time."""
    chance = random.Random(seed)
    events = []
    session = 0
    while len(events) < n:
        session += 1
        start = 1_700_000_000 + session * 0.5
        topic = int(chance.paretovariate(0.9)) % 2000
        for place in range(min(50, 1 + int(chance.expovariate(0.25)))):
            item = f"item-{topic}-{int(chance.paretovariate(1.0)) % 40}"
            events.append((start + place * 20, f"visitor-{session}", item))
    events.sort()
    return [Click(visitor, item, int(t * 1000)) for t, visitor, item in events[:n]]


async def fill(settings, clicks):
    """Write the clicks to the input topic."""
    producer = await open_producer(settings, linger_ms=20)
    try:
        sent = [
            await producer.send(settings.clicks_topic, value=encode_click(c), key=c.visitor.encode())
            for c in clicks
        ]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def wait_for_output(settings, topic, n, most_s=600.0):
    """Seconds between the append of the first and of the last of ``n`` records."""
    reader = await new_topic_reader(settings, topic, from_beginning=True)
    try:
        deadline = time.monotonic() + most_s
        while sum((await end_offsets(reader, settings, topic)).values()) < n:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic}: no {n} records in {most_s} s")
            await asyncio.sleep(0.25)
        first, last, seen = float("inf"), 0.0, 0
        while seen < n:
            for records in (await reader.getmany(timeout_ms=500)).values():
                seen += len(records)
                first = min(first, *(r.timestamp for r in records))
                last = max(last, *(r.timestamp for r in records))
        return (last - first) / 1000
    finally:
        await reader.stop()


def run_one(name, settings, folder, clicks):
    """One round of one contender: (clicks a second, CPU microseconds a click)."""
    shapes = topics.wanted_topics(settings)
    append_time = {"message.timestamp.type": "LogAppendTime"}
    for topic in (settings.recommendations_topic,):
        shapes[topic] = TopicShape(PARTITIONS, configs={**(shapes[topic].configs or {}), **append_time})
    asyncio.run(create_topics(settings, shapes))
    asyncio.run(fill(settings, clicks))
    environment = {**os.environ, **settings.environment()}
    if name == "nextclick":
        command = [sys.executable, "-c", "from stream_app.cli import main; main()", "worker"]
    else:
        environment |= {
            "PLAIN_GROUP": settings.group_id,
            "PLAIN_BROKER": settings.bootstrap_servers,
            "PLAIN_DATADIR": str(folder),
            "PLAIN_PARTITIONS": str(PARTITIONS),
            "PLAIN_IN": settings.clicks_topic,
            "PLAIN_OUT": settings.recommendations_topic,
        }
        peer = Path(__file__).with_name("plain_faust.py")
        command = [sys.executable, str(peer), "worker", "--without-web", "-l", "error"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            seconds = asyncio.run(wait_for_output(settings, settings.recommendations_topic, len(clicks)))
        except BaseException:
            sys.stderr.write((folder / "log").read_text()[-3000:])
            raise
        finally:
            process.terminate()
            _, _, usage = os.wait4(process.pid, 0)
            process.returncode = 0
    return len(clicks) / seconds, (usage.ru_utime + usage.ru_stime) / len(clicks) * 1e6


def main():
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clicks", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    clicks = generated_clicks(options.clicks)
    rates = {"faust_plain": [], "nextclick": []}
    cpu = {"faust_plain": [], "nextclick": []}
    with tempfile.TemporaryDirectory() as temporary, local_kafka(Path(temporary) / "kafka") as broker:
        for number in range(options.rounds):
            for name, measured in rates.items():
                folder = Path(temporary) / f"{name}-{number}"
                folder.mkdir()
                names = {
                    f"{t}_topic": f"{t}-{name}-{number}"
                    for t in ("clicks", "recommendations", "sessions", "dead_letters")
                }
                settings = Settings(
                    bootstrap_servers=broker.bootstrap,
                    group_id=f"{name}-{number}",
                    data_dir=folder,
                    metrics_port=0,
                    partitions=PARTITIONS,
                    **names,
                )
                rate, us = run_one(name, settings, folder, clicks)
                measured.append(rate)
                cpu[name].append(us)
                print(
                    f"round {number + 1} {name:12} {rate:10,.0f} clicks/s {us:8.0f} us CPU a click",
                    file=sys.stderr,
                )
    result = {
        "clicks": options.clicks,
        "throughput": {name: round(statistics.median(values)) for name, values in rates.items()},
        "cpu_us_a_click": {name: round(statistics.median(values), 1) for name, values in cpu.items()},
        "ratio": round(statistics.median(rates["nextclick"]) / statistics.median(rates["faust_plain"]), 1),
        "versions": {p: version(p) for p in ("faust-streaming", "aiokafka", "numba", "numpy")},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }
    print(json.dumps(result, indent=None if options.json else 2))


if __name__ == "__main__":
    main()
