"""The dashboards: as the generator makes them, as Grafana's types have them, and complete."""

from __future__ import annotations

import json
import re
from itertools import combinations

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.__main__ import DASHBOARDS, FOLDER, made, main
from deploy.grafana.runbook import sections
from tests.prometheus.expressions import of_dashboards, panels_of
from tests.prometheus.metric_names import known_metrics, metrics_in
from tests.prometheus.test_rules import rules_of
from tests.test_house import ROOT

DATA = ["overview", "recommendations", "stream", "kafka-inputs"]


def read(name: str) -> dict:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_is_as_the_generator_makes_it(name):
    """The file in the repository is that of today's code and runbook; `make docs` makes it so."""
    assert (FOLDER / f"{name}.json").read_text(encoding="utf-8") == made(name), "run `make docs`"


def test_the_verb_writes_every_dashboard_and_no_other_is_there(tmp_path):
    """main() makes the folder's files."""
    main(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in FOLDER.iterdir()}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_grafana_s_types_know_every_field(name):
    """Read into Grafana's published types and written again, nothing is lost and nothing changes."""
    register_default_plugins()
    decoded = Dashboard.from_json(read(name))
    assert json.loads(json.dumps(decoded, cls=JSONEncoder)) == read(name)


def test_a_field_that_grafana_does_not_know_is_seen():
    """The comparison above notices a field with a wrong name, in a panel too."""
    register_default_plugins()
    wrong = read("overview")
    wrong["panels"][1]["fieldConfig"]["defaults"]["units"] = "s"
    assert json.loads(json.dumps(Dashboard.from_json(wrong), cls=JSONEncoder)) != wrong


@pytest.mark.parametrize("name", DATA)
def test_a_dashboard_can_be_narrowed_and_leads_to_the_others(name):
    """Prometheus, job and instance can be chosen, and the partition on some; one link to all others."""
    dashboard = read(name)
    names = [variable["name"] for variable in dashboard["templating"]["list"]]
    assert names[:3] == ["datasource", "job", "instance"]
    text = json.dumps(dashboard["panels"])
    assert all(f'=~\\"${variable}\\"' in text for variable in names[1:])
    assert [link["tags"] for link in dashboard["links"]] == [["nextclick"]] == [dashboard["tags"]]
    assert dashboard["uid"] == f"nextclick-{name}"


@pytest.mark.parametrize("name", DATA)
def test_a_panel_says_what_it_shows_in_which_unit(name):
    """Title, description, unit, a query with a name for each series, and the chosen Prometheus."""
    panels = panels_of(FOLDER / f"{name}.json")
    assert len({panel["title"] for panel in panels}) >= len(panels) - 2
    for panel in panels:
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"] in {"cps", "s", "bytes", "percentunit", "short"}
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["targets"]
        assert all(target["expr"] and target["legendFormat"] for target in panel["targets"])


@pytest.mark.parametrize("name", DASHBOARDS)
def test_no_panel_covers_another(name):
    """On Grafana's grid of 24 columns every panel has its own place."""
    places = [panel["gridPos"] for panel in read(name)["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below


def test_every_metric_of_a_query_exists():
    """Queries ask for a worker's metrics, its process's, and recorded series."""
    for expression in of_dashboards():
        assert metrics_in(expression.promql) - known_metrics() == set(), expression.place


def test_every_metric_of_a_worker_is_on_a_dashboard_or_in_a_rule():
    """What is counted is shown or watched."""
    seen = {name for expression in of_dashboards() for name in metrics_in(expression.promql)}
    seen |= {name for rule in rules_of("expr") for name in metrics_in(rule["expr"])}
    seen = {name.removesuffix("_bucket").removesuffix("_count") for name in seen}
    counted = {name for name in known_metrics() if name.startswith("nextclick_")}
    counted = {name for name in counted if not name.endswith(("_bucket", "_count", "_sum"))}
    assert counted - seen == set()


def test_a_panel_leads_to_the_sections_of_its_alerts():
    """Each alert is linked from a panel, and each link leads to the runbook's panel of that name."""
    by_id = {panel["id"]: panel["title"] for panel in read("runbook")["panels"]}
    assert list(by_id.values()) == list(sections())
    linked = set()
    for name in DATA:
        for panel in panels_of(FOLDER / f"{name}.json"):
            for link in panel.get("links", ()):
                alert = link["title"].removeprefix("Runbook: ")
                page, _, number = link["url"].partition("?viewPanel=")
                assert (page, by_id[int(number)]) == ("/d/nextclick-runbook", alert)
                linked.add(alert)
    assert linked == {rule["alert"] for rule in rules_of("alert")}


def test_the_runbook_s_links_work_in_grafana():
    """They lead to panels; what leads to other documents is words there."""
    targets = re.findall(r"\]\(([^)]+)\)", json.dumps(read("runbook")))
    ids = {str(panel["id"]) for panel in read("runbook")["panels"]}
    assert len(targets) > 10
    assert all(target.removeprefix("/d/nextclick-runbook?viewPanel=") in ids for target in targets)


def test_grafana_is_told_where_prometheus_and_the_dashboards_are():
    """The source is of the type that the dashboards choose from, and scraped as often as it says."""
    provisioning = ROOT / "deploy" / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert source["type"] == "prometheus"
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    assert source["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "nextclick.yml").read_text())["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"]
