"""The stream's benchmark: throughput beside peers, latency, scaling, memory, recovery, on a local Kafka.

    python -m tests.benchmarks.stream [--quick] [--only throughput,...] [--json FILE] [--markdown FILE]

One broker and one process at a time on this machine's cores. Progress goes to stderr, the tables to stdout,
all figures to the JSON file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from core.presets import PRESETS
from stream_app.kafka.jars import KAFKA_VERSION
from tests.benchmarks import datasets
from tests.benchmarks.stream import (
    choices,
    disk,
    exactly_once,
    exactness,
    latency,
    memory,
    profile,
    recovery,
    report,
    scaling,
    throughput,
)
from tests.benchmarks.stream.load import read_load
from tests.benchmarks.stream.place import open_place, say
from tests.benchmarks.stream.plot import plot

JSON_FILE = datasets.ROOT / "build" / "bench.json"
PEERS_PYTHON = datasets.ROOT / "build" / "peers" / "bin" / "python"
PEERS = ("bare", "faust_plain", "quix")

#: Part → what runs it, in this order.
PARTS = {
    "throughput": throughput.run_rounds,
    "exactly_once": exactly_once.run_exactly_once,
    "exactness": exactness.run_exactness,
    "choices": choices.run_choices,
    "latency": latency.run_latency,
    "scaling": scaling.run_scaling,
    "memory": memory.run_memory,
    "disk": disk.run_disk,
    "recovery": recovery.run_recovery,
    "profile": profile.run_profile,
}
#: Only run when they are asked for: they take long, or need the profiler.
ASKED_FOR = ("exactness", "profile")
#: What ``--quick`` runs, within a minute.
QUICK_PARTS = ("throughput", "latency", "memory", "recovery")
PACKAGES = ("nextclick", "faust-streaming", "aiokafka", "rocksdict", "numba", "numpy", "msgspec")


def read_options(arguments=None):
    """The options of the command line; what was not given depends on ``--quick``."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.stream",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    few = f"under a minute: a bit of {', '.join(QUICK_PARTS)}"
    parser.add_argument("--quick", action="store_true", help=few)
    parser.add_argument(
        "--only",
        help=f"parts, apart by commas: {','.join(PARTS)}; default all but {' and '.join(ASKED_FOR)}",
    )
    parser.add_argument("--profile", action="store_true", help="only the profile: where a worker's time goes")
    parser.add_argument("--json", type=Path, default=JSON_FILE, help="where all figures are written")
    parser.add_argument("--markdown", type=Path, help="where the tables are written, too")
    parser.add_argument("--plot", type=Path, help="where the curve of latency is drawn, as SVG")
    parser.add_argument("--rounds", type=int, help="of throughput, choices and exactness; default 3, quick 1")
    parser.add_argument("--clicks", type=int, help="of a round; default 200000, quick 60000")
    parser.add_argument("--peer-clicks", type=int, help="of plain Faust; default 40000, quick 2000")
    parser.add_argument("--fast-clicks", type=int, help="of quix and bare; default 1000000, quick 100000")
    parser.add_argument("--learnt", type=int, help="sessions learnt beforehand; default all, quick 20000")
    parser.add_argument("--plans", default=",".join(exactness.PLANS), help="of exactness, apart by commas")
    parser.add_argument("--partitions", type=int, default=4, help="of the input topic")
    parser.add_argument("--presets", help="of the worker, apart by commas; default vstan,blend, quick vstan")
    parser.add_argument("--peers", default=",".join(PEERS), help="apart by commas; may be empty")
    parser.add_argument("--peers-python", type=Path, default=PEERS_PYTHON, help="has requirements/peers.lock")
    parser.add_argument("--data", type=Path, default=datasets.data_folder(), help="folder of the real data")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.clicks = options.clicks or (60_000 if options.quick else 200_000)
    options.peer_clicks = min(options.clicks, options.peer_clicks or (2000 if options.quick else 40_000))
    options.fast_clicks = options.fast_clicks or (100_000 if options.quick else 1_000_000)
    options.learnt = options.learnt or (20_000 if options.quick else None)
    presets = options.presets or ("vstan" if options.quick else "vstan,blend")
    options.presets = _names(parser, presets, PRESETS)
    parts = QUICK_PARTS if options.quick else [part for part in PARTS if part not in ASKED_FOR]
    options.plans = _names(parser, options.plans, exactness.PLANS)
    options.peers = _names(parser, options.peers, PEERS)
    options.only = ["profile"] if options.profile else _names(parser, options.only or ",".join(parts), PARTS)
    needed = "profile" in options.only or ("throughput" in options.only and "quix" in options.peers)
    if needed and not options.peers_python.is_file():
        parser.error(f"{options.peers_python} is not there: `make bench` makes it, or set --peers")
    return options


def _names(parser, given, known):
    names = [name for name in given.split(",") if name]
    if unknown := [name for name in names if name not in known]:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
    return names


def versions(options):
    """Versions of all that the figures depend on."""
    found = {"python": platform.python_version(), "kafka": KAFKA_VERSION}
    found |= {package: version(package) for package in PACKAGES}
    if "quix" in options.peers and "throughput" in options.only:
        script = "from importlib.metadata import version as v; print(v('quixstreams'), v('confluent-kafka'))"
        command = [str(options.peers_python), "-c", script]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        found |= dict(zip(("quixstreams", "confluent-kafka"), told, strict=True))
    return found


def machine():
    """What the figures were taken on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} {platform.machine()} cores, {memory:.0f} GiB, {platform.system()}"


def main(arguments=None):
    """Run the parts, print the tables, write the JSON file."""
    options = read_options(arguments)
    told = sys.argv[1:] if arguments is None else arguments
    load = read_load(options.data, options.learnt)
    result = {
        "benchmark": "stream",
        "command": shlex.join(["python", "-m", "tests.benchmarks.stream", *told]),
        "began": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": machine(),
        "versions": versions(options),
        "load": {
            "source": load.source,
            "learnt_sessions": len(load.learnt),
            "clicks": options.clicks,
            "partitions": options.partitions,
        },
        "load_average": [os.getloadavg()[0]],
    }
    with open_place(load, options.partitions) as place:
        for number, part in enumerate(options.only, 1):
            say(f"{number} of {len(options.only)}: {part}")
            began = time.monotonic()
            result |= PARTS[part](place, options)
            say(f"  {time.monotonic() - began:.0f} s")
    result["load_average"].append(os.getloadavg()[0])
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    text = report.text_of(result)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")
    if options.plot and "latency" in result:
        plot(result, options.plot)
    print(text)
    say(f"all figures: {options.json}")


if __name__ == "__main__":
    main()
