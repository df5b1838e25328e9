"""Recommendations: are the answers any good, and where do they come from?"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from deploy.grafana.overview import HIT_RATE, LATENCY, POPULARITY_HIT_RATE
from deploy.grafana.panels import (
    COUNT,
    JOB,
    OURS,
    PER_SECOND,
    SECONDS,
    SHARE,
    Panels,
    Query,
    graph,
    new_dashboard,
    number,
    quantile,
    rate,
    rows,
)

JUDGED = rate("nextclick_prequential_clicks_total", over="10m")
MRR = f"{rate('nextclick_prequential_reciprocal_rank_total', over='10m')} / ({JUDGED} > 0)"
POPULARITY_MRR = (
    f"{rate('nextclick_prequential_popularity_reciprocal_rank_total', over='10m')} / ({JUDGED} > 0)"
)
ITEMS_AN_ANSWER = (
    f"{rate('nextclick_recommended_items_total')} / ({rate('nextclick_recommendations_total')} > 0)"
)
COVERAGE = f"max(nextclick_recommended_distinct_items{OURS}) / (max(nextclick_index_items{OURS}) > 0)"


def recommendations() -> dashboard.Dashboard:
    """Quality by the visitors' own next clicks, against plain popularity; sources, coverage, latency."""
    description = "Are the answers any good? Each is judged by the visitor's next click, before it is learnt."
    return rows(
        new_dashboard("recommendations", "Recommendations", description),
        ("Now", _now()),
        ("Quality", _quality()),
        ("Where the items come from", _sources()),
        ("Time", _time()),
    )


def _now() -> Panels:
    alerts = ("NextclickHitRateFell", "NextclickHitRateBelowPopularity")
    return [
        number(
            "Hit rate",
            "HR@20 of the last ten minutes: the share of clicks on one of the first 20 items of the answer "
            "before.",
            SHARE,
            Query(HIT_RATE, "HR@20"),
            decimals=1,
            alerts=alerts,
        ),
        number(
            "Hit rate of popularity",
            "The same, had everybody been shown the 20 most popular items. Below it nextclick is of no use.",
            SHARE,
            Query(POPULARITY_HIT_RATE, "HR@20"),
            decimals=1,
            alerts=alerts,
        ),
        number(
            "Mean reciprocal rank",
            "MRR@20 of the last ten minutes: 1 where every click is on the first item, 0.1 where it is on "
            "the tenth.",
            COUNT,
            Query(MRR, "MRR@20"),
            decimals=3,
        ),
        number(
            "Judged",
            "Clicks that followed an answer in their session and so could judge it. A rate over few says "
            "little.",
            PER_SECOND,
            Query(JUDGED, "judged"),
        ),
        number(
            "Coverage",
            "Different items in the last 50,000 to 100,000 answers, as a share of all items of the index. "
            "Near 0: everybody sees the same few.",
            SHARE,
            Query(COVERAGE, "coverage"),
            decimals=1,
        ),
        number(
            "Items an answer",
            "Recommended items by answers. Less than asked for: the index knows too few items.",
            COUNT,
            Query(ITEMS_AN_ANSWER, "items"),
            decimals=1,
        ),
    ]


def _quality() -> Panels:
    return [
        graph(
            "Hit rate (HR@20)",
            "The share of clicks on one of the first 20 items of the answer before, over ten minutes.",
            SHARE,
            Query(HIT_RATE, "nextclick"),
            Query(POPULARITY_HIT_RATE, "most popular"),
            alerts=("NextclickHitRateFell", "NextclickHitRateBelowPopularity"),
        ),
        graph(
            "Mean reciprocal rank (MRR@20)",
            "The mean of 1 / rank of the next click in the answer before, 0 where it was not in it, over "
            "ten minutes.",
            COUNT,
            Query(MRR, "nextclick"),
            Query(POPULARITY_MRR, "most popular"),
        ),
        graph(
            "Hit rate of an hour",
            "What the alerts look at: the recorded hit rate of the last hour.",
            SHARE,
            Query(f"job:nextclick_hit_rate:ratio_rate1h{JOB}", "{{job}}"),
            Query(f"job:nextclick_popularity_hit_rate:ratio_rate1h{JOB}", "{{job}}, most popular"),
            alerts=("NextclickHitRateFell", "NextclickHitRateBelowPopularity"),
        ),
        graph(
            "Judged clicks",
            "Clicks that followed an answer in their session, and all answers. The others were the first "
            "of their session.",
            PER_SECOND,
            Query(rate("nextclick_prequential_clicks_total"), "judged"),
            Query(rate("nextclick_recommendations_total"), "answers"),
        ),
    ]


def _sources() -> Panels:
    return [
        graph(
            "Sources",
            "Recommended items by where they come from: sessions like this one, sequential rules, the "
            "session itself, popularity. Much popularity means that the index knows little of what is "
            "clicked.",
            PER_SECOND,
            Query(rate("nextclick_recommended_items_total", "source"), "{{source}}"),
            width=8,
            stacked=True,
        ),
        graph(
            "Coverage",
            "Different items in the last 50,000 to 100,000 answers, beside the items that the index knows.",
            COUNT,
            Query(f"max(nextclick_recommended_distinct_items{OURS})", "recommended"),
            Query(f"max(nextclick_index_items{OURS})", "known"),
            width=8,
        ),
        graph(
            "Sessions known",
            "Closed sessions that the index holds. It grows up to index_sessions, then the oldest leave.",
            COUNT,
            Query(f"nextclick_index_sessions{OURS}", "{{instance}}"),
            width=8,
        ),
    ]


def _time() -> Panels:
    scoring = "nextclick_scoring_seconds"
    return [
        graph(
            "From click to answer",
            "From a click's append to the log to its confirmed answer.",
            SECONDS,
            Query(quantile(0.5, LATENCY), "p50"),
            Query(quantile(0.9, LATENCY), "p90"),
            Query(quantile(0.99, LATENCY), "p99"),
            alerts=("NextclickLatencyBurnsFast", "NextclickLatencyBurnsSlowly"),
        ),
        graph(
            "Scoring of a click",
            "The kernels' time for one click, its share of its run's.",
            SECONDS,
            Query(quantile(0.5, scoring), "p50"),
            Query(quantile(0.9, scoring), "p90"),
            Query(quantile(0.99, scoring), "p99"),
        ),
    ]
