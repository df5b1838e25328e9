"""From a click to its answer: at a thousand clicks a second, and over the offered load up to saturation.

Two ways to take it. *Append to append*: from the click's append to its answer's append, both by the broker's
clock, in whole milliseconds. *Send to read*: from the moment when the sender's process hands the click to its
producer until this process, a consumer, holds the answer; both by the monotonic clock. The sender keeps its
pace whatever comes back, so that a pause counts for all clicks that come during it.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import defaultdict
from typing import Final

import msgspec
from aiokafka import TopicPartition

from stream_app.kafka.client import end_offsets, new_topic_reader
from tests.benchmarks.measure import percentile
from tests.benchmarks.stream.contenders import DOES, Contender, prepare
from tests.benchmarks.stream.load import clicks_of, fill, wire
from tests.benchmarks.stream.place import cpu_s, machine_cpu_s, say
from tests.worker_process import environment

A_SECOND: Final = 1000
GOAL_MS: Final = {"p50_ms": 10.0, "p99_ms": 50.0}
PERCENTILES: Final = {"p50_ms": 50.0, "p90_ms": 90.0, "p99_ms": 99.0, "p99_9_ms": 99.9, "max_ms": 100.0}

#: Offered loads of the curve, clicks a second; it ends after the first that is not kept up with: half of its
#: clicks wait so long. Each lasts so many seconds, or until so many clicks are sent.
CURVE: Final = (100, 250, 500, 1000, 2000, 4000, 6000, 8000, 12_000, 16_000, 24_000, 32_000)
CURVE_S, QUICK_CURVE_S = 10.0, 2.0
QUICK_CURVE: Final = CURVE[2:5]
MOST_OF_A_STEP: Final = 80_000
SATURATED_MS: Final = 500.0

#: Sessions begin so far apart that they close at the rate at which they open within the warm-up.
SECONDS_A_SESSION: Final = 1.0

#: Seconds that the answers may come later than the last click.
DRAINED_S: Final = 90.0


class _Answered(msgspec.Struct):
    """What names a click in the record that it became: nextclick's answer, or the click as it is."""

    visitor: str
    click: dict[str, int] | None = None
    time: float = 0.0


_decoder = msgspec.json.Decoder(_Answered)


class Stream:
    """A process under load: it is started, and clicks are sent to it step by step.

    Args:
        place: what all runs on.
        settings: of the process.
        process: is started and answering.
        clicks: what is sent, on the wire; used up from the front.
    """

    def __init__(self, place, settings, process, clicks):
        self.place, self.settings, self.process = place, settings, process
        self._clicks, self._used = clicks, 0

    def step(self, a_second, seconds):
        """Send at a pace and wait for the answers: figures of this step, and when each answer was read."""
        count = min(round(a_second * seconds), len(self._clicks) - self._used)
        name = self.place.folder / f"{self.settings.group_id}-{self._used}"
        clicks, sent, plan = (name.with_suffix(f".{part}") for part in ("clicks", "sent", "plan"))
        clicks.write_bytes(msgspec.msgpack.encode(self._clicks[self._used : self._used + count]))
        plan.write_bytes(
            msgspec.json.encode({"clicks": str(clicks), "a_second": a_second, "sent": str(sent)})
        )
        self._used += count
        taken = asyncio.run(self._run(lambda: self._start(plan), count))
        taken["batches"] = msgspec.json.decode(sent.read_bytes())
        return figures(a_second, taken)

    def _start(self, plan):
        command = [sys.executable, "-m", "tests.benchmarks.stream.sender", str(plan)]
        return subprocess.Popen(command, env=environment(self.settings))

    async def _run(self, start_sender, count):
        settings, topic = self.settings, self.settings.recommendations_topic
        reader = await new_topic_reader(settings, topic, from_beginning=False, client_id="bench")
        inputs = await new_topic_reader(
            settings, settings.clicks_topic, from_beginning=False, client_id="bench-in"
        )
        before = self._cpu()
        sender = start_sender()
        try:
            answers = await self._read_answers(reader, sender, count)
            after = self._cpu()
            appended = await _appended(inputs, settings, time.monotonic() + 60)
        finally:
            if sender.wait(60):
                raise RuntimeError(f"the sender ended with {sender.returncode}")
            await reader.stop()
            await inputs.stop()
        used = [b - a for a, b in zip(before, after, strict=True)]
        return {"answers": answers, "appended": appended, "cpu": used}

    def _cpu(self):
        """Seconds of computing of the process, the broker and the whole machine, and the clock's time."""
        mine = cpu_s(self.process.process.pid)
        return mine, cpu_s(self.place.broker.pid), machine_cpu_s(), time.monotonic()

    async def _read_answers(self, reader, sender, count):
        """Of each answer: partition, value, append time in ms, when it was read by the monotonic clock."""
        answers, deadline = [], None
        while len(answers) < count:
            fetched = await reader.getmany(timeout_ms=200)
            now = time.monotonic()
            for tp, records in fetched.items():
                answers += [(tp.partition, record.value, record.timestamp, now) for record in records]
            if deadline is None and sender.poll() is not None:
                deadline = now + DRAINED_S
            if not self.process.running or (deadline and now > deadline):
                raise TimeoutError(f"{len(answers)} of {count} clicks answered\n{self.process.tail()}")
        return answers


