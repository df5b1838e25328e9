"""Where compiled kernels are kept. The door to numba outside core."""

from __future__ import annotations

from pathlib import Path

import numba


def use_cache(folder: Path) -> None:
    """Keep compiled kernels in a folder of ours. To be called before any kernel is imported.

    numba would else write beside the source, which a service must not be able to.
    """
    path = folder.expanduser() / "kernels"
    path.mkdir(parents=True, exist_ok=True)
    numba.config.CACHE_DIR = str(path)
