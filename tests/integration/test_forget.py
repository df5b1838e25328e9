"""``nextclick forget`` on a real Kafka with a real worker: who is forgotten is nowhere, all else is exact."""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import NamedTuple

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from core.errors import ExplainError
from core.index import SessionIndex
from core.window.clicks import Click
from core.window.sessions import ClosedSession
from stream_app.index.feed import IndexFeed
from stream_app.operations.explain import explain
from stream_app.settings import Settings
from stream_app.telemetry import Telemetry
from tests.exact_stream import MESSY_WINDOW, wait_exact
from tests.faults.exact import check_tables
from tests.kafka_admin import administer
from tests.oracles.answers_again import answers_again
from tests.oracles.index_contents import contents
from tests.oracles.whole_log import BEGIN_MS, Expected, expected_of, messy_clicks
from tests.worker_process import (
    Topics,
    WorkerProcess,
    create_topics,
    read_topic,
    read_topics,
    run_nextclick,
    send_clicks,
    wait_until,
)

GONE = ["v1", "v2", "v3"]
CLICKS = messy_clicks(30, 2400, visitors=12)


class Played(NamedTuple):
    """A stream in whose middle visitors were forgotten, its worker stopped."""

    settings: Settings
    worker: WorkerProcess
    before: Topics
    seen: Topics
    expected: Expected
    report: dict
    metrics: dict[str, float]


@pytest.fixture(scope="module")
def played(kafka, tmp_path_factory) -> Played:
    """Half of a messy stream, a request for three visitors, the other half, in which they come again."""
    names = ("clicks", "recommendations", "sessions", "dead_letters")
    settings = Settings(
        bootstrap_servers=kafka,
        group_id="forgetting",
        data_dir=tmp_path_factory.mktemp("forgetting") / "data",
        partitions=3,
        **{f"{name}_topic": f"forgetting-{name}" for name in names},
        **MESSY_WINDOW,
    )
    create_topics(settings)
    with WorkerProcess(settings) as worker:
        worker.start().wait_ready()
        send_clicks(settings, CLICKS[:1200])
        before, _ = wait_exact(settings, [worker])
        file = settings.data_dir.parent / "visitors"
        file.write_text("v2\nv3\n\n")
        done = run_nextclick(settings, "forget", "v1", "v2", "--file", str(file), "--json")
        assert (done.returncode, done.stderr) == (0, "")
        send_clicks(settings, CLICKS[1200:])
        seen, expected = wait_exact(settings, [worker])
        metrics = worker.by_label("nextclick_clicks_total")
        assert worker.terminate()[0] == 0
    return Played(settings, worker, before, seen, expected, json.loads(done.stdout), metrics)


def index_of(settings: Settings) -> SessionIndex:
    """What a worker that starts now makes of the sessions topic, and of the snapshot in its folder."""
    feed = IndexFeed(settings, Telemetry())

    async def feed_up() -> None:
        await feed.start()
        await feed.wait_caught_up()
        await feed.stop()

    asyncio.run(feed_up())
    return feed.index


def remaining(seen: Topics) -> list[ClosedSession]:
    """The closed sessions but those of forgotten visitors that began before the request, each once."""
    asked = {
        (partition, record.key.decode()): record.offset
        for partition, log in seen.clicks.items()
        for record in log
        if record.forgets
    }
    first = {session.session: session for session in reversed(seen.sessions)}
    kept = []
    for session in dict.fromkeys(first[s.session] for s in seen.sessions):
        partition, _, offset = session.session.partition("-")
        if int(offset) > asked.get((int(partition), session.visitor), -1) and not session.overlong:
            kept.append(session)
    return kept


def test_the_request_was_obeyed_in_every_partition(played):
    """The report counts visitors, requests and what was obeyed, says what is kept, and names nobody."""
    report = played.report
    assert (report["visitors"], report["requests"], report["obeyed"], report["waiting"]) == (3, 9, 9, [])
    assert (report["sessions"], report["erased"]) == (None, 0)
    assert played.metrics["forget"] == 9
    until = {one["topic"].partition("-")[2]: one["until"] for one in report["kept"]}
    assert until.keys() == {"clicks", "recommendations", "dead_letters", "sessions"}
    assert until["sessions"] == "for ever"
    assert until["clicks"] == "7 days to 14 days after its append"
    assert len(played.seen.entries) - len(played.seen.sessions) == 9
    assert "v1" not in json.dumps(report)
    assert "v1" not in played.worker.log.read_text()


