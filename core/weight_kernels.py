"""Kernels of weights: by position, by steps, by how rare an item is; see :mod:`core.params`."""

from __future__ import annotations

import math
from typing import NamedTuple

from core.arrays import Floats, IndexArrays, Int64s
from core.compiled import inner_kernel
from core.kernel_codes import DIV, EXPONENTIAL, LINEAR, LOG, P_IDF_CLICKS, QUADRATIC, WSKNN
from core.session_kernels import clicks_of_item, held_sessions


class Tables(NamedTuple):
    """Weights that are computed once, so that their last bit is the same everywhere."""

    distance: Floats  # exp(-d / distance_decay); empty: no decay
    length: Floats  # clicks^-length_power
    damping: Floats  # sessions^-popularity_damping
    step: Floats  # (1 - rule_mix) * rule_weight of the distance; the first is not used
    pair: Floats  # rule_mix * clicks^-rule_length_power
    log: Floats  # ln(count); the first is not used


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
def idf(index: IndexArrays, ints: Int64s, log: Floats, item: int) -> float:
    """Inverse document frequency of an item that the index holds: ln(sessions) - ln(count)."""
    count = clicks_of_item(index, item) if ints[P_IDF_CLICKS] else index.posting_count[item]
    return math.log(held_sessions(index)) - log_of(log, count)
