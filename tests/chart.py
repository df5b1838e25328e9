"""The Helm chart as its tests read it: rendered by Helm itself, as a library."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import helm_python
import yaml

from tests.dockerfile import ROOT

CHART = ROOT / "deploy" / "helm" / "nextclick"

#: Release and namespace of what is rendered.
RELEASE, NAMESPACE = "shop", "prod"


def value_sets() -> dict[str, dict[str, Any]]:
    """The sets of values in ``ci/``, and the chart's own, by name."""
    found = {path.name.removesuffix("-values.yaml"): read(path) for path in sorted((CHART / "ci").iterdir())}
    return {"default": {}, **found}


def read(path: Path) -> dict[str, Any]:
    """A file of YAML."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def render(values: dict[str, Any]) -> list[dict[str, Any]]:
    """The manifests that Helm makes of some values; an error of Helm's where it refuses them."""
    return json.loads(_rendered(json.dumps(values)))


@functools.cache
def _rendered(values: str) -> str:
    with helm_python.Chart.load(CHART) as chart:
        made = chart.render(json.loads(values), name=RELEASE, namespace=NAMESPACE)
    found = []
    for path, text in made.items():
        if path.endswith(".yaml"):
            found += [manifest for manifest in yaml.safe_load_all(text) if manifest]
    return json.dumps(found)


def of_kind(manifests: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Those of a kind."""
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def the_one(manifests: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """The only one of a kind."""
    (found,) = of_kind(manifests, kind)
    return found


def pods(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The specifications of all pods, the worker's first."""
    owners = [*of_kind(manifests, "StatefulSet"), *of_kind(manifests, "Job")]
    return [owner["spec"]["template"]["spec"] for owner in owners]


def container(pod: dict[str, Any]) -> dict[str, Any]:
    """The only container of a pod."""
    (found,) = pod["containers"]
    return found


def environment(pod: dict[str, Any]) -> dict[str, str]:
    """The variables of a pod's container; where one comes from elsewhere, a text in its place."""
    return {one["name"]: one.get("value", "from-elsewhere") for one in container(pod)["env"]}
