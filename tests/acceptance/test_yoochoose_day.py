"""Six days of real clicks, then the test day, through a real worker, against the pure core."""

from __future__ import annotations

import csv
import gzip
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from core.measure.prequential import CUTOFF
from core.window.clicks import Click
from stream_app.settings import Settings
from tests.oracles.answers_again import answers_again
from tests.oracles.whole_log import Expected, expected_of
from tests.worker_process import (
    Topics,
    WorkerProcess,
    create_topics,
    read_topics,
    send_clicks,
    sending,
    wait_until,
)

#: Pace of the test day: its sessions close and are learnt while it goes on, as they would be on that day.
TEST_CLICKS_A_SECOND = 1500.0


class Day(NamedTuple):
    """What went through, and what came of it."""

    settings: Settings
    seen: Topics
    expected: Expected
    first_test_ms: int
    train_clicks_a_second: float


def clicks_of(path: Path) -> list[Click]:
    """The clicks of a file by time; clicks of one time in the file's order."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        clicks = [
            Click(row["SessionId"], row["ItemId"], round(float(row["Time"]) * 1000))
            for row in csv.DictReader(lines, delimiter="\t")
        ]
    return sorted(clicks, key=lambda click: click.time_ms)


@pytest.fixture(scope="module")
def day(data, kafka, tmp_path_factory) -> Day:
    """The history as fast as it goes, then the test day at a pace."""
    settings = Settings(
        bootstrap_servers=kafka,
        group_id="day",
        clicks_topic="day-clicks",
        recommendations_topic="day-recommendations",
        sessions_topic="day-sessions",
        dead_letters_topic="day-dead",
        data_dir=tmp_path_factory.mktemp("day") / "data",
        gap_s=1800,
        exclude="none",
        close_idle=False,
    )
    train = clicks_of(data / "yoochoose_100k" / "train_full.txt.gz")
    test = clicks_of(data / "yoochoose_100k" / "test.txt.gz")
    assert train[-1].time_ms < test[0].time_ms
    create_topics(settings)
    send_clicks(settings, train)
    with WorkerProcess(settings) as worker:
        worker.start()

        def counted() -> float:
            return worker.metrics().get("nextclick_clicks_total", 0)

        wait_until(lambda: counted() > 0, "the history begins", 120, [worker])
        before, began = counted(), time.monotonic()
        wait_until(lambda: counted() == len(train), "the history is read", 120, [worker])
        rate = (len(train) - before) / (time.monotonic() - began)
        with sending(settings, test, TEST_CLICKS_A_SECOND):
            pass
        wait_until(lambda: counted() == len(train) + len(test), "the day is read", 60, [worker])
        closed = len(expected_of(settings, read_topics(settings).clicks).closed)
        wait_until(
            lambda: worker.metrics()["nextclick_index_offset"] == closed, "all is closed", 30, [worker]
        )
        assert worker.terminate()[0] == 0
    seen = read_topics(settings)
    return Day(settings, seen, expected_of(settings, seen.clicks), test[0].time_ms, rate)


def quality(day: Day, items_of: dict[tuple[int, int], list[str]]) -> tuple[float, float, int]:
    """HR@20 and MRR@20 of the test day: each answer judged by the next click of its session."""
    ranks, judged, last = 0.0, 0, {}
    hits = 0
    for place in sorted(day.expected.queries):
        query = day.expected.queries[place]
        before = last.get(query.session)
        last[query.session] = place
        if before is None or day.expected.queries[before].time_ms < day.first_test_ms:
            continue
        judged += 1
        items = items_of[before][:CUTOFF]
        if query.item in items:
            hits += 1
            ranks += 1 / (items.index(query.item) + 1)
    return hits / judged, ranks / judged, judged


def test_one_recommendation_a_click(day):
    """Every click of both files has one answer, beside it, and nothing is a dead letter."""
    assert sum(map(len, day.seen.clicks.values())) == 70_278 + 13_568
    assert day.seen.answers.keys() == day.seen.places
    assert {len(answers) for answers in day.seen.answers.values()} == {1}
    assert (day.seen.strays, day.seen.dead) == ([], {})


def test_the_closed_sessions_are_those_of_the_core(day):
    """The sessions topic has each session that the core closes on the log, once and alike."""
    assert len(day.seen.sessions) == len(day.expected.closed)
    assert {session.session: session for session in day.seen.sessions} == day.expected.closed


def test_the_quality_is_the_core_s_own(day, capsys):
    """HR@20 and MRR@20 of the test day are those that the core gets with the index of each answer."""
    answers = {place: answers[0] for place, answers in day.seen.answers.items()}
    asked = [
        (place[0], query, answers[place].index_offset)
        for place, query in day.expected.queries.items()
        if query.time_ms >= day.first_test_ms
    ]
    again = answers_again(day.settings, day.seen.entries, asked)
    assert again == {place: answers[place] for place in again}
    hit_rate, mrr, judged = quality(day, {p: [i.item for i in a.items] for p, a in answers.items()})
    with capsys.disabled():
        print(  # noqa: T201 -- the figures are what this test is run for
            f"\nyoochoose test day: HR@20 {hit_rate:.3f}, MRR@20 {mrr:.3f} over {judged} clicks"
            f" (gap 30 min, exclude none, {day.settings.preset}); history at"
            f" {day.train_clicks_a_second:,.0f} clicks/s"
        )
    assert judged > 10_000
    assert hit_rate > 0.65
    assert mrr > 0.34
