"""What a search found: as the TOML file that worker and evaluate read, and as JSON.

The file has neither date nor duration: the same search writes the same bytes.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from core.errors import TuneError
from core.measure.significance import Estimate
from core.window.sessions import ClosedSession
from stream_app.scoring_file import named, read_toml, scoring_toml

if TYPE_CHECKING:
    from stream_app.tune.search import Found, Search

#: What answers call tuned parameters, before the digest.
NAME: Final = "tuned"


@dataclass(frozen=True, slots=True)
class Source:
    """What was searched on.

    Args:
        command: the command line that does it again.
        file: the training data.
        sessions: read from it.
        preset: name of the preset that the search began with.
    """

    command: Sequence[str]
    file: Path
    sessions: Sequence[ClosedSession]
    preset: str


def refuse_to_overwrite(output: Path) -> None:
    """See that a search may write its file here.

    Raises:
        TuneError: the folder is missing, or there is a file that holds more than a ``[scoring]`` table.
        SettingsError: there is a file that is not TOML.
    """
    if not output.parent.is_dir():
        raise TuneError(f"--output {output}: there is no folder {output.parent}")
    if output.exists():
        others = [key for key in read_toml(output) if key != "scoring"]
        if others:
            raise TuneError(
                f"--output {output} is there already and holds more than [scoring] "
                f"({', '.join(others[:3])}); it is not overwritten: choose another file"
            )


def verdict(search: Search, chosen: Found, preset: str) -> str:
    """A sentence: whether the best trial is above the start by more than chance, and so what was chosen.

    Empty where the start was not finished.
    """
    best, gain, surest = search.best, search.gain, search.surest
    if best is None or gain is None:
        return ""
    if best is search.started:
        return f"no trial is above {preset} in {search.objective}, so {preset} itself is kept"
    above = f"trial {best.trial} is {_margin(gain)} above {preset} in {search.objective}"
    if search.chosen is best:
        return f"{above}: more than the best of {search.done} trials would be by chance"
    if chosen is best:
        of_it = "it is taken all the same"
    elif surest is not None and chosen is surest[0]:
        of_it = f"trial {chosen.trial} is taken, which is surer: {_margin(surest[1])}"
    else:
        of_it = f"{preset} itself is kept"
    return f"{above}: the best of {search.done} trials may be that by chance, so {of_it}"


def _margin(gain: Estimate) -> str:
    margin = "" if gain.low is None or gain.high is None else f" ({gain.low:+.4f} to {gain.high:+.4f})"
    return f"{gain.value:+.4f}{margin}"


def found_rows(search: Search, chosen: Found, preset: str) -> list[tuple[str, Found]]:
    """The start, the best trial and the chosen one with their names; each once, what is missing left out."""
    rows: dict[int, tuple[str, Found]] = {}
    if search.started is not None:
        rows[search.started.trial] = (preset, search.started)
    for found in (search.best or chosen, chosen):
        rows.setdefault(found.trial, (f"trial {found.trial}", found))
    return list(rows.values())


def as_toml(search: Search, chosen: Found, source: Source) -> str:
    """The file: what was done and how well it did as comments, and all parameters of the chosen trial."""
    validation, start = search.validation, search.start
    clicks = sum(len(session.items) for session in source.sessions)
    stopped = (
        "" if search.done >= search.trials else f", stopped before the {search.trials} that were asked for"
    )
    asked = (
        f"learnt from the older {len(validation.older):,} sessions; asked {len(validation.queries):,} of "
        f"{validation.possible:,} queries of the newer {len(validation.newer):,}"
    )
    comments = [
        "The scorer's parameters, found by `nextclick tune`. Read by `nextclick worker --params FILE` and",
        "`nextclick evaluate --params FILE`; the table may as well be copied into the worker's settings.",
        "Chosen on the newest part of the training data: no test data was read.",
        "",
        f"command: {shlex.join(source.command)}",
        f"data: {source.file.name}, {len(source.sessions):,} sessions, {clicks:,} clicks",
        asked,
        f"trials: {search.done}, of which {search.given_up} were given up early{stopped}",
        f"figures with exclude = {start.exclude}, at {start.recommendations}:",
        f"  {'':20}     HR    MRR   NDCG",
        *(
            f"  {what:20}  {one.figures.hr:.4f} {one.figures.mrr:.4f} {one.figures.ndcg:.4f}"
            for what, one in found_rows(search, chosen, source.preset)
        ),
        *filter(None, [verdict(search, chosen, source.preset)]),
    ]
    return scoring_toml(chosen.parameters, source.preset, NAME, comments)


def as_json(search: Search, chosen: Found, source: Source, output: Path) -> dict[str, Any]:
    """The report of ``--json``: plain values; ``parameters`` are those that were chosen."""
    validation, start = search.validation, search.start
    best, gain = search.best or chosen, search.gain
    return {
        "output": str(output),
        "objective": search.objective,
        "k": start.recommendations,
        "exclude": start.exclude,
        "trials": search.done,
        "given_up": search.given_up,
        "sessions": len(source.sessions),
        "train_sessions": len(validation.older),
        "validation_sessions": len(validation.newer),
        "queries": len(validation.queries),
        "possible_queries": validation.possible,
        "start": {"preset": source.preset} | (figures_of(search.started) if search.started else {}),
        "best": {"trial": best.trial} | figures_of(best),
        "gain": None if gain is None else gain._asdict(),
        "chosen": chosen.trial,
        "parameters": msgspec.to_builtins(named(chosen.parameters, NAME)),
    }


def figures_of(found: Found) -> dict[str, float]:
    """A trial's figures by name, such as ``hr_20``."""
    k = found.parameters.recommendations
    return {f"{name}_{k}": round(getattr(found.figures, name), 6) for name in ("hr", "mrr", "ndcg")}
