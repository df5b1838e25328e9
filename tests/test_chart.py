"""The Helm chart: rendered with several sets of values, and held against schemas, settings and the image."""

from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
from cloudcoil.models.keda import v1alpha1 as keda
from cloudcoil.models.prometheus_operator import v1 as prometheus_operator

from stream_app.settings import ENV_PREFIX, Settings, load_settings
from tests.chart import (
    CHART,
    container,
    environment,
    of_kind,
    pods,
    read,
    render,
    the_one,
    value_sets,
)
from tests.composed import command_of, ours
from tests.dockerfile import ROOT, last

SETS = value_sets()
EVERYTHING = SETS["everything"]

#: The oldest Kubernetes of Chart.yaml, and the newest whose schemas are known.
VERSIONS = ("1.27", "1.37")

#: What is no part of Kubernetes itself.
OPERATORS = {
    "ServiceMonitor": prometheus_operator.ServiceMonitor,
    "PrometheusRule": prometheus_operator.PrometheusRule,
    "ScaledObject": keda.ScaledObject,
    "TriggerAuthentication": keda.TriggerAuthentication,
}

every_set = pytest.mark.parametrize("manifests", [pytest.param(render(SETS[name]), id=name) for name in SETS])


@pytest.mark.parametrize("name", SETS)
def test_helm_finds_nothing_to_mend(name):
    """`helm lint --strict` warns of nothing."""
    report = helm_python.lint(CHART, SETS[name], strict=True)
    assert report["errors"] == []
    assert [said for said in report["messages"] if said["severity"] > 1] == []


@every_set
@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_as_kubernetes_wants_it(manifests, version):
    """Each is valid by the strict schema of its kind: no field is unknown, none is missing."""
    for manifest in manifests:
        if manifest["kind"] not in OPERATORS:
            kubernetes_validate.validate(manifest, version, strict=True)


@every_set
def test_every_manifest_of_an_operator_is_as_the_operator_wants_it(manifests):
    """Each is valid by the operator's types, which know all that is in it."""
    for manifest in manifests:
        if model := OPERATORS.get(manifest["kind"]):
            known = model.model_validate(manifest).model_dump(by_alias=True, exclude_unset=True, mode="json")
            assert known == manifest


@every_set
def test_manifests_have_names_of_their_own_and_find_each_other(manifests):
    """Selectors select the workers' pods and no others, and what is named is made."""
    names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests]
    assert len(names) == len(set(names))
    workers = the_one(manifests, "StatefulSet")
    labels = workers["spec"]["template"]["metadata"]["labels"]
    service = the_one(manifests, "Service")
    selectors = [workers["spec"]["selector"]["matchLabels"], service["spec"]["selector"]]
    for kind, key in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        selectors += [one["spec"][key]["matchLabels"] for one in of_kind(manifests, kind)]
    jobs = [one["spec"]["template"]["metadata"]["labels"] for one in of_kind(manifests, "Job")]
    for selector in selectors:
        assert selector.items() <= labels.items()
        assert not any(selector.items() <= others.items() for others in jobs)
    for monitor in of_kind(manifests, "ServiceMonitor"):
        assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    assert workers["spec"]["serviceName"] == service["metadata"]["name"]
    account = pods(manifests)[0]["serviceAccountName"]
    made = [one["metadata"]["name"] for one in of_kind(manifests, "ServiceAccount")]
    assert [account] == made or (account, made) == ("default", [])


@every_set
def test_every_variable_is_a_setting_with_a_value_that_it_takes(manifests, monkeypatch):
    """The settings are read with the variables of each pod; the commands are those of docker-compose.yml."""
    known = [command_of(service) for service in ours().values()]
    for pod in pods(manifests):
        names = [one["name"] for one in container(pod)["env"]]
        assert len(names) == len(set(names))
        assert read_settings(pod, monkeypatch)
        assert container(pod)["args"] in known
        # Links to services would be variables of our prefix where a service has our name.
        assert pod["enableServiceLinks"] is False


def test_settings_arrive_as_they_are_given(monkeypatch):
    """Large numbers stay whole, tables become JSON, switches words."""
    asked = EVERYTHING["settings"]
    read_there = read_settings(pods(render(EVERYTHING))[0], monkeypatch).public()
    assert {key: read_there[key] for key in asked} == asked


def read_settings(pod: dict[str, Any], monkeypatch) -> Settings:
    """The settings that a pod's command reads."""
    for name in [name for name in os.environ if name.startswith(ENV_PREFIX)]:
        monkeypatch.delenv(name)
    for name, value in environment(pod).items():
        monkeypatch.setenv(name, value)
    return load_settings()


