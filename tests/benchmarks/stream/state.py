"""What state costs, and how long answers are missing when a worker ends: memory and recovery.

For each size so many visitors click once (and, for a small one, several times), so that each has an open
session. Then the worker is killed and started again, once with its RocksDB and once without; stopped and
started; and last, beside a second worker, killed for good. *Answering again* is when every partition has an
answer to a click that was sent after the event; probes are sent twenty times a second to every partition.
"""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Final

from aiokafka import TopicPartition
from rocksdict import AccessType, Options, Rdict

from core.clicks import Click
from stream_app.kafka import end_offsets, new_topic_reader, open_producer
from stream_app.topics import changelog_topic
from stream_app.worker.tables import decode_visitor
from tests.benchmarks.stream.load import BEGIN_S, fill, fill_clicks, wire
from tests.benchmarks.stream.place import make_topics, new_worker, resident_mib, say
from tests.worker_process import wait_until

#: Open visitors of each case.
SIZES: Final = (10_000, 100_000, 1_000_000)
QUICK_SIZES: Final = (1000,)

#: Clicks of a visitor's session: small, and medium, of which there are fewer visitors.
SMALL, MEDIUM = 1, 5
MOST_MEDIUM: Final = 100_000

#: All of a case's clicks are within so many seconds of event time, so that no session ends.
SPAN_S: Final = 600.0
PROBE_S: Final = 0.05
BOUND_S: Final = 600.0
SETTLED_S: Final = 2.0

#: Answers of every partition that are waited for before and after an event.
AROUND: Final = 20
MIB: Final = 2**20


def run_memory(place, options):
    """Bytes a visitor and resident memory by number of open visitors."""
    cases = [(size, SMALL) for size in (QUICK_SIZES if options.quick else SIZES)]
    cases.append((min(cases[-1][0], MOST_MEDIUM), MEDIUM))
    return {"memory": {"cases": [_memory(place, size, clicks) for size, clicks in cases]}}


def run_recovery(place, options):
    """Seconds without answers by size of state and by what happened, and of a start by the index."""
    sizes = QUICK_SIZES if options.quick else SIZES
    return {
        "recovery": {
            "state": [_recovery(place, size) for size in sizes],
            "index": [_index(place, every_s) for every_s in (600.0, 0.0)],
            "takeover": [_takeover(place, timeout_s) for timeout_s in (10.0, 6.0)],
        }
    }


def open_visitors(visitors, clicks_each):
    """One open session for each visitor; all within :data:`SPAN_S` of event time."""
    step_s = SPAN_S / (visitors * clicks_each)
    return [
        Click(
            f"visitor-{number % visitors}", f"item-{number % 997}", round((BEGIN_S + number * step_s) * 1000)
        )
        for number in range(visitors * clicks_each)
    ]


@contextmanager
def _with_state(place, case, visitors, clicks_each=SMALL):
    """A worker that has answered and so holds the visitors; its memory before, MiB."""
    settings = place.settings(case)
    make_topics(settings)
    fill(settings, place.load._replace(learnt=place.load.learnt[-1000:]), [])
    with new_worker(settings) as worker:
        worker.start().wait_ready()
        before = resident_mib(worker.process.pid)
        clicks = open_visitors(visitors, clicks_each)
        fill_clicks(settings, clicks)
        wait_until(
            lambda: worker.metrics().get("nextclick_recommendations_total", 0) >= len(clicks),
            "all are answered",
            BOUND_S,
            [worker],
        )
        yield settings, worker, before


def _memory(place, visitors, clicks_each):
    case = f"memory-{visitors}-{clicks_each}"
    with _with_state(place, case, visitors, clicks_each) as (settings, worker, before):
        held = worker.metrics()["nextclick_open_sessions"]
        resident = resident_mib(worker.process.pid)
        worker.terminate(60)
        files = sorted(worker.data_dir.rglob("*.db"))
        on_disk = sum(_bytes(file) for file in files)
        name = changelog_topic(settings)
        changelog = sum(
            log.stat().st_size for log in (place.folder / "kafka" / "data").glob(f"{name}-*/*.log")
        )
        value_bytes, opened_s = _read_through(files)
    cache = settings.rocksdb_cache_mb
    found = {
        "visitors": visitors,
        "clicks_a_visitor": clicks_each,
        "open_sessions": round(held),
        "key_and_value_bytes_a_visitor": round(value_bytes / visitors, 1),
        "rocksdb_bytes_a_visitor": round(on_disk / visitors, 1),
        "changelog_bytes_a_click": round(changelog / visitors / clicks_each, 1),
        "resident_mib_before": round(before),
        "resident_mib": round(resident),
        "resident_bytes_a_visitor": round((resident - before) * MIB / visitors),
        "rocksdb_bound_mib": place.partitions * (cache + 2 * WRITE_BUFFER_MIB),
        "read_a_partition_s": round(opened_s / max(1, len(files)), 2),
    }
    say(f"  {found}")
    return found


#: RocksDB's write buffers, of which a partition has two: stream_app/worker/tables.py.
WRITE_BUFFER_MIB: Final = 16


def _read_through(files):
    """Bytes of keys and values of all visitors, and the seconds to open, read and decode them all."""
    began, found = time.perf_counter(), 0
    for file in files:
        database = Rdict(str(file), Options(raw_mode=True), access_type=AccessType.read_only())
        for key, value in database.items():
            if key[:1] == b"v":
                decode_visitor(value)
                found += len(key) + len(value)
        database.close()
    return found, time.perf_counter() - began


def _bytes(folder):
    return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())


