"""Kafka inputs: what comes in, and what of it is late, misplaced or no click at all."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from deploy.grafana.panels import (
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
    rate,
    rows,
)

CLICKS = rate("nextclick_clicks_total")


def kafka_inputs() -> dashboard.Dashboard:
    """For whoever writes clicks, and for whoever is asked why some are not answered."""
    description = "What comes in, and what of it is late, misplaced or no click at all?"
    return rows(
        new_dashboard("kafka-inputs", "Kafka inputs", description, by_partition=True),
        ("In this time range", _counts()),
        ("What becomes of a record", _outcomes()),
        ("Dead letters", _dead_letters()),
        ("Event time", _event_time()),
    )


def _count(metric: str, chosen: str = "") -> str:
    return f"sum(increase({metric}{OURS[:-1]}{chosen}}}[$__range]))"


def _share(outcome: str) -> str:
    of_them = rate("nextclick_clicks_total", chosen=f', outcome="{outcome}"')
    return f"{of_them} / ({CLICKS} > 0)"


def _counts() -> Panels:
    dead = ("NextclickDeadLetters",)
    return [
        number("Records", "Of the input.", COUNT, Query(_count("nextclick_clicks_total"), "records")),
        number(
            "Dead letters",
            "Records that were not answered, late ones included. They are on the dead-letters topic as "
            "they came.",
            COUNT,
            Query(_count("nextclick_dead_letters_total"), "dead letters"),
            alerts=dead,
        ),
        number(
            "Late",
            "Clicks more than grace_s behind their partition. Many after a replay of old clicks beside new "
            "ones.",
            COUNT,
            Query(_count("nextclick_dead_letters_total", ', reason="late"'), "late"),
            alerts=dead,
        ),
        number(
            "Of the future",
            "Clicks more than future_s ahead of their append: of a broken clock.",
            COUNT,
            Query(_count("nextclick_dead_letters_total", ', reason="future"'), "future"),
            alerts=dead,
        ),
        number(
            "Misplaced",
            "Clicks that are not in the partition of their visitor.",
            COUNT,
            Query(_count("nextclick_misplaced_clicks_total"), "misplaced"),
            alerts=("NextclickMisplacedClicks",),
        ),
        number(
            "Unreadable sessions",
            "Records of the sessions topic that are no sessions, as the worker counts that saw most.",
            COUNT,
            Query(f"max(increase(nextclick_sessions_unreadable_total{OURS}[$__range]))", "unreadable"),
            alerts=("NextclickUnreadableSessions",),
        ),
    ]


def _outcomes() -> Panels:
    return [
        graph(
            "Outcomes",
            "joined, opened: in a session. overlong: in one past max_clicks, of a bot. duplicate: the same "
            "id again. replay: again after a crash. late, future, bad: dead letters. moved: written again "
            "by its visitor.",
            PER_SECOND,
            Query(rate("nextclick_clicks_total", "outcome"), "{{outcome}}"),
            stacked=True,
            alerts=("NextclickNoClicks",),
        ),
        graph(
            "Sessions closed",
            "By what closed them: a click after the gap, the partition's watermark, or the clock where a "
            "partition is idle.",
            PER_SECOND,
            Query(rate("nextclick_sessions_closed_total", "cause"), "{{cause}}"),
            stacked=True,
        ),
        graph(
            "Misplaced clicks",
            "Clicks that are not in the partition of their visitor, by what the setting unkeyed has done "
            "with them.",
            PER_SECOND,
            Query(rate("nextclick_misplaced_clicks_total", "unkeyed"), "{{unkeyed}}"),
            alerts=("NextclickMisplacedClicks",),
        ),
        graph(
            "Duplicates and bots",
            "As a share of all records.",
            SHARE,
            Query(
                _share("duplicate"),
                "duplicates",
            ),
            Query(
                _share("overlong"),
                "past max_clicks",
            ),
        ),
    ]


def _dead_letters() -> Panels:
    alerts = ("NextclickDeadLetters",)
    return [
        graph(
            "Dead letters by reason",
            "late, future: by the clock. The others are no clicks: null, too_large, not_utf8, not_json, "
            "wrong_type, missing_field, empty_string, bad_time.",
            PER_SECOND,
            Query(rate("nextclick_dead_letters_total", "reason"), "{{reason}}"),
            stacked=True,
            alerts=alerts,
        ),
        graph(
            "Share of the input",
            "Dead letters of a quarter of an hour by reason, as a share of all records. The alert fires "
            "above the line.",
            SHARE,
            Query(f"job_reason:nextclick_dead_letters:ratio_rate15m{JOB}", "{{reason}}"),
            limits=Limits(warning=0.01, bad=0.1),
            alerts=alerts,
        ),
    ]


def _event_time() -> Panels:
    chosen = '{job=~"$job", instance=~"$instance", partition=~"$partition"}'
    return [
        graph(
            "Behind the clock",
            "How far the largest click time of a partition is behind the clock: what has not yet come, or "
            "recorded clicks. Sessions close by this time.",
            SECONDS,
            Query(
                f"clamp_min(time()"
                f" - max by (job, partition) (nextclick_watermark_timestamp_seconds{chosen}), 0)",
                "partition {{partition}}",
            ),
        ),
        graph(
            "Records by worker",
            "How the input is spread over the workers.",
            PER_SECOND,
            Query(rate("nextclick_clicks_total", "instance"), "{{instance}}"),
            stacked=True,
        ),
    ]
