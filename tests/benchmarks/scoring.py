"""The engine's latency, memory and speed of learning, beside Serenade's figures and beside its peers.

    python -m tests.benchmarks.scoring [--quick] [--sizes 1,10,60] [--json FILE]

Each case runs in a process of its own (:mod:`tests.benchmarks.cases`), one after the other, in one thread:
real data where it is present, generated sessions of each size, the peers, and a first start with and without
compiled kernels. Progress goes to stderr, the tables to stdout, everything to the JSON file.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from stream_app.compiled import use_kernels
from stream_app.settings import load_settings
from tests.benchmarks import datasets, measure, report

PRESET = "vstan"
JSON_FILE = datasets.ROOT / "build" / "bench-scoring.json"


def read_options(arguments=None):
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="under a minute: 1 M clicks, few queries")
    parser.add_argument("--sizes", help="millions of generated clicks, apart by commas; default 1,10,60")
    parser.add_argument("--json", type=Path, default=JSON_FILE, help="where all figures are written")
    parser.add_argument("--rounds", type=int, help="rounds of which the median is taken; default 5, quick 2")
    parser.add_argument("--queries", type=int, help="of a case at most; default 100000, generated 20000")
    parser.add_argument("--data", type=Path, default=datasets.data_folder(), help="folder of the real data")
    parser.add_argument("--only", default="real,synthetic,peers,start", help="which cases, apart by commas")
    parser.add_argument("--setting", action="append", help="one of the settings; default all")
    parser.add_argument(
        "--clock",
        choices=measure.CLOCKS,
        default="wall",
        help="what a caller waits, or the processor's time only, for a machine that others use too",
    )
    parser.add_argument("--seed", type=int, default=1, help="of what is generated")
    options = parser.parse_args(arguments)
    quick = options.quick
    options.rounds = options.rounds or (2 if quick else 5)
    options.sizes = [float(size) for size in (options.sizes or ("1" if quick else "1,10,60")).split(",")]
    options.only = options.only.split(",")
    return options


def cases_of(options):
    """The cases to run, as what each process is told, and sentences on what is absent."""
    common = {"rounds": options.rounds, "seed": options.seed, "folder": str(options.data)}
    common |= {"settings": options.setting, "clock": options.clock}
    cases, absent = [], []
    present = {}
    for name in datasets.FILES:
        lacking = datasets.missing(name, options.data)
        present[name] = not lacking
        if lacking:
            absent.append(f"{name}: no {', '.join(lacking)} in the data folder (NEXTCLICK_DATA or --data)")
    quick_queries = 2000 if options.quick else None
    if "real" in options.only:
        queries = options.queries or quick_queries or 100_000
        cases += [
            {"kind": "real", "data": name, "queries": queries, **common}
            for name in ("yoochoose", "diginetica")
            if present[name]
        ]
    if "synthetic" in options.only:
        queries = options.queries or quick_queries or 20_000
        cases += [
            {"kind": "synthetic", "clicks": round(size * 1e6), "queries": queries, **common}
            for size in options.sizes
        ]
    if "peers" in options.only:
        wanted = [name for name in ("yoochoose", "movielens") if present[name]]
        if not present["yoochoose"]:
            wanted.append("generated")
        count = 10 if options.quick else 100
        cases += [{"kind": "peers", "data": name, "peer_queries": count, **common} for name in wanted]
    return cases, absent


def run_case(case, kernels):
    """What a case found, and the seconds that its process took."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.cases", json.dumps(case)],
        cwd=datasets.ROOT,
        env={**os.environ, "NUMBA_CACHE_DIR": str(kernels)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout), time.perf_counter() - began


def run_starts():
    """The first start, which compiles, and the second, which finds what was compiled."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for cache in ("none (cold)", "kept (warm)"):
            found, seconds = run_case({"kind": "start", "preset": PRESET}, folder)
            rows.append({"cache": cache, "process_s": seconds, **found})
    return rows


def main(arguments=None):
    """Run the cases, print the tables, write the JSON file."""
    options = read_options(arguments)
    cases, absent = cases_of(options)
    told = sys.argv[1:] if arguments is None else arguments
    result = {
        "benchmark": "scoring",
        "command": shlex.join(["python", "-m", "tests.benchmarks.scoring", *told]),
        "began": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "clock": options.clock,
        "load": [os.getloadavg()[0]],
        "machine": measure.machine(),
        "versions": measure.versions(),
        "absent": absent,
        **{part: [] for part in ("latency", "memory", "build", "peers", "start")},
    }
    kernels = use_kernels(load_settings())
    for number, case in enumerate(cases, 1):
        label = case.get("data") or f"{case['clicks'] / 1e6:g} M clicks"
        print(f"{number} of {len(cases)}: {case['kind']}, {label}", file=sys.stderr, flush=True)
        found, seconds = run_case(case, kernels)
        print(f"  {seconds:.0f} s", file=sys.stderr, flush=True)
        for part, rows in found.items():
            result[part] += rows
    if "start" in options.only and not options.quick:
        print("starts, cold and warm", file=sys.stderr, flush=True)
        result["start"] = run_starts()
    result["load"].append(os.getloadavg()[0])
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(report.text_of(result))
    print(f"all figures: {options.json}", file=sys.stderr)


if __name__ == "__main__":
    main()
