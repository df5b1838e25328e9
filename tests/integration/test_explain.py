"""``nextclick explain`` on the topics that a worker has left: the same answer, or what is in the way."""

from __future__ import annotations

import asyncio
import json
import re

import msgspec
import pytest

from core.errors import ExplainError, TopicError
from core.window.clicks import Click
from stream_app.kafka.client import open_producer
from stream_app.operations.explain import Explanation, explain
from stream_app.settings import Settings
from tests.kafka_admin import delete_before
from tests.oracles.whole_log import BEGIN_MS, expected_of, messy_clicks
from tests.worker_process import (
    Topics,
    WorkerProcess,
    create_topics,
    run_nextclick,
    send_clicks,
    send_records,
    wait_done,
)


def explained(settings: Settings, place: tuple[int, int]) -> Explanation:
    """The explanation of a click."""
    return asyncio.run(explain(settings, *place))


@pytest.fixture(scope="module")
def played(kafka, tmp_path_factory) -> tuple[Settings, Topics]:
    """A messy stream and some bad records through a worker whose index forgets, with a restart between."""
    settings = Settings(
        bootstrap_servers=kafka,
        group_id="explained",
        clicks_topic="explained-clicks",
        recommendations_topic="explained-recommendations",
        sessions_topic="explained-sessions",
        dead_letters_topic="explained-dead",
        data_dir=tmp_path_factory.mktemp("explained") / "data",
        partitions=2,
        gap_s=20,
        grace_s=5,
        max_clicks=8,
        index_sessions=150,
        neighbours=70,
        close_idle=False,
        max_run_clicks=100,
    )
    create_topics(settings)
    clicks = messy_clicks(8, 3000)
    with WorkerProcess(settings) as worker:
        worker.start()
        send_clicks(settings, clicks[:1500])
        asyncio.run(send_records(settings, [(b"k", b"no click"), (b"k", None)]))
        wait_done(settings, [worker], timeout_s=200)
        worker.terminate()
        worker.start()
        send_clicks(settings, clicks[1500:])
        return settings, wait_done(
            settings,
            [worker],
            sessions=lambda seen: len(expected_of(settings, seen.clicks).closed),
            timeout_s=200,
        )


def test_answers_come_out_the_same(played):
    """Clicks of every outcome, from the whole stream: session, items, scores and reasons, bit for bit."""
    settings, seen = played
    expected = expected_of(settings, seen.clicks)
    outcomes = {}
    for place in sorted(seen.answers, key=lambda place: hash((place, 5))):
        outcomes.setdefault(expected.queries[place].outcome, []).append(place)
    assert outcomes.keys() == {"joined", "opened", "overlong", "duplicate"}
    for outcome, places in outcomes.items():
        for place in places[:2]:
            explanation = explained(settings, place)
            query = expected.queries[place]
            assert (explanation.outcome, explanation.session) == (outcome, query.session)
            assert explanation.items == query.items
            assert [one.differences for one in explanation.answers] == [()] * len(seen.answers[place])
            assert [one.again for one in explanation.answers] == seen.answers[place]


def test_the_command_shows_each_item_with_its_reason(played):
    """A table on stdout and exit code 0; with --json one object with the same in it."""
    settings, seen = played
    place, (answer, *_) = max(seen.answers.items(), key=lambda one: (one[1][0].position, one[0]))
    options = ["explain", "--partition", str(place[0]), "--offset", str(place[1])]
    table = run_nextclick(settings, *options)
    assert (table.returncode, table.stderr) == (0, "")
    assert f"session {answer.session}" in table.stdout
    assert len(re.findall(r" same *$", table.stdout, re.MULTILINE)) == len(answer.items) == 20
    assert "same: every item, score and reason comes out as it was given" in table.stdout
    printed = json.loads(run_nextclick(settings, *options, "--json").stdout)
    assert printed["same"] is True
    (compared,) = printed["answers"]
    assert compared["given"] == compared["again"] == json.loads(msgspec.json.encode(answer))
    assert len(printed["items"]) == answer.position


