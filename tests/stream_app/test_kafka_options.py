"""What every client is told about the brokers, and what is said when none answers."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time

import pytest

from core.errors import BrokerError, SettingsError
from stream_app.kafka import client, diagnosis
from stream_app.kafka.security import client_options
from stream_app.settings import Settings


def test_plain_options():
    """Servers are a list, whatever blanks and commas are around them."""
    options = client_options(Settings(bootstrap_servers="a:1, b:2,"))
    assert options == {"bootstrap_servers": ["a:1", "b:2"], "security_protocol": "PLAINTEXT"}


def test_sasl_options():
    """User, password and mechanism go with a SASL protocol; TLS trusts the system's authorities."""
    settings = Settings(security_protocol="SASL_SSL", sasl_username="shop", sasl_password="secret")  # noqa: S106 - made up
    options = client_options(settings)
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert options["sasl_plain_username"] == "shop"
    assert options["sasl_plain_password"] == "secret"  # noqa: S105 - made up
    assert options["ssl_context"].verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize("text", [None, "not a certificate"])
def test_bad_authority(tmp_path, text):
    """A file of authorities that is missing or is no PEM is told by its setting's name."""
    file = tmp_path / "ca.pem"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingsError, match=r"ssl_ca_file: .*ca.pem is not a readable PEM file"):
        client_options(Settings(security_protocol="SSL", ssl_ca_file=file))


async def produce(settings: Settings) -> None:
    """Start a producer that must fail."""
    await client.open_producer(settings)


async def read(settings: Settings) -> None:
    """Start a reader that must fail."""
    await client.start(client.new_log_reader(settings, "sessions", 0), settings)


async def describe(settings: Settings) -> None:
    """Ask for a topic."""
    await client.describe_topics(settings, ["clicks"])


@pytest.mark.parametrize("contact", [produce, read, describe])
def test_refused(contact):
    """Where nothing listens, the error says what to do, at once."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(
            BrokerError, match=f"^no Kafka answers at {address}; start one with `nextclick kafka` or set"
        ):
            asyncio.run(contact(Settings(bootstrap_servers=address)))
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("contact", [produce, read, describe])
def test_silent(contact, monkeypatch):
    """Where something accepts connections and never answers, the wait is bounded."""
    monkeypatch.setattr(client, "CONTACT_S", 0.5)
    monkeypatch.setattr(diagnosis, "STEP_S", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(BrokerError, match="no Kafka answers"):
            asyncio.run(contact(Settings(bootstrap_servers=address)))
    assert time.monotonic() - began < 3
