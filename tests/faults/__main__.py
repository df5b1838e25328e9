"""Every fault in its long form, one after the other, on a real Kafka.

    python -m tests.faults [--case NAME ...] [--scale 4] [--json FILE] [--recording FILE] [--list]

Progress goes to stderr, the table to stdout. The exit code is 1 when a case failed.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import inspect
import json
import sys
import tempfile
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from core.window.clicks import Click
from stream_app.compiled import use_cache
from stream_app.kafka.brokers import local_kafka
from stream_app.settings import Settings

MODULES = ("workers", "brokers", "state", "load")

#: A case takes settings, a scale and perhaps a folder, and says what it came to.
Case = Callable[..., Any]


def cases() -> dict[str, Case]:
    """Every case by name, in the order in which they are written."""
    # Before any kernel is imported, or this process compiles for itself what the workers need.
    use_cache(Settings.model_fields["cache_dir"].default)
    modules = [import_module(f"tests.faults.cases_{name}") for name in MODULES]
    return {
        name: case
        for module in modules
        for name, case in vars(module).items()
        if inspect.isfunction(case) and case.__module__ == module.__name__ and takes_scale(case)
    }


def takes_scale(function: Callable[..., object]) -> bool:
    """Whether a function is a case: it takes settings and a scale."""
    return list(inspect.signature(function).parameters)[:2] == ["settings", "scale"]


def say(text: str) -> None:
    """Progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def run(case: Case, settings: Settings, scale: float, folder: Path) -> dict[str, object]:
    """Run a case; what it came to."""
    own = uuid.uuid4().hex[:8]
    folder.mkdir()
    names = ("group_id", "clicks_topic", "recommendations_topic", "sessions_topic", "dead_letters_topic")
    changes = {name: f"{name.replace('_', '-')}-{own}" for name in names} | {"data_dir": folder / "data"}
    more = (folder,) if "folder" in inspect.signature(case).parameters else ()
    began = time.monotonic()
    try:
        outcome = case(settings.model_copy(update=changes), scale, *more)
    except Exception as error:  # noqa: BLE001 -- whatever it is, the case failed and the others go on
        say(f"failed: {traceback.format_exc()}")
        return {"ok": False, "seconds": time.monotonic() - began, "error": repr(error)}
    return {"ok": True, **outcome._asdict()}


@contextmanager
def kafka() -> Iterator[str]:
    """The broker of the cases that have none of their own."""
    with tempfile.TemporaryDirectory() as folder, local_kafka(Path(folder)) as broker:
        yield broker.bootstrap


def table(results: dict[str, dict[str, object]]) -> str:
    """The results for people."""
    lines = [
        "| case | seconds | clicks | written again | longest pause, s | |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for name, one in results.items():
        pause_s = one.get("pause_s")
        pause = "" if pause_s is None else f"{pause_s:.1f}"
        figures = f"{one['seconds']:.0f} | {one.get('clicks', '')} | {one.get('repeats', '')} | {pause}"
        lines.append(f"| {name.replace('_', ' ')} | {figures} | {'ok' if one['ok'] else 'FAILED'} |")
    return "\n".join(lines)


def recorded_clicks(path: Path) -> list[Click]:
    """The clicks of a file of the yoochoose slice, by time."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        clicks = [
            Click(row["SessionId"], row["ItemId"], round(float(row["Time"]) * 1000))
            for row in csv.DictReader(lines, delimiter="\t")
        ]
    return sorted(clicks, key=lambda click: click.time_ms)


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--case", action="append", choices=list(cases()), help="only this one; may be repeated"
    )
    parser.add_argument("--scale", type=float, default=3.0, help="of clicks and kills; tests run at about 1")
    parser.add_argument("--json", type=Path, help="where the results are written, too")
    parser.add_argument("--recording", type=Path, help="a gzipped file of the yoochoose slice to send")
    parser.add_argument("--list", action="store_true", help="the names of the cases, and no more")
    options = parser.parse_args()
    if options.list:
        print("\n".join(cases()))
        return 0
    if options.recording:
        import_module("tests.faults.stream").FaultStream.recording = recorded_clicks(options.recording)
    results = {}
    with kafka() as bootstrap, tempfile.TemporaryDirectory() as folder:
        settings = Settings(bootstrap_servers=bootstrap, metrics_port=0)
        for name in options.case or cases():
            case = cases()[name]
            say(f"{name}: {(case.__doc__ or '').splitlines()[0]}")
            results[name] = run(case, settings, options.scale, Path(folder) / name)
    print(table(results))
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))
    return 0 if all(one["ok"] for one in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
