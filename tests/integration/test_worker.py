"""The running worker: one process, real Kafka, a stream with everything in it, against the pure core."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import pytest

from core.window.clicks import BAD_REASONS, Click, encode_click
from stream_app.settings import Settings
from tests.oracles.answers_again import answers_again
from tests.oracles.whole_log import BEGIN_MS, Expected, expected_of, messy_clicks
from tests.worker_process import (
    Topics,
    WorkerProcess,
    create_topics,
    send_clicks,
    send_records,
    wait_done,
)

MIB = 1024 * 1024

#: Records that are no clicks, each with the reason that it must be given.
BAD_RECORDS: list[tuple[str, bytes | None]] = [
    ("null", None),
    ("null", b"null"),
    ("too_large", b"x" * MIB),
    ("not_utf8", b'{"visitor": "a\xff", "item": "b", "time": 1}'),
    ("not_json", b""),
    ("not_json", b"visitor=a"),
    ("not_json", b'{"visitor": "a", "item": "b", "time": 1'),
    ("not_json", b'{"visitor": "a\\ud800", "item": "b", "time": 1}'),
    ("wrong_type", b"[" * 50_000),
    ("wrong_type", b"17"),
    ("wrong_type", b'["a", "b", 1]'),
    ("wrong_type", b'{"visitor": 5, "item": "b", "time": 1}'),
    ("wrong_type", b'{"visitor": "a", "item": ["b"], "time": 1}'),
    ("wrong_type", b'{"visitor": "a", "item": "b", "time": null}'),
    ("wrong_type", b'{"visitor": "a", "item": "b", "time": 1, "id": 7}'),
    ("missing_field", b"{}"),
    ("missing_field", b'{"visitor": "a", "item": "b"}'),
    ("empty_string", b'{"visitor": "", "item": "b", "time": 1}'),
    ("empty_string", b'{"visitor": "a", "item": "", "time": 1}'),
    ("bad_time", b'{"visitor": "a", "item": "b", "time": NaN}'),
    ("bad_time", b'{"visitor": "a", "item": "b", "time": -Infinity}'),
    ("bad_time", b'{"visitor": "a", "item": "b", "time": -1}'),
    ("bad_time", b'{"visitor": "a", "item": "b", "time": "yesterday"}'),
    ("bad_time", b'{"visitor": "a", "item": "b", "time": 1e300}'),
    ("future", b'{"visitor": "a", "item": "b", "time": "2900-01-01T00:00:00Z"}'),
    ("late", b'{"visitor": "a", "item": "b", "time": 0}'),
]


class Played(NamedTuple):
    """A stream that went through a worker: what it was given, what came of it, what it should."""

    settings: Settings
    seen: Topics
    expected: Expected
    metrics: dict[str, float]
    outcomes: dict[str, float]
    reasons: dict[str, float]
    causes: dict[str, float]
    open_sessions: dict[str, float]


@pytest.fixture(scope="module")
def played(kafka, tmp_path_factory) -> Played:
    """A messy stream with every kind of bad record in the middle, through one worker."""
    settings = Settings(
        bootstrap_servers=kafka,
        group_id="played",
        clicks_topic="played-clicks",
        recommendations_topic="played-recommendations",
        sessions_topic="played-sessions",
        dead_letters_topic="played-dead",
        data_dir=tmp_path_factory.mktemp("played") / "data",
        gap_s=20,
        grace_s=5,
        max_clicks=8,
        close_idle=False,
        max_run_clicks=100,
        guarantee="at_least_once",  # a transaction's marker takes an offset of its own
    )
    clicks = messy_clicks(1, 3000)
    create_topics(settings)
    with WorkerProcess(settings) as worker:
        worker.start()
        send_clicks(settings, clicks[:1500])
        worker.wait_ready()
        bad = [(None if at % 2 else b"k\xff", value) for at, (_, value) in enumerate(BAD_RECORDS)]
        asyncio.run(send_records(settings, bad))
        wait_done(settings, [worker])
        send_clicks(settings, clicks[1500:])
        seen = wait_done(
            settings, [worker], sessions=lambda seen: len(expected_of(settings, seen.clicks).closed)
        )
        return Played(
            settings,
            seen,
            expected_of(settings, seen.clicks),
            worker.metrics(),
            worker.by_label("nextclick_clicks_total"),
            worker.by_label("nextclick_dead_letters_total"),
            worker.by_label("nextclick_sessions_closed_total"),
            worker.by_label("nextclick_open_sessions"),
        )


def test_the_stream_has_everything_in_it(played):
    """The stream is worth the tests below: every outcome and every cause but idle occur in it."""
    assert played.outcomes.keys() == {
        "joined", "opened", "overlong", "duplicate", "late", "future", "bad",
    }  # fmt: skip
    assert {session.cause for session in played.expected.closed.values()} == {"gap", "watermark"}
    assert {letter.reason for letter in played.expected.dead.values()} == {*BAD_REASONS, "late", "future"}
    assert len(played.expected.open) > 5


def test_every_click_has_one_answer_beside_it(played):
    """One answer a click, keyed by visitor in the click's partition, with its place, item and session."""
    assert played.seen.strays == []
    assert played.seen.answers.keys() == played.expected.queries.keys()
    for place, answers in played.seen.answers.items():
        (answer,) = answers
        query = played.expected.queries[place]
        assert (answer.visitor, answer.item) == (query.visitor, query.item)
        assert (answer.session, answer.position) == (query.session, len(query.items))


def test_every_answer_can_be_computed_again(played):
    """With the sessions up to its index offset and the session's clicks, each answer comes out the same."""
    asked = [
        (place[0], played.expected.queries[place], answer.index_offset)
        for place, answers in played.seen.answers.items()
        for answer in answers
    ]
    again = answers_again(played.settings, played.seen.entries, asked)
    assert {place: answers[0] for place, answers in played.seen.answers.items()} == again


def test_an_answer_is_full_when_enough_is_known(played):
    """With 200 sessions known an answer has 20 different items, none of them the session's last."""
    late_ones = {place: a for place, (a,) in played.seen.answers.items() if a.index_offset > 200}
    assert len(late_ones) > 500
    for place, answer in late_ones.items():
        items = {item.item for item in answer.items}
        assert len(answer.items) == len(items) == 20
        assert played.expected.queries[place].items[-1] not in items


def test_the_closed_sessions_are_those_of_the_core(played):
    """The sessions topic has what the core closes on the log, each once and alike in every field."""
    assert len(played.seen.sessions) == len({session.session for session in played.seen.sessions})
    assert {session.session: session for session in played.seen.sessions} == played.expected.closed


def test_dead_letters_are_the_records_as_they_came(played):
    """Each unusable record is on dead-letters once: byte for byte, with why and whence in headers."""
    assert played.seen.dead.keys() == played.expected.dead.keys()
    for (partition, offset), letters in played.seen.dead.items():
        (found,) = letters
        expected = played.expected.dead[partition, offset]
        assert (found.key, found.value) == (expected.record.key, expected.record.value)
        assert found.headers == {
            "reason": expected.reason,
            "error": expected.detail,
            "topic": played.settings.clicks_topic,
            "partition": str(partition),
            "offset": str(offset),
        }


def test_every_kind_of_bad_record_has_its_reason(played):
    """What was sent as bad is a dead letter of the reason that belongs to it."""
    reasons = {
        letter.value: letter.headers["reason"] for (letter,) in played.seen.dead.values() if letter.value
    }
    for reason, value in BAD_RECORDS:
        if value:
            assert reasons[value] == reason
    nulls = [letter for (letter,) in played.seen.dead.values() if letter.value is None]
    assert [letter.headers["reason"] for letter in nulls] == ["null"]


def test_the_metrics_say_what_the_topics_show(played):
    """Clicks, answers, items, sessions by cause and dead letters by reason are counted as written."""
    metrics, seen = played.metrics, played.seen
    answers = [answer for (answer,) in seen.answers.values()]
    assert metrics["nextclick_clicks_total"] == sum(map(len, seen.clicks.values()))
    assert metrics["nextclick_recommendations_total"] == len(answers)
    assert metrics["nextclick_recommended_items_total"] == sum(len(answer.items) for answer in answers)
    assert metrics["nextclick_click_to_recommendation_seconds_count"] == len(answers)
    reasons = [letter.headers["reason"] for (letter,) in seen.dead.values()]
    assert played.reasons == {reason: reasons.count(reason) for reason in set(reasons)}
    causes = [session.cause for session in seen.sessions]
    assert played.causes == {cause: causes.count(cause) for cause in set(causes)}
    outcomes = [query.outcome for query in played.expected.queries.values()]
    for outcome in ("joined", "opened", "overlong", "duplicate"):
        assert played.outcomes[outcome] == outcomes.count(outcome)
    assert sum(played.open_sessions.values()) == len(played.expected.open)


def test_the_metrics_of_the_index_are_those_of_the_topic(played):
    """The index holds the sessions that are not a bot's; nothing of input or sessions is left unread."""
    metrics, sessions = played.metrics, played.seen.sessions
    kept = [session for session in sessions if not session.overlong]
    assert metrics["nextclick_index_sessions"] == len(kept) < len(sessions)
    assert metrics["nextclick_index_clicks"] == sum(len(session.items) for session in kept)
    assert metrics["nextclick_index_offset"] == len(sessions)
    assert metrics["nextclick_index_lag"] == metrics["nextclick_consumer_lag"] == 0


def test_the_prequential_figures_are_those_of_the_answers(played):
    """Hits and reciprocal ranks come out of the answers on the topic once more."""
    judged, ranks = 0, []
    for partition in played.seen.clicks:
        last = {}
        for place in sorted(place for place in played.expected.queries if place[0] == partition):
            query, (answer,) = played.expected.queries[place], played.seen.answers[place]
            before = last.get(query.visitor)
            if query.outcome == "joined" and before and before.session == query.session:
                judged += 1
                items = [item.item for item in before.items]
                ranks += [items.index(query.item) + 1] if query.item in items else []
            last[query.visitor] = answer
    assert played.metrics["nextclick_prequential_clicks_total"] == judged > 500
    assert played.metrics["nextclick_prequential_hits_total"] == len(ranks) > 100
    total = played.metrics["nextclick_prequential_reciprocal_rank_total"]
    assert total == pytest.approx(sum(1 / rank for rank in ranks))


def test_idle_partitions_close_by_the_clock_and_nothing_closes_twice(settings):
    """A silent partition's sessions close as idle; a visitor that comes back opens a new session."""
    settings = settings.model_copy(update={"gap_s": 3600.0, "idle_s": 2.0})
    create_topics(settings)
    early = [Click(f"v{n}", "a", BEGIN_MS + n) for n in range(40)]
    later = [Click(f"v{n}", "b", BEGIN_MS + 1000 + n) for n in range(40)]
    with WorkerProcess(settings) as worker:
        worker.start().wait_ready()
        send_clicks(settings, early)
        seen = wait_done(settings, [worker], sessions=lambda _: 40)
        assert {session.cause for session in seen.sessions} == {"idle"}
        assert {session.items for session in seen.sessions} == {("a",)}
        assert worker.metrics()["nextclick_open_sessions"] == 0
        send_clicks(settings, later)
        seen = wait_done(settings, [worker], sessions=lambda _: 80)
        assert len(seen.sessions) == len({session.session for session in seen.sessions}) == 80
        assert {session.items for session in seen.sessions} == {("a",), ("b",)}
        code, _ = worker.terminate()
        assert code == 0


def test_idle_closing_can_be_switched_off(settings):
    """With close_idle off a silent partition's sessions stay open, and event time still closes them."""
    settings = settings.model_copy(
        update={"gap_s": 60.0, "idle_s": 0.5, "close_idle": False, "partitions": 1}
    )
    create_topics(settings)
    with WorkerProcess(settings) as worker:
        worker.start().wait_ready()
        send_clicks(settings, [Click("a", "x", BEGIN_MS)])
        wait_done(settings, [worker])
        # Several ticks of a second each: one that closed would have closed by then.
        asyncio.run(asyncio.sleep(3))
        assert wait_done(settings, [worker]).sessions == []
        assert worker.metrics()["nextclick_open_sessions"] == 1
        value = encode_click(Click("b", "x", BEGIN_MS + 200_000))
        asyncio.run(send_records(settings, [(b"b", value)]))
        (closed,) = wait_done(settings, [worker], sessions=lambda _: 1).sessions
        assert (closed.visitor, closed.cause) == ("a", "watermark")
