"""The stream's figures as Markdown tables."""

from __future__ import annotations

from tests.benchmarks.report import table
from tests.benchmarks.stream.latency import GOAL_MS

#: Columns and the figures in them.
PERCENTILES = {"p50": "p50_ms", "p90": "p90_ms", "p99": "p99_ms", "p99.9": "p99_9_ms", "most": "max_ms"}
#: Figures of a recovery that the quick form leaves out.
_NOT_QUICK = (
    "kill_without_data_s",
    "kill_without_data_recovery_s",
    "clean_restart_s",
    "clean_restart_replayed",
)
CORES = {"worker, cores": "worker_cores", "broker": "broker_cores", "others": "others_cores"}


def text_of(result):
    """All tables of a result; what was not run has none."""
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    before, after = result["load_average"]
    load = result["load"]
    lines = [
        f"{result['machine']}; {versions}",
        f"`{result['command']}`, {result['began']}",
        f"processes that wanted a core: {before:.1f} at the beginning, {after:.1f} at the end",
        f"{load['source']}: {load['learnt_sessions']:,} learnt beforehand; {load['partitions']} partitions",
    ]
    for title, part, write in (
        ("Throughput of one process", "throughput_details", _throughput),
        ("What exactly once costs", "exactly_once", _exactly_once),
        ("What a fault leaves", "exactness", _exactness),
        ("What each choice brings", "choices", _choices),
        ("Latency, milliseconds", "latency", _latency),
        ("Latency over the offered load", "latency", _curve),
        ("Two workers beside one", "scaling", _scaling),
        ("What an open visitor costs", "memory", _memory),
        ("What a click leaves on disks", "disk", _disk),
        ("Recovery, seconds", "recovery", _recovery),
        ("Where a worker's time goes", "profile", _profile),
    ):
        if written := write(result) if part in result else []:
            lines += ["", f"### {title}", "", *written]
    return "\n".join(lines) + "\n"


def _throughput(result):
    details, ratio = result["throughput_details"], result["throughput_ratio"]
    peers = [name for name, one in details.items() if not one["preset"]]
    rows = [
        (
            name,
            one["preset"] or "",
            f"{one['clicks_per_s']:,}",
            " ".join(f"{rate:,}" for rate in one["clicks_per_s_of_rounds"]),
            *(f"{ratio[f'{name}/{peer}']:.1f}" if one["preset"] else "" for peer in peers),
            f"{one['cpu_us_a_click']:.0f}",
            f"{one['broker_cpu_us_a_click']:.0f}",
            f"{one['seconds']:.1f}",
            f"{one['others_cores']:.1f}",
        )
        for name, one in details.items()
    ]
    header = ("who", "preset", "clicks/s", "each round", *(f"times {peer}" for peer in peers))
    header += ("CPU us a click", "broker's", "seconds", "cores used by others")
    return [*table(header, rows), "", *(f"- {name}: {one['does']}" for name, one in details.items())]


def _exactly_once(result):
    rows = [
        (
            one["who"],
            one["guarantee"],
            f"{one['clicks']:,}",
            f"{one['clicks_per_s']:,}" if "clicks_per_s" in one else "not finished",
            " ".join(f"{rate:,}" for rate in one.get("clicks_per_s_of_rounds", ())),
            f"{one['of_at_least_once']:.2f}" if "of_at_least_once" in one else "",
            f"{one['cpu_us_a_click']:.0f}" if "cpu_us_a_click" in one else "",
            f"{one['broker_cpu_us_a_click']:.0f}" if "broker_cpu_us_a_click" in one else "",
            f"{one['others_cores']:.1f}" if "others_cores" in one else "",
        )
        for one in result["exactly_once"]
    ]
    header = ("who", "guarantee", "clicks", "clicks/s", "each round", "of at least once")
    header += ("CPU us a click", "broker's", "cores used by others")
    failed = [
        f"- {one['who']}, {one['guarantee']}, {why}"
        for one in result["exactly_once"]
        for why in one["failed"]
    ]
    return [*table(header, rows), *([""] if failed else []), *failed]


def _exactness(result):
    exactness = result["exactness"]
    columns = {
        "answers too high": "answer_high",
        "too low": "answer_low",
        "changelog too high": "changelog_high",
        "too low ": "changelog_low",
        "clicks lost": "lost",
        "doubled": "doubled",
        "ended by itself": "ended",
    }
    rows = [
        (
            one["plan"],
            one["who"],
            one["guarantee"],
            *(" ".join(f"{found[name]:,}" for found in one["rounds"]) for name in columns.values()),
            " ".join(sorted({error for found in one["rounds"] for error in found["errors"]})),
        )
        for one in exactness["cases"]
    ]
    load = f"{exactness['clicks']:,} clicks of {exactness['visitors']} visitors"
    return [
        f"{load}, {exactness['clicks_a_second']:.0f} a second; each figure is of one round.",
        "",
        *table(("what happened", "who", "guarantee", *columns, "by"), rows),
    ]


def _latency(result):
    latency = result["latency"]
    rows = []
    for name, one in latency["contenders"].items():
        for what, step in (("the first seconds", one["first_s"]), ("after that", one)):
            for way, taken in (("append to append", step), ("send to read", step["send_to_read"])):
                rows.append((name, what, step["clicks"], way, *_percentiles(taken), *_cores(step)))
    header = ("who", "when", "clicks", "from", *PERCENTILES, *CORES)
    of_goal = latency["of_goal"]
    goal = ", ".join(f"{name.removesuffix('_ms')} below {ms:.0f} ms" for name, ms in GOAL_MS.items())
    return [
        f"{latency['offered_a_second']:,} clicks a second, preset {latency['preset']}.",
        f"The goal is {goal}, append to append: {of_goal['p50_ms']:.2f} and {of_goal['p99_ms']:.2f} of it.",
        "",
        *table(header, rows),
        "",
        *(f"- {name}: {one['does']}" for name, one in latency["contenders"].items()),
    ]


