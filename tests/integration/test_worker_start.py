"""How a worker starts: the index first, and a refusal with a reason where something is not as it must be."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace

import msgspec

from core.answers import Answer, decode_answer
from core.window.clicks import Click
from core.window.sessions import ClosedSession
from core.window.step import Query
from stream_app.kafka import topics
from stream_app.kafka.broker_process import free_ports
from stream_app.kafka.client import create_topics as create_shapes
from stream_app.settings import Settings
from tests.oracles.answers_again import answers_again
from tests.oracles.whole_log import BEGIN_MS, expected_of
from tests.worker_process import (
    WorkerProcess,
    create_topics,
    read_topic,
    read_topics,
    run_nextclick,
    send_clicks,
    send_sessions,
    wait_done,
)


def test_the_first_answer_knows_every_session_of_before(settings):
    """A worker answers once its index has what the topic held, and takes what is no session in its stride."""
    known = [
        ClosedSession(f"9-{n}", "someone", (f"i{n % 50}", f"i{n % 50 + 1}", "z"), (n, n, n), n, n, "gap", 3)
        for n in range(4000)
    ]
    values: list[bytes | None] = [msgspec.json.encode(session) for session in known]
    odd = [None, b"no session", b'{"session": "x"}', b"\xff"]
    create_topics(settings)
    asyncio.run(send_sessions(settings, [*values[:2000], *odd, *values[2000:]]))
    send_clicks(settings, [Click(f"v{n}", f"i{n % 50}", BEGIN_MS + n) for n in range(300)])
    with WorkerProcess(settings) as worker:
        worker.start().wait_ready()
        assert worker.metrics()["nextclick_index_sessions"] == len(known)
        deadline = time.monotonic() + 60
        while len(seen := read_answers(settings)) < 300:
            assert time.monotonic() < deadline, worker.tail()
            time.sleep(0.2)
    assert {answer.index_offset for answer in seen.values()} == {len(known) + len(odd)}
    asked: list[tuple[int, Query, int]] = [
        (place[0], query_of(place[1], answer), len(known)) for place, answer in seen.items()
    ]
    again = answers_again(settings, dict(enumerate(known)), asked)
    assert {place: answer.items for place, answer in again.items()} == {
        place: answer.items for place, answer in seen.items()
    }


def query_of(offset: int, answer: Answer) -> Query:
    """What the test above asked; visitor n clicked n milliseconds after the beginning."""
    time_ms = BEGIN_MS + int(answer.visitor[1:])
    return Query(answer.visitor, answer.item, offset, time_ms, 0, answer.session, (answer.item,), "opened")


def read_answers(settings: Settings) -> dict:
    """The one answer to each click so far; the sessions topic, which holds other things, is not read."""
    found = {}
    for record in read_topic(settings, settings.recommendations_topic):
        answer = decode_answer(record.value)
        assert found.setdefault((answer.click.partition, answer.click.offset), answer) is answer
    return found


def test_missing_topics_are_named(settings):
    """Without its topics a worker ends with one sentence that names them and the command that makes them."""
    done = run_nextclick(settings, "worker")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    for topic in topics.wanted_topics(settings):
        assert topic in done.stderr
    assert "`nextclick topics create`" in done.stderr


def test_topics_of_another_shape_are_refused(settings):
    """Sessions in two partitions, or answers in fewer than clicks: the worker says what it expected."""
    shapes = topics.wanted_topics(settings)
    wrong = {
        settings.sessions_topic: 2,
        settings.recommendations_topic: 3,
        topics.changelog_topic(settings): 1,
    }
    for name, partitions in wrong.items():
        shapes[name] = replace(shapes[name], partitions=partitions)
    asyncio.run(create_shapes(settings, shapes))
    done = run_nextclick(settings, "worker")
    assert done.returncode == 2
    assert f"{settings.sessions_topic}: expected 1 partition(s), found 2 partition(s)" in done.stderr
    assert f"{settings.recommendations_topic}: expected 4 partition(s), found 3 partition(s)" in done.stderr
    assert f"{topics.changelog_topic(settings)}: expected 4 partition(s), found 1" in done.stderr


def test_without_a_broker_the_worker_says_so(settings):
    """A worker without a broker ends with an error in bounded time."""
    port = free_ports(1)[0]
    began = time.monotonic()
    nowhere = settings.model_copy(update={"bootstrap_servers": f"127.0.0.1:{port}"})
    done = run_nextclick(nowhere, "worker")
    assert time.monotonic() - began < 30
    assert done.returncode == 2
    assert f"error: no Kafka answers at 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_data_dir_that_cannot_be_made_is_said(settings, tmp_path):
    """Before anything is connected; one whose parents are missing is made with them."""
    (tmp_path / "file").write_text("")
    done = run_nextclick(settings.model_copy(update={"data_dir": tmp_path / "file" / "data"}), "worker")
    assert done.returncode == 2
    assert "data_dir: no folder" in done.stderr
    assert "Traceback" not in done.stderr
    create_topics(settings)
    with WorkerProcess(settings) as worker:
        below = tmp_path / "a" / "b" / "c"
        worker.settings = worker.settings.model_copy(update={"data_dir": below})
        worker.start().wait_ready()
        assert worker.terminate()[0] == 0
        assert below.is_dir()


def test_two_workers_in_one_data_dir_are_refused_before_they_join(settings):
    """The second one says who has the folder, at once; a killed one leaves it free."""
    create_topics(settings)
    with WorkerProcess(settings) as worker:
        worker.start().wait_ready()
        second = run_nextclick(worker.settings, "worker")
        assert second.returncode == 2
        assert f"data_dir: the folder {worker.data_dir} is in use by another nextclick" in second.stderr
        assert f"(process {worker.process.pid})" in second.stderr
        assert "--data-dir" in second.stderr
        worker.kill()
        worker.start().wait_ready()
        assert worker.terminate()[0] == 0


def test_a_wrong_setting_is_one_sentence(settings):
    """A setting out of its range ends the worker before it contacts anything."""
    wrong = settings.model_copy(update={"gap_s": -1.0})
    done = run_nextclick(wrong, "worker")
    assert done.returncode == 2
    assert done.stderr.startswith("error: settings: gap_s:")
    assert "Traceback" not in done.stderr


def test_print_settings_hides_secrets(settings):
    """The settings are printed as JSON, and the password is nowhere in it."""
    secret = settings.model_validate(
        settings.model_dump()
        | {"security_protocol": "SASL_SSL", "sasl_username": "me", "sasl_password": "wonder-word"}
    )
    done = run_nextclick(secret, "worker", "--print-settings")
    assert (done.returncode, done.stderr) == (0, "")
    printed = json.loads(done.stdout)
    assert printed["group_id"] == settings.group_id
    assert printed["sasl_username"] == "me"
    assert "wonder-word" not in done.stdout


def test_a_taken_metrics_port_is_said(settings):
    """Two workers with one metrics port: the second ends and names the port; the first goes on."""
    create_topics(settings)
    with WorkerProcess(settings, "first") as first:
        first.start().wait_ready()
        taken = settings.model_copy(update={"metrics_port": first.settings.metrics_port})
        done = run_nextclick(taken, "worker")
        assert done.returncode == 2
        assert f"cannot listen on 127.0.0.1:{first.settings.metrics_port}" in done.stderr
        assert "Traceback" not in done.stderr
        send_clicks(settings, [Click("a", "x", BEGIN_MS)])
        assert wait_done(settings, [first]).done
        assert expected_of(settings, read_topics(settings).clicks).queries
