"""docs/guarantees.md and the cases name each other."""

from __future__ import annotations

import re
from pathlib import Path

from tests.faults.__main__ import cases

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "guarantees.md").read_text(encoding="utf-8")


def test_every_case_is_in_the_guarantees_and_every_one_named_there_exists():
    """The last column of the table names the cases of this folder, all of them."""
    rows = [line for line in TEXT.splitlines() if line.startswith("| ")]
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row.rstrip("| ").rpartition("|")[2])}
    assert named == set(cases())