def _curve(result):
    rows = [
        (
            f"{step['offered_a_second']:,}",
            f"{step['sent_a_second']:,}",
            *_percentiles(step),
            f"{step['send_to_read']['p50_ms']:.1f}",
            f"{step['send_to_read']['p99_ms']:.1f}",
            *_cores(step),
        )
        for step in result["latency"]["curve"]
    ]
    header = ("offered a second", "sent", *PERCENTILES, "p50, send to read", "p99, send to read", *CORES)
    return table(header, rows) if rows else []


def _percentiles(taken):
    return (f"{taken[name]:.1f}".removesuffix(".0") for name in PERCENTILES.values())


def _cores(step):
    return (f"{step[name]:.2f}" for name in CORES.values())


def _choices(result):
    rows = [
        (
            one["choice"],
            f"{one['clicks_per_s']:,}",
            f"{one['of_the_first']:.2f}",
            f"{one['cpu_us_a_click']:.0f}",
            f"{one['broker_cpu_us_a_click']:.0f}",
            f"{one['others_cores']:.1f}",
        )
        for one in result["choices"]
    ]
    header = ("the worker", "clicks/s", "of the first", "CPU us a click", "broker's", "cores used by others")
    return table(header, rows)


def _scaling(result):
    scaling = result["scaling"]
    rows = [
        (
            one["workers"],
            f"{one['clicks_per_s']:,}",
            f"{one['cpu_us_a_click']:.0f}",
            f"{one['broker_cpu_us_a_click']:.0f}",
            f"{one['others_cores']:.1f}",
        )
        for one in scaling["workers"]
    ]
    return [
        *table(("workers", "clicks/s", "CPU us a click", "broker's", "cores used by others"), rows),
        "",
        f"Two workers do {scaling['two_to_one']:.2f} times what one does.",
        f"{scaling['partitions']} partitions; broker and sender on the same cores.",
    ]


def _memory(result):
    header = (
        "visitors",
        "clicks of each",
        "key and value, bytes",
        "RocksDB's files, bytes a visitor",
        "changelog, bytes a click",
        "resident before, MiB",
        "with them, MiB",
        "growth, bytes a visitor",
        "RocksDB's bound, MiB",
        "to open and read a partition, s",
    )
    rows = [
        (
            f"{one['visitors']:,}",
            one["clicks_a_visitor"],
            f"{one['key_and_value_bytes_a_visitor']:.0f}",
            f"{one['rocksdb_bytes_a_visitor']:.0f}",
            f"{one['changelog_bytes_a_click']:.0f}",
            one["resident_mib_before"],
            one["resident_mib"],
            f"{one['resident_bytes_a_visitor']:,}",
            one["rocksdb_bound_mib"],
            one["read_a_partition_s"],
        )
        for one in result["memory"]["cases"]
    ]
    return [
        *table(header, rows),
        "",
        "RocksDB's bound is its block cache and two write buffers for each partition.",
    ]


def _disk(result):
    disk = result["disk"]
    rows = [
        ("a click on the input topic", disk["click_bytes"]),
        ("its answer", disk["answer_bytes"]),
        ("the changelog, before compaction, a click", disk["changelog_bytes_a_click"]),
        ("a closed session on the sessions topic", disk["session_bytes"]),
        ("a session in the index's snapshot", disk["snapshot_bytes_a_session"]),
        ("a session in the index's arrays, in memory", disk["index_bytes_a_session"]),
    ]
    return [
        *table(("what", "bytes"), rows),
        "",
        f"{disk['clicks']:,} clicks; sessions of {disk['clicks_a_session']} clicks; nothing is compressed.",
    ]


def _recovery(result):
    recovery = result["recovery"]
    state = [
        (
            f"{one['visitors']:,}",
            one["kill_s"],
            one["kill_recovery_s"],
            *(one.get(name, "") for name in _NOT_QUICK),
        )
        for one in recovery["state"]
    ]
    header = ("visitors", "kill -9, start", "of it restoring", "the same without its data", "of it restoring")
    index = [
        (f"{one['sessions']:,}", "yes" if one["snapshot"] else "no", one["start_s"])
        for one in recovery.get("index", ())
    ]
    takeover = [
        (f"{one['session_timeout_s']:.0f}", one["takeover_s"], one["join_s"])
        for one in recovery.get("takeover", ())
    ]
    lines = table((*header, "clean restart until ready", "clicks it answered again"), state)
    for header, rows in (
        (("sessions in the index", "snapshot", "start until every partition is answered"), index),
        (("session_timeout_s", "pause when one of two is killed", "pause when one joins"), takeover),
    ):
        lines += ["", *table(header, rows)] if rows else []
    return lines


def _profile(result):
    lines = []
    for preset, found in result["profile"].items():
        lines += [
            f"Preset {preset}: {found['cpu_us_a_click']} us of CPU a click, {found['samples']:,} samples.",
            "",
        ]
        for title, part, most in (
            ("package, itself", "packages_us", 15),
            ("function, itself", "functions_us", 30),
            ("function, with all it calls", "with_callees_us", 40),
        ):
            rows = [(name, f"{us:.2f}") for name, us in list(found[part].items())[:most]]
            lines += [*table((title, "us a click"), rows), ""]
    return lines
