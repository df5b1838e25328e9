"""TLS, certificates and logins on a real Kafka that wants them: what works, and what is said elsewhere."""

from __future__ import annotations

import asyncio
import json
import re
import traceback
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import BrokerError, SettingsError
from core.window.clicks import Click
from stream_app.kafka import topics
from stream_app.settings import Settings
from tests.oracles.whole_log import BEGIN_MS
from tests.secured_kafka import USERS, Secured, secured_kafka, with_
from tests.worker_process import (
    WorkerProcess,
    create_topics,
    run_nextclick,
    send_clicks,
    wait_done,
    wait_until,
)

KEY_PASSWORD = "key-word"  # noqa: S105 -- made up
WRONG_PASSWORD = "open-sesame"  # noqa: S105 -- made up


@pytest.fixture(scope="module")
def secured(tmp_path_factory) -> Iterator[Secured]:
    """The Kafka of all tests here."""
    with secured_kafka(tmp_path_factory.mktemp("secured") / "kafka") as kafka:
        kafka.authority.signed("client", "client", password=KEY_PASSWORD)
        kafka.foreign.signed("stranger", "stranger")
        yield kafka


@pytest.fixture
def settings(tmp_path) -> Settings:
    """Settings of no broker yet."""
    return Settings(data_dir=tmp_path / "data", metrics_port=0, partitions=1)


#: What is wrong → the listener, the settings that differ from the right ones, and what is said. Files are in
#: the broker's folder.
WRONG: dict[str, tuple[str, dict, str]] = {
    "wrong password": (
        "SECURE",
        {"sasl_password": WRONG_PASSWORD},
        "refuses the login of 'shop' by SCRAM-SHA-512: check sasl_username, sasl_password and sasl_mechanism",
    ),
    "wrong password, PLAIN": (
        "SECURE",
        {"sasl_password": WRONG_PASSWORD, "sasl_mechanism": "PLAIN"},
        "refuses the login of 'shop' by PLAIN",
    ),
    "unknown user": ("SECURE", {"sasl_username": "nobody"}, "refuses the login of 'nobody'"),
    "expired certificate": ("EXPIRED", {}, "the certificate of Kafka at .* has expired: have it renewed"),
    "certificate of another host": ("ELSEWHERE", {}, "is not for 127.0.0.1: set bootstrap_servers to a name"),
    "another authority": (
        "SECURE",
        {"ssl_ca_file": Path("foreign.pem")},
        "is not signed by an authority in ssl_ca_file .*foreign.pem",
    ),
    "the system's authorities": (
        "SECURE",
        {"ssl_ca_file": None},
        "not signed by an authority .*as it is not",
    ),
    "plain client, TLS port": (
        "TLS",
        {"security_protocol": "PLAINTEXT"},
        "speaks TLS, and security_protocol is PLAINTEXT: set it to SSL or SASL_SSL",
    ),
    "plain login, TLS port": (
        "SECURE",
        {"security_protocol": "SASL_PLAINTEXT"},
        "speaks TLS, and security_p",
    ),
    "TLS client, plain port": (
        "PLAINTEXT",
        {"security_protocol": "SSL"},
        "does not speak TLS, and security_protocol is SSL: set it to PLAINTEXT",
    ),
    "TLS login, plain port": (
        "LOGIN",
        {"security_protocol": "SASL_SSL"},
        "does not speak TLS, and security_",
    ),
    "no login": ("LOGIN", {"security_protocol": "PLAINTEXT"}, "without a login.*: set it to SASL_PLAINTEXT"),
    "no login, TLS": ("SECURE", {"security_protocol": "SSL"}, "without a login.*: set it to SASL_SSL"),
    "login where none is wanted": (
        "PLAINTEXT",
        {"security_protocol": "SASL_PLAINTEXT"},
        "wants no login: check security_protocol",
    ),
    "no client certificate": ("MUTUAL", {}, "without a certificate: set ssl_cert_file and ssl_key_file"),
    "foreign client certificate": (
        "MUTUAL",
        {"ssl_cert_file": Path("stranger.pem")},
        r"this client's certificate: check that ssl_cert_file \(.*stranger.pem\) is signed by an authority",
    ),
    "wrong password of the key": (
        "MUTUAL",
        {"ssl_cert_file": Path("client.pem"), "ssl_key_password": WRONG_PASSWORD},
        "or ssl_key_password is not the key's",
    ),
    "no password of the key": ("MUTUAL", {"ssl_cert_file": Path("client.pem")}, "ssl_key_password is not"),
    "no such key": (
        "MUTUAL",
        {"ssl_cert_file": Path("client.pem"), "ssl_key_file": Path("none.pem")},
        "none.pem are not a PEM certificate and its key",
    ),
}


def from_folder(secured: Secured, changes: dict) -> dict:
    """The same with paths in the broker's folder."""
    return {
        key: secured.folder / value if isinstance(value, Path) else value for key, value in changes.items()
    }


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_one_sentence_that_says_what_to_check(secured, settings, wrong):
    """Each way to fail at the door is an error with its own sentence, in bounded time; no secret is in it."""
    listener, changes, expected = WRONG[wrong]
    changed = with_(settings, secured.login(listener=listener) | from_folder(secured, changes))
    with pytest.raises((BrokerError, SettingsError)) as caught:
        asyncio.run(topics.check(changed))
    said = str(caught.value)
    assert "\n" not in said
    for secret in (*USERS.values(), KEY_PASSWORD, WRONG_PASSWORD):
        assert secret not in "".join(traceback.format_exception(caught.value))
    assert re.search(expected, said), said
    assert secured.addresses[listener] in said or "ssl_cert_file, ssl_key_file:" in said


