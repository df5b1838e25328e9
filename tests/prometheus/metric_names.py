"""Which metrics there are: a worker's own, its process's, and the recorded series."""

from __future__ import annotations

import re
from functools import cache

from prometheus_client import CollectorRegistry, ProcessCollector

from stream_app.telemetry import Telemetry, describe
from tests.prometheus.test_rules import rules_of

#: A metric's name in PromQL, in Markdown or in JSON, with the job's prefix of recorded series.
_NAME = re.compile(r"\b(?:job\w*:)?(?:nextclick|process)_[a-z0-9_]+(?::\w+)?\b")


def metrics_in(text: str) -> set[str]:
    """The metrics that a text names."""
    return set(_NAME.findall(text))


@cache
def known_metrics() -> set[str]:
    """All names under which there are samples; not to be changed."""
    known = {rule["record"] for rule in rules_of("record")}
    for metric in describe(Telemetry()):
        known.add(metric["name"])
        if metric["kind"] == "histogram":
            known |= {f"{metric['name']}_{part}" for part in ("bucket", "count", "sum")}
    process = ProcessCollector(registry=CollectorRegistry())
    return known | {sample.name for family in process.collect() for sample in family.samples}
