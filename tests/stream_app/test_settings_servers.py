"""The setting that says where Kafka is."""

from __future__ import annotations

import pytest

from core.errors import SettingsError
from stream_app.kafka.security import servers
from stream_app.settings import load_settings


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("localhost", ["localhost"]),
        ("a:1", ["a:1"]),
        (" a:65535 ,, b.c-d:1, ", ["a:65535", "b.c-d:1"]),
        ("[::1]:9092,127.0.0.1:9092", ["[::1]:9092", "127.0.0.1:9092"]),
    ],
)
def test_brokers_are_hosts_with_ports_apart_by_commas(given, expected, monkeypatch):
    """Blanks and commas about them do not matter, and a port may be left out."""
    monkeypatch.setenv("NEXTCLICK_BOOTSTRAP_SERVERS", given)
    assert servers(load_settings()) == expected


@pytest.mark.parametrize(
    "given",
    [
        *("", ",", " , ", ":9092", "a:", "a:0", "a:65536", "a:abc", "a b:1", "::1", "[::1", "[b c]:1"),
        *("http://a:9092", "kafka://a:9092", "me:word@a:9092", "a:1,b:2,c:x"),
    ],
)
def test_what_is_no_broker_is_refused_by_name(given, monkeypatch):
    """Before anything is connected, with what was expected."""
    monkeypatch.setenv("NEXTCLICK_BOOTSTRAP_SERVERS", given)
    with pytest.raises(SettingsError, match=r"settings: bootstrap_servers: .*expected host:port, or several"):
        load_settings()
