"""A broker's process that dies, does not answer or does not end is told in one sentence, and is gone."""

from __future__ import annotations

import socket
import time

import pytest

from core.errors import BrokerError
from stream_app.kafka import broker_process
from stream_app.kafka.broker_process import HOST, Broker, free_ports


@pytest.fixture
def broker(tmp_path):
    """Make a broker of a shell script; its process is killed at the end of the test."""
    made = []

    def make(script: str) -> Broker:
        made.append(
            Broker(
                "the broker",
                port=free_ports(1)[0],
                command=["sh", "-c", script],
                folder=tmp_path,
                log=tmp_path / "log",
            )
        )
        return made[-1]

    yield make
    for one in made:
        one.kill()


def test_free_ports():
    """Ports that are asked for together are different and can be bound."""
    ports = free_ports(5)
    assert len(set(ports)) == 5
    for port in ports:
        with socket.socket() as probe:
            probe.bind((HOST, port))


def test_death(broker):
    """One that dies when it is started is told with the end of its log."""
    with pytest.raises(BrokerError, match=r"died when it was started; its log ends:\nno room left"):
        broker("echo no room left; exit 3").start()


def test_silence(broker, monkeypatch):
    """One that never answers is told in bounded time, and is not left running."""
    monkeypatch.setattr(broker_process, "START_S", 0.3)
    silent = broker("echo waiting; exec sleep 60")
    began = time.monotonic()
    with pytest.raises(
        BrokerError, match=r"does not answer at 127.0.0.1:\d+ after 0 s; its log ends:\nwaiting"
    ):
        silent.start()
    assert time.monotonic() - began < 5
    assert not silent.running


def test_taken_port(broker):
    """A port that something else listens on is told before the process is started."""
    late = broker("exec sleep 60")
    with socket.socket() as other:
        other.bind((HOST, late.port))
        other.listen()
        with pytest.raises(BrokerError, match=f"port {late.port} of 127.0.0.1 is taken"):
            late.start()
    assert not late.running


def test_not_started(broker):
    """One that was never started has no process id, and can be stopped and killed all the same."""
    never = broker("true")
    with pytest.raises(BrokerError, match="was not started"):
        _ = never.pid
    never.stop()
    never.kill()
    assert not never.running
