"""The benchmark's figures as Markdown tables."""

from __future__ import annotations

from tests.benchmarks import serenade

#: How the figures are taken; printed above them.
METHOD = (
    "One thread, warm. Percentiles are of calls of one query each, throughput also of calls of 500.",
    "Each figure is the median of the rounds; all times include the call from Python.",
)

#: What the time of a query is, by the clock that it is taken with.
CLOCKS = {
    "wall": "what a caller waits",
    "cpu": "the processor's time for this thread, without what other processes took",
}

#: What the two ways of answering include; printed above the figures.
WAYS = {
    "ranked": "names of items in; arrays of item numbers, scores, sources and reasons out (Scorer.rank)",
    "answers": "names of items in; Python objects with name, score, source and reason out (Scorer.score)",
}

MEMORY = (
    f"Memory, bytes a click (goal: {serenade.BYTES_GOAL}; Serenade: {serenade.BYTES_PUBLISHED} published, "
    f"{serenade.BYTES_MEASURED[0]} to {serenade.BYTES_MEASURED[1]} measured)"
)


def text_of(result):
    """All tables of a result, those without a row left out."""
    machine = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    before, after = result["load"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}",
        versions,
        f"`{result['command']}`, {result['began']}",
        f"processes that wanted a core: {before:.1f} at the beginning, {after:.1f} at the end",
        "",
        *METHOD,
        f"By the {result['clock']} clock: {CLOCKS[result['clock']]}. Two ways to answer:",
        "",
        *(f"- {way}: {meaning}" for way, meaning in WAYS.items()),
        "",
        *(f"NOT MEASURED: {absence}" for absence in result["absent"]),
    ]
    for title, table in (
        ("Latency, microseconds", _latency(result["latency"])),
        (f"Beside Serenade (goal: p90 at most {serenade.GOAL:g} of its)", _beside(result["latency"])),
        (MEMORY, _memory(result["memory"])),
        ("Learning", _build(result["build"])),
        ("Beside others, mean microseconds a query (goal: 100 times wsknn)", _peers(result["peers"])),
        ("Seconds until a process can answer", _start(result["start"])),
    ):
        if table:
            lines += ["", f"### {title}", "", *table]
    return "\n".join(lines) + "\n"


def table(header, rows):
    """A Markdown table, a list of lines; empty without rows."""
    if not rows:
        return []
    cells = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(map(str, row)) + " |" for row in cells]


def _latency(rows):
    header = ("data", "setting", "exclude", "way", "p50", "p90", "p99", "p99.9", "mean", "mean in runs")
    header += ("queries/s", "queries/s in runs", "empty query p50", "p90 of the rounds")
    return table(
        header,
        [
            (
                row["data"],
                row["setting"],
                row["exclude"],
                row["way"],
                *(f"{row[name]:.1f}" for name in ("p50_us", "p90_us", "p99_us", "p99_9_us", "mean_us")),
                f"{row['us_a_query_in_runs']:.1f}",
                f"{row['queries_per_s']:,.0f}",
                f"{row['queries_per_s_in_runs']:,.0f}",
                f"{row['empty_query_us']:.1f}",
                f"{min(row['p90_us_of_rounds']):.0f} to {max(row['p90_us_of_rounds']):.0f}",
            )
            for row in rows
        ],
    )


def _beside(rows):
    names = ("p50_us", "p90_us", "p99_us")
    return table(
        ("data", "setting", "way", "p50 / p90 / p99", "Serenade", "ratio", "goal"),
        [
            (
                row["data"],
                row["setting"],
                row["way"],
                " / ".join(f"{row[name]:.0f}" for name in names),
                " / ".join(f"{row['serenade'][name]}" for name in names),
                " / ".join(f"{row['ratio'][name]:.2f}" for name in names),
                "met" if row["ratio"]["p90_us"] <= serenade.GOAL else "missed",
            )
            for row in rows
            if row["serenade"]
        ],
    )


def _memory(rows):
    header = ("clicks", "sessions", "items", "index's arrays", "resident, names apart", "names, MB")
    header += ("index, MB", "resident growth, MB", "most while building, MB", "a scorer, MB")
    sizes = ("names_bytes", "index_bytes", "resident_growth", "peak_growth", "scorer_growth")
    return table(
        header,
        [
            (
                *(f"{row[name]:,}" for name in ("clicks", "sessions", "items")),
                f"{row['index_bytes_a_click']:.2f}",
                f"{row['resident_bytes_a_click']:.2f}",
                *(f"{row[name] / 1e6:,.1f}" for name in sizes),
            )
            for row in rows
        ],
    )


def _build(rows):
    return table(
        ("data", "how", "sessions", "clicks held", "items held", "seconds", "sessions/s"),
        [
            (
                row["data"],
                row["how"],
                *(f"{row[name]:,}" for name in ("sessions", "clicks", "items")),
                f"{row['seconds']:.2f}",
                f"{row['sessions_per_s']:,.0f}",
            )
            for row in rows
        ],
    )


def _peers(rows):
    in_runs = ("in runs of 500", "ratio in runs of 500")
    return table(
        ("data", "peer", "peer's time", "nextclick", "ratio", *in_runs, "same first item", "queries"),
        [
            (
                row["data"],
                row["peer"],
                f"{row['peer_us_a_query']:,.0f}",
                f"{row['us_a_query']:.1f}",
                f"{row['ratio']:,.0f}",
                f"{row['us_a_query_in_runs']:.1f}",
                f"{row['ratio_in_runs']:,.0f}",
                f"{row['same_first_item']:.0%}",
                row["queries"],
            )
            for row in rows
        ],
    )


def _start(rows):
    return table(
        ("compiled kernels", "compile or load", "whole process"),
        [(row["cache"], f"{row['warm_up_s']:.2f}", f"{row['process_s']:.2f}") for row in rows],
    )
