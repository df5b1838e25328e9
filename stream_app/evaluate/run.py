"""One evaluation as it is asked for: which methods, over which files, by which protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from core.errors import EvaluationError, InvalidParameterError
from core.measure.metrics import checked_cutoffs
from core.params import Exclude
from core.window.sessions import ClosedSession
from stream_app.evaluate.data import (
    Reading,
    ReadOptions,
    asking_sessions,
    doubts,
    known_items_only,
    read_sessions,
    split_by_time,
)
from stream_app.evaluate.holdout import CUTOFFS, Holdout
from stream_app.evaluate.methods import DEFAULT_METHODS, Recommender, recommender, tuned
from stream_app.evaluate.prequential import Prequential, as_growing
from stream_app.evaluate.report import Report
from stream_app.scoring_file import read_scoring

#: Told what is being done, how much of it is done, and how much there is.
OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be evaluated.

    Args:
        train: file to learn from; of a prequential evaluation without ``test``, the stream itself.
        test: file to ask; None for one file.
        methods: names, see :func:`stream_app.evaluate.methods.method_names`.
        params: TOML files with a ``[scoring]`` table, each a method too.
        exclude: what answers leave out; None: nothing, and for a file of parameters as it says.
        settings: parameters in place of the methods' own, ``name`` or ``method.name`` to value.
        cutoffs: the k's, ascending.
        prequential: play the stream, the index growing.
        share: of one file's sessions that are held out, the newest; None if there is a test file.
        known_items: leave out test clicks on items that were never learnt.
        sessions: newest sessions of the training file that are used; None: all.
        limit: first sessions that are used, of those that ask or of the stream; None: all.
        max_sessions: sessions that an index holds at most; None: all.
        reading: how the files are read.
    """

    train: Path
    test: Path | None = None
    methods: Sequence[str] = DEFAULT_METHODS
    params: Sequence[Path] = ()
    exclude: Exclude | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    cutoffs: Sequence[int] = CUTOFFS
    prequential: bool = False
    share: float | None = None
    known_items: bool = False
    sessions: int | None = None
    limit: int | None = None
    max_sessions: int | None = None
    reading: ReadOptions = field(default_factory=ReadOptions)

    @property
    def plays(self) -> bool:
        """Whether a stream is played, rather than sessions held out."""
        return self.prequential or (self.test is None and self.share is None)


def evaluate(
    plan: Plan,
    on_progress: OnProgress | None = None,
    on_read: Callable[[Path, Reading, int], None] | None = None,
    on_doubt: Callable[[str], None] | None = None,
) -> list[Report]:
    """Carry out a plan.

    Args:
        plan: what is wanted.
        on_progress: told how far it is.
        on_read: told of each file what was read, and how many sessions it has.
        on_doubt: told what makes one doubt that the test file is what comes after the training file.

    Returns:
        A report a method, in the plan's order: the files of parameters after the names.

    Raises:
        EvaluationError: an unknown method, nothing to learn from, nothing to ask, or a contradiction.
        InvalidParameterError: a cut-off or a parameter out of its range.
        ReplayError: a file cannot be read.
        SettingsError: a file of parameters cannot be read.
    """
    tell = on_progress or (lambda _what, _done, _total: None)
    checked_cutoffs(plan.cutoffs)
    _refuse_contradictions(plan)
    methods = make_methods(plan)
    if plan.plays:
        for name, method in methods:
            as_growing(method, name)  # before the files are read
    protocol = _protocol(plan, tell, on_read, on_doubt)
    reports = []
    while methods:
        # Out of the list, so that only one method's index is held at a time.
        name, method = methods.pop(0)
        reports.append(
            protocol.run(
                method,
                method=name,
                cutoffs=plan.cutoffs,
                on_progress=partial(tell, name),
            )
        )
    return reports