#: How a client may be let in.
RIGHT: dict[str, tuple[str, dict]] = {
    "PLAIN": ("LOGIN", {"sasl_mechanism": "PLAIN"}),
    "client certificate": ("MUTUAL", {"ssl_cert_file": Path("client.pem"), "ssl_key_password": KEY_PASSWORD}),
}


@pytest.mark.parametrize("right", RIGHT)
def test_a_worker_works_however_it_is_let_in(secured, settings, right):
    """With each mechanism a worker answers a click; at any level its log, and its pages, have no secret."""
    listener, changes = RIGHT[right]
    own = uuid.uuid4().hex[:8]
    names = {key: f"{key}-{own}" for key in ("clicks_topic", "recommendations_topic", "sessions_topic")}
    settings = with_(
        settings,
        secured.login(listener=listener)
        | from_folder(secured, changes)
        | names
        | {"group_id": own, "log_level": "debug"},
    )
    create_topics(settings)
    with WorkerProcess(settings) as worker:
        worker.start()
        send_clicks(settings, [Click("a", "x", BEGIN_MS)])
        assert len(wait_done(settings, [worker]).answers) == 1
        pages = worker.ask("/status")[1] + worker.page()
        assert worker.terminate()[0] == 0
        log = worker.log.read_text()
    assert "DEBUG" in log
    for secret in (*USERS.values(), KEY_PASSWORD):
        assert secret not in log + pages


@pytest.mark.parametrize(
    ("listener", "mechanism"),
    [("SECURE", "PLAIN"), ("SECURE", "SCRAM-SHA-256"), ("LOGIN", "SCRAM-SHA-512"), ("TLS", "PLAIN")],
)
def test_a_command_comes_in_by_each_mechanism(secured, settings, listener, mechanism):
    """A login by each mechanism, over TLS or not, and TLS alone, are enough to make topics."""
    names = {"group_id": mechanism, "clicks_topic": f"clicks-{listener}-{mechanism}"}
    changed = with_(settings, secured.login(listener=listener, sasl_mechanism=mechanism) | names)
    assert changed.clicks_topic in asyncio.run(topics.create(changed))


def test_every_command_comes_in(secured, settings, tmp_path):
    """topics, begin, replay, worker and explain all speak TLS and log in; clicks become answers."""
    settings = with_(settings, secured.login())
    file = tmp_path / "clicks.csv"
    file.write_text("visitor,item,time\na,x,1396860669\na,y,1396860670\nb,x,1396860671\n")
    for command in (["topics", "create"], ["topics", "check"], ["begin", "--from", "earliest"]):
        done = run_nextclick(settings, *command)
        assert (done.returncode, done.stderr) == (0, ""), command
    done = run_nextclick(settings, "replay", str(file), "--speed", "max", "--json")
    assert done.returncode == 0, done.stderr
    with WorkerProcess(settings) as worker:
        worker.start()
        assert len(wait_done(settings, [worker]).answers) == 3
        done = run_nextclick(settings, "explain", "--partition", "0", "--offset", "1", "--json")
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)["item"] == "y", done.stdout


def test_a_command_that_is_not_let_in_says_so(secured, settings):
    """It ends with exit code 2 and prints the sentence and nothing else."""
    wrong = with_(settings, secured.login("shop", sasl_password=WRONG_PASSWORD))
    done = run_nextclick(wrong, "topics", "check")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"error: Kafka at \S+ refuses the login .*\n", done.stderr)


def test_a_worker_that_is_not_let_in_says_so(secured, settings):
    """It ends with exit code 2 and the sentence; as JSON where the log is."""
    wrong = with_(settings, secured.login("shop", sasl_password=WRONG_PASSWORD))
    done = run_nextclick(wrong, "worker")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("error: Kafka at ")
    assert "refuses the login" in done.stderr
    assert WRONG_PASSWORD not in done.stderr
    done = run_nextclick(with_(wrong, {"log_format": "json"}), "worker")
    line = [json.loads(line) for line in done.stderr.splitlines()][-1]
    assert (done.returncode, line["level"]) == (2, "CRITICAL")
    assert "refuses the login" in line["message"]
    assert WRONG_PASSWORD not in done.stderr


def test_a_password_that_changes_while_a_worker_runs(secured, settings):
    """The worker is not ready and says why now and then, stays alive, and goes on when it is right again."""
    names = {"group_id": "later", "clicks_topic": "clicks-later", "session_timeout_s": 6}
    settings = with_(settings, secured.login(sasl_mechanism="PLAIN") | names)
    create_topics(settings)
    with WorkerProcess(settings) as worker:
        worker.start().wait_ready()
        secured.change_password("shop", USERS["shop"], WRONG_PASSWORD)
        wait_until(
            lambda: worker.ask("/ready")[0] == 503 and "SaslAuthenticationFailed" in worker.log.read_text(),
            "it is not ready and says why",
            60,
            [worker],
        )
        assert worker.live()[0] == 200
        assert len(worker.log.read_text().splitlines()) < 100
        secured.change_password("shop", WRONG_PASSWORD, USERS["shop"])
        worker.wait_ready()
        assert USERS["shop"] not in worker.log.read_text()
