"""Serenade's figures, and the settings of the engine that are measured beside them.

Serenade is bol.com's session kNN in Rust (Kersbergen, Sprangers and Schelter, "Serenade - Low-latency
session-based recommendation in e-commerce at scale", SIGMOD 2022). Release 0.3.1 was built and run with one
thread on the test sessions of diginetica and on generated sessions of the laws that ``synthetic.py`` names,
on a machine of the kind that docs/benchmarks.md describes. The generator was another one, and those were
other hours of a shared machine: a ratio near the goal is no proof.
"""

from __future__ import annotations

from typing import Final

from core.presets import preset

#: The settings: m (newest sessions of an item), k (neighbours), last clicks used, weight of the idf.
SETTINGS: Final = {
    "m 500, k 500, last 2": (500, 500, 2, 1),
    "m 1500, k 300, last 4": (1500, 300, 4, 2),
    "m 500, k 100, last 9": (500, 100, 9, 0),
}

#: Data → setting → microseconds of a query: p50, p90, p99. "10 M" is 10 million generated clicks.
MEASURED: Final = {
    "diginetica": dict(zip(SETTINGS, ((23, 84, 186), (29, 91, 178), (31, 63, 104)), strict=True)),
    "1 M": dict(zip(SETTINGS, ((48, 151, 229), (78, 164, 253), (47, 80, 118)), strict=True)),
    "10 M": dict(zip(SETTINGS, ((73, 265, 417), (171, 347, 478), (65, 120, 164)), strict=True)),
    "60 M": dict(zip(SETTINGS, ((99, 374, 557), (252, 508, 660), (98, 177, 257)), strict=True)),
}

#: The goal: so much of Serenade's p90 at most.
GOAL: Final = 0.5

#: Bytes a click of its index: as published, and the least and the most that were measured.
BYTES_PUBLISHED: Final = 19
BYTES_MEASURED: Final = (33, 42)
BYTES_GOAL: Final = 12

#: The name of this project's own setting.
WHOLE_SESSION: Final = "m 2500, k 500, whole session"

_LONGEST: Final = 1000  # clicks used of the longest session: all of any in the data


def parameters(setting, exclude=None):
    """The engine's parameters for a setting: one of :data:`SETTINGS`, or :data:`WHOLE_SESSION`.

    Serenade's leave out the current item, as it does; the whole session's leave out nothing.
    """
    if setting == WHOLE_SESSION:
        return preset(
            "vstan",
            sessions_per_item=2500,
            neighbours=500,
            last_clicks=_LONGEST,
            exclude=exclude or "none",
        )
    m, k, last, idf = SETTINGS[setting]
    return preset(
        "vmis",
        sessions_per_item=m,
        sample_size=m,
        neighbours=k,
        last_clicks=last,
        idf_base=0.0 if idf else 1.0,
        idf_score=float(idf),
        exclude=exclude or "current",
    )
