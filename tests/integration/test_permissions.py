"""The least permissions of each role, on a Kafka that grants nothing else: what is printed is enough."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import uuid
from collections.abc import Iterable, Iterator

import msgspec
import pytest
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest

from core.errors import AccessError
from stream_app.kafka.acls import Permission, commands, lacking, permissions, refuse_lacking
from stream_app.settings import Settings
from tests.exact_stream import MESSY_WINDOW, wait_exact
from tests.kafka_admin import administer
from tests.oracles.whole_log import messy_clicks
from tests.secured_kafka import Secured, secured_kafka, with_
from tests.worker_process import (
    WorkerProcess,
    create_topics,
    read_topics,
    run_nextclick,
    send_clicks,
    send_records,
    send_sessions,
    wait_done,
    wait_until,
)

#: Kafka's numbers of kinds and operations.
KINDS = {"--topic": 2, "--group": 3, "--transactional-id": 5}
OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Delete": 6, "Describe": 8, "DescribeConfigs": 10}
LITERAL, PREFIXED, ALLOW = 3, 4, 3


@pytest.fixture(scope="module")
def secured(tmp_path_factory) -> Iterator[Secured]:
    """A Kafka with an authorizer."""
    with secured_kafka(tmp_path_factory.mktemp("permissions") / "kafka") as kafka:
        yield kafka


@pytest.fixture
def settings(secured, tmp_path) -> Settings:
    """Settings of the user who may do anything, with names that no other test has."""
    own = uuid.uuid4().hex[:8]
    names = ("clicks_topic", "recommendations_topic", "sessions_topic", "dead_letters_topic")
    return with_(
        Settings(
            data_dir=tmp_path / "data",
            metrics_port=0,
            partitions=2,
            session_timeout_s=6,
            guarantee="at_least_once",
        ),
        secured.login() | {name: f"{name}-{own}" for name in names} | {"group_id": f"group-{own}"},
    )


def as_user(secured: Secured, settings: Settings, user: str) -> Settings:
    """The same settings with another user."""
    return with_(settings, secured.login(user))


def send(secured: Secured, request: object) -> None:
    """Send a request as the administrator."""
    plain = Settings(bootstrap_servers=secured.addresses["PLAINTEXT"])
    answer = administer(plain, lambda admin: admin._send_to_controller(request))
    done = getattr(answer, "creation_responses", None) or answer.filter_responses
    assert [code for code, *_ in done] == [0], answer


def printed(settings: Settings, user: str, role: str) -> list[str]:
    """What `nextclick topics acls` prints."""
    done = run_nextclick(settings, "topics", "acls", "--principal", f"User:{user}", "--role", role)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def grant(
    secured: Secured, settings: Settings, user: str, role: str, lines: Iterable[str] | None = None
) -> None:
    """Do what the commands say, word by word, and wait until it is so."""
    if lines is None:
        lines = commands(permissions(settings, role), f"User:{user}", settings.bootstrap_servers)
    for line in lines:
        words = shlex.split(line)
        assert words[:4] == ["kafka-acls.sh", "--bootstrap-server", settings.bootstrap_servers, "--add"]
        options = list(zip(words[4::2], words[5::2], strict=True))
        (kind, name), ((_, principal),) = options[-1], [o for o in options if o[0] == "--allow-principal"]
        pattern = PREFIXED if ("--resource-pattern-type", "prefixed") in options else LITERAL
        for _, operation in [o for o in options if o[0] == "--operation"]:
            number = OPERATIONS[operation]
            send(secured, CreateAclsRequest(KINDS[kind], name, pattern, principal, "*", number, ALLOW))
    theirs = as_user(secured, settings, user)
    wait_until(lambda: asyncio.run(lacking(theirs, role)) == [], "it is granted")


def change(secured: Secured, user: str, one: Permission, request: type) -> None:
    """Give a permission of one operation, or take it back."""
    kind, number = KINDS[f"--{one.kind}"], OPERATIONS[one.operations[0]]
    send(secured, request(kind, one.name, LITERAL, f"User:{user}", "*", number, ALLOW))


def test_workers_work_with_what_is_printed_and_nothing_else(secured, settings):
    """Two workers share, one is killed, starts again without its data and recovers: all is exact.

    One of them does each run in a transaction, for which it needs more than the other.
    """
    settings = settings.model_copy(update=MESSY_WINDOW | {"guarantee": "exactly_once"})
    create_topics(settings)
    grant(secured, settings, "worker", "worker", printed(settings, "worker", "worker"))
    theirs = as_user(secured, settings, "worker")
    plainly = theirs.model_copy(update={"guarantee": "at_least_once"})
    clicks = messy_clicks(3, 1500)
    with WorkerProcess(theirs, "first") as first, WorkerProcess(plainly, "second") as second:
        first.start().wait_ready()
        send_clicks(settings, clicks[:500])
        second.start().wait_ready()
        send_clicks(settings, clicks[500:1000])
        wait_done(settings, [first, second])
        first.kill()
        shutil.rmtree(first.data_dir)
        send_clicks(settings, clicks[1000:])
        first.start().wait_ready()
        wait_exact(settings, [first, second])
        assert "Authorization" not in first.log.read_text() + second.log.read_text()


def test_each_permission_of_a_worker_is_needed_and_named_where_it_lacks(secured, settings):
    """Without any one of them a worker does not start, and says which it is; without all it says all."""
    create_topics(settings)
    theirs = as_user(secured, settings, "worker")
    needed = [
        one._replace(operations=(operation,))
        for one in permissions(settings, "worker")
        for operation in one.operations
    ]
    done = run_nextclick(theirs, "worker")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("error: Kafka at ")
    for one in permissions(settings, "worker"):
        assert f"{' and '.join(one.operations)} on {one.kind} {one.name}" in done.stderr
    assert "`nextclick topics acls --role worker" in done.stderr
    grant(secured, settings, "worker", "worker")
    for one in needed:
        change(secured, "worker", one, DeleteAclsRequest)
        wait_until(lambda: asyncio.run(lacking(theirs, "worker")) != [], "it is revoked")
        # A topic that may not be seen at all lacks the rest of its permissions, too.
        (left,) = asyncio.run(lacking(theirs, "worker"))
        assert left[:2] == one[:2]
        assert one.operations[0] in left.operations
        with pytest.raises(AccessError, match=f"{one.operations[0]}.* on {one.kind} {one.name}"):
            asyncio.run(refuse_lacking(theirs, "worker"))
        change(secured, "worker", one, CreateAclsRequest)
        wait_until(lambda: asyncio.run(lacking(theirs, "worker")) == [], "it is granted again")


def test_a_worker_that_may_not_write_in_transactions_says_so(secured, settings):
    """Kafka tells nobody beforehand which transactional ids may be used: the worker tries one and ends."""
    create_topics(settings)
    grant(secured, settings, "worker", "worker")
    theirs = as_user(secured, settings, "worker").model_copy(update={"guarantee": "exactly_once"})
    done = run_nextclick(theirs, "worker")
    assert done.returncode == 2
    assert "does not permit this: " in done.stderr.splitlines()[-1]


def test_each_command_works_with_its_role(secured, settings, tmp_path):
    """Without its permissions a command is refused in one sentence; with what is printed for it, it works."""
    theirs = as_user(secured, settings, "reader")
    file = tmp_path / "clicks.csv"
    file.write_text("visitor,item,time\na,x,1396860669\na,y,1396860670\nb,x,1396860671\n")
    place = ["--partition", "0", "--offset", "0"]
    steps = {
        "admin": ["topics", "create"],
        "lag": ["topics", "lag"],
        "begin": ["begin", "--from", "earliest"],
        "replay": ["replay", str(file), "--speed", "max"],
        "explain": ["explain", *place],
        "forget": ["forget", "a"],
        "dead-letters": ["dead-letters", "replay"],
    }
    with WorkerProcess(settings) as worker:
        for role, command in steps.items():
            done = run_nextclick(theirs, *command)
            if role != "forget":  # it has the permissions that were granted before this one
                assert done.returncode == 2, (command, done)
                (said,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
                assert "Traceback" not in done.stderr
                assert settings.clicks_topic in said or "permit" in said
            grant(secured, settings, "reader", role)
            if role == "explain":
                place[1] = str(min(read_topics(settings).places)[0])
            done = run_nextclick(theirs, *command[:1], *(place if role == "explain" else command[1:]))
            assert done.returncode == 0, (command, done.stdout, done.stderr)
            if role == "replay":
                worker.start()
                asyncio.run(send_records(settings, [(b"k", b"no click")]))
                wait_done(settings, [worker])


def test_whoever_may_only_write_can_replay_but_not_resume(secured, settings, tmp_path):
    """What the topic has is read to warn; only --resume needs it."""
    create_topics(settings)
    file = tmp_path / "clicks.csv"
    file.write_text("visitor,item,time\na,x,1396860669\n")
    change(secured, "reader", Permission("topic", settings.clicks_topic, ("Write",)), CreateAclsRequest)
    theirs = as_user(secured, settings, "reader")
    replays = ("replay", str(file), "--speed", "max", "--json")
    wait_until(lambda: run_nextclick(theirs, *replays).returncode == 0, "it may write")
    done = run_nextclick(theirs, *replays, "--resume")
    assert done.returncode == 2
    assert "does not permit this: " in done.stderr
    assert settings.clicks_topic in done.stderr


def test_the_sessions_topic_is_cut_by_who_may(secured, settings):
    """Without the permission to delete, trimming is refused and nothing is gone; with it, it is done."""
    settings = settings.model_copy(update={"index_sessions": 1})
    create_topics(settings)
    asyncio.run(send_sessions(settings, [b"no session"] * 5))
    theirs = as_user(secured, settings, "reader")
    done = run_nextclick(theirs, "topics", "trim")
    assert (done.returncode, done.stdout) == (2, "")
    grant(secured, settings, "reader", "lag")
    done = run_nextclick(theirs, "topics", "trim")
    assert done.returncode == 2
    assert f"does not permit to delete records of {settings.sessions_topic!r}" in done.stderr
    grant(secured, settings, "reader", "trim")
    done = run_nextclick(theirs, "topics", "trim")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("3 records of")


def test_the_permissions_as_json(settings):
    """--json has the same as data; another role is refused with those that there are."""
    done = run_nextclick(settings, "topics", "acls", "--principal", "User:x", "--role", "reader", "--json")
    assert msgspec.json.decode(done.stdout) == {
        "principal": "User:x",
        "role": "reader",
        "permissions": [{"kind": "topic", "name": settings.recommendations_topic, "operations": ["Read"]}],
    }
    done = run_nextclick(settings, "topics", "acls", "--principal", "User:x", "--role", "boss")
    assert done.returncode == 2
    assert "expected one of worker, admin, producer" in done.stderr
