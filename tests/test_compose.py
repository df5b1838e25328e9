"""docker-compose.yml and what it builds and mounts, checked without a container engine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from stream_app.kafka_jars import KAFKA_VERSION
from stream_app.settings import ENV_PREFIX, Settings

ROOT = Path(__file__).resolve().parents[1]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"

#: An image with a tag that names one version: a number with two dots at least.
PINNED = re.compile(r"[\w./-]+:v?\d+\.\d+\.\d+[\w.-]*")
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}

every_service = pytest.mark.parametrize("name", SERVICES)


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions in order: the word in capitals, and what follows, on one line."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def last(word: str) -> str:
    """What follows the last of these instructions, the one that counts."""
    return [rest for instruction, rest in instructions() if instruction == word][-1]


def image_settings() -> dict[str, str]:
    """The NEXTCLICK_ variables that the image sets."""
    pairs = re.findall(r"(\w+)=(\S+)", " ".join(rest for word, rest in instructions() if word == "ENV"))
    return {name: value for name, value in pairs if name.startswith(ENV_PREFIX)}


def our_services() -> dict[str, dict]:
    """The services that run nextclick."""
    return {name: service for name, service in SERVICES.items() if "build" in service}


def our_settings(service: dict) -> dict[str, str]:
    """The NEXTCLICK_ variables that a service has, the image's included."""
    given = {
        key: value for key, value in service.get("environment", {}).items() if key.startswith(ENV_PREFIX)
    }
    return {**image_settings(), **given}


@every_service
def test_an_image_is_of_one_version_or_built_here(name):
    """Every service names an image with a full version, or a build whose Dockerfile exists."""
    service = SERVICES[name]
    if "build" in service:
        context = ROOT / service["build"]["context"]
        assert (context / service["build"]["dockerfile"]).is_file()
    else:
        assert PINNED.fullmatch(service["image"])
    assert "latest" not in service.get("image", "")


@every_service
def test_a_port_is_published_on_the_loopback_only(name):
    """What a service publishes is reached from this machine alone."""
    ports = SERVICES[name].get("ports", [])
    assert [port for port in ports if not re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)] == []


