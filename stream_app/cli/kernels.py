"""``nextclick compile``: what a first start would compile, before it."""

from __future__ import annotations

import time

import typer

from stream_app.settings import load_settings

HELP = """Compile the kernels into cache_dir, so that no start has to.

A worker compiles them at its first start, in about 20 seconds, and keeps them in cache_dir. This command \
does the same and ends: at the build of an image, or on a machine that is being prepared.

Compile into a folder that may be read-only later, for any processor of this architecture:

  NEXTCLICK_CACHE_DIR=/opt/kernels NEXTCLICK_KERNELS_CPU=generic nextclick compile

And have a worker use it; what it lacks is compiled into the worker's own cache_dir:

  NEXTCLICK_PREPARED_DIR=/opt/kernels NEXTCLICK_KERNELS_CPU=generic nextclick worker
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compile", help=HELP)(compile_kernels)


def compile_kernels() -> None:
    """Compile all kernels of a worker."""
    settings = load_settings()
    from stream_app.compiled import use_kernels  # noqa: PLC0415 -- before any kernel is imported

    folder = use_kernels(settings)
    from core.index import SessionIndex  # noqa: PLC0415 -- imports the kernels
    from core.scoring import Scorer  # noqa: PLC0415 -- the same

    began = time.perf_counter()
    Scorer(SessionIndex(settings.index_sessions), settings.scoring_parameters()).warm_up()
    files = sum(1 for _ in folder.rglob("*.nbc"))
    typer.echo(f"{files} kernels ready in {folder} after {time.perf_counter() - began:.1f} s")
