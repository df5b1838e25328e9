"""The broker's variables in docker-compose.yml, on a real Kafka: they start, and both ways in work."""

from __future__ import annotations

import asyncio
from pathlib import Path

import yaml

from stream_app import topics
from stream_app.broker_process import free_ports
from stream_app.brokers import local_kafka
from stream_app.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def properties(variables: dict[str, str], ports: dict[str, int]) -> dict[str, str]:
    """The server's properties as the image makes them of its variables, on free ports of the loopback."""
    made = {}
    for variable, value in variables.items():
        moved = value.replace("://:", "://127.0.0.1:").replace("broker:", "127.0.0.1:")
        for port, free in ports.items():
            moved = moved.replace(f"127.0.0.1:{port}", f"127.0.0.1:{free}")
        made[variable.removeprefix("KAFKA_").lower().replace("_", ".")] = moved
    return made


def test_the_composed_broker_starts_and_is_reached_from_inside_and_from_outside(tmp_path):
    """A Kafka with these variables takes topics through one listener and shows them through the other."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    variables = compose["services"]["broker"]["environment"]
    inside, outside, controller = free_ports(3)
    extra = properties(variables, {"19092": inside, "9092": outside, "9093": controller})
    del extra["log.dirs"]  # a place in the image
    with local_kafka(tmp_path, port=outside, extra=extra):
        from_inside = Settings(bootstrap_servers=f"127.0.0.1:{inside}")
        from_outside = Settings(bootstrap_servers=f"127.0.0.1:{outside}")
        created = asyncio.run(topics.create(from_inside))
        assert set(created) == set(topics.wanted_topics(from_inside))
        assert asyncio.run(topics.check(from_outside)) == []
