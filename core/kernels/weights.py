"""Kernels of weights: by position, by steps, by how rare an item is; see :mod:`core.params`."""

from __future__ import annotations

import math
from typing import NamedTuple

from core.arrays import Floats
from core.kernels.codes import DIV, EXPONENTIAL, LINEAR, LOG, QUADRATIC, WSKNN
from core.kernels.compiled import inner_kernel


class Tables(NamedTuple):
    """Weights that are computed once, so that their last bit is the same everywhere."""

    distance: Floats  # (MAX_SESSION_CLICKS,) exp(-d / distance_decay), or 1
    length: Floats  # clicks^-length_power
    damping: Floats  # sessions^-popularity_damping
    step: Floats  # (1 - rule_mix) * rule_weight of the distance; the first is 0
    pair: Floats  # rule_mix * clicks^-rule_length_power
    recency: Floats  # exp(-s / recency_s) of s = 0 … 4095, then of s = 0, 4096, …; empty: no decay
    log: Floats  # ln(count); the first is not used
    trend_count: Floats  # see core.kernels.trend.count_weights
    trend_age: Floats  # see core.kernels.trend.age_weights


@inner_kernel
def position_weight(kind: int, distance: int, n: int, decay: float) -> float:
    """Weight of a query item, ``distance`` before the newest of ``n``; see core.params.PositionWeight."""
    if kind == LINEAR:
        return max(0.0, 1.0 - 0.1 * distance)
    if kind == QUADRATIC:
        return ((n - distance) / n) ** 2
    if kind == LOG:
        return 1.0 / math.log10(distance + 1.7)
    if kind == DIV:
        return (n - distance) / n
    if kind == EXPONENTIAL:
        return math.exp(-distance / decay)
    if kind == WSKNN:
        return (n - distance + 1) / n
    return 1.0


@inner_kernel
def step_weight(kind: int, step: int, decay: float) -> float:
    """Weight of what is ``step`` steps away, from 1. See core.params.StepWeight."""
    if kind == LINEAR:
        return max(0.0, 1.0 - 0.1 * step)
    if kind == QUADRATIC:
        return 1.0 / (step * step)
    if kind == LOG:
        return 1.0 / math.log10(step + 1.7)
    if kind == DIV:
        return 1.0 / step
    if kind == EXPONENTIAL:
        return math.exp(-(step - 1) / decay)
    return 1.0


@inner_kernel
def log_of(log: Floats, count: int) -> float:
    """ln(count) from the table where it is there."""
    return log[count] if count < len(log) else math.log(count)


@inner_kernel
def idf(log: Floats, log_held: float, count: int) -> float:
    """Inverse document frequency of an item that the index holds: ln(sessions) - ln(count), 0 at least.

    ``log_held`` is ln(sessions), because a logarithm an item would be much of a query's time.
    """
    return max(0.0, log_held - log_of(log, count))


@inner_kernel
def recency_weight(recency: Floats, age_s: int, recency_s: float) -> float:
    """exp(-age / recency_s), as the product of the weights of its 4096-second part and of the rest.

    ``recency`` has the two tables, one after the other; an older age is computed.
    """
    coarse, fine = age_s >> 12, age_s & 4095
    if coarse < 4096:
        return recency[4096 + coarse] * recency[fine]
    return math.exp(-(age_s - fine) / recency_s) * recency[fine]
