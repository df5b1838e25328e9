"""``nextclick dead-letters`` on a real Kafka: what is there, one as it came, and what is sent once more."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from core.window.clicks import Click, encode_click
from stream_app.cli import app
from stream_app.settings import Settings
from tests.oracles.whole_log import BEGIN_MS
from tests.worker_process import (
    Topics,
    WorkerProcess,
    create_topics,
    read_topics,
    run_nextclick,
    send_clicks,
    send_records,
    wait_done,
    wait_until,
)


def long_click(number: int, visitor: str) -> tuple[bytes, bytes]:
    """A click that is too large for the first worker, and not for the second."""
    value = encode_click(Click(visitor, f"long{number}", BEGIN_MS + 1000 * number))
    return visitor.encode(), value[:-1] + b',"page":"' + b"x" * 600 + b'"}'


class Played(NamedTuple):
    """A stream with dead letters, its worker running with room for longer clicks by now."""

    settings: Settings
    worker: WorkerProcess
    first: Topics


@pytest.fixture(scope="module")
def played(kafka, tmp_path_factory):
    """Clicks that are too large, late, no JSON and none; the worker is then given more room."""
    names = ("clicks", "recommendations", "sessions", "dead_letters")
    settings = Settings(
        bootstrap_servers=kafka,
        group_id="letters",
        data_dir=tmp_path_factory.mktemp("letters") / "data",
        partitions=2,
        close_idle=False,
        max_value_bytes=500,
        guarantee="at_least_once",  # a transaction's marker takes an offset of its own
        **{f"{name}_topic": f"letters-{name}" for name in names},
    )
    create_topics(settings)
    visitors = [f"v{number}" for number in range(8)]
    with WorkerProcess(settings) as worker:
        worker.start()
        send_clicks(settings, [Click(visitor, "a", BEGIN_MS) for visitor in visitors])
        asyncio.run(send_records(settings, [long_click(n, visitor) for n, visitor in enumerate(visitors)]))
        asyncio.run(send_records(settings, [(b"v1", b"no click"), (None, b"\xff\xfe"), (b"k", None)]))
        send_clicks(settings, [Click("v2", "b", BEGIN_MS - 10_000_000), Click("v3", "c", BEGIN_MS + 20_000)])
        first = wait_done(settings, [worker], timeout_s=200)
        assert worker.terminate()[0] == 0
        worker.settings = worker.settings.model_copy(update={"max_value_bytes": 5000})
        worker.start().wait_ready()
        yield Played(worker.settings, worker, first)


def letters(settings: Settings, *arguments: str) -> dict:
    """What the command prints as JSON; in this process, which saves it a start each time."""
    done = CliRunner().invoke(app, ["dead-letters", *arguments, "--json"], env=settings.environment())
    assert (done.exit_code, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_they_are_counted_and_listed_without_what_names_a_visitor(played):
    """Counts by reason are those of the topic; filters and the limit hold; keys and values are not shown."""
    listed = letters(played.settings, "list")
    reasons = Counter(letter.headers["reason"] for (letter,) in played.first.dead.values())
    assert listed["by_reason"] == dict(reasons)
    assert reasons == {"too_large": 8, "not_json": 1, "not_utf8": 1, "null": 1, "late": 1}
    assert (listed["begin"], listed["end"], len(listed["letters"])) == (0, 12, 12)
    places = {(letter["partition"], letter["from_offset"]) for letter in listed["letters"]}
    assert places == played.first.dead.keys()
    assert listed["letters"][0].keys().isdisjoint({"key", "value"})
    late = letters(played.settings, "list", "--reason", "late", "--reason", "null")
    assert late["by_reason"] == {"late": 1, "null": 1}
    newest = letters(played.settings, "list", "--limit", "2", "--from", "3")
    assert [letter["offset"] for letter in newest["letters"]] == [10, 11]
    assert sum(newest["by_reason"].values()) == 9
    assert letters(played.settings, "list", "--since", "2100-01-01T00:00:00Z")["by_reason"] == {}
    assert letters(played.settings, "list", "--until", "2100-01-01", "--to", "5")["end"] == 5
    table = run_nextclick(played.settings, "dead-letters", "list").stdout
    assert "letters-dead_letters, offsets 0 to 12: 12 dead letters" in table
    assert "too_large" in table
    assert "xxx" not in table


def test_a_reason_that_there_is_not_is_refused(played):
    """A slip of the pen would find nothing, as if all were well."""
    done = run_nextclick(played.settings, "dead-letters", "list", "--reason", "to_large")
    assert done.returncode == 2
    assert "--reason 'to_large': expected one of null, too_large" in done.stderr


def test_one_is_shown_as_it_came(played):
    """Key and value byte for byte in base64 with --json, else as text; bytes that are none are escaped."""
    listed = letters(played.settings, "list")["letters"]
    for listed_one in {one["reason"]: one for one in listed}.values():
        (letter,) = played.first.dead[listed_one["partition"], listed_one["from_offset"]]
        shown = letters(played.settings, "show", str(listed_one["offset"]))
        for part, came in ((shown["key"], letter.key), (shown["value"], letter.value)):
            assert (None if part is None else base64.b64decode(part)) == came
        if listed_one["reason"] in {"not_utf8", "null"}:
            text = run_nextclick(played.settings, "dead-letters", "show", str(listed_one["offset"])).stdout
            assert (r"b'\xff\xfe'" if letter.value else "value, 0 bytes: none") in text
    done = run_nextclick(played.settings, "dead-letters", "show", "99")
    assert done.returncode == 2
    assert "no letter at offset 99: letters-dead_letters has the offsets 0 to 11" in done.stderr


def sessions_of_long_clicks(seen: Topics) -> dict[str, list[tuple[str, int]]]:
    """By visitor, session and position of each answer to a click that was too large at first."""
    found: dict[str, list[tuple[str, int]]] = {}
    for _, (answer, *_) in sorted(seen.answers.items()):
        if answer.item.startswith("long"):
            found.setdefault(answer.visitor, []).append((answer.session, answer.position))
    return found


def test_what_is_sent_once_more(played):
    """A dry run sends nothing; what fits now is answered, what is bad comes back once and stays there.

    Late ones and those of who was forgotten are left out, and a click that is sent twice counts once.
    """
    settings, worker = played.settings, played.worker
    assert run_nextclick(settings, "forget", "v5").returncode == 0
    left_out = {"late": 1, "forgotten": 1}
    dry = letters(settings, "replay", "--dry-run")
    assert dry["sent"] == {"too_large": 7, "not_json": 1, "not_utf8": 1, "null": 1}
    assert dry["left_out"] == left_out
    clicks = len(read_topics(settings).places)
    sent = letters(settings, "replay")
    assert sent == dry | {"dry_run": False}
    seen = wait_done(settings, [worker])
    assert len(seen.places) == clicks + 10
    again = letters(settings, "list", "--from", str(sent["end"]))
    assert again["by_reason"] == {"not_json": 1, "not_utf8": 1, "null": 1}
    first = {f"{partition}-{offset}" for partition, offset in played.first.dead}
    assert {letter["replayed_from"] for letter in again["letters"]} < first
    assert (
        "it had been sent again"
        in run_nextclick(settings, "dead-letters", "show", str(again["letters"][0]["offset"])).stdout
    )
    # From the beginning once more: what came back stays where it is, and the others change no session.
    twice = letters(settings, "replay")
    assert twice["sent"] == {"too_large": 7}
    assert twice["left_out"] == left_out | {"replayed before": 6}
    more = wait_done(settings, [worker])
    once, again = (sessions_of_long_clicks(one) for one in (seen, more))
    assert once.keys() == {f"v{n}" for n in range(8) if n != 5}
    assert {visitor: [*told, *told] for visitor, told in once.items()} == again
    assert letters(settings, "replay", "--again", "--reason", "null")["sent"] == {"null": 1}
    wait_until(lambda: read_topics(settings).done, "all is done", workers=[worker])
    assert letters(settings, "replay", "--from", str(letters(settings, "list")["end"]))["sent"] == {}


def test_late_ones_are_refused_unless_asked_for(played):
    """They would be late again, and are; what is asked for wrongly is said."""
    settings = played.settings
    done = run_nextclick(settings, "dead-letters", "replay", "--reason", "late")
    assert done.returncode == 2
    assert "a late click is late again" in done.stderr
    assert letters(settings, "replay", "--reason", "late", "--late")["sent"] == {"late": 1}
    wait_until(lambda: read_topics(settings).done, "all is done", workers=[played.worker])
    assert letters(settings, "list", "--reason", "late")["by_reason"] == {"late": 2}
    for arguments, why in (
        (["list", "--since", "tomorrow"], "--since 'tomorrow': expected a time"),
        (["list", "--from", "5", "--to", "3"], "--to 3 is before --from 5"),
    ):
        done = run_nextclick(settings, "dead-letters", *arguments)
        assert (done.returncode, why in done.stderr) == (2, True)
