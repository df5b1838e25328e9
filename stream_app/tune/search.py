"""The search: optuna's tree-structured Parzen estimator over the table of :mod:`stream_app.tune.space`.

It begins with the presets, gives up trials that are worse than the median of those before them on a part of
the queries, and knows its best so far at any moment. With one job, the same seed, data and number of trials
it finds the same.

Source: Bergstra et al., "Algorithms for hyper-parameter optimization", NIPS 2011; Golovin et al., "Google
Vizier: a service for black-box optimization", KDD 2017, section 3.2.2, for giving up by the median.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from core.errors import TuneError
from core.params import ScoringParameters
from core.presets import PRESETS
from stream_app.tune.figures import OBJECTIVES, Figures, Objective
from stream_app.tune.space import encode, suggest
from stream_app.tune.validation import Validation

try:
    import optuna
except ImportError:  # an extra
    raise TuneError("tuning needs optuna: pip install 'nextclick[tune]'") from None

#: Trials that are finished before the first one may be given up.
_FINISHED_FIRST: Final = 5

_PRESET: Final = "preset"


@dataclass(frozen=True, slots=True)
class Found:
    """A finished trial: its number from 0, its parameters, and how well they did on all queries."""

    trial: int
    parameters: ScoringParameters
    figures: Figures


class Search:
    """A search on one validation cut.

    Args:
        validation: what trials are judged by.
        start: the first trial; with ``recommendations`` and ``exclude`` as all trials are to have them.
        objective: what is to be as large as possible.
        trials: trials at most, those given up included; at least 1.
        seed: of the sampler.
        jobs: trials at a time; with more than one the result depends on which is done first.

    Attributes:
        started: the start's trial; None until it is finished.
        best: the best finished trial; of equal ones the first.
        done: trials done with, finished or given up.
        given_up: those given up.
    """

    def __init__(
        self,
        validation: Validation,
        start: ScoringParameters,
        objective: Objective,
        *,
        trials: int,
        seed: int,
        jobs: int = 1,
    ) -> None:
        self.validation, self.start, self.trials, self.jobs = validation, start, trials, jobs
        self.objective = objective
        self.started: Found | None = None
        self.best: Found | None = None
        self.done = 0
        self.given_up = 0
        self._value = OBJECTIVES[objective]
        self._known: dict[ScoringParameters, Figures] = {}
        self._lock = threading.RLock()
        self._study = _new_study(seed, jobs)
        self._presets = {start.name: start}
        for name, preset in PRESETS.items():
            asked = msgspec.structs.replace(
                preset, recommendations=start.recommendations, exclude=start.exclude
            )
            if asked not in self._presets.values():
                self._presets.setdefault(name, asked)
        for name, parameters in self._presets.items():
            suggestions = encode(parameters, start, validation.span_s)
            self._study.enqueue_trial(suggestions or {}, user_attrs={_PRESET: name})

    def run(self, stop: Callable[[], bool], on_change: Callable[[Search], None]) -> None:
        """Search until there were enough trials or it is stopped.

        Args:
            stop: looked at often, from any thread; once it is True it stays so.
            on_change: told after each trial.
        """

        def after(study: optuna.Study, _trial: optuna.trial.FrozenTrial) -> None:
            if stop():
                study.stop()

        def trial_of(trial: optuna.Trial) -> float:
            found = self._try(trial, stop)
            with self._lock:
                if found is not None:
                    self.done += 1
                    self._take(found)
                    on_change(self)
                elif not stop():
                    self.done += 1
                    self.given_up += 1
                    on_change(self)
            if found is None:
                raise optuna.TrialPruned
            return self._value(found.figures)

        if not stop():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                self._study.optimize(trial_of, n_trials=self.trials, n_jobs=self.jobs, callbacks=[after])

    def _try(self, trial: optuna.Trial, stop: Callable[[], bool]) -> Found | None:
        """One trial's parameters and figures; None where it is given up or stopped."""
        parameters = self._parameters(trial)
        known = self._known.get(parameters)

        def go_on(rung: int, figures: Figures) -> bool:
            trial.report(self._value(figures), rung)
            # What the search began with is what everything is compared with.
            return trial.number == 0 or not trial.should_prune()

        figures = known or self.validation.judge(parameters, go_on, stop)
        if figures is None:
            return None
        self._known[parameters] = figures
        return Found(trial.number, parameters, figures)

    def _parameters(self, trial: optuna.Trial) -> ScoringParameters:
        name = trial.user_attrs.get(_PRESET)
        if name is None:
            return suggest(trial, self.start, self.validation.span_s)
        preset = self._presets[name]
        if encode(preset, self.start, self.validation.span_s) is not None:
            suggest(trial, self.start, self.validation.span_s)  # so that the sampler learns from it
        return preset  # itself: a suggestion may differ from it in a last bit or in what does not matter

    def _take(self, found: Found) -> None:
        if found.trial == 0:
            self.started = found
        best = self.best
        if best is None or (self._value(found.figures), -found.trial) > (
            self._value(best.figures),
            -best.trial,
        ):
            self.best = found


def _new_study(seed: int, jobs: int) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        # Sampling parameters jointly where some exist only with others is called experimental; the version is
        # pinned by the lock files.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=seed, multivariate=True, group=True, n_startup_trials=10, constant_liar=jobs > 1
        )
        pruner = optuna.pruners.MedianPruner(n_startup_trials=_FINISHED_FIRST)
        return optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
