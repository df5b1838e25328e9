"""What a kill, a takeover and a join leave of counts and answers: Faust's guarantees beside nextclick's.

Clicks of :data:`KEYS` visitors are sent at a pace to a counter of clicks a visitor: the plainest Faust agent
with a table (``counting_faust.py``), and nextclick, whose open sessions and answers have the same count. A
third of the way a worker is killed or joins; one that ends by itself is started again.

At the end, with readers in read_committed, each visitor's count is held against the clicks sent: the one in
the answer to the visitor's last click, and the one that the changelog has, which a successor begins with.
Lost is a click without an answer :data:`PATIENCE_S` after the last new one; doubled, one with several.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from core.window.changelog import restore
from core.window.clicks import Click
from core.window.step import PartitionState
from stream_app.kafka.client import new_topic_reader
from stream_app.kafka.topics import changelog_topic
from tests.benchmarks.stream.load import BEGIN_S
from tests.benchmarks.stream.place import make_topics, new_worker, say
from tests.faults.exact import entry_of
from tests.worker_process import WorkerProcess, read_topic, sending, wait_until

KEYS: Final = 500
CLICKS_A_SECOND: Final = 300.0

#: Of a plan, and of one of the short form.
CLICKS: Final = 9_000
QUICK_CLICKS: Final = 1_200

#: Seconds without one more answered click, all being sent, after which the others are lost.
PATIENCE_S: Final = 60.0

#: Seconds from the last answer until the changelog has all that it is going to have, at most, and between two
#: looks: Faust commits every 2.8 s.
SETTLED_S: Final = 30.0
QUICK_SETTLED_S: Final = 8.0
COMMITTED_S: Final = 3.0

#: Milliseconds that a look waits for answers.
LOOK_MS: Final = 200

#: Starts of workers that have ended by themselves, at most; then they stay away.
STARTS: Final = 5

#: The name of an exception at the beginning of a line of a log.
ERROR: Final = re.compile(r"^(?:[a-z_.]+\.)?([A-Z]\w+(?:Error|Exception|Fenced))\b", re.MULTILINE)

#: Who is tried, with which guarantee.
TRIED: Final = (("faust", "at_least_once"), ("faust", "exactly_once"), ("nextclick", "exactly_once"))

COUNTING_FAUST: Final = [sys.executable, str(Path(__file__).with_name("counting_faust.py")), "worker"]


class Plan(NamedTuple):
    """What happens.

    Args:
        name: in the tables.
        at_first: workers that are ready before the first click.
        killed: the first of them is killed.
        started: the last worker that is started then; it is the killed one, or joins.
    """

    name: str
    at_first: int
    killed: bool
    started: bool


PLANS: Final = {
    "restarted": Plan("killed with -9, started at once", 1, killed=True, started=True),
    "taken_over": Plan("one of two killed with -9", 2, killed=True, started=False),
    "joined": Plan("a second one joins", 1, killed=False, started=True),
}


class Found(NamedTuple):
    """What was found at the end of a plan.

    Args:
        answer_high: visitors whose last click was answered with too high a count.
        answer_low: with too low a count.
        changelog_high: visitors of whom the changelog has too high a count.
        changelog_low: too low a one, or none.
        lost: clicks without an answer.
        doubled: clicks with more than one.
        ended: times that a worker ended by itself; beyond :data:`STARTS` none is started again.
        errors: the exceptions that they ended by.
        seconds: from the first click to the last answer.
    """

    answer_high: int
    answer_low: int
    changelog_high: int
    changelog_low: int
    lost: int
    doubled: int
    ended: int
    errors: list[str]
    seconds: float


def run_exactness(place, options):
    """What each plan leaves of each that is tried, round by round."""
    clicks = _clicks(QUICK_CLICKS if options.quick else CLICKS)
    tried = [one for one in TRIED if one[1] == "exactly_once" or not options.quick]
    settle_s = QUICK_SETTLED_S if options.quick else SETTLED_S
    found = [
        {"plan": PLANS[plan].name, "who": who, "guarantee": guarantee, "rounds": []}
        for plan in options.plans
        for who, guarantee in tried
    ]
    for number in range(1, options.rounds + 1):
        for at, (plan, (who, guarantee)) in enumerate((p, t) for p in options.plans for t in tried):
            case = f"exactness-{plan}-{who}-{guarantee}-{number}".replace("_", "-")
            settings = place.settings(case, guarantee=guarantee, close_idle=False, preset="pop")
            one = _run(settings, who, PLANS[plan], clicks, settle_s)
            found[at]["rounds"].append(one._asdict())
            say(f"  round {number}, {PLANS[plan].name}, {who} {guarantee}: {one._asdict()}")
    load = {"clicks": len(clicks), "visitors": KEYS, "clicks_a_second": CLICKS_A_SECOND}
    return {"exactness": {**load, "cases": found}}


def _clicks(number):
    """Clicks of each visitor in turn, each of an item of its own: the item tells the click."""
    return [Click(f"visitor-{n % KEYS}", f"click-{n}", round(BEGIN_S * 1000) + 10 * n) for n in range(number)]


def _run(settings, who, plan, clicks, settle_s):
    sent = Counter(click.visitor for click in clicks)
    make_topics(settings, changelog=who == "nextclick")
    with ExitStack() as stack:
        answers = stack.enter_context(Answers(settings))
        new = new_worker if who == "nextclick" else _new_faust
        workers = [stack.enter_context(new(settings, f"worker-{n}")) for n in (1, 2)]
        group = Group(workers[: plan.at_first])
        group.wait_ready(who)
        began = time.monotonic()
        with sending(settings, clicks, CLICKS_A_SECOND) as sender:
            group.live(answers, lambda: time.monotonic() - began > len(clicks) / CLICKS_A_SECOND / 3)
            if plan.killed:
                workers[0].kill()
                group.members.remove(workers[0])
            if plan.started:
                group.add(workers[0] if plan.killed else workers[1])
            group.live(answers, lambda: not sender.is_alive())
        answers.give_up_s = time.monotonic() + PATIENCE_S
        group.live(answers, lambda: len(answers.times) == len(clicks) or time.monotonic() > answers.give_up_s)
        seconds = answers.last_s - began
        read, held = _nextclick_counts if who == "nextclick" else _faust_counts, {}
        settled = time.monotonic() + settle_s
        # Too low may be what is not committed yet; too high stays so.
        while time.monotonic() < settled and _wrong(held, sent)[1]:
            look_on = time.monotonic() + COMMITTED_S
            group.live(answers, lambda at=look_on: time.monotonic() > at)
            held = read(settings)
    # A key whose last click has no answer is among the lost, and no wrong count.
    last = {click.visitor: click.item for click in clicks}
    said = {visitor: answers.positions.get(item, sent[visitor]) for visitor, item in last.items()}
    return Found(
        *_wrong(said, sent),
        *_wrong(held, sent),
        lost=len(clicks) - len(answers.times),
        doubled=sum(times > 1 for times in answers.times.values()),
        ended=group.ended,
        errors=sorted(group.errors),
        seconds=round(seconds, 1),
    )


def _wrong(counts, sent):
    """How many visitors have too high a count, and how many too low a one."""
    off = [counts.get(visitor, 0) - clicks for visitor, clicks in sent.items()]
    return sum(one > 0 for one in off), sum(one < 0 for one in off)


class Group:
    """Workers that are to live; one that ends by itself is started again."""

    def __init__(self, workers):
        self.members = []
        self.ended = 0
        self.errors = set()
        for worker in workers:
            self.add(worker)

    def add(self, worker):
        """Start one more."""
        self.members.append(worker.start())

    def wait_ready(self, who):
        """Wait until all are ready; Faust says it in its log."""
        for worker in self.members:
            if who == "nextclick":
                worker.wait_ready()
            else:
                wait_until(
                    lambda log=worker.log: "Worker ready" in log.read_text(errors="replace"),
                    "a Faust worker is ready",
                    workers=[worker],
                )

    def live(self, answers, done):
        """Read answers and start what has ended until something is so."""
        while not done():
            answers.look()
            for worker in self.members:
                if not worker.running and self.ended <= STARTS:
                    self.ended += 1
                    self.errors.update(ERROR.findall(worker.log.read_text(errors="replace"))[-1:])
                    if self.ended <= STARTS:
                        worker.start()


class Answers:
    """The committed answers, read on with each look.

    Attributes:
        times: by item, how many answers its click has.
        positions: by item, the count in the last of them.
        last_s: when the last click got its first answer, by the monotonic clock.
        give_up_s: when those that miss still are lost; later with each that comes.
    """

    def __init__(self, settings):
        self.times = Counter()
        self.positions = {}
        self.last_s = self.give_up_s = time.monotonic()
        self._settings = settings
        self._runner = asyncio.Runner()

    def __enter__(self):
        topic = self._settings.recommendations_topic
        self._reader = self._runner.run(new_topic_reader(self._settings, topic, from_beginning=True))
        return self

    def __exit__(self, *_):
        self._runner.run(self._reader.stop())
        self._runner.close()

    def look(self):
        """Read what has come, or comes soon."""
        before = len(self.times)
        for records in self._runner.run(self._reader.getmany(timeout_ms=LOOK_MS)).values():
            for record in records:
                answer = msgspec.json.decode(record.value)
                self.times[answer["item"]] += 1
                self.positions[answer["item"]] = answer["position"]
        if len(self.times) > before:
            self.last_s = time.monotonic()
            self.give_up_s = self.last_s + PATIENCE_S


def _new_faust(settings, name):
    return WorkerProcess(settings, name, [*COUNTING_FAUST, "--without-web", "-l", "info"])


def _faust_counts(settings):
    """What the changelog of Faust's table comes to."""
    counts = {}
    for record in read_topic(settings, f"{settings.group_id}-counts-changelog"):
        counts[msgspec.json.decode(record.key)] = msgspec.json.decode(record.value)
    return counts


def _nextclick_counts(settings):
    """The clicks of the open sessions that nextclick's changelog comes to."""
    entries = {}
    for record in read_topic(settings, changelog_topic(settings)):
        entries.setdefault(record.partition, []).append(entry_of(record))
    return {
        visitor: state.session.total
        for of_partition in entries.values()
        for visitor, state in restore(of_partition, PartitionState(), {}).visitors.items()
    }
