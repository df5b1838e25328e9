"""`make audit`: what cannot be learnt about a library is a failure, not a pass."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_an_audit_without_its_data_fails_and_says_so():
    """With the network's data out of reach the verb ends with an error that names the lock."""
    venv = Path(sys.prefix)
    nowhere = "http://127.0.0.1:9"
    done = subprocess.run(
        ["make", f"--old-file={venv}/.dev", f"VENV={venv}", "audit"],
        cwd=ROOT,
        env={**os.environ, "HTTPS_PROXY": nowhere, "HTTP_PROXY": nowhere, "NO_PROXY": ""},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode != 0
    assert "requirements/worker.lock has a weakness, or could not be audited in full" in done.stdout