async def _appended(reader, settings, deadline):
    """By partition and offset: append time in ms and value of the clicks since the reader was made."""
    found = {}
    ends = await end_offsets(reader, settings, settings.clicks_topic)
    for partition, end in ends.items():
        tp = TopicPartition(settings.clicks_topic, partition)
        while await reader.position(tp) < end:
            for record in (await reader.getmany(tp, timeout_ms=500)).get(tp, ()):
                found[partition, record.offset] = record.timestamp, record.value
            if time.monotonic() > deadline:
                raise TimeoutError(f"the clicks of partition {partition} are not read back")
    return found


def figures(a_second, taken):
    """Percentiles of both ways, the pace that was kept, CPU, and p99 of each second.

    Args:
        a_second: the offered load.
        taken: answers, appended clicks, CPU and the sender's batches.
    """
    appended = taken["appended"]
    sent_at, late = {}, []
    for partition, offset, size, moment, behind in taken["batches"]:
        late.append(behind)
        sent_at |= {(partition, offset + place): moment for place in range(size)}
    forwarded = _places(appended) if _forwards(taken["answers"]) else None
    to_append, to_read, by_second, answered = [], [], defaultdict(list), set()
    began = min(sent_at.values())
    for partition, value, timestamp, now in taken["answers"]:
        one = _decoder.decode(value)
        place = forwarded[one.visitor, one.time] if forwarded else (partition, one.click["offset"])
        if place in answered or place not in sent_at:
            continue  # answered twice, or a click of the step before
        answered.add(place)
        to_append.append(timestamp - appended[place][0])
        to_read.append((now - sent_at[place]) * 1000)
        by_second[int(sent_at[place] - began)].append(to_append[-1])
    worker_s, broker_s, machine_s, clock_s = taken["cpu"]
    seconds = max(sent_at.values()) - began
    return {
        "offered_a_second": a_second,
        "sent_a_second": round(len(sent_at) / max(seconds, 0.001)),
        "clicks": len(answered),
        **_percentiles(to_append),
        "send_to_read": _percentiles(to_read),
        "sender_late_p99_ms": round(percentile(sorted(late), 99) * 1000, 2),
        "cpu_us_a_click": round(worker_s / len(answered) * 1e6, 1),
        "worker_cores": round(worker_s / clock_s, 2),
        "broker_cores": round(broker_s / clock_s, 2),
        "others_cores": round((machine_s - worker_s - broker_s) / clock_s, 2),
        "p99_ms_of_each_second": [percentile(sorted(by_second[s]), 99) for s in sorted(by_second)],
    }


