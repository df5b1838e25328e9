"""Clicks a second of one process: nextclick with each preset, plain Faust, Quix Streams, side by side.

Each round writes the same clicks to fresh topics, then starts one process on them and takes the time from the
first to the last record of its output topic, by the broker's append times: starting is out of it. nextclick
keeps sessions, publishes those that close, learns them, scores every click against the index and answers; a
peer stores the visitor's last item and forwards the click. All keep their state in RocksDB with a changelog
on Kafka and produce with acks=all.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from typing import NamedTuple

from aiokafka import TopicPartition

from stream_app.kafka.client import end_offsets, new_topic_reader
from tests.benchmarks.stream.contenders import DOES, contenders, prepare
from tests.benchmarks.stream.load import clicks_of, fill
from tests.benchmarks.stream.place import cpu_s, machine_cpu_s, say
from tests.worker_process import read_topic

#: Seconds without one more record of output after which a round has failed.
STALLED_S = 120.0
POLL_S = 0.05


class Span(NamedTuple):
    """What was seen of a topic that a process fills.

    Args:
        seconds: from its first append to its last.
        records: in it, those of the first append left out: the clock starts when they are there.
        start_s: from starting the process to its first output.
        cpu_s: of the processes, from the first output seen to the last.
        broker_cpu_s: of the broker, likewise.
        others_cores: cores that others than these used between those two looks, this program among them.
        counted: records between those two looks.
    """

    seconds: float
    records: int
    start_s: float
    cpu_s: float
    broker_cpu_s: float
    others_cores: float
    counted: int


def run_rounds(place, options):
    """Rates, CPU and ratios of all contenders, each round one after the other."""
    contests = contenders(options)
    wanted = {one.kind: _clicks_for(one.kind, options) for one in contests}
    clicks = clicks_of(place.load, max(wanted.values()))
    spans = {contender: [] for contender in contests}
    for number in range(1, options.rounds + 1):
        for contender in contests:
            spans[contender].append(
                run_round(place, options, contender, number, clicks[: wanted[contender.kind]])
            )
    return figures_of(spans)


def _clicks_for(kind, options):
    """As many as each works on for long enough: Quix Streams is to come to several of its checkpoints."""
    return {"faust_plain": options.peer_clicks, "quix": options.fast_clicks, "bare": options.fast_clicks}.get(
        kind, options.clicks
    )


def medians(rounds):
    """Rate, CPU a click and what others used, of the spans of some rounds."""
    return {
        "clicks_per_s": round(_median(s.records / s.seconds for s in rounds)),
        "cpu_us_a_click": round(_median(s.cpu_s / s.counted * 1e6 for s in rounds), 1),
        "broker_cpu_us_a_click": round(_median(s.broker_cpu_s / s.counted * 1e6 for s in rounds), 1),
        "others_cores": round(_median(s.others_cores for s in rounds), 2),
    }


def figures_of(spans):
    """Medians of the rounds, by contender."""
    found = {
        contender.name: {
            "preset": contender.preset,
            **medians(rounds),
            "clicks_per_s_of_rounds": [round(s.records / s.seconds) for s in rounds],
            "seconds": round(_median(s.seconds for s in rounds), 2),
            "start_s": round(_median(s.start_s for s in rounds), 1),
            "does": DOES[contender.kind],
        }
        for contender, rounds in spans.items()
    }
    rates = {name: one["clicks_per_s"] for name, one in found.items()}
    ratio = {
        f"{ours}/{peer}": round(rates[ours] / rates[peer], 2)
        for ours in rates
        for peer in rates
        if found[ours]["preset"] and not found[peer]["preset"]
    }
    return {"throughput": rates, "throughput_ratio": ratio, "throughput_details": found}


def run_round(place, options, contender, number, clicks):
    """Write the clicks to fresh topics, start the contender on them, measure."""
    settings, process = prepare(place, options, contender, f"{contender.name}-{number}".replace("_", "-"))
    fill(settings, place.load, clicks)
    with process:
        began = time.monotonic()
        process.start()
        span = watch(place, settings, [process], len(clicks), began)
    say(
        f"  round {number}, {contender.name}: {span.records / span.seconds:,.0f} clicks/s, "
        f"{span.cpu_s / span.counted * 1e6:.0f} us CPU a click, others used {span.others_cores:.1f} "
        f"cores, first output after {span.start_s:.1f} s"
    )
    return span


def watch(place, settings, workers, records, began, at_first=None):
    """Wait until the workers have written so many answers, and measure.

    ``at_first`` is called when the first answer is there.
    """
    try:
        return asyncio.run(_watch(place, settings, workers, records, began, at_first))
    except Exception:
        for worker in workers:
            sys.stderr.write(worker.tail() + "\n")
        raise


async def _watch(place, settings, workers, records, began, at_first):
    topic = settings.recommendations_topic
    reader = await new_topic_reader(settings, topic, from_beginning=True, client_id="bench")
    try:
        done, first, first_done, moved = 0, None, 0, time.monotonic()
        start_s = 0.0
        while done < records or not await _is_all_answered(settings, workers, records):
            await asyncio.sleep(POLL_S)
            now = sum((await end_offsets(reader, settings, topic)).values())
            if now > done:
                done, moved = now, time.monotonic()
            if done and first is None:
                start_s = time.monotonic() - began
                first, first_done = _cpu(place, workers), done
                if at_first:
                    at_first()
            if not all(worker.running for worker in workers) or time.monotonic() - moved > STALLED_S:
                raise TimeoutError(f"{topic}: {done} of {records} records, then none for {STALLED_S:.0f} s")
        done, last = records, _cpu(place, workers)
        begin, at_begin, end = await _times(reader, topic)
    finally:
        await reader.stop()
    worker_s, broker_s, machine_s, clock_s = (b - a for a, b in zip(first, last, strict=True))
    counted = max(1, done - first_done)
    seconds = max(end - begin, 1) / 1000
    others = max(0.0, machine_s - worker_s - broker_s) / max(clock_s, POLL_S)
    return Span(seconds, max(1, done - at_begin), start_s, worker_s, broker_s, others, counted)


async def _is_all_answered(settings, workers, records):
    """Whether the topic's end counts its records; else the workers do: transactions leave markers there.

    A peer does not: its records are read.
    """
    if settings.guarantee == "at_least_once":
        return True
    told = [worker.metrics() for worker in workers]
    if all(told):
        return sum(one.get("nextclick_recommendations_total", 0) for one in told) >= records
    return len(await asyncio.to_thread(read_topic, settings, settings.recommendations_topic)) >= records


def _cpu(place, workers):
    """Seconds of computing of the workers, the broker and the whole machine, and the time of the clock."""
    ours = sum(cpu_s(worker.process.pid) for worker in workers)
    return ours, cpu_s(place.broker.pid), machine_cpu_s(), time.monotonic()


async def _times(reader, topic):
    """Milliseconds of the first append, how many records it had, milliseconds of the last append."""
    firsts, lasts = [], []
    for partition in reader.partitions_for_topic(topic):
        tp = TopicPartition(topic, partition)
        (end,) = (await reader.end_offsets([tp])).values()
        if not end:
            continue
        reader.seek(tp, 0)
        firsts += [record.timestamp for record in await _some(reader, tp)]
        reader.seek(tp, max(0, end - 2))  # the last offset may be a transaction's marker
        lasts += [record.timestamp for record in await _some(reader, tp)]
    return min(firsts), firsts.count(min(firsts)), max(lasts)


async def _some(reader, tp):
    async with asyncio.timeout(30):
        while True:
            found = await reader.getmany(tp, timeout_ms=1000, max_records=5000)
            if found.get(tp):
                return found[tp]


def _median(values):
    return statistics.median(list(values))