def test_no_port_of_the_host_is_published_twice():
    """Two services do not ask for the same port."""
    ports = [port.split(":")[1] for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == len(set(ports))


@every_service
def test_what_a_service_depends_on_exists_and_can_be_in_that_state(name):
    """A dependency is a service; one that has to be healthy has a health check, one that ends may end."""
    for other, wanted in SERVICES[name].get("depends_on", {}).items():
        assert other in SERVICES
        assert wanted["condition"] in CONDITIONS
        if wanted["condition"] == "service_healthy":
            assert SERVICES[other]["healthcheck"]["test"][0] == "CMD"
        if wanted["condition"] == "service_completed_successfully":
            assert SERVICES[other].get("restart", "no") in {"no", "on-failure"}


@every_service
def test_what_is_mounted_is_a_volume_of_the_file_or_a_file_of_the_repository(name):
    """A mount from the repository exists and is read-only; any other is a volume that is declared."""
    for mount in SERVICES[name].get("volumes", []):
        source, _, rest = mount.partition(":")
        if source.startswith("."):
            assert (ROOT / source).exists()
            assert rest.endswith(":ro")
        else:
            assert source in COMPOSE["volumes"]


def test_every_volume_is_used():
    """No volume is declared for nothing."""
    used = {mount.partition(":")[0] for service in SERVICES.values() for mount in service.get("volumes", [])}
    assert set(COMPOSE["volumes"]) <= used


@every_service
def test_a_variable_has_text_for_a_value(name):
    """No value is a bare yes, no or number, which YAML would change on the way."""
    values = SERVICES[name].get("environment", {}).values()
    assert [value for value in values if not isinstance(value, str)] == []


@pytest.mark.parametrize("name", our_services())
def test_a_variable_of_ours_is_a_setting_with_a_value_that_it_takes(name):
    """The command reads its settings with the variables of the image and of the service."""
    given = our_settings(SERVICES[name])
    assert {key[len(ENV_PREFIX) :].lower() for key in given} <= set(Settings.model_fields)
    printed = run_nextclick("worker", "--print-settings", environment=given)
    settings = json.loads(printed)
    assert settings["bootstrap_servers"] == given["NEXTCLICK_BOOTSTRAP_SERVERS"]


@pytest.mark.parametrize("name", our_services())
def test_a_command_of_ours_exists(name):
    """Each service's command is one of nextclick's, whole: its help is printed and names it."""
    assert json.loads(last("ENTRYPOINT")) == ["nextclick"]
    command = SERVICES[name].get("command", json.loads(last("CMD")))
    assert " ".join(command) in run_nextclick(*command, "--help")


def test_the_command_of_the_image_exists():
    """What the image runs when it is told nothing is a command of nextclick."""
    assert "worker" in run_nextclick(*json.loads(last("CMD")), "--help")


def test_ours_find_the_broker_where_it_listens():
    """bootstrap_servers is a listener that the broker advertises inside the network."""
    advertised = listeners("KAFKA_ADVERTISED_LISTENERS")
    for service in our_services().values():
        assert our_settings(service)["NEXTCLICK_BOOTSTRAP_SERVERS"] in advertised.values()


def test_a_client_on_the_host_finds_the_broker_at_the_port_that_is_published():
    """The listener for outside is advertised as the loopback address that the compose file publishes."""
    (published,) = SERVICES["broker"]["ports"]
    host, outside, inside = published.split(":")
    assert listeners("KAFKA_ADVERTISED_LISTENERS")["OUTSIDE"] == f"{host}:{outside}"
    assert listeners("KAFKA_LISTENERS")["OUTSIDE"] == f":{inside}"
    assert Settings.model_fields["bootstrap_servers"].default == f"{host}:{outside}"


def test_the_broker_is_of_the_version_that_the_tests_run():
    """The image's Kafka is the one of `nextclick kafka`, so that what is tested is what is composed."""
    assert SERVICES["broker"]["image"] == f"apache/kafka:{KAFKA_VERSION}"


def test_prometheus_scrapes_the_worker_at_its_port():
    """The target of the mounted configuration is the worker's service and metrics port."""
    (mount,) = (m for m in SERVICES["prometheus"]["volumes"] if m.startswith("."))
    config = yaml.safe_load((ROOT / mount.partition(":")[0]).read_text(encoding="utf-8"))
    worker = our_settings(SERVICES["worker"])
    targets = [
        target for job in config["scrape_configs"] for s in job["static_configs"] for target in s["targets"]
    ]
    assert targets == [f"worker:{worker['NEXTCLICK_METRICS_PORT']}"]
    assert worker["NEXTCLICK_METRICS_HOST"] == "0.0.0.0"  # noqa: S104 - inside the container's network


def test_the_worker_is_given_longer_to_stop_than_it_takes():
    """A worker stops in under 10 s; the engine waits longer before it kills."""
    assert int(SERVICES["worker"]["stop_grace_period"].removesuffix("s")) > 10


def test_the_state_of_the_worker_is_on_its_volume():
    """RocksDB and the compiled kernels outlive the container."""
    (mount,) = SERVICES["worker"]["volumes"]
    folder = mount.split(":")[1]
    for variable in ("NEXTCLICK_DATA_DIR", "NEXTCLICK_CACHE_DIR"):
        assert Path(our_settings(SERVICES["worker"])[variable]).is_relative_to(folder)


def test_the_image_is_of_one_version_slim_and_run_by_nobody_special():
    """Both stages start from the same slim Python 3.11 by its full version, and the last is not root."""
    bases = [rest.split()[0] for word, rest in instructions() if word == "FROM"]
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", bases[0])
    assert last("USER") not in {"root", "0"}


def test_the_image_starts_without_a_shell():
    """SIGTERM reaches nextclick: the entry point and the command are lists."""
    assert isinstance(json.loads(last("ENTRYPOINT")), list)
    assert isinstance(json.loads(last("CMD")), list)


def test_what_the_image_copies_is_there_and_reaches_the_builder():
    """Every source of a COPY exists and is let through by .dockerignore."""
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = [
        source
        for word, rest in instructions()
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]
    assert "requirements/worker.lock" in copied
    for source in copied:
        assert (ROOT / source).exists()
        assert f"!{source}" in allowed


def test_the_lock_of_the_image_has_what_builds_the_package():
    """The package is built without isolation, so the build's own dependency is locked."""
    assert re.search(
        r"^hatchling==", (ROOT / "requirements/worker.lock").read_text(encoding="utf-8"), re.MULTILINE
    )


def test_the_health_check_tells_a_worker_that_answers_from_one_that_does_not():
    """The line of Python in the image ends with 0 while /metrics answers, and not after it is gone."""
    _, _, command = last("HEALTHCHECK").partition("CMD ")
    program, *arguments = json.loads(command)
    assert program == "python"

    class Metrics(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/metrics" else 404)
            self.end_headers()

        def log_message(self, *_):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
    environment = {**os.environ, "NEXTCLICK_METRICS_PORT": str(server.server_port)}

    def check() -> int:
        run = subprocess.run(
            [sys.executable, *arguments], env=environment, capture_output=True, timeout=30, check=False
        )
        return run.returncode

    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        assert check() == 0
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert check() != 0


def listeners(variable: str) -> dict[str, str]:
    """Name → host:port of the broker's listeners."""
    pairs = SERVICES["broker"]["environment"][variable].split(",")
    return dict(pair.split("://") for pair in pairs)


def run_nextclick(*command: str, environment: dict[str, str] | None = None) -> str:
    """What the command line prints; it has to end with 0."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
    run = subprocess.run(
        [Path(sys.executable).with_name("nextclick"), *command],
        env={**kept, "COLUMNS": "200", "TERM": "dumb", **(environment or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout
