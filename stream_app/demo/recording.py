"""The demo's purchases as a file: something real to replay, to evaluate and to tune with."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Final

from core.errors import DemoError
from core.window.clicks import Click

COLUMNS: Final = ("visitor", "item", "time", "id", "action")


def write_recording(purchases: Iterable[Click], path: Path, most: int | None) -> int:
    """Write clicks as comma-separated lines, as ``nextclick replay`` and ``evaluate`` read them.

    Args:
        purchases: in the order of time.
        path: the file, gzipped where its name ends with ``.gz``; the same clicks make the same bytes.
        most: how many to write; None writes all.

    Returns:
        How many were written.

    Raises:
        DemoError: the file cannot be written.
    """
    written = 0
    try:
        with path.open("wb") as file:
            # Without name and time in its head, so that a build that is made again is the same.
            packed = gzip.GzipFile("", "wb", 6, file, mtime=0) if path.suffix == ".gz" else file
            with TextIOWrapper(packed, encoding="utf-8", newline="") as text:
                writer = csv.writer(text, lineterminator="\n")
                writer.writerow(COLUMNS)
                for click in islice(purchases, most):
                    writer.writerow(
                        (click.visitor, click.item, f"{click.time_ms / 1000:.3f}", click.id, click.action)
                    )
                    written += 1
    except OSError as error:
        raise DemoError(f"{path} cannot be written: {error.strerror}") from None
    return written
