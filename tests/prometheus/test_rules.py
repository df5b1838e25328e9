"""The rules of deploy/prometheus: valid, each alert explained, each tested for firing and for being quiet."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.prometheus.binaries import ROOT, promtool

RULES = sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"))
UNIT_TESTS = sorted((ROOT / "tests" / "prometheus").glob("*.yml"))


def rules_of(kind: str) -> list[dict]:
    """All rules of a kind, `alert` or `record`."""
    return [
        rule
        for path in RULES
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
        if kind in rule
    ]


def kinds_tested(texts: list[str]) -> dict[str, set[bool]]:
    """By alert, whether a unit test has it fire, and whether one has it keep quiet."""
    kinds: dict[str, set[bool]] = {}
    for text in texts:
        for test in yaml.safe_load(text)["tests"]:
            for case in test.get("alert_rule_test", ()):
                kinds.setdefault(case["alertname"], set()).add(bool(case["exp_alerts"]))
    return kinds


def test_prometheus_takes_the_rules_and_the_configuration():
    """Promtool finds no fault with any of them, and the configuration reads every file of rules."""
    rules = promtool("check", "rules", *map(str, RULES))
    assert rules.returncode == 0, rules.stdout + rules.stderr
    config = promtool("check", "config", "deploy/prometheus/prometheus.yml")
    assert config.returncode == 0, config.stdout + config.stderr
    assert f"{len(RULES)} rule files found" in config.stdout


@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem)
def test_the_alerts_fire_and_keep_quiet_when_they_should(path: Path):
    """Promtool plays the series of a file to the rules and compares every alert, its labels and its words."""
    done = promtool("test", "rules", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem)
def test_the_groups_of_a_unit_test_are_evaluated_in_a_stated_order(path: Path):
    """The recorded series first, then what reads them: promtool takes any order unless told one."""
    asked = yaml.safe_load(path.read_text(encoding="utf-8"))
    files = [yaml.safe_load((path.parent / file).read_text(encoding="utf-8")) for file in asked["rule_files"]]
    groups = [group["name"] for file in files for group in file["groups"]]
    assert asked["group_eval_order"] == groups
    assert groups[0] == "nextclick-recording"


def test_every_alert_is_tested_for_firing_and_for_keeping_quiet():
    """Each alert has a series that fires it and one that does not; no test is about an alert that is gone."""
    kinds = kinds_tested([path.read_text(encoding="utf-8") for path in UNIT_TESTS])
    assert kinds == {rule["alert"]: {True, False} for rule in rules_of("alert")}


def test_an_alert_with_one_kind_of_test_only_is_seen():
    """The comparison above notices a missing kind."""
    case = "tests: [{alert_rule_test: [{alertname: A, eval_time: 1m, exp_alerts: []}]}]"
    assert kinds_tested([case]) == {"A": {False}}


@pytest.mark.parametrize("rule", rules_of("alert"), ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_where_help_is(rule):
    """A severity, a sentence with what happens and to whom, one with what it means, its section."""
    assert rule["alert"].startswith("Nextclick")
    assert rule["labels"] in ({"severity": "critical"}, {"severity": "warning"})
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["description"].endswith(".")
    assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"


def test_a_recorded_series_says_by_what_it_is_summed_and_is_recorded_once():
    """Names are level:metric:operations, as Prometheus' own guide has them."""
    names = [rule["record"] for rule in rules_of("record")]
    assert len(set(names)) == len(names) > 0
    assert all(name.startswith("job") and name.count(":") == 2 for name in names)
