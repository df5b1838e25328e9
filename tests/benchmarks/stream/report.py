"""The stream's figures as Markdown tables."""

from __future__ import annotations

from tests.benchmarks.report import table


def text_of(result):
    """All tables of a result; a part that was not run has none."""
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
        ("Where a worker's time goes", "profile", _profile),
    ):
        if part in result:
            lines += ["", f"### {title}", "", *write(result)]
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
