"""How the benchmark of the engine takes times and memory, and what machine it is on."""

from __future__ import annotations

import ctypes
import gc
import math
import os
import platform
import statistics
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import numpy as np

#: Percentiles that are quoted, by the name of their figure.
PERCENTILES: Final = {"p50_us": 50.0, "p90_us": 90.0, "p99_us": 99.0, "p99_9_us": 99.9}

#: Queries of a run where throughput is measured: as many clicks as a worker takes together at most.
RUN: Final = 500

#: Clocks in nanoseconds. ``wall`` is what a caller waits; ``cpu`` is this thread's own processor time, which
#: leaves out what other processes took from it, and costs more to read.
CLOCKS: Final = {"wall": time.perf_counter_ns, "cpu": time.thread_time_ns}

PACKAGES: Final = ("nextclick", "numba", "llvmlite", "numpy", "msgspec", "pandas", "wsknn")


def percentile(ordered, percent):
    """The nearest-rank percentile: the least value that ``percent`` of all values do not exceed.

    Args:
        ordered: values, rising; at least one.
        percent: above 0, to 100.

    Raises:
        ValueError: no value, or a percentage out of its range.
    """
    if not 0 < percent <= 100 or len(ordered) == 0:
        raise ValueError(f"{percent} % of {len(ordered)} values, expected 0 to 100 % of one value or more")
    # Rounded, so that 99.9 % of 1000 is 999 and not the 1000th by a last bit.
    return ordered[math.ceil(round(percent * len(ordered) / 100, 6)) - 1]


def one_by_one(answer, queries, rounds, clock=CLOCKS["wall"]):
    """Time ``answer([query])`` for one query after the other: a run of 1 is a call of its own.

    The clock is read right before and after each call; what it returned is dropped outside of the time taken.
    One pass is not counted: it warms up. The garbage collector stays on, as in a worker.

    Returns:
        Figures in microseconds: each percentile of a round's queries, and the mean; of each the median of the
        rounds. ``p90_us_of_rounds`` has the rounds' own, to see the noise.
    """
    runs = [[query] for query in queries]
    taken = []
    for number in range(rounds + 1):
        nanoseconds = []
        for run in runs:
            began = clock()
            answers = answer(run)
            nanoseconds.append(clock() - began)
            del answers
        if number:
            taken.append(np.sort(np.array(nanoseconds, np.float64)) / 1000)
    figures = {
        name: statistics.median(float(percentile(one, percent)) for one in taken)
        for name, percent in PERCENTILES.items()
    }
    figures["mean_us"] = statistics.median(float(one.mean()) for one in taken)
    figures["queries_per_s"] = 1e6 / figures["mean_us"]
    figures["p90_us_of_rounds"] = [float(percentile(one, 90)) for one in taken]
    return figures


def in_runs(answer, queries, rounds, clock=CLOCKS["wall"], size=RUN):
    """Time ``answer(queries)`` over runs of ``size`` queries; one pass is not counted.

    Returns:
        Figures: microseconds a query and queries a second, medians of the rounds.
    """
    runs = [queries[at : at + size] for at in range(0, len(queries), size)]
    taken = []
    for _ in range(rounds + 1):
        began = clock()
        for run in runs:
            answer(run)
        taken.append((clock() - began) / len(queries) / 1000)
    us = statistics.median(taken[1:])
    return {"us_a_query_in_runs": us, "queries_per_s_in_runs": 1e6 / us}


def mean_us(answer_one, queries, repeats=1, clock=CLOCKS["wall"]):
    """Mean microseconds of ``answer_one(query)`` over all queries, ``repeats`` times over."""
    began = clock()
    for _ in range(repeats):
        for query in queries:
            answer_one(query)
    return (clock() - began) / (len(queries) * repeats) / 1000


def resident_bytes() -> int:
    """Resident memory of this process, after giving back what is free."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; others give back by themselves
    if trim is not None:
        trim(0)
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def forget_peak() -> None:
    """Let :func:`peak_bytes` count from now on."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_bytes() -> int:
    """The most that was resident since :func:`forget_peak`."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def names_bytes(index) -> int:
    """Bytes of the objects that an index keeps for its items' names: strings, numbers, list and dict."""
    objects = sum(map(sys.getsizeof, index.ids)) + sum(map(sys.getsizeof, index.ids.values()))
    return objects + sys.getsizeof(index.ids) + sys.getsizeof(index.names)


def machine() -> dict[str, object]:
    """Processor, cores, memory and system."""
    return {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }


def versions() -> dict[str, str]:
    """Python's version and those of the packages that the figures depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _processor():
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