def _recovery(place, visitors):
    with _with_state(place, f"recovery-{visitors}", visitors) as (settings, worker, _):
        found = {"visitors": visitors}
        with _answers_again(settings, worker) as waited:
            worker.kill()
            worker.start()
        found["kill_s"], found["kill_recovery_s"] = waited[0], _recovered(worker)
        with _answers_again(settings, worker) as waited:
            worker.kill()
            shutil.rmtree(worker.data_dir)
            worker.start()
        found["kill_without_data_s"], found["kill_without_data_recovery_s"] = waited[0], _recovered(worker)
        before = _settled(settings)
        worker.terminate(60)
        began = time.monotonic()
        worker.start().wait_ready()
        found["clean_restart_s"] = round(time.monotonic() - began, 1)
        found["clean_restart_replayed"] = sum(_settled(settings).values()) - sum(before.values())
        if found["clean_restart_replayed"]:
            raise AssertionError(f"a clean restart answered {found['clean_restart_replayed']} clicks again")
    say(f"  {found}")
    return found


def _recovered(worker):
    """Seconds of Faust's own recovery of the table, as the worker tells it."""
    return round(worker.metrics()["nextclick_recovery_seconds"], 1)


def _index(place, every_s):
    settings = place.settings(f"recovery-index-{every_s:.0f}", snapshot_every_s=every_s)
    make_topics(settings)
    fill(settings, place.load, [])
    with new_worker(settings) as worker:
        worker.start().wait_ready()
        worker.terminate(60)
        with _answers_again(settings, worker) as waited:
            worker.start()
    found = {"sessions": len(place.load.learnt), "snapshot": every_s > 0, "start_s": waited[0]}
    say(f"  {found}")
    return found


def _takeover(place, timeout_s):
    settings = place.settings(f"recovery-takeover-{timeout_s:.0f}", session_timeout_s=timeout_s)
    make_topics(settings)
    fill(settings, place.load._replace(learnt=place.load.learnt[-1000:]), [])
    with new_worker(settings, "first") as first, new_worker(settings, "second") as second:
        for worker in (first, second):
            worker.start()
        for worker in (first, second):
            worker.wait_ready()
        takeover_s = _longest_pause(settings, second, first.kill)
        join_s = _longest_pause(settings, second, lambda: first.start().wait_ready())
    found = {"session_timeout_s": timeout_s, "takeover_s": takeover_s, "join_s": join_s}
    say(f"  {found}")
    return found


@contextmanager
def _answers_again(settings, worker):
    """Seconds from the beginning of the block until every partition has a new answer, as the only element."""
    waited, began = [], time.monotonic()
    yield waited
    # What was answered before the event took effect is not an answer after it.
    before = _answered(settings)
    with _probing(settings):
        _wait_for_more(settings, worker, before, 1)
        waited.append(round(time.monotonic() - began, 1))


def _longest_pause(settings, worker, event):
    """The longest time between two answers of a partition around an event, by their appends, seconds."""
    with _probing(settings):
        before = _answered(settings)
        _wait_for_more(settings, worker, before, AROUND)
        event()
        _wait_for_more(settings, worker, _answered(settings), AROUND)
    pauses = [
        after - first
        for times in _append_times(settings, before).values()
        for first, after in pairwise(times)
    ]
    return round(max(pauses) / 1000, 1)


def _wait_for_more(settings, worker, before, answers):
    wait_until(
        lambda: all(end >= before[partition] + answers for partition, end in _answered(settings).items()),
        "every partition is answered",
        BOUND_S,
        [worker],
    )


@contextmanager
def _probing(settings):
    ending = threading.Event()
    probes = threading.Thread(target=lambda: asyncio.run(_probe(settings, ending)), name="probes")
    probes.start()
    try:
        yield
    finally:
        ending.set()
        probes.join()


async def _probe(settings, ending):
    """Send a click to every partition again and again."""
    producer = await open_producer(settings, client_id="bench-probe")
    spread = wire(
        [Click(f"probe-{n}", "probe", round((BEGIN_S + SPAN_S) * 1000)) for n in range(64)],
        settings.partitions,
    )
    one_each = {partition: (key, value) for partition, key, value in spread}
    try:
        while not ending.is_set():
            for partition, (key, value) in one_each.items():
                await producer.send(settings.clicks_topic, value, key=key, partition=partition)
            await asyncio.sleep(PROBE_S)
    finally:
        await producer.stop()


def _settled(settings):
    """The same as :func:`_answered`, once nothing more has come for a while."""
    before, now = None, _answered(settings)
    while now != before:
        time.sleep(SETTLED_S)
        before, now = now, _answered(settings)
    return now


def _append_times(settings, begins):
    """By partition, append times in ms of the answers from an offset on."""

    async def read():
        topic, found = settings.recommendations_topic, {}
        reader = await new_topic_reader(settings, topic, from_beginning=True, client_id="bench")
        try:
            for partition, end in (await end_offsets(reader, settings, topic)).items():
                tp = TopicPartition(topic, partition)
                reader.seek(tp, begins[partition])
                found[partition] = []
                while await reader.position(tp) < end:
                    fetched = await reader.getmany(tp, timeout_ms=500)
                    found[partition] += [record.timestamp for record in fetched.get(tp, ())]
        finally:
            await reader.stop()
        return found

    return asyncio.run(read())


def _answered(settings):
    """End of each partition of the answers."""

    async def ask():
        topic = settings.recommendations_topic
        reader = await new_topic_reader(settings, topic, from_beginning=True, client_id="bench")
        try:
            return await end_offsets(reader, settings, topic)
        finally:
            await reader.stop()

    return asyncio.run(ask())
