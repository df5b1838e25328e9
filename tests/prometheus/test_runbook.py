"""docs/runbook.md has a section for each alert and no other, and names only what there is."""

from __future__ import annotations

import re

import pytest
import typer

from deploy.grafana.runbook import sections
from stream_app.cli import app
from stream_app.settings import Settings
from tests.prometheus.metric_names import known_metrics, metrics_in
from tests.prometheus.test_rules import rules_of
from tests.test_house import ROOT

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")


def test_every_alert_has_a_section_and_every_section_an_alert():
    """One section an alert, by its name, once."""
    alerts = [rule["alert"] for rule in rules_of("alert")]
    headings = re.findall(r"^### (Nextclick\w+)$", RUNBOOK, re.MULTILINE)
    assert sorted(headings) == sorted(alerts)
    assert list(sections()) == headings


@pytest.mark.parametrize("alert", sections())
def test_a_section_says_what_it_means_how_to_look_and_what_to_do(alert):
    """A first sentence, a look with queries, and what to do."""
    body = sections()[alert]
    assert re.match(r"[A-Z].+?\.", body, re.DOTALL)
    assert re.search(r"^Look:", body, re.MULTILINE)
    assert "```promql\n" in body
    assert re.search(r"^Do: ", body, re.MULTILINE)


def test_the_queries_name_metrics_that_exist():
    """Everything that looks like a metric, in queries and in sentences, is a worker's or is recorded."""
    assert metrics_in(RUNBOOK)
    assert metrics_in(RUNBOOK) - known_metrics() == set()


def test_links_within_the_runbook_lead_somewhere():
    """Each `(#…)` is a heading."""
    headings = re.findall(r"^#+ (.+)$", RUNBOOK, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\(#([\w-]+)\)", RUNBOOK)) <= anchors


def test_the_settings_that_it_names_exist():
    """Words in backquotes that end like a setting are settings."""
    named = set(re.findall(r"`(?:NEXTCLICK_)?(\w+_(?:s|mb|dir|sessions|clicks|host))`", RUNBOOK))
    assert "stall_s" in named
    assert named <= set(Settings.model_fields)


def test_the_commands_that_it_names_exist():
    """Each `nextclick …` in the text and its blocks is a command, the second word of a group one of it."""
    commands = typer.main.get_command(app).commands
    named = re.findall(r"(?:`|^)nextclick ([a-z-]+)(?: ([a-z]+))?", RUNBOOK, re.MULTILINE)
    assert ("topics", "check") in named
    for command, part in named:
        assert command in commands
        parts = getattr(commands[command], "commands", None)
        assert not part or parts is None or part in parts
