"""docker-compose.yml and what it mounts, checked without a container engine.

tests/integration/test_compose_services.py runs the commands of its services.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stream_app.kafka.jars import KAFKA_VERSION
from stream_app.settings import ENV_PREFIX, Settings, load_settings
from stream_app.worker.stopping import STOP_S
from tests.composed import command_of, composed, listeners, ours, services, settings_of, workers
from tests.dockerfile import ROOT, last, stages

#: An image with a tag that names one version: a number with two dots at least.
PINNED = re.compile(r"[\w./-]+:v?\d+\.\d+\.\d+[\w.-]*")

#: The services that others made cannot run with a read-only root, with the reason.
WRITES_INTO_ITSELF = {"broker": "writes its configuration into its own folders when it starts"}

every_service = pytest.mark.parametrize("name", services())


def binds(name: str) -> dict[str, Path]:
    """Where a service has what of the repository."""
    mounts = services()[name].get("volumes", [])
    return {mount["target"]: Path(mount["source"]) for mount in mounts if mount["type"] == "bind"}


def volumes(name: str) -> dict[str, str]:
    """Where a service has which volume."""
    mounts = services()[name].get("volumes", [])
    return {mount["target"]: mount["source"] for mount in mounts if mount["type"] == "volume"}


def run_nextclick(*command: str) -> str:
    """What the command line prints; it has to end with 0."""
    run = subprocess.run(
        [Path(sys.executable).with_name("nextclick"), *command],
        env={**os.environ, "COLUMNS": "200", "TERM": "dumb"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@every_service
def test_an_image_is_of_one_version_or_built_here(name):
    """Every service names an image with a full version, or a stage of the Dockerfile that exists."""
    service = services()[name]
    if "build" in service:
        build = service["build"]
        assert Path(build["context"], build["dockerfile"]).is_file()
        assert build["target"] in stages()
        assert service["image"].endswith(":local")
    else:
        assert PINNED.fullmatch(service["image"])


def test_a_stage_has_one_name_as_an_image():
    """What is built of one stage has one name, and another stage another."""
    built = {(service["build"]["target"], service["image"]) for service in ours().values()}
    assert len(built) == len({target for target, _ in built}) == len({image for _, image in built})


def test_ports_are_published_on_the_loopback_only_and_once():
    """What a service publishes is reached from this machine alone, and no two want the same port."""
    ports = [port for service in services().values() for port in service.get("ports", [])]
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}
    published = [port["published"] for port in ports]
    assert len(published) == len(set(published))


@every_service
def test_what_is_published_is_said_at_the_top_of_the_file(name):
    """Whoever opens the file finds every address there."""
    head = (ROOT / "docker-compose.yml").read_text(encoding="utf-8").split("\n\n")[0]
    assert [port for port in services()[name].get("ports", []) if port["published"] not in head] == []


@every_service
def test_what_a_service_waits_for_can_be_in_that_state(name):
    """One that has to be healthy has a health check, one that has to end may end."""
    for other, wanted in services()[name].get("depends_on", {}).items():
        service = services()[other]
        if wanted["condition"] == "service_healthy":
            assert service["healthcheck"]["test"][0] == "CMD"
        else:
            assert wanted["condition"] == "service_completed_successfully"
            assert service["restart"] in {"no", "on-failure"}


def test_they_start_one_after_the_other():
    """The workers wait for the topics, these for the broker; clicks come when both workers answer."""
    order = {name: set(service.get("depends_on", {})) for name, service in services().items()}
    assert order["topics"] == {"broker"}
    assert {name: order[name] for name in workers()} == {name: {"topics"} for name in workers()}
    assert order["replayer"] == set(workers())
    assert order["grafana"] == {"prometheus"}


@every_service
def test_what_is_mounted_from_the_repository_is_there_and_read_only(name):
    """A mount from the repository exists and cannot be written; each volume is declared."""
    for mount in services()[name].get("volumes", []):
        if mount["type"] == "bind":
            assert mount["read_only"]
            assert Path(mount["source"]).is_relative_to(ROOT)
            assert Path(mount["source"]).exists()
        else:
            assert mount["source"] in composed()["volumes"]


def test_every_volume_is_used_once():
    """No volume is declared for nothing, and no two services write to the same."""
    used = [volume for name in services() for volume in volumes(name).values()]
    assert sorted(used) == sorted(composed()["volumes"])


@every_service
def test_a_service_is_bounded(name):
    """Each has limits of memory, processor and processes."""
    limits = services()[name]["deploy"]["resources"]["limits"]
    assert limits["cpus"] > 0
    assert int(limits["memory"]) >= 256 * 2**20
    assert limits["pids"] > 0


@every_service
def test_a_service_may_do_no_more_than_it_must(name):
    """No capabilities, no way to more rights, nothing written but volumes and /tmp."""
    service = services()[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert service.get("read_only", False) is (name not in WRITES_INTO_ITSELF)
    assert service.get("tmpfs", []) == ([] if name in WRITES_INTO_ITSELF else ["/tmp"])  # noqa: S108 - the container's


@every_service
def test_a_variable_has_text_for_a_value(name):
    """In the file itself no value is a bare yes, no or number, which YAML would change on the way."""
    file = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    values = (file["services"][name].get("environment") or {}).values()
    assert [value for value in values if not isinstance(value, str)] == []


@pytest.mark.parametrize("name", ours())
def test_a_variable_of_ours_is_a_setting_with_a_value_that_it_takes(name, monkeypatch):
    """The settings are read with the variables of the image and of the service."""
    given = settings_of(services()[name])
    for key in [key for key in os.environ if key.startswith(ENV_PREFIX)]:
        monkeypatch.delenv(key)
    for key, value in given.items():
        monkeypatch.setenv(key, value)
    assert load_settings().bootstrap_servers == given["NEXTCLICK_BOOTSTRAP_SERVERS"]


@pytest.mark.parametrize("name", ours())
def test_a_command_of_ours_exists_with_its_options(name):
    """Each service's command is one of nextclick's: its help names it and every option."""
    service = services()[name]
    assert last(service["build"]["target"], "ENTRYPOINT").command == ["nextclick"]
    words = command_of(service)
    names = [word for word in words if re.fullmatch(r"[a-z]+", word)]
    said = run_nextclick(*names, "--help")
    assert " ".join(names) in said
    assert [word for word in words if word.startswith("--") and word not in said] == []


def test_ours_find_the_broker_where_it_listens():
    """bootstrap_servers is a listener that the broker advertises inside the network."""
    advertised = listeners("KAFKA_ADVERTISED_LISTENERS")
    for service in ours().values():
        assert settings_of(service)["NEXTCLICK_BOOTSTRAP_SERVERS"] in advertised.values()


def test_a_client_on_the_host_finds_the_broker_at_the_port_that_is_published():
    """The listener for outside is advertised as the loopback address that the compose file publishes."""
    (port,) = services()["broker"]["ports"]
    outside = f"{port['host_ip']}:{port['published']}"
    assert listeners("KAFKA_ADVERTISED_LISTENERS")["OUTSIDE"] == outside
    assert listeners("KAFKA_LISTENERS")["OUTSIDE"] == f":{port['target']}"
    assert Settings.model_fields["bootstrap_servers"].default == outside


def test_the_broker_is_of_the_version_that_the_tests_run_and_fits_its_memory():
    """The image's Kafka is the one of `nextclick kafka`; its heap is half of what it may take at most."""
    broker = services()["broker"]
    assert broker["image"] == f"apache/kafka:{KAFKA_VERSION}"
    (heap,) = re.findall(r"-Xmx(\d+)m", broker["environment"]["KAFKA_HEAP_OPTS"])
    assert int(heap) * 2**20 <= int(broker["deploy"]["resources"]["limits"]["memory"]) / 2