def test_an_answer_that_was_tampered_with_differs(played, tmp_path):
    """A forged second answer to a click is shown item by item beside what comes out, with exit code 1."""
    settings, seen = played
    place, (answer, *_) = max(seen.answers.items())
    first = msgspec.structs.replace(answer.items[0], score=answer.items[0].score + 1e-9)
    forged = msgspec.structs.replace(answer, items=(first, *answer.items[1:-1]))

    async def forge() -> None:
        producer = await open_producer(settings)
        await producer.send_and_wait(
            settings.recommendations_topic, msgspec.json.encode(forged), partition=place[0]
        )
        await producer.stop()

    asyncio.run(forge())
    explanation = explained(settings, place)
    assert explanation.same is False
    good, bad = explanation.answers
    assert good.differences == ()
    assert [text.partition(" was ")[0] for text in bad.differences] == ["item 1", "item 20"]
    done = run_nextclick(settings, "explain", "--partition", str(place[0]), "--offset", str(place[1]))
    assert done.returncode == 1
    assert "differs: item 20 was none, now {" in done.stdout


def test_what_cannot_be_explained_is_said(played):
    """No such click or partition, dead letters of each kind, other settings or topics: each a sentence."""
    settings, seen = played
    dead = {letter.headers["reason"]: place for place, (letter,) in seen.dead.items()}
    place = next(iter(seen.answers))
    end = seen.clicks[1][-1].offset
    for where, why in (
        (
            (1, end + 1),
            f"no click at offset {end + 1}: explained-clicks partition 1 has the offsets 0 to {end}$",
        ),
        ((2, 0), "explained-clicks has the partitions 0 to 1, asked for 2"),
        (dead["late"], "is a dead letter and has no answer: late: time .* is behind the watermark"),
        (dead["not_json"], "is a dead letter and has no answer: not_json: "),
        (dead["null"], "is a dead letter and has no answer: null: "),
    ):
        with pytest.raises(ExplainError, match=why):
            explained(settings, where)
    other = settings.model_copy(update={"neighbours": 71})
    with pytest.raises(
        ExplainError, match=r"computed with the parameters 'blend\+\w+', the settings here have"
    ):
        explained(other, place)
    with pytest.raises(TopicError, match="no topic nowhere; are these the settings of the worker"):
        explained(settings.model_copy(update={"sessions_topic": "nowhere"}), place)
    done = run_nextclick(settings, "explain", "--partition", "1", "--offset", str(end + 1))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no click at offset")


def test_a_click_without_an_answer_is_no_error_of_the_answer(settings):
    """Where no worker has come to the click yet, that is what is said."""
    create_topics(settings)
    send_clicks(settings, [Click("a", "x", BEGIN_MS)])
    partition = next(p for p in range(4) if has_click(settings, p))
    with pytest.raises(ExplainError, match="has no answer yet in recommendations-"):
        explained(settings, (partition, 0))


def has_click(settings: Settings, partition: int) -> bool:
    """Whether a partition's first click is there."""
    try:
        explained(settings, (partition, 0))
    except ExplainError as error:
        return "has no answer yet" in str(error)
    return True


def test_idle_closings_and_what_retention_has_removed(settings):
    """A session that the clock closed is over for the next click; a log that was cut short is said to be."""
    settings = settings.model_copy(update={"gap_s": 3600.0, "idle_s": 1.0, "partitions": 1})
    create_topics(settings)
    with WorkerProcess(settings) as worker:
        worker.start().wait_ready()
        send_clicks(settings, [Click(v, item, BEGIN_MS) for v in "abcd" for item in "xyz"])
        wait_done(settings, [worker], sessions=lambda _: 4)
        send_clicks(settings, [Click("b", "x", BEGIN_MS + 5000), Click("b", "y", BEGIN_MS + 6000)])
        wait_done(settings, [worker], sessions=lambda _: 5)
    explanation = explained(settings, (0, 13))
    assert (explanation.same, explanation.session, explanation.items) == (True, "0-12", ("x", "y"))
    assert explained(settings, (0, 5)).items == ("x", "y", "z")
    delete_before(settings, settings.clicks_topic, {0: 12})
    assert explained(settings, (0, 13)).same
    with pytest.raises(ExplainError, match=r"no click at offset 5: .* 12 to 13; retention has removed"):
        explained(settings, (0, 5))
    delete_before(settings, settings.clicks_topic, {0: 13})
    with pytest.raises(ExplainError, match=r"begins at offset 13, and the session .* began at 12: retention"):
        explained(settings, (0, 13))
    delete_before(settings, settings.sessions_topic, {0: 1})
    with pytest.raises(
        ExplainError, match="no longer reaches back to its first session: it begins at offset 1"
    ):
        explained(settings, (0, 13))