def make_methods(plan: Plan) -> list[tuple[str, Recommender]]:
    """The methods of a plan with their names, none of them fitted.

    Raises:
        EvaluationError: an unknown method, no method, or a setting for a method that is not in the plan.
        InvalidParameterError: a setting that a method does not know, or out of its range.
        SettingsError: a file of parameters cannot be read.
    """
    n, for_all, for_one = plan.cutoffs[-1], dict[str, Any](), dict[str, dict[str, Any]]()
    for name, value in plan.settings.items():
        method, dot, own = name.rpartition(".")
        if dot and method not in plan.methods:
            raise EvaluationError(
                f"--set {name}: {method!r} is not among the methods {', '.join(plan.methods)}"
            )
        (for_one.setdefault(method, {}) if dot else for_all)[own] = value
    reserved = {"recommendations", "exclude", "name"} & (
        for_all.keys() | {key for own in for_one.values() for key in own}
    )
    if reserved:
        raise InvalidParameterError(
            f"{', '.join(sorted(reserved))} cannot be set here: the cut-offs say how many are recommended, "
            "and --exclude what is left out"
        )
    made: list[tuple[str, Recommender]] = [
        (
            name,
            recommender(name, plan.exclude or "none", n, for_all | for_one.get(name, {}), plan.max_sessions),
        )
        for name in dict.fromkeys(plan.methods)
    ]
    for path in plan.params:
        parameters = read_scoring(path)
        made.append((parameters.name, tuned(parameters, plan.exclude, n, plan.max_sessions)))
    if not made:
        raise EvaluationError("expected methods to evaluate, came none")
    return made


def _refuse_contradictions(plan: Plan) -> None:
    problem = ""
    if plan.share is not None and plan.test is not None:
        problem = "a share to hold out is for one file, and there is a test file"
    elif plan.share is not None and plan.prequential:
        problem = "a prequential evaluation holds nothing out: it asks every click before it is learnt"
    elif plan.known_items and plan.plays:
        problem = "which items are known changes during a prequential evaluation; leave known-items-only out"
    if problem:
        raise EvaluationError(problem)


def _protocol(
    plan: Plan,
    tell: OnProgress,
    on_read: Callable[[Path, Reading, int], None] | None,
    on_doubt: Callable[[str], None] | None,
) -> Holdout | Prequential:
    """The files read and the protocol made ready."""
    delay_ms = 0

    def read(path: Path, partition: int, after_ms: int) -> list[ClosedSession]:
        nonlocal delay_ms
        reading = Reading()
        sessions = read_sessions(
            path,
            plan.reading,
            partition=partition,
            after_ms=after_ms,
            reading=reading,
            on_progress=partial(tell, f"reading {path.name}"),
        )
        delay_ms = reading.delay_ms
        if on_read is not None:
            on_read(path, reading, len(sessions))
        return sessions

    train = read(plan.train, 0, 0)
    if plan.test is None and plan.share is None:
        if plan.sessions is not None:
            train = train[-plan.sessions :]
        return Prequential(train[: plan.limit], (), delay_ms)
    if plan.test is None:
        train, test = split_by_time(train, plan.share or 0.0)
    else:
        test = read(plan.test, 1, train[-1].end)
        if on_doubt is not None:
            same = ["it is the file that was learnt from"] if plan.test.samefile(plan.train) else []
            for doubt in same or doubts(train, test):
                on_doubt(f"{plan.test}: {doubt}")
    if plan.sessions is not None:
        train = train[-plan.sessions :]
    if plan.known_items:
        test = known_items_only(train, test)
    if plan.prequential:
        return Prequential(test[: plan.limit], train, delay_ms)
    return Holdout(train, asking_sessions(test, plan.limit))


def parse_settings(texts: Iterable[str]) -> dict[str, str]:
    """Settings of a command line, ``name=value`` or ``method.name=value``.

    Raises:
        EvaluationError: a text is neither.
    """
    settings = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value):
            raise EvaluationError(f"--set {text!r}: expected NAME=VALUE or METHOD.NAME=VALUE")
        settings[name] = value
    return settings
