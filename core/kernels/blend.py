"""Kernels that add to the neighbours' scores: rules, reminders, popularity, and one step further."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from core.arrays import Floats, IndexArrays, Int32s, Int64s
from core.kernels.codes import (
    LEAST_SCORE,
    P_FURTHER,
    P_RULE_CLICKS,
    R_FURTHER,
    R_NEIGHBOURS,
    R_POPULAR,
    R_REMINDER,
    R_REMINDER_DECAY,
    R_RULE_CLICK_DECAY,
    R_RULE_SUPPORT,
    R_RULES,
)
from core.kernels.compiled import inner_kernel
from core.kernels.ranking import take_best
from core.kernels.rules import add_rules, weight_of_seed
from core.kernels.weights import Tables
from core.scratch import BARRED, Int16s, Scratch

#: Most popular items that the prior and the blend count.
POPULAR_ITEMS: Final = 200


@inner_kernel
def add_score(scores: Floats, rank: Int16s, touched: Int32s, n_touched: int, item: int, score: float) -> int:
    """Add to an item's score unless it is barred; return how many items are touched."""
    if score <= 0.0 or rank[item] == BARRED:
        return n_touched
    if scores[item] == 0.0:
        touched[n_touched] = item
        n_touched += 1
    scores[item] += score
    return n_touched


@inner_kernel
def add_popular(scratch: Scratch, popular: Int32s, popular_score: Floats, each: float, touched: int) -> int:
    """Add to each of the most popular items its popularity times ``each``."""
    for place in range(min(len(popular), POPULAR_ITEMS)):
        item, score = popular[place], each * popular_score[place]
        touched = add_score(scratch.score, scratch.rank, scratch.touched, touched, item, score)
    return touched


@inner_kernel
def divide_by_largest(scores: Floats, touched: Int32s, n_touched: int, share: float) -> None:
    """Bring the touched items' scores to the range from 0 to ``share``."""
    largest = 0.0
    for at in range(n_touched):
        largest = max(largest, scores[touched[at]])
    if largest > 0.0:
        for at in range(n_touched):
            scores[touched[at]] = max(share * (scores[touched[at]] / largest), LEAST_SCORE)


@inner_kernel
def blend(
    index: IndexArrays,
    scratch: Scratch,
    ints: Int64s,
    reals: Floats,
    tables: Tables,
    popular: Int32s,
    popular_score: Floats,
    items: Int32s,
    begin: int,
    end: int,
    n: int,
    touched: int,
) -> int:
    """Add all that has a share to the neighbours' scores; return how many items are touched."""
    divide_by_largest(scratch.score, scratch.touched, touched, reals[R_NEIGHBOURS])
    if reals[R_RULES] > 0.0 and n > 0:
        ruled = 0
        for at in range(n):
            if scratch.distance[at] >= ints[P_RULE_CLICKS]:
                break
            item = scratch.considered[at]
            weight = weight_of_seed(index, scratch, ints, reals, item) + reals[R_RULE_SUPPORT]
            if weight > 0.0:  # else nothing ever followed it
                factor = math.exp(-scratch.distance[at] / reals[R_RULE_CLICK_DECAY]) / weight
                ruled = add_rules(index, scratch, ints, tables, item, factor, ruled)
        touched = _take_over(scratch, ruled, touched, reals[R_RULES])
    if reals[R_REMINDER] > 0.0:
        for at in range(begin, end):
            if items[at] >= 0:
                share = reals[R_REMINDER] * math.exp(-(end - 1 - at) / reals[R_REMINDER_DECAY])
                touched = add_score(scratch.score, scratch.rank, scratch.touched, touched, items[at], share)
    if reals[R_POPULAR] > 0.0 and len(popular):
        each = reals[R_POPULAR] / popular_score[0]
        touched = add_popular(scratch, popular, popular_score, each, touched)
    if reals[R_FURTHER] > 0.0:
        touched = _go_further(index, scratch, ints, reals, tables, touched)
    return touched


@inner_kernel
def _take_over(scratch: Scratch, ruled: int, touched: int, share: float) -> int:
    """Add the rules' scores, brought to the range from 0 to ``share``, to the items'; clear them."""
    cells, rules, rule_touched = scratch.cells, scratch.rules, scratch.rule_touched
    touched_items = scratch.touched
    largest = 0.0
    for at in range(ruled):
        largest = max(largest, rules[np.uint64(rule_touched[at])].score)
    for at in range(ruled):
        item = np.uint64(rule_touched[at])
        score = max(share * (rules[item].score / largest), LEAST_SCORE)
        rules[item].score = 0.0
        before = cells[item].score
        # Written in any case, counted only if it is new: a branch here could not be foreseen.
        touched_items[np.uint64(touched)] = item
        touched += before == 0.0
        cells[item].score = before + score
    return touched


@inner_kernel
def _go_further(
    index: IndexArrays, scratch: Scratch, ints: Int64s, reals: Floats, tables: Tables, touched: int
) -> int:
    """Hand on part of the best items' scores to their followers, in proportion to their rules."""
    found = take_best(
        index,
        scratch,
        scratch.score,
        scratch.touched,
        touched,
        0,
        ints[P_FURTHER],
        scratch.best,
        scratch.best_score,
    )
    for place in range(found):
        ruled = add_rules(index, scratch, ints, tables, scratch.best[place], 1.0, 0)
        handed_on = reals[R_FURTHER] * scratch.best_score[place]
        touched = _take_over(scratch, ruled, touched, handed_on)
    return touched