@every_set
def test_a_worker_is_a_static_member_under_its_pods_name(manifests):
    """Its name in the group is the pod's, and it has longer to come back than its pod takes to stop."""
    worker = pods(manifests)[0]
    (name,) = (one for one in container(worker)["env"] if one["name"] == "NEXTCLICK_GROUP_INSTANCE_ID")
    assert name["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert float(environment(worker)["NEXTCLICK_SESSION_TIMEOUT_S"]) >= 45
    assert worker["terminationGracePeriodSeconds"] > 10
    assert all("NEXTCLICK_GROUP_INSTANCE_ID" not in environment(pod) for pod in pods(manifests)[1:])


@every_set
def test_the_probes_ask_the_worker_where_it_answers(manifests):
    """Ready by /ready, alive by /live, both at the port that the worker listens on."""
    worker = container(pods(manifests)[0])
    (port,) = worker["ports"]
    given = environment(pods(manifests)[0])
    assert str(port["containerPort"]) == given["NEXTCLICK_METRICS_PORT"]
    assert given["NEXTCLICK_METRICS_HOST"] == "0.0.0.0"  # noqa: S104 - inside the cluster's network
    asked = {name: worker[name]["httpGet"] for name in worker if name.endswith("Probe")}
    assert {name: probe["path"] for name, probe in asked.items()} == {
        "startupProbe": "/live",
        "livenessProbe": "/live",
        "readinessProbe": "/ready",
    }
    assert {probe["port"] for probe in asked.values()} == {port["name"]}
    assert all(worker[name]["failureThreshold"] >= 1 for name in asked)
    service = the_one(manifests, "Service")["spec"]["ports"][0]
    assert (service["targetPort"], service["port"]) == (port["name"], port["containerPort"])


@every_set
def test_a_pod_may_do_no_more_than_it_must(manifests):
    """Not root, nothing written but volumes, no capabilities, no token; the image's own user."""
    user, group = map(int, last("worker", "USER").rest.split(":"))
    for pod in pods(manifests):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert [pod["securityContext"][key] for key in ("runAsUser", "runAsGroup", "fsGroup")] == [
            user,
            group,
            group,
        ]
        context = container(pod)["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert {"requests", "limits"} <= set(container(pod)["resources"])


@every_set
def test_what_is_mounted_is_there_and_the_state_is_where_the_image_has_it(manifests):
    """Each mount has its volume; the data is on the claim, or on nothing that lasts."""
    workers = the_one(manifests, "StatefulSet")["spec"]
    for pod in pods(manifests):
        claims = [claim["metadata"]["name"] for claim in workers.get("volumeClaimTemplates", [])]
        volumes = [volume["name"] for volume in pod["volumes"]]
        mounted = {mount["mountPath"]: mount["name"] for mount in container(pod)["volumeMounts"]}
        assert set(mounted.values()) <= {*volumes, *claims}
        assert set(volumes) <= set(mounted.values())
        assert "/tmp" in mounted  # noqa: S108 - the container's
    (place,) = last("worker", "VOLUME").command
    mounted = {mount["mountPath"]: mount["name"] for mount in container(pods(manifests)[0])["volumeMounts"]}
    assert mounted[place] == "data"


def test_certificates_are_read_where_they_are_mounted():
    """The files that the settings name lie in the folders of the secrets."""
    worker = pods(render(SETS["secured"]))[0]
    given = environment(worker)
    folders = {mount["mountPath"] for mount in container(worker)["volumeMounts"]}
    for name in ("SSL_CA_FILE", "SSL_CERT_FILE", "SSL_KEY_FILE"):
        assert str(Path(given[f"NEXTCLICK_{name}"]).parent) in folders
    secret = {volume["name"]: volume.get("secret", {}).get("secretName") for volume in worker["volumes"]}
    assert (secret["ca"], secret["client"]) == ("kafka-ca", "nextclick-client")


def test_no_secret_is_in_a_manifest():
    """Passwords and the token come from secrets that are there already."""
    for name in ("secured", "everything"):
        manifests = render(SETS[name])
        assert of_kind(manifests, "Secret") == []
        for pod in pods(manifests):
            secret = [
                one for one in container(pod)["env"] if re.search("PASSWORD|TOKEN|USERNAME", one["name"])
            ]
            assert len(secret) >= 2
            assert all("secretKeyRef" in one["valueFrom"] for one in secret)


def test_topics_are_made_before_the_workers_start():
    """The job runs before an install and an upgrade, needs nothing of the release, and can be left out."""
    job = the_one(render({}), "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert "serviceAccountName" not in job["spec"]["template"]["spec"]
    assert of_kind(render(SETS["secured"]), "Job") == []


def test_rules_and_dashboards_are_the_files_that_prometheus_and_grafana_read():
    """Every group and every dashboard arrives whole; there is one copy of each."""
    manifests = render(EVERYTHING)
    rules = sorted((ROOT / "deploy/prometheus/rules").glob("*.yml"))
    groups = [group for path in rules for group in read(path)["groups"]]
    assert the_one(manifests, "PrometheusRule")["spec"]["groups"] == groups
    files = (ROOT / "deploy/grafana/dashboards").glob("*.json")
    dashboards = {f"nextclick-{path.name}": json.loads(path.read_text(encoding="utf-8")) for path in files}
    given = {}
    for one in of_kind(manifests, "ConfigMap"):
        assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
        given |= one["data"]
    assert {name: json.loads(text) for name, text in given.items()} == dashboards
    assert (CHART / "rules").resolve() == ROOT / "deploy/prometheus/rules"
    assert (CHART / "dashboards").resolve() == ROOT / "deploy/grafana/dashboards"


def test_the_archive_has_what_the_links_lead_to(tmp_path):
    """What `helm package` makes is whole without the repository."""
    archive = helm_python.package(CHART, destination=tmp_path)
    with helm_python.Chart.load_archive(Path(str(archive)).read_bytes()) as chart:
        made = chart.render(EVERYTHING, name="shop")
    assert "nextclick_hit_rate" in made["nextclick/templates/monitoring.yaml"]


def test_the_network_policy_lets_kafka_names_and_metrics_through():
    """Out: the ports of all brokers and DNS; in: the one port, from who is named."""
    policy = the_one(render(EVERYTHING), "NetworkPolicy")["spec"]
    assert [port["port"] for port in policy["egress"][0]["ports"]] == [53, 53]
    assert {port["port"] for port in policy["egress"][1]["ports"]} == {9094, 9095}
    assert policy["ingress"] == [{"ports": [{"port": "metrics", "protocol": "TCP"}]}]
    named = the_one(render(SETS["secured"]), "NetworkPolicy")["spec"]["ingress"][0]["from"]
    assert named == SETS["secured"]["networkPolicy"]["from"]


def test_scaling_by_lag_asks_for_the_workers_own_group_and_topic():
    """KEDA's trigger has what the settings have, and the number of replicas is left to it."""
    manifests = render(EVERYTHING)
    (trigger,) = the_one(manifests, "ScaledObject")["spec"]["triggers"]
    given = environment(pods(manifests)[0])
    assert trigger["metadata"]["consumerGroup"] == given["NEXTCLICK_GROUP_ID"]
    assert trigger["metadata"]["topic"] == given["NEXTCLICK_CLICKS_TOPIC"]
    assert trigger["metadata"]["bootstrapServers"] == given["NEXTCLICK_BOOTSTRAP_SERVERS"]
    assert "replicas" not in the_one(manifests, "StatefulSet")["spec"]
    (trigger,) = the_one(render({"keda": {"enabled": True}}), "ScaledObject")["spec"]["triggers"]
    assert trigger["metadata"]["consumerGroup"] == Settings.model_fields["group_id"].default
    assert trigger["metadata"]["topic"] == Settings.model_fields["clicks_topic"].default


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"replica": 3}, "replica"),
        ({"replicas": -1}, "replicas"),
        ({"image": {"tag": "latest"}}, "tag"),
        ({"kafka": {"bootstrapServers": "kafka"}}, "bootstrapServers"),
        ({"kafka": {"bootstrapServers": "kafka:9092, other:9092"}}, "bootstrapServers"),
        ({"kafka": {"securityProtocol": "SASL_SSL"}}, "existingSecret"),
        ({"kafka": {"sasl": {"password": "secret"}}}, "password"),
        ({"settings": {"gap": 1800}}, "gap"),
        ({"settings": {"gap_s": -1}}, "gap_s"),
        ({"settings": {"bootstrap_servers": "kafka:9092"}}, "bootstrap_servers"),
        ({"settings": {"preset": "best"}}, "preset"),
        ({"persistence": {"size": "big"}}, "size"),
        ({"metricsPort": 80}, "metricsPort"),
    ],
)
def test_wrong_values_are_refused_before_anything_is_installed(values, said):
    """An unknown value, one out of its range and a setting that is none are errors that name it."""
    with pytest.raises(helm_python.HelmError, match=said):
        render(values)


def test_the_readme_has_every_value_with_its_default():
    """The table is the file of values, line by line."""
    rows = re.findall(
        r"^\| `([\w.]+)` \| (?:`(.*?)`)? ?\| .+ \|$", (CHART / "README.md").read_text("utf-8"), re.MULTILINE
    )
    defaults = read(CHART / "values.yaml")
    assert len(rows) > 50
    for name, default in rows:
        value: Any = defaults
        *folders, last_name = name.split(".")
        for folder in folders:
            value = value[folder]
        value = value.pop(last_name)
        assert value == json.loads(default) if default else value in ("", [], {})
    assert left(defaults) == []


def left(values: dict[str, Any]) -> list[str]:
    """The values that are still there."""
    return [name for name, value in values.items() if not isinstance(value, dict) or left(value)]


def test_the_chart_is_of_this_version():
    """Its appVersion, which is the image's tag by default, is the package's version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    chart = read(CHART / "Chart.yaml")
    assert chart["appVersion"] == project["version"]
    assert container(pods(render({}))[0])["image"] == f"nextclick:{project['version']}"
    assert VERSIONS[0] in chart["kubeVersion"]
