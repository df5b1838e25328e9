"""Compiled kernels are kept where they belong, and not for ever."""

from __future__ import annotations

import os
import subprocess
import sys

from stream_app.compiled import VERSIONS_KEPT, use_cache

SCRIPT = """
import sys
from pathlib import Path
from stream_app.compiled import use_cache
use_cache(Path(sys.argv[1]))
from core.index import SessionIndex
from core.sessions import ClosedSession
SessionIndex(2).add([ClosedSession("0-1", "v", ("a",), (0,), 0, 0, "gap", 1)])
"""


def test_kernels_are_compiled_into_the_folder_that_is_given(tmp_path):
    """Nothing is written beside the sources; what is compiled is found again."""
    subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], check=True, timeout=120)
    compiled = sorted(path.name for path in tmp_path.rglob("*.nb[ic]"))
    assert any("add_sessions" in name for name in compiled)
    subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], check=True, timeout=120)
    assert sorted(path.name for path in tmp_path.rglob("*.nb[ic]")) == compiled


def test_only_the_newest_versions_of_compiled_kernels_are_kept(tmp_path, monkeypatch):
    """Older ones go, this one stays whatever its age says."""
    monkeypatch.setattr("numba.config.CACHE_DIR", "")
    for age in range(6):
        old = tmp_path / "kernels" / f"old-{age}"
        old.mkdir(parents=True)
        os.utime(old, (age, age))
    mine = use_cache(tmp_path)
    left = {path.name for path in (tmp_path / "kernels").iterdir()}
    assert left == {mine.name, *(f"old-{age}" for age in range(6 - VERSIONS_KEPT + 1, 6))}
