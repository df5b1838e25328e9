"""Clicks without their visitor for a key, through a worker that accepts, refuses or moves them."""

from __future__ import annotations

import asyncio
import random

from core.window.clicks import Click, encode_click
from core.window.placement import is_misplaced, partition_of
from core.window.step import Record
from stream_app.kafka.client import open_producer
from stream_app.operations.explain import explain
from stream_app.settings import Settings
from tests.oracles.whole_log import expected_of, messy_clicks
from tests.worker_process import (
    Topics,
    WorkerProcess,
    create_topics,
    read_topics,
    wait_done,
    wait_until,
)

PARTITIONS = 4


def prepared(settings: Settings, unkeyed: str) -> Settings:
    """Settings for the messy stream, and the topics."""
    changes = {"gap_s": 20.0, "grace_s": 5.0, "max_clicks": 8, "close_idle": False, "max_run_clicks": 50}
    settings = settings.model_copy(update={**changes, "unkeyed": unkeyed, "commit_interval_s": 0.3})
    create_topics(settings)
    return settings


def send_anywhere(settings: Settings, clicks: list[Click]) -> None:
    """Send clicks without a key, each to a partition of chance."""

    async def send() -> None:
        producer = await open_producer(settings, client_id="test", linger_ms=2)
        chance = random.Random(3)  # noqa: S311 -- the same each time
        sent = [
            await producer.send(
                settings.clicks_topic, encode_click(click), partition=chance.randrange(PARTITIONS)
            )
            for click in clicks
        ]
        await asyncio.gather(*sent)
        await producer.stop()

    asyncio.run(send())


def is_elsewhere(record: Record, partition: int) -> bool:
    """Whether a good click of the messy stream is not where it belongs."""
    visitor = visitor_of(record)
    return is_misplaced(record, visitor, partition, PARTITIONS)


def elsewhere_in(seen: Topics) -> dict[str, Record]:
    """The clicks that are not where they belong, by ``partition-offset``."""
    return {
        f"{partition}-{record.offset}": record
        for partition, log in seen.clicks.items()
        for record in log
        if is_elsewhere(record, partition)
    }


def visitor_of(record: Record) -> str:
    """The visitor, cut out of the JSON."""
    return (record.value or b"").split(b'"')[3].decode()


def without_misplaced(seen: Topics) -> dict[int, list[Record]]:
    """The logs with those clicks only that are where they belong."""
    return {
        partition: [record for record in log if not is_elsewhere(record, partition)]
        for partition, log in seen.clicks.items()
    }


def test_accepted_clicks_are_answered_where_they_are(settings):
    """By default nothing is refused: each is answered, counted as misplaced, and warned about once."""
    settings = prepared(settings, "accept")
    with WorkerProcess(settings) as worker:
        worker.start().wait_ready()
        send_anywhere(settings, messy_clicks(6, 400))
        seen = wait_done(settings, [worker])
        assert seen.answers.keys() == expected_of(settings, seen.clicks).queries.keys()
        elsewhere = elsewhere_in(seen)
        assert len(elsewhere) > 200
        assert worker.by_label("nextclick_misplaced_clicks_total") == {"accept": len(elsewhere)}
        assert worker.log.read_text().count("the record's key is not its visitor") == 1


def test_refused_clicks_are_dead_letters(settings):
    """Each misplaced click is a dead letter that says so, and the others make the sessions."""
    settings = prepared(settings, "refuse")
    with WorkerProcess(settings) as worker:
        worker.start().wait_ready()
        send_anywhere(settings, messy_clicks(6, 400))
        seen = wait_done(settings, [worker])
        expected = expected_of(settings, without_misplaced(seen))
        assert seen.answers.keys() == expected.queries.keys()
        elsewhere = elsewhere_in(seen)
        reasons = {f"{p}-{at}": letters[0].headers["reason"] for (p, at), letters in seen.dead.items()}
        assert {place for place, reason in reasons.items() if reason == "misplaced"} == elsewhere.keys()
        assert worker.by_label("nextclick_misplaced_clicks_total") == {"refuse": len(elsewhere)}
        assert worker.by_label("nextclick_dead_letters_total")["misplaced"] == len(elsewhere)


def moved_from(seen: Topics) -> dict[str, list[tuple[int, Record]]]:
    """Each copy with its partition, by what it is a copy of."""
    copies: dict[str, list[tuple[int, Record]]] = {}
    for partition, log in seen.clicks.items():
        for record in log:
            if record.moved_from is not None:
                copies.setdefault(record.moved_from, []).append((partition, record))
    return copies


def test_moved_clicks_count_once_through_kills(settings):
    """Every misplaced click comes to its visitor's partition, is answered there, and is one click of it."""
    settings = prepared(settings, "repartition")
    clicks = messy_clicks(6, 4000)
    with WorkerProcess(settings) as worker:
        worker.start().wait_ready()
        for part in range(4):
            send_anywhere(settings, clicks[part * 1000 : part * 1000 + 1000])
            if part % 2:
                worker.kill()
                worker.start().wait_ready()

        def done() -> bool:
            seen = read_topics(settings)
            placed = without_misplaced(seen)
            places = {(p, r.offset) for p, log in placed.items() for r in log}
            closed = {session.session for session in seen.sessions}
            return (
                elsewhere_in(seen).keys() <= moved_from(seen).keys()
                and places <= seen.answers.keys() | seen.dead.keys()
                and closed >= expected_of(settings, placed).closed.keys()
            )

        wait_until(done, "every click is moved and answered", workers=[worker])
        seen = read_topics(settings)
    copies = moved_from(seen)
    originals = elsewhere_in(seen)
    assert copies.keys() == originals.keys()
    assert len(originals) > 2000
    for origin, found in copies.items():
        visitor = visitor_of(originals[origin])
        for partition, copy in found:
            assert (copy.key, copy.value) == (visitor.encode(), originals[origin].value)
            assert partition == partition_of(visitor, PARTITIONS)
    placed = without_misplaced(seen)
    expected = expected_of(settings, placed)
    assert {session.session: session for session in seen.sessions} == expected.closed
    assert seen.answers.keys() == expected.queries.keys()
    for partition in placed:
        visitors = {visitor_of(record) for record in placed[partition]}
        assert {partition_of(visitor, PARTITIONS) for visitor in visitors} == {partition}
    places = [(p, record.offset) for found in copies.values() for p, record in found]
    assert asyncio.run(explain(settings, *next(place for place in places if place in seen.answers))).same
