"""Every PromQL expression of the repository, with the variables of dashboards filled in."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

from tests.test_house import ROOT

DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))

#: What Grafana puts in place of a variable: all of a choice, and times that hold all of a short test.
VARIABLES = {
    "${datasource}": "prometheus",
    "$job": ".+",
    "$instance": ".+",
    "$partition": ".+",
    "$__rate_interval": "1m",
    "$__range": "2m",
}


_BLOCK = re.compile(r"^```promql\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Expression(NamedTuple):
    """PromQL, and where it stands."""

    promql: str
    place: str


def filled_in(promql: str) -> str:
    """The expression as Grafana would ask it."""
    for variable, value in VARIABLES.items():
        promql = promql.replace(variable, value)
    assert "$" not in promql, f"a variable that no dashboard has: {promql}"
    return promql


def panels_of(path: Path) -> list[dict]:
    """The panels of a dashboard's file, rows left out."""
    dashboard = json.loads(path.read_text(encoding="utf-8"))
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def of_dashboards() -> list[Expression]:
    """Each query of each panel."""
    return [
        Expression(filled_in(target["expr"]), f"{path.stem}: {panel['title']}")
        for path in DASHBOARDS
        for panel in panels_of(path)
        for target in panel.get("targets", ())
    ]


def of_variables() -> list[Expression]:
    """The series that a dashboard's variables take their values from."""
    found = []
    for path in DASHBOARDS:
        templating = json.loads(path.read_text(encoding="utf-8")).get("templating", {})
        for variable in templating.get("list", ()):
            if variable["type"] == "query":
                (series,) = re.findall(r"label_values\((.+), \w+\)", variable["query"]["query"])
                found.append(Expression(filled_in(series), f"{path.stem}: ${variable['name']}"))
    return found


def of_documents() -> list[Expression]:
    """Each query of a document; in the runbook a line, elsewhere too."""
    return [
        Expression(line, path.name)
        for path in sorted((ROOT / "docs").glob("*.md"))
        for block in re.findall(
            r"^```promql\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        )
        for line in block.splitlines()
        if line
    ]
