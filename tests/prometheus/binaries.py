"""Prometheus and promtool: from PATH, or as `make test` unpacked them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: Where `make test` unpacks Debian's package.
UNPACKED = ROOT / "build" / "prometheus" / "usr" / "bin"


def program(name: str) -> str:
    """The path of `prometheus` or `promtool`; fails with what to do where there is none."""
    found = shutil.which(name) or shutil.which(name, path=str(UNPACKED))
    assert found, (
        f"{name} was not found: `make build/prometheus/.unpacked` fetches it, or says what to install"
    )
    return found


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run promtool in the repository's root to its end."""
    return subprocess.run(
        [program("promtool"), *arguments], cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
    )
