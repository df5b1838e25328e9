"""What a scorer's kernels work with from call to call: index, scratch, parameters and weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from core.arrays import MAX_SESSION_CLICKS, Floats, IndexArrays, Int64s
from core.kernels.codes import (
    INT_PARAMETERS,
    P_BLENDS,
    P_EXCLUDE,
    P_FILL,
    P_FURTHER,
    P_IDF_CLICKS,
    P_K,
    P_LAST,
    P_LINEAR,
    P_M,
    P_N,
    P_POSITION,
    P_REPEATS,
    P_RULE_CLICKS,
    P_RULE_SESSIONS,
    P_RULE_STEPS,
    P_SAMPLE,
    P_SAMPLING,
    P_SCORE,
    R_BEFORE,
    R_DAMPING,
    R_DISTANCE_DECAY,
    R_FURTHER,
    R_IDF_BASE,
    R_IDF_SCORE,
    R_IDF_SIMILARITY,
    R_LENGTH_POWER,
    R_NEIGHBOURS,
    R_POPULAR,
    R_POSITION_DECAY,
    R_POWER,
    R_PRIOR,
    R_RECENCY_S,
    R_REMINDER,
    R_REMINDER_DECAY,
    R_REPEAT,
    R_REPEAT_CURRENT,
    R_REPEAT_RATE,
    R_REPEAT_SUPPORT,
    R_RULE_CLICK_DECAY,
    R_RULE_MIX,
    R_RULE_SUPPORT,
    R_RULES,
    R_SCORE_DECAY,
    R_TREND,
    REAL_PARAMETERS,
)
from core.kernels.compiled import as_written
from core.kernels.trend import age_weights, count_weights
from core.kernels.weights import Tables, step_weight
from core.params import EXCLUDES, POSITION_WEIGHTS, SAMPLINGS, STEP_WEIGHTS, ScoringParameters
from core.scratch import TABLE, Scratch


class Engine(NamedTuple):
    """All that stays the same while neither the index changes its arrays nor the scratch gets too small."""

    arrays: IndexArrays
    scratch: Scratch
    ints: Int64s  # (INT_PARAMETERS,)
    reals: Floats  # (REAL_PARAMETERS,)
    tables: Tables
    session_weight: Floats  # (slots,) for the sampling ``weighted``, and what is no candidate; or empty
    age_weight: Floats  # (sessions that popularity counts,) weight of a session by its age in sessions


def parameter_arrays(parameters: ScoringParameters) -> tuple[Int64s, Floats]:
    """The integer and the real parameters, at the places that :mod:`core.kernels.codes` gives them."""
    p = parameters
    ints = np.zeros(INT_PARAMETERS, np.int64)
    for place, value in {
        P_N: p.recommendations,
        P_EXCLUDE: EXCLUDES.index(p.exclude),
        P_K: p.neighbours,
        P_M: p.sessions_per_item,
        P_SAMPLE: p.sample_size,
        P_SAMPLING: SAMPLINGS.index(p.sampling),
        P_LAST: p.last_clicks,
        P_POSITION: POSITION_WEIGHTS.index(p.position_weight),
        P_SCORE: STEP_WEIGHTS.index(p.score_weight),
        P_REPEATS: p.repeats,
        P_RULE_CLICKS: p.rule_clicks,
        P_RULE_STEPS: p.rule_steps,
        P_RULE_SESSIONS: p.rule_sessions,
        P_FURTHER: p.further_items,
        P_IDF_CLICKS: p.idf_of == "clicks",
        P_BLENDS: p.blends,
        P_LINEAR: p.rule_linear,
        P_FILL: p.fill,
    }.items():
        ints[place] = value
    reals = np.zeros(REAL_PARAMETERS, np.float64)
    for place, real in {
        R_POSITION_DECAY: p.position_decay,
        R_SCORE_DECAY: p.score_decay,
        R_IDF_SIMILARITY: p.idf_similarity,
        R_RECENCY_S: p.recency_s,
        R_DISTANCE_DECAY: p.distance_decay,
        R_BEFORE: p.before_weight,
        R_IDF_BASE: p.idf_base,
        R_IDF_SCORE: p.idf_score,
        R_PRIOR: p.popularity_prior,
        R_NEIGHBOURS: p.neighbour_share,
        R_RULES: p.rule_share,
        R_RULE_MIX: p.rule_mix,
        R_RULE_CLICK_DECAY: p.rule_click_decay,
        R_RULE_SUPPORT: p.rule_support,
        R_REMINDER: p.reminder_share,
        R_REMINDER_DECAY: p.reminder_decay,
        R_POPULAR: p.popular_share,
        R_FURTHER: p.further_share,
        R_REPEAT: p.repeat_share,
        R_REPEAT_RATE: p.repeat_rate,
        R_REPEAT_SUPPORT: p.repeat_support,
        R_REPEAT_CURRENT: p.repeat_current,
        R_LENGTH_POWER: p.length_power,
        R_DAMPING: p.popularity_damping,
        R_TREND: p.trend_power,
        R_POWER: p.similarity_power,
    }.items():
        reals[place] = real
    return ints, reals


def weight_tables(parameters: ScoringParameters) -> Tables:
    """The weights that are computed once."""
    p = parameters
    rule_weight, kind = as_written(step_weight), STEP_WEIGHTS.index(p.rule_weight)
    return Tables(
        distance=_distance(p.distance_decay),
        length=_table(lambda clicks: max(clicks, 1) ** -p.length_power, on=p.length_power > 0),
        damping=_table(lambda count: max(count, 1) ** -p.popularity_damping, on=p.popularity_damping > 0),
        step=_table(
            lambda step: (1.0 - p.rule_mix) * rule_weight(kind, step, p.rule_decay) if step else 0.0, on=True
        ),
        pair=_table(lambda clicks: p.rule_mix * max(clicks, 1) ** -p.rule_length_power, on=True),
        recency=_recency(p.recency_s),
        log=_table(lambda count: math.log(max(count, 1)), on=True),
        trend_count=count_weights(p.trend_power, TABLE),
        trend_age=age_weights(p.trend_power),
    )


def _distance(decay: float) -> Floats:
    """Of all distances that there are within a session."""
    distances = range(MAX_SESSION_CLICKS)
    return np.array([math.exp(-d / decay) if decay > 0 else 1.0 for d in distances], np.float64)


def _recency(recency_s: float) -> Floats:
    """See :func:`core.kernels.weights.recency_weight`."""
    ages = [*range(4096), *range(0, 4096 * 4096, 4096)] if recency_s > 0 else []
    return np.array([math.exp(-age / recency_s) for age in ages], np.float64)


def _table(weight: Callable[[int], float], *, on: bool) -> Floats:
    return np.array([weight(n) for n in range(TABLE)] if on else [], np.float64)