def test_the_stream_is_as_the_core_has_it(played):
    """Who is forgotten had an open session and closed ones, and begins anew; state and answers are exact."""
    first = expected_of(played.settings, played.before.clicks)
    open_then = {visitor for _, visitor in first.states}
    assert open_then & set(GONE)
    assert {session.visitor for session in first.closed.values()} >= set(GONE)
    dropped = {s.session for s in first.open.values() if s.visitor in GONE}
    assert dropped.isdisjoint(session.session for session in played.seen.sessions)
    again = remaining(played.seen)
    assert {session.visitor for session in again} >= set(GONE), "they came again"
    check_tables(played.settings, played.expected, played.seen, [played.worker.data_dir])
    asked = [
        (place[0], played.expected.queries[place], answer.index_offset)
        for place, answers in played.seen.answers.items()
        for answer in answers
    ]
    computed = answers_again(played.settings, played.seen.entries, asked)
    assert {place: answers[-1] for place, answers in played.seen.answers.items()} == computed


def test_no_index_has_them(played, tmp_path):
    """From the snapshot, from one of before the request, and from the topic alone: what remains, no more."""
    plain = SessionIndex(played.settings.index_sessions)
    plain.add(remaining(played.seen))
    shutil.copytree(played.worker.data_dir / "index", tmp_path / "index")
    settings = played.settings.model_copy(update={"data_dir": tmp_path})
    assert contents(index_of(settings)) == contents(plain)
    shutil.rmtree(tmp_path / "index")
    assert contents(index_of(settings)) == contents(plain)


def test_a_click_of_before_is_explained_unless_it_was_theirs(played):
    """Answers of others come out as they were given; of who is forgotten nothing is shown."""
    place = max(p for p in played.before.answers if played.before.answers[p][0].visitor not in GONE)
    explanation = asyncio.run(explain(played.settings, *place))
    assert (explanation.same, explanation.erased) == (True, 0)
    theirs = next(p for p, answers in played.before.answers.items() if answers[0].visitor == "v1")
    with pytest.raises(ExplainError, match="was forgotten: the request is at offset"):
        asyncio.run(explain(played.settings, *theirs))
    later = max(p for p, answers in played.seen.answers.items() if answers[0].visitor == "v1")
    assert asyncio.run(explain(played.settings, *later)).same
    partition, log = next(iter(played.seen.clicks.items()))
    request = next(record.offset for record in log if record.forgets)
    with pytest.raises(ExplainError, match="asks to forget a visitor and has no answer"):
        asyncio.run(explain(played.settings, partition, request))


def alter(settings: Settings, topic: str, configs: dict[str, str]) -> None:
    """Give a topic other settings."""
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs)
    administer(settings, lambda admin: admin.alter_configs([resource]))


def test_in_a_compacted_sessions_topic_they_are_erased(played):
    """Tombstones take the content out of the topic itself; topics check agrees, and the index is the same."""
    settings, topic = played.settings, played.settings.sessions_topic
    quick = {"cleanup.policy": "compact", "segment.ms": "500", "min.cleanable.dirty.ratio": "0.001"}
    append = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": str(8 * 1024 * 1024)}
    alter(settings, topic, quick | append)
    looked = json.loads(run_nextclick(settings, "forget", "v1", "--dry-run", "--json").stdout)
    assert looked["sessions"] > 3
    assert looked["requests"] == 0
    with WorkerProcess(settings, "second") as worker:
        worker.start().wait_ready()
        done = run_nextclick(settings, "forget", "v1", "--json")
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)["erased"] == looked["sessions"]

        # The segment that is written to is not compacted; another session begins the next one.
        numbers = iter(range(1000))

        def is_erased() -> bool:
            at = next(numbers)
            send_clicks(settings, [Click("w", "x", BEGIN_MS + 10_000_000 + at * 1_000_000)])
            return all(b'"visitor":"v1"' not in (r.value or b"") for r in read_topic(settings, topic))

        wait_until(is_erased, "the content is gone", 90, [worker])
        assert run_nextclick(settings, "topics", "check").returncode == 0
        assert worker.terminate()[0] == 0
    seen = read_topics(settings)
    plain = SessionIndex(settings.index_sessions)
    plain.add(remaining(seen))
    assert contents(index_of(settings)) == contents(plain)
    others = {p: answers[-1] for p, answers in played.seen.answers.items() if answers[-1].visitor not in GONE}
    place = max(others, key=lambda place: others[place].index_offset)
    assert asyncio.run(explain(settings, *place)).erased > 0


def test_a_request_that_nobody_obeys_is_said(settings):
    """Without a worker the command ends with 1 and says where, and a name that is none is refused."""
    create_topics(settings)
    done = run_nextclick(settings, "forget", "ann", "--timeout", "1")
    assert done.returncode == 1
    assert "0 of 4 requests obeyed; not within 1 s in partition 0, 1, 2, 3" in " ".join(done.stdout.split())
    assert run_nextclick(settings, "forget", "ann", "--timeout", "0").returncode == 0
    for arguments, why in (
        ([], "expected at least one visitor"),
        (["a" * 1025], "visitor 1 has 1025 bytes, expected 1 to 1024"),
    ):
        done = run_nextclick(settings, "forget", *arguments)
        assert (done.returncode, why in done.stderr) == (2, True)
