"""Numbers that stand for names where kernels are called: choices, sources, and places of parameters."""

from __future__ import annotations

from typing import Final, Literal

#: Where a recommended item comes from.
Source = Literal["neighbours", "rules", "popular", "session"]
SOURCES: Final[tuple[Source, ...]] = ("neighbours", "rules", "popular", "session")

# Kinds of weight, in the order of core.params.POSITION_WEIGHTS and STEP_WEIGHTS.
SAME: Final = 0
LINEAR: Final = 1
QUADRATIC: Final = 2
LOG: Final = 3
DIV: Final = 4
EXPONENTIAL: Final = 5
WSKNN: Final = 6

# Samplings, in the order of core.params.SAMPLINGS.
RECENT: Final = 0
RANDOM: Final = 1
COMMON: Final = 2
WEIGHTED: Final = 3

# What answers leave out, in the order of core.params.EXCLUDES; nothing is 0.
EXCLUDE_CURRENT: Final = 1
EXCLUDE_SESSION: Final = 2

# Sources of a recommended item, in the order of SOURCES.
NEIGHBOURS: Final = 0
RULES: Final = 1
POPULAR: Final = 2
SESSION: Final = 3

#: An item that scores at all scores this at least: one that every session holds has an idf of 0, and would be
#: taken for one that nothing has scored yet.
LEAST_SCORE: Final = 1e-300

#: Newest distinct items of a query that can be an answer's reason: a neighbour's are a word's bits.
REASON_ITEMS: Final = 64

# Places in the integer parameters.
P_N: Final = 0
P_EXCLUDE: Final = 1  # 0 none, 1 current, 2 session
P_K: Final = 2
P_M: Final = 3
P_SAMPLE: Final = 4
P_SAMPLING: Final = 5
P_LAST: Final = 6
P_POSITION: Final = 7
P_SCORE: Final = 8
P_REPEATS: Final = 9
P_RULE_CLICKS: Final = 10
P_RULE_STEPS: Final = 11
P_RULE_SESSIONS: Final = 12
P_FURTHER: Final = 13
P_IDF_CLICKS: Final = 14
P_BLENDS: Final = 15
P_LINEAR: Final = 16
P_FILL: Final = 17
INT_PARAMETERS: Final = 18

# Places in the real parameters.
R_POSITION_DECAY: Final = 0
R_SCORE_DECAY: Final = 1
R_IDF_SIMILARITY: Final = 2
R_RECENCY_S: Final = 3
R_DISTANCE_DECAY: Final = 4
R_BEFORE: Final = 5
R_IDF_BASE: Final = 6
R_IDF_SCORE: Final = 7
R_PRIOR: Final = 8
R_NEIGHBOURS: Final = 9
R_RULES: Final = 10
R_REMINDER: Final = 11
R_REMINDER_DECAY: Final = 12
R_POPULAR: Final = 13
R_FURTHER: Final = 14
R_LENGTH_POWER: Final = 15
R_DAMPING: Final = 16
R_POWER: Final = 17
R_RULE_MIX: Final = 18
R_RULE_CLICK_DECAY: Final = 19
R_RULE_SUPPORT: Final = 20
R_TREND: Final = 21
R_REPEAT: Final = 22
R_REPEAT_RATE: Final = 23
R_REPEAT_SUPPORT: Final = 24
R_REPEAT_CURRENT: Final = 25
REAL_PARAMETERS: Final = 26
