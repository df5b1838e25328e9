"""The real data sets: ``../shared/data`` beside this repository, or the folder that NEXTCLICK_DATA names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of the data sets; where it is missing, the tests that need it fail."""
    folder = Path(os.environ.get("NEXTCLICK_DATA") or ROOT / ".." / "shared" / "data").resolve()
    if not folder.is_dir():
        pytest.fail(f"the data sets are not in {folder}: set NEXTCLICK_DATA to their folder")
    return folder
