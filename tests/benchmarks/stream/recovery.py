"""How long answers are missing when a worker ends, by the size of state and of the index.

A worker that holds so many visitors is killed and started again, with its RocksDB and without; then stopped
and started, where nothing may be answered twice. *Answering again* is when every partition has an answer that
was appended after the start; the time counts from the kill, so it has the starting of the process in it and
the time that the broker waits for the dead. Around a takeover and a join it is the longest time between two
answers of a partition that is measured. Probes are sent twenty times a second to every partition.
"""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from contextlib import contextmanager
from itertools import pairwise
from typing import Final

from aiokafka import TopicPartition

from core.window.clicks import Click
from stream_app.kafka.client import end_offsets, new_topic_reader, open_producer
from tests.benchmarks.stream.load import BEGIN_S, fill, wire
from tests.benchmarks.stream.place import make_topics, new_worker, say
from tests.benchmarks.stream.state import BOUND_S, QUICK_SIZES, SIZES, SPAN_S, with_state
from tests.worker_process import wait_until

PROBE_S: Final = 0.05
SETTLED_S: Final = 2.0

#: Answers of every partition that are waited for before and after an event.
AROUND: Final = 20


def run_recovery(place, options):
    """Seconds without answers by size of state and by what happened, and of a start by the index."""
    if options.quick:
        return {"recovery": {"state": [_killed_once(place, size) for size in QUICK_SIZES]}}
    return {
        "recovery": {
            "state": [_recovery(place, size) for size in SIZES],
            "index": [_index(place, every_s) for every_s in (600.0, 0.0)],
            "takeover": [_takeover(place, timeout_s) for timeout_s in (10.0, 6.0)],
        }
    }


def _killed_once(place, visitors):
    with with_state(place, f"recovery-{visitors}", visitors) as (settings, worker, _):
        found = {"visitors": visitors, **_killed(settings, worker)}
    say(f"  {found}")
    return found


def _killed(settings, worker):
    with _answers_again(settings, worker) as waited:
        worker.kill()
        worker.start()
    return {"kill_s": waited[0], "kill_recovery_s": _recovered(worker)}


def _recovery(place, visitors):
    with with_state(place, f"recovery-{visitors}", visitors) as (settings, worker, _):
        found = {"visitors": visitors, **_killed(settings, worker)}
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