def test_two_workers_share_the_work_and_keep_their_state_apart():
    """There are two, alike but for ports; each has RocksDB and kernels on a volume of its own."""
    assert len(workers()) == 2 <= Settings.model_fields["partitions"].default
    alike = [
        {key: value for key, value in worker.items() if key not in {"ports", "volumes"}}
        for worker in workers().values()
    ]
    assert alike[0] == alike[1]
    for name, worker in workers().items():
        (folder,) = volumes(name)
        for variable in ("NEXTCLICK_DATA_DIR", "NEXTCLICK_CACHE_DIR"):
            assert Path(settings_of(worker)[variable]).is_relative_to(folder)


def test_a_worker_is_given_longer_to_stop_than_it_takes():
    """A worker ends by itself, whatever hangs; the engine waits longer than that before it kills."""
    for worker in workers().values():
        assert int(worker["stop_grace_period"].removesuffix("s")) > STOP_S


def test_prometheus_scrapes_every_worker_at_its_port():
    """The targets of the mounted configuration are the workers; all of its rule files are mounted."""
    folder = binds("prometheus")["/etc/prometheus"]
    config = yaml.safe_load((folder / "prometheus.yml").read_text(encoding="utf-8"))
    targets = [
        target for job in config["scrape_configs"] for s in job["static_configs"] for target in s["targets"]
    ]
    given = {name: settings_of(worker) for name, worker in workers().items()}
    assert targets == [f"{name}:{one['NEXTCLICK_METRICS_PORT']}" for name, one in given.items()]
    assert {one["NEXTCLICK_METRICS_HOST"] for one in given.values()} == {"0.0.0.0"}  # noqa: S104 - inside the container's network
    assert all(list(folder.glob(pattern)) for pattern in config["rule_files"])


def test_grafana_finds_prometheus_and_opens_with_the_overview():
    """Data source, dashboards and the home dashboard are where the mounts put them."""
    mounted = binds("grafana")
    (provisioning,) = (path for target, path in mounted.items() if target == "/etc/grafana/provisioning")
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    (port,) = services()["prometheus"]["ports"]
    assert source["url"] == f"http://prometheus:{port['target']}"
    (provider,) = yaml.safe_load((provisioning / "dashboards/nextclick.yml").read_text())["providers"]
    folder = provider["options"]["path"]
    home = Path(services()["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert home.is_relative_to(folder)
    overview = json.loads((mounted[folder] / home.relative_to(folder)).read_text(encoding="utf-8"))
    assert "verview" in overview["title"]


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_a_check_of_health_asks_where_the_service_listens(name):
    """The port in the check is the one that is published."""
    service = services()[name]
    (port,) = service["ports"]
    assert service["healthcheck"]["test"][-1].startswith(f"http://127.0.0.1:{port['target']}/")
