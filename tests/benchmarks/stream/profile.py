"""Where a worker's time goes: py-spy's samples of a round, by package and by function.

py-spy looks at the process from outside a few hundred times a second, at threads that run or would; so the
shares are of processor time, nearly, and shares times the CPU of a click are microseconds a click. On a
machine that others use too, a thread that waits for a core is counted as well.
"""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Final

from tests.benchmarks.stream.load import clicks_of, fill
from tests.benchmarks.stream.place import make_topics, new_worker, say
from tests.benchmarks.stream.throughput import watch

RATE: Final = 250
TOP: Final = 40

#: Functions in which a thread waits: one that is caught there was on its way to sleep.
WAITING: Final = {"select", "_worker", "wait"}

_FRAME: Final = re.compile(r"(?P<function>.+) \((?P<file>[^():]+)(?::\d+)?\)$")


def run_profile(place, options):
    """One round for each preset under py-spy."""
    clicks = clicks_of(place.load, options.clicks)
    found = {}
    for preset in options.presets:
        settings = place.settings(f"profile-{preset}", preset=preset)
        make_topics(settings)
        fill(settings, place.load, clicks)
        raw = place.folder / f"profile-{preset}.txt"
        spies = []
        with new_worker(settings) as worker:
            worker.start()

            def start_spy(worker=worker, raw=raw, spies=spies):
                command = [str(options.peers_python.with_name("py-spy")), "record", "--format", "raw"]
                command += ["--rate", str(RATE), "--full-filenames", "--output", str(raw)]
                spies.append(subprocess.Popen([*command, "--pid", str(worker.process.pid)]))

            span = watch(place, settings, [worker], len(clicks), time.monotonic(), start_spy)
            spies[0].send_signal(signal.SIGINT)
            spies[0].wait(60)
        us = span.cpu_s / span.counted * 1e6
        say(f"  {preset}: {span.records / span.seconds:,.0f} clicks/s while profiled, {us:.0f} us a click")
        found[preset] = {
            "clicks_per_s": round(span.records / span.seconds),
            "cpu_us_a_click": round(us, 1),
            **shares(raw.read_text(encoding="utf-8"), us),
        }
    return {"profile": found}


def shares(raw, us):
    """Microseconds a click by package, by function itself, and by function with all it calls.

    Args:
        raw: py-spy's raw output: on each line frames apart by ``;``, the innermost last, and a count.
        us: CPU microseconds a click.
    """
    packages, own, cumulative, total = Counter(), Counter(), Counter(), 0
    for line in raw.splitlines():
        stack, _, number = line.rpartition(" ")
        frames = [_read(frame) for frame in stack.split(";") if _FRAME.match(frame)]
        if not frames or frames[-1][0].rpartition(".")[2] in WAITING:
            continue
        count = int(number)
        total += count
        packages[package_of(frames[-1][1])] += count
        own[_name(frames[-1])] += count
        cumulative.update(dict.fromkeys({_name(frame) for frame in frames}, count))

    def in_us(counter, most):
        return {name: round(count / max(total, 1) * us, 2) for name, count in counter.most_common(most)}

    return {
        "samples": total,
        "packages_us": in_us(packages, TOP),
        "functions_us": in_us(own, TOP),
        "with_callees_us": in_us(cumulative, 2 * TOP),
    }


def _read(frame):
    match = _FRAME.match(frame)
    return match["function"], match["file"]


def _name(frame):
    function, file = frame
    return f"{package_of(file)}: {Path(file).stem}.{function}"


def package_of(file):
    """The package that a source file belongs to: one of ours, an installed one, or Python's own."""
    parts = Path(file).parts
    if "site-packages" in parts:
        name = parts[parts.index("site-packages") + 1]
        return name.removesuffix(".py")
    for ours in ("core", "stream_app"):
        if ours in parts:
            return ours
    return "python" if any(part.startswith("python3") for part in parts) else "other"
