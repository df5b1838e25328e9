"""Overview: is it well?"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from deploy.grafana.panels import (
    BYTES,
    COUNT,
    JOB,
    OURS,
    PER_SECOND,
    SECONDS,
    SHARE,
    Limits,
    Panels,
    Query,
    graph,
    new_dashboard,
    number,
    quantile,
    rate,
    rows,
)

LATENCY = "nextclick_click_to_recommendation_seconds"

#: Hits over judged clicks; judged clicks alone say nothing where there are none.
HIT_RATE = (
    f"{rate('nextclick_prequential_hits_total', over='10m')} "
    f"/ ({rate('nextclick_prequential_clicks_total', over='10m')} > 0)"
)
POPULARITY_HIT_RATE = (
    f"{rate('nextclick_prequential_popularity_hits_total', over='10m')} "
    f"/ ({rate('nextclick_prequential_clicks_total', over='10m')} > 0)"
)


def overview() -> dashboard.Dashboard:
    """Eight numbers that are green when all is well, and the past of what they are made of."""
    return rows(
        new_dashboard("overview", "Overview", "Is it well?"),
        ("Now", _now()),
        ("Answers", _answers()),
        ("Room", _room()),
    )


def _now() -> Panels:
    return [
        number(
            "Workers ready",
            "Workers that have their partitions, their state and an index that has caught up. As many as "
            "there are is good; none: nobody answers.",
            COUNT,
            Query(f"sum(nextclick_ready{OURS})", "ready"),
            width=3,
            limits=Limits(warning=1, bad=0.5),
            alerts=("NextclickWorkerDown", "NextclickNobodyAnswers", "NextclickNotReady"),
        ),
        number(
            "Alerts firing",
            "Of deploy/prometheus/rules. Each has a section in the runbook.",
            COUNT,
            Query('count(ALERTS{alertname=~"Nextclick.+", alertstate="firing"}) or vector(0)', "firing"),
            width=3,
            limits=Limits(warning=0.5, bad=1),
        ),
        number(
            "Partitions without a worker",
            "Partitions of the input that no worker has. Their clicks wait, and nobody reports their lag.",
            COUNT,
            Query(
                f"sum(max by (job) (nextclick_input_partitions{JOB}))"
                f" - sum(nextclick_assigned_partitions{JOB})",
                "without",
            ),
            width=3,
            limits=Limits(warning=0.5, bad=1),
            alerts=("NextclickPartitionsUnassigned",),
        ),
        number(
            "Stalled partitions",
            "Partitions that have clicks and finish none of them. 0 is good.",
            COUNT,
            Query(f"sum(nextclick_stalled_partitions{OURS})", "stalled"),
            width=3,
            limits=Limits(warning=0.5, bad=1),
            alerts=("NextclickStalled",),
        ),
        number(
            "Clicks",
            "Records of the input that were dealt with in a second.",
            PER_SECOND,
            Query(rate("nextclick_clicks_total"), "clicks"),
            width=3,
            alerts=("NextclickNoClicks",),
        ),
        number(
            "Lag",
            "Records of the input that are not yet read, of all partitions.",
            COUNT,
            Query(f"sum(job_partition:nextclick_consumer_lag:max{JOB})", "lag"),
            width=3,
            limits=Limits(warning=1000, bad=10_000),
            alerts=("NextclickLagGrows",),
        ),
        number(
            "Latency, p99",
            "From a click's append to the log to its confirmed answer. The objective: 99 % within a second.",
            SECONDS,
            Query(quantile(0.99, LATENCY), "p99"),
            width=3,
            limits=Limits(warning=0.5, bad=1),
            alerts=("NextclickLatencyBurnsFast", "NextclickLatencyBurnsSlowly"),
        ),
        number(
            "Hit rate",
            "Of the clicks of the last ten minutes that followed an answer, the share that was on one of "
            "its first 20 items.",
            SHARE,
            Query(HIT_RATE, "HR@20"),
            width=3,
            decimals=1,
            alerts=("NextclickHitRateFell", "NextclickHitRateBelowPopularity"),
        ),
    ]


def _answers() -> Panels:
    return [
        graph(
            "Throughput",
            "Records of the input that were dealt with, and answers whose write was confirmed. What is "
            "between them are dead letters.",
            PER_SECOND,
            Query(rate("nextclick_clicks_total"), "clicks"),
            Query(rate("nextclick_recommendations_total"), "answers"),
            alerts=("NextclickNoClicks",),
        ),
        graph(
            "Latency",
            "From a click's append to the log to its confirmed answer. The line is the objective of one "
            "second.",
            SECONDS,
            Query(quantile(0.5, LATENCY), "p50"),
            Query(quantile(0.9, LATENCY), "p90"),
            Query(quantile(0.99, LATENCY), "p99"),
            limits=Limits(warning=1, bad=10),
            alerts=("NextclickLatencyBurnsFast", "NextclickLatencyBurnsSlowly"),
        ),
        graph(
            "Hit rate",
            "The share of clicks on one of the first 20 items of the answer before, and what the 20 most "
            "popular items would have had.",
            SHARE,
            Query(HIT_RATE, "nextclick"),
            Query(POPULARITY_HIT_RATE, "most popular"),
            alerts=("NextclickHitRateFell", "NextclickHitRateBelowPopularity"),
        ),
        graph(
            "Slow answers",
            "The share of answers that took more than a second, over the windows by which the alerts go. "
            "The lower line is the objective.",
            SHARE,
            Query(f"job:nextclick_slow_answers:ratio_rate5m{JOB}", "5 minutes"),
            Query(f"job:nextclick_slow_answers:ratio_rate1h{JOB}", "1 hour"),
            Query(f"job:nextclick_slow_answers:ratio_rate6h{JOB}", "6 hours"),
            limits=Limits(warning=0.01, bad=0.144),
            alerts=("NextclickLatencyBurnsFast", "NextclickLatencyBurnsSlowly"),
        ),
        graph(
            "Lag",
            "Records of the input that are not yet read, by partition.",
            COUNT,
            Query(f"job_partition:nextclick_consumer_lag:max{JOB}", "partition {{partition}}"),
            alerts=("NextclickLagGrows", "NextclickStalled"),
        ),
        graph(
            "Alerts",
            "Alerts that fire, by name; a line at 0 where none does.",
            COUNT,
            Query(
                'count by (alertname) (ALERTS{alertname=~"Nextclick.+", alertstate="firing"}) or vector(0)',
                "{{alertname}}",
            ),
        ),
    ]


def _room() -> Panels:
    return [
        graph(
            "Memory",
            "Memory of each worker, as a share of what it can have: its container's limit or the machine's "
            "memory.",
            SHARE,
            Query(
                f"process_resident_memory_bytes{OURS}"
                f" / on (job, instance) nextclick_memory_limit_bytes{OURS}",
                "{{instance}}",
            ),
            width=8,
            limits=Limits(warning=0.8, bad=0.9),
            most=1,
            alerts=("NextclickMemory",),
        ),
        graph(
            "Processor",
            "Cores that each worker keeps busy. One process uses one and a little more.",
            COUNT,
            Query(f"rate(process_cpu_seconds_total{OURS}[$__rate_interval])", "{{instance}}"),
            width=8,
        ),
        graph(
            "Disk",
            "Free room on the disk of each worker's data_dir.",
            BYTES,
            Query(f"nextclick_data_dir_free_bytes{OURS}", "{{instance}}"),
            width=8,
            alerts=("NextclickDiskAlmostFull", "NextclickDiskFilling"),
        ),
    ]
