"""A real Prometheus reads a real worker under load: every expression of the repository has data there."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Iterator

import pytest

from stream_app.settings import Settings
from tests.oracles.whole_log import messy_clicks
from tests.prometheus.expressions import Expression, of_dashboards, of_documents, of_variables
from tests.prometheus.metric_names import metrics_in
from tests.prometheus.prometheus_process import PrometheusProcess
from tests.prometheus.test_rules import rules_of
from tests.worker_process import WorkerProcess, create_topics, send_records, sending, wait_until

BAD = [None, b"no JSON", b'{"visitor": "a", "item": "b"}', b'{"visitor": "", "item": "b", "time": 1}']
LATE = b'{"visitor": "a", "item": "b", "time": 0}'
FUTURE = b'{"visitor": "a", "item": "b", "time": "2900-01-01T00:00:00Z"}'

#: Clicks, and how many a second: a load that lasts for some scrapes.
CLICKS = 2400
A_SECOND = 300.0


@pytest.fixture(scope="module")
def prometheus(kafka, tmp_path_factory) -> Iterator[PrometheusProcess]:
    """Prometheus, at the end of a load of clicks of which some are late, of the future, or none at all."""
    folder = tmp_path_factory.mktemp("watched")
    settings = Settings(
        bootstrap_servers=kafka,
        group_id="watched",
        clicks_topic="watched-clicks",
        recommendations_topic="watched-recommendations",
        sessions_topic="watched-sessions",
        dead_letters_topic="watched-dead",
        data_dir=folder / "data",
        gap_s=20,
        grace_s=5,
        snapshot_every_s=5,
    )
    create_topics(settings)
    with WorkerProcess(settings) as worker:
        worker.start().wait_ready()
        target = f"127.0.0.1:{worker.settings.metrics_port}"
        with PrometheusProcess(folder / "prometheus", [target]) as started:
            wait_until(lambda: bool(started.query("nextclick_ready == 1")), "it is scraped", 60, [worker])
            with sending(settings, messy_clicks(1, CLICKS), A_SECOND):
                time.sleep(3)
                asyncio.run(send_records(settings, [(b"a", value) for value in (*BAD, LATE, FUTURE) * 5]))
            answered = "sum(nextclick_recommendations_total) > 2000"
            wait_until(lambda: bool(started.query(answered)), "the load is answered", 60, [worker])
            yield started


def data_of(prometheus: PrometheusProcess, promql: str) -> list[float]:
    """The numbers that an expression comes to; what is not a number is no data."""
    return [sample.value for sample in prometheus.query(promql) if not math.isnan(sample.value)]


def without_data(prometheus: PrometheusProcess, expressions: list[Expression]) -> list[Expression]:
    """The expressions that come to nothing."""
    return [expression for expression in expressions if not data_of(prometheus, expression.promql)]


def without_past(promql: str) -> str:
    """The expression as if what it compares with were now: nothing is a week old here."""
    return re.sub(r" offset \w+", "", promql)


def test_no_panel_is_without_data(prometheus):
    """Every query of every panel, and every choice of a variable, has at least one number."""
    assert len(of_dashboards()) > 80
    assert data_of(prometheus, "nextclick_no_such_metric") == []
    assert without_data(prometheus, [*of_dashboards(), *of_variables()]) == []


def test_every_recorded_series_is_there(prometheus):
    """Each recording rule has recorded something; one that looks at another week is asked for this one."""
    expressions = [
        Expression(rule["record"] if without_past(rule["expr"]) == rule["expr"] else rule["expr"], "rules")
        for rule in rules_of("record")
    ]
    recorded = [Expression(without_past(promql), place) for promql, place in expressions]
    assert without_data(prometheus, recorded) == []


def test_prometheus_evaluates_every_rule_without_an_error(prometheus):
    """By its own account of every rule that it has loaded, all of ours."""
    loaded = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in loaded} == {
        rule.get("alert") or rule["record"] for rule in (*rules_of("alert"), *rules_of("record"))
    }
    assert [(rule["name"], rule.get("lastError")) for rule in loaded if rule["health"] != "ok"] == []


def test_what_an_alert_looks_at_is_there(prometheus):
    """Each alert evaluates, and every metric that it names has series: it could fire."""
    for rule in rules_of("alert"):
        prometheus.query(rule["expr"])
        for metric in metrics_in(rule["expr"]) - {"job:nextclick_hit_rate:avg1w"}:
            assert data_of(prometheus, metric), f"{rule['alert']}: {metric}"


def test_nothing_fires_but_what_should(prometheus):
    """A healthy worker under load fires no alert within seconds; the dead letters are on their way to it."""
    alerts = {sample.labels["alertname"]: sample.labels for sample in prometheus.query("ALERTS")}
    assert {name for name, labels in alerts.items() if labels["alertstate"] == "firing"} == set()
    assert "NextclickDeadLetters" in alerts


def test_the_queries_of_the_documents_have_data(prometheus):
    """What the runbook and the other documents ask for can be asked for."""
    assert len(of_documents()) > 40
    assert without_data(prometheus, of_documents()) == []


def test_the_gauges_of_a_worker_agree(prometheus):
    """All partitions are its own, nothing is left to restore, and what it uses is part of what there is."""
    for promql in (
        "sum(nextclick_assigned_partitions) == 4 and sum(nextclick_input_partitions) == 4",
        "sum(nextclick_recovery_remaining_records) == 0 and sum(nextclick_recovery_seconds) > 0",
        "process_resident_memory_bytes < nextclick_memory_limit_bytes",
        "nextclick_data_dir_free_bytes < nextclick_data_dir_size_bytes",
        "0 < nextclick_recommended_distinct_items",
        "sum(nextclick_rocksdb_keys) > 0 and sum(nextclick_rocksdb_memory_bytes) > 0",
        "count(nextclick_watermark_timestamp_seconds > 1.7e9) == 4",
        "nextclick_snapshot_interval_seconds == 5",
    ):
        assert data_of(prometheus, promql), promql


def test_every_reason_that_was_sent_is_counted(prometheus):
    """The dead letters of the load are told apart."""
    counted = {
        sample.labels["reason"] for sample in prometheus.query("nextclick_dead_letters_total > 0")
    }  # fmt: skip
    assert counted >= {"null", "not_json", "missing_field", "empty_string", "late", "future"}
