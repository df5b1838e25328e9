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
from pathlib import Path
from typing import NamedTuple

from aiokafka import TopicPartition

from stream_app.kafka import end_offsets, new_topic_reader
from tests.benchmarks.stream.load import clicks_of, fill
from tests.benchmarks.stream.place import cpu_s, machine_cpu_s, make_topics, new_worker, say
from tests.worker_process import WorkerProcess

#: Seconds without one more record of output after which a round has failed.
STALLED_S = 120.0
POLL_S = 0.05

#: What each contender does and waits for; printed beside its figures.
CONTENDERS = {
    "nextclick": "sessions, scoring and answers; state written and confirmed after each run of up to 500 "
    "clicks; input offsets committed every 1 s",
    "faust_plain": "last item a visitor, forwards; Faust's defaults: each changelog record and each output "
    "sent by itself, input offsets committed every 2.8 s",
    "quix": "last item a visitor, forwards; Quix's defaults: a checkpoint every 5 s "
    "flushes the state and sends the last value of each visitor to the changelog",
}


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
    clicks = {name: clicks_of(place.load, options.clicks) for name in ("nextclick", "quix")}
    clicks["faust_plain"] = clicks["nextclick"][: options.peer_clicks]
    contests = [("nextclick" if p == "vstan" else f"nextclick_{p}", p) for p in options.presets]
    contests += [(peer, None) for peer in options.peers]
    spans = {name: [] for name, _ in contests}
    for number in range(1, options.rounds + 1):
        for name, preset in contests:
            sent = clicks["nextclick" if preset else name]
            span = _round(place, options, f"{name}-{number}".replace("_", "-"), name, preset, sent)
            spans[name].append(span)
            say(
                f"  round {number}, {name}: {span.records / span.seconds:,.0f} clicks/s, "
                f"{span.cpu_s / span.counted * 1e6:.0f} us CPU a click, others used {span.others_cores:.1f} "
                f"cores, first output after {span.start_s:.1f} s"
            )
    return figures_of(spans, dict(contests))


def figures_of(spans, presets):
    """Medians of the rounds, by contender."""
    found = {
        name: {
            "preset": presets[name],
            "clicks_per_s": round(_median(s.records / s.seconds for s in rounds)),
            "clicks_per_s_of_rounds": [round(s.records / s.seconds) for s in rounds],
            "cpu_us_a_click": round(_median(s.cpu_s / s.counted * 1e6 for s in rounds), 1),
            "broker_cpu_us_a_click": round(_median(s.broker_cpu_s / s.counted * 1e6 for s in rounds), 1),
            "seconds": round(_median(s.seconds for s in rounds), 2),
            "others_cores": round(_median(s.others_cores for s in rounds), 2),
            "start_s": round(_median(s.start_s for s in rounds), 1),
            "does": CONTENDERS[name.split("_")[0] if presets[name] else name],
        }
        for name, rounds in spans.items()
    }
    rates = {name: one["clicks_per_s"] for name, one in found.items()}
    ratio = {
        f"{ours}/{peer}": round(rates[ours] / rates[peer], 2)
        for ours in rates
        for peer in rates
        if presets[ours] and not presets[peer]
    }
    return {"throughput": rates, "throughput_ratio": ratio, "throughput_details": found}


def _round(place, options, case, name, preset, clicks):
    settings = place.settings(case, **({"preset": preset} if preset else {}))
    make_topics(settings, changelog=preset is not None)
    fill(settings, place.load, clicks)
    if preset:
        worker = new_worker(settings)
    else:
        python = options.peers_python if name == "quix" else sys.executable
        script = {"quix": "plain_quix.py", "faust_plain": "plain_faust.py"}[name]
        arguments = ["worker", "--without-web", "-l", "error"] if name == "faust_plain" else []
        command = [str(python), str(Path(__file__).with_name(script)), *arguments]
        worker = WorkerProcess(settings, "peer", command)
    with worker:
        began = time.monotonic()
        worker.start()
        return watch(place, settings, [worker], len(clicks), began)


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
        while done < records:
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
        last = _cpu(place, workers)
        begin, at_begin, end = await _times(reader, topic)
    finally:
        await reader.stop()
    worker_s, broker_s, machine_s, clock_s = (b - a for a, b in zip(first, last, strict=True))
    counted = max(1, done - first_done)
    seconds = max(end - begin, 1) / 1000
    others = max(0.0, machine_s - worker_s - broker_s) / max(clock_s, POLL_S)
    return Span(seconds, max(1, done - at_begin), start_s, worker_s, broker_s, others, counted)


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
        reader.seek(tp, end - 1)
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
