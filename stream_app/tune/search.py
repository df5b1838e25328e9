"""The search: optuna's tree-structured Parzen estimator over the table of :mod:`stream_app.tune.space`.

It begins with the start, what else is given and the presets, lets every second trial be a step from one of
the best (:mod:`stream_app.tune.near`), gives up trials that are worse than the median of those before them
on a part of the queries, and knows its best so far at any moment. With one job, the same seed, data and
number of trials it finds the same.

Source: Bergstra et al., "Algorithms for hyper-parameter optimization", NIPS 2011; Golovin et al., "Google
Vizier: a service for black-box optimization", KDD 2017, section 3.2.2, for giving up by the median.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

import msgspec

from core.errors import TuneError
from core.measure.significance import Estimate, mean_gain
from core.params import ScoringParameters
from core.presets import PRESETS
from stream_app.tune.figures import Figures, Objective
from stream_app.tune.near import near, one_of_the_best
from stream_app.tune.space import encode, suggest
from stream_app.tune.surest import Surest
from stream_app.tune.validation import Validation

try:
    import optuna
except ImportError:  # an extra
    raise TuneError("tuning needs optuna: pip install 'nextclick[tune]'") from None

#: Trials that are finished before the first one may be given up.
_FINISHED_FIRST: Final = 5

_KNOWN: Final = "known"
_NEAR: Final = "near"


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
        also: tried behind the start, before the presets, such as what earlier searches found.

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
        also: Sequence[ScoringParameters] = (),
    ) -> None:
        self.validation, self.start, self.trials, self.jobs = validation, start, trials, jobs
        self.objective = objective
        self.started: Found | None = None
        self.best: Found | None = None
        self.done = 0
        self.given_up = 0
        self._lock = threading.RLock()
        self._surest: Surest[Found] = Surest(validation.session_of)
        self._before_start: list[Found] = []
        self._random = Random(seed)  # noqa: S311 -- no secret
        self._study = _new_study(seed, jobs)
        self._known = [start]
        for known in (*also, *PRESETS.values()):
            asked = msgspec.structs.replace(
                known, recommendations=start.recommendations, exclude=start.exclude
            )
            if asked not in self._known:
                self._known.append(asked)
        for number, parameters in enumerate(self._known):
            suggestions = encode(parameters, start, validation.span_s)
            self._study.enqueue_trial(suggestions or {}, user_attrs={_KNOWN: number})

    @property
    def gain(self) -> Estimate | None:
        """By how much the best is above the start, in the objective; None without both.

        Its interval is that of the best of as many trials as were done: see
        :func:`core.measure.significance.mean_gain`.
        """
        with self._lock:
            best, started, done = self.best, self.started, self.done
        if best is None or started is None:
            return None
        gains = best.figures.above(started.figures, self.objective)
        return mean_gain(gains, self.validation.session_of, done)

    @property
    def chosen(self) -> Found | None:
        """The best where it is above the start by more than chance, else the surest; see :attr:`surest`.

        Where no trial is above the start by more than chance, the start; None without one.
        """
        gain = self.gain
        if gain is None or (gain.low or 0.0) > 0.0:
            return self.best
        surest = self.surest
        return self.started if surest is None else surest[0]

    @property
    def surest(self) -> tuple[Found, Estimate] | None:
        """The trial that is most surely above the start, and its gain as the best of all; None without one.

        A trial with a smaller gain may be surer of it than the best is.
        """
        with self._lock:
            return self._surest.best(max(1, self.done))

    def run(self, stop: Callable[[], bool], on_change: Callable[[Search], None]) -> None:
        """Search until there were enough trials or it is stopped.

        Args:
            stop: looked at often, from any thread; once it is True it stays so.
            on_change: told after each trial.
        """

        def after(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
            if stop():
                study.stop()
            # After what is known and what is drawn anew, not after a step: so they take turns.
            if trial.number >= len(self._known) - 1 and _NEAR not in trial.user_attrs:
                self._step(study)

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
            return found.figures.mean(self.objective)

        if not stop():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                self._study.optimize(trial_of, n_trials=self.trials, n_jobs=self.jobs, callbacks=[after])

    def _step(self, study: optuna.Study) -> None:
        """Let the next trial be near one of the best."""
        finished = study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])
        stepped_from = sorted((t for t in finished if t.params), key=lambda t: (-(t.value or 0.0), t.number))
        if stepped_from:
            with self._lock:
                best = stepped_from[one_of_the_best(len(stepped_from), self._random)]
                study.enqueue_trial(near(best.params, self._random), user_attrs={_NEAR: best.number})

    def _try(self, trial: optuna.Trial, stop: Callable[[], bool]) -> Found | None:
        """One trial's parameters and figures; None where it is given up or stopped."""
        parameters = self._parameters(trial)

        def go_on(rung: int, figures: Figures) -> bool:
            trial.report(figures.mean(self.objective), rung)
            # What the search began with is what everything is compared with.
            return trial.number == 0 or not trial.should_prune()

        figures = self.validation.judge(parameters, go_on, stop)
        return None if figures is None else Found(trial.number, parameters, figures)

    def _parameters(self, trial: optuna.Trial) -> ScoringParameters:
        number = trial.user_attrs.get(_KNOWN)
        if number is None:
            return suggest(trial, self.start, self.validation.span_s)
        known: ScoringParameters = self._known[number]
        if encode(known, self.start, self.validation.span_s) is not None:
            suggest(trial, self.start, self.validation.span_s)  # so that the sampler learns from it
        return known  # itself: a suggestion may differ from it in a last bit or in what does not matter

    def _take(self, found: Found) -> None:
        if found.trial == 0:
            self.started = found
        else:
            self._before_start.append(found)
        if self.started is not None:
            for trial in self._before_start:  # with several jobs some are done before the start is
                self._surest.add(trial, trial.figures.above(self.started.figures, self.objective))
            self._before_start.clear()
        best, value = self.best, found.figures.mean(self.objective)
        if best is None or (value, -found.trial) > (best.figures.mean(self.objective), -best.trial):
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