def _forwards(answers):
    return _decoder.decode(answers[0][1]).click is None


def _places(appended):
    """Partition and offset of each click by its visitor and time, for those who send on the click itself."""
    named = {place: _decoder.decode(value) for place, (_, value) in appended.items()}
    return {(one.visitor, one.time): place for place, one in named.items()}


def _percentiles(values):
    ordered = sorted(values)
    return {name: round(float(percentile(ordered, percent)), 2) for name, percent in PERCENTILES.items()}


def run_latency(place, options):
    """The figures at a thousand a second of nextclick and its peers, and nextclick's curve."""
    measured_s, warm_s = (3, 2) if options.quick else (60, 30)
    contests = [Contender("nextclick", "nextclick", options.presets[0])]
    # Plain Faust does not keep up with the load.
    peers = () if options.quick else options.peers
    contests += [Contender(peer, peer) for peer in peers if peer != "faust_plain"]
    found = {}
    for contender in contests:
        ours = contender.preset is not None
        with _started(place, options, contender, (warm_s + measured_s) * A_SECOND, ours) as stream:
            first = stream.step(A_SECOND, warm_s)
            _say(f"{contender.name}, the first {warm_s} s", first)
            steady = stream.step(A_SECOND, measured_s)
            _say(contender.name, steady)
            found[contender.name] = {"does": DOES[contender.kind], **steady, "first_s": first}
            if ours:
                curve = _curve(stream, options)
    ours = found["nextclick"]
    return {
        "latency": {
            **{name: ours[name] for name in PERCENTILES},
            "offered_a_second": A_SECOND,
            "seconds": measured_s,
            "of_goal": {name: round(ours[name] / goal, 2) for name, goal in GOAL_MS.items()},
            "preset": options.presets[0],
            "contenders": found,
            "curve": curve,
        }
    }


def _curve(stream, options):
    steps = []
    for a_second, seconds in _curve_steps(options):
        steps.append(stream.step(a_second, seconds))
        _say(f"{a_second:,}/s", steps[-1])
        if steps[-1]["p50_ms"] > SATURATED_MS:
            break
    return steps


def _curve_steps(options):
    if options.quick:
        return [(a_second, QUICK_CURVE_S) for a_second in QUICK_CURVE if options.plot]
    return [(a_second, min(CURVE_S, MOST_OF_A_STEP / a_second)) for a_second in CURVE]


def _started(place, options, contender, clicks, with_curve):
    """A process that answers, as a context: sessions learnt, a first click answered."""
    settings, process = prepare(place, options, contender, f"latency-{contender.name}".replace("_", "-"))
    if with_curve:
        clicks += round(sum(a_second * seconds for a_second, seconds in _curve_steps(options)))
    on_the_wire = wire(clicks_of(place.load, clicks + 100, SECONDS_A_SESSION), place.partitions)
    fill(settings, place.load, [])
    return _Started(Stream(place, settings, process, on_the_wire))


class _Started:
    """Starts a stream's process and waits until it has answered a first few clicks; kills it at the end."""

    def __init__(self, stream):
        self._stream = stream

    def __enter__(self):
        self._stream.process.start()
        self._stream.step(100, 1)
        return self._stream

    def __exit__(self, *_):
        self._stream.process.__exit__()


def _say(what, step):
    say(
        f"  {what}: p50 {step['p50_ms']:.0f}, p99 {step['p99_ms']:.0f}, max {step['max_ms']:.0f} ms to "
        f"append; p50 {step['send_to_read']['p50_ms']:.1f}, p99 {step['send_to_read']['p99_ms']:.1f} ms send "
        f"to read; worker {step['worker_cores']:.2f}, broker {step['broker_cores']:.2f}, others "
        f"{step['others_cores']:.2f} cores"
    )
